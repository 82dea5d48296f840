// Package run starts programs. No other package does, so what every child
// process gets (its own process group, an explicit environment, an end when the
// context ends) is decided here once.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// grace is how long an interrupted program may take to leave before it is killed.
// A runner kills the whole step ten seconds after it asks it to stop.
const grace = 5 * time.Second

// A Command is one program to start: data, made by pure functions and run in one place.
type Command struct {
	// Argv is the program, looked up on the PATH of Env unless it holds a slash, and its arguments.
	Argv []string
	// Dir is the working directory; empty means this process's own.
	Dir string
	// Env is the whole environment, as KEY=value; nothing is inherited beside it.
	Env []string
	// Stdin is what the program reads; nil means nothing.
	Stdin io.Reader
	// Stdout and Stderr, when set, receive the program's output as it comes.
	// Unset, standard output is returned and the end of standard error goes into the error.
	Stdout, Stderr io.Writer
}

// Func starts a command, waits for its end and returns what it wrote to standard output,
// unless the command sends that elsewhere. A command that fails yields an *Error.
type Func func(context.Context, Command) ([]byte, error)

// Error says which program failed, how, and what it said last.
type Error struct {
	Argv   []string
	Code   int    // exit code; -1 when the program was killed or never started
	Stderr string // the end of standard error, at most tailSize bytes
	Err    error
}

func (e *Error) Error() string {
	program := e.Argv[0]
	if len(e.Argv) > 1 {
		program += " " + e.Argv[1]
	}
	if tail := strings.TrimSpace(e.Stderr); tail != "" {
		return fmt.Sprintf("%s: %v: %s", program, e.Err, tail)
	}
	return fmt.Sprintf("%s: %v", program, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// OS is the Func that starts real programs. The program leads its own process group; when ctx
// ends the group is interrupted, and killed if it has not left after a short grace.
func OS(ctx context.Context, c Command) ([]byte, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("running a program: no program named")
	}
	program, err := Find(c.Env, c.Argv[0])
	if err != nil {
		return nil, &Error{Argv: c.Argv, Code: -1, Err: err}
	}
	cmd := exec.CommandContext(ctx, program, c.Argv[1:]...)
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	cmd.Env = append([]string{}, c.Env...) // never nil: nil would inherit everything
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = grace

	var stdout output
	stderr := &tail{}
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = io.MultiWriter(stderr, c.Stderr)
	}
	err = cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// WaitDelay kills the program alone; what it started must not outlive it either.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err == nil {
		return stdout, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return stdout, &Error{Argv: c.Argv, Code: cmd.ProcessState.ExitCode(), Stderr: stderr.String(), Err: err}
}

// Find returns the path of the first of programs that the PATH of an environment holds. A program
// with a slash in its name stands for itself.
func Find(env []string, programs ...string) (string, error) {
	path := ""
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			path = value
		}
	}
	for _, program := range programs {
		if strings.Contains(program, "/") {
			return program, nil
		}
		for _, dir := range filepath.SplitList(path) {
			// Only absolute folders: a repository must not bring its own docker.
			if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil && filepath.IsAbs(found) {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("%s: not found on PATH", strings.Join(programs, ", "))
}

// An output keeps all that is written to it, in little more memory than that takes.
type output []byte

func (o *output) Write(p []byte) (int, error) {
	*o = append(*o, p...)
	return len(p), nil
}

const tailSize = 4096

// A tail keeps the last tailSize bytes written to it.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.buf), "�") }
