package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/githubtest"
)

// bundle is as much of one as GitHub looks at.
const bundle = `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"AA=="},"tlogEntries":[{}]},` +
	`"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}],"payload":"` +
	// {"predicateType":"https://example.com/a?b","subject":[{"digest":{"sha256":"0…0"}}]}
	`eyJwcmVkaWNhdGVUeXBlIjoiaHR0cHM6Ly9leGFtcGxlLmNvbS9hP2IiLCJzdWJqZWN0IjpbeyJkaWdlc3QiOnsic2hhMjU2IjoiMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCJ9fV19"}}`

func TestAttest(t *testing.T) {
	t.Parallel()
	server := githubtest.Start("token")
	defer server.Close()
	client, err := New(server.URL, "octo/cards", "token")
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	if err := client.Attest(t.Context(), []byte(bundle)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		digest, predicateType string
		want                  int
	}{{digest, "https://example.com/a?b", 1}, {digest, "https://example.com/a", 0}, {"sha256:" + strings.Repeat("1", 64), "https://example.com/a?b", 0}} {
		got, err := client.Attested(t.Context(), c.digest, c.predicateType)
		if err != nil || len(got) != c.want || c.want == 1 && string(got[0]) != bundle {
			t.Errorf("%s has of type %s %q, %v; want %d", c.digest, c.predicateType, got, err, c.want)
		}
	}
	if err := client.Attest(t.Context(), []byte(`{}`)); err == nil || errors.Is(err, ErrNoStore) {
		t.Errorf("what is no bundle: %v", err)
	}
}

func TestAttestWhereThereIsNoStore(t *testing.T) {
	t.Parallel()
	server := githubtest.Start("token")
	defer server.Close()
	client, err := New(server.URL, "octo/cards", "token")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status int
		body   string
		none   bool // there is no store
	}{
		{http.StatusForbidden, `{"message":"Resource not accessible by integration"}`, true}, {http.StatusNotFound, "", true},
		{http.StatusUnprocessableEntity, `{"message":"Invalid bundle"}`, false}, {http.StatusUnauthorized, "", false},
	} {
		server.Fail(1, c.status, nil, c.body)
		if err := client.Attest(t.Context(), []byte(bundle)); err == nil || errors.Is(err, ErrNoStore) != c.none {
			t.Errorf("%d: %v", c.status, err)
		}
		server.Fail(1, c.status, nil, c.body)
		if got, err := client.Attested(t.Context(), "sha256:0", "a"); got != nil || (err == nil) != c.none {
			t.Errorf("%d: listed %q, %v", c.status, got, err)
		}
	}
}
