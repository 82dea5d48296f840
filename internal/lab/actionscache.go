package lab

import (
	"context"
	"path/filepath"
)

// ActionsCache returns the entry point of the library with which the steps of actions/cache speak to the cache. It comes from npm.
func (l *Lab) ActionsCache(ctx context.Context) (string, error) {
	const name = "@actions/cache"
	dir, err := l.installed(ctx, npmPackage{name: name, version: "6.3.0", took: "some seconds"})
	return filepath.Join(dir, "node_modules", name, "lib", "cache.js"), err
}
