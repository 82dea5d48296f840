package action

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
)

// request describes a service's build to buildx.
func (s *session) request(service plan.Service, metadata string) buildx.Build {
	at := func(path string) string { return filepath.Join(s.job.Workspace, filepath.FromSlash(path)) }
	d := service.Definition
	annotations, marks := unmarked(service)
	return buildx.Build{Builder: s.builder, Image: service.Image, Context: at(d.Context), Dockerfile: at(d.Dockerfile), Target: d.Target,
		Platforms: service.Platforms, BuildArgs: d.BuildArgs, Labels: service.Labels, Annotations: annotations, Levels: s.job.Event.Levels, Marks: marks,
		Provenance: s.job.Config.Provenance, SBOM: s.job.Config.SBOM, PlainHTTP: s.job.plainHTTP(),
		Metadata: filepath.Join(s.private.path, "metadata", metadata+".json")}
}

// unmarked tells the annotations that go where they are wanted from the one that the next plan reads, which must be on the index.
func unmarked(service plan.Service) (annotations, marks map[string]string) {
	annotations = maps.Clone(service.Annotations)
	delete(annotations, plan.InputsKey)
	return annotations, map[string]string{plan.InputsKey: service.Inputs}
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
		return publish.Candidate{Steps: progress.Steps()}, hint(err)
	}
	ref, err := s.registry.Digest(service.Image, digest)
	if err != nil {
		return publish.Candidate{}, err
	}
	image, err := s.registry.Read(ctx, ref)
	return publish.Candidate{Image: image, Steps: progress.Steps()}, err
}

// hint adds to a build's failure what its own words do not say.
func hint(err error) error {
	if strings.Contains(err.Error(), "exec format error") {
		return fmt.Errorf("%w\nno emulator runs this platform here: mount binfmt_misc on the host, so that a registered one stays, or build on a machine of that platform", err)
	}
	return err
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
			request.Load = s.candidateName(service)
			made.Loaded = request.Load
		}
		progress := s.progress(service.Name)
		_, err := s.buildx.Build(ctx, request, progress)
		made.Steps = append(made.Steps, progress.Steps()...)
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
