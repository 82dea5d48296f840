package e2e

import (
	crand "crypto/rand"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

// A front stands before a server and makes mistakes. Before a registry it hands out tokens, as ghcr.io does.
type front struct {
	server *httptest.Server
	behind http.Handler
	login  string                     // what a token is given for; empty where there are none
	share  func(agent string) float64 // of the requests that something goes wrong with

	mu     sync.Mutex
	dice   *rand.Rand
	tokens map[string]int // how often each was of use
	made   map[string]int // mistakes by kind
}

func newFront(t *testing.T, behind, login string, dice *rand.Rand, share func(agent string) float64) *front {
	t.Helper()
	target, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	target.Path = ""
	f := &front{login: login, dice: dice, share: share, tokens: map[string]int{}, made: map[string]int{}}
	f.behind = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if login != "" {
			r.Out.SetBasicAuth("octocat", login)
		}
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case f.login != "" && r.URL.Path == "/token":
		f.token(w, r)
	case f.login != "" && !f.knows(r):
		f.challenge(w, r)
	default:
		f.answer(w, r, f.mistake(r))
	}
}

// knows reports whether a request has a token that is valid.
func (f *front) knows(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := bearer(r)
	_, valid := f.tokens[token]
	if valid {
		f.tokens[token]++
	}
	return valid
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func (f *front) challenge(w http.ResponseWriter, r *http.Request) {
	scope := ""
	if seen := parse(r); seen.repository != "" {
		scope = fmt.Sprintf(`,scope="repository:%s:pull,push"`, seen.repository)
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="registry"%s`, f.server.URL, scope))
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprintln(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}

// token answers both ways of asking for one.
// https://distribution.github.io/distribution/spec/auth/token/
func (f *front) token(w http.ResponseWriter, r *http.Request) {
	_, password, ok := r.BasicAuth()
	if !ok {
		password = r.FormValue("password")
	}
	if password != f.login {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := crand.Text()
	f.mu.Lock()
	f.tokens[token] = 0
	f.mu.Unlock()
	fmt.Fprintf(w, `{"token":%q,"access_token":%q,"expires_in":300}`, token, token)
}

// mistake draws what goes wrong with a request; empty for nothing.
func (f *front) mistake(r *http.Request) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dice.Float64() >= f.share(r.UserAgent()) {
		return ""
	}
	kinds := []string{"busy", "too many", "reset", "answer lost", "slow", "broken off"}
	if f.tokens[bearer(r)] > 1 { // none expires that was never of use
		kinds = append(kinds, "expired")
	}
	if f.login != "" && r.Method == http.MethodGet {
		kinds = append(kinds, "altered")
	}
	kind := kinds[f.dice.IntN(len(kinds))]
	f.made[kind]++
	return kind
}

func (f *front) answer(w http.ResponseWriter, r *http.Request, mistake string) {
	switch mistake {
	case "busy":
		statuses := []int{408, 500, 502, 503, 504}
		f.mu.Lock()
		status := statuses[f.dice.IntN(len(statuses))]
		f.mu.Unlock()
		w.WriteHeader(status)
	case "too many":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case "reset":
		panic(http.ErrAbortHandler)
	case "answer lost":
		f.true(r)
		panic(http.ErrAbortHandler)
	case "slow":
		write(w, f.true(r), func() { time.Sleep(500 * time.Millisecond) })
	case "broken off":
		write(w, f.true(r), func() { panic(http.ErrAbortHandler) })
	case "altered":
		answer := f.true(r)
		if body := answer.Body.Bytes(); len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		write(w, answer, func() {})
	case "expired":
		f.mu.Lock()
		delete(f.tokens, bearer(r))
		f.mu.Unlock()
		f.challenge(w, r)
	default:
		f.behind.ServeHTTP(w, r)
	}
}

// true is what the server behind answers.
func (f *front) true(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	f.behind.ServeHTTP(answer, r)
	return answer
}

// write has something happen in the middle of an answer's body.
func write(w http.ResponseWriter, answer *httptest.ResponseRecorder, between func()) {
	maps.Copy(w.Header(), answer.Header())
	body := answer.Body.Bytes()
	if w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body[:len(body)/2])
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	between()
	_, _ = w.Write(body[len(body)/2:])
}

// TestFaults publishes through a registry and an API that make mistakes with every fifth request of this program, and with
// some of those that builder, scanner and engine make for it, which give up sooner. No publish is lost, none is wrong, and none
// tells the token.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	dice := random(t)
	share := func(agent string) float64 {
		if strings.HasPrefix(agent, "ghcr-publish") {
			return 0.2
		}
		return 0.02
	}
	registry := newFront(t, "http://"+hub.addr, w.token, dice, share)
	api := newFront(t, w.api.URL, "", dice, func(string) float64 { return 0.2 })
	base, err := url.Parse(w.api.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.registry, w.apiURL = strings.TrimPrefix(registry.server.URL, "http://"), api.server.URL+base.Path
	for i := range times(100) {
		w.commit("change", map[string]string{"shared/n": fmt.Sprint(i), "auth/www/auth/n": fmt.Sprint(i)})
		o := w.publish(sample.Job{})
		if o.code != report.ExitDone {
			t.Fatalf("publish %d: exit code %d\n%s", i, o.code, o.log)
		}
		w.checkPublished(o, "main")
		for line := range strings.Lines(o.log) {
			if !strings.HasPrefix(line, "::add-mask::") && w.leaks([]byte(line)) {
				t.Errorf("the log holds the token: %s", line)
			}
		}
		w.searchFiles(w.temp)
	}
	w.checkTagsWereJudged()
	w.checkJournal()
	t.Logf("mistakes of the registry: %v, of the API: %v", registry.made, api.made)
	if kinds := slices.Collect(maps.Keys(registry.made)); len(kinds) < 8 {
		t.Errorf("only these mistakes were made: %q", kinds)
	}
}
