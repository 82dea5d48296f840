package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/telemetry"
)

// startBuilder makes or adopts the builder and registers emulators for platforms it lacks. For builders that the configuration lists
// none are registered: their machines are not this one.
func (s *session) startBuilder(ctx context.Context, builds []plan.Service) (err error) {
	ctx, end := telemetry.Start(ctx, "start builder")
	defer func() { end(err) }()
	started, err := s.bootBuilder(ctx)
	if err != nil {
		return err
	}
	missing := lacking(wanted(builds), started.Platforms)
	switch {
	case len(missing) == 0:
		return nil
	case len(s.job.Config.Builders) > 0:
		return fmt.Errorf("none of the builders builds for %s; they build for %s", strings.Join(missing, ", "), strings.Join(started.Platforms, ", "))
	default:
		return s.emulate(ctx, missing)
	}
}

// bootBuilder makes or adopts the builder, and tells what it builds for by itself.
func (s *session) bootBuilder(ctx context.Context) (buildx.Started, error) {
	argv, err := buildx.Find(s.job.Environ)
	if err != nil {
		return buildx.Started{}, err
	}
	// It would tell the collector by itself of what traceBuilds tells.
	env := slices.DeleteFunc(s.environ(), func(entry string) bool { return strings.HasPrefix(entry, "OTEL_") })
	s.buildx = &buildx.Client{Run: s.process.Run, Argv: argv, Env: env}
	config, err := s.builderConfig()
	if err != nil {
		return buildx.Started{}, err
	}
	if len(s.job.Config.Builders) > 0 {
		return s.assemble(ctx, config)
	}
	started, err := s.adopt(ctx)
	if s.adopted = err == nil; !s.adopted {
		host := isLoopback(s.job.Config.Registry)
		b := buildx.Builder{Config: config.path, HostNet: host, Name: cmp.Or(s.job.Config.Builder, buildx.DefaultName(config.data, host, s.process.Getenv("RUNNER_NAME")))}
		if started, err = s.buildx.Start(ctx, b); err != nil {
			return started, err
		}
		s.builder = b.Name
		if s.job.Config.Builder == "" {
			s.leaveToPost(b.Name)
		}
	}
	s.newBuilder = started.New
	return started, nil
}

// assemble makes one builder of those that the configuration lists.
func (s *session) assemble(ctx context.Context, config builderConfig) (buildx.Started, error) {
	nodes, err := s.nodes()
	if err != nil {
		return buildx.Started{}, err
	}
	if err := reach(ctx, nodes); err != nil {
		return buildx.Started{}, err
	}
	s.builder = assembledName(config.data, s.job.Config.Builders, s.process.Getenv("RUNNER_NAME"))
	return s.buildx.Assemble(ctx, s.builder, nodes, config.path)
}

// assembledName names a builder after all that its nodes are made with: a BuildKit in a container goes on with what it was started with. What proves them is
// given anew by each run.
func assembledName(config []byte, builders []service.Builder, runner string) string {
	settings := slices.Clone(config)
	for _, b := range builders {
		settings = fmt.Appendf(settings, "\x00%q %q %q %q", b.Driver, b.Endpoint, b.Platforms, b.Options) // maps in the order of their keys
	}
	return buildx.DefaultName(settings, false, runner)
}

// reachTime is how long a builder may take to answer.
const reachTime = 10 * time.Second

// reach asks all builders at once whether they are there, since buildx says of none which it is that does not answer.
func reach(ctx context.Context, nodes []buildx.Node) error {
	away := make([]error, len(nodes))
	dialer := net.Dialer{Timeout: reachTime}
	var group sync.WaitGroup
	for i, n := range nodes {
		scheme, address, _ := strings.Cut(n.Endpoint, "://")
		if scheme != "tcp" && scheme != "unix" {
			continue
		}
		group.Go(func() {
			conn, err := dialer.DialContext(ctx, scheme, address)
			if err != nil {
				away[i] = fmt.Errorf("builder %s, which builds for %s, does not answer: %w; start it, or take it from `builders`", n.Endpoint, cmp.Or(strings.Join(n.Platforms, ", "), "all platforms"), err)
				return
			}
			conn.Close()
		})
	}
	group.Wait()
	return errors.Join(away...)
}

// nodes are the builders that the configuration lists. What proves them, and this program to them, is in private files as long as
// the run lasts.
func (s *session) nodes() ([]buildx.Node, error) {
	var nodes []buildx.Node
	for i, b := range s.job.Config.Builders {
		n := buildx.Node{Driver: b.Driver, Endpoint: b.Endpoint, Platforms: b.Platforms, Options: maps.Clone(b.Options)}
		if n.Options == nil {
			n.Options = map[string]string{}
		}
		for option, text := range map[string]string{"cacert": b.CA, "cert": b.Cert, "key": b.Key} {
			if text == "" {
				continue
			}
			n.Options[option] = filepath.Join(s.private.path, fmt.Sprintf("builder-%d-%s.pem", i, option))
			if err := os.WriteFile(n.Options[option], []byte(text+"\n"), 0o600); err != nil {
				return nil, fmt.Errorf("keeping what builder %d is proven by: %w", i+1, err)
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// adopt looks for a builder that the user named among the user's own. It is the user's buildx that starts it where it does not run, and the run's own that
// builds with it.
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
		s.builder, err = s.job.Config.Builder, buildx.Share(own, s.private.buildxState(), s.job.Config.Builder)
	}
	return started, err
}

// builds identifies what the builder was asked for in this run. Others may ask it at the same moment.
func (s *session) builds() []string { return buildx.Refs(s.private.buildxState(), s.builder) }

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
