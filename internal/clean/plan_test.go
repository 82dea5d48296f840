package clean

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

const day = 24 * time.Hour

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// hex makes the digest that stands for a word.
func digestOf(word string) string { return "sha256:" + strings.Repeat(word, 64)[:64] }

// a fixture is a package in the making.
type fixture struct{ Package }

func newFixture() *fixture {
	return &fixture{Package{Image: "ghcr.io/octo/app", Manifests: map[string]Manifest{}, Missing: map[string]bool{}, Unlisted: map[string][]string{}, Seen: map[string]insight.Sighting{}}}
}

// add adds a version that is some days old.
func (f *fixture) add(word string, days int, m Manifest, names ...string) *fixture {
	at := now.Add(-time.Duration(days) * day)
	f.Versions = append(f.Versions, github.Version{ID: int64(len(f.Versions) + 1), Digest: digestOf(word), Tags: names, Created: at, Updated: at})
	f.Manifests[digestOf(word)] = m
	return f
}

// index adds an index with two images and an attestation: "a" is of "a0", "a1" and "a2".
func (f *fixture) index(word string, days int, names ...string) *fixture {
	var children []string
	for i := range 3 {
		part := fmt.Sprintf("%s%d", word, i)
		children = append(children, digestOf(part))
		f.add(part, days, Manifest{Image: i < 2, Sizes: map[string]int64{"blob-" + part: 10}})
	}
	return f.add(word, days, Manifest{Image: true, Children: children}, names...)
}

func (f *fixture) seen(tag, word string, days int) *fixture {
	f.Seen[tag] = insight.Sighting{Tag: tag, Digest: digestOf(word), Since: now.Add(-time.Duration(days) * day)}
	return f
}

func (f *fixture) lost(words ...string) *fixture {
	for _, word := range words {
		delete(f.Manifests, digestOf(word))
		f.Missing[digestOf(word)] = true
		f.Versions = slices.DeleteFunc(f.Versions, func(v github.Version) bool { return v.Digest == digestOf(word) })
	}
	return f
}

func rulesWith(change func(*Rules)) Rules {
	parsed, _ := tags.Parse("type=ref,event=branch\ntype=ref,event=pr\ntype=semver,pattern={{version}}\ntype=sha")
	r := Rules{Keep: service.DefaultClean(), Now: now, InUse: map[string]string{}, Platforms: [][]string{{"linux/amd64"}},
		IsVersion: func(tag string) bool { return parsed.Published("app")(tag) != nil },
		Tags:      Refs{Rules: parsed, Event: tags.Event{DefaultBranch: "main"}, Branches: []string{"main"}, Open: []int{267}, Left: []string{"topic", "main"}}.Tags()}
	r.Keep.Untagged = service.Limits{}
	if change != nil {
		change(&r)
	}
	return r
}

func limits(l ...service.TagLimits) func(*Rules) { return func(r *Rules) { r.Keep.Tags = l } }

func sha(newest, days int) service.TagLimits {
	return service.TagLimits{Match: []string{"sha-*"}, Limits: service.Limits{Newest: newest, Younger: time.Duration(days) * day}}
}

// words are the names of digests.
func words(items []Item) (list []string) {
	for _, i := range items {
		word := strings.TrimPrefix(i.Digest, "sha256:")
		for n := 1; n <= 4; n++ {
			if strings.Repeat(word[:n], 64)[:64] == word {
				word = word[:n]
				break
			}
		}
		list = append(list, word)
	}
	slices.Sort(list)
	return list
}

func TestPlan(t *testing.T) {
	t.Parallel()
	fallback := func(word string) string { return strings.Replace(digestOf(word), ":", "-", 1) }
	made := func(word string) Manifest { return Manifest{Image: true, Revision: strings.Repeat(word, 40)[:40]} }
	for name, test := range map[string]struct {
		fixture *fixture
		change  func(*Rules)
		gone    string
		why     string // of what goes, or stays, somewhere
	}{
		"what has no tag goes with its parts": {fixture: newFixture().index("a", 9, "main").index("b", 9), gone: "b b0 b1 b2", why: "it has no tag, and nothing that stays needs it"},
		"a part that a kept index shares stays": {
			fixture: newFixture().index("a", 9, "main").add("b", 9, Manifest{Image: true, Children: []string{digestOf("a0"), digestOf("c")}}).add("c", 9, Manifest{}), gone: "b c"},
		"nested indexes": {fixture: newFixture().index("a", 9).add("d", 9, Manifest{Image: true, Children: []string{digestOf("a")}}, "main").index("b", 9), gone: "b b0 b1 b2", why: "it is needed by main"},
		"young versions stay with all that they need": {fixture: newFixture().index("a", 9, "main").index("b", 9).add("c", 1, Manifest{Children: []string{digestOf("b0")}}), gone: "b b1 b2", why: "younger than 3 days"},
		"what is in use": {fixture: newFixture().index("a", 9, "main").index("b", 9), change: func(r *Rules) { r.InUse[digestOf("b")] = "compose.yaml" }, why: "it is used by compose.yaml"},
		"the newest images without a tag": {fixture: newFixture().index("a", 99, "main").index("b", 50).index("c", 60).index("d", 70),
			change: func(r *Rules) { r.Keep.Untagged.Newest = 2 }, gone: "d d0 d1 d2", why: "among the newest 2 without a tag"},
		"younger images without a tag": {fixture: newFixture().index("a", 99, "main").index("b", 19).index("c", 21),
			change: func(r *Rules) { r.Keep.Untagged.Younger = 20 * day }, gone: "c c0 c1 c2", why: "younger than 20 days without a tag"},
		"single images without a tag, where there are no indexes": {fixture: newFixture().add("a", 9, Manifest{Image: true}, "main").add("b", 19, Manifest{Image: true}).add("c", 20, Manifest{Image: true}),
			change: func(r *Rules) { r.Keep.Untagged.Newest = 1 }, gone: "c"},
		"what an index left behind is none":  {fixture: newFixture().index("a", 9, "main").index("b", 9).lost("b"), change: func(r *Rules) { r.Keep.Untagged.Newest = 9 }, gone: "b0 b1 b2"},
		"signatures stay with their subject": {fixture: newFixture().index("a", 9, "main").add("e", 9, Manifest{Subject: digestOf("a")}).add("f", 9, Manifest{Children: []string{digestOf("e")}}, fallback("a")), why: "it tells something of main"},
		"signatures of a platform, too":      {fixture: newFixture().index("a", 9, "main").add("e", 9, Manifest{Subject: digestOf("a0")}).add("f", 9, Manifest{Children: []string{digestOf("e")}}, fallback("a0"))},
		"signatures by cosign's older tags":  {fixture: newFixture().index("a", 9, "main").add("e", 9, Manifest{}, fallback("a")+".sig").add("f", 9, Manifest{}, fallback("b")+".att").lost("b"), gone: "f", why: "of which it tells, is gone"},
		"signatures go with their subject":   {fixture: newFixture().index("a", 9, "main").index("b", 9).add("e", 9, Manifest{Subject: digestOf("b")}).add("f", 9, Manifest{Children: []string{digestOf("e")}}, fallback("b")), gone: "b b0 b1 b2 e f", why: "of which it tells, goes"},
		"a new signature keeps its subject":  {fixture: newFixture().index("a", 9, "main").index("b", 9).add("e", 0, Manifest{Subject: digestOf("b")})},
		"orphans":                            {fixture: newFixture().index("a", 9, "main").add("f", 9, Manifest{}, fallback("9")).add("e", 9, Manifest{Subject: digestOf("9")}).lost("9"), gone: "e f"},
		"a closed pull request":              {fixture: newFixture().index("a", 9, "main").index("b", 9, "pr-26").index("c", 9, "pr-267"), gone: "b b0 b1 b2", why: "pr-26: pull request 26 is closed"},
		"its commit's tag goes with it":      {fixture: newFixture().index("a", 9, "main").add("b", 9, made("b"), "pr-26", "sha-bbbbbbb"), gone: "b", why: "sha-bbbbbbb: it tells the commit of pr-26"},
		"but not where limits are about it":  {fixture: newFixture().index("a", 9, "main").add("b", 9, made("b"), "pr-26", "sha-bbbbbbb"), change: limits(sha(1, 0)), why: "sha-bbbbbbb: among the newest 1"},
		"nor one of another commit":          {fixture: newFixture().index("a", 9, "main").add("b", 9, made("b"), "pr-26", "sha-ccccccc"), why: "sha-ccccccc: no rule lets it go"},
		"nor where the pull request is open": {fixture: newFixture().index("a", 9, "main").add("b", 9, made("b"), "pr-267", "sha-bbbbbbb")},
		"closed pull requests are kept":      {fixture: newFixture().index("a", 9, "main").index("b", 9, "pr-26"), change: func(r *Rules) { r.Keep.Closed = false }, why: "pr-26: no rule lets it go"},
		"a deleted branch":                   {fixture: newFixture().index("a", 9, "main").index("b", 9, "topic"), gone: "b b0 b1 b2", why: "topic: branch topic is deleted"},
		"a version with any tag that stays":  {fixture: newFixture().index("a", 9, "main").index("b", 9, "pr-26", "1.0.0")},
		"a child with a tag of its own":      {fixture: newFixture().index("a", 9, "main").add("b0", 9, Manifest{Image: true}, "stable").add("b", 9, Manifest{Image: true, Children: []string{digestOf("b0")}}), gone: "b"},
		"a child whose tag is over":          {fixture: newFixture().add("a0", 9, Manifest{Image: true}, "pr-26").add("a", 9, Manifest{Image: true, Children: []string{digestOf("a0")}}, "main")},
		"unknown tags":                       {fixture: newFixture().index("a", 9, "main").index("b", 900, "mine"), why: "mine: no rule lets it go"},
		"protected tags, whatever limits say": {fixture: newFixture().add("a", 900, made("a"), "latest").add("b", 900, made("b"), "1.0").add("c", 900, made("c"), "v2"),
			change: limits(service.TagLimits{Match: []string{"*"}, Limits: service.Limits{Younger: day}}), why: "protected"},
		"living branches, whatever limits say": {fixture: newFixture().add("a", 900, made("a"), "main"), change: limits(service.TagLimits{Match: []string{"*"}, Limits: service.Limits{Younger: day}}), why: "branch main is there"},
		"the newest of some tags": {fixture: newFixture().add("a", 40, made("a"), "sha-aaaaaaa").add("b", 30, made("b"), "sha-bbbbbbb").add("c", 20, made("c"), "sha-ccccccc"),
			change: limits(sha(2, 0)), gone: "a", why: "sha-aaaaaaa: beyond the newest 2 of sha-*"},
		"the newest or the younger": {fixture: newFixture().add("a", 40, made("a"), "sha-aaaaaaa").add("b", 30, made("b"), "sha-bbbbbbb").add("c", 20, made("c"), "sha-ccccccc"),
			change: limits(sha(1, 35)), gone: "a", why: "sha-aaaaaaa: beyond 35 days and the newest 1 of sha-*"},
		"the first limits that match decide": {fixture: newFixture().add("a", 40, made("a"), "sha-aaaaaaa").add("b", 30, made("b"), "sha-bbbbbbb"),
			change: limits(service.TagLimits{Match: []string{"sha-a*"}, Limits: service.Limits{Newest: 1}}, sha(0, 1)), gone: "b"},
		"a tag of a commit on an older image has no age that one knows": {fixture: newFixture().add("a", 40, made("a"), "sha-aaaaaaa", "sha-fffffff").add("b", 4, made("b"), "main"),
			change: limits(sha(0, 1)), why: "sha-fffffff: nobody knows yet how old it is"},
		"but one that was seen before": {fixture: newFixture().add("a", 40, made("a"), "sha-aaaaaaa", "sha-fffffff").add("b", 4, made("b"), "main").seen("sha-fffffff", "a", 5),
			change: limits(sha(0, 4)), gone: "a"},
		"and not as old as its image": {fixture: newFixture().add("a", 40, made("a"), "sha-aaaaaaa", "sha-fffffff").add("b", 4, made("b"), "main").seen("sha-fffffff", "a", 5),
			change: limits(sha(0, 6)), why: "sha-fffffff: younger than 6 days"},
		"seen on another image": {fixture: newFixture().add("a", 40, made("a"), "sha-fffffff").add("b", 4, made("b"), "main").seen("sha-fffffff", "b", 50),
			change: limits(sha(0, 6)), why: "nobody knows yet"},
		"one that may be among the newest is": {fixture: newFixture().add("a", 40, made("a"), "sha-fffffff").add("b", 20, made("b"), "sha-bbbbbbb").seen("sha-fffffff", "a", 10), change: limits(sha(1, 0))},
		"a moving tag has no age that one knows": {fixture: newFixture().add("a", 90, Manifest{Image: true, Version: "nightly"}, "nightly").add("b", 4, made("b"), "main"),
			change: limits(service.TagLimits{Match: []string{"nightly"}, Limits: service.Limits{Younger: day}}), why: "nobody knows yet"},
		"a version has the age of the image that was made for it": {fixture: newFixture().add("a", 90, Manifest{Image: true, Version: "1.0.0"}, "1.0.0").add("b", 90, made("b"), "1.1.0").add("c", 4, made("c"), "main"),
			change: func(r *Rules) {
				r.Keep.Protect = nil
				r.Keep.Tags = []service.TagLimits{{Match: []string{"1.*"}, Limits: service.Limits{Younger: day}}}
			}, gone: "a", why: "1.1.0: nobody knows yet"},
		"layers of branches":         {fixture: newFixture().index("a", 9, "main").add("b", 9, Manifest{}, cache.Tag("main", []string{"linux/amd64"})).add("c", 9, Manifest{}, cache.Tag("gone", []string{"linux/amd64"})), gone: "c", why: "no branch that there is keeps its layers there"},
		"what runs tell one another": {fixture: newFixture().index("a", 9, "main").add("b", 9, Manifest{}, "ghcr-publish-journal").add("c", 9, Manifest{}, "ghcr-publish-memory-x").add("d", 9, Manifest{}), gone: "d"},
		"an index of which nothing is left": {fixture: newFixture().index("a", 9, "main").index("b", 9, "sha-bbbbbbb").lost("b0", "b1", "b2"), change: limits(sha(9, 0)), gone: "b",
			why: "sha-bbbbbbb: none of its images is there any more"},
		"an index of which some is left": {fixture: newFixture().index("a", 9, "main").index("b", 9, "mine").lost("b0")},
		"the last with a tag":            {fixture: newFixture().index("a", 9, "pr-1").index("b", 8, "pr-2").index("c", 7), gone: "a a0 a1 a2 c c0 c1 c2", why: "GitHub does not delete a package's last version"},
		"the last beside a journal":      {fixture: newFixture().index("a", 9, "pr-1").index("b", 8, "pr-2").add("c", 9, Manifest{}, registry.JournalTag), gone: "a a0 a1 a2", why: "GitHub does not delete a package's last version"},
		"the last of all":                {fixture: newFixture().add("a", 9, Manifest{}).add("b", 8, Manifest{Image: true}), change: nil, gone: "a"},
		"an image that GitHub does not list yet": {fixture: func() *fixture {
			f := newFixture().index("a", 9, "pr-1").index("b", 9)
			f.Manifests[digestOf("c")] = Manifest{Image: true, Children: []string{digestOf("b0")}}
			f.Unlisted[digestOf("c")] = []string{"main"}
			return f
		}(), gone: "a0 a1 a2 b b1 b2", why: "GitHub does not delete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := rulesWith(test.change).Plan(test.fixture.Package)
			if name == "an image that GitHub does not list yet" {
				test.gone = "b b1 b2" // and a stays, as the last with a tag that GitHub knows
			}
			if got := strings.Join(words(plan.Gone), " "); got != test.gone {
				t.Errorf("%q goes, want %q", got, test.gone)
			}
			if len(plan.Gone)+len(plan.Kept) != len(test.fixture.Versions) {
				t.Errorf("%d of %d versions are told of", len(plan.Gone)+len(plan.Kept), len(test.fixture.Versions))
			}
			var reasons []string
			for _, i := range append(plan.Gone, plan.Kept...) {
				if i.Why == "" {
					t.Errorf("%s has no reason", i.Digest)
				}
				reasons = append(reasons, i.Why)
			}
			if !slices.ContainsFunc(reasons, func(why string) bool { return strings.Contains(why, test.why) }) {
				t.Errorf("none of the reasons is %q: %q", test.why, reasons)
			}
		})
	}
}

// TestPlanOrder has what needs others, and what they tell of, go first.
func TestPlanOrder(t *testing.T) {
	t.Parallel()
	f := newFixture().index("a", 9, "main").index("b", 9).add("e", 9, Manifest{Subject: digestOf("b")}).
		add("f", 9, Manifest{Children: []string{digestOf("e")}}, strings.Replace(digestOf("b"), ":", "-", 1)).add("d", 8, Manifest{Image: true, Children: []string{digestOf("b")}})
	done := map[string]bool{}
	for _, item := range rulesWith(nil).Plan(f.Package).Gone {
		for _, first := range item.After {
			if !done[first] {
				t.Errorf("%s goes before %s", item.Digest, first)
			}
		}
		done[item.Digest] = true
	}
	want := []string{digestOf("b0"), digestOf("b1"), digestOf("b2"), digestOf("b"), digestOf("d"), digestOf("e"), digestOf("f")}
	if got := slices.Sorted(maps.Keys(done)); !slices.Equal(got, want) {
		t.Errorf("%q go, want %q", got, want)
	}
}

func TestPlanBytes(t *testing.T) {
	t.Parallel()
	f := newFixture().add("a", 9, Manifest{Image: true, Sizes: map[string]int64{"shared": 100, "own": 5}}, "main").
		add("b", 9, Manifest{Image: true, Sizes: map[string]int64{"shared": 100, "one": 7}}).add("c", 9, Manifest{Image: true, Sizes: map[string]int64{"one": 7, "two": 20}})
	if got := rulesWith(nil).Plan(f.Package).Bytes; got != 27 {
		t.Errorf("%d bytes, want 27", got)
	}
}

func TestPlanTells(t *testing.T) {
	t.Parallel()
	f := newFixture().index("a", 9, "main", "pr-1").index("b", 9, "mine").lost("b0")
	plan := rulesWith(nil).Plan(f.Package)
	if diff := cmp.Diff([]Idle{{"pr-1", "pull request 1 is closed"}}, plan.Idle); diff != "" {
		t.Errorf("idle (-want +got):\n%s", diff)
	}
	if len(plan.Broken) != 1 || !strings.HasPrefix(plan.Broken[0], "mine lacks 1 of the 3 manifests that it lists, such as sha256:b0b0") {
		t.Errorf("broken: %q", plan.Broken)
	}
}

// forget has versions be deleted by an earlier run, some days ago.
func (f *fixture) forget(days int, words ...string) *fixture {
	var records []Record
	for _, word := range words {
		i := slices.IndexFunc(f.Versions, func(v github.Version) bool { return v.Digest == digestOf(word) })
		records = append(records, Record{Version: f.Versions[i], Manifest: f.Manifests[digestOf(word)], Since: now.Add(-time.Duration(days) * day)})
		f.lost(word)
	}
	f.addLost(records, nil)
	return f
}

// TestPlanLost has what an earlier run deleted come back where something needs it, and be what it was.
func TestPlanLost(t *testing.T) {
	t.Parallel()
	fallback := strings.Replace(digestOf("b0"), ":", "-", 1)
	needs := func() *fixture {
		return newFixture().add("m", 9, Manifest{Image: true, Children: []string{digestOf("b0")}}, "main").index("b", 9).add("e", 9, Manifest{Subject: digestOf("b0")}).add("f", 9, Manifest{Children: []string{digestOf("e")}}, fallback)
	}
	for name, test := range map[string]struct {
		fixture        *fixture
		restored, gone string
	}{
		"nothing needs it":                      {newFixture().add("a", 9, Manifest{Image: true}, "main").index("b", 9).forget(1, "b", "b0"), "", "b1 b2"},
		"what was a part is no image":           {newFixture().add("a", 9, Manifest{Image: true}, "main").add("c", 12, Manifest{Image: true}).index("b", 9).forget(1, "b"), "", "b0 b1 b2 c"},
		"with what tells of it":                 {needs().forget(1, "b", "b0", "f", "e"), "b0 e f", "b1 b2"},
		"after the time in which it comes back": {needs().forget(31, "b", "b0", "f", "e"), "", "b1 b2"},
	} {
		plan := rulesWith(func(r *Rules) { r.Keep.Untagged.Newest = 1 }).Plan(test.fixture.Package)
		if got := strings.Join(words(plan.Restored), " "); got != test.restored {
			t.Errorf("%s: %q come back, want %q", name, got, test.restored)
		}
		if got := strings.Join(words(plan.Gone), " "); got != test.gone {
			t.Errorf("%s: %q go, want %q", name, got, test.gone)
		}
	}
}

// TestPlanShare refuses what takes too many of the images with a tag at once.
func TestPlanShare(t *testing.T) {
	t.Parallel()
	with := func(gone, kept int) *fixture {
		f := newFixture().add("m", 9, Manifest{Image: true}, "main")
		for i := range gone {
			f.add(fmt.Sprintf("g%02d", i), 9, Manifest{Image: true}, fmt.Sprintf("pr-%d", i+1))
		}
		for i := range kept {
			f.add(fmt.Sprintf("k%02d", i), 9, Manifest{Image: true}, fmt.Sprintf("mine-%d", i))
		}
		return f
	}
	for _, test := range []struct {
		gone, kept int
		refused    bool
	}{{10, 0, false}, {11, 10, false}, {11, 9, true}} {
		if got := rulesWith(nil).Plan(with(test.gone, test.kept).Package).Refused; (got != "") != test.refused {
			t.Errorf("%d of %d: %q", test.gone, test.gone+test.kept+1, got)
		}
	}
}

// TestSightings are of the tags that limits are about and whose age no image tells.
func TestSightings(t *testing.T) {
	t.Parallel()
	f := newFixture().add("a", 40, Manifest{Image: true, Revision: strings.Repeat("a", 40)}, "sha-aaaaaaa", "sha-bbbbbbb", "sha-ccccccc", "mine").seen("sha-ccccccc", "a", 9)
	got := rulesWith(limits(sha(1, 0))).Plan(f.Package).Sightings()
	want := []insight.Sighting{{Tag: "sha-bbbbbbb", Digest: digestOf("a"), Since: now}, {Tag: "sha-ccccccc", Digest: digestOf("a"), Since: now.Add(-9 * day)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
