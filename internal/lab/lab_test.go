package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEnviron(t *testing.T) {
	t.Parallel()
	l := &Lab{Bin: "/lab/bin"}
	for name, c := range map[string]struct{ base, want []string }{
		"in front": {[]string{"A=1", "PATH=/usr/bin", "B=2"}, []string{"A=1", "B=2", "PATH=/lab/bin:/usr/bin"}},
		"none":     {[]string{"A=1"}, []string{"A=1", "PATH=/lab/bin"}},
		"empty":    {[]string{"PATH="}, []string{"PATH=/lab/bin"}},
	} {
		before := slices.Clone(c.base)
		if got := l.Environ(c.base); !slices.Equal(got, c.want) {
			t.Errorf("%s: Environ() = %v, want %v", name, got, c.want)
		}
		if !slices.Equal(c.base, before) {
			t.Errorf("%s: Environ changed its argument", name)
		}
	}
}

func TestMissingNamesEveryPart(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	t.Setenv("PATH", t.TempDir())
	e, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{Options: Options{Cache: t.TempDir()}, engine: e, hubAway: true, module: modules{buildx: "v1.2.3", buildkit: "v4.5.6"}}
	message := lacking(s.missing(t.Context())).Error()
	for _, part := range []string{
		"none.sock", "set DOCKER_HOST", "apt-get install docker.io iptables",
		"buildx v1.2.3", "trivy v0.69.3", "buildkitd v4.5.6", "buildctl v4.5.6", "github.com/aquasecurity/trivy/cmd/trivy",
	} {
		if !strings.Contains(message, part) {
			t.Errorf("the message does not say %q:\n%s", part, message)
		}
	}
	if err := lacking(nil); err != nil {
		t.Errorf("nothing is missing, yet: %v", err)
	}
}

func TestLockKeepsOthersOutAndSweeps(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	left := filepath.Join(cache, "scratch-left", "sub")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	var said []string
	s := &setup{Options: Options{Cache: cache, Log: func(format string, _ ...any) { said = append(said, format) }}}
	unlock, err := s.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a killed process's scratch directory is still there: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second lock: %v, want to wait until the context ends", err)
	}
	if len(said) != 1 {
		t.Errorf("the wait was announced %d times", len(said))
	}
	unlock()
	again, err := s.lock(t.Context())
	if err != nil {
		t.Fatalf("locking after the first holder let go: %v", err)
	}
	again()
}
