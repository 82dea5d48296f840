package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

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
	if _, err := open(t, server).UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif)); err != nil {
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

func TestCacheUsage(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	c := open(t, server)
	for gigabytes, want := range map[int]int64{0: 10 << 30, 150: 150 << 30} {
		server.FillCache(1234, gigabytes)
		if used, limit, err := c.CacheUsage(t.Context()); used != 1234 || limit != want || err != nil {
			t.Errorf("CacheUsage() = %d of %d, %v", used, limit, err)
		}
	}
	server.WithholdCacheUsage()
	if _, _, err := c.CacheUsage(t.Context()); err == nil || !strings.Contains(err.Error(), "`actions: read`") {
		t.Errorf("without the right to ask: %v", err)
	}
	if problems := server.Problems(); len(problems) > 0 {
		t.Errorf("the API refused %q", problems)
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
		{"switched off", 403, "Code scanning is not enabled for this repository.", true, "Code scanning is not enabled for this repository. Switch it on in the repository's settings"},
		{"archived", 403, "Repository was archived so is read-only.", true, "archived"},
		{"not there", 404, "Not Found", true, "Not Found"},
		{"a file it will not take", 400, "Invalid SARIF", false, "GitHub answered 400: Invalid SARIF"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.Start(token)
			defer server.Close()
			server.Fail(1, c.status, nil, `{"message":"`+c.message+`"}`)
			_, err := open(t, server).UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif))
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
			if _, err := open(t, server).UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif)); err != nil || len(server.SARIFs()) != 1 {
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

func TestProcessed(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		pending int
		errors  []string
		waits   []time.Duration
		want    string // part of the error; empty for none
	}{
		{"at once", 0, nil, nil, ""},
		{"after a while", 2, nil, []time.Duration{5 * time.Second, 10 * time.Second}, ""},
		{"at the last look", 5, nil, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second}, ""},
		{"too late", 6, nil, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second}, ErrPending.Error()},
		{"with errors", 1, []string{"rule 7 has no id", "and no name"}, []time.Duration{5 * time.Second}, "GitHub says: rule 7 has no id; and no name"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.Start(token)
			defer server.Close()
			server.Process(c.pending, c.errors...)
			client := open(t, server)
			var waits []time.Duration
			client.pause = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
			id, err := client.UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif))
			if err != nil {
				t.Fatal(err)
			}
			err = client.Processed(t.Context(), id)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || !slices.Equal(waits, c.waits) {
				t.Errorf("Processed() = %v after %v; want %q after %v", err, waits, c.want, c.waits)
			}
		})
	}
}

func TestProcessedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	server.Process(9)
	client := open(t, server)
	id, err := client.UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	client.pause = func(ctx context.Context, _ time.Duration) error { cancel(late); return pause(ctx, time.Hour) }
	if err := client.Processed(ctx, id); !errors.Is(err, late) || !errors.Is(err, ErrPending) {
		t.Errorf("Processed() = %v", err)
	}
}

// TestProcessedCannotBeAsked tells that apart from an upload that was not taken, and that GitHub did not process.
func TestProcessedCannotBeAsked(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{400: "asking code scanning: GitHub answered 400: no", 403: "not available", 404: "not available"} {
		server := githubtest.Start(token)
		defer server.Close()
		server.KeepSilent(status, "no")
		client := open(t, server)
		id, err := client.UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Processed(t.Context(), id); !errors.Is(err, ErrUnknown) || errors.Is(err, ErrPending) || errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), want) {
			t.Errorf("Processed() = %v, want %q", err, want)
		}
	}
}

// TestProcessedEndsInTheMiddleOfALook has the time end while GitHub is asked, which does not make the upload one that was not taken.
func TestProcessedEndsInTheMiddleOfALook(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	client := open(t, server)
	id, err := client.UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	cancel(late)
	if err := client.Processed(ctx, id); !errors.Is(err, late) || !errors.Is(err, ErrPending) {
		t.Errorf("Processed() = %v", err)
	}
}

// TestWaitsNoLongerThanTheRequestMayTake has GitHub ask for a wait of an hour: that is told at once.
func TestWaitsNoLongerThanTheRequestMayTake(t *testing.T) {
	t.Parallel()
	inAnHour := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	for name, c := range map[string]struct {
		status int
		header http.Header
		want   string
	}{
		"429":                   {429, http.Header{"Retry-After": {"3600"}}, "GitHub is asked too often"},
		"403":                   {403, http.Header{"Retry-After": {"3600"}}, "not available"},
		"the budget is used up": {403, http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {inAnHour}, "X-Ratelimit-Limit": {"1000"}}, "used up until"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.Start(token)
			defer server.Close()
			server.Fail(9, c.status, c.header, "")
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
			defer cancel()
			_, err := open(t, server).UploadSARIF(ctx, sha, "refs/heads/main", []byte(sarif))
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.want) || server.Requests() != 1 {
				t.Errorf("UploadSARIF() = %v after %d requests", err, server.Requests())
			}
		})
	}
	for name, header := range map[string]http.Header{
		"a moment":             {"Retry-After": {"0"}},
		"the budget is coming": {"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.Start(token)
			defer server.Close()
			server.Fail(1, http.StatusForbidden, header, "")
			if _, err := open(t, server).UploadSARIF(t.Context(), sha, "refs/heads/main", []byte(sarif)); err != nil || len(server.SARIFs()) != 1 {
				t.Errorf("UploadSARIF() = %v", err)
			}
		})
	}
}

func TestScanningEnabled(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	c := open(t, server)
	if err := c.ScanningEnabled(t.Context()); err != nil {
		t.Error(err)
	}
	for _, refusal := range []struct {
		status        int
		message, want string
	}{
		{http.StatusNotFound, "no analysis found", ""},
		{http.StatusNotFound, "Not Found", "Not Found"},
		{http.StatusForbidden, "Code scanning is not enabled for this repository.", "Switch it on"},
		{http.StatusForbidden, "Resource not accessible by integration", "`security-events: write`"},
	} {
		server.WithholdAlerts(refusal.status, refusal.message)
		err := c.ScanningEnabled(t.Context())
		if (err == nil) != (refusal.want == "") || err != nil && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), refusal.want)) {
			t.Errorf("%+v: %v", refusal, err)
		}
	}
	if problems := server.Problems(); len(problems) > 0 {
		t.Errorf("the API refused %q", problems)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	c := open(t, server)
	server.Fail(1, http.StatusUnauthorized, nil, "")
	if _, err := c.Tip(t.Context(), "refs/heads/main"); Status(err) != http.StatusUnauthorized {
		t.Errorf("the status of %v is %d", err, Status(err))
	}
	if got := Status(errors.New("no answer")); got != 0 {
		t.Errorf("the status of no refusal is %d", got)
	}
}
