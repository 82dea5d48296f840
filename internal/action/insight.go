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
)

// explaining finds out, while a service is built, what its build will be explained by. What cannot be found out stays unsaid.
func (s *session) explaining(ctx context.Context, service plan.Service) (explain func([]buildx.Step) insight.Account) {
	since := make(chan *insight.Since, 1)
	go func() { since <- s.since(ctx, service) }()
	d := service.Definition
	text := []byte(d.Inline)
	if d.Inline == "" {
		text, _ = os.ReadFile(s.job.at(d.Dockerfile)) // without it the build says so
	}
	b := insight.Build{Dockerfile: text, NoCache: d.NoCache != nil && *d.NoCache, NoCacheFilters: d.NoCacheFilters,
		Options: dockerfile.Options{Target: d.Target, Args: d.BuildArgs, Platforms: service.Platforms, Contexts: slices.Sorted(maps.Keys(d.Contexts))}}
	return func(steps []buildx.Step) insight.Account {
		b.Steps, b.Since = steps, <-since
		return insight.Explain(b)
	}
}

// since tells what differs from what is published of a service; nil where there is nothing to compare with.
func (s *session) since(ctx context.Context, service plan.Service) *insight.Since {
	base := service.Base.SHA
	files, err := s.job.Repo.Changed(ctx, base, s.job.Event.SHA)
	if base == "" || err != nil {
		return nil
	}
	if status, err := s.job.Repo.Status(ctx); err == nil {
		files = append(files, status.Dirty...)
	}
	since := &insight.Since{Commit: base, Changed: s.inContext(service, files)}
	if d := service.Definition; d.Inline == "" && slices.Contains(files, d.Dockerfile) {
		since.Dockerfile, _ = s.job.Repo.At(ctx, base, d.Dockerfile)
	}
	if service.Digest != "" {
		if image, err := s.published(ctx, service.Image, service.Digest); err == nil {
			since.Bases = service.Moved(image)
		}
	}
	return since
}

// inContext are the files among some that the builder gets with a service's context, as they are called in there.
func (s *session) inContext(service plan.Service, files []string) []string {
	d := service.Definition
	text, err := os.ReadFile(s.job.at(d.Dockerfile + ".dockerignore"))
	if d.Inline != "" || err != nil {
		text, _ = os.ReadFile(s.job.at(path.Join(d.Context, ".dockerignore")))
	}
	ignore, prefix := dockerfile.ReadIgnore(text), strings.TrimPrefix(path.Clean(d.Context)+"/", "./")
	var inside []string
	for _, file := range files {
		if name, ok := strings.CutPrefix(file, prefix); ok && !ignore.Matches(name) {
			inside = append(inside, name)
		}
	}
	slices.Sort(inside)
	return slices.Compact(inside)
}
