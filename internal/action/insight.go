package action

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
)

// explaining finds out, while a service is built, what its build will be explained by. What cannot be found out stays unsaid.
func (s *session) explaining(ctx context.Context, service plan.Service, bases map[string]publish.Candidate) (explain func([]buildx.Step, registry.Image) insight.Account) {
	d := service.Definition
	ignore := s.ignore(service)
	b := insight.Build{Dockerfile: []byte(d.Inline), NoCache: d.NoCache != nil && *d.NoCache, NoCacheFilters: d.NoCacheFilters, NewBuilder: s.newBuilder, Options: outline(d, service.Platforms),
		ReadFile: func(file string) []byte { text, _ := s.readFile(path.Join(d.Context, file)); return text },
		Files:    sync.OnceValue(func() []insight.File { return insight.Walk(s.job.at(d.Context), ignore) })}
	if d.Inline == "" {
		b.Dockerfile, _ = s.readFile(d.Dockerfile) // without it the build says so
	}
	since := make(chan *insight.Since, 1)
	go func() { since <- s.since(ctx, service, bases, ignore) }()
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
func (s *session) since(ctx context.Context, service plan.Service, bases map[string]publish.Candidate, ignore dockerfile.Ignore) *insight.Since {
	base, d := service.Base.SHA, service.Definition
	if base == "" {
		return nil
	}
	files, err := s.changes.since(ctx, s.job.Repo, base, s.job.Event.SHA)
	if err != nil {
		return &insight.Since{Commit: base, Unread: true}
	}
	since := &insight.Since{Commit: base, Changed: inContext(d.Context, files, ignore), Bases: map[string]string{}}
	if d.Inline == "" && slices.Contains(files, d.Dockerfile) {
		since.Dockerfile, _ = s.job.Repo.At(ctx, base, d.Dockerfile)
	}
	moved := map[string]string{}
	if service.Digest != "" {
		if image, err := s.published(ctx, service.Image, service.Digest); err == nil {
			moved = service.Moved(image)
			since.Args = insight.Differing(s.args[image.Annotations[plan.InputsKey]], s.fingerprints(service))
		}
	}
	for _, b := range service.Bases {
		since.Bases[b.Name] = moved[b.Ref]
		if _, anew := bases[b.Service]; anew {
			since.Bases[b.Name] = fmt.Sprintf("the image of %s, which it is made from, was made anew", b.Service)
		}
	}
	return since
}

// changes are the files that differ from commits, found out once for all services.
type changes struct {
	mu    sync.Mutex
	known map[string]func() ([]string, error)
}

// since lists the files that differ from a commit, committed or not.
func (c *changes) since(ctx context.Context, repo git.Repo, base, head string) ([]string, error) {
	c.mu.Lock()
	if c.known == nil {
		c.known = map[string]func() ([]string, error){}
	}
	find := c.known[base]
	if find == nil {
		find = sync.OnceValues(func() ([]string, error) {
			files, err := repo.Changed(ctx, base, head)
			if err != nil {
				return nil, err
			}
			status, err := repo.Status(ctx)
			return append(files, status.Dirty...), err
		})
		c.known[base] = find
	}
	c.mu.Unlock()
	return find()
}

// ignore reads the ignore file of a service's context.
func (s *session) ignore(service plan.Service) dockerfile.Ignore {
	for _, file := range plan.IgnoreFiles(service.Definition) {
		if text, err := s.readFile(file); err == nil {
			return dockerfile.ReadIgnore(text)
		}
	}
	return dockerfile.Ignore{}
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
