package plan

import (
	"context"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/service"
	"golang.org/x/sync/errgroup"
)

// A draft is what is known of a service before anything is decided.
type draft struct {
	service service.Service
	use     dockerfile.Use
	known   bool // use is; otherwise all of the context counts
	bases   []BaseImage
	needs   []string // services that come before it: it depends on them, or is made from their images
	scope   *scope
	needed  bool     // by others
	files   int      // that count
	sample  []string // some of them
	parts   []*draft // itself, and what it needs, directly or through others
}

// drafts reads what every service is made from, and asks for the digests of base images.
func (p Planner) drafts(ctx context.Context, work *tree) []*draft {
	drafts := make([]*draft, len(p.Config.Services))
	var group errgroup.Group
	group.SetLimit(lookUps)
	for i, s := range p.Config.Services {
		group.Go(func() error {
			d := &draft{service: s}
			d.use, d.known = work.use(ctx, s)
			d.bases = p.bases(s, d.use)
			drafts[i] = d
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	p.resolveBases(ctx, drafts)
	for _, d := range drafts {
		d.needs = d.service.Needs()
		for _, b := range d.bases {
			if b.Service != "" && b.Service != d.service.Name && !slices.Contains(d.needs, b.Service) {
				d.needs = append(d.needs, b.Service)
			}
		}
		d.scope = work.scope(p.resolved(d.service), d.use, d.whole())
	}
	for _, d := range drafts {
		d.parts = closure(d, drafts)
		for _, part := range d.parts[1:] {
			part.needed = true
		}
	}
	return drafts
}

// whole reports whether everything in the context counts.
func (d *draft) whole() bool {
	return !d.known || slices.ContainsFunc(d.bases, func(b BaseImage) bool { return b.OnBuild })
}

// closure lists a service and all that it needs.
func closure(d *draft, drafts []*draft) []*draft {
	all := []*draft{d}
	for i := 0; i < len(all); i++ {
		for _, other := range drafts {
			if slices.Contains(all[i].needs, other.service.Name) && !slices.Contains(all, other) {
				all = append(all, other)
			}
		}
	}
	return all
}

// inOrder puts services into levels: each needs only what is in those before it.
func inOrder(drafts []*draft) ([][]*draft, error) {
	var levels [][]*draft
	done := map[string]bool{}
	for len(done) < len(drafts) {
		var level []*draft
		for _, d := range drafts {
			if !done[d.service.Name] && !slices.ContainsFunc(d.needs, func(name string) bool { return !done[name] }) {
				level = append(level, d)
			}
		}
		if len(level) == 0 {
			return nil, circle(drafts, done)
		}
		for _, d := range level {
			done[d.service.Name] = true
		}
		levels = append(levels, level)
	}
	return levels, nil
}

// circle tells of services that are made from each other's images.
func circle(drafts []*draft, done map[string]bool) error {
	var problems service.Problems
	var names []string
	at := ""
	for _, d := range drafts {
		if !done[d.service.Name] {
			names, at = append(names, d.service.Name), d.service.At
		}
	}
	problems.Add(at, "let one of them be made from something else", "services need each other, by depends_on, contexts or FROM, in a circle: %s", strings.Join(names, ", "))
	return problems
}
