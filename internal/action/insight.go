package action

import (
	"context"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
)

// explaining finds out, while a service is built, what its build will be explained by. What cannot be found out stays unsaid.
func (s *session) explaining(ctx context.Context, service plan.Service) (explain func([]buildx.Step, registry.Image) insight.Account) {
	d := service.Definition
	ignore := s.ignore(service)
	b := insight.Build{Dockerfile: []byte(d.Inline), NoCache: d.NoCache != nil && *d.NoCache, NoCacheFilters: d.NoCacheFilters, NewBuilder: s.newBuilder,
		Options:  dockerfile.Options{Target: d.Target, Args: d.BuildArgs, Platforms: service.Platforms, Contexts: slices.Sorted(maps.Keys(d.Contexts))},
		ReadFile: func(file string) []byte { text, _ := s.readFile(path.Join(d.Context, file)); return text },
		Files:    func() []insight.File { return insight.Walk(s.job.at(d.Context), ignore) }}
	if d.Inline == "" {
		b.Dockerfile, _ = os.ReadFile(s.job.at(d.Dockerfile)) // without it the build says so
	}
	since := make(chan *insight.Since, 1)
	go func() { since <- s.since(ctx, service, ignore) }()
	return func(steps []buildx.Step, image registry.Image) insight.Account {
		b.Steps, b.Since = steps, <-since
		b.Layers, b.ImageBytes = layersByLine(b, image)
		return insight.Explain(b)
	}
}

// layersByLine tells what the lines of a Dockerfile add to the first of an image's platforms, in compressed bytes.
func layersByLine(b insight.Build, image registry.Image) (byLine map[int]int64, whole int64) {
	origins, err := dockerfile.ReadOrigins(b.Dockerfile, b.Options)
	if err != nil || len(image.Platforms) == 0 {
		return nil, 0
	}
	p := image.Platforms[0]
	var history []string
	for _, l := range p.Layers {
		history = append(history, l.CreatedBy)
	}
	byLine = map[int]int64{}
	for i, origin := range origins.Of(history) {
		byLine[origin.Line] += p.Layers[i].Size
	}
	return byLine, p.Compressed
}

// since tells what differs from what is published of a service; nil where there is nothing to compare with.
func (s *session) since(ctx context.Context, service plan.Service, ignore dockerfile.Ignore) *insight.Since {
	base := service.Base.SHA
	if base == "" {
		return nil
	}
	files, err := s.job.Repo.Changed(ctx, base, s.job.Event.SHA)
	if err != nil {
		return nil
	}
	if status, err := s.job.Repo.Status(ctx); err == nil {
		files = append(files, status.Dirty...)
	}
	since := &insight.Since{Commit: base, Changed: inContext(service.Definition.Context, files, ignore)}
	if d := service.Definition; d.Inline == "" && slices.Contains(files, d.Dockerfile) {
		since.Dockerfile, _ = s.job.Repo.At(ctx, base, d.Dockerfile)
	}
	if service.Digest != "" {
		if image, err := s.published(ctx, service.Image, service.Digest); err == nil {
			since.Bases = service.Moved(image)
			since.Args = insight.Differing(s.args[image.Annotations[plan.InputsKey]], s.fingerprints(service))
		}
	}
	return since
}

// ignore reads the ignore file of a service's context.
func (s *session) ignore(service plan.Service) dockerfile.Ignore {
	d := service.Definition
	text, err := os.ReadFile(s.job.at(d.Dockerfile + ".dockerignore"))
	if d.Inline != "" || err != nil {
		text, _ = os.ReadFile(s.job.at(path.Join(d.Context, ".dockerignore"))) // without one, nothing is ignored
	}
	return dockerfile.ReadIgnore(text)
}

// inContext are the files among some that the builder gets with a context, as they are called in there.
func inContext(context string, files []string, ignore dockerfile.Ignore) []string {
	prefix := strings.TrimPrefix(path.Clean(context)+"/", "./")
	var inside []string
	for _, file := range files {
		if name, ok := strings.CutPrefix(file, prefix); ok && !ignore.Matches(name) {
			inside = append(inside, name)
		}
	}
	slices.Sort(inside)
	return slices.Compact(inside)
}
