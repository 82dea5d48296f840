package action

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// TestAdoptedBuilderIsShared has another job build with the user's builder while the run does: its builds are not the run's to read or to remove.
func TestAdoptedBuilderIsShared(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	own := filepath.Join(home, ".docker", "buildx")
	dir, err := newPrivateDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	write := func(state string, path ...string) {
		t.Helper()
		file := filepath.Join(append([]string{state}, path...)...)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(path[len(path)-1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(own, "instances", "mine")
	write(own, ".buildNodeID")
	write(own, "refs", "mine", "mine0", "earlier")
	var forgotten []string
	s := &session{process: Process{Environ: []string{"HOME=" + home}}, private: dir, gaveToken: true}
	s.job.Config.Builder = "Mine" // which buildx keeps in lower case
	s.buildx = &buildx.Client{Argv: []string{"buildx"}, Env: s.environ(), Run: func(_ context.Context, c run.Command) ([]byte, error) {
		if c.Argv[1] != "history" {
			return []byte("Platforms: linux/amd64"), nil
		}
		forgotten = c.Argv[1:]
		if !slices.Contains(c.Env, "BUILDX_CONFIG="+dir.buildxState()) {
			t.Errorf("buildx is asked with %q", c.Env)
		}
		return nil, nil
	}}
	if _, err := s.adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(own, "refs", "mine", "mine0", "another")
	write(dir.buildxState(), "refs", "mine", "mine0", "this")
	if err := s.forgetBuilds(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"history", "rm", "--builder", "Mine", "this"}, forgotten); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, file := range []string{"instances/mine", ".buildNodeID"} {
		if data, err := os.ReadFile(filepath.Join(dir.buildxState(), file)); err != nil || string(data) != filepath.Base(file) {
			t.Errorf("%s holds %q, %v", file, data, err)
		}
	}
}

// TestAssembledName gives another name to all that a running BuildKit would not take over.
func TestAssembledName(t *testing.T) {
	t.Parallel()
	one := func() service.Builder {
		return service.Builder{Driver: "docker-container", Endpoint: "ssh://a", Platforms: []string{"linux/amd64"}, Options: map[string]string{"a": "1", "b": "2"}, Key: "secret"}
	}
	name := func(change func(*service.Builder)) string {
		b := one()
		change(&b)
		return assembledName([]byte("config"), []service.Builder{b}, "runner")
	}
	same := name(func(*service.Builder) {})
	if got := name(func(b *service.Builder) { b.Key, b.At = "another", "elsewhere" }); got != same {
		t.Error("it is named after its key")
	}
	for what, change := range map[string]func(*service.Builder){
		"driver":    func(b *service.Builder) { b.Driver = "remote" },
		"endpoint":  func(b *service.Builder) { b.Endpoint = "ssh://b" },
		"platforms": func(b *service.Builder) { b.Platforms = []string{"linux/amd64", "linux/386"} },
		"options":   func(b *service.Builder) { b.Options = map[string]string{"a": "1", "b": "3"} },
		"option":    func(b *service.Builder) { b.Options = map[string]string{"a": "1 b:2"} },
	} {
		if name(change) == same {
			t.Errorf("another %s gives the same name", what)
		}
	}
	if assembledName([]byte("other"), []service.Builder{one()}, "runner") == same || assembledName([]byte("config"), []service.Builder{one(), one()}, "runner") == same {
		t.Error("another configuration or another node gives the same name")
	}
}
