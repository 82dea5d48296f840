// Package promote moves tags to approved digests, forward only.
package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Promoter moves tags of one run.
type Promoter struct {
	// Resolve, Tags and Tag are the registry's: see registry.Client.
	Resolve func(ctx context.Context, image, tag string) (registry.Image, bool, error)
	Tags    func(ctx context.Context, image string) ([]string, error)
	Tag     func(ctx context.Context, approval verdict.Approval, tag, from string) error
	// Versions returns what tells the version that a published tag of a service stands for; nil for none.
	Versions func(service string) func(tag string) *semver.Version
	// Commit is that of this run; IsAncestor reports whether commit old is new or comes before it.
	Commit     string
	IsAncestor func(ctx context.Context, old, new string) (bool, error)
	// Tip asks for the commit that this run's branch is at now, and brings it into the clone where it can.
	Tip func(ctx context.Context) (string, error)
	// GitTag is set where the run is of a git tag: that it is at this commit does not say that the commit is the newest. Fetch brings
	// another commit into the clone then.
	GitTag bool
	Fetch  func(ctx context.Context, commit string) error
	// Trunk asks for the commit that the default branch is at, which brings it into the clone where it can; nil where the run is
	// of that branch, or nobody knows which it is.
	Trunk func(ctx context.Context) (string, error)
	// InputsAt returns the inputs digest that a service has at a commit.
	InputsAt func(ctx context.Context, s plan.Service, commit string) (string, error)
	// Force moves tags back too, as somebody demanded; a version's never.
	Force bool
}

// Promote points a service's tags at the approved digest. Tags that would go back stay, and the
// move says why. Tags that follow a branch are moved last: where they point to this commit's image,
// nothing of the promotion is missing. After an error the moves made so far are returned with it.
func (p Promoter) Promote(ctx context.Context, s plan.Service, approval verdict.Approval) ([]tags.Move, error) {
	candidate, err := approval.Candidate()
	if repository, invalid := name.NewRepository(s.Image); err == nil && (invalid != nil || candidate.Context().Name() != repository.Name()) {
		err = fmt.Errorf("%s was approved, which is another image", candidate)
	}
	if err != nil {
		return nil, fmt.Errorf("promoting %s: %w", s.Image, err)
	}
	one := &promotion{Promoter: p, service: s, approval: approval, to: candidate.DigestStr()}
	for _, tag := range inOrder(s.TagSet.Tags) {
		move, err := one.settle(ctx, tag)
		if err != nil {
			return one.moves, fmt.Errorf("promoting %s: %w", s.Image, err)
		}
		one.moves = append(one.moves, move)
	}
	return one.moves, one.confirm(ctx)
}

// confirm looks once more at the tags that were moved and that other runs move too: an older run may have decided on one before
// this run moved it, and have moved it after.
func (p *promotion) confirm(ctx context.Context) error {
	p.branch = nil // which may have gone on
	for i, tag := range inOrder(p.service.TagSet.Tags) {
		if p.moves[i].Kept != "" || tag.Kind != tags.Release && tag.Kind != tags.Branch {
			continue
		}
		if _, err := p.settle(ctx, tag); err != nil {
			return fmt.Errorf("promoting %s: %w", p.service.Image, err)
		}
	}
	return nil
}

func inOrder(set []tags.Tag) []tags.Tag {
	rank := map[tags.Kind]int{tags.Version: 0, tags.Commit: 1, tags.Release: 2, tags.Branch: 3}
	ordered := slices.Clone(set)
	slices.SortStableFunc(ordered, func(a, b tags.Tag) int { return rank[a.Kind] - rank[b.Kind] })
	return ordered
}

// A promotion is that of one service.
type promotion struct {
	Promoter
	service  plan.Service
	approval verdict.Approval
	to       string // digest
	moves    []tags.Move
	taken    string     // a version of this run that is published with another digest
	branch   *branchTip // once it was asked for
}

// attempts is how often a tag is looked at anew because another run moves it at the same time.
const attempts = 5

// settle moves a tag or decides that it stays. Where another run moves it meanwhile, what that run
// published is looked at as if it had been there before; and so it is where nobody knows whether a move has happened.
func (p *promotion) settle(ctx context.Context, tag tags.Tag) (move tags.Move, err error) {
	unsure := tags.Move{}
	for try := range attempts {
		move, err = p.move(ctx, tag)
		switch {
		case errors.Is(err, registry.ErrUnsure) && run.Pause(ctx, try):
			unsure = move
		case errors.Is(err, registry.ErrMoved):
		case err == nil && unsure.To != "" && move.Kept == inPlace:
			return unsure, nil // it was this run that moved it
		default:
			return move, err
		}
	}
	return move, err
}

// inPlace is why a tag is not moved that points to the approved digest already.
const inPlace = "it is there already"

// move reads where the tag points just before it decides.
func (p *promotion) move(ctx context.Context, tag tags.Tag) (tags.Move, error) {
	now, found, err := p.Resolve(ctx, p.service.Image, tag.Name)
	if err != nil {
		return tags.Move{}, err
	}
	move := tags.Move{Tag: tag.Name, To: p.to}
	if found {
		move.From = now.Ref.DigestStr()
	}
	switch {
	case move.From == p.to:
		move.Kept = inPlace
	case tag.Kind == tags.Version && found:
		p.taken = tag.Name
		move.Kept = "another image is published as this version, and a version never changes"
	case tag.Kind == tags.Release && p.taken != "":
		move.Kept = fmt.Sprintf("another image is published as %s", p.taken)
	case tag.Kind == tags.Release && found:
		move.Kept, err = p.newerVersion(ctx, tag, now)
	case tag.Kind == tags.Branch && found:
		if move.Kept = p.elsewhere(ctx, tag, now); move.Kept == "" {
			move.Kept, err = p.newerCommit(ctx, now)
		}
	}
	if p.Force && tag.Kind != tags.Version && move.From != p.to {
		move.Despite, move.Kept, err = orError(move.Kept, err), "", nil
	}
	if err != nil || move.Kept != "" {
		return move, err
	}
	return move, p.Tag(ctx, p.approval, tag.Name, move.From)
}

// orError is why a tag would have stayed, or why nobody can tell.
func orError(kept string, err error) string {
	if err != nil {
		return err.Error()
	}
	return kept
}

// newerVersion says why a release's tag stays; empty if it moves. The label of what it points to does
// not tell enough: a digest that was used again has the label of its first tag. So all versions that
// are published count, of the line that the tag follows. What is no version goes by its commits, and so does a
// prerelease where no published tag tells one.
func (p *promotion) newerVersion(ctx context.Context, tag tags.Tag, now registry.Image) (string, error) {
	mine, err := semver.StrictNewVersion(tag.Release)
	if err != nil {
		return p.newerCommit(ctx, now)
	}
	names, err := p.Tags(ctx, p.service.Image)
	if err != nil {
		return "", err
	}
	version := p.Versions(p.service.Name)
	kept, highest, known := "", mine, false
	for _, published := range append(names, now.Version) {
		v := version(published)
		if v == nil || !tag.Follows(v) {
			continue
		}
		if known = true; v.GreaterThan(highest) {
			kept, highest = fmt.Sprintf("the newer version %s is published there", v), v
		}
	}
	if !known && mine.Prerelease() != "" {
		return p.newerCommit(ctx, now)
	}
	return kept, nil
}
