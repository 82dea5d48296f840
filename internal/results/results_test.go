package results

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/resultstest"
)

func newClient(t *testing.T) (*Client, *resultstest.Server) {
	t.Helper()
	server := resultstest.Start()
	t.Cleanup(server.Close)
	client, err := New(server.URL, server.Token("run", "job"))
	if err != nil {
		t.Fatal(err)
	}
	client.http = retrying(time.Millisecond)
	return client, server
}

func checkProblems(t *testing.T, server *resultstest.Server) {
	t.Helper()
	if problems := server.Problems(); len(problems) > 0 {
		t.Errorf("the service refused %q", problems)
	}
}

// find returns an artifact by its name.
func find(t *testing.T, c *Client, name string) Artifact {
	t.Helper()
	all, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Name == name {
			return a
		}
	}
	t.Fatalf("there is no %s among %v", name, all)
	return Artifact{}
}

func TestArtifactsComeBack(t *testing.T) {
	t.Parallel()
	c, server := newClient(t)
	large := bytes.Repeat([]byte("0123456789"), 1<<19)
	for name, data := range map[string][]byte{"plan-1": []byte(`{"a":1}`), "row-1-backend@linux-arm64": large, "empty": {}} {
		if err := c.Upload(t.Context(), name, "plan.json", data); err != nil {
			t.Fatal(err)
		}
		got, err := c.Download(t.Context(), find(t, c, name))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s came back as %d bytes, %v", name, len(got), err)
		}
	}
	checkProblems(t, server)
}

// TestArtifactsOfOtherJobs reads what another job of the run keeps.
func TestArtifactsOfOtherJobs(t *testing.T) {
	t.Parallel()
	c, server := newClient(t)
	other, err := New(server.URL, server.Token("run", "another"))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Upload(t.Context(), "row", "row.json", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if data, err := c.Download(t.Context(), find(t, c, "row")); err != nil || string(data) != "1" {
		t.Errorf("got %q, %v", data, err)
	}
	checkProblems(t, server)
}

func TestUploadReplacesWhatAnEarlierTryLeft(t *testing.T) {
	t.Parallel()
	c, server := newClient(t)
	for _, data := range []string{"1", "2"} {
		if err := c.Upload(t.Context(), "plan", "plan.json", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(server.Read("plan")); got != "2" {
		t.Errorf("it holds %q", got)
	}
	checkProblems(t, server)
}

func TestUploadRefusesNames(t *testing.T) {
	t.Parallel()
	c, server := newClient(t)
	for _, name := range []string{"", "a/b", `a\b`, "a:b", "a\nb", "a*"} {
		if err := c.Upload(t.Context(), name, "f", nil); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	checkProblems(t, server)
}

func TestPassingFaultsPass(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 502, 503, 504, 429} {
		c, server := newClient(t)
		server.Fail(2, status, http.Header{"Retry-After": {"0"}}, "")
		if err := c.Upload(t.Context(), "plan", "plan.json", []byte("1")); err != nil {
			t.Errorf("after two times %d: %v", status, err)
		}
		server.Fail(2, status, http.Header{"Retry-After": {"0"}}, "")
		if _, err := c.List(t.Context()); err != nil {
			t.Errorf("after two times %d: %v", status, err)
		}
		checkProblems(t, server)
	}
}

// TestFaultsTellNoSecrets meets every fault at every request of a call.
func TestFaultsTellNoSecrets(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		status int
		body   string
		want   string
	}{
		"forbidden":     {403, `{"code":"permission_denied","msg":"no access"}`, "403 Forbidden: no access"},
		"not here":      {404, "<html>", "404 Not Found"},
		"down":          {503, "", "503 Service Unavailable"},
		"not ok":        {200, `{"ok":false}`, ""},
		"no JSON":       {200, `<html>`, ""},
		"odd address":   {200, `{"ok":true,"signed_upload_url":"http://127.0.0.1:1/?sig=s3cr3t-signature","signed_url":"http://127.0.0.1:1/?sig=s3cr3t-signature"}`, ""},
		"no address":    {200, `{"ok":true,"signed_upload_url":":","signed_url":":"}`, ""},
		"another shape": {200, `{"ok":"yes","artifacts":1,"signed_url":1}`, ""},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, server := newClient(t)
			if err := c.Upload(t.Context(), "there", "f", []byte("1")); err != nil {
				t.Fatal(err)
			}
			there := find(t, c, "there")
			calls := map[string]func() error{
				"upload":   func() error { return c.Upload(t.Context(), "new", "f", []byte("1")) },
				"list":     func() error { _, err := c.List(t.Context()); return err },
				"download": func() error { _, err := c.Download(t.Context(), there); return err },
			}
			for call, do := range calls {
				if call == "list" && answer.want == "" && name != "no JSON" && name != "another shape" {
					continue // which is an answer to it
				}
				server.Fail(5, answer.status, nil, answer.body)
				err := do()
				if err == nil || !strings.Contains(err.Error(), answer.want) {
					t.Errorf("%s: %v; want %q", call, err, answer.want)
				} else if strings.Contains(err.Error(), resultstest.Signature) || strings.Contains(err.Error(), c.token) {
					t.Errorf("%s tells a secret: %v", call, err)
				}
				server.Forgive()
			}
		})
	}
}

func TestDownloadRefuses(t *testing.T) {
	t.Parallel()
	archive := func(names ...string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, name := range names {
			entry, err := w.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := entry.Write(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	var bomb bytes.Buffer
	w := zip.NewWriter(&bomb)
	entry, err := w.Create("bomb")
	if err != nil {
		t.Fatal(err)
	}
	for range limit/(1<<20) + 1 {
		if _, err := entry.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"two files":   {archive("a", "b"), "2 files"},
		"no file":     {archive(), "0 files"},
		"no archive":  {[]byte("nothing"), "not a valid zip"},
		"half of one": {archive("a")[:80], "not a valid zip"},
		"a bomb":      {bomb.Bytes(), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := newClient(t)
			server.Put("x", c.archive)
			if _, err := client.Download(t.Context(), find(t, client, "x")); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	client, server := newClient(t)
	server.Put("x", archive("a"))
	a := find(t, client, "x")
	a.digest = "sha256:00"
	if _, err := client.Download(t.Context(), a); err == nil || !strings.Contains(err.Error(), "its digest is") {
		t.Errorf("another digest: %v", err)
	}
}

func TestCancelledCallsEnd(t *testing.T) {
	t.Parallel()
	c, server := newClient(t)
	c.http = retrying(time.Hour)
	server.Fail(1, 503, nil, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
}

// TestTheOtherSpelling reads answers as protobuf's own libraries write them, and GitHub's does not.
func TestTheOtherSpelling(t *testing.T) {
	t.Parallel()
	var address string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, method, _ := strings.Cut(r.URL.Path, "ArtifactService/"); method {
		case "CreateArtifact":
			_, _ = w.Write([]byte(`{"ok":true,"signedUploadUrl":"` + address + `/up?sig=1"}`))
		case "FinalizeArtifact":
			_, _ = w.Write([]byte(`{"ok":true,"artifactId":"7"}`))
		case "ListArtifacts":
			_, _ = w.Write([]byte(`{"artifacts":[{"workflowRunBackendId":"run","workflowJobRunBackendId":"job","databaseId":"1","name":"x","size":"1"}]}`))
		case "GetSignedArtifactURL":
			_, _ = w.Write([]byte(`{"name":"x","signedUrl":"` + address + `/down?sig=1"}`))
		default:
			if r.Method == http.MethodPut {
				w.WriteHeader(http.StatusCreated)
				return
			}
			data, _ := pack("f", []byte("1"))
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(server.Close)
	address = server.URL
	c, err := New(server.URL, (&resultstest.Server{}).Token("run", "job"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Upload(t.Context(), "x", "f", []byte("1")); err != nil {
		t.Error(err)
	}
	a := find(t, c, "x")
	if data, err := c.Download(t.Context(), a); err != nil || string(data) != "1" || a.run != "run" || a.job != "job" {
		t.Errorf("%+v holds %q, %v", a, data, err)
	}
}

func TestNewReadsTheToken(t *testing.T) {
	t.Parallel()
	claims := func(text string) string { return "a." + base64.RawURLEncoding.EncodeToString([]byte(text)) + ".c" }
	c, err := New("https://results.example/some/path", claims(`{"scp":"Actions.Other:1 Actions.Results:run:job Actions.More:1:2"}`))
	if err != nil || c.run != "run" || c.job != "job" || !strings.HasPrefix(c.service, "https://results.example/twirp/") {
		t.Errorf("%+v, %v", c, err)
	}
	for _, token := range []string{"", "a.b", "a.!.c", claims("{"), claims(`{}`), claims(`{"scp":"Actions.Results:run"}`), claims(`{"scp":"Actions.Results::"}`), claims(`{"scp":1}`)} {
		if _, err := New("https://results.example", token); err == nil || token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	for _, address := range []string{"", "results.example", "ftp://results.example", "://"} {
		if _, err := New(address, claims(`{"scp":"Actions.Results:run:job"}`)); err == nil {
			t.Errorf("address %q was taken", address)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	sound, err := pack("f", []byte("data"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add(sound[:len(sound)/2])
	f.Fuzz(func(t *testing.T, archive []byte) {
		if data, err := unpack(archive); err == nil && len(data) > limit {
			t.Errorf("%d bytes were read", len(data))
		}
	})
}

func FuzzScope(f *testing.F) {
	f.Add("a.eyJzY3AiOiJBY3Rpb25zLlJlc3VsdHM6MToyIn0.c")
	f.Fuzz(func(t *testing.T, token string) {
		if run, job, err := scope(token); err == nil && (run == "" || job == "") {
			t.Errorf("%q gives %q and %q", token, run, job)
		}
	})
}
