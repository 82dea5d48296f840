package plan

import (
	"context"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
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
	found   []publication // what it may be compared with, in order
	needed  bool          // by others
	set     tags.Set
	// needless is why nothing is done with it, whatever changed; empty if something may be.
	needless string
	files    int      // that count
	sample   []string // some of them
	parts    []*draft // itself, and what it needs, directly or through others
}

// drafts reads what services are made from, and asks for the digests of base images. They are those that the run is
// about: all of them, or those that were named and what they need.
func (p Planner) drafts(ctx context.Context, work *tree, asked asked) []*draft {
	drafts := make([]*draft, len(p.Config.Services))
	var group errgroup.Group
	group.SetLimit(lookUps)
	for i, s := range p.Config.Services {
		group.Go(func() error {
			drafts[i] = p.draft(ctx, s, work)
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	for _, d := range drafts {
		d.parts = closure(d, drafts)
	}
	drafts = p.considered(drafts)
	for _, d := range drafts {
		for _, part := range d.parts[1:] {
			part.needed = true
		}
		d.set = p.tagSet(d.service, work)
		d.needless = p.needless(d.service, d.set, asked)
	}
	p.resolveBases(ctx, slices.DeleteFunc(slices.Clone(drafts), (*draft).idle))
	for _, d := range drafts {
		d.scope = work.scope(ctx, d.service, d.use, d.whole())
	}
	return drafts
}

// needless says why nothing is to be done with a service, whatever changed; empty if something may be.
func (p Planner) needless(s service.Service, set tags.Set, asked asked) string {
	switch other := p.elsewhere(s); {
	case other != "":
		return other
	case p.Pushes && len(set.Tags) == 0:
		return "no rule gives a tag for this event"
	case asked.nothing != "":
		return asked.nothing
	case slices.Contains(p.Config.Skip, s.Name):
		return "it is left out, as was asked"
	}
	return ""
}

// idle reports whether nothing need be known of a service: nothing is done with it, and no other needs it.
func (d *draft) idle() bool { return d.needless != "" && !d.needed }

// draft reads what one service is made from.
func (p Planner) draft(ctx context.Context, s service.Service, work *tree) *draft {
	d := &draft{service: s, needs: s.Needs()}
	d.use, d.known = work.use(ctx, s)
	d.bases = p.bases(s, d.use, work)
	for _, b := range d.bases {
		if b.Service != "" && b.Service != s.Name && !slices.Contains(d.needs, b.Service) {
			d.needs = append(d.needs, b.Service)
		}
	}
	return d
}

// considered are the services that were named, and what they need; all, where none were.
func (p Planner) considered(drafts []*draft) []*draft {
	if len(p.Config.Only) == 0 {
		return drafts
	}
	wanted := map[*draft]bool{}
	for _, d := range drafts {
		if slices.Contains(p.Config.Only, d.service.Name) {
			for _, part := range d.parts {
				wanted[part] = true
			}
		}
	}
	return slices.DeleteFunc(drafts, func(d *draft) bool { return !wanted[d] })
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
