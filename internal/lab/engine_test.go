package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/run"
)

func TestNoEngineHere(t *testing.T) {
	t.Parallel()
	all := func(string) bool { return true }
	for name, c := range map[string]struct {
		host string
		uid  int
		has  func(string) bool
		want string
	}{
		"can":               {"", 0, all, ""},
		"installed already": {"", 0, func(p string) bool { return p == "dockerd" }, ""},
		"somewhere else":    {"tcp://10.0.0.1:2375", 0, all, "DOCKER_HOST"},
		"not root":          {"", 1000, all, "root"},
		"not Debian":        {"", 0, func(string) bool { return false }, "Debian"},
	} {
		got := noEngineHere(c.host, c.uid, c.has)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: noEngineHere() = %q, want %q in it", name, got, c.want)
		}
	}
}

func TestSystemEnv(t *testing.T) {
	t.Parallel()
	got := systemEnv([]string{"PATH=/opt/bin", "A=1"})
	if !slices.Contains(got, "A=1") || !strings.HasPrefix(got[len(got)-1], "PATH=/opt/bin:/usr/local/sbin:") || len(got) != 2 {
		t.Errorf("systemEnv() = %v", got)
	}
}

func TestLogTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if got := logTail(path); !strings.Contains(got, "journalctl") {
		t.Errorf("without a log: %q", got)
	}
	lines := make([]string, 100)
	for i := range lines {
		lines[i] = "line " + strconv.Itoa(i)
	}
	write(t, path, strings.Join(lines, "\n")+"\n")
	got := logTail(path)
	if !strings.HasSuffix(got, "line 99") || strings.Contains(got, "line 79\n") || !strings.Contains(got, "line 80\n") {
		t.Errorf("logTail() = %q, want the last twenty lines", got)
	}
}

func TestDaemonIsOnItsOwn(t *testing.T) {
	t.Parallel()
	if !onPath("setsid") {
		t.Skip("no setsid on this system")
	}
	dir := t.TempDir()
	log, note := filepath.Join(dir, "log"), filepath.Join(dir, "pid")
	command := daemon(log, "sh", "-c", `echo up; echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 60`, note)
	if _, err := run.OS(t.Context(), command); err != nil {
		t.Fatal(err)
	}
	pid := readPid(t, note)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("the daemon %d is in group %d (%v), want its own", pid, group, err)
	}
	if said, _ := os.ReadFile(log); string(said) != "up\n" {
		t.Errorf("its log holds %q", said)
	}
}

func readPid(t *testing.T, path string) int {
	t.Helper()
	for range 100 {
		if data, err := os.ReadFile(path); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the daemon did not start")
	return 0
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}
