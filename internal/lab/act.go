package lab

import (
	"context"
	"fmt"
	"runtime"
	"slices"
)

const (
	actModule = "github.com/nektos/act"
	// runnerImage is what act runs a job's steps in: it needs a shell, bash and tail.
	runnerImage = "ghcr-publish/runner:local"
	bashPackage = "bash-static:" + runtime.GOARCH
)

func act() tool {
	return tool{name: "act", module: actModule, version: "v0.2.89", main: ".", report: "--version", took: "about 2 minutes the first time"}
}

// Act puts act into Bin, which runs workflows on this machine, and returns the image in which it is to run jobs.
func (l *Lab) Act(ctx context.Context) (string, error) {
	s := l.setup
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := s.provide(ctx, []tool{act()}); err != nil {
		return "", err
	}
	if !s.hubAway {
		return "debian:bookworm-slim", nil
	}
	debs, err := s.packages(ctx, append(busyboxPackages(), bashPackage)...)
	if err != nil {
		return "", err
	}
	roots, err := s.busybox(ctx, debs)
	if err != nil {
		return "", err
	}
	return runnerImage, s.makeRunner(ctx, roots[runtime.GOARCH], debs[bashPackage])
}

func (s *setup) makeRunner(ctx context.Context, root []file, deb string) error {
	const made = "1"
	if s.stored(ctx, runnerImage, made) {
		return nil
	}
	bash, err := extract(ctx, deb, "bin/bash-static", "usr/bin/bash-static")
	if err != nil {
		return fmt.Errorf("making %s: %w", runnerImage, err)
	}
	files := append(slices.Clone(root), file{name: "bin/bash", mode: 0o755, data: bash})
	return s.load(ctx, runnerImage, made, files, "ENV PATH=/bin")
}
