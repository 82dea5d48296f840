package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/org/ghcr-publish/internal/run"
)

const prometheusPackage = "prometheus:" + runtime.GOARCH

// Prometheus returns the programs of Prometheus, its server and promtool: those of this machine, or Debian's, which are taken out of their package. To
// install that would have a server listen everywhere.
func (l *Lab) Prometheus(ctx context.Context) (server, tool string, err error) {
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	server, err = run.Find(os.Environ(), "prometheus")
	if err == nil {
		if tool, err = run.Find(os.Environ(), "promtool"); err == nil {
			return server, tool, nil
		}
	}
	debs, err := l.setup.packages(ctx, prometheusPackage)
	if err != nil {
		return "", "", fmt.Errorf("looking for Prometheus: %w; https://prometheus.io/download/ has it for other systems, to be put on the PATH", err)
	}
	for name, program := range map[string]*string{"prometheus": &server, "promtool": &tool} {
		if *program, err = l.setup.program(ctx, debs[prometheusPackage], name); err != nil {
			return "", "", err
		}
	}
	return server, tool, nil
}

// program takes a program out of a Debian package, once.
func (s *setup) program(ctx context.Context, deb, name string) (string, error) {
	path := filepath.Join(s.Cache, "debian", filepath.Base(deb), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	data, err := extract(ctx, deb, "usr/bin/"+name)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path+".new", data, 0o755)
	}
	if err != nil {
		return "", err
	}
	return path, os.Rename(path+".new", path)
}
