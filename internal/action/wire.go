package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/probe"
	"github.com/org/ghcr-publish/internal/promote"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/trivy"
)

// A session has the parts of one run, wired.
type session struct {
	job      job
	process  Process
	log      *actions.Log
	private  *privateDir
	registry *registry.Client
	buildx   *buildx.Client
	engine   *engine.Engine
	builder  string
	native   string // the engine's platform
	noEngine error
}

func (j job) registryClient() *registry.Client {
	return &registry.Client{Host: j.Config.Registry, Username: j.Config.Username, Password: j.registryToken(), PlainHTTP: j.plainHTTP()}
}

// planner decides what the run does; it needs the clone and, where it can be read, the registry.
func (j job) planner() plan.Planner {
	return plan.Planner{Config: j.Config, Event: j.Event, Rules: j.Rules, Repo: j.Repo, Pushes: j.pushes(), Resolve: j.registryClient().Resolve}
}

// open makes what a run works with. The caller closes the session, which removes the login.
func open(ctx context.Context, p Process, j job, log *actions.Log) (*session, error) {
	dir, err := newPrivateDir(tempDir(j.Event))
	if err != nil {
		return nil, err
	}
	s := &session{job: j, process: p, log: log, private: dir, registry: j.registryClient()}
	if err := dir.login(j.Config.Registry, j.Config.Username, j.registryToken(), p.Getenv("HOME")); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	s.native = "linux/" + runtime.GOARCH
	s.engine, s.noEngine = engine.Open(p.Getenv)
	if s.noEngine != nil {
		return s, nil
	}
	if native, err := s.engine.Platform(ctx); err != nil {
		s.noEngine = fmt.Errorf("no Docker Engine is within reach (mount /var/run/docker.sock or set DOCKER_HOST): %w", err)
	} else {
		s.native = native
		s.engine.Owner, s.engine.Gone = dir.owner(), ownerGone
		s.sweep(ctx)
	}
	return s, nil
}

func (s *session) Close() error { return s.private.Close() }

func (s *session) environ() []string { return s.private.environ(s.job.Environ, s.job.Workspace) }

// sweep removes what killed runs left on the engine. It is a courtesy: failing it fails nothing.
func (s *session) sweep(ctx context.Context) {
	if n, err := s.engine.Sweep(ctx, s.process.Now()); err != nil {
		s.log.Printf("sweeping old containers: %v", err)
	} else if n > 0 {
		s.log.Printf("removed %d containers that an earlier run left", n)
	}
}

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
	platforms, err := s.adopt(ctx)
	if err != nil {
		host := isLoopback(s.job.Config.Registry)
		b := buildx.Builder{Config: config.path, HostNet: host, Name: cmp.Or(s.job.Config.Builder, buildx.DefaultName(config.data, host))}
		if platforms, err = s.buildx.Start(ctx, b); err != nil {
			return err
		}
		s.builder = b.Name
	}
	if missing := lacking(wanted(builds), platforms); len(missing) > 0 {
		return s.emulate(ctx, missing)
	}
	return nil
}

// adopt looks for a builder that the user named among the user's own.
func (s *session) adopt(ctx context.Context) ([]string, error) {
	if s.job.Config.Builder == "" {
		return nil, errors.New("no builder was named")
	}
	home := filepath.Join(s.process.Getenv("HOME"), ".docker", "buildx")
	own := cmp.Or(s.process.Getenv("BUILDX_CONFIG"), home)
	client := *s.buildx
	client.Env = append(slices.Clone(client.Env), "BUILDX_CONFIG="+own)
	platforms, err := client.Platforms(ctx, s.job.Config.Builder)
	if err == nil {
		s.buildx, s.builder = &client, s.job.Config.Builder
	}
	return platforms, err
}

type builderConfig struct {
	path string
	data []byte
}

// builderConfig is the file the user gave, or one of our own where the registry speaks plain HTTP
// under a name that BuildKit would not expect it of.
func (s *session) builderConfig() (builderConfig, error) {
	if file := s.job.Config.BuilderConfig; file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(s.job.Workspace, file)
		}
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

// publisher wires the steps of a run.
func (s *session) publisher(ctx context.Context, made plan.Plan) publish.Publisher {
	config := s.job.Config
	p := publish.Publisher{
		Build: s.build, Reuse: s.reuse, Sizes: s.sizes,
		Promote: promote.Promoter{Resolve: s.registry.Resolve, Tag: s.registry.Tag, IsAncestor: s.job.Repo.IsAncestor, Commit: s.job.Event.SHA}.Promote,
		Tell:    s.log.Printf, Gates: config.Gates, Native: s.native, NoEngine: s.noEngine,
		MaxParallel: config.MaxParallel, PerService: config.Promote == "per-service", NoPush: !s.job.pushes(),
	}
	if len(made.Work()) > 0 {
		client := &trivy.Client{Run: s.process.Run, Env: s.environ(), CacheDir: s.trivyCache(), PlainHTTP: s.job.plainHTTP()}
		p.Scan = scan.Start(ctx, client, config.TrivyDB).Scan
	}
	login := engine.Credentials{Host: config.Registry, Username: config.Username, Password: s.job.registryToken()}
	p.Probe = (&probe.Prober{Engine: s.engine, Login: login, Every: 50 * time.Millisecond}).Probe
	return p
}

// trivyCache keeps the database between runs on one machine.
func (s *session) trivyCache() string {
	if dir := s.process.Getenv("TRIVY_CACHE_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(tempDir(s.job.Event), "ghcr-publish", "trivy")
}

func (s *session) reuse(ctx context.Context, service plan.Service) (publish.Candidate, error) {
	ref, err := s.registry.Digest(service.Image, service.Digest)
	if err != nil {
		return publish.Candidate{}, err
	}
	image, err := s.registry.Read(ctx, ref)
	return publish.Candidate{Image: image}, err
}

func (s *session) sizes(ctx context.Context, image, digest string) (map[string]int64, error) {
	ref, err := s.registry.Digest(image, digest)
	if err != nil {
		return nil, err
	}
	published, err := s.registry.Read(ctx, ref)
	sizes := map[string]int64{}
	for _, p := range published.Platforms {
		sizes[p.Platform] = p.Compressed
	}
	return sizes, err
}

// request describes a service's build to buildx.
func (s *session) request(service plan.Service, metadata string) buildx.Build {
	at := func(path string) string { return filepath.Join(s.job.Workspace, filepath.FromSlash(path)) }
	d := service.Definition
	return buildx.Build{Builder: s.builder, Image: service.Image, Context: at(d.Context), Dockerfile: at(d.Dockerfile), Target: d.Target,
		Platforms: service.Platforms, BuildArgs: d.BuildArgs, Labels: service.Labels, Annotations: service.Annotations,
		Provenance: s.job.Config.Provenance, PlainHTTP: s.job.plainHTTP(),
		Metadata: filepath.Join(s.private.path, "metadata", metadata+".json")}
}

func (s *session) progress(service string) *buildx.Progress {
	return &buildx.Progress{Tell: func(line string) { s.log.Printf("%s │ %s", service, line) }}
}

// build makes a candidate: pushed by digest, or kept here where the run pushes nothing.
func (s *session) build(ctx context.Context, service plan.Service) (publish.Candidate, error) {
	if !s.job.pushes() {
		return s.buildLocal(ctx, service)
	}
	progress := s.progress(service.Name)
	digest, err := s.buildx.Build(ctx, s.request(service, service.Name), progress)
	if err != nil {
		return publish.Candidate{Steps: progress.Steps()}, err
	}
	ref, err := s.registry.Digest(service.Image, digest)
	if err != nil {
		return publish.Candidate{}, err
	}
	image, err := s.registry.Read(ctx, ref)
	return publish.Candidate{Image: image, Steps: progress.Steps()}, err
}

// buildLocal builds each platform into an OCI layout of its own, because a scanner sees only one
// image of a layout, and loads the native one into the engine.
func (s *session) buildLocal(ctx context.Context, service plan.Service) (publish.Candidate, error) {
	made := publish.Candidate{Layouts: map[string]string{}}
	for _, platform := range service.Platforms {
		name := service.Name + "-" + strings.ReplaceAll(platform, "/", "-")
		request := s.request(service, name)
		request.Platforms, request.Layout = []string{platform}, filepath.Join(s.private.path, "layouts", name)
		if err := os.MkdirAll(request.Layout, 0o700); err != nil {
			return made, fmt.Errorf("building: %w", err)
		}
		if platform == s.native && s.noEngine == nil {
			request.Load = "ghcr-publish/" + strings.ToLower(service.Name) + ":candidate"
			made.Loaded = request.Load
		}
		progress := s.progress(service.Name)
		_, err := s.buildx.Build(ctx, request, progress)
		made.Steps = append(made.Steps, progress.Steps()...)
		if err != nil {
			return made, err
		}
		image, err := readLayout(request.Layout, platform)
		if err != nil {
			return made, err
		}
		made.Image.Platforms = append(made.Image.Platforms, image)
		made.Layouts[platform] = request.Layout
	}
	return made, nil
}

func readLayout(path, platform string) (registry.Platform, error) {
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return registry.Platform{}, fmt.Errorf("reading the image layout: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return registry.Platform{}, fmt.Errorf("reading the image layout: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return registry.Platform{}, fmt.Errorf("reading the image layout: it holds %d images", len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return registry.Platform{}, fmt.Errorf("reading the image layout: %w", err)
	}
	return registry.Describe(image, platform)
}
