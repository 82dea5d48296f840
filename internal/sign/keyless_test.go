package sign

import (
	"context"
	"crypto/elliptic"
	"net/http"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/sigstoretest"
)

// certify has an image be signed by whoever the token of a Sigstore is of.
func (s *stage) certify(t *testing.T, of *sigstoretest.Server) {
	t.Helper()
	instance, err := NewInstance(of.SigningConfig(), of.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	s.Identity = func(ctx context.Context) (*Identity, error) {
		return instance.Keyless(ctx, &http.Client{Transport: http.DefaultTransport}, of.Token("sigstore"))
	}
}

const workflow = "https://github.com/octo-org/shared/.github/workflows/images.yml@refs/tags/v1"

func TestKeyless(t *testing.T) {
	t.Parallel()
	world := sigstoretest.Start()
	defer world.Close()
	s := newStage(t, ecKey(elliptic.P256()))
	s.certify(t, world)
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
	if want := "cosign verify --certificate-identity '" + workflow + "' --certificate-oidc-issuer '" + world.URL + "' " + candidate.Name(); record.Verify[0] != want {
		t.Errorf("it is proven by %q, want %q", record.Verify[0], want)
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
	if record, err = s.Sign(t.Context(), s.approval); err != nil || record.Before || world.Entries() != 3 {
		t.Errorf("on another ref: record %+v, %d entries, %v", record, world.Entries(), err)
	}
}

func TestKeylessFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*testing.T, *stage, *sigstoretest.Server)
		want   string
	}{
		"no certificate":   {func(_ *testing.T, _ *stage, w *sigstoretest.Server) { w.Fail("/api/v2/signingCert", 403) }, "asking for a certificate: Fulcio returned 403"},
		"no log":           {func(_ *testing.T, _ *stage, w *sigstoretest.Server) { w.Fail("/api/v1/log", 400) }, "making a bundle of https://sigstore.dev/cosign/sign/v1: [POST /api/v1/log/entries][400]"},
		"no timestamp":     {func(_ *testing.T, _ *stage, w *sigstoretest.Server) { w.Fail("/timestamp", 403) }, "timestamp authority returned 403"},
		"an unknown token": {func(t *testing.T, s *stage, w *sigstoretest.Server) { s.present(t, w, w.Token("somebody else")) }, "Fulcio returned 401"},
		"no token at all":  {func(t *testing.T, s *stage, w *sigstoretest.Server) { s.present(t, w, "token") }, "unable to get subject"},
		"a stranger's root": {func(t *testing.T, s *stage, w *sigstoretest.Server) {
			other := sigstoretest.Start()
			t.Cleanup(other.Close)
			instance := must(NewInstance(w.SigningConfig(), other.TrustedRoot()))
			s.Identity = func(ctx context.Context) (*Identity, error) {
				return instance.Keyless(ctx, &http.Client{Transport: http.DefaultTransport}, w.Token("sigstore"))
			}
		}, "cannot be proven"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := sigstoretest.Start()
			defer world.Close()
			s := newStage(t, ecKey(elliptic.P256()))
			s.certify(t, world)
			c.change(t, s, world)
			record, err := s.Sign(t.Context(), s.approval)
			if err == nil || !strings.Contains(err.Error(), c.want) || record.By() != "" {
				t.Errorf("record %+v, error %v, want one that says %q", record, err, c.want)
			}
		})
	}
}

// present shows a token of a test's own.
func (s *stage) present(t *testing.T, to *sigstoretest.Server, token string) {
	t.Helper()
	instance := must(NewInstance(to.SigningConfig(), to.TrustedRoot()))
	s.Identity = func(ctx context.Context) (*Identity, error) {
		return instance.Keyless(ctx, &http.Client{Transport: http.DefaultTransport}, token)
	}
}

func TestSigningEndsWithItsContext(t *testing.T) {
	t.Parallel()
	world := sigstoretest.Start()
	defer world.Close()
	s := newStage(t, ecKey(elliptic.P256()))
	s.certify(t, world)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.Identity(ctx); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("a certificate was asked for after the end: %v", err)
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
