package promote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
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
	tip    string           // of the branch, at the remote
	asked  []string
}

func (s *shelf) resolve(_ context.Context, from, tag string) (registry.Image, bool, error) {
	s.asked = append(s.asked, "read "+tag)
	if from != image {
		return registry.Image{}, false, fmt.Errorf("%s is another image", from)
	}
	at, found := s.tags[tag]
	return at, found, s.broken["read "+tag]
}

func (s *shelf) tag(_ context.Context, approval verdict.Approval, tag string) error {
	s.asked = append(s.asked, "move "+tag)
	ref, err := approval.Candidate()
	if err = errors.Join(err, s.broken["move "+tag]); err != nil {
		return err
	}
	s.tags[tag] = registry.Image{Ref: ref}
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

func (s *shelf) promoter() Promoter {
	return Promoter{Resolve: s.resolve, Tag: s.tag, IsAncestor: ancestors, Commit: at("c"),
		Tip:  func(context.Context) (string, error) { return s.tip, nil },
		Tags: func(context.Context, string) ([]string, error) { return slices.Collect(maps.Keys(s.tags)), nil }}
}

func one(name string, kind tags.Kind, version string) tags.Set {
	return tags.Set{Version: version, Tags: []tags.Tag{{Name: name, Kind: kind}}}
}

func TestMove(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		kind    tags.Kind
		version string
		now     *registry.Image // what the tag points to; nil: nothing
		kept    string          // empty: it is moved
	}{
		{"a new branch tag", tags.Branch, "main", nil, ""},
		{"a new release tag", tags.Release, "1.2.3", nil, ""},
		{"a new fixed tag", tags.Fixed, "1.2.3", nil, ""},
		{"a tag that is there already", tags.Branch, "main", &registry.Image{Ref: ours, Revision: at("e")}, "it is there already"},
		{"a branch goes forward", tags.Branch, "main", &registry.Image{Ref: theirs, Revision: at("b")}, ""},
		{"a branch never goes back", tags.Branch, "main", &registry.Image{Ref: theirs, Revision: at("d")}, "the newer commit ddddddd is published there"},
		{"a branch at the same commit is built again", tags.Branch, "main", &registry.Image{Ref: theirs, Revision: at("c")}, ""},
		{"a branch at a commit that the clone lacks", tags.Branch, "main", &registry.Image{Ref: theirs, Revision: at("f")},
			"commit fffffff, which this clone does not know, is published there, and this run's is not the tip of its branch"},
		{"a branch at what was never committed", tags.Branch, "main", &registry.Image{Ref: theirs, Revision: at("f") + "-dirty"}, ""},
		{"a branch at an image without a commit", tags.Branch, "main", &registry.Image{Ref: theirs}, ""},
		{"a release goes forward", tags.Release, "1.2.3", &registry.Image{Ref: theirs, Version: "1.2.2"}, ""},
		{"a release never goes back", tags.Release, "1.2.3", &registry.Image{Ref: theirs, Version: "1.10.0"}, "the newer version 1.10.0 is published there"},
		{"a release with a letter in front", tags.Release, "v1.2.3", &registry.Image{Ref: theirs, Version: "v2.0.0"}, "the newer version v2.0.0 is published there"},
		{"a release of the same version", tags.Release, "1.2.3", &registry.Image{Ref: theirs, Version: "1.2.3"}, ""},
		{"a release after its own candidate", tags.Release, "1.2.3", &registry.Image{Ref: theirs, Version: "1.2.3-rc.1"}, ""},
		{"a release over an image without a version", tags.Release, "1.2.3", &registry.Image{Ref: theirs, Version: "main"}, ""},
		{"a release does not go by commits", tags.Release, "1.2.3", &registry.Image{Ref: theirs, Revision: at("e"), Version: "1.2.2"}, ""},
		{"a fixed tag goes where its run says", tags.Fixed, "1.2.3", &registry.Image{Ref: theirs, Revision: at("e"), Version: "9.0.0"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{tags: map[string]registry.Image{}}
			want := tags.Move{Tag: "x", To: ours.DigestStr(), Kept: c.kept}
			asked := []string{"read x"}
			if c.now != nil {
				s.tags["x"], want.From = *c.now, c.now.Ref.DigestStr()
			}
			if c.kept == "" {
				asked = append(asked, "move x")
			}
			moves, err := s.promoter().Promote(t.Context(), image, approve(t), one("x", c.kind, c.version))
			if diff := cmp.Diff([]tags.Move{want}, moves); diff != "" || err != nil {
				t.Errorf("error %v, moves (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff(asked, s.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTipMovesOverAnUnknownCommit(t *testing.T) {
	t.Parallel()
	// A force push leaves the published commit outside of every clone.
	s := &shelf{tags: map[string]registry.Image{"main": {Ref: theirs, Revision: at("f")}}, tip: at("c")}
	moves, err := s.promoter().Promote(t.Context(), image, approve(t), one("main", tags.Branch, "main"))
	if err != nil || moves[0].Kept != "" || s.tags["main"].Ref != ours {
		t.Errorf("moves %+v, %v", moves, err)
	}
}

func TestReleasesFollowTheirLine(t *testing.T) {
	t.Parallel()
	published := []string{"2.0.0", "1.10.1", "1.9.3", "3.0.0-rc.1", "main", "sha-abc"}
	for _, c := range []struct {
		tag, version string
		moves        bool
	}{
		{"latest", "1.10.2", false}, {"latest", "2.0.1", true}, {"1", "1.10.2", true}, {"1", "1.9.4", false},
		{"1.9", "1.9.4", true}, {"1.9", "1.9.2", false}, {"v2", "2.0.0", true}, {"stable", "1.10.2", false},
	} {
		// What the tag points to was used again: its label is of no use.
		s := &shelf{tags: map[string]registry.Image{c.tag: {Ref: theirs, Version: "main"}}}
		for _, name := range published {
			s.tags[name] = registry.Image{Ref: theirs}
		}
		moves, err := s.promoter().Promote(t.Context(), image, approve(t), one(c.tag, tags.Release, c.version))
		if err != nil || (moves[0].Kept == "") != c.moves {
			t.Errorf("%s for %s: %+v, %v; want it moved: %v", c.tag, c.version, moves, err, c.moves)
		}
	}
}

func release() tags.Set {
	return tags.Set{Version: "1.2.3", Tags: []tags.Tag{{Name: "main", Kind: tags.Branch}, {Name: "latest", Kind: tags.Release},
		{Name: "1.2.3", Kind: tags.Fixed}, {Name: "edge", Kind: tags.Branch}, {Name: "1.2", Kind: tags.Release}, {Name: "sha-abc", Kind: tags.Fixed}}}
}

func TestBranchTagsMoveLast(t *testing.T) {
	t.Parallel()
	s := &shelf{tags: map[string]registry.Image{}}
	set := release()
	before := slices.Clone(set.Tags)
	if _, err := s.promoter().Promote(t.Context(), image, approve(t), set); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, tag := range []string{"1.2.3", "sha-abc", "latest", "1.2", "main", "edge"} {
		want = append(want, "read "+tag, "move "+tag) // each is read just before it moves
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, set.Tags); diff != "" {
		t.Errorf("the caller's set was put in another order:\n%s", diff)
	}
}

func TestPromotingTwiceIsPromotingOnce(t *testing.T) {
	t.Parallel()
	s := &shelf{tags: map[string]registry.Image{}}
	for range 2 {
		s.asked = nil
		if _, err := s.promoter().Promote(t.Context(), image, approve(t), release()); err != nil {
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
			moves, err := s.promoter().Promote(t.Context(), image, approve(t), release())
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
	s := &shelf{tags: map[string]registry.Image{}}
	if moves, err := s.promoter().Promote(t.Context(), image, verdict.Approval{}, release()); err == nil || moves != nil || s.asked != nil {
		t.Errorf("without an approval: %v, %v, asked %q; want an error before anything is asked", moves, err, s.asked)
	}
}

func TestNothingToMove(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	if moves, err := s.promoter().Promote(t.Context(), image, approve(t), tags.Set{}); err != nil || moves != nil {
		t.Errorf("an empty set: %v, %v", moves, err)
	}
}
