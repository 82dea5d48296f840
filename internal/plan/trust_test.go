package plan

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/registry"
)

// TestTrust tells whose signed verdicts which runs use.
func TestTrust(t *testing.T) {
	t.Parallel()
	on := func(ref, event string) actions.Event {
		return actions.Event{Ref: ref, Name: event, DefaultBranch: "main"}
	}
	protected := on("refs/heads/release", "push")
	protected.Protected = true
	for _, c := range []struct {
		run        actions.Event
		ref, event string
		used       bool
	}{
		{on("refs/heads/main", "push"), "refs/heads/main", "push", true},
		{on("refs/heads/main", "push"), "refs/heads/main", "workflow_dispatch", true},
		{on("refs/heads/main", "push"), "refs/heads/main", "pull_request_target", false},
		{on("refs/heads/main", "push"), "refs/heads/main", "workflow_run", false},
		{on("refs/heads/main", "workflow_run"), "refs/heads/main", "push", true},
		{on("refs/heads/main", "workflow_run"), "refs/pull/7/merge", "pull_request", false},
		{on("refs/heads/main", "push"), "refs/heads/feature", "push", false},
		{on("refs/heads/main", "push"), "refs/tags/v1.2.3", "push", false},
		{on("refs/heads/main", "push"), "refs/pull/7/merge", "pull_request", false},
		{on("refs/heads/main", "push"), "", "", false},
		{on("refs/heads/feature", "push"), "refs/heads/main", "push", true},
		{on("refs/heads/feature", "push"), "refs/heads/other", "push", true},
		{on("refs/heads/feature", "push"), "refs/tags/v1.2.3", "push", true},
		{on("refs/heads/feature", "push"), "refs/pull/7/merge", "pull_request", false},
		{on("refs/tags/v1.2.3", "push"), "refs/heads/main", "push", true},
		{on("refs/tags/v1.2.3", "push"), "refs/tags/v1.2.3", "push", true},
		{on("refs/tags/v1.2.3", "push"), "refs/tags/v1.2.2", "push", false},
		{on("refs/tags/v1.2.3", "push"), "refs/heads/feature", "push", false},
		{on("refs/pull/7/merge", "pull_request"), "refs/pull/8/merge", "pull_request", true},
		{on("refs/pull/7/merge", "pull_request"), "refs/heads/main", "push", true},
		{protected, "refs/heads/release", "push", true},
		{protected, "refs/heads/main", "push", true},
		{protected, "refs/heads/feature", "push", false},
		{on("", ""), "refs/heads/main", "push", false}, // nobody knows what that run is
	} {
		p := Planner{Event: c.run}
		if used := p.trusted(c.ref, c.event) >= p.demanded(); used != c.used {
			t.Errorf("%s on %s uses what %s on %s has signed: %v, want %v", c.run.Name, c.run.Ref, c.event, c.ref, used, c.used)
		}
		p.Config.ReuseFrom = "pull_request"
		if used := p.trusted(c.ref, c.event) >= p.demanded(); used != (c.ref != "") {
			t.Errorf("%s on %s, where pull requests do, uses what %s on %s has signed: %v", c.run.Name, c.run.Ref, c.event, c.ref, used)
		}
	}
}

func TestProven(t *testing.T) {
	t.Parallel()
	good := Proof{Service: "api", Inputs: "sha256:1", Ref: "refs/heads/main", Event: "push", Run: "https://x/1"}
	other, foreign, low := good, good, good
	other.Inputs, foreign.Service, low.Ref = "sha256:2", "web", "refs/heads/feature"
	for what, c := range map[string]struct {
		proofs []Proof
		err    error
		want   string // empty: it is proven
	}{
		"signed":              {proofs: []Proof{good}},
		"signed among others": {proofs: []Proof{other, foreign, low, good}},
		"unsigned":            {want: "no verdict on it is signed by a job of this repository"},
		"of other inputs":     {proofs: []Proof{other}, want: "that https://x/1 of refs/heads/main has signed is of something else"},
		"of another service":  {proofs: []Proof{foreign}, want: "is of something else"},
		"less trusted":        {proofs: []Proof{low}, want: "of refs/heads/feature, on push, which is trusted less than refs/heads/main"},
		"nobody knows":        {err: errors.New("503"), want: "looking for signed verdicts on it: 503"},
	} {
		p := Planner{Event: actions.Event{Ref: "refs/heads/main", Name: "push", DefaultBranch: "main"},
			Proven: func(context.Context, name.Digest) ([]Proof, error) { return c.proofs, c.err }}
		proof, err := p.proven(t.Context(), Service{Name: "api"}, registry.Image{Annotations: map[string]string{InputsKey: "sha256:1"}})
		if (proof != nil) != (c.want == "") || proof != nil && *proof != good || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", what, proof, err, c.want)
		}
	}
}
