package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/ghcr-publish/internal/run"
)

// Chromium returns Debian's browser, which is installed where it is missing and that is allowed.
func (l *Lab) Chromium(ctx context.Context) (string, error) {
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	const program = "chromium"
	if !onPath(program) {
		if !l.setup.Install {
			return "", errors.New("Chromium is missing: apt-get install chromium")
		}
		if err := l.setup.install(ctx, program); err != nil {
			return "", fmt.Errorf("installing Chromium: %w", err)
		}
	}
	return run.Find(os.Environ(), program)
}

// Axe returns the script of axe-core, which finds what of a page not everybody can use.
func (l *Lab) Axe(ctx context.Context) (string, error) {
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	p := npmPackage{name: "axe-core", version: "4.14.1", took: "a moment"}
	dirs, err := l.setup.installAll(ctx, []npmPackage{p})
	if err != nil {
		return "", fmt.Errorf("installing axe-core from npm: %w", err)
	}
	return filepath.Join(dirs[p.version], "node_modules", p.name, "axe.min.js"), nil
}
