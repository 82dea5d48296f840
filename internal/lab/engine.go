package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/org/ghcr-publish/internal/run"
)

const (
	engineLog   = "/var/log/dockerd.log"
	engineStart = 60 * time.Second // how long an engine may take to answer once it was started
)

// An engine is the Docker Engine that DOCKER_HOST or the default socket leads to.
type engine struct{ *client.Client }

func newEngine() (engine, error) {
	c, err := client.New(client.FromEnv)
	if err != nil {
		return engine{}, fmt.Errorf("reading the Docker client's settings: %w", err)
	}
	return engine{c}, nil
}

func (e engine) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := e.Ping(ctx, client.PingOptions{})
	return err
}

// advice says what to do about an engine that does not answer.
func (e engine) advice(err error) string {
	return fmt.Sprintf("Docker Engine does not answer at %s (%v): start it, set DOCKER_HOST, or install it (Debian: apt-get install %s)",
		e.DaemonHost(), err, strings.Join(enginePackages, " "))
}

// startEngine leaves an engine that answers alone; else it installs and starts one on this machine.
func (s *setup) startEngine(ctx context.Context) error {
	err := s.engine.ping(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("looking for Docker Engine: %w", context.Cause(ctx))
	}
	if problem := noEngineHere(os.Getenv("DOCKER_HOST"), os.Geteuid(), onPath); problem != "" {
		return fmt.Errorf("%s; the lab cannot do it: %s", s.engine.advice(err), problem)
	}
	// Before the package, whose installation may start the engine at once.
	if err := s.installShim(); err != nil {
		return err
	}
	if !onPath("dockerd") {
		if err := s.installEngine(ctx); err != nil {
			return err
		}
	}
	if s.engine.ping(ctx) != nil {
		if err := s.launch(ctx); err != nil {
			return err
		}
	}
	return s.awaitEngine(ctx)
}

// noEngineHere says why an engine cannot be started on this machine; empty when it can.
func noEngineHere(dockerHost string, uid int, has func(program string) bool) string {
	switch {
	case dockerHost != "":
		return "DOCKER_HOST names an engine that is not the lab's to start"
	case uid != 0:
		return "starting an engine takes root"
	case !has("dockerd") && !has("apt-get"):
		return "this is not a Debian system"
	}
	return ""
}

func onPath(program string) bool {
	_, err := run.Find(os.Environ(), program)
	return err == nil
}

// launch starts the engine: under the init system where one runs, else as a daemon.
func (s *setup) launch(ctx context.Context) error {
	command := daemon(engineLog, "dockerd")
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		command.Argv = []string{"systemctl", "start", "docker"}
	}
	s.say("starting Docker Engine")
	if _, err := run.OS(ctx, command); err != nil {
		return fmt.Errorf("starting Docker Engine: %w", err)
	}
	return nil
}

// daemon starts a program that outlives this process. It has a session of its own, which no
// signal to this process's group reaches, and holds on to nothing of this process's.
func daemon(log string, argv ...string) run.Command {
	start := []string{"sh", "-c", `log=$1; shift; exec setsid --fork "$@" >"$log" 2>&1 </dev/null`, "sh", log}
	return run.Command{Argv: append(start, argv...), Dir: "/", Env: systemEnv(os.Environ())}
}

func (s *setup) awaitEngine(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, engineStart, fmt.Errorf("no answer within %s", engineStart))
	defer cancel()
	for {
		err := s.engine.ping(ctx)
		if err == nil {
			return nil
		}
		if late := sleep(ctx, 250*time.Millisecond); late != nil {
			return fmt.Errorf("waiting for Docker Engine at %s: %w (%v)\n%s", s.engine.DaemonHost(), late, err, logTail(engineLog))
		}
	}
}

// logTail returns the last lines of a log, or where else to look.
func logTail(path string) string {
	const lines = 20
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "its log is with the init system: journalctl -u docker"
	}
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return "the end of " + path + ":\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}

// systemEnv is base with the administrator's directories on PATH: the engine needs
// iptables and runc, and a plain root shell may not look where they are.
func systemEnv(base []string) []string {
	const system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	env := make([]string, 0, len(base)+1)
	path := system
	for _, kv := range base {
		if value, found := strings.CutPrefix(kv, "PATH="); found {
			path = value + ":" + system
			continue
		}
		env = append(env, kv)
	}
	return append(env, "PATH="+path)
}
