package sign

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sigstoretest"
	"github.com/org/ghcr-publish/internal/verdict"
)

// judged is a claim that an image was approved in a run on a ref.
func judged(ref, inputs string) Claim {
	of := run
	of.Ref = ref
	return Judgement("api", inputs, evidence(), verdict.Verdict{}, service.DefaultGates(), of)
}

// read are the refs and inputs of the verdicts that a verifier proves.
func read(t *testing.T, v Verifier, image name.Digest) (refs, inputs []string) {
	t.Helper()
	list, err := v.Verdicts(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range list {
		refs, inputs = append(refs, signed.Ref+" "+signed.Event), append(inputs, signed.Inputs)
	}
	return refs, inputs
}

func TestVerdictsOfAKey(t *testing.T) {
	t.Parallel()
	s := newStage(t, ecKey(elliptic.P256()))
	candidate, _ := s.approval.Candidate()
	mine := Verifier{Prover: s.Who.Prover, Attached: s.Attached}
	if refs, _ := read(t, mine, candidate); refs != nil {
		t.Errorf("nothing is signed, and %q is read", refs)
	}
	if _, err := s.Sign(t.Context(), s.approval, judged("refs/heads/feature", "sha256:3")); err != nil {
		t.Fatal(err)
	}
	if refs, inputs := read(t, mine, candidate); len(refs) != 1 || refs[0] != "refs/heads/feature push" || inputs[0] != "sha256:3" {
		t.Errorf("read %q of %q", inputs, refs)
	}
	// Somebody else's key proves nothing, and what it signs is nothing.
	s.by(t, ecKey(elliptic.P256()))
	if refs, _ := read(t, Verifier{Prover: s.Who.Prover, Attached: s.Attached}, candidate); refs != nil {
		t.Errorf("another key proves %q", refs)
	}
	if _, err := s.Sign(t.Context(), s.approval, judged("refs/heads/main", "sha256:4")); err != nil {
		t.Fatal(err)
	}
	if refs, _ := read(t, mine, candidate); len(refs) != 1 {
		t.Errorf("another key adds %q", refs)
	}
}

func TestVerdictsOfJobs(t *testing.T) {
	t.Parallel()
	world := sigstoretest.Start()
	defer world.Close()
	s := certifiedStage(t, world)
	candidate, _ := s.approval.Candidate()
	if _, err := s.Sign(t.Context(), s.approval, judged("refs/heads/main", "sha256:3")); err != nil {
		t.Fatal(err)
	}
	// The certificate says where a job ran, whatever the verdict says.
	world.Claim("ref", "refs/heads/feature")
	world.Claim("event_name", "pull_request_target")
	world.Claim("job_workflow_ref", "octo-org/cards/.github/workflows/other.yml@refs/heads/feature")
	s.certify(t, world)
	if _, err := s.Sign(t.Context(), s.approval, judged("refs/heads/main", "sha256:4")); err != nil {
		t.Fatal(err)
	}
	world.Claim("repository", "stranger/cards")
	world.Claim("job_workflow_ref", "stranger/cards/.github/workflows/other.yml@refs/heads/main")
	s.certify(t, world)
	if _, err := s.Sign(t.Context(), s.approval, judged("refs/heads/main", "sha256:5")); err != nil {
		t.Fatal(err)
	}
	instance, err := NewInstance(world.SigningConfig(), world.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string][]string{
		"https://github.com/octo-org/cards": {"refs/heads/feature pull_request_target", "refs/heads/main push"},
		"https://github.com/stranger/cards": {"refs/heads/feature pull_request_target"},
		"https://github.com/octo-org/card":  nil,
	} {
		jobs, err := instance.Jobs(world.URL, address)
		if err != nil {
			t.Fatal(err)
		}
		refs, _ := read(t, Verifier{Prover: jobs, Attached: s.Attached}, candidate)
		if slices.Sort(refs); !slices.Equal(refs, want) {
			t.Errorf("the jobs of %s have signed on %q, want %q", address, refs, want)
		}
	}
	// Another issuer's word counts for nothing.
	jobs, err := instance.Jobs("https://issuer.example", "https://github.com/octo-org/cards")
	if err != nil {
		t.Fatal(err)
	}
	if refs, _ := read(t, Verifier{Prover: jobs, Attached: s.Attached}, candidate); refs != nil {
		t.Errorf("another issuer's jobs have signed on %q", refs)
	}
	if _, err := instance.Jobs(world.URL, ""); err == nil {
		t.Error("a repository without an address has jobs")
	}
}

func TestVerdictsFromTheStore(t *testing.T) {
	t.Parallel()
	s := newStage(t, ecKey(elliptic.P256()))
	candidate, _ := s.approval.Candidate()
	data, err := s.Who.sign(t.Context(), judged("refs/heads/main", "sha256:3").about(s.approval.Images()))
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("rate limit")
	v := Verifier{Prover: s.Who.Prover, Attached: s.Attached, Stored: func(_ context.Context, digest, predicateType string) ([][]byte, error) {
		if digest != candidate.DigestStr() || predicateType != VerdictType {
			return nil, refused
		}
		return [][]byte{data, json.RawMessage(`{}`)}, nil
	}}
	if refs, _ := read(t, v, candidate); len(refs) != 1 {
		t.Errorf("the store has %q", refs)
	}
	if _, err := v.Verdicts(t.Context(), s.approval.Images()[0]); !errors.Is(err, refused) {
		t.Errorf("a store that refuses gives %v", err)
	}
}
