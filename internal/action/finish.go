package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/promote"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
)

// journal is kept beside the configuration's first image, by name, whichever services a run works on.
func (s *session) journal() promote.Journal {
	var images []string
	for _, service := range s.job.Config.Services {
		images = append(images, service.Image)
	}
	image := slices.Min(images)
	return promote.Journal{
		Read:  func(ctx context.Context) ([]byte, error) { return s.registry.ReadJournal(ctx, image) },
		Write: func(ctx context.Context, data []byte) error { return s.registry.WriteJournal(ctx, image, data) },
		Run:   runID(s.job.Event, s.begun),
	}
}

// keepJournal has a publisher write down what it is about to move, unless that is a single tag.
func (s *session) keepJournal(p *publish.Publisher) {
	journal, open := s.journal(), false
	p.Begin = func(ctx context.Context, set []*publish.Result) error {
		entry := promote.Entry{Commit: s.job.Event.SHA, Ref: s.job.Event.Ref}
		var n int
		if entry.Intents, n = intents(set); n < 2 {
			return nil
		}
		open = true
		return hint(journal.Begin(ctx, entry))
	}
	p.End = func(ctx context.Context) error {
		if !open {
			return nil
		}
		return journal.End(ctx, journal.Run)
	}
}

// intents are what is about to become of the tags of services, and how many tags that are.
func intents(set []*publish.Result) (all []promote.Intent, n int) {
	for _, r := range set {
		n += len(r.Plan.TagSet.Tags)
		all = append(all, promote.Intent{Service: r.Plan.Name, Image: r.Plan.Image, Digest: r.Candidate.Image.Ref.DigestStr(),
			Published: r.Plan.Digest, Platforms: r.Evidence.Wanted, Tags: r.Plan.TagSet.Tags})
	}
	return all, n
}

// finish completes the promotions that killed runs have left open, and tells what came of it. It fails no run: what it cannot finish
// now is left to the next one.
func (s *session) finish(ctx context.Context, results []publish.Result) {
	if !s.job.pushes() {
		return
	}
	left, err := s.journal().Left(ctx)
	if err != nil {
		s.note(fmt.Sprintf("Whether an earlier run was killed while it moved its tags is not known: %v", err))
		return
	}
	for _, entry := range left {
		notices, done := s.complete(ctx, entry, results)
		for _, notice := range notices {
			s.note(notice)
		}
		if !done {
			continue
		}
		if err := s.journal().End(ctx, entry.Run); err != nil {
			s.note(err.Error())
		}
	}
}

// complete judges anew what a killed run had approved, and moves the tags that it did not come to. It reports whether there is
// nothing left to do, which holds also where an image is refused by now, or gone.
func (s *session) complete(ctx context.Context, entry promote.Entry, results []publish.Result) (notices []string, done bool) {
	var services []plan.Service
	for _, intent := range entry.Intents {
		service, err := s.intended(ctx, entry, intent, results)
		if err != nil {
			return []string{fmt.Sprintf("What run %s has left open is left to the next run: %v", entry.Run, err)}, false
		}
		if len(service.TagSet.Tags) > 0 {
			services = append(services, service)
		}
	}
	if len(services) == 0 {
		return nil, true
	}
	finished := s.work(ctx, services)
	publisher := s.publisher()
	publisher.PerService, publisher.Begin, publisher.End = true, nil, nil
	publisher.Sign = nil // it was, by the run that approved it: by this one, it would pass for an image of this one's ref
	promoter := s.promoter(entry.Commit, entry.Ref)
	promoter.Force = false
	publisher.Promote = promoter.Promote
	publisher.Decide(ctx, finished)
	done = true
	for _, r := range finished {
		notices = append(notices, fmt.Sprintf("Run %s was killed while it moved its tags. %s", entry.Run, became(r)))
		done = done && (r.Err == nil || registry.IsNotFound(r.Err))
	}
	return notices, done
}

// became says what came of a service that another run had left.
func became(r publish.Result) string {
	var moved, kept []string
	for _, m := range r.Moves {
		if m.Kept == "" {
			moved = append(moved, m.Tag)
		} else {
			kept = append(kept, fmt.Sprintf("%s (%s)", m.Tag, m.Kept))
		}
	}
	switch {
	case registry.IsNotFound(r.Err):
		return fmt.Sprintf("%s has no such image any more, so its tags stay: %v", r.Plan.Name, r.Err)
	case r.Err != nil:
		return fmt.Sprintf("%s is left to the next run: %v", r.Plan.Name, r.Err)
	case !r.Approved():
		return fmt.Sprintf("%s is refused by now, and keeps its tags: %s", r.Plan.Name, strings.Join(r.Verdict.Reasons, "; "))
	default:
		return fmt.Sprintf("%s: moved %s, kept %s", r.Plan.Name, cmp.Or(strings.Join(moved, ", "), "none"), cmp.Or(strings.Join(kept, ", "), "none"))
	}
}

// intended is what is left to do of an intent, as a service whose image is used again: without the tags that are in place, and
// without those that this run itself has decided on. Where the configuration has no such service any more, nothing is left.
func (s *session) intended(ctx context.Context, entry promote.Entry, intent promote.Intent, results []publish.Result) (plan.Service, error) {
	definition, known := s.job.Config.Service(intent.Service)
	service := plan.Service{Name: intent.Service, Image: definition.Image, Action: plan.Reuse, Digest: intent.Published, Reused: intent.Digest,
		Platforms: intent.Platforms, Reason: "run " + entry.Run + " was killed while it moved its tags", Definition: definition}
	if !known || definition.Image != intent.Image {
		return service, nil
	}
	for _, tag := range intent.Tags {
		if decides(results, intent.Service, tag.Name) {
			continue
		}
		at, found, err := s.registry.Resolve(ctx, intent.Image, tag.Name)
		if err != nil {
			return service, err
		}
		if !found || at.Ref.DigestStr() != intent.Digest {
			service.TagSet.Tags = append(service.TagSet.Tags, tag)
		}
	}
	return service, nil
}

// decides reports whether this run decides on a tag: it moved it, or found that it is right where it is.
func decides(results []publish.Result, service, tag string) bool {
	return slices.ContainsFunc(results, func(r publish.Result) bool {
		settled := r.Plan.Action == plan.Skip || slices.ContainsFunc(r.Moves, func(m tags.Move) bool { return m.Tag == tag })
		return r.Plan.Name == service && settled && slices.Contains(r.Plan.TagSet.Names(), tag)
	})
}
