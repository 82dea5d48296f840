package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

// published finds what a service is compared with: the image of these very inputs that an earlier run
// published for this commit or version, else the image under the tag that follows this branch, else
// the one that follows the default branch, else the last release of this one's line. Comparing with what is really published means that a run
// that failed or was cancelled loses no change.
func (p Planner) published(ctx context.Context, s Service, work *tree) (registry.Image, bool, error) {
	for _, tag := range s.TagSet.Tags {
		if tag.Kind != tags.Version && tag.Kind != tags.Commit {
			continue
		}
		img, found, err := p.Resolve(ctx, s.Image, tag.Name)
		if err != nil || found && img.Annotations[InputsKey] == s.Inputs {
			return img, found, err
		}
	}
	for _, tag := range p.tracked(s.TagSet, work) {
		img, found, err := p.Resolve(ctx, s.Image, tag)
		if err != nil || found {
			return img, found, err
		}
	}
	return registry.Image{}, false, nil
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
	if branch := p.Event.DefaultBranch; branch != "" {
		push := p.tagEvent(work)
		push.Name, push.Ref, push.DefaultBranch = "push", "refs/heads/"+branch, branch
		add(p.Rules.Render(push))
	}
	for _, t := range set.Tags {
		if t.Kind == tags.Release && !slices.Contains(names, t.Name) {
			names = append(names, t.Name) // the last release of the line
		}
	}
	return names
}

// base chooses the commit to compare with. A reason means that there is none and that the service
// must be built.
func (p Planner) base(ctx context.Context, published registry.Image, found bool, err error, work *tree) (Base, string) {
	switch {
	case p.Config.Force:
		return Base{Why: "building was forced"}, "building was forced"
	case err != nil:
		return Base{Why: "the published image cannot be read"}, unreadable(err)
	case !found:
		return Base{Why: "nothing is published yet"}, "nothing is published yet"
	case p.Config.Base != "":
		return Base{SHA: p.Config.Base, Why: "it was asked for"}, p.usable(ctx, p.Config.Base, "which was asked for", work)
	case !git.IsID(published.Revision):
		return Base{Why: "the published image names no commit"}, fmt.Sprintf("the published image names no commit it was built from (%q)", published.Revision)
	default:
		return Base{SHA: published.Revision, Why: "it is the revision that is published"}, p.usable(ctx, published.Revision, "which is published", work)
	}
}

func unreadable(err error) string { return fmt.Sprintf("the published image cannot be read: %v", err) }

// usable says why a commit cannot be compared with; empty if it can. Services mostly have the same one, so git is
// asked once for each.
func (p Planner) usable(ctx context.Context, sha, which string, work *tree) string {
	if _, known := work.unusable[sha]; !known {
		work.unusable[sha] = p.lookUp(ctx, sha, which)
	}
	return work.unusable[sha]
}

func (p Planner) lookUp(ctx context.Context, sha, which string) string {
	named := fmt.Sprintf("commit %s, %s,", shortSHA(sha), which)
	if !p.Repo.Has(ctx, sha) {
		if err := p.Repo.Deepen(ctx); err != nil || !p.Repo.Has(ctx, sha) {
			return named + " is not in this clone; check out with fetch-depth: 0"
		}
	}
	is, err := p.Repo.IsAncestor(ctx, sha, p.Event.SHA)
	if err != nil {
		return fmt.Sprintf("%s cannot be compared with: %v", named, err)
	}
	if !is {
		return named + " is not part of this history"
	}
	return ""
}

// listed is how many changed files a reason names.
const listed = 3

// mostChanged is how many changed files the plan names for a service.
const mostChanged = 50

// changes says what changed since the base, and which files; empty if nothing did.
func (p Planner) changes(ctx context.Context, s service.Service, planned Service, published registry.Image, work *tree) (reason string, changed []string, err error) {
	files, err := work.changedSince(ctx, planned.Base.SHA)
	if err != nil {
		return "", nil, err
	}
	if hits := work.matching(s, files); len(hits) > 0 {
		return fmt.Sprintf("changed since %s: %s", shortSHA(planned.Base.SHA), list(hits)), hits[:min(len(hits), mostChanged)], nil
	}
	if hits := work.matching(s, work.dirty); len(hits) > 0 {
		return "not committed: " + list(hits), hits[:min(len(hits), mostChanged)], nil
	}
	if reason := p.dependencies(s, planned.Base.SHA, slices.Concat(files, work.dirty), work); reason != "" {
		return reason, nil, nil
	}
	switch published.Annotations[InputsKey] {
	case planned.Inputs:
		return "", nil, nil
	case "":
		return "the published image does not say what it was built from", nil, nil
	default:
		return "its configuration changed since " + shortSHA(planned.Base.SHA), nil, nil
	}
}

// dependencies says which service that this one depends on changed since the base. Theirs may have
// been published when this one failed, so only this one's published image tells what it was built after.
func (p Planner) dependencies(s service.Service, base string, files []string, work *tree) string {
	for _, other := range p.needed(s) {
		if hits := work.matching(other, files); len(hits) > 0 {
			return fmt.Sprintf("depends on %s, which changed since %s: %s", other.Name, shortSHA(base), list(hits))
		}
	}
	return ""
}

// needed lists the services that one depends on, directly or through others.
func (p Planner) needed(s service.Service) []service.Service {
	var all []service.Service
	names := slices.Clone(s.DependsOn)
	for i := 0; i < len(names); i++ {
		for _, other := range p.Config.Services {
			if other.Name != names[i] {
				continue
			}
			all = append(all, other)
			names = append(names, slices.DeleteFunc(slices.Clone(other.DependsOn), func(n string) bool { return slices.Contains(names, n) })...)
		}
	}
	return all
}

func list(files []string) string {
	if len(files) <= listed {
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:listed], ", "), len(files)-listed)
}
