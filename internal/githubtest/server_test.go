package githubtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v62/github"
)

const (
	sha  = "0123456789abcdef0123456789abcdef01234567"
	good = `{"version":"2.1.0","$schema":"https://json.schemastore.org/sarif-2.1.0.json","runs":[
{"tool":{"driver":{"name":"Trivy","rules":[{"id":"CVE-1","name":"n","properties":{"tags":["security"]}}]}},
 "automationDetails":{"id":"images/api/"},
 "results":[{"ruleId":"CVE-1","ruleIndex":0,"message":{"text":"m"},"partialFingerprints":{"primaryLocationLineHash":"h"},
  "locations":[{"physicalLocation":{"artifactLocation":{"uri":"api/Dockerfile"},"region":{"startLine":1}}}]}]},
{"tool":{"driver":{"name":"Trivy"}},"automationDetails":{"id":"images/web/42"},"results":[]}]}`
)

func start(t *testing.T) (*Server, *github.Client) {
	t.Helper()
	s := Start("secret")
	t.Cleanup(s.Close)
	return s, connect(t, s, "secret")
}

func connect(t *testing.T, s *Server, token string) *github.Client {
	t.Helper()
	c := github.NewClient(nil).WithAuthToken(token)
	base, err := url.Parse(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	c.BaseURL = base
	return c
}

func pack(sarif string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(sarif))
	_ = w.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func analysis(sarif string) *github.SarifAnalysis {
	return &github.SarifAnalysis{CommitSHA: github.String(sha), Ref: github.String("refs/heads/main"), Sarif: github.String(pack(sarif))}
}

func upload(ctx context.Context, c *github.Client, a *github.SarifAnalysis) (string, error) {
	id, _, err := c.CodeScanning.UploadSarif(ctx, "o", "r", a)
	return id.GetID(), err
}

func TestUpload(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	a := analysis(good)
	a.ToolName = github.String("ghcr-publish")
	id, err := upload(t.Context(), c, a)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal([]byte(good), &want); err != nil {
		t.Fatal(err)
	}
	wantUploads := []Upload{{Repository: "o/r", CommitSHA: sha, Ref: "refs/heads/main", ToolName: "ghcr-publish",
		Categories: []string{"images/api", "images/web"}, Results: 1, Log: want}}
	if diff := cmp.Diff(wantUploads, s.SARIFs()); diff != "" {
		t.Errorf("SARIFs() differs (-want +got):\n%s", diff)
	}

	s.Process(1)
	for _, want := range []string{"pending", "complete", "complete"} {
		got, _, err := c.CodeScanning.GetSARIF(t.Context(), "o", "r", id)
		if err != nil || got.GetProcessingStatus() != want {
			t.Fatalf("GetSARIF() = %v, %v; want it %s", got, err, want)
		}
		if done := want == "complete"; done != strings.HasSuffix(got.GetAnalysesURL(), "/api/v3/repos/o/r/code-scanning/analyses?sarif_id="+id) {
			t.Errorf("while %s the analyses are at %q", want, got.GetAnalysesURL())
		}
	}
	if got := s.Problems(); len(got) != 0 {
		t.Errorf("Problems() = %q", got)
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	field := func(set func(*github.SarifAnalysis)) func(context.Context, *github.Client) error {
		return func(ctx context.Context, c *github.Client) error {
			a := analysis(good)
			set(a)
			_, err := upload(ctx, c, a)
			return err
		}
	}
	raw := func(method, path, kind, body string) func(context.Context, *github.Client) error {
		return func(ctx context.Context, c *github.Client) error {
			r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.BaseURL.String(), "/")+path, strings.NewReader(body))
			if err != nil {
				return err
			}
			r.Header.Set("Content-Type", kind)
			_, err = c.Do(ctx, r, nil)
			return err
		}
	}
	const route = "/repos/o/r/code-scanning/sarifs"
	for name, test := range map[string]struct {
		do     func(context.Context, *github.Client) error
		status int
		says   string
	}{
		"short sha":        {field(func(a *github.SarifAnalysis) { a.CommitSHA = github.String("abc") }), 422, "commit_sha"},
		"branch as ref":    {field(func(a *github.SarifAnalysis) { a.Ref = github.String("main") }), 422, "ref"},
		"no file":          {field(func(a *github.SarifAnalysis) { a.Sarif = nil }), 422, "sarif"},
		"not base64":       {field(func(a *github.SarifAnalysis) { a.Sarif = github.String("{}") }), 400, "base64"},
		"not zipped":       {field(func(a *github.SarifAnalysis) { a.Sarif = github.String("e30=") }), 400, "gzip"},
		"cut off":          {field(func(a *github.SarifAnalysis) { a.Sarif = github.String(pack(good)[:40]) }), 400, "unpacking"},
		"not JSON":         {field(func(a *github.SarifAnalysis) { a.Sarif = github.String(pack("no")) }), 400, "reading"},
		"too large":        {field(func(a *github.SarifAnalysis) { a.Sarif = github.String(strings.Repeat("AAAA", 4<<20)) }), 413, "too large"},
		"form":             {raw("POST", route, "application/x-www-form-urlencoded", "a=b"), 415, "Content-Type"},
		"malformed":        {raw("POST", route, "application/json", "{"), 400, "Problems parsing JSON"},
		"unknown key":      {raw("POST", route, "application/json; charset=utf-8", `{"category":"x"}`), 422, "category"},
		"unknown upload":   {raw("GET", route+"/1", "", ""), 404, "Not Found"},
		"unknown route":    {raw("GET", "/users", "", ""), 404, "Not Found"},
		"another method":   {raw("GET", route, "", ""), 404, "Not Found"},
		"two slashes":      {raw("POST", "/"+route, "application/json", "{}"), 404, "Not Found"},
		"outside the base": {raw("GET", "/../../"+route, "", ""), 404, "Not Found"},
		"no token": {func(ctx context.Context, c *github.Client) error {
			bare := github.NewClient(nil)
			bare.BaseURL = c.BaseURL
			_, err := upload(ctx, bare, analysis(good))
			return err
		}, 401, "Requires authentication"},
		"another token": {func(ctx context.Context, c *github.Client) error {
			other := github.NewClient(nil).WithAuthToken("wrong-token")
			other.BaseURL = c.BaseURL
			_, err := upload(ctx, other, analysis(good))
			return err
		}, 401, "Bad credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := start(t)
			checkRefused(t, s, test.do(t.Context(), c), test.status, test.says)
		})
	}
}

func checkRefused(t *testing.T, s *Server, err error, status int, says string) {
	t.Helper()
	var refused *github.ErrorResponse
	if !errors.As(err, &refused) || refused.Response.StatusCode != status || !strings.Contains(refused.Message, says) || refused.DocumentationURL == "" {
		t.Errorf("the answer is %v, want %d with %q", err, status, says)
	}
	problems := s.Problems()
	if len(problems) != 1 || !strings.Contains(problems[0], says) || strings.Contains(problems[0], "token") {
		t.Errorf("Problems() = %q, want the one with %q", problems, says)
	}
	if got := s.SARIFs(); len(got) != 0 {
		t.Errorf("SARIFs() = %v, want none", got)
	}
}

func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("é", n) }
	list := func(n int, item string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	for name, test := range map[string]struct{ old, replacement, says string }{
		"version":             {`"2.1.0"`, `"2.0.0"`, "2.1.0"},
		"no runs":             {good, `{"version":"2.1.0"}`, "0 runs"},
		"too many runs":       {good, `{"version":"2.1.0","runs":` + list(21, "{}") + `}`, "21 runs"},
		"no tool":             {`"name":"Trivy",`, ``, "no name"},
		"no category":         {`"images/api/"`, `"api"`, "category"},
		"empty category":      {`"images/api/"`, `"/api"`, "category"},
		"same category":       {`images/web/42`, `images/api/42`, "multiple runs with the same category"},
		"no results":          {`,"results":[]`, ``, "not a list"},
		"null results":        {`"results":[]`, `"results":null`, "not a list"},
		"too many results":    {`"results":[]`, `"results":` + list(25_001, "{}"), "25001 results"},
		"too many extensions": {`"rules":[{`, `"x":0},"extensions":` + list(101, "{}") + `,"y":{"z":[{`, "101 extensions"},
		"too many rules":      {`"rules":[{`, `"x":0},"extensions":[{"rules":` + list(25_001, "{}") + `}],"y":{"z":[{`, "25001 rules"},
		"rule without id":     {`{"id":"CVE-1",`, `{`, "no id"},
		"rule twice":          {`"rules":[`, `"rules":[{"id":"CVE-1"},`, "twice"},
		"too many tags":       {`["security"]`, list(21, `"t"`), "21 tags"},
		"long name":           {`"name":"n"`, `"name":"` + long(256) + `"`, "255"},
		"long description":    {`"name":"n"`, `"shortDescription":{"text":"` + long(1025) + `"}`, "1024"},
		"undefined rule":      {`"ruleId":"CVE-1"`, `"ruleId":"CVE-2"`, "ruleId"},
		"wrong index":         {`"ruleIndex":0`, `"ruleIndex":1`, "ruleIndex"},
		"no message":          {`"text":"m"`, `"text":""`, "message"},
		"no fingerprint":      {`primaryLocationLineHash`, `other`, "primaryLocationLineHash"},
		"no location":         {`"locations":[{`, `"x":[{`, "0 locations"},
		"too many locations":  {`"locations":[{`, `"locations":` + list(1001, "{}") + `,"x":[{`, "1001 locations"},
		"long flow":           {`"ruleIndex":0`, `"codeFlows":[{"threadFlows":[{"locations":` + list(10_001, "{}") + `}]}]`, "10001"},
		"absolute path":       {`"api/Dockerfile"`, `"/src/Dockerfile"`, "relative"},
		"absolute URI":        {`"api/Dockerfile"`, `"file:///src/Dockerfile"`, "relative"},
		"outside":             {`"api/Dockerfile"`, `"api/../../Dockerfile"`, "relative"},
		"no URI":              {`"api/Dockerfile"`, `""`, "relative"},
		"no region":           {`,"region":{"startLine":1}`, ``, "region"},
		"line 0":              {`"startLine":1`, `"startLine":0`, "region"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := start(t)
			if !strings.Contains(good, test.old) {
				t.Fatalf("the good file holds no %s", test.old)
			}
			_, err := upload(t.Context(), c, analysis(strings.Replace(good, test.old, test.replacement, 1)))
			checkRefused(t, s, err, http.StatusBadRequest, test.says)
		})
	}
}

// What stands at the limits is accepted.
func TestAtTheLimits(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	a := analysis(strings.Replace(good, `"name":"n"`, `"name":"`+strings.Repeat("é", 255)+`"`, 1))
	a.CommitSHA = github.String(strings.Repeat("0a", 32))
	for _, ref := range []string{"refs/tags/v1", "refs/pull/7/merge"} {
		a.Ref = &ref
		if _, err := upload(t.Context(), c, a); err != nil {
			t.Error(err)
		}
	}
	if got := len(s.SARIFs()); got != 2 {
		t.Errorf("%d uploads were accepted, want 2", got)
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	s.Fail(1, http.StatusForbidden, http.Header{"Retry-After": {"7"}}, `{"message":"You have exceeded a secondary rate limit","documentation_url":"https://docs.github.com/rest#secondary-rate-limits"}`)
	s.Fail(2, http.StatusServiceUnavailable, nil, "")

	_, err := upload(t.Context(), c, analysis(good))
	var limited *github.AbuseRateLimitError
	if !errors.As(err, &limited) || limited.GetRetryAfter().Seconds() != 7 {
		t.Errorf("the first answer is %v, want the rate limit", err)
	}
	c = connect(t, s, "secret") // the client itself waits after a rate limit
	for range 2 {
		_, err := upload(t.Context(), c, analysis(good))
		var failed *github.ErrorResponse
		if !errors.As(err, &failed) || failed.Response.StatusCode != 503 || failed.Message != "Service Unavailable" {
			t.Errorf("the answer is %v, want 503", err)
		}
	}
	if _, err := upload(t.Context(), c, analysis(good)); err != nil {
		t.Errorf("after the failures: %v", err)
	}
	if got := s.Problems(); len(got) != 0 {
		t.Errorf("Problems() = %q; what was asked for is none", got)
	}
}
