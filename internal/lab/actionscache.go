package lab

import (
	"context"
	"fmt"
	"path/filepath"
)

// ActionsCache returns the entry point of the library with which the steps of actions/cache speak to the cache. It comes from npm.
func (l *Lab) ActionsCache(ctx context.Context) (string, error) {
	s := l.setup
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	const name, version = "@actions/cache", "6.3.0"
	dirs, err := s.installAll(ctx, []npmPackage{{name: name, version: version, took: "some seconds"}})
	if err != nil {
		return "", fmt.Errorf("installing %s from npm: %w", name, err)
	}
	return filepath.Join(dirs[version], "node_modules", name, "lib", "cache.js"), nil
}
