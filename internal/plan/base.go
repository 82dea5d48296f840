package plan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/registry"
)

// A comparison is what one service is decided by.
type comparison struct {
	planner Planner
	work    *tree
	draft   *draft
	content string
	others  map[string]Service // those that this one needs
	asked   asked
}

// published is what a service is compared with, of what was found: the first image of these very inputs among those that an
// earlier run published for this commit or version, else what follows a branch or the releases.
func (c comparison) published(s Service) publication {
	for _, pub := range c.draft.found {
		if pub.err != nil || !pub.pinned || pub.found && c.same(s, pub.Image) {
			return pub
		}
	}
	return publication{}
}

// same reports whether an image was made of the inputs that a service has now.
func (c comparison) same(s Service, img registry.Image) bool {
	return inputs(c.content, c.planner.as(s.Bases, img), s.Needs) == img.Annotations[InputsKey]
}

// decide says what is done with a service, and why.
func (c comparison) decide(ctx context.Context, planned *Service) error {
	reason := c.draft.needless
	if c.draft.idle() {
		planned.Action, planned.Reason = Skip, reason
		return nil
	}
	pub := c.published(*planned)
	if pub.found {
		planned.Digest = pub.Ref.DigestStr()
	}
	if pub.err != nil {
		planned.Unread = pub.err.Error()
	}
	if reason != "" {
		planned.Action, planned.Reason, planned.Stale = Skip, reason, !pub.found || !c.same(*planned, pub.Image)
		return nil
	}
	planned.Base, planned.Reason = c.base(ctx, pub)
	if planned.Reason == "" {
		var err error
		if planned.Reason, planned.Changed, err = c.changes(ctx, *planned, pub); err != nil {
			return err
		}
	}
	if planned.Reason != "" {
		planned.Action = Build
		if c.mayReuse(pub) {
			c.madeBefore(ctx, planned)
		}
		return nil
	}
	c.unchanged(ctx, planned, pub)
	return nil
}

// demanded is why a service is built whatever there is; empty if nothing demands it.
func (c comparison) demanded() string {
	p, name := c.planner, c.draft.service.Name
	switch {
	case p.Config.Force && (len(p.Config.Only) == 0 || slices.Contains(p.Config.Only, name)):
		return "building was forced"
	case slices.Contains(c.asked.publish, name):
		return "the commit message asks for it"
	}
	return ""
}

// base chooses the commit to compare with. A reason means that there is none and that the service
// must be built.
func (c comparison) base(ctx context.Context, pub publication) (Base, string) {
	p, demanded := c.planner, c.demanded()
	switch {
	case demanded != "":
		return Base{Why: demanded}, demanded
	case pub.err != nil:
		if base, ok := p.eventBase(ctx, c.work); ok && !p.Pushes {
			return base, ""
		}
		return Base{Why: "the published image cannot be read"}, unreadable(pub.err)
	case !pub.found:
		return Base{Why: "nothing is published yet"}, "nothing is published yet"
	case p.Config.Base != "":
		return Base{SHA: p.Config.Base, Why: "it was asked for"}, c.work.usable(p.Config.Base, "which was asked for")
	case !git.IsID(pub.Revision):
		return Base{Why: "the published image names no commit"}, fmt.Sprintf("the published image names no commit it was built from (%q)", pub.Revision)
	}
	reason := c.work.usable(pub.Revision, "which is published")
	if reason != "" && pub.follows != "" {
		if fork, err := p.Repo.MergeBase(ctx, pub.Revision, p.Event.SHA); err == nil && fork != "" {
			return Base{SHA: fork, Why: fmt.Sprintf("there this history left the one of %s, which is published as %s", git.Short(pub.Revision), pub.follows)}, ""
		}
	}
	return Base{SHA: pub.Revision, Why: "it is the revision that is published"}, reason
}

// eventBase is the commit that an event itself is about, for runs that publish nothing, so that nothing is lost by it.
func (p Planner) eventBase(ctx context.Context, work *tree) (Base, bool) {
	e := p.Event
	switch {
	case e.BaseSHA != "": // of a pull request, or a merge queue
		if fork, err := p.Repo.MergeBase(ctx, e.BaseSHA, e.SHA); err == nil && fork != "" {
			return Base{SHA: fork, Why: "the published image cannot be read, and there the changes that are tried began"}, true
		}
	case p.before() != "" && work.usable(e.Before, "") == "":
		return Base{SHA: e.Before, Why: "the published image cannot be read, and it was pushed before"}, true
	}
	return Base{}, false
}

func unreadable(err error) string {
	text := fmt.Sprintf("the published image cannot be read: %v", err)
	if advice := registry.Advice(err.Error()); advice != "" {
		text += "; " + advice
	}
	return text
}

// usable says why a commit cannot be compared with; empty if it can.
func (t *tree) usable(sha, which string) string {
	named := fmt.Sprintf("commit %s, %s,", git.Short(sha), which)
	switch d, here := t.distances[sha]; {
	case !here:
		return named + " is not in this clone; check out with fetch-depth: 0"
	case !d.Ancestor:
		return named + " is not part of this history"
	}
	return ""
}

// listed is how many changed files a reason names.
const listed = 3

// mostChanged is how many changed files the plan names for a service.
const mostChanged = 50

// changes says what changed since the base, and which files; empty if nothing did.
func (c comparison) changes(ctx context.Context, planned Service, pub publication) (reason string, changed []string, err error) {
	if clone := c.work.neverTheSame(c.draft.scope); clone != "" {
		files := IgnoreFiles(c.draft.service)
		return fmt.Sprintf("the builder gets %s, of which no two checkouts have the same; add **/.git to %s", clone, cmp.Or(c.work.ignoreFile(ctx, files), files[len(files)-1])), nil, nil
	}
	same := pub.found && c.same(planned, pub.Image)
	if same && pub.follows != "" && len(c.work.dirtyIn(c.draft.scope)) == 0 {
		return "", nil, nil
	}
	files, err := c.work.changedSince(ctx, planned.Base.SHA)
	if err != nil {
		return "", nil, err
	}
	for _, part := range c.draft.parts {
		if reason, changed := c.changedIn(part, files, planned.Base.SHA); reason != "" {
			return reason, changed, nil
		}
	}
	if pub.err != nil {
		return c.configured(files, planned.Base.SHA), nil, nil
	}
	if same {
		return "", nil, nil
	}
	return c.differs(planned, pub), nil, nil
}

// changedIn says which files of a service, or of one that it needs, differ from a commit.
func (c comparison) changedIn(part *draft, files []string, base string) (reason string, changed []string) {
	prefix, since := "", "changed since "+git.Short(base)+": "
	if part != c.draft {
		prefix, since = "depends on "+part.service.Name+", ", "which changed since "+git.Short(base)+": "
	}
	hits := part.scope.hits(files)
	if len(hits) > 0 {
		return prefix + since + list(hits), hits[:min(len(hits), mostChanged)]
	}
	if hits = c.work.dirtyIn(part.scope); len(hits) > 0 {
		return prefix + "not committed: " + list(hits), hits[:min(len(hits), mostChanged)]
	}
	return "", nil
}

// configured says whether a file that defines services changed, where no published image tells what it was made from.
func (c comparison) configured(files []string, base string) string {
	for _, file := range c.planner.Config.From {
		if slices.Contains(files, file) {
			return fmt.Sprintf("changed since %s: %s", git.Short(base), file)
		}
	}
	return ""
}

// differs says why inputs differ where no file of the repository does.
func (c comparison) differs(planned Service, pub publication) string {
	short := git.Short(planned.Base.SHA)
	if name := c.builtBefore(); name != "" {
		return fmt.Sprintf("depends on %s, which is built", name)
	}
	switch moved, unseen := c.planner.movedBase(planned, c.content, pub.Image), c.draft.scope.unseen(); {
	case pub.Annotations[InputsKey] == "":
		return "the published image does not say what it was built from"
	case moved != "":
		return moved
	case pub.follows != "":
		return fmt.Sprintf("what is published as %s has changed since %s", pub.follows, short)
	case len(unseen) > 0:
		return fmt.Sprintf("its configuration changed since %s, or files that git ignores: %s", short, list(unseen))
	default:
		return "its configuration changed since " + short
	}
}

func list(files []string) string {
	if len(files) <= listed {
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:listed], ", "), len(files)-listed)
}
