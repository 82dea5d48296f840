package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/org/ghcr-publish/internal/run"
)

// actionsCache is what the steps of actions/cache are made of.
const actionsCache = "@actions/cache@6.3.0"

// ActionsCache returns the entry point of the library with which the steps of actions/cache speak to the cache. It comes from npm.
func (l *Lab) ActionsCache(ctx context.Context) (string, error) {
	s := l.setup
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(s.Cache, "npm", filepath.Base(actionsCache))
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		err = s.installActionsCache(ctx, dir)
		if err != nil {
			return "", fmt.Errorf("installing %s from npm: %w", actionsCache, err)
		}
	}
	return filepath.Join(dir, "node_modules", "@actions", "cache", "lib", "cache.js"), nil
}

// installActionsCache installs aside and renames, so that what is there is whole.
func (s *setup) installActionsCache(ctx context.Context, dir string) error {
	work, remove, err := s.scratch()
	if err != nil {
		return err
	}
	defer remove()
	if err := os.WriteFile(filepath.Join(work, "package.json"), []byte(`{"private":true}`), 0o644); err != nil {
		return err
	}
	install := []string{"npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", actionsCache}
	if _, err := run.OS(ctx, run.Command{Argv: install, Dir: work, Env: os.Environ()}); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	return os.Rename(work, dir)
}
