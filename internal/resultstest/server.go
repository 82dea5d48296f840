// Package resultstest is the results service of GitHub Actions in this process, for tests. It is stricter
// than the true one: what that would drop or take in silence, it refuses and records.
package resultstest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Server is a running service.
type Server struct {
	// URL is its address, as ACTIONS_RESULTS_URL names it: with a slash at the end.
	URL string

	http   *http.Server
	public string // what signed addresses begin with

	mu        sync.Mutex           // held while a request is answered
	artifacts map[string]*artifact // and what the cache holds
	entries   []*entry             // of the cache, the oldest first
	quota     int
	problems  []string
	failures  []failure
	broken    map[string]failure // by a part of the paths that are answered so
}

// A failure is an answer given in place of the true one.
type failure struct {
	status int
	header http.Header
	body   string
}

type artifact struct {
	job       string
	blocks    map[string][]byte
	archive   []byte
	finalized bool
}

// Signature is what a signed address carries, which no log may hold.
const Signature = "s3cr3t-signature"

// Start serves on a free loopback port until Close. It panics when no port can be had, as nothing can
// be tested then.
func Start() *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("resultstest: listening on a loopback port: %v", err))
	}
	s := &Server{URL: "http://" + listener.Addr().String() + "/", artifacts: map[string]*artifact{}}
	s.public = s.URL
	mux := http.NewServeMux()
	mux.HandleFunc("POST /twirp/github.actions.results.api.v1.ArtifactService/{method}", s.call)
	mux.HandleFunc("POST /twirp/github.actions.results.api.v1.CacheService/{method}", s.cacheCall)
	s.oldCache(mux)
	mux.HandleFunc("PUT /blobs/{name}", s.write)
	mux.HandleFunc("GET /blobs/{name}", s.read)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, http.StatusNotFound, "bad_route", "no such path")
	})
	s.http = &http.Server{Handler: s.failing(mux), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }()
	return s
}

// Behind has signed addresses begin with one at which others reach the service.
func (s *Server) Behind(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.public = address
}

// Close ends the server and its connections.
func (s *Server) Close() { _ = s.http.Close() }

// Token makes the runtime token of a job of a run, with no cache.
func (s *Server) Token(run, job string) string {
	return token(map[string]any{"scp": scopes(run, job)})
}

// CacheToken makes one that permits something of the cache by refs: 1 to read, 2 to write, 3 both. The first is the run's own.
func (s *Server) CacheToken(run, job string, permissions ...Permission) string {
	list, _ := json.Marshal(permissions)
	now := time.Now()
	return token(map[string]any{"scp": scopes(run, job), "ac": string(list), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(6 * time.Hour).Unix()})
}

// A Permission is what a token permits for one ref.
type Permission struct {
	Scope      string
	Permission int
}

func scopes(run, job string) string {
	return "Actions.GenericRead:0 Actions.Results:" + run + ":" + job
}

func token(claims map[string]any) string {
	part := func(v any) string {
		data, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	return part(map[string]string{"alg": "none"}) + "." + part(claims) + ".c2lnbmF0dXJl"
}

// claimsOf reads a request's token.
func claimsOf(r *http.Request) (scopes string, permissions []Permission) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(bearer, ".")
	if len(parts) != 3 {
		return "", nil
	}
	var claims struct{ Scp, Ac string }
	data, _ := base64.RawURLEncoding.DecodeString(parts[1])
	_ = json.Unmarshal(data, &claims)
	_ = json.Unmarshal([]byte(claims.Ac), &permissions)
	return claims.Scp, permissions
}

// Names lists the artifacts that are finalized, sorted.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, a := range s.artifacts {
		if a.finalized {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Read returns the first file of an artifact.
func (s *Server) Read(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	archive := s.artifacts[name].archive
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		panic(err)
	}
	f, err := r.File[0].Open()
	if err != nil {
		panic(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		panic(err)
	}
	return data
}

// Put keeps an archive as an artifact, whatever it holds.
func (s *Server) Put(name string, archive []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.artifacts[name] = &artifact{job: "other", archive: archive, finalized: true}
}

// Problems returns the requests that were refused, each with the reason. What Fail asked for is none.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Fail has the next n requests answered with a status, headers and a body, whatever they ask for.
func (s *Server) Fail(n, status int, header http.Header, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.failures = append(s.failures, failure{status, header.Clone(), body})
	}
}

// Break has every request whose path holds a part answered with a status, headers and a body.
func (s *Server) Break(part string, status int, header http.Header, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = map[string]failure{}
	}
	s.broken[part] = failure{status, header.Clone(), body}
}

// Forgive takes back what is left of Fail, and Break.
func (s *Server) Forgive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures, s.broken = nil, nil
}

// failure is what a request is answered in place of the true answer.
func (s *Server) failure(r *http.Request) (f failure, ok bool) {
	for part, f := range s.broken {
		if strings.Contains(r.URL.Path, part) {
			return f, true
		}
	}
	if len(s.failures) == 0 {
		return f, false
	}
	f, s.failures = s.failures[0], s.failures[1:]
	return f, true
}

func (s *Server) failing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock() // one request at a time is enough for tests
		f, ok := s.failure(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		maps.Copy(w.Header(), f.header)
		w.WriteHeader(f.status)
		_, _ = io.WriteString(w, f.body)
	})
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	s.problems = append(s.problems, r.Method+" "+r.URL.Path+": "+message)
	answer(w, status, code, message)
}

func answer(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "msg": message})
}

// fields are the request's by method, besides the identities of run and job.
var fields = map[string][]string{
	"CreateArtifact":       {"name", "version"},
	"FinalizeArtifact":     {"name", "size", "hash"},
	"ListArtifacts":        {},
	"GetSignedArtifactURL": {"name"},
	"DeleteArtifact":       {"name"},
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	method := r.PathValue("method")
	known, ok := fields[method]
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); !ok || err != nil || r.Header.Get("Content-Type") != "application/json" {
		s.refuse(w, r, http.StatusBadRequest, "malformed", fmt.Sprintf("no such call, or no JSON: %v", err))
		return
	}
	run, job := fmt.Sprint(in["workflow_run_backend_id"]), fmt.Sprint(in["workflow_job_run_backend_id"])
	if granted, _ := claimsOf(r); granted != scopes(run, job) && method != "GetSignedArtifactURL" || granted == "" {
		s.refuse(w, r, http.StatusForbidden, "permission_denied", "the token is for another run or job")
		return
	}
	for field := range in {
		if !slices.Contains(append([]string{"workflow_run_backend_id", "workflow_job_run_backend_id"}, known...), field) {
			s.refuse(w, r, http.StatusBadRequest, "malformed", "unknown field "+field)
			return
		}
	}
	for _, field := range known {
		if in[field] == nil || in[field] == "" {
			s.refuse(w, r, http.StatusBadRequest, "invalid_argument", field+" is missing")
			return
		}
	}
	s.methods(w, r, method, in, job)
}

func (s *Server) methods(w http.ResponseWriter, r *http.Request, method string, in map[string]any, job string) {
	name, _ := in["name"].(string)
	a := s.artifacts[name]
	out := map[string]any{"ok": true}
	switch {
	case method == "ListArtifacts":
		out = s.list(in["workflow_run_backend_id"])
	case method == "CreateArtifact" && strings.ContainsAny(name, "\":<>|*?\r\n\\/"):
		s.refuse(w, r, http.StatusBadRequest, "invalid_argument", "the name is not allowed")
		return
	case method == "CreateArtifact" && a != nil:
		// Which is no mistake of the client's: it cannot know.
		answer(w, http.StatusConflict, "already_exists", "an artifact with this name already exists on the workflow run")
		return
	case method == "CreateArtifact":
		s.artifacts[name] = &artifact{job: job, blocks: map[string][]byte{}}
		out["signed_upload_url"] = s.signed(name, "w")
	case a == nil:
		s.refuse(w, r, http.StatusNotFound, "not_found", "there is no such artifact")
		return
	case method == "DeleteArtifact":
		delete(s.artifacts, name)
	case method == "GetSignedArtifactURL" && in["workflow_job_run_backend_id"] != a.job:
		s.refuse(w, r, http.StatusNotFound, "not_found", "it is of another job")
		return
	case method == "GetSignedArtifactURL":
		out = map[string]any{"signed_url": s.signed(name, "r")}
	case in["size"] != fmt.Sprint(len(a.archive)) || in["hash"] != digest(a.archive):
		s.refuse(w, r, http.StatusBadRequest, "invalid_argument", "size or hash are not those of what was uploaded")
		return
	default:
		a.finalized = true
		out["artifact_id"] = "1"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (s *Server) list(run any) map[string]any {
	listed := []any{}
	for _, name := range slices.Sorted(maps.Keys(s.artifacts)) {
		if a := s.artifacts[name]; a.finalized {
			listed = append(listed, map[string]any{"workflow_run_backend_id": run, "workflow_job_run_backend_id": a.job, "database_id": "1", "name": name,
				"size": fmt.Sprint(len(a.archive)), "created_at": time.Now().Format(time.RFC3339), "digest": digest(a.archive)})
		}
	}
	return map[string]any{"artifacts": listed}
}

func (s *Server) signed(name, right string) string {
	return s.public + "blobs/" + url.PathEscape(name) + "?sig=" + Signature + "&sp=" + right
}

// write takes a blob as a whole, or blocks and the list that makes a blob of them.
// https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob
func (s *Server) write(w http.ResponseWriter, r *http.Request) {
	a, query := s.artifacts[r.PathValue("name")], r.URL.Query()
	data, err := io.ReadAll(r.Body)
	w.Header().Set("x-ms-request-id", "1")
	switch {
	case err != nil || a == nil || query.Get("sig") != Signature || query.Get("sp") != "w" || r.Header.Get("Authorization") != "":
		s.refuse(w, r, http.StatusForbidden, "permission_denied", "the signature is not right, or a token came along")
	case query.Get("comp") == "block" && query.Get("blockid") != "":
		a.blocks[query.Get("blockid")] = data
		w.WriteHeader(http.StatusCreated)
	case query.Get("comp") == "blocklist":
		s.assemble(w, r, a, data)
	case query.Get("comp") == "" && r.Header.Get("x-ms-blob-type") == "BlockBlob" && a.job == "":
		a.archive = data
		w.WriteHeader(http.StatusCreated)
	default:
		s.refuse(w, r, http.StatusBadRequest, "invalid_argument", "only blocks are taken")
	}
}

func (s *Server) assemble(w http.ResponseWriter, r *http.Request, a *artifact, data []byte) {
	var list struct {
		Latest []string
	}
	err := xml.Unmarshal(data, &list)
	a.archive = nil
	for _, id := range list.Latest {
		a.archive = append(a.archive, a.blocks[id]...)
	}
	if err != nil || len(a.archive) == 0 {
		s.refuse(w, r, http.StatusBadRequest, "invalid_argument", "the list of blocks gives no blob")
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// read gives a blob, or what x-ms-range asks for of it.
// https://learn.microsoft.com/en-us/rest/api/storageservices/get-blob
func (s *Server) read(w http.ResponseWriter, r *http.Request) {
	a, query := s.artifacts[r.PathValue("name")], r.URL.Query()
	if a == nil || query.Get("sig") != Signature || query.Get("sp") != "r" || r.Header.Get("Authorization") != "" {
		s.refuse(w, r, http.StatusForbidden, "permission_denied", "the signature is not right, or a token came along")
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("x-ms-request-id", "1")
	if asked := r.Header.Get("x-ms-range"); asked != "" {
		r.Header.Set("Range", asked)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.archive))
}
