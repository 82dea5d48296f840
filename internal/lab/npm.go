package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/org/ghcr-publish/internal/run"
)

// An npmPackage is a package of the npm registry at an exact version.
type npmPackage struct {
	name, version string
	// beside it are packages that it does not ask for, by name at exact versions.
	beside map[string]string
	// pinned holds dependencies, however deep, to exact versions.
	pinned map[string]string
	// native dependencies are compiled. No other's install scripts run.
	native []string
	took   string
}

// claudeFlows are the newest versions of the tool that the memory's file format comes from, for each of its ways to lay out
// the file. One version of better-sqlite3 serves all that want some; each takes a minute to compile. Of sharp it is one that comes
// from the registry whole.
func claudeFlows() []npmPackage {
	pinned := map[string]string{"better-sqlite3": "12.11.1", "sharp": "0.33.5"}
	sqlite := []string{"better-sqlite3"}
	const name, took = "claude-flow", "about 2 minutes the first time"
	return []npmPackage{
		{name: name, version: "2.0.0-alpha.88", pinned: pinned, native: sqlite, took: took},
		{name: name, version: "2.7.47", pinned: pinned, native: append(sqlite, "hnswlib-node"), took: took},
		{name: name, version: "3.43.0", pinned: pinned, native: sqlite, took: took},
	}
}

// ClaudeFlow returns, by version, the folders in whose node_modules claude-flow is installed with what it depends on.
func (l *Lab) ClaudeFlow(ctx context.Context) (map[string]string, error) {
	s := l.setup
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dirs, err := s.installAll(ctx, claudeFlows())
	if err != nil {
		return nil, fmt.Errorf("installing claude-flow from npm: %w", err)
	}
	return dirs, nil
}

// installed returns the folder in whose node_modules a package is.
func (l *Lab) installed(ctx context.Context, p npmPackage) (string, error) {
	s := l.setup
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	dirs, err := s.installAll(ctx, []npmPackage{p})
	if err != nil {
		return "", fmt.Errorf("installing %s from npm: %w", p.name, err)
	}
	return dirs[p.version], nil
}

// installAll installs versions of a package, and returns where each is. What was compiled is for one version of Node's binary
// interface, so each of these has its own.
func (s *setup) installAll(ctx context.Context, packages []npmPackage) (map[string]string, error) {
	n, err := s.findNode(ctx)
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for _, p := range packages {
		dir := filepath.Join(s.Cache, "npm", fmt.Sprintf("%s@%s-node%s", p.name, p.version, n.abi))
		dirs[p.version] = dir
		group.Go(func() error { return s.installPackage(ctx, p, n, dir) })
	}
	return dirs, group.Wait()
}

// installPackage installs a package aside and renames it into place, so that what is there is whole.
func (s *setup) installPackage(ctx context.Context, p npmPackage, n node, dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	work, remove, err := s.scratch()
	if err != nil {
		return err
	}
	defer remove()
	s.say("installing %s %s from npm (%s)", p.name, p.version, p.took)
	manifest, err := p.manifest()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "package.json"), manifest, 0o644); err != nil {
		return err
	}
	for _, argv := range p.commands() {
		if _, err := run.OS(ctx, run.Command{Argv: argv, Dir: work, Env: n.environ(os.Environ())}); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return os.Rename(work, dir)
}

// manifest is the package.json of a package that needs nothing but this one and what is beside it.
func (p npmPackage) manifest() ([]byte, error) {
	dependencies := map[string]string{p.name: p.version}
	maps.Copy(dependencies, p.beside)
	return json.Marshal(struct {
		Private      bool              `json:"private"`
		Dependencies map[string]string `json:"dependencies"`
		Overrides    map[string]string `json:"overrides,omitempty"`
	}{true, dependencies, p.pinned})
}

func (p npmPackage) commands() [][]string {
	commands := [][]string{{"npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"}}
	if len(p.native) == 0 {
		return commands
	}
	return append(commands, slices.Concat([]string{"npm", "rebuild"}, p.native))
}

// A node is an installed Node: the version of its binary interface and the folder below whose include its headers are.
type node struct{ abi, prefix string }

// findNode returns the machine's Node, after installing it and a compiler where they are missing.
func (s *setup) findNode(ctx context.Context) (node, error) {
	if lack := lackingPackages(onPath); len(lack) > 0 {
		if err := s.install(ctx, lack...); err != nil {
			return node{}, err
		}
	}
	const ask = `process.versions.modules + "\n" + require("path").resolve(process.execPath, "../..")`
	out, err := run.OS(ctx, run.Command{Argv: []string{"node", "-p", ask}, Env: os.Environ()})
	if err != nil {
		return node{}, err
	}
	abi, prefix, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return node{abi, prefix}, nil
}

// lackingPackages names Debian's packages of what is not on PATH, of Node and of what compiles against it.
func lackingPackages(onPath func(string) bool) []string {
	var lack []string
	if !onPath("node") || !onPath("npm") {
		lack = []string{"nodejs", "npm", "libnode-dev"}
	}
	for _, program := range []string{"g++", "make", "python3"} {
		if !onPath(program) {
			lack = append(lack, program)
		}
	}
	return lack
}

// environ names the headers that came with Node; others are downloaded.
func (n node) environ(base []string) []string {
	if _, err := os.Stat(filepath.Join(n.prefix, "include/node/node.h")); err != nil {
		return base
	}
	return append(slices.Clone(base), "npm_config_nodedir="+n.prefix)
}
