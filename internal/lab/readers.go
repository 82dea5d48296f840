package lab

import (
	"context"
	"path/filepath"
	"runtime"
)

// Renovate returns the command that starts Renovate, which updates what a repository names. It comes from npm, with a Node of
// its own, as it asks for a newer one than distributions have.
func (l *Lab) Renovate(ctx context.Context) ([]string, error) {
	node := "node-linux-" + map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	dir, err := l.installed(ctx, npmPackage{name: "renovate", version: "44.121.2", beside: map[string]string{node: "24.21.0"}, took: "about 2 minutes the first time"})
	modules := filepath.Join(dir, "node_modules")
	return []string{filepath.Join(modules, node, "bin", "node"), filepath.Join(modules, "renovate", "dist", "renovate.js")}, err
}

// YAMLServer returns the entry point of the language server with which editors check YAML. It comes from npm.
func (l *Lab) YAMLServer(ctx context.Context) (string, error) {
	const name = "yaml-language-server"
	dir, err := l.installed(ctx, npmPackage{name: name, version: "1.25.0", took: "some seconds"})
	return filepath.Join(dir, "node_modules", name, "out", "server", "src", "index.js"), err
}
