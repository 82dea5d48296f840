package promote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
)

const image = "ghcr.io/octo/backend"

var (
	ours   = digest("a")
	theirs = digest("b")
)

func digest(digit string) name.Digest {
	ref, err := name.NewDigest(image + "@sha256:" + strings.Repeat(digit, 64))
	if err != nil {
		panic(err)
	}
	return ref
}

func approve(t *testing.T) verdict.Approval {
	t.Helper()
	approval, err := verdict.Judge(verdict.Evidence{Candidate: ours, Wanted: []string{"linux/amd64"}, Platforms: []verdict.Platform{{Platform: "linux/amd64"}},
		Probe: verdict.Probe{Healthy: true}}, service.DefaultGates()).Approval()
	if err != nil {
		t.Fatal(err)
	}
	return approval
}

// A shelf is a registry of one image: what its tags point to, and what was asked of it, in order.
type shelf struct {
	tags   map[string]registry.Image
	broken map[string]error // by "read tag" or "move tag"
	asked  []string
	// meanwhile is done once, between the look at a tag and its move.
	meanwhile func()
	// afterwards is done once, after a move.
	afterwards func()
	// lost is how many moves fail on their way; with arrived they are made all the same.
	lost    int
	arrived bool

	tip    string            // of the branch, at the remote
	noTip  error             // why the remote does not tell
	inputs map[string]string // of the service, by commit
}

func (s *shelf) resolve(_ context.Context, from, tag string) (registry.Image, bool, error) {
	s.asked = append(s.asked, "read "+tag)
	if from != image {
		return registry.Image{}, false, fmt.Errorf("%s is another image", from)
	}
	at, found := s.tags[tag]
	return at, found, s.broken["read "+tag]
}

func (s *shelf) tag(_ context.Context, approval verdict.Approval, tag, from string) error {
	s.asked = append(s.asked, "move "+tag)
	ref, err := approval.Candidate()
	if err = errors.Join(err, s.broken["move "+tag]); err != nil {
		return err
	}
	if s.meanwhile != nil {
		s.meanwhile()
		s.meanwhile = nil
	}
	at := ""
	if now, found := s.tags[tag]; found {
		at = now.Ref.DigestStr()
	}
	if at != from {
		return fmt.Errorf("%s: %w", tag, registry.ErrMoved)
	}
	if s.lost--; s.lost >= 0 && !s.arrived {
		return fmt.Errorf("%s: %w", tag, registry.ErrUnsure)
	}
	s.tags[tag] = registry.Image{Ref: ref, Revision: strings.Repeat("c", 40)}
	if s.lost >= 0 {
		return fmt.Errorf("%s: %w", tag, registry.ErrUnsure)
	}
	if s.afterwards != nil {
		s.afterwards()
		s.afterwards = nil
	}
	return nil
}

// ancestors is a line of commits: each letter comes before the next ones.
func ancestors(_ context.Context, old, new string) (bool, error) {
	const line = "abcde"
	i, j := strings.Index(line, old[:1]), strings.Index(line, new[:1])
	if i < 0 || j < 0 {
		return false, errors.New("no such commit")
	}
	return i <= j, nil
}

// at is the commit that a letter stands for.
func at(letter string) string { return strings.Repeat(letter, 40) }

var rules, _ = tags.Parse("type=semver,pattern={{version}}\ntype=semver,pattern={{version}},suffix=-alpine\ntype=semver,pattern={{major}}.{{minor}}\ntype=ref,event=tag")

func (s *shelf) promote(t *testing.T, set ...tags.Tag) ([]tags.Move, error) {
	t.Helper()
	p := Promoter{Resolve: s.resolve, Tag: s.tag, Versions: rules.Published, IsAncestor: ancestors, Commit: at("c"),
		Tip:  func(context.Context) (string, error) { s.asked = append(s.asked, "tip"); return s.tip, s.noTip },
		Tags: func(context.Context, string) ([]string, error) { return slices.Collect(maps.Keys(s.tags)), nil },
		InputsAt: func(_ context.Context, _ plan.Service, commit string) (string, error) {
			inputs, known := s.inputs[commit]
			switch {
			case known:
				return inputs, nil
			case s.inputs == nil && commit == at("e"):
				return "others", nil
			}
			return "", errors.New("no such commit")
		}}
	return p.Promote(t.Context(), plan.Service{Name: "backend", Image: image, TagSet: tags.Set{Tags: set}}, approve(t))
}

func revision(letter string) *registry.Image {
	return &registry.Image{Ref: theirs, Revision: at(letter)}
}

func TestMove(t *testing.T) {
	t.Parallel()
	branch, version := tags.Tag{Kind: tags.Branch}, tags.Tag{Kind: tags.Version, Release: "1.2.3"}
	release := tags.Tag{Kind: tags.Release, Release: "1.2.3"}
	labelled := func(version string) *registry.Image { return &registry.Image{Ref: theirs, Version: version} }
	cases := []struct {
		name string
		tag  tags.Tag
		now  *registry.Image // what the tag points to; nil: nothing
		kept string          // empty: it is moved
	}{
		{"a new branch tag", branch, nil, ""},
		{"a new release tag", release, nil, ""},
		{"a new version", version, nil, ""},
		{"a new commit's tag", tags.Tag{Kind: tags.Commit}, nil, ""},
		{"a tag that is there already", branch, &registry.Image{Ref: ours, Revision: at("e")}, "it is there already"},
		{"a branch goes forward", branch, revision("b"), ""},
		{"a branch never goes back", branch, revision("d"), "the newer commit ddddddd is published there"},
		{"a branch never goes back past uncommitted files", branch, &registry.Image{Ref: theirs, Revision: at("d") + plan.Dirty}, "the newer commit ddddddd is published there"},
		{"a branch at the same commit is built again", branch, revision("c"), ""},
		{"a branch at a commit that the clone lacks", branch, revision("f"),
			"commit fffffff, which this clone does not know, is published there, and this run's is not the tip of its branch"},
		{"a branch at an image without a commit", branch, &registry.Image{Ref: theirs}, ""},
		{"a branch at an image of another tool", branch, &registry.Image{Ref: theirs, Revision: "v1"}, ""},
		{"a release goes forward", release, labelled("1.2.2"), ""},
		{"a release never goes back", release, labelled("1.10.0"), "the newer version 1.10.0 is published there"},
		{"a release of the same version", release, labelled("1.2.3"), ""},
		{"a release after its own candidate", release, labelled("1.2.3-rc.1"), ""},
		{"a release over an image without a version", release, labelled("main"), ""},
		{"a release does not go by commits", release, &registry.Image{Ref: theirs, Revision: at("e"), Version: "1.2.2"}, ""},
		{"what is no version goes by commits", tags.Tag{Kind: tags.Release}, revision("e"), "the newer commit eeeeeee is published there"},
		{"what is no version goes forward by commits", tags.Tag{Kind: tags.Release}, revision("a"), ""},
		{"a version never changes", version, revision("a"), "another image is published as this version, and a version never changes"},
		{"a commit that is built again", tags.Tag{Kind: tags.Commit}, revision("c"), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{tags: map[string]registry.Image{}, tip: at("e")}
			want := tags.Move{Tag: "x", To: ours.DigestStr(), Kept: c.kept}
			if c.now != nil {
				s.tags["x"], want.From = *c.now, c.now.Ref.DigestStr()
			}
			c.tag.Name = "x"
			moves, err := s.promote(t, c.tag)
			if diff := cmp.Diff([]tags.Move{want}, moves); diff != "" || err != nil {
				t.Errorf("error %v, moves (-want +got):\n%s", err, diff)
			}
			if moved := slices.Contains(s.asked, "move x"); moved != (c.kept == "") {
				t.Errorf("asked %q; want it moved: %v", s.asked, !moved)
			}
		})
	}
}

// TestTip has branches where ancestry alone does not tell what is newer.
func TestTip(t *testing.T) {
	t.Parallel()
	earlier := func(inputs string) *registry.Image {
		return &registry.Image{Ref: theirs, Revision: at("a"), Annotations: map[string]string{plan.InputsKey: inputs}}
	}
	cases := []struct {
		name   string
		now    *registry.Image
		tip    string
		noTip  error
		inputs map[string]string
		kept   string // empty: it is moved
		fails  string
	}{
		{"a force push left the published commit outside of every clone", revision("f"), at("c"), nil, nil, "", ""},
		{"no remote, and the clone knows the published commit", revision("b"), "", errors.New("no remote"), nil, "", ""},
		{"no remote, and the clone does not know the published commit", revision("f"), "", errors.New("no remote"), nil, "",
			"commit fffffff is published, which this clone does not know, and the branch cannot be asked whether it is newer: no remote (check out with fetch-depth: 0)"},
		{"reverted at the tip: what is published is what the tip has", earlier("one"), at("e"), nil, map[string]string{at("e"): "one"},
			"the branch is at eeeeeee by now, and what is published there is the same", ""},
		{"changed again at the tip", earlier("one"), at("e"), nil, map[string]string{at("e"): "two"}, "", ""},
		{"the tip is not in the clone, so its run must move the tag", earlier("one"), at("f"), nil, nil,
			"the branch is at fffffff by now, and what the image is there cannot be told: no such commit", ""},
		{"this commit is the tip and reverts", earlier("one"), at("c"), nil, map[string]string{at("c"): "one"}, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{tags: map[string]registry.Image{"main": *c.now, "edge": *c.now}, tip: c.tip, noTip: c.noTip, inputs: c.inputs}
			moves, err := s.promote(t, tags.Tag{Name: "main", Kind: tags.Branch}, tags.Tag{Name: "edge", Kind: tags.Branch})
			if c.fails != "" {
				if err == nil || !strings.HasSuffix(err.Error(), c.fails) || s.tags["main"].Ref != theirs {
					t.Errorf("moves %+v, %v; want %q", moves, err, c.fails)
				}
				return
			}
			if err != nil || moves[0].Kept != c.kept || moves[1].Kept != c.kept {
				t.Errorf("moves %+v, %v; want kept %q", moves, err, c.kept)
			}
			if n := strings.Count(strings.Join(s.asked, ","), "tip"); n != 1 {
				t.Errorf("the remote was asked %d times, want once for all tags", n)
			}
		})
	}
}

// TestForcePush has a branch that left this run's commit (a, b, c) behind: it went from a to d and e.
func TestForcePush(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, published, tip, kept string }{
		{"what is published is part of the branch", "d", "e", "the branch is at eeeeeee by now, which this run's commit is no part of any more"},
		{"what is published is no part of it either", "b", "e", ""},
		{"this run's commit is the tip again", "d", "c", ""},
	} {
		s := &shelf{tags: map[string]registry.Image{"main": *revision(c.published)}}
		p := Promoter{Resolve: s.resolve, Tag: s.tag, Versions: rules.Published, Commit: at("c"),
			Tip:        func(context.Context) (string, error) { return at(c.tip), nil },
			InputsAt:   func(context.Context, plan.Service, string) (string, error) { return "others", nil },
			IsAncestor: forked}
		moves, err := p.Promote(t.Context(), plan.Service{Image: image, TagSet: tags.Set{Tags: []tags.Tag{{Name: "main", Kind: tags.Branch}}}}, approve(t))
		if err != nil || moves[0].Kept != c.kept {
			t.Errorf("%s: moves %+v, %v; want kept %q", c.name, moves, err, c.kept)
		}
	}
}

// TestNobodyToAsk has a history that is published (a, d, e) and this run's (a, b, c) lie apart, and no remote that tells where the branches are.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		published   string
		shared      bool
		kept, fails string
	}{
		{"d", false, "", "commit ddddddd is published, which this run's commit does not come after, and the branch cannot be asked whether it is newer: no remote (run this again once it can; `force-move: true` moves the tag all the same)"},
		{"b", false, "", ""},
		{"d", true, "it follows the default branch, and whether this run's commit is part of that cannot be told: no remote (run this again once it can)", ""},
		{"b", true, "it follows the default branch, and whether this run's commit is part of that cannot be told: no remote (run this again once it can)", ""},
		{"c", true, "", ""},
	} {
		s := &shelf{tags: map[string]registry.Image{"main": *revision(c.published)}}
		ask := func(context.Context) (string, error) { return "", errors.New("no remote") }
		p := Promoter{Resolve: s.resolve, Tag: s.tag, Versions: rules.Published, Commit: at("c"), Tip: ask, Trunk: ask, IsAncestor: forked}
		moves, err := p.Promote(t.Context(), plan.Service{Image: image, TagSet: tags.Set{Tags: []tags.Tag{{Name: "main", Kind: tags.Branch, Shared: c.shared}}}}, approve(t))
		if (c.fails == "") != (err == nil) || err != nil && !strings.HasSuffix(err.Error(), c.fails) || err == nil && moves[0].Kept != c.kept {
			t.Errorf("%+v: moves %+v, %v", c, moves, err)
		}
	}
}

// forked has two lines of commits that begin with the same.
func forked(_ context.Context, old, new string) (bool, error) {
	return slices.ContainsFunc([]string{"abc", "ade"}, func(line string) bool {
		return strings.Contains(line, old[:1]) && strings.Contains(line, new[:1]) && strings.Index(line, old[:1]) <= strings.Index(line, new[:1])
	}), nil
}

// TestGitTag has runs of git tags in clones that lack what is published: that a git tag is at a commit still says nothing of what is newer.
func TestGitTag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		published string
		noFetch   error
		kept      string // empty: it is moved
	}{
		{"d", nil, "the newer commit ddddddd is published there"},
		{"b", nil, ""},
		{"d", errors.New("no remote"), "commit ddddddd, which neither this clone nor its origin has, is published there, and a git tag does not tell whether it is newer"},
	} {
		s := &shelf{tags: map[string]registry.Image{"latest": *revision(c.published)}}
		fetched := false
		p := Promoter{Resolve: s.resolve, Tag: s.tag, Versions: rules.Published, Commit: at("c"), GitTag: true,
			Tip:   func(context.Context) (string, error) { return at("c"), nil },
			Fetch: func(context.Context, string) error { fetched = true; return c.noFetch },
			IsAncestor: func(ctx context.Context, old, new string) (bool, error) {
				if !fetched {
					return false, errors.New("no such commit")
				}
				return ancestors(ctx, old, new)
			}}
		tag := tags.Tag{Name: "latest", Kind: tags.Release}
		moves, err := p.Promote(t.Context(), plan.Service{Image: image, TagSet: tags.Set{Tags: []tags.Tag{tag}}}, approve(t))
		if err != nil || moves[0].Kept != c.kept {
			t.Errorf("%+v: moves %+v, %v", c, moves, err)
		}
	}
}

func TestReleasesFollowTheirLine(t *testing.T) {
	t.Parallel()
	published := []string{"2.0.0", "1.10.1", "1.9.3", "3.0.0-rc.1", "1.8.9-alpine", "1.7", "main", "sha-abc", "20240501"}
	for _, c := range []struct {
		tag, line, version string
		moves              bool
	}{
		{"latest", "", "1.10.2", false}, {"latest", "", "2.0.1", true}, {"1", "1", "1.10.2", true}, {"1", "1", "1.9.4", false},
		{"1.9", "1.9", "1.9.4", true}, {"1.9", "1.9", "1.9.2", false}, {"v2", "2", "2.0.0", true}, {"stable", "", "1.10.2", false},
		{"api-1.9", "1.9", "1.9.2", false}, {"1.8-alpine", "1.8", "1.8.8", false}, {"1.8-alpine", "1.8", "1.8.10", true},
		{"1", "1", "1.6.5", false}, {"1.7", "1.7", "1.7.2", true},
	} {
		// What the tag points to was used again: its label is of no use.
		s := &shelf{tags: map[string]registry.Image{}}
		for _, name := range append(published, c.tag) {
			s.tags[name] = registry.Image{Ref: theirs, Version: "main"}
		}
		moves, err := s.promote(t, tags.Tag{Name: c.tag, Kind: tags.Release, Release: c.version, Line: c.line})
		if err != nil || (moves[0].Kept == "") != c.moves {
			t.Errorf("%s for %s: %+v, %v; want it moved: %v", c.tag, c.version, moves, err, c.moves)
		}
	}
}

func TestChannels(t *testing.T) {
	t.Parallel()
	published := []string{"1.2.3", "3.0.0", "1.3.0-beta.2", "v1.3.0-beta.10", "1.2.9-beta.11-alpine", "1.4.0-rc.1", "backend-v2.0.0-alpha", "5.0.0-7", "9.0.0-beta1", "web-9.0.0-beta.1"}
	for _, c := range []struct{ tag, line, version, kept string }{
		{"beta", "beta", "1.3.0-beta.3", "1.3.0-beta.10"}, {"beta", "beta", "1.3.0-beta.11", ""}, {"beta", "beta", "1.3.0-beta.10", ""},
		{"beta", "beta", "1.2.9-beta.12", "1.3.0-beta.10"}, {"beta", "beta", "1.3.1-beta.1", ""}, {"beta-alpine", "beta", "1.3.0-beta", "1.3.0-beta.10"},
		{"rc", "rc", "1.3.0-rc.9", "1.4.0-rc.1"}, {"rc", "rc", "1.4.0-rc.2", ""}, {"alpha", "alpha", "1.9.0-alpha", "2.0.0-alpha"},
		{"beta1", "beta1", "8.0.0-beta1.5", "9.0.0-beta1"}, {"nightly", "nightly", "0.1.0-nightly.1", ""},
		{"latest", "", "2.9.0", "3.0.0"}, {"latest", "", "3.0.1", ""}, {"1.3", "1.3", "1.3.0", ""}, {"1.4", "1.4", "1.4.0", ""},
	} {
		s := &shelf{tags: map[string]registry.Image{}}
		for _, name := range append(published, c.tag) {
			s.tags[name] = registry.Image{Ref: theirs, Version: "main"}
		}
		moves, err := s.promote(t, tags.Tag{Name: c.tag, Kind: tags.Release, Release: c.version, Line: c.line})
		if want := "the newer version " + c.kept + " is published there"; err != nil || c.kept == "" && moves[0].Kept != "" || c.kept != "" && moves[0].Kept != want {
			t.Errorf("%s for %s: %+v, %v; want it kept by %q", c.tag, c.version, moves, err, c.kept)
		}
	}
}

// TestChannelWithoutVersions: where no rule publishes the version itself, commits tell what is newer.
func TestChannelWithoutVersions(t *testing.T) {
	t.Parallel()
	for revised, kept := range map[string]string{"d": "the newer commit ddddddd is published there", "b": ""} {
		s := &shelf{tags: map[string]registry.Image{"beta": *revision(revised), "1.2.3": {Ref: theirs}}, tip: at("c")}
		moves, err := s.promote(t, tags.Tag{Name: "beta", Kind: tags.Release, Release: "1.3.0-beta.1", Line: "beta"})
		if err != nil || moves[0].Kept != kept {
			t.Errorf("beta at %s: %+v, %v; want kept %q", revised, moves, err, kept)
		}
	}
}

func TestReleasesFollowTheirService(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version string
		moves   bool
	}{{"1.2.9", false}, {"1.4.1", true}} {
		s := &shelf{tags: map[string]registry.Image{"backend-v1.4.0": {Ref: theirs}, "web-v3.0.0": {Ref: theirs}, "latest": {Ref: theirs}}}
		moves, err := s.promote(t, tags.Tag{Name: "latest", Kind: tags.Release, Release: c.version})
		if err != nil || (moves[0].Kept == "") != c.moves {
			t.Errorf("latest for %s: %+v, %v; want it moved: %v", c.version, moves, err, c.moves)
		}
	}
}

func TestReleaseStaysWithItsVersion(t *testing.T) {
	t.Parallel()
	s := &shelf{tags: map[string]registry.Image{"1.2.3": {Ref: theirs}, "latest": {Ref: theirs}, "main": {Ref: theirs}}, tip: at("c")}
	moves, err := s.promote(t, tags.Tag{Name: "1.2.3", Kind: tags.Version, Release: "1.2.3"}, tags.Tag{Name: "latest", Kind: tags.Release, Release: "1.2.3"},
		tags.Tag{Name: "1.2", Kind: tags.Release, Release: "1.2.3", Line: "1.2"}, tags.Tag{Name: "main", Kind: tags.Branch})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range moves {
		if moved := m.Kept == ""; moved != (m.Tag == "main") {
			t.Errorf("%+v; only main may move: 1.2.3 is another image", m)
		}
	}
}

func TestAnotherRunAtTheSameTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, theirs, kept string }{
		{"an older one", "b", ""}, {"a newer one", "d", "the newer commit ddddddd is published there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{tags: map[string]registry.Image{}, tip: at("e")}
			s.meanwhile = func() { s.tags["main"] = *revision(c.theirs) }
			moves, err := s.promote(t, tags.Tag{Name: "main", Kind: tags.Branch})
			want := []tags.Move{{Tag: "main", From: theirs.DigestStr(), To: ours.DigestStr(), Kept: c.kept}}
			if diff := cmp.Diff(want, moves); diff != "" || err != nil {
				t.Errorf("error %v, moves (-want +got):\n%s", err, diff)
			}
		})
	}
	s := &shelf{tags: map[string]registry.Image{}, broken: map[string]error{"move main": registry.ErrMoved}}
	if _, err := s.promote(t, tags.Tag{Name: "main", Kind: tags.Branch}); !errors.Is(err, registry.ErrMoved) || len(s.asked) != 2*attempts {
		t.Errorf("a tag that never holds still: %v after %q", err, s.asked)
	}
}

// TestAMoveThatNobodyKnowsOf looks again, and tells of it as of any other.
func TestAMoveThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	for _, arrived := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &shelf{tags: map[string]registry.Image{"main": *revision("b")}, tip: at("c"), lost: 2, arrived: arrived}
			moves, err := s.promote(t, tags.Tag{Name: "main", Kind: tags.Branch})
			want := []tags.Move{{Tag: "main", From: theirs.DigestStr(), To: ours.DigestStr()}}
			if diff := cmp.Diff(want, moves); diff != "" || err != nil || s.tags["main"].Ref != ours {
				t.Errorf("arrived %v: error %v, moves (-want +got):\n%s", arrived, err, diff)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{tags: map[string]registry.Image{}, tip: at("c"), lost: 99}
		if _, err := s.promote(t, tags.Tag{Name: "main", Kind: tags.Branch}); !errors.Is(err, registry.ErrUnsure) {
			t.Errorf("a tag that is never moved: %v", err)
		}
	})
}

// TestAnOlderRunComesAfter puts a newer run's tag back where an older one, that had decided before, took it away.
func TestAnOlderRunComesAfter(t *testing.T) {
	t.Parallel()
	for theirs, back := range map[string]bool{"b": true, "d": false} {
		s := &shelf{tags: map[string]registry.Image{}, tip: at("c")}
		s.afterwards = func() { s.tags["main"] = *revision(theirs) }
		moves, err := s.promote(t, tags.Tag{Name: "main", Kind: tags.Branch}, tags.Tag{Name: "edge", Kind: tags.Branch})
		if err != nil || len(moves) != 2 {
			t.Errorf("moves %+v, %v", moves, err)
		}
		if is := s.tags["main"].Ref == ours; is != back {
			t.Errorf("after another run put %s there, main is ours: %v", theirs, is)
		}
	}
}

func release() []tags.Tag {
	return []tags.Tag{{Name: "main", Kind: tags.Branch}, {Name: "latest", Kind: tags.Release, Release: "1.2.3"},
		{Name: "1.2.3", Kind: tags.Version, Release: "1.2.3"}, {Name: "edge", Kind: tags.Branch},
		{Name: "1.2", Kind: tags.Release, Release: "1.2.3", Line: "1.2"}, {Name: "sha-abc", Kind: tags.Commit}}
}

func TestBranchTagsMoveLast(t *testing.T) {
	t.Parallel()
	s := &shelf{tags: map[string]registry.Image{}}
	set := release()
	before := slices.Clone(set)
	if _, err := s.promote(t, set...); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, tag := range []string{"1.2.3", "sha-abc", "latest", "1.2", "main", "edge"} {
		want = append(want, "read "+tag, "move "+tag) // each is read just before it moves
	}
	want = append(want, "read latest", "read 1.2", "read main", "read edge") // what other runs move too is looked at once more
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, set); diff != "" {
		t.Errorf("the caller's set was put in another order:\n%s", diff)
	}
}

func TestPromotingTwiceIsPromotingOnce(t *testing.T) {
	t.Parallel()
	s := &shelf{tags: map[string]registry.Image{}}
	for range 2 {
		s.asked = nil
		if _, err := s.promote(t, release()...); err != nil {
			t.Fatal(err)
		}
	}
	for _, asked := range s.asked {
		if strings.HasPrefix(asked, "move") {
			t.Errorf("the second time it did %q", asked)
		}
	}
}

func TestErrorKeepsTheMovesSoFar(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"read latest", "move latest"} {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			down := errors.New("registry down")
			s := &shelf{tags: map[string]registry.Image{}, broken: map[string]error{broken: down}}
			moves, err := s.promote(t, release()...)
			if !errors.Is(err, down) || !strings.Contains(err.Error(), image) {
				t.Errorf("error %v, want one that names the image", err)
			}
			want := []tags.Move{{Tag: "1.2.3", To: ours.DigestStr()}, {Tag: "sha-abc", To: ours.DigestStr()}}
			if diff := cmp.Diff(want, moves); diff != "" {
				t.Errorf("moves (-want +got):\n%s", diff)
			}
			if _, moved := s.tags["main"]; moved || s.asked[len(s.asked)-1] != broken {
				t.Errorf("it went on after the error: %q", s.asked)
			}
		})
	}
}

func TestUnapprovedMovesNothing(t *testing.T) {
	t.Parallel()
	for name, approval := range map[string]verdict.Approval{"nothing": {}, "another image": approve(t)} {
		service := plan.Service{Image: "ghcr.io/octo/other", TagSet: tags.Set{Tags: release()}}
		// A call to the registry would panic.
		if moves, err := (Promoter{}).Promote(t.Context(), service, approval); err == nil || moves != nil {
			t.Errorf("%s was approved: %v, %v; want an error before anything is asked", name, moves, err)
		}
	}
}

func TestNothingToMove(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	if moves, err := s.promote(t); err != nil || moves != nil {
		t.Errorf("an empty set: %v, %v", moves, err)
	}
}
