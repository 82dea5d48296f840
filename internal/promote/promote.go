// Package promote moves tags to approved digests, forward only.
package promote

import (
	"context"
	"fmt"
	"regexp"
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
	// Tip asks the remote for the commit that this run's branch is at now.
	Tip func(ctx context.Context) (string, error)
	// Tags lists the tags of an image.
	Tags   func(ctx context.Context, image string) ([]string, error)
	Commit string // the commit of this run
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
	case found && tag.Kind == tags.Branch:
		move.Kept = p.newerCommit(ctx, now.Revision)
	case found && tag.Kind == tags.Release:
		move.Kept, err = p.newerVersion(ctx, image, tag.Name, now.Version, version)
	}
	if err != nil || move.Kept != "" {
		return move, err
	}
	return move, p.Tag(ctx, approval, tag.Name)
}

var commit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// newerCommit says why the commit that a branch's tag has now is newer than this run's; empty if it
// is not. One that this clone does not know may be newer, unless this run's is the branch's tip.
func (p Promoter) newerCommit(ctx context.Context, now string) string {
	if now == p.Commit || !commit.MatchString(now) {
		return ""
	}
	short := now[:min(7, len(now))]
	older, err := p.IsAncestor(ctx, p.Commit, now)
	if err == nil && older {
		return fmt.Sprintf("the newer commit %s is published there", short)
	}
	if err == nil {
		return ""
	}
	if tip, err := p.Tip(ctx); err != nil || tip != p.Commit {
		return fmt.Sprintf("commit %s, which this clone does not know, is published there, and this run's is not the tip of its branch", short)
	}
	return ""
}

// newerVersion says why a release's tag stays; empty if it moves. The label of what it points to does
// not tell enough: a digest that was used again has the label of its first tag. So all versions that
// are published count, of the line that the tag follows.
func (p Promoter) newerVersion(ctx context.Context, image, tag, now, version string) (string, error) {
	mine := parse(version)
	if mine == nil {
		return "", nil
	}
	names, err := p.Tags(ctx, image)
	if err != nil {
		return "", err
	}
	kept, highest := "", mine
	for _, name := range append(names, now) {
		if v := parse(name); v != nil && v.Prerelease() == "" && inLine(tag, v) && v.GreaterThan(highest) {
			kept, highest = fmt.Sprintf("the newer version %s is published there", name), v
		}
	}
	return kept, nil
}

var line = regexp.MustCompile(`^v?(\d+)(?:\.(\d+))?$`)

// inLine reports whether a version belongs to the line that a tag follows: "1.2" and "1" follow
// theirs, every other tag follows all.
func inLine(tag string, v *semver.Version) bool {
	parts := line.FindStringSubmatch(tag)
	return parts == nil || parts[1] == fmt.Sprint(v.Major()) && (parts[2] == "" || parts[2] == fmt.Sprint(v.Minor()))
}

func parse(version string) *semver.Version {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v"))
	if err != nil {
		return nil
	}
	return v
}
