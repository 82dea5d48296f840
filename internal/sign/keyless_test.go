package sign

import (
	"context"
	"crypto/elliptic"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/sigstoretest"
)

// keyless asks one Sigstore to certify whoever a token of it is of, to be proven by what another one is proven by.
func keyless(ctx context.Context, of, by *sigstoretest.Server, token string) (*Identity, error) {
	instance, err := NewInstance(of.SigningConfig(), by.TrustedRoot())
	if err != nil {
		return nil, err
	}
	return instance.Keyless(ctx, &http.Client{Transport: http.DefaultTransport}, token)
}

// certifiedStage is a stage on which whoever the token of a Sigstore is of signs.
func certifiedStage(t *testing.T, world *sigstoretest.Server) *stage {
	t.Helper()
	s := newStage(t, ecKey(elliptic.P256()))
	s.certify(t, world)
	return s
}

func (s *stage) certify(t *testing.T, world *sigstoretest.Server) {
	t.Helper()
	var err error
	if s.Who, err = keyless(t.Context(), world, world, world.Token("sigstore")); err != nil {
		t.Fatal(err)
	}
}

const workflow = "https://github.com/octo-org/shared/.github/workflows/images.yml@refs/tags/v1"

func TestKeyless(t *testing.T) {
	t.Parallel()
	world := sigstoretest.Start()
	defer world.Close()
	s := certifiedStage(t, world)
	claim := Claim{Type: "https://example.com/one", Predicate: map[string]string{"a": "b"}}
	record, err := s.Sign(t.Context(), s.approval, claim)
	if err != nil {
		t.Fatal(err)
	}
	// The workflow that was called signs, not the one that calls.
	if record.Identity != workflow || record.Issuer != world.URL || record.PublicKey != "" || record.Before || record.By() != workflow {
		t.Errorf("record %+v", record)
	}
	candidate, _ := s.approval.Candidate()
	by := "cosign verify --certificate-identity '" + workflow + "' --certificate-oidc-issuer '" + world.URL + "' "
	for repository, want := range map[string]string{"": by, "octo-org/shared": by, "octo-org/cards": by + "--certificate-github-workflow-repository 'octo-org/cards' "} {
		s.Repository = repository
		if got := s.record(candidate, nil).Verify[0]; got != want+candidate.Name() {
			t.Errorf("in %q it is proven by %q, want %q", repository, got, want+candidate.Name())
		}
	}
	if n := world.Entries(); n != 2 {
		t.Errorf("the log has %d entries for 2 statements on 3 images", n)
	}
	s.wantProven(t, claim, s.approval.Images()...)
	s.wantProven(t, signed, s.approval.Images()...)

	// The same workflow need not sign again; another one must, and so must the same one on another ref.
	if record, err = s.Sign(t.Context(), s.approval, claim); err != nil || !record.Before || world.Entries() != 2 {
		t.Errorf("the second time: record %+v, %d entries, %v", record, world.Entries(), err)
	}
	world.Claim("job_workflow_ref", "octo-org/shared/.github/workflows/images.yml@refs/heads/feature")
	s.certify(t, world)
	if record, err = s.Sign(t.Context(), s.approval); err != nil || record.Before || world.Entries() != 3 {
		t.Errorf("on another ref: record %+v, %d entries, %v", record, world.Entries(), err)
	}
}

func TestNobodyIsCertified(t *testing.T) {
	t.Parallel()
	world := sigstoretest.Start()
	defer world.Close()
	ended, stop := context.WithCancel(t.Context())
	stop()
	for name, c := range map[string]struct {
		ctx         context.Context
		token, want string
	}{
		"a token for somebody else": {t.Context(), world.Token("somebody else"), "asking for a certificate: Fulcio returned 401"},
		"no token":                  {t.Context(), "hunter2", "asking for a certificate: "},
		"the end of the run":        {ended, world.Token("sigstore"), "context canceled"},
	} {
		if who, err := keyless(c.ctx, world, world, c.token); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.token) {
			t.Errorf("%s: certified %v, error %v, want one that says %q", name, who != nil, err, c.want)
		}
	}
	world.Fail("/api/v2/signingCert", 403)
	if _, err := keyless(t.Context(), world, world, world.Token("sigstore")); err == nil || !strings.Contains(err.Error(), "Fulcio returned 403") {
		t.Errorf("an authority that is out of order: %v", err)
	}
}

func TestNothingIsSignedWithoutAWitness(t *testing.T) {
	t.Parallel()
	for path, c := range map[string]struct {
		status int
		want   string
	}{
		"/api/v1/log": {400, "making a bundle of https://sigstore.dev/cosign/sign/v1: [POST /api/v1/log/entries][400]"},
		"/timestamp":  {403, "timestamp authority returned 403"},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			world := sigstoretest.Start()
			defer world.Close()
			s := certifiedStage(t, world)
			world.Fail(path, c.status)
			if record, err := s.Sign(t.Context(), s.approval); err == nil || !strings.Contains(err.Error(), c.want) || record.By() != "" || s.writes != 0 {
				t.Errorf("record %+v, %d writes, error %v, want one that says %q", record, s.writes, err, c.want)
			}
		})
	}
}

func TestAStrangersCertificateProvesNothing(t *testing.T) {
	t.Parallel()
	world, stranger := sigstoretest.Start(), sigstoretest.Start()
	defer world.Close()
	defer stranger.Close()
	s := certifiedStage(t, world)
	var err error
	if s.Who, err = keyless(t.Context(), stranger, world, stranger.Token("sigstore")); err != nil {
		t.Fatal(err)
	}
	if record, err := s.Sign(t.Context(), s.approval); err == nil || !strings.Contains(err.Error(), "cannot be proven") || s.writes != 0 {
		t.Errorf("record %+v, %d writes, error %v", record, s.writes, err)
	}
}

func TestClaimsGoToGitHub(t *testing.T) {
	t.Parallel()
	world := sigstoretest.Start()
	defer world.Close()
	s := certifiedStage(t, world)
	api := githubtest.Start("token")
	defer api.Close()
	client := must(github.New(api.URL, "octo-org/cards", "token"))
	s.Store, s.Stored, s.Repository = client.Attest, client.Attested, "octo-org/cards"
	claims := []Claim{{Type: "https://example.com/all", Predicate: map[string]int{"n": 1}}, {Type: "https://example.com/one", Predicate: map[string]int{"n": 2}, Image: s.approval.Images()[0]}}
	record, err := s.Sign(t.Context(), s.approval, claims...)
	if err != nil {
		t.Fatal(err)
	}
	stored := api.Attestations()
	if len(stored) != 2 || len(stored[0].Subjects) != 3 || len(stored[1].Subjects) != 1 || s.listed != 3 {
		t.Errorf("stored %+v, and %d indexes written", stored, s.listed)
	}
	candidate, _ := s.approval.Candidate()
	want := "gh attestation verify oci://" + candidate.Name() + " --repo 'octo-org/cards' --cert-identity '" + workflow + "' --predicate-type 'https://example.com/all'"
	if len(record.Verify) != 3 || record.Verify[1] != want {
		t.Errorf("it is proven by %q, want %q", record.Verify, want)
	}
	s.wantProven(t, signed, s.approval.Images()...)
	if record, err = s.Sign(t.Context(), s.approval, claims...); err != nil || !record.Before || len(api.Attestations()) != 2 {
		t.Errorf("the second time: record %+v, %d stored, %v", record, len(api.Attestations()), err)
	}

	// Where GitHub takes none, nothing is said of the image anywhere.
	s.writes = 0
	s.certify(t, world)
	api.Fail(1, http.StatusNotFound, nil, "")
	api.Fail(1, http.StatusNotFound, nil, "")
	api.Fail(1, http.StatusForbidden, nil, `{"message":"Resource not accessible by integration"}`)
	if _, err = s.Sign(t.Context(), s.approval, claims...); !errors.Is(err, github.ErrNoStore) || !strings.Contains(err.Error(), "attestations: write") || s.writes != 0 {
		t.Errorf("%d writes, %v", s.writes, err)
	}
}

func TestNewInstanceTellsNothingOfItsFiles(t *testing.T) {
	t.Parallel()
	world := sigstoretest.Start()
	defer world.Close()
	config, trusted := world.SigningConfig(), world.TrustedRoot()
	if _, err := NewInstance(config, trusted); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][2][]byte{"no config": {[]byte("hunter2"), trusted}, "no root": {config, []byte("hunter2")}, "swapped": {trusted, config}} {
		if _, err := NewInstance(files[0], files[1]); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
