package clean

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/org/ghcr-publish/internal/github"
)

// An Executor deletes what a plan says, one version at a time.
type Executor struct {
	Rules   Rules   // that the plan was made by,
	Package Package // and of which
	Look    func(ctx context.Context, id int64) (v github.Version, found bool, err error)
	Delete  func(ctx context.Context, id int64) error
	Restore func(ctx context.Context, id int64) error
	// Pace waits before each deletion, as long as it takes not to ask too much of GitHub.
	Pace func(context.Context) error
	// Survey looks at the package once more, at the end.
	Survey func(ctx context.Context, known map[string]Manifest) (Package, error)
	Tell   func(format string, args ...any)
}

// What came of a version that was to go.
const (
	Deleted  = "deleted"
	Absent   = "absent"   // somebody else deleted it
	Stayed   = "stayed"   // Note says why
	Restored = "restored" // something that came meanwhile needs it
)

// Run deletes what goes, as far as budget allows, and returns what is left of that. Whatever stays keeps all that it needs, so one may stop
// anywhere. It ends early where GitHub's own budget is spent, or says no to everything. Where a publish has come between, what it
// needs is restored.
func (e Executor) Run(ctx context.Context, plan *Plan, budget int) (left int, err error) {
	state := map[string]string{} // outcomes by digest
	for i := range plan.Gone {
		item := &plan.Gone[i]
		switch {
		case err != nil:
			item.Outcome, item.Note = Stayed, "the run ended before: "+err.Error()
		case budget == 0:
			item.Outcome, item.Note = Stayed, fmt.Sprintf("a later run deletes it: `most` allows %d", e.Rules.Keep.Most)
		default:
			err = e.one(ctx, item, state)
		}
		if state[item.Digest] = item.Outcome; item.Outcome == Deleted {
			budget--
		}
	}
	return budget, errors.Join(err, e.mend(ctx, plan))
}

// one deletes a version, if it is still what it was when that was decided. The error ends the run.
func (e Executor) one(ctx context.Context, item *Item, state map[string]string) error {
	for _, digest := range item.After {
		if state[digest] != Deleted && state[digest] != Absent {
			item.Outcome, item.Note = Stayed, short(digest)+" stays, and needs it"
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
		item.Outcome = Absent
		return nil
	case now.Digest != item.Digest || !now.Updated.Equal(item.Updated) || !within(now.Tags, item.Tags):
		item.Note = "it changed meanwhile"
		return nil
	}
	err = e.Delete(ctx, item.ID)
	if err == nil {
		item.Outcome = Deleted
		e.Tell("deleted %d: %s: %s", item.ID, item.Digest, item.Why)
		return nil
	}
	item.Note = err.Error()
	if errors.Is(err, github.ErrUndeletable) {
		return nil
	}
	return err
}

// within reports whether all of some are among others.
func within(some, others []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(others, s) })
}

// mend restores what was deleted and is needed by what came meanwhile: the same rules decide on what there is now, and on what was
// deleted as if it were still there.
func (e Executor) mend(ctx context.Context, plan *Plan) error {
	gone := map[string]*Item{}
	for i := range plan.Gone {
		if item := &plan.Gone[i]; item.Outcome == Deleted {
			gone[item.Digest] = item
		}
	}
	if len(gone) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // what is broken must not stay so
	now, err := e.Survey(ctx, e.Package.Manifests)
	if err != nil {
		return fmt.Errorf("looking whether something has come meanwhile that needs what was deleted: %w", err)
	}
	now.Versions = slices.DeleteFunc(now.Versions, func(v github.Version) bool { return gone[v.Digest] != nil })
	for digest, item := range gone {
		now.Versions = append(now.Versions, item.Version)
		now.Manifests[digest] = e.Package.Manifests[digest]
		delete(now.Missing, digest)
	}
	now.Seen = e.Package.Seen
	needed := map[string]string{}
	for _, kept := range e.Rules.Plan(now).Kept {
		needed[kept.Digest] = kept.Why
	}
	var failed []error
	for i := len(plan.Gone) - 1; i >= 0; i-- { // what others need comes first
		item := &plan.Gone[i]
		why, kept := needed[item.Digest]
		if !kept || item.Outcome != Deleted {
			continue
		}
		if err := e.Restore(ctx, item.ID); err != nil {
			failed = append(failed, err)
			continue
		}
		item.Outcome, item.Note = Restored, why
		e.Tell("restored %d: %s: %s", item.ID, item.Digest, why)
	}
	return errors.Join(failed...)
}
