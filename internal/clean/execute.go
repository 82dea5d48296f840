package clean

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/registry"
)

// An Executor deletes what a plan says, one version at a time, and finishes what an earlier run has begun.
type Executor struct {
	Rules   Rules   // that the plan was made by,
	Package Package // and of which
	Look    func(ctx context.Context, id int64) (v github.Version, found bool, err error)
	Delete  func(ctx context.Context, id int64) error
	Restore func(ctx context.Context, id int64) error
	// There reports whether the registry has a manifest.
	There func(ctx context.Context, digest string) (bool, error)
	// Relist points a tag that lists what refers to something to a digest again, or adds what that lists.
	Relist func(ctx context.Context, digest, tag string) error
	// Write puts the journal into the registry in place of an earlier one, and returns its digest.
	Write func(context.Context, []byte) (digest string, err error)
	// Pace waits before each deletion, as long as it takes not to ask too much of GitHub.
	Pace func(context.Context) error
	// Survey looks at the package once more, at the end.
	Survey func(context.Context, Known) (Package, error)
	Tell   func(format string, args ...any)
}

// What came of a version that was to go.
const (
	Deleted  = "deleted"
	Absent   = "absent"   // somebody else deleted it
	Stayed   = "stayed"   // Note says why
	Restored = "restored" // something that came meanwhile needs it
)

// Run restores what an earlier run has deleted and something needs, deletes what goes, as far as budget allows, and returns what is left
// of that. Whatever stays keeps all that it needs, so one may stop anywhere: the next run finds in the journal what this one was about to do.
// It ends early where GitHub's own budget is spent, or says no to everything. Where a publish has come between, what it needs is restored.
func (e Executor) Run(ctx context.Context, plan *Plan, budget int) (left int, err error) {
	if err := e.restore(ctx, plan.Restored); err != nil {
		return budget, err
	}
	if plan.Refused != "" {
		return budget, nil
	}
	if len(plan.Gone)+len(plan.Restored) == 0 {
		return budget, e.forget(ctx, e.Package, e.Package.Journal)
	}
	if budget == 0 && len(plan.Restored) == 0 {
		return e.delete(ctx, plan, budget, nil)
	}
	journal, refused := e.Package.Journal, error(nil)
	if len(plan.Gone) > 0 && budget > 0 {
		if refused = e.try(ctx, plan); refused == nil {
			journal, err = e.begin(ctx, *plan)
		}
		if err != nil {
			return budget, err
		}
	}
	left, err = e.delete(ctx, plan, budget, refused)
	now, failed := e.mend(ctx, plan)
	if err = errors.Join(err, failed); err != nil || slices.ContainsFunc(plan.Gone, Item.isLeft) {
		return left, err
	}
	return left, e.forget(ctx, now, journal)
}

// isLeft reports whether a later run may delete a version.
func (i Item) isLeft() bool { return i.Outcome == Stayed && !i.forever }

// try deletes a version that an earlier run has written down and that is there still, before anything is written down anew: a token that may
// not delete, night after night, would leave a journal each time that it cannot delete either.
func (e Executor) try(ctx context.Context, plan *Plan) error {
	i := slices.IndexFunc(plan.Gone, func(item Item) bool {
		written := func(r Record) bool { return r.ID == item.ID && r.Digest == item.Digest }
		return len(item.After) == 0 && slices.ContainsFunc(e.Package.Written, written)
	})
	if i < 0 {
		return nil
	}
	return e.one(ctx, &plan.Gone[i], nil)
}

// delete deletes what goes and has not been tried, as far as budget allows; nothing more once there is an error.
func (e Executor) delete(ctx context.Context, plan *Plan, budget int, err error) (left int, ended error) {
	state := map[string]*Item{} // by digest
	for i := range plan.Gone {
		item := &plan.Gone[i]
		switch {
		case item.Outcome != "":
		case err != nil:
			item.Outcome, item.Note = Stayed, "the run ended before: "+err.Error()
		case budget == 0:
			item.Outcome, item.Note = Stayed, fmt.Sprintf("a later run deletes it: `most` allows %d", e.Rules.Keep.Most)
		default:
			err = e.one(ctx, item, state)
		}
		if state[item.Digest] = item; item.Outcome == Deleted {
			budget--
		}
	}
	return budget, err
}

// forget deletes a journal of which all is done. One that says what another run may still be at stays.
func (e Executor) forget(ctx context.Context, p Package, journal string) error {
	i := slices.IndexFunc(p.Versions, func(v github.Version) bool { return v.Digest == journal })
	if i < 0 || e.besideOthers() {
		return nil // a later run finds it
	}
	if err := e.Delete(context.WithoutCancel(ctx), p.Versions[i].ID); err != nil && !errors.Is(err, github.ErrUndeletable) && !errors.Is(err, github.ErrAbsent) {
		return err
	}
	return nil
}

// one deletes a version, if it is still what it was when that was decided. The error ends the run.
func (e Executor) one(ctx context.Context, item *Item, state map[string]*Item) error {
	for _, digest := range item.After {
		if before := state[digest]; before == nil || before.Outcome == Stayed {
			item.Outcome, item.Note = Stayed, short(digest)+" stays, and needs it"
			item.forever = before != nil && before.forever
			return nil
		}
	}
	item.Outcome, item.Note = Stayed, ""
	if err := e.Pace(ctx); err != nil {
		item.Note = err.Error()
		return err
	}
	now, found, err := e.Look(ctx, item.ID)
	switch {
	case err != nil:
		item.Note = err.Error()
		return err
	case !found:
		return e.absent(ctx, item)
	case now.Digest != item.Digest || !now.Updated.Equal(item.Updated) || !within(now.Tags, item.Tags):
		item.Note = "it changed meanwhile"
		return nil
	}
	return e.deleteOne(ctx, item)
}

// deleteOne deletes a version that was there just now. Where it is gone though GitHub did not say so, the answer was lost: whoever wants it
// back must learn of it all the same.
func (e Executor) deleteOne(ctx context.Context, item *Item) error {
	err := e.Delete(ctx, item.ID)
	switch {
	case err == nil:
	case errors.Is(err, github.ErrUndeletable):
		item.Note, item.forever = err.Error(), true
		return nil
	case e.mayBeThere(ctx, item.ID):
		if errors.Is(err, github.ErrAbsent) {
			err = github.ErrWithheld
		}
		item.Note = err.Error()
		return err
	default:
		if err := e.absent(context.WithoutCancel(ctx), item); item.Outcome != Absent {
			return err
		}
	}
	item.Outcome = Deleted
	e.Tell("deleted %d: %s: %s", item.ID, item.Digest, item.Why)
	return nil
}

// mayBeThere is false where GitHub does not find a version any more.
func (e Executor) mayBeThere(ctx context.Context, id int64) bool {
	_, found, err := e.Look(context.WithoutCancel(ctx), id)
	return err != nil || found
}

// absent says of a version that GitHub does not find whether it is gone. One that the registry has is not, and needs all that it lists.
func (e Executor) absent(ctx context.Context, item *Item) error {
	there, err := e.There(ctx, item.Digest)
	switch {
	case err != nil:
		item.Note = err.Error()
	case there:
		item.Note = "GitHub does not find it, and the registry has it"
	default:
		item.Outcome, item.Note = Absent, ""
	}
	return err
}

// within reports whether all of some are among others.
func within(some, others []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(others, s) })
}

// mend restores what was deleted and is needed by what came meanwhile, as the next run would: the same rules decide on what there is now.
func (e Executor) mend(ctx context.Context, plan *Plan) (now Package, err error) {
	ctx = context.WithoutCancel(ctx) // what is broken must not stay so
	now, err = e.Survey(ctx, e.known(*plan))
	if err != nil {
		return now, fmt.Errorf("looking whether something has come meanwhile that needs what was deleted: %w", err)
	}
	now.Seen = e.Package.Seen
	needed := e.Rules.Plan(now).Restored
	err = e.restore(ctx, needed)
	for _, item := range needed {
		if item.Outcome != Restored {
			continue
		}
		i := slices.IndexFunc(plan.Gone, func(g Item) bool { return g.ID == item.ID })
		if i < 0 {
			plan.Restored = append(plan.Restored, item)
			continue
		}
		plan.Gone[i].Outcome, plan.Gone[i].Note = Restored, item.Why
	}
	return now, err
}

// known is what a run knows without looking again, once it has deleted what it could.
func (e Executor) known(plan Plan) Known {
	known := Known{maps.Clone(e.Package.Manifests), map[int64]bool{}, e.records(plan)}
	for _, r := range e.Package.Lost {
		delete(known.Manifests, r.Digest)
	}
	for _, item := range plan.Gone {
		if item.Outcome == Deleted || item.Outcome == Absent {
			delete(known.Manifests, item.Digest)
			known.Deleted[item.ID] = true
		}
	}
	return known
}

// restore brings versions back, with those of their tags that list what refers to something.
func (e Executor) restore(ctx context.Context, items []Item) error {
	for i := range items {
		item := &items[i]
		if err := e.restoreOne(ctx, *item); err != nil {
			return err
		}
		item.Outcome = Restored
		e.Tell("restored %d: %s: %s", item.ID, item.Digest, item.Why)
	}
	return nil
}

func (e Executor) restoreOne(ctx context.Context, item Item) error {
	_, there, err := e.Look(ctx, item.ID)
	if err == nil && !there {
		err = e.Restore(ctx, item.ID)
	}
	for _, tag := range item.Tags {
		if err == nil && registry.SubjectOf(tag) != "" {
			err = e.Relist(ctx, item.Digest, tag)
		}
	}
	return err
}
