// Package githubtest is a GitHub API in this process, for tests and demonstrations. It serves
// code scanning and attestations on a loopback port, so that another process can use it too, and is stricter
// than GitHub: what GitHub would drop in silence, it refuses. Everything refused is recorded.
package githubtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// base is the path under which the API is served. It is not the root, so that a client that
// ignores its base address is found out.
const base = "/api/v3"

// graphQL is where GraphQL is served, which is beside it.
const graphQL = "/api/graphql"

// A Server is a running API.
type Server struct {
	// URL is the API's address, as GITHUB_API_URL names it: without a slash at the end.
	URL string

	token string
	http  *http.Server

	mu            sync.Mutex
	uploads       []Upload
	attested      []Attestation
	withheld      bool                        // the right to attest
	pending       int                         // how often an upload is pending
	errors        []string                    // what is wrong with every upload
	silence       *refusal                    // of whoever asks how an upload fares
	noAlerts      *refusal                    // of whoever asks for alerts
	polls         map[string]int              // by upload: how often its status was asked for
	refs          map[string]string           // commits by ref, without refs/
	pulls         map[string][]map[string]any // by the commit that came by them
	issues        []Issue
	comments      []Comment
	noComments    bool   // the token may write none
	lost          []int  // answers to comments that are made all the same
	person        string // whose the token is; empty where it is a job's
	problems      []string
	deployments   []Deployment
	noDeployments bool // the token may record none
	failures      []failure
	asked         int
	watch         func(*http.Request) // of every request
	// cached is how many bytes the cache of GitHub Actions holds, and cacheLimit how many gigabytes it may hold.
	cached     int64
	cacheLimit int
	caches     func() []Cache
	packages   packages
	branches   []string
	numbered   []Pull

	releases  []Release
	made      int  // releases and assets
	immutable bool // what is published from now on
	broken    int  // how many uploads of assets break off
}

// A failure is an answer given in place of the true one.
type failure struct {
	status int
	header http.Header
	body   string
}

// Start serves the API on a free loopback port until Close. Requests must carry the token.
// It panics when no port can be had, as nothing can be tested then.
func Start(token string) *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("githubtest: listening on a loopback port: %v", err))
	}
	s := &Server{URL: "http://" + listener.Addr().String() + base, token: token, polls: map[string]int{}, refs: map[string]string{}, packages: packages{stores: map[string]*store{}, clock: longAgo, page: 100}, pulls: map[string][]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/code-scanning/sarifs", s.upload)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/code-scanning/sarifs/{id}", s.status)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/code-scanning/alerts", s.alerts)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/commits/{ref...}", s.commit)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/commits/{sha}/pulls", s.commitPulls)
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/attestations", s.attest)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/attestations/{digest}", s.listAttestations)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/issues", s.listIssues)
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/issues", s.openIssue)
	mux.HandleFunc("PATCH "+base+"/repos/{owner}/{repo}/issues/{number}", s.editIssue)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/issues/{number}/comments", s.listComments)
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/issues/{number}/comments", s.createComment)
	mux.HandleFunc("PATCH "+base+"/repos/{owner}/{repo}/issues/comments/{id}", s.editComment)
	mux.HandleFunc("POST "+graphQL, s.graphQL)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/releases", s.listReleases)
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/releases", s.createRelease)
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/releases/generate-notes", s.generateNotes)
	mux.HandleFunc("PATCH "+base+"/repos/{owner}/{repo}/releases/{id}", s.editRelease)
	mux.HandleFunc("DELETE "+base+"/repos/{owner}/{repo}/releases/{id}", s.deleteRelease)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/releases/{id}/{of}", s.assetsOrOne)
	mux.HandleFunc("DELETE "+base+"/repos/{owner}/{repo}/releases/assets/{id}", s.deleteAsset)
	mux.HandleFunc("POST "+base+"/uploads/releases/{id}/assets", s.uploadAsset)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/actions/cache/usage", s.cacheUsage)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/actions/cache/storage-limit", s.storageLimit)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/actions/caches", s.listCaches)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/branches", s.listBranches)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/pulls", s.listPulls)
	for _, kind := range []string{"orgs", "users"} {
		at := base + "/" + kind + "/{owner}/packages/container/{name}/versions"
		mux.HandleFunc("GET "+at, s.ofKind(kind, s.listVersions))
		mux.HandleFunc("GET "+at+"/{id}", s.ofKind(kind, s.getVersion))
		mux.HandleFunc("DELETE "+at+"/{id}", s.ofKind(kind, s.deleteVersion))
		mux.HandleFunc("POST "+at+"/{id}/restore", s.ofKind(kind, s.restoreVersion))
	}
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/deployments", s.deploy)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/deployments", s.listDeployments)
	mux.HandleFunc("POST "+base+"/repos/{owner}/{repo}/deployments/{id}/statuses", s.deploymentStatus)
	mux.HandleFunc("GET "+base+"/repos/{owner}/{repo}/deployments/{id}/statuses", s.deploymentStates)
	mux.HandleFunc("/", s.unknown)
	s.http = &http.Server{Handler: s.guard(s.hold(mux)), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }()
	return s
}

// Close ends the server and its connections.
func (s *Server) Close() { _ = s.http.Close() }

// SARIFs returns the uploads that were accepted, in order.
func (s *Server) SARIFs() []Upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.uploads)
}

// SetRef has a ref, "heads/main", be at a commit.
func (s *Server) SetRef(ref, commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs[ref] = commit
}

// Problems returns the requests that were refused, each with the reason. What Fail asked for is none.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Fail has the next n requests answered with a status, headers and a body, whatever they ask for.
// An empty body stands for the one GitHub would send. Calls add up.
func (s *Server) Fail(n int, status int, header http.Header, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.failures = append(s.failures, failure{status, header.Clone(), body})
	}
}

// Watch has every request be shown before it is answered, which waits for that.
func (s *Server) Watch(seen func(*http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = seen
}

// Requests returns how many requests there were.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// guard answers what never reaches a route: failures asked for, strangers, untidy paths.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked++
		watch := s.watch
		s.mu.Unlock()
		if watch != nil {
			watch(r)
		}
		if f, ok := s.nextFailure(); ok {
			f.write(w)
			return
		}
		if id, ok := strings.CutPrefix(r.URL.Path, storage); ok {
			s.serveAsset(w, r, id)
			return
		}
		switch r.Header.Get("Authorization") {
		case "Bearer " + s.token:
		case "":
			s.refuse(w, r, &refusal{http.StatusUnauthorized, "Requires authentication"})
			return
		default:
			s.refuse(w, r, &refusal{http.StatusUnauthorized, "Bad credentials"})
			return
		}
		if path.Clean(r.URL.Path) != r.URL.Path {
			s.unknown(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) nextFailure() (failure, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) == 0 {
		return failure{}, false
	}
	f := s.failures[0]
	s.failures = s.failures[1:]
	return f, true
}

func (f failure) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), f.header)
	if f.body == "" {
		writeError(w, f.status, http.StatusText(f.status))
		return
	}
	w.WriteHeader(f.status)
	_, _ = w.Write([]byte(f.body))
}

func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, &refusal{http.StatusNotFound, "Not Found"})
}

// A refusal is an answer of 400 or above and its reason.
type refusal struct {
	status  int
	message string
}

// refuse answers with a refusal and records it. The message is all that is recorded of a
// request beside its target: a header could hold a token.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	s.mu.Lock()
	s.problems = append(s.problems, fmt.Sprintf("%s %s: %d %s", r.Method, r.URL.Path, why.status, why.message))
	s.mu.Unlock()
	writeError(w, why.status, why.message)
}

// writeError answers in the shape of GitHub's errors.
func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{
		"message":           message,
		"documentation_url": "https://docs.github.com/rest/code-scanning/code-scanning",
		"status":            strconv.Itoa(status),
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// upload takes a SARIF file in.
// https://docs.github.com/rest/code-scanning/code-scanning#upload-an-analysis-as-sarif-data
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	u, why := read(r)
	if why != nil {
		s.refuse(w, r, why)
		return
	}
	s.mu.Lock()
	s.uploads = append(s.uploads, u)
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", len(s.uploads))
	s.polls[u.Repository+" "+id] = 0
	s.mu.Unlock()
	writeJSON(w, http.StatusAccepted, map[string]string{"id": id, "url": s.sarifURL(u.Repository) + "/" + id})
}

// shaMedia are the media types that ask for a commit's id alone.
var shaMedia = []string{"application/vnd.github.sha", "application/vnd.github.v3.sha"}

// commit tells the id of a ref's commit, and only that.
// https://docs.github.com/rest/commits/commits#get-a-commit
func (s *Server) commit(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(shaMedia, r.Header.Get("Accept")) {
		s.refuse(w, r, &refusal{http.StatusUnsupportedMediaType, "This server tells a commit's id alone"})
		return
	}
	s.mu.Lock()
	id, known := s.refs[r.PathValue("ref")]
	s.mu.Unlock()
	if !known {
		s.refuse(w, r, &refusal{http.StatusUnprocessableEntity, "No commit found for SHA: " + r.PathValue("ref")})
		return
	}
	w.Header().Set("Content-Type", shaMedia[0]+"; charset=utf-8")
	_, _ = w.Write([]byte(id))
}

func (s *Server) sarifURL(repository string) string {
	return s.URL + "/repos/" + repository + "/code-scanning/sarifs"
}

// Process says how uploads fare: they are pending so often, and then complete, or failed where there are errors.
func (s *Server) Process(pending int, errors ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.errors = pending, errors
}

// KeepSilent has whoever asks how an upload fares be answered with a status and a message instead.
func (s *Server) KeepSilent(status int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silence = &refusal{status, message}
}

// WithholdAlerts has whoever asks for code scanning's alerts be answered with a status and a message; there are none otherwise.
func (s *Server) WithholdAlerts(status int, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noAlerts = &refusal{status, message}
}

// https://docs.github.com/en/rest/code-scanning/code-scanning#list-code-scanning-alerts-for-a-repository
func (s *Server) alerts(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	withheld := s.noAlerts
	s.mu.Unlock()
	if withheld != nil {
		writeError(w, withheld.status, withheld.message)
		return
	}
	writeJSON(w, http.StatusOK, []any{})
}

// status tells how an upload fares.
// https://docs.github.com/rest/code-scanning/code-scanning#get-information-about-a-sarif-upload
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	repository, id := repository(r), r.PathValue("id")
	s.mu.Lock()
	polls, known := s.polls[repository+" "+id]
	if known {
		s.polls[repository+" "+id]++
	}
	pending, errors, silence := s.pending, s.errors, s.silence
	s.mu.Unlock()
	switch {
	case silence != nil:
		writeError(w, silence.status, silence.message)
	case !known:
		s.unknown(w, r)
	case polls < pending:
		writeJSON(w, http.StatusOK, map[string]string{"processing_status": "pending"})
	case errors != nil:
		writeJSON(w, http.StatusOK, map[string]any{"processing_status": "failed", "errors": errors})
	default:
		analyses := strings.TrimSuffix(s.sarifURL(repository), "sarifs") + "analyses?sarif_id=" + id
		writeJSON(w, http.StatusOK, map[string]string{"processing_status": "complete", "analyses_url": analyses})
	}
}

func repository(r *http.Request) string { return r.PathValue("owner") + "/" + r.PathValue("repo") }
