package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/plan"
)

// startBuilder makes or adopts the builder and registers emulators for platforms it lacks.
func (s *session) startBuilder(ctx context.Context, builds []plan.Service) error {
	argv, err := buildx.Find(s.job.Environ)
	if err != nil {
		return err
	}
	s.buildx = &buildx.Client{Run: s.process.Run, Argv: argv, Env: s.environ()}
	config, err := s.builderConfig()
	if err != nil {
		return err
	}
	started, err := s.adopt(ctx)
	if err != nil {
		host := isLoopback(s.job.Config.Registry)
		b := buildx.Builder{Config: config.path, HostNet: host, Name: cmp.Or(s.job.Config.Builder, buildx.DefaultName(config.data, host, s.process.Getenv("RUNNER_NAME")))}
		if started, err = s.buildx.Start(ctx, b); err != nil {
			return err
		}
		s.builder = b.Name
		if s.job.Config.Builder == "" {
			s.leaveToPost(b.Name)
		}
	}
	s.newBuilder = started.New
	if missing := lacking(wanted(builds), started.Platforms); len(missing) > 0 {
		return s.emulate(ctx, missing)
	}
	return nil
}

// adopt looks for a builder that the user named among the user's own.
func (s *session) adopt(ctx context.Context) (buildx.Started, error) {
	if s.job.Config.Builder == "" {
		return buildx.Started{}, errors.New("no builder was named")
	}
	home := filepath.Join(s.process.Getenv("HOME"), ".docker", "buildx")
	own := cmp.Or(s.process.Getenv("BUILDX_CONFIG"), home)
	client := *s.buildx
	client.Env = append(slices.Clone(client.Env), "BUILDX_CONFIG="+own)
	started, err := client.Boot(ctx, s.job.Config.Builder)
	if err == nil {
		s.buildx, s.builder = &client, s.job.Config.Builder
	}
	return started, err
}

type builderConfig struct {
	path string
	data []byte
}

// builderConfig is the file the user gave, or one of our own where the registry speaks plain HTTP
// under a name that BuildKit would not expect it of.
func (s *session) builderConfig() (builderConfig, error) {
	if file := s.job.Config.BuilderConfig; file != "" {
		file = s.job.at(file)
		data, err := os.ReadFile(file)
		if err != nil {
			return builderConfig{}, fmt.Errorf("reading builder-config: %w", err)
		}
		return builderConfig{file, data}, nil
	}
	if !s.job.plainHTTP() {
		return builderConfig{}, nil
	}
	data := fmt.Appendf(nil, "[registry.%q]\n  http = true\n", s.job.Config.Registry)
	path := filepath.Join(s.private.path, "buildkitd.toml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return builderConfig{}, fmt.Errorf("writing the builder's configuration: %w", err)
	}
	return builderConfig{path, data}, nil
}

func wanted(builds []plan.Service) []string {
	var platforms []string
	for _, s := range builds {
		platforms = append(platforms, s.Platforms...)
	}
	slices.Sort(platforms)
	return slices.Compact(platforms)
}

func lacking(wanted, have []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(p string) bool { return slices.Contains(have, p) })
}

// emulate registers emulators with the kernel, through a privileged container. A BuildKit that runs
// already goes on listing the platforms it found at its start for up to an hour, yet builds for the new
// ones at once; so it is not asked again.
func (s *session) emulate(ctx context.Context, platforms []string) error {
	list := strings.Join(platforms, ", ")
	switch {
	case s.job.Config.Emulation == "off":
		return fmt.Errorf("builder %s cannot build for %s, and emulation is off", s.builder, list)
	case s.noEngine != nil:
		return fmt.Errorf("builder %s cannot build for %s, and no emulator can be registered: %w", s.builder, list, s.noEngine)
	}
	image := s.job.Config.BinfmtImage
	s.log.Printf("registering emulation for %s with %s", list, image)
	if has, _ := s.engine.Has(ctx, image); !has {
		if err := s.engine.Pull(ctx, image, "", engine.Credentials{}); err != nil {
			return fmt.Errorf("registering emulation for %s: %w", list, err)
		}
	}
	var names []string
	for _, platform := range platforms {
		if p, err := v1.ParsePlatform(platform); err == nil {
			names = append(names, p.Architecture)
		}
	}
	c, err := s.engine.Start(ctx, engine.Spec{Image: image, Privileged: true, Command: []string{"--install", strings.Join(names, ",")}})
	if err != nil {
		return fmt.Errorf("registering emulation for %s: %w", list, err)
	}
	defer c.Remove()
	if code, err := c.Wait(ctx); err != nil || code != 0 {
		said, _ := c.Logs(ctx, 10)
		return fmt.Errorf("registering emulation for %s: %s ended with exit code %d: %s", list, image, code, strings.Join(said, "; "))
	}
	return nil
}
