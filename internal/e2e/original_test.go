package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/run"
)

// An original is claude-flow, the tool that the memory's file format comes from, in a folder of its own.
type original struct {
	t         testing.TB
	installed string // folder of its node_modules
	dir       string // that it works in
	env       []string
}

// newOriginal installs claude-flow where it is not yet. Where that fails, so does the test, unless E2E_OFFLINE
// says that npm cannot be reached from here.
func newOriginal(t testing.TB, version string) *original {
	t.Helper()
	needParts(t)
	installed, err := parts.ClaudeFlow(t.Context())
	fromNPM(t, err)
	return &original{t: t, installed: installed[version], dir: t.TempDir(), env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "CI=true", "NO_COLOR=1", "TZ=UTC",
		"RUFLO_DAEMON_AUTOSTART=0", // which would stay behind
	}}
}

// memory is the file that it shares with this program.
func (o *original) memory() string { return filepath.Join(o.dir, ".swarm", "memory.db") }

func (o *original) theirs(args ...string) run.Command {
	program := filepath.Join(o.installed, "node_modules", ".bin", "claude-flow")
	return run.Command{Argv: append([]string{program}, args...), Dir: o.dir, Env: o.env}
}

// run runs it to its end and returns what it printed.
func (o *original) run(args ...string) string {
	o.t.Helper()
	return o.must(o.theirs(args...))
}

func (o *original) must(c run.Command) string {
	o.t.Helper()
	log, err := attempt(o.t.Context(), c)
	if err != nil {
		o.t.Fatalf("%v\n%s", err, log)
	}
	return log
}

// attempt runs a command that may fail, and returns what it printed.
func attempt(ctx context.Context, c run.Command) (string, error) {
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	_, err := run.OS(ctx, c)
	return log.String(), err
}

// ours is a command of this program for the memory that it shares.
func (o *original) ours(args ...string) run.Command {
	o.t.Helper()
	program, err := os.Executable()
	if err != nil {
		o.t.Fatal(err)
	}
	return run.Command{Argv: append([]string{program, "memory"}, args...), Dir: o.dir, Env: append(o.env, asProgram+"=1")}
}

// A conversation is one with a server of the Model Context Protocol, over standard input and output. Clients that are made for it
// take no log lines among the answers, as claude-flow writes them.
type conversation struct {
	t     testing.TB
	in    io.Writer
	out   *bufio.Scanner
	asked int
}

// talk starts a server; it ends with the test.
func talk(t testing.TB, server run.Command) *conversation {
	t.Helper()
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	server.Stdin, server.Stdout = stdin, stdout
	ended := make(chan error)
	go func() {
		_, err := run.OS(t.Context(), server)
		stdout.CloseWithError(err)
		stdin.CloseWithError(io.ErrClosedPipe)
		ended <- err
	}()
	t.Cleanup(func() {
		in.Close()
		out.Close()
		<-ended
	})
	c := &conversation{t: t, in: in, out: bufio.NewScanner(out)}
	c.out.Buffer(nil, 16<<20)
	c.ask("initialize", map[string]any{"protocolVersion": "2024-11-05", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "e2e", "version": "1"}})
	c.send(map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"})
	return c
}

func (c *conversation) send(message any) {
	c.t.Helper()
	data, err := json.Marshal(message)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.in, "%s\n", data); err != nil {
		c.t.Fatal(err)
	}
}

// ask returns the result of a request. What is no answer to it, such as a log line, is passed over.
func (c *conversation) ask(method string, params any) json.RawMessage {
	c.t.Helper()
	c.asked++
	c.send(map[string]any{"jsonrpc": "2.0", "id": c.asked, "method": method, "params": params})
	for c.out.Scan() {
		var answer struct {
			ID            int
			Result, Error json.RawMessage
		}
		if json.Unmarshal(c.out.Bytes(), &answer) != nil || answer.ID != c.asked {
			continue
		}
		if answer.Error != nil {
			c.t.Fatalf("%s: %s", method, answer.Error)
		}
		return answer.Result
	}
	c.t.Fatalf("%s: the server ended: %v", method, c.out.Err())
	return nil
}

// call calls a tool and reads the JSON text that it answers with.
func (c *conversation) call(tool string, args map[string]any, answer any) {
	c.t.Helper()
	var result struct{ Content []struct{ Text string } }
	raw := c.ask("tools/call", map[string]any{"name": tool, "arguments": args})
	if err := json.Unmarshal(raw, &result); err != nil || len(result.Content) != 1 {
		c.t.Fatalf("%s answers %s", tool, raw)
	}
	if err := json.NewDecoder(strings.NewReader(result.Content[0].Text)).Decode(answer); err != nil {
		c.t.Fatalf("%s answers %s: %v", tool, raw, err)
	}
}
