package plan

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

// published finds what a service is compared with: the image under the tag that follows this
// branch, else the one that follows the default branch. Comparing with what is really published
// means that a run that failed or was cancelled loses no change.
func (p Planner) published(ctx context.Context, s service.Service, set tags.Set) (registry.Image, bool, error) {
	for _, tag := range p.tracked(set) {
		img, found, err := p.Resolve(ctx, s.Image, tag)
		if err != nil || found {
			return img, found, err
		}
	}
	return registry.Image{}, false, nil
}

// tracked lists the tags that follow a branch, this run's own first.
func (p Planner) tracked(set tags.Set) []string {
	var names []string
	add := func(set tags.Set) {
		for _, t := range set.Tags {
			if t.Kind == tags.Branch && !slices.Contains(names, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	add(set)
	if branch := p.Event.DefaultBranch; branch != "" {
		add(p.Rules.Render(tags.Event{Name: "push", Ref: "refs/heads/" + branch, SHA: p.Event.SHA, DefaultBranch: branch}))
	}
	return names
}

var commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// base chooses the commit to compare with. A reason means that there is none and that the service
// must be built.
func (p Planner) base(ctx context.Context, published registry.Image, found bool, unreadable error) (Base, string) {
	switch {
	case p.Config.Force:
		return Base{Why: "building was forced"}, "building was forced"
	case unreadable != nil:
		return Base{Why: "the published image cannot be read"}, fmt.Sprintf("the published image cannot be read: %v", unreadable)
	case !found:
		return Base{Why: "nothing is published yet"}, "nothing is published yet"
	case p.Config.Base != "":
		return Base{SHA: p.Config.Base, Why: "it was asked for"}, p.usable(ctx, p.Config.Base)
	default:
		return Base{SHA: published.Revision, Why: "it is the revision that is published"}, p.usable(ctx, published.Revision)
	}
}

// usable says why a commit cannot be compared with; empty if it can.
func (p Planner) usable(ctx context.Context, sha string) string {
	if !commit.MatchString(sha) {
		return fmt.Sprintf("the published image names no commit it was built from (%q)", sha)
	}
	if !p.Repo.Has(ctx, sha) {
		if err := p.Repo.Deepen(ctx); err != nil || !p.Repo.Has(ctx, sha) {
			return fmt.Sprintf("commit %s, which is published, is not in this clone; check out with fetch-depth: 0", shortSHA(sha))
		}
	}
	is, err := p.Repo.IsAncestor(ctx, sha, p.Event.SHA)
	if err != nil {
		return fmt.Sprintf("commit %s, which is published, cannot be compared with: %v", shortSHA(sha), err)
	}
	if !is {
		return fmt.Sprintf("commit %s, which is published, is not part of this history", shortSHA(sha))
	}
	return ""
}

// listed is how many changed files a reason names.
const listed = 3

// changes says what changed since the base; empty if nothing did.
func (p Planner) changes(ctx context.Context, s service.Service, planned Service, published registry.Image, work *tree) (string, error) {
	files, err := work.changedSince(ctx, planned.Base.SHA)
	if err != nil {
		return "", err
	}
	patterns := s.WatchedPaths()
	if hits := matching(patterns, files); len(hits) > 0 {
		return fmt.Sprintf("changed since %s: %s", shortSHA(planned.Base.SHA), list(hits)), nil
	}
	if hits := matching(patterns, work.dirty); len(hits) > 0 {
		return "not committed: " + list(hits), nil
	}
	if published.Annotations[InputsKey] != planned.Inputs {
		return "its configuration changed since " + shortSHA(planned.Base.SHA), nil
	}
	return "", nil
}

func list(files []string) string {
	if len(files) <= listed {
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:listed], ", "), len(files)-listed)
}
