package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/ghcr-publish/internal/run"
)

// Chromium returns the browser of this machine: Debian's is installed where none is and that is allowed.
func (l *Lab) Chromium(ctx context.Context) (string, error) {
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	if program, err := run.Find(os.Environ(), names...); err == nil {
		return program, nil
	}
	const advice = "on Debian apt-get install chromium brings it; Ubuntu has no such package, but takes google-chrome-stable from https://www.google.com/chrome"
	if !l.setup.Install {
		return "", fmt.Errorf("looking for Chromium: none of %q is on the PATH; %s", names, advice)
	}
	if err := l.setup.install(ctx, names[0]); err != nil {
		return "", fmt.Errorf("installing Chromium: %w; %s", err, advice)
	}
	return run.Find(os.Environ(), names...)
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
