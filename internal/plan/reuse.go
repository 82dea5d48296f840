package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
)

// A Fresh is what a service is built from where the digest that it would use again is refused.
type Fresh struct {
	Bases       []BaseImage       `json:"bases,omitempty"`
	Inputs      string            `json:"inputs"`
	Annotations map[string]string `json:"annotations"`
}

// Anew is a service as it is built after the digest that it would have used was refused.
func (s Service) Anew(why []string) Service {
	yes := true
	s.Action, s.Definition.NoCache = Build, &yes
	s.Reason = fmt.Sprintf("%s was to be used again, and is refused: %s", shortDigest(s.Reused), strings.Join(why, "; "))
	s.Bases, s.Inputs, s.Annotations = s.fresh(), s.Fresh.Inputs, s.Fresh.Annotations
	s.Reused, s.Proof, s.Fresh = "", nil, nil
	return s
}

// fresh are the images that a service is made from as there are today, with those of other services as they were settled.
func (s Service) fresh() []BaseImage {
	bases := slices.Clone(s.Fresh.Bases)
	for i, b := range bases {
		at := slices.IndexFunc(s.Bases, func(settled BaseImage) bool { return settled.Name == b.Name })
		if b.Service != "" && b.Service != s.Name && at >= 0 {
			bases[i].Ref, bases[i].Digest = s.Bases[at].Ref, s.Bases[at].Digest
		}
	}
	return bases
}

// unchanged chooses between skipping a service and giving its digest the tags it lacks.
func (c comparison) unchanged(ctx context.Context, planned *Service, pub publication) {
	p, short := c.planner, git.Short(planned.Base.SHA)
	if name := c.builtBefore(); name != "" {
		planned.Action, planned.Reason = Build, fmt.Sprintf("depends on %s, which is built", name)
		return
	}
	if !p.Pushes {
		c.takeOver(planned, pub.Image)
		planned.Action, planned.Reason = Skip, fmt.Sprintf("unchanged since %s, and this run pushes nothing", short)
		return
	}
	lacking, err := c.lacking(ctx, *planned, planned.Digest)
	switch {
	case err != nil:
		planned.Action, planned.Reason = Build, unreadable(err)
		return
	case len(lacking) == 0:
		c.takeOver(planned, pub.Image)
		planned.Action, planned.Reason = Skip, fmt.Sprintf("unchanged since %s, and every tag is in place", short)
		return
	}
	proof, why := c.mayUse(ctx, *planned, pub.Image)
	if why != "" {
		planned.Action, planned.Reason = Build, why
		return
	}
	c.reuse(planned, pub.Image, proof, "unchanged since "+short, lacking)
}

// mayUse says why a service is built whose own published image is unchanged; empty if that is used again, with the proof for
// it where there is one.
func (c comparison) mayUse(ctx context.Context, planned Service, image registry.Image) (proof *Proof, why string) {
	p := c.planner
	if p.Proven != nil {
		var err error
		if proof, err = p.proven(ctx, planned, image); err != nil && p.MustProve && !errors.Is(err, ErrUnsigned) {
			return nil, fmt.Sprintf("unchanged since %s, but %s is not used again: %v", git.Short(planned.Base.SHA), shortDigest(planned.Digest), err)
		}
	}
	if err := p.whole(ctx, planned, image); err != nil {
		return nil, unreadable(err)
	}
	return proof, ""
}

// reuse has a service use an image again.
func (c comparison) reuse(planned *Service, image registry.Image, proof *Proof, because string, lacking []string) {
	planned.Fresh = &Fresh{Bases: planned.Bases, Inputs: planned.Inputs}
	c.takeOver(planned, image)
	planned.Action, planned.Reused, planned.Proof = Reuse, image.Ref.DigestStr(), proof
	how := "is judged again"
	if proof != nil {
		how = fmt.Sprintf("is scanned again, since %s has signed a verdict on it,", proof.by())
	}
	planned.Reason = fmt.Sprintf("%s: %s %s and tagged %s; its version label stays as it is", because, shortDigest(planned.Reused), how, strings.Join(lacking, ", "))
}

// takeOver has a service be made of what an image was made of, where nothing else is known.
func (c comparison) takeOver(planned *Service, image registry.Image) {
	planned.Bases = c.planner.as(planned.Bases, image)
	planned.Inputs = inputs(c.content, planned.Bases, planned.Needs)
}

// builtBefore names a service that this one needs and that is built in this run; empty where there is none.
func (c comparison) builtBefore() string {
	for _, name := range c.draft.needs {
		if c.others[name].Action == Build {
			return name
		}
	}
	return ""
}

// mayReuse reports whether an image of the same inputs would do wherever it is: nothing demands a build, and what is
// built is what the commit holds.
func (c comparison) mayReuse(pub publication) bool {
	p := c.planner
	if !p.Pushes || p.Proven == nil || pub.err != nil || c.demanded() != "" || c.builtBefore() != "" || c.work.neverTheSame(c.draft.scope) != "" {
		return false
	}
	return !slices.ContainsFunc(c.draft.parts, func(part *draft) bool { return len(c.work.dirtyIn(part.scope)) > 0 })
}

// madeBefore looks for an image of these very inputs that another branch, a release, or an earlier run has made, and has a
// service that would be built use it. Such an image needs a proof.
func (c comparison) madeBefore(ctx context.Context, planned *Service) {
	for image := range c.made(ctx, *planned) {
		if !c.same(*planned, image) {
			continue
		}
		proof, err := c.planner.proven(ctx, *planned, image)
		if err != nil || c.planner.whole(ctx, *planned, image) != nil {
			continue
		}
		lacking, err := c.lacking(ctx, *planned, image.Ref.DigestStr())
		if err != nil {
			return
		}
		c.reuse(planned, image, proof, planned.Reason+", but made before", lacking)
		return
	}
}

// made yields the images that may be of a service's inputs: under the tags that follow a branch or the releases, under those
// of the pull requests that this commit came by, and what the memory knows. What cannot be read is passed over.
func (c comparison) made(ctx context.Context, planned Service) func(func(registry.Image) bool) {
	p := c.planner
	return func(yield func(registry.Image) bool) {
		for _, tag := range append(p.tracked(c.draft.set, c.work), p.pulled(ctx, c.work)...) {
			if image, found, err := p.Resolve(ctx, planned.Image, tag); err == nil && found && !yield(image) {
				return
			}
		}
		for _, digest := range p.Made[planned.Name][planned.Inputs] {
			ref, err := p.Digest(planned.Image, digest)
			if err != nil {
				continue
			}
			if image, err := p.Read(ctx, ref); err == nil && !yield(image) {
				return
			}
		}
	}
}

// pulled are the tags that the pull requests had by which this commit came, where those are used.
func (p Planner) pulled(ctx context.Context, work *tree) []string {
	if p.Config.ReuseFrom != "pull_request" || p.Merged == nil {
		return nil
	}
	numbers, err := p.Merged(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, n := range numbers {
		e := p.tagEvent(work)
		e.Name, e.Ref = "pull_request", fmt.Sprintf("refs/pull/%d/merge", n)
		for _, tag := range p.Rules.Render(e).Tags {
			if tag.Kind == tags.Branch {
				names = append(names, tag.Name)
			}
		}
	}
	return names
}

// lacking lists the tags that do not point to a digest.
func (c comparison) lacking(ctx context.Context, planned Service, digest string) ([]string, error) {
	var lacking []string
	for _, tag := range planned.TagSet.Names() {
		at, found, err := c.planner.Resolve(ctx, planned.Image, tag)
		if err != nil {
			return nil, err
		}
		if !found || at.Ref.DigestStr() != digest {
			lacking = append(lacking, tag)
		}
	}
	return lacking, nil
}

// whole proves that a published image has all platforms, and all of them can be read.
func (p Planner) whole(ctx context.Context, planned Service, published registry.Image) error {
	image, err := p.Read(ctx, published.Ref)
	if err != nil {
		return err
	}
	for _, wanted := range planned.Platforms {
		if !slices.ContainsFunc(image.Platforms, func(has registry.Platform) bool { return has.Platform == wanted }) {
			return fmt.Errorf("%s is missing from %s", wanted, published.Ref)
		}
	}
	return nil
}
