package action

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// request describes a service's build to buildx.
func (s *session) request(service plan.Service, metadata, platform string, made map[string]publish.Candidate) (buildx.Build, error) {
	d := service.Definition
	annotations, marks := unmarked(service)
	request := buildx.Build{Builder: s.builder, Image: service.Image, Context: s.job.at(d.Context), Dockerfile: s.job.at(d.Dockerfile), Target: d.Target,
		Platforms: service.Platforms, BuildArgs: d.BuildArgs, Labels: service.Labels, Annotations: annotations, Levels: s.job.Event.Levels, Marks: marks,
		Options: s.options(d), PlainHTTP: s.job.plainHTTP(), Metadata: filepath.Join(s.private.path, "metadata", metadata+".json")}
	if err := s.pin(&request, service.Name, service.Bases, platform, made); err != nil || d.Inline == "" {
		return request, err
	}
	request.Dockerfile = filepath.Join(s.private.path, "dockerfiles", service.Name)
	return request, writeFile(request.Dockerfile, []byte(d.Inline))
}

// pin gives the build each image that it is made from by its digest, so that what was planned with is what it gets.
func (s *session) pin(request *buildx.Build, owner string, bases []plan.BaseImage, platform string, made map[string]publish.Candidate) error {
	for _, b := range bases {
		at, isOwn := "", b.Service == owner
		switch candidate, here := made[b.Service]; {
		case b.Loose:
		case here && candidate.Layouts != nil:
			folder := cmp.Or(candidate.Layouts[platform], candidate.Layouts[s.native])
			if folder == "" {
				return fmt.Errorf("it is made from the image of %s, which there is not for %s; add that to its platforms", b.Service, platform)
			}
			digest, err := layoutDigest(folder)
			if err != nil {
				return err
			}
			at = "oci-layout://" + folder + "@" + digest
		case here:
			at = "docker-image://" + candidate.Image.Ref.Name()
		case b.Digest != "" && !strings.Contains(b.Name, "@"):
			at = "docker-image://" + pinned(b)
		case b.Digest == "" && b.Service != "" && !isOwn:
			return fmt.Errorf("it is made from the image of %s, of which none is published, and none is made in this job", b.Service)
		}
		if at != "" {
			if request.Contexts == nil {
				request.Contexts = map[string]string{}
			}
			request.Contexts[b.Name] = at
		}
	}
	return nil
}

// pinned is an image's reference with its digest in place of its tag.
func pinned(b plan.BaseImage) string {
	if ref, err := name.ParseReference(b.Ref); err == nil {
		return familiar(ref.Context()) + "@" + b.Digest
	}
	return b.Ref + "@" + b.Digest
}

// familiar names a repository as builders do: the library knows Docker Hub by another name.
func familiar(repo name.Repository) string {
	return strings.Replace(repo.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}

// at is the place of a file of the workspace.
func (j job) at(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(j.Workspace, filepath.FromSlash(file))
}

// options are a service's own, or else the run's, with all places as they are here.
func (s *session) options(d service.Service) service.Options {
	o := d.Options
	o.Provenance, o.SBOM = cmp.Or(o.Provenance, s.job.Config.Provenance), cmp.Or(o.SBOM, s.job.Config.SBOM)
	o.Contexts = maps.Clone(o.Contexts)
	for name, folder := range o.Folders() {
		o.Contexts[name] = s.job.at(folder)
	}
	for name, at := range o.Contexts {
		if folder, ok := service.Layout(at); ok {
			o.Contexts[name] = strings.Replace(at, folder, s.job.at(folder), 1)
		}
	}
	o.Secrets = map[string]string{}
	for id, from := range d.Secrets {
		if file, ok := strings.CutPrefix(from, "file:"); ok {
			from = "file:" + s.job.at(file)
		}
		if name, ok := strings.CutPrefix(from, "env:"); ok && s.process.Getenv(name) == "" {
			s.log.Printf("%s: secret %s is not there: the variable %s is not set", d.Name, id, name)
			continue // and a build that cannot do without it says so
		}
		o.Secrets[id] = from
	}
	return o
}

// builderFor is buildx with what a service needs among its variables, and no more: its secrets, and the way to its cache.
func (s *session) builderFor(d service.Service, policy cache.Policy) *buildx.Client {
	client := *s.buildx
	client.Env = append(slices.Clone(client.Env), s.cacheVariables(policy)...)
	for _, name := range d.SecretVariables() {
		if value := s.process.Getenv(name); value != "" {
			client.Env = append(client.Env, name+"="+value)
		}
	}
	return &client
}

// unmarked tells the annotations that go where they are wanted from those that the next plan reads, which must be on the index.
func unmarked(service plan.Service) (annotations, marks map[string]string) {
	annotations, marks = maps.Clone(service.Annotations), map[string]string{}
	for _, key := range []string{plan.InputsKey, plan.BasesKey} {
		if value, ok := annotations[key]; ok {
			delete(annotations, key)
			marks[key] = value
		}
	}
	return annotations, marks
}

// progress follows a build of a service, for some of its platforms, and tells its lines.
func (s *session) progress(service string, platforms []string, tell func(line string)) *buildx.Progress {
	p := &buildx.Progress{Tell: tell}
	if len(platforms) == 1 {
		p.Platform = platforms[0]
	}
	s.underway.watch(service, p, s.history().Steps(service))
	return p
}

// build makes a candidate: pushed by digest, or kept here where the run pushes nothing.
func (s *session) build(ctx context.Context, service plan.Service, bases map[string]publish.Candidate) (made publish.Candidate, err error) {
	tell, end := s.output(service.Name)
	defer func() { end(err) }()
	if !s.job.pushes() {
		return s.buildLocal(ctx, service, bases, tell)
	}
	return s.buildPushed(ctx, service, bases, tell)
}

func (s *session) buildPushed(ctx context.Context, service plan.Service, bases map[string]publish.Candidate, tell func(line string)) (made publish.Candidate, err error) {
	progress, explain := s.progress(service.Name, service.Platforms, tell), s.explaining(ctx, service, bases)
	request, err := s.request(service, service.Name, "", bases)
	if err != nil {
		return publish.Candidate{}, err
	}
	policy := s.chooseCache(service.Definition)
	s.withCache(&request, service, policy)
	digest, err := s.builderFor(service.Definition, policy).Build(ctx, request, progress)
	s.tellChecks(service.Definition, request, progress.Checks())
	defer func() { made.Account = explain(progress.Steps(), made.Image) }()
	made.Cache = s.usedCache(service, policy, progress)
	if err != nil {
		return made, hint(err)
	}
	ref, err := s.registry.Digest(service.Image, digest)
	if err != nil {
		return made, err
	}
	made.Image, err = s.registry.Read(ctx, ref)
	return made, err
}

// brokenStore is how BuildKit says that it has lost what it holds on to an image's layers by.
var brokenStore = regexp.MustCompile(`lease "[^"]+": not found`)

// hint adds to a failure what its own words do not say.
func hint(err error) error {
	if err == nil {
		return nil
	}
	if advice := registry.Advice(err.Error()); advice != "" && !run.Own(err.Error()) && !strings.Contains(err.Error(), advice) {
		return fmt.Errorf("%w\n%s", err, advice)
	}
	if brokenStore.MatchString(err.Error()) {
		return fmt.Errorf("%w\nlayers of other runs that are not what they are listed as have left the builder unable to build: do it once with `cache: off` and a builder that is made anew", err)
	}
	if strings.Contains(err.Error(), "exec format error") {
		return fmt.Errorf("%w\nno emulator runs this platform here: mount binfmt_misc on the host, so that a registered one stays, or build on a machine of that platform", err)
	}
	return err
}

// buildLocal builds each platform into an OCI layout of its own, because a scanner sees only one
// image of a layout, and loads the native one into the engine.
func (s *session) buildLocal(ctx context.Context, service plan.Service, bases map[string]publish.Candidate, tell func(line string)) (made publish.Candidate, err error) {
	made = publish.Candidate{Layouts: map[string]string{}}
	policy, explain := s.chooseCache(service.Definition), s.explaining(ctx, service, bases)
	var steps []buildx.Step
	defer func() { made.Account = explain(steps, made.Image) }()
	for _, platform := range service.Platforms {
		name := service.Name + "-" + strings.ReplaceAll(platform, "/", "-")
		request, err := s.request(service, name, platform, bases)
		if err != nil {
			return made, err
		}
		request.Platforms, request.Layout = []string{platform}, filepath.Join(s.private.path, "layouts", name)
		if err := os.MkdirAll(request.Layout, 0o700); err != nil {
			return made, fmt.Errorf("building: %w", err)
		}
		if platform == s.native && s.noEngine == nil {
			request.Load = s.candidateName(service)
			made.Loaded = request.Load
		}
		s.withCache(&request, service, policy)
		progress := s.progress(service.Name, request.Platforms, tell)
		_, err = s.builderFor(service.Definition, policy).Build(ctx, request, progress)
		s.tellChecks(service.Definition, request, progress.Checks())
		steps = append(steps, progress.Steps()...)
		made.Cache = made.Cache.Join(s.usedCache(service, policy, progress))
		if err != nil {
			return made, hint(err)
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

// candidateName names an image in the engine's store, for this run alone.
func (s *session) candidateName(service plan.Service) string {
	name := "ghcr-publish/" + strings.ToLower(service.Name) + ":candidate-" + strings.TrimPrefix(filepath.Base(s.private.path), privatePrefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = append(s.loaded, name)
	return name
}

// layoutDigest is the digest of the one image that a layout holds.
func layoutDigest(path string) (string, error) {
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return "", fmt.Errorf("reading the image layout: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return "", fmt.Errorf("reading the image layout: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return "", fmt.Errorf("reading the image layout: it holds %d images", len(manifest.Manifests))
	}
	return manifest.Manifests[0].Digest.String(), nil
}

func readLayout(path, platform string) (registry.Platform, error) {
	image, err := layoutImage(path)
	if err != nil {
		return registry.Platform{}, err
	}
	return registry.Describe(image, platform)
}

// layoutImage is the one image of a layout.
func layoutImage(path string) (v1.Image, error) {
	digest, err := layoutDigest(path)
	if err != nil {
		return nil, err
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		return nil, fmt.Errorf("reading the image layout: %w", err)
	}
	image, err := layout.Path(path).Image(hash)
	if err != nil {
		return nil, fmt.Errorf("reading the image layout: %w", err)
	}
	return image, nil
}
