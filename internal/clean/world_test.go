package clean_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
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
	twice  bool // so does another run clean up
	shift  bool // or somebody publishes, or cleans up, from one page of a list to the next
	lies   bool // GitHub does not find versions that there are
	dies   int  // changes after which it is killed, and run again; none kill it if that is negative
	budget int
}

// clean cleans up once, and looks whether all is well.
func (w *world) clean() {
	d := disturbance{race: w.random.IntN(4) == 0, twice: w.random.IntN(6) == 0, shift: w.random.IntN(6) == 0, lies: w.random.IntN(8) == 0, dies: -1, budget: 1000}
	if w.random.IntN(5) == 0 {
		d.budget = w.random.IntN(4)
	}
	if w.random.IntN(5) == 0 {
		d.dies = w.random.IntN(20)
	}
	w.cleanWith(d)
}

// settle cleans up until nothing more is to be done, with nobody beside it.
func (w *world) settle() {
	w.lag = false
	w.server.Lag(0)
	for range 3 {
		w.now = w.now.Add(20 * day)
		w.cleanWith(disturbance{dies: -1, budget: 1000})
	}
	for _, v := range w.listed() {
		if _, ours := w.pushed[v.Digest]; !ours {
			w.t.Fatalf("history %d: %s with the tags %q is left of the program's own", w.seed, v.Digest, v.Tags)
		}
	}
}

func (w *world) cleanWith(d disturbance) {
	w.t.Helper()
	before, allowed := w.roots(), w.allowed()
	if d.shift {
		defer w.shift()()
	}
	w.lies = d.lies
	left, err := w.run(&lifetime{most: d.dies}, d.budget, w.beside(d))
	w.lies = false
	if errors.Is(err, errKilled) || err != nil && d.lies {
		left, err = w.run(&lifetime{most: -1}, 1000, func(clean.Plan) {})
	}
	w.must(err)
	w.cleanings++
	quiet := !d.race && !d.shift
	for digest, why := range before {
		if quiet { // or the second run knows that it is needed no more
			w.whole(digest, why)
		}
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
	if !w.lag && quiet && !d.twice && !d.lies && left > 0 {
		w.lean(allowed)
	}
}

// beside is what goes on before each deletion.
func (w *world) beside(d disturbance) func(clean.Plan) {
	return func(plan clean.Plan) {
		if d.race {
			w.race(plan)
		}
		if d.twice && w.random.IntN(3) == 0 {
			d.twice = false
			_, err := w.run(&lifetime{most: -1}, w.random.IntN(20), func(clean.Plan) {})
			w.must(err)
		}
	}
}

// shift has lists come in small pages, and something happen before the second of one.
func (w *world) shift() (end func()) {
	w.server.Pages(1 + w.random.IntN(20))
	w.server.Watch(func(r *http.Request) {
		if page := r.FormValue("page"); page == "" || page == "1" {
			return
		}
		w.server.Watch(nil)
		switch w.random.IntN(3) {
		case 0:
			w.publishTo("main", "main")
		case 1:
			w.push(w.build("", ""))
		default:
			_, err := w.run(&lifetime{most: -1}, 1000, func(clean.Plan) {})
			w.must(err)
		}
	})
	return func() {
		w.server.Watch(nil)
		w.server.Pages(100)
	}
}

// run runs the program once, as long as it lives.
func (w *world) run(life *lifetime, budget int, pace func(clean.Plan)) (left int, err error) {
	ctx := w.t.Context()
	survey := w.survey()
	p, err := survey.Of(ctx, w.repo.Name(), clean.Known{})
	if err != nil {
		return budget, err
	}
	p.Seen = w.seen
	rules := w.cleanRules()
	plan := rules.Plan(p)
	c := &registry.Client{Host: host, Transport: mortal{direct{w.handler}, life}}
	executor := clean.Executor{Rules: rules, Package: p, Look: w.look, Tell: func(string, ...any) {},
		Delete: func(ctx context.Context, id int64) error {
			return life.change(func() error { return w.client.Delete(ctx, id) })
		},
		Restore: func(ctx context.Context, id int64) error {
			return life.change(func() error { return w.client.Restore(ctx, id) })
		},
		There: func(ctx context.Context, digest string) (bool, error) {
			_, found, err := survey.Manifest(ctx, digest)
			return found, err
		},
		Relist: func(ctx context.Context, digest, tag string) error { return c.Relist(ctx, w.repo.Name(), digest, tag) },
		Write: func(ctx context.Context, data []byte) (string, error) {
			return c.WriteCleaning(ctx, w.repo.Name(), data)
		},
		Pace: func(context.Context) error {
			pace(plan)
			return nil
		},
		Survey: func(ctx context.Context, known clean.Known) (clean.Package, error) {
			return survey.Of(ctx, w.repo.Name(), known)
		}}
	left, err = executor.Run(ctx, &plan, budget)
	w.note(plan)
	return left, err
}

// look looks at a version, as an executor does.
func (w *world) look(ctx context.Context, id int64) (v github.Version, found bool, err error) {
	if w.lies && w.random.IntN(4) == 0 {
		return v, false, nil
	}
	return w.client.Version(ctx, id)
}

// A lifetime is how many changes a program has made, and after how many it is killed, right before the next; none kill it if that is
// negative.
type lifetime struct {
	made, most int
}

// errKilled is like what is said where nobody is there, which nothing asks again.
var errKilled = &net.OpError{Op: "dial", Err: errors.New("the program is dead")}

func (l *lifetime) change(do func() error) error {
	if l.most >= 0 && l.made >= l.most {
		return errKilled
	}
	l.made++
	return do()
}

// mortal carries requests as long as a program lives.
type mortal struct {
	direct
	life *lifetime
}

func (m mortal) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return m.direct.RoundTrip(r)
	}
	err = m.life.change(func() (err error) {
		answer, err = m.direct.RoundTrip(r)
		return err
	})
	return answer, err
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
		Journal: func(ctx context.Context) ([]byte, error) { return c.ReadCleaning(ctx, w.repo.Name()) },
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
		if item.Outcome == clean.Restored {
			w.touch(item)
		}
		maps.DeleteFunc(w.at, func(tag, digest string) bool {
			back := item.Outcome == clean.Restored && registry.SubjectOf(tag) != ""
			return digest == item.Digest && slices.Contains(item.Tags, tag) && !back
		})
		if item.Outcome == clean.Deleted {
			for subject, says := range w.says {
				w.says[subject] = slices.DeleteFunc(says, func(d string) bool { return d == item.Digest })
			}
		}
	}
	for _, item := range plan.Restored {
		if item.Outcome == clean.Restored {
			w.back(item)
		}
	}
}

// touch notes when GitHub says that a version changed, which restoring does unless it is there.
func (w *world) touch(item clean.Item) {
	v, found, err := w.client.Version(w.t.Context(), item.ID)
	if w.must(err); found {
		w.pushed[item.Digest] = v.Updated
	}
}

// back notes that something is there again which an earlier run had deleted.
func (w *world) back(item clean.Item) {
	w.touch(item)
	for _, tag := range item.Tags {
		if registry.SubjectOf(tag) != "" && w.at[tag] == "" {
			w.at[tag] = item.Digest
		}
	}
	if subject := w.tells[item.Digest]; subject != "" && !slices.Contains(w.says[subject], item.Digest) {
		w.says[subject] = append(w.says[subject], item.Digest)
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
	w.share(item.Digest)
}

// share publishes an image that shares one of another, or an index that lists another. What is a signature, or gone already, nobody can
// share.
func (w *world) share(digest string) (done bool) {
	desc, err := remote.Get(w.repo.Digest(digest), w.options()...)
	if err != nil {
		return false
	}
	if desc.MediaType.IsIndex() {
		return w.shareIndex(desc)
	}
	old, err := desc.Image()
	w.must(err)
	if manifest, err := old.Manifest(); err != nil || manifest.Subject != nil {
		return false
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: old, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: w.image("arm64"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	w.publishShared(index)
	return true
}

// shareIndex publishes an index of another, with all that this lists.
func (w *world) shareIndex(desc *remote.Descriptor) (done bool) {
	old, err := desc.ImageIndex()
	w.must(err)
	manifest, err := old.IndexManifest()
	w.must(err)
	for _, child := range manifest.Manifests {
		if child.MediaType.IsIndex() || child.Platform == nil || !w.there(child.Digest.String()) {
			return false // what tells of something, or has lost a part
		}
	}
	w.publishShared(mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: old}))
	return true
}

func (w *world) publishShared(index v1.ImageIndex) {
	revision := w.commit()
	published := w.push(mutate.Annotations(index, map[string]string{registry.RevisionKey: revision}).(v1.ImageIndex))
	w.revision[published] = revision
	w.tag(published, "main")
	w.tag(published, "latest")
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
	for i, digest := range w.untagged(slices.Concat(w.inner, w.loose)) {
		if w.lists(digest, false) {
			continue
		}
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

// lists reports whether an index lists another, or one that is there does.
func (w *world) lists(digest string, now bool) bool {
	for parent, parts := range w.parts {
		if slices.Contains(parts, digest) && (!now || w.there(parent)) {
			return true
		}
	}
	return false
}

// alone are the indexes that others listed which are gone, such as those that a young signature has kept. They look like images that
// stand for themselves, unless a journal tells of the others.
func (w *world) alone() []string {
	return slices.DeleteFunc(slices.Concat(w.inner, w.loose), func(digest string) bool {
		return !w.lists(digest, false) || w.lists(digest, true) || !w.there(digest)
	})
}

// untagged are those of some indexes that are there and have no tag, the newest first.
func (w *world) untagged(some []string) []string {
	tagged := slices.Collect(maps.Values(w.at))
	loose := slices.DeleteFunc(slices.Clone(some), func(digest string) bool {
		return slices.Contains(tagged, digest) || !w.there(digest) || w.lists(digest, true)
	})
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
		w.pullAll(digest)
	}
}

// pullAll pulls all that an index lists.
func (w *world) pullAll(digest string) {
	w.t.Helper()
	index, err := remote.Index(w.repo.Digest(digest), w.options()...)
	w.must(err)
	manifest, err := index.IndexManifest()
	w.must(err)
	for _, child := range manifest.Manifests {
		if child.MediaType.IsIndex() {
			w.pullAll(child.Digest.String())
		} else {
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

// closure is a digest with all that belongs to it, and what it tells of, but for what was there never, or went before with what it told of.
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
		for subject, says := range w.says {
			if slices.Contains(says, d) {
				todo = append(todo, subject)
			}
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
	}
	for digest := range w.popular {
		add(digest)
	}
	loose := w.untagged(w.loose)
	for _, digest := range append(w.alone(), loose[:min(w.keep.Untagged.Newest, len(loose))]...) {
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
	for _, v := range w.listed() {
		if _, ours := w.pushed[v.Digest]; ours && !allowed[v.Digest] {
			w.t.Fatalf("history %d: %s with the tags %q is left, of %s", w.seed, v.Digest, v.Tags, w.pushed[v.Digest])
		}
	}
}

func (w *world) listed() []github.Version {
	w.t.Helper()
	versions, err := w.client.Versions(w.t.Context(), false)
	w.must(err)
	return versions
}
