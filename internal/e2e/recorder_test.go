package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	published "github.com/org/ghcr-publish/internal/registry"
)

// A request is one that the registry answered with success.
type request struct {
	method, repository, kind, reference, agent string // kind is manifests or blobs
	digest                                     string // of a manifest that was put
}

// A recorder is a registry that demands each owner's token and remembers the order of requests.
type recorder struct {
	addr   string
	server *http.Server
	kept   http.Handler // what the registry keeps

	mu       sync.Mutex
	tokens   map[string]string       // by owner
	refused  map[string]bool         // repositories that take nothing now
	fronts   map[string]http.Handler // what stands before the registry, by owner
	requests []request
	bytes    int64 // that came in bodies
	conns    map[net.Conn]bool
	outage   outage
	over     chan struct{} // closed when the outage is
}

// An outage is how a registry is out of reach.
type outage int

const (
	none   outage = iota
	dark          // it has no power: every connection breaks
	silent        // the network is cut: nothing comes back
)

func startRecorder() (*recorder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the registry: %w", err)
	}
	r := &recorder{addr: listener.Addr().String(), tokens: map[string]string{}, refused: map[string]bool{}, fronts: map[string]http.Handler{}, conns: map[net.Conn]bool{}}
	r.kept = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r.server = &http.Server{Handler: r.failing(r.record(r.kept)), ConnState: r.track}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *recorder) track(c net.Conn, state http.ConnState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		delete(r.conns, c)
	case r.outage == dark:
		c.Close()
	default:
		r.conns[c] = true
	}
}

// fail puts the registry out of reach until the func that it returns is called.
func (r *recorder) fail(how outage) (restore func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outage, r.over = how, make(chan struct{})
	if how == dark {
		for c := range r.conns {
			c.Close()
		}
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outage = none
		close(r.over)
	}
}

// failing holds back every answer of a registry whose network is cut, and breaks the connection when that is over.
func (r *recorder) failing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		how, over := r.outage, r.over
		r.mu.Unlock()
		if how == none {
			next.ServeHTTP(w, q)
			return
		}
		if how == silent {
			select {
			case <-over:
			case <-q.Context().Done():
			}
		}
		panic(http.ErrAbortHandler)
	})
}

func (r *recorder) close() { _ = r.server.Shutdown(context.Background()) }

// demand makes an owner's repositories ask for a token.
func (r *recorder) demand(owner, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[owner] = token
}

// front has something stand before the registry where an owner's repositories are asked for.
func (r *recorder) front(owner string, with http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fronts[owner] = with
}

// refuse makes a repository take nothing, or take everything again.
func (r *recorder) refuse(repository string, refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused[repository] = refused
}

func (r *recorder) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		seen := parse(q)
		owner, _, _ := strings.Cut(seen.repository, "/")
		r.mu.Lock()
		token, refused, next := r.tokens[owner], r.refused[seen.repository], next
		if front := r.fronts[owner]; front != nil {
			next = front
		}
		r.mu.Unlock()
		if refused && q.Method != http.MethodGet && q.Method != http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, `{"errors":[{"code":"DENIED","message":"storage quota exceeded"}]}`)
			return
		}
		if _, password, ok := q.BasicAuth(); token != "" && (!ok || password != token) || q.URL.Path == "/v2/" && !ok && q.Header.Get("User-Agent") != "" && strings.Contains(q.Header.Get("User-Agent"), "docker/") {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintln(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		if q.Method == http.MethodPut && seen.kind == "manifests" {
			body, _ := io.ReadAll(q.Body)
			sum := sha256.Sum256(body)
			seen.digest = "sha256:" + hex.EncodeToString(sum[:])
			q.Body = io.NopCloser(bytes.NewReader(body))
		}
		answer, body := &statusWriter{ResponseWriter: w, status: http.StatusOK}, &countedBody{ReadCloser: q.Body}
		q.Body = body
		next.ServeHTTP(answer, q)
		r.mu.Lock()
		r.bytes += body.n
		r.mu.Unlock()
		if answer.status < 300 && seen.kind != "" {
			r.mu.Lock()
			r.requests = append(r.requests, seen)
			r.mu.Unlock()
		}
	})
}

// A countedBody counts what is read of it.
type countedBody struct {
	io.ReadCloser
	n int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

// received is how many bytes came in bodies so far.
func (r *recorder) received() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// parse reads /v2/<repository>/<manifests|blobs>/<reference>.
func parse(q *http.Request) request {
	seen := request{method: q.Method, agent: q.UserAgent()}
	parts := strings.Split(strings.TrimPrefix(q.URL.Path, "/v2/"), "/")
	for _, kind := range []string{"manifests", "blobs"} {
		if i := slices.Index(parts, kind); i > 0 {
			seen.repository, seen.kind, seen.reference = strings.Join(parts[:i], "/"), kind, strings.Join(parts[i+1:], "/")
		}
	}
	if seen.repository == "" && len(parts) > 2 {
		seen.repository = strings.Join(parts[:2], "/")
	}
	return seen
}

// of returns the requests of an owner's repositories so far.
func (r *recorder) of(owner string) []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var mine []request
	for _, q := range r.requests {
		if strings.HasPrefix(q.repository, owner+"/") {
			mine = append(mine, q)
		}
	}
	return mine
}

// moved reports whether a request pointed a tag that people pull by at a manifest.
func (q request) moved() bool {
	return q.method == http.MethodPut && q.kind == "manifests" && !strings.HasPrefix(q.reference, "sha256:") && published.IsUserTag(q.reference)
}
