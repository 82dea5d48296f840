package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
	"golang.org/x/sync/errgroup"
)

// patience is how long a registry may take to say what a tag points to, with all that is tried again.
const patience = time.Minute

// remembering is the planner with a memory of what tags point to and what builds are expected to take, so that nothing is asked for twice.
func (p Planner) remembering() Planner {
	type answer struct {
		image registry.Image
		found bool
	}
	var known memo[[2]string, answer]
	ask := p.Resolve
	p.Resolve = func(ctx context.Context, image, tag string) (registry.Image, bool, error) {
		a, err := known.get([2]string{image, tag}, func() (a answer, err error) {
			ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
			defer cancel()
			a.image, a.found, err = ask(ctx, image, tag)
			return a, err
		})
		return a.image, a.found, err
	}
	if expect := p.Expect; expect != nil {
		var told memo[string, learn.Expectation]
		p.Expect = func(s Service, platforms []string, runner string) learn.Expectation {
			e, _ := told.get(s.Name+" "+strings.Join(platforms, " "), func() (learn.Expectation, error) { return expect(s, platforms, runner), nil })
			return e
		}
	}
	return p
}

// meet asks what is published of all services, at the same time, and compares all the commits that they were built
// from with this one, at once: services that do not change keep their images, and so each comes to have its own.
func (p Planner) meet(ctx context.Context, drafts []*draft, work *tree) error {
	var group errgroup.Group
	group.SetLimit(lookUps)
	for _, d := range drafts {
		group.Go(func() error {
			d.found = p.find(ctx, d, work)
			return nil // what cannot be read is told with the service
		})
	}
	_ = group.Wait()
	wanted := map[string]bool{}
	for _, sha := range append(revisions(drafts), p.Config.Base, p.before()) {
		wanted[sha] = git.IsID(sha)
	}
	maps.DeleteFunc(wanted, func(_ string, is bool) bool { return !is })
	return work.compare(ctx, slices.Sorted(maps.Keys(wanted)))
}

// before is the commit that was pushed before this one, where it may be compared with: in a run that publishes nothing,
// about a branch that is not new. Empty otherwise.
func (p Planner) before() string {
	if p.Pushes || p.Event.BaseSHA != "" || strings.Trim(p.Event.Before, "0") == "" {
		return ""
	}
	return p.Event.Before
}

// revisions are the commits that services may be compared with.
func revisions(drafts []*draft) []string {
	var revisions []string
	for _, d := range drafts {
		for _, pub := range d.found {
			if pub.found {
				revisions = append(revisions, pub.Revision)
			}
		}
	}
	return revisions
}

// A publication is what is published of a service.
type publication struct {
	registry.Image
	found  bool
	pinned bool // under a tag that names a commit or a version
	// follows is the branch's tag that it has, where that is not a tag of this run: of another branch, or of releases.
	follows string
	err     error
}

// find asks what a service may be compared with, in order: the images that earlier runs published for this commit or version,
// then the image under the tag that follows this branch, else the one that follows the branch that a pull request is for or the
// default branch, else the last release of this one's line. Comparing with what is really published means that a run that
// failed or was cancelled loses no change.
func (p Planner) find(ctx context.Context, d *draft, work *tree) []publication {
	if d.idle() {
		return nil
	}
	var all []publication
	for _, tag := range d.set.Tags {
		if tag.Kind == tags.Version || tag.Kind == tags.Commit {
			pub := publication{pinned: true}
			pub.Image, pub.found, pub.err = p.Resolve(ctx, d.service.Image, tag.Name)
			all = append(all, pub)
		}
	}
	own := d.set.Names()
	for _, tag := range p.tracked(d.set, work) {
		var pub publication
		pub.Image, pub.found, pub.err = p.Resolve(ctx, d.service.Image, tag)
		if !slices.Contains(own, tag) {
			pub.follows = tag
		}
		if pub.found || pub.err != nil {
			return append(all, pub)
		}
	}
	return all
}

// tracked lists the tags that follow a branch, this run's own first, and then those that follow its releases.
func (p Planner) tracked(set tags.Set, work *tree) []string {
	var names []string
	add := func(set tags.Set) {
		for _, t := range set.Tags {
			if t.Kind == tags.Branch && !slices.Contains(names, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	add(set)
	for _, branch := range []string{strings.TrimPrefix(p.Event.BaseRef, "refs/heads/"), p.Event.DefaultBranch} {
		if branch != "" {
			push := p.tagEvent(work)
			push.Name, push.Ref = "push", "refs/heads/"+branch
			add(p.Rules.Render(push))
		}
	}
	for _, t := range set.Tags {
		if t.Kind == tags.Release && !slices.Contains(names, t.Name) {
			names = append(names, t.Name) // the last release of the line
		}
	}
	return names
}

// compare compares commits with the tree's. A shallow clone is deepened until it has all of them, or there is no more.
func (t *tree) compare(ctx context.Context, commits []string) (err error) {
	if len(commits) == 0 {
		return nil
	}
	if t.distances, err = t.repo.Since(ctx, commits, t.commit); err != nil || t.near(commits) {
		return err
	}
	var failed error
	_ = t.repo.Deepen(ctx, func() bool { // what stays away is told with the service
		t.distances, failed = t.repo.Since(ctx, commits, t.commit)
		return failed != nil || t.near(commits)
	})
	return failed
}

// near reports whether all commits are part of the tree's history.
func (t *tree) near(commits []string) bool {
	return !slices.ContainsFunc(commits, func(sha string) bool { return !t.distances[sha].Ancestor })
}
