package action

import (
	"errors"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
)

// TestPublishedAs: what a run has approved is in the Compose file only under a tag that points to it.
func TestPublishedAs(t *testing.T) {
	t.Parallel()
	const mine, other = "sha256:aa", "sha256:bb"
	candidate, err := name.NewDigest("ghcr.io/octo/a@sha256:" + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	platforms := []verdict.Platform{{Platform: "linux/amd64", Digest: candidate.DigestStr(), User: "app"}}
	approved := verdict.Judge(verdict.Evidence{Candidate: candidate, Wanted: []string{"linux/amd64"}, Platforms: platforms,
		Probe: verdict.Probe{Platform: "linux/amd64", Healthy: true}}, service.DefaultGates())
	moved := func(tag string) tags.Move { return tags.Move{Tag: tag, From: other, To: mine} }
	inPlace := func(tag string) tags.Move {
		return tags.Move{Tag: tag, From: mine, To: mine, Kept: "it is there already"}
	}
	kept := func(tag string) tags.Move {
		return tags.Move{Tag: tag, From: other, To: mine, Kept: "a newer one is published"}
	}
	for _, c := range []struct {
		name    string
		verdict verdict.Verdict
		action  plan.Action
		moves   []tags.Move
		err     error
		want    string
	}{
		{"all moved", approved, plan.Build, []tags.Move{moved("sha-1"), moved("latest"), moved("1.2.0")}, nil, "1.2.0"},
		{"in place", approved, plan.Reuse, []tags.Move{inPlace("1.2.0"), inPlace("sha-1")}, nil, "1.2.0"},
		{"the version is another's", approved, plan.Build, []tags.Move{kept("1.2.0"), moved("sha-1"), kept("latest")}, nil, "sha-1"},
		{"all is newer", approved, plan.Build, []tags.Move{kept("1.2.0"), kept("latest")}, nil, ""},
		{"held back", approved, plan.Build, nil, nil, ""},
		{"broken off", approved, plan.Build, []tags.Move{moved("1.2.0")}, errors.New("the registry is down"), ""},
		{"refused", verdict.Verdict{}, plan.Build, []tags.Move{moved("1.2.0")}, nil, ""},
		{"left alone", approved, plan.Skip, []tags.Move{inPlace("1.2.0")}, nil, ""},
	} {
		set := tags.Set{Version: "1.2.0", Tags: []tags.Tag{{Name: "latest"}, {Name: "1.2.0"}, {Name: "sha-1"}}}
		r := publish.Result{Plan: plan.Service{Action: c.action, TagSet: set}, Verdict: c.verdict, Moves: c.moves, Err: c.err}
		if got := publishedAs(r); got != c.want {
			t.Errorf("%s: it is published as %q, want %q", c.name, got, c.want)
		}
	}
}
