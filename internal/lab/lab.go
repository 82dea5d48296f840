// Package lab brings up the real parts a demonstration or an end-to-end test
// runs against: Docker Engine, buildx, Trivy with a vulnerability database, a
// registry and the base images. What the public registries offer is used where
// they are in reach; where they are not, it is made from Go modules and Debian
// packages.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Options say what Up may do and where it keeps things.
type Options struct {
	// Install allows installing Debian packages, starting the engine and compiling tools.
	// Without it whatever is missing becomes an error that says how to get it.
	Install bool
	// Registry is HOST:PORT of a registry that runs already; Up may write its
	// library/busybox and aquasec/trivy-db. Empty means one of its own, in this process.
	Registry string
	// Cache holds the tools and downloaded packages; empty means ghcr-publish in the user's cache directory.
	Cache string
	// Log receives progress; nil means silence.
	Log func(format string, args ...any)
}

// A Lab is everything a run needs, ready for use.
type Lab struct {
	// Registry is the HOST:PORT of the registry.
	Registry string
	// Bin is the directory that holds buildx and trivy; it belongs first on PATH.
	Bin string
	// BuildkitConfig is the path of a buildkitd.toml that takes docker.io's images from Registry;
	// empty where Docker Hub is in reach. It is gone after Close if the registry is.
	BuildkitConfig string
	// TrivyDB holds the values for Trivy's --db-repository; empty where the public ones are in reach.
	TrivyDB []string
	// BinfmtImage registers emulators when run privileged; empty where the usual one can be pulled.
	BinfmtImage string

	setup *setup       // that made it
	plain bool         // the registry speaks plain HTTP
	stop  func() error // ends the registry in this process
}

// Up brings up whatever is not there yet. It is safe to run again, and at the same time elsewhere.
func Up(ctx context.Context, o Options) (*Lab, error) {
	s, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()

	if !s.Install {
		if err := lacking(s.missing(ctx)); err != nil {
			return nil, err
		}
	}
	if err := s.startEngine(ctx); err != nil {
		return nil, err
	}
	if err := s.mountBinfmt(); err != nil {
		return nil, err
	}
	if err := s.provide(ctx, s.tools(ctx)); err != nil {
		return nil, err
	}
	l, err := s.openRegistry(ctx)
	if err != nil {
		return nil, err
	}
	l.setup = s
	if err := s.fill(ctx, l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// fill gives the engine and the registry what the public registries would.
func (s *setup) fill(ctx context.Context, l *Lab) error {
	if s.hubAway {
		if err := s.makeImages(ctx, l); err != nil {
			return err
		}
		if err := s.writeBuildkitConfig(l); err != nil {
			return err
		}
	}
	if s.databasesAway {
		return s.pushTrivyDB(ctx, l)
	}
	return nil
}

// Close stops the registry that Up started; the engine and the tools stay for the next time.
func (l *Lab) Close() error {
	if l.stop == nil {
		return nil
	}
	stop := l.stop
	l.stop = nil
	return stop()
}

// Environ returns base with Bin in front of its PATH.
func (l *Lab) Environ(base []string) []string {
	path := l.Bin
	rest := slices.DeleteFunc(slices.Clone(base), func(kv string) bool {
		value, found := strings.CutPrefix(kv, "PATH=")
		if found && value != "" {
			path = l.Bin + string(os.PathListSeparator) + value
		}
		return found
	})
	return append(rest, "PATH="+path)
}

// A setup is one call of Up: its options and what is known about the surroundings.
type setup struct {
	Options
	engine        engine
	hubAway       bool    // Docker Hub cannot be reached
	databasesAway bool    // nor can Trivy's public databases
	module        modules // this module and those it names the versions of tools by
	mu            sync.Mutex
}

func prepare(ctx context.Context, o Options) (*setup, error) {
	s := &setup{Options: o}
	if s.Cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("finding a cache directory: %w", err)
		}
		s.Cache = filepath.Join(user, "ghcr-publish")
	}
	var err error
	if s.Cache, err = filepath.Abs(s.Cache); err != nil { // it goes on PATH
		return nil, fmt.Errorf("finding the cache directory: %w", err)
	}
	for _, dir := range []string{s.bin(), s.stamps(), s.debs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("making the cache directory: %w", err)
		}
	}
	if s.module, err = findModules(ctx); err != nil {
		return nil, err
	}
	if s.engine, err = newEngine(); err != nil {
		return nil, err
	}
	s.hubAway, s.databasesAway = publicAway(ctx)
	return s, nil
}

func (s *setup) bin() string    { return filepath.Join(s.Cache, "bin") }
func (s *setup) stamps() string { return filepath.Join(s.Cache, "stamps") }
func (s *setup) debs() string   { return filepath.Join(s.Cache, "debs") }

// say reports progress; tools are built side by side, so one line at a time.
func (s *setup) say(format string, args ...any) {
	if s.Log == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Log(format, args...)
}

// missing lists what Up would have to install or compile.
func (s *setup) missing(ctx context.Context) []string {
	var lacks []string
	if err := s.engine.ping(ctx); err != nil {
		lacks = append(lacks, s.engine.advice(err))
	}
	for _, t := range s.tools(ctx) {
		if !s.available(ctx, t) {
			lacks = append(lacks, t.advice())
		}
	}
	return lacks
}

func lacking(what []string) error {
	if len(what) == 0 {
		return nil
	}
	return fmt.Errorf("parts are missing, and installing them was not allowed:\n  - %s", strings.Join(what, "\n  - "))
}
