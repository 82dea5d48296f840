package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/githubtest"
)

const (
	token = "ghs_token"
	sha   = "0123456789abcdef0123456789abcdef01234567"
	sarif = `{"version":"2.1.0","$schema":"https://json.schemastore.org/sarif-2.1.0.json","runs":[{"tool":{"driver":{"name":"Trivy"}},"automationDetails":{"id":"ghcr-publish/api/linux/amd64/"},"results":[]}]}`
)

func open(t *testing.T, server *githubtest.Server) *Client {
	t.Helper()
	client, err := New(server.URL, "octo/cards", token)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestUploadSARIF(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	if err := open(t, server).UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif)); err != nil {
		t.Fatal(err)
	}
	uploads := server.SARIFs()
	if len(uploads) != 1 || uploads[0].Repository != "octo/cards" || uploads[0].CommitSHA != sha || uploads[0].Ref != "refs/heads/main" || uploads[0].ToolName != "ghcr-publish" {
		t.Errorf("uploads %+v", uploads)
	}
	if problems := server.Problems(); len(problems) > 0 {
		t.Errorf("the API refused: %q", problems)
	}
}

func TestTip(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	server.SetRef("heads/feat/x", sha)
	if got, err := open(t, server).Tip(t.Context(), "refs/heads/feat/x"); err != nil || got != sha {
		t.Errorf("Tip() = %q, %v; want %s", got, err, sha)
	}
	if got, err := open(t, server).Tip(t.Context(), "refs/heads/gone"); err == nil || !strings.Contains(err.Error(), "refs/heads/gone") {
		t.Errorf("Tip() = %q, %v; want an error that names the ref", got, err)
	}
}

func TestUploadSARIFExplainsRefusals(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name        string
		status      int
		message     string
		unavailable bool
		want        string
	}{
		{"a token without the permission", 403, "Resource not accessible by integration", true, "the token lacks `security-events: write`"},
		{"switched off", 403, "Code scanning is not enabled for this repository.", true, "Code scanning is not enabled"},
		{"not there", 404, "Not Found", true, "Not Found"},
		{"a file it will not take", 400, "Invalid SARIF", false, "GitHub answered 400: Invalid SARIF"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.Start(token)
			defer server.Close()
			server.Fail(1, c.status, nil, `{"message":"`+c.message+`"}`)
			err := open(t, server).UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif))
			if err == nil || errors.Is(err, ErrUnavailable) != c.unavailable || !strings.Contains(err.Error(), c.want) {
				t.Errorf("UploadSARIF() = %v; want %q, unavailable %v", err, c.want, c.unavailable)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

func TestUploadSARIFTriesAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		header http.Header
	}{
		"busy":      {http.StatusServiceUnavailable, nil},
		"too often": {http.StatusTooManyRequests, http.Header{"Retry-After": {"1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.Start(token)
			defer server.Close()
			server.Fail(1, answer.status, answer.header, "")
			if err := open(t, server).UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif)); err != nil || len(server.SARIFs()) != 1 {
				t.Errorf("UploadSARIF() = %v with %d uploads", err, len(server.SARIFs()))
			}
		})
	}
}

func TestNewWantsARepository(t *testing.T) {
	t.Parallel()
	for _, repository := range []string{"", "cards", "/cards", "octo/"} {
		if _, err := New("https://api.github.com", repository, token); err == nil {
			t.Errorf("New(%q) gave no error", repository)
		}
	}
}
