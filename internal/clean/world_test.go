package clean_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/clean"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
)

// A disturbance is what goes on beside a cleaning.
type disturbance struct {
	race   bool // somebody publishes meanwhile
	budget int
}

// clean cleans up once, and looks whether all is well.
func (w *world) clean() {
	d := disturbance{race: w.random.IntN(4) == 0, budget: 1000}
	if w.random.IntN(5) == 0 {
		d.budget = w.random.IntN(4)
	}
	w.cleanWith(d)
}

// settle cleans up until nothing more is to be done, with nobody beside it.
func (w *world) settle() {
	w.lag = false
	w.server.Lag(0)
	for range 3 {
		w.now = w.now.Add(20 * day)
		w.cleanWith(disturbance{budget: 1000})
	}
}

func (w *world) cleanWith(d disturbance) {
	w.t.Helper()
	ctx := w.t.Context()
	before := w.roots()
	survey := w.survey()
	p, err := survey.Of(ctx, w.repo.Name(), nil)
	w.must(err)
	p.Seen = w.seen
	rules := w.cleanRules()
	plan := rules.Plan(p)
	executor := clean.Executor{Rules: rules, Package: p, Look: w.client.Version, Delete: w.client.Delete, Restore: w.client.Restore, Tell: func(string, ...any) {},
		Pace: func(context.Context) error {
			if d.race {
				w.race(plan)
			}
			return nil
		},
		Survey: func(ctx context.Context, known map[string]clean.Manifest) (clean.Package, error) {
			return survey.Of(ctx, w.repo.Name(), known)
		}}
	allowed := w.allowed()
	left, err := executor.Run(ctx, &plan, d.budget)
	w.must(err)
	w.cleanings++
	w.note(plan)
	for digest, why := range before {
		w.whole(digest, why)
	}
	after := w.roots() // what came meanwhile, too
	for digest, why := range after {
		w.whole(digest, why)
	}
	for tag, digest := range w.at {
		if slices.Contains(strings.Fields(after[digest]), tag) {
			w.pointsTo(tag, digest)
		}
	}
	if !w.lag && !d.race && left > 0 {
		w.lean(allowed)
	}
}

func (w *world) survey() clean.Survey {
	c := &registry.Client{Host: host, Transport: direct{w.handler}}
	return clean.Survey{
		List: func(ctx context.Context) ([]github.Version, error) { return w.client.Versions(ctx, false) },
		Look: w.client.Version,
		Tags: func(ctx context.Context) (map[string]string, error) { return c.Tagged(ctx, w.repo.Name()) },
		Manifest: func(ctx context.Context, digest string) ([]byte, bool, error) {
			return c.Manifest(ctx, w.repo.Name(), digest)
		},
	}
}

func (w *world) cleanRules() clean.Rules {
	refs := clean.Refs{Rules: w.rules, Event: tags.Event{DefaultBranch: "main", Now: w.now}, Branches: w.branches, Left: w.left}
	for n, open := range w.pulls {
		if open {
			refs.Open = append(refs.Open, n)
		}
	}
	return clean.Rules{Keep: w.keep, Now: w.now, Tags: refs.Tags(), InUse: w.inUse, Platforms: [][]string{{"linux/amd64"}},
		IsVersion: func(tag string) bool { return w.rules.Published("app")(tag) != nil }}
}

// note brings what is true up to date.
func (w *world) note(plan clean.Plan) {
	w.seen = map[string]insight.Sighting{}
	for _, s := range plan.Sightings() {
		w.seen[s.Tag] = s
	}
	for _, item := range plan.Gone {
		if item.Outcome != clean.Deleted && item.Outcome != clean.Restored {
			continue
		}
		w.deleted++
		maps.DeleteFunc(w.at, func(tag, digest string) bool { return digest == item.Digest && slices.Contains(item.Tags, tag) })
		if item.Outcome == clean.Restored {
			w.pushed[item.Digest] = w.now
		}
	}
}

// race publishes an image that shares one of another that goes, or releases one that goes.
func (w *world) race(plan clean.Plan) {
	if w.random.IntN(3) > 0 {
		return
	}
	item := plan.Gone[w.random.IntN(len(plan.Gone))]
	if w.random.IntN(2) == 0 {
		if slices.Contains(w.loose, item.Digest) && w.there(item.Digest) {
			w.versions++
			w.tag(item.Digest, fmt.Sprintf("1.%d.0", w.versions))
		}
		return
	}
	old, err := remote.Image(w.repo.Digest(item.Digest), w.options()...)
	if err != nil {
		return // an index, or it is gone already: then nobody can use it any more
	}
	if manifest, err := old.Manifest(); err != nil || manifest.Subject != nil {
		return // a signature, which nobody runs
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: old, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: w.image("arm64"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	revision := w.commit()
	digest := w.push(mutate.Annotations(index, map[string]string{registry.RevisionKey: revision}).(v1.ImageIndex))
	w.revision[digest] = revision
	w.tag(digest, "main")
	w.tag(digest, "latest")
}

// roots are the digests that must stay by themselves, with the reason.
func (w *world) roots() map[string]string {
	roots := map[string]string{}
	for tag, digest := range w.at {
		if w.follows(tag) || w.amongNewest(tag) {
			roots[digest] += " " + tag
		}
	}
	maps.Copy(roots, w.inUse)
	for digest, at := range w.pushed {
		if w.now.Sub(at) < w.keep.Grace && w.there(digest) {
			roots[digest] += " young"
		}
	}
	for i, digest := range w.untagged() {
		if i < w.keep.Untagged.Newest || w.now.Sub(w.pushed[digest]) < w.keep.Untagged.Younger {
			roots[digest] += " untagged"
		}
	}
	return roots
}

// follows reports whether a tag stays whatever its age.
func (w *world) follows(tag string) bool {
	n := 0
	switch {
	case tag == "latest" || strings.HasPrefix(tag, "1."):
		return true
	case slices.Contains(w.branches, tag):
		return true
	case cache.IsTag(tag):
		return slices.ContainsFunc(w.branches, func(b string) bool { return cache.Tag(b, []string{"linux/amd64"}) == tag })
	default:
		_, err := fmt.Sscanf(tag, "pr-%d", &n)
		return err == nil && w.pulls[n]
	}
}

func (w *world) limited() (names []string) {
	for tag := range w.at {
		if strings.HasPrefix(tag, "sha-") {
			names = append(names, tag)
		}
	}
	return names
}

// amongNewest reports whether limits keep a tag, by the time when it was really set.
func (w *world) amongNewest(tag string) bool {
	limits := w.keep.Tags[0].Limits
	newer := 0
	for _, other := range w.limited() {
		if w.since[other].After(w.since[tag]) {
			newer++
		}
	}
	return strings.HasPrefix(tag, "sha-") && (newer < limits.Newest || w.now.Sub(w.since[tag]) < limits.Younger)
}

// untagged are the indexes that have no tag, the newest first.
func (w *world) untagged() []string {
	tagged := slices.Collect(maps.Values(w.at))
	loose := slices.DeleteFunc(slices.Clone(w.loose), func(digest string) bool { return slices.Contains(tagged, digest) || !w.there(digest) })
	slices.Reverse(loose)
	slices.SortStableFunc(loose, func(a, b string) int { return w.pushed[b].Compare(w.pushed[a]) })
	return loose
}

// whole demands that all of what belongs to a digest is there, and that what is an image can be pulled with all its layers.
func (w *world) whole(digest, why string) {
	w.t.Helper()
	for _, needed := range w.closure(digest) {
		if !w.there(needed) {
			w.t.Fatalf("history %d: %s, which stays (%s), lacks %s", w.seed, digest, why, needed)
		}
	}
	if slices.Contains(w.loose, digest) {
		index, err := remote.Index(w.repo.Digest(digest), w.options()...)
		w.must(err)
		manifest, err := index.IndexManifest()
		w.must(err)
		for _, child := range manifest.Manifests {
			w.pull(child.Digest)
		}
	}
}

// pull reads a platform's image, or an attestation, with its configuration and all layers.
func (w *world) pull(digest v1.Hash) {
	w.t.Helper()
	img, err := remote.Image(w.repo.Digest(digest.String()), w.options()...)
	w.must(err)
	manifest, err := img.Manifest()
	w.must(err)
	for _, blob := range append(manifest.Layers, manifest.Config) {
		layer, err := remote.Layer(w.repo.Digest(blob.Digest.String()), w.options()...)
		w.must(err)
		content, err := layer.Compressed()
		w.must(err)
		_, err = io.Copy(io.Discard, content) // which proves its digest
		w.must(errors.Join(err, content.Close()))
	}
}

// closure is a digest with all that belongs to it, but for what was there never, or went before with what it told of.
func (w *world) closure(digest string) []string {
	all, todo := map[string]bool{}, []string{digest}
	for len(todo) > 0 {
		d := todo[0]
		todo = todo[1:]
		if all[d] {
			continue
		}
		all[d] = true
		todo = append(todo, w.parts[d]...)
		todo = append(todo, w.says[d]...)
		if listing := w.at[strings.Replace(d, ":", "-", 1)]; listing != "" {
			todo = append(todo, listing)
		}
	}
	return slices.Collect(maps.Keys(all))
}

func (w *world) pointsTo(tag, digest string) {
	w.t.Helper()
	desc, err := remote.Head(w.repo.Tag(tag), w.options()...)
	w.must(err)
	if desc.Digest.String() != digest {
		w.t.Fatalf("history %d: %s is %s, want %s", w.seed, tag, desc.Digest, digest)
	}
}

// allowed are the digests that may be left by a cleaning now: what must stay, what nobody could know of, what GitHub does not delete,
// and what an attestation tells of that is young itself.
func (w *world) allowed() map[string]bool {
	allowed := map[string]bool{}
	add := func(digest string) {
		for _, d := range w.closure(digest) {
			allowed[d] = true
		}
	}
	for digest := range w.roots() {
		add(digest)
		for subject, says := range w.says {
			if slices.Contains(says, digest) || slices.ContainsFunc(w.parts[digest], func(part string) bool { return slices.Contains(says, part) }) {
				add(subject)
			}
		}
	}
	for digest := range w.popular {
		add(digest)
	}
	for _, tag := range w.limited() {
		if w.mayBeNewest(tag) {
			add(w.at[tag])
		}
	}
	return allowed
}

// mayBeNewest reports whether limits may keep a tag, by what one can know: the commit that an image tells, or that the tag was seen before.
func (w *world) mayBeNewest(tag string) bool {
	limits := w.keep.Tags[0].Limits
	_, latest := w.between(tag)
	newer := 0
	for _, other := range w.limited() {
		if earliest, _ := w.between(other); earliest.After(latest) {
			newer++
		}
	}
	return latest.IsZero() || newer < limits.Newest || w.now.Sub(latest) < limits.Younger
}

// between are the times between which a tag was set; none where nobody can know.
func (w *world) between(tag string) (earliest, latest time.Time) {
	digest := w.at[tag]
	if revision := w.revision[digest]; revision != "" && tag == "sha-"+revision[:7] {
		return w.pushed[digest], w.pushed[digest]
	}
	if seen := w.seen[tag]; seen.Digest == digest {
		return w.pushed[digest], seen.Since
	}
	return time.Time{}, time.Time{}
}

// lean demands that nothing is left that is not allowed.
func (w *world) lean(allowed map[string]bool) {
	w.t.Helper()
	versions, err := w.client.Versions(w.t.Context(), false)
	w.must(err)
	for _, v := range versions {
		if !allowed[v.Digest] {
			w.t.Fatalf("history %d: %s with the tags %q is left, of %s", w.seed, v.Digest, v.Tags, w.pushed[v.Digest])
		}
	}
}
