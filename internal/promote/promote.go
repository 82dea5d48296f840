// Package promote moves tags to approved digests, forward only.
package promote

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Promoter moves tags of one run.
type Promoter struct {
	Resolve func(ctx context.Context, image, tag string) (registry.Image, bool, error)
	Tag     func(ctx context.Context, approval verdict.Approval, tag string) error
	// IsAncestor reports whether commit old is new or comes before it.
	IsAncestor func(ctx context.Context, old, new string) (bool, error)
	Commit     string // the commit of this run
}

// Promote points the tags of a set at the approved digest. Tags that would go back stay, and the
// move says why. Tags that follow a branch are moved last: where they point to this commit's image,
// nothing of the promotion is missing. After an error the moves made so far are returned with it.
func (p Promoter) Promote(ctx context.Context, image string, approval verdict.Approval, set tags.Set) ([]tags.Move, error) {
	candidate, err := approval.Candidate()
	if err != nil {
		return nil, fmt.Errorf("promoting %s: %w", image, err)
	}
	var moves []tags.Move
	for _, tag := range inOrder(set.Tags) {
		move, err := p.move(ctx, image, tag, set.Version, approval, candidate.DigestStr())
		if err != nil {
			return moves, fmt.Errorf("promoting %s: %w", image, err)
		}
		moves = append(moves, move)
	}
	return moves, nil
}

func inOrder(set []tags.Tag) []tags.Tag {
	rank := map[tags.Kind]int{tags.Fixed: 0, tags.Release: 1, tags.Branch: 2}
	ordered := slices.Clone(set)
	slices.SortStableFunc(ordered, func(a, b tags.Tag) int { return rank[a.Kind] - rank[b.Kind] })
	return ordered
}

// move reads where the tag points just before it decides.
func (p Promoter) move(ctx context.Context, image string, tag tags.Tag, version string, approval verdict.Approval, to string) (tags.Move, error) {
	now, found, err := p.Resolve(ctx, image, tag.Name)
	if err != nil {
		return tags.Move{}, err
	}
	move := tags.Move{Tag: tag.Name, To: to}
	if found {
		move.From = now.Ref.DigestStr()
	}
	switch {
	case move.From == to:
		move.Kept = "it is there already"
	case found:
		move.Kept = p.newer(ctx, tag.Kind, now, version)
	}
	if move.Kept != "" {
		return move, nil
	}
	return move, p.Tag(ctx, approval, tag.Name)
}

// newer says why what a tag points to now is newer than this run; empty if it is not.
func (p Promoter) newer(ctx context.Context, kind tags.Kind, now registry.Image, version string) string {
	switch kind {
	case tags.Branch:
		// A commit that this clone does not know cannot be compared; the branch tip decides then.
		if now.Revision == "" || now.Revision == p.Commit {
			return ""
		}
		if older, err := p.IsAncestor(ctx, p.Commit, now.Revision); err == nil && older {
			return fmt.Sprintf("the newer commit %s is published there", now.Revision[:min(7, len(now.Revision))])
		}
	case tags.Release:
		if mine, theirs := parse(version), parse(now.Version); mine != nil && theirs != nil && theirs.GreaterThan(mine) {
			return fmt.Sprintf("the newer version %s is published there", now.Version)
		}
	}
	return ""
}

func parse(version string) *semver.Version {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	if err != nil {
		return nil
	}
	return v
}
