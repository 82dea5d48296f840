// Package enginetest is a Docker Engine in this process, for tests and demonstrations. It speaks
// the Engine's API on a loopback port, so that another process can use it too. No image is really
// fetched and no program started: a container is a listener that behaves as its image was told to.
package enginetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/common"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
)

// apiVersion is that of Docker 20.10, the oldest engine still met. A client that asks for a newer one is refused.
const apiVersion = "1.41"

// A Behaviour says what becomes of the containers of an image. The zero value answers 200 at once.
type Behaviour struct {
	Delay          time.Duration // from the start until it listens or, if it Exits, until then
	Status         int           // what it answers to every request; 0 means 200
	Silent         bool          // its port never answers
	Exits          bool          // it ends with ExitCode after Delay, answering until then
	ExitCode       int
	OOMKilled      bool          // as it exits
	HealthInterval time.Duration // of the HEALTHCHECK; a second by default, which is not waited for
	HealthCheck    bool          // the image has a HEALTHCHECK, which goes by what the port answers

	Stdout, Stderr string        // what it logs
	Memory         uint64        // bytes in use; 0 means 8 MiB
	CPU            time.Duration // processor time used; 0 means 5 ms
	Sampling       time.Duration // that the engine takes to answer how much is in use, as those do that look at it once a second
	Size           int64         // of the image, in bytes; 0 means 10 MiB
	Missing        bool          // the registry does not know the image

	Needs string // a name; unless a container has it as an alias in a network of this one's, this one ends at once

	// Exec answers commands run in the container; nil lets all succeed in silence.
	Exec func(argv []string) (exitCode int, output string)
}

// A Server is a running engine.
type Server struct {
	address string
	http    *http.Server

	mu         sync.Mutex
	count      int // of things made, for their ids
	behaviours map[string]Behaviour
	images     map[string]storedImage // by reference
	containers map[string]*instance   // by id
	networks   map[string]*bridge     // by id
	volumes    map[string]volume.Volume
	ahead      time.Duration // of its machine's clock
	pinned     string        // part of the names of volumes that are not removed
	exhausted  bool          // no address is left for another network
	execs      map[string]*execution
	pulled     []string
	requests   []string
	problems   []string
}

// Start serves the engine on a free loopback port until Close. It panics when no port can be
// had, as nothing can be tested then.
func Start() *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("enginetest: listening on a loopback port: %v", err))
	}
	s := &Server{
		address:    listener.Addr().String(),
		behaviours: map[string]Behaviour{},
		images:     map[string]storedImage{},
		containers: map[string]*instance{},
		networks:   map[string]*bridge{},
		volumes:    map[string]volume.Volume{},
		execs:      map[string]*execution{},
	}
	s.http = &http.Server{Handler: s.versioned(s.routes()), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }()
	return s
}

// Host is the engine's address, as DOCKER_HOST names it.
func (s *Server) Host() string { return "tcp://" + s.address }

// Close ends the engine and its containers.
func (s *Server) Close() {
	_ = s.http.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		c.end(137)
	}
}

// Behave chooses how containers of an image behave that are created from now on. The repository
// is the image's name without tag and digest; it may leave the registry's host out, and with a digest
// and without the host it is that image alone.
func (s *Server) Behave(repository string, b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviours[repository] = b
}

// Pulled returns the references of the images pulled, in order.
func (s *Server) Pulled() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pulled)
}

// Stored returns the references of the images in the store, sorted.
func (s *Server) Stored() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.images))
}

// Running returns the images of the containers that were not removed, sorted. A container that
// has ended counts: it must be removed too. One of a Compose project is there to stay, and does not.
func (s *Server) Running() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var images []string
	for _, c := range s.containers {
		if c.config.Labels[serviceLabel] == "" {
			images = append(images, c.config.Image)
		}
	}
	slices.Sort(images)
	return images
}

// Networks returns the names of the networks that were made and not removed, sorted.
func (s *Server) Networks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, b := range s.networks {
		names = append(names, b.name)
	}
	slices.Sort(names)
	return names
}

// ExhaustNetworks leaves no address for another network.
func (s *Server) ExhaustNetworks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exhausted = true
}

// Requests returns the requests served, in order, as "POST /containers/create?name=x".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Problems returns the requests that no engine would be asked or this one cannot answer, each
// with the reason. Asking for what does not exist is none.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", ping)
	mux.HandleFunc("GET /version", s.json(version))
	mux.HandleFunc("POST /images/create", s.pull)
	mux.HandleFunc("GET /images/{path...}", s.json(s.inspectImage))
	mux.HandleFunc("DELETE /images/{path...}", s.json(s.removeImage))
	mux.HandleFunc("GET /containers/json", s.json(s.list))
	mux.HandleFunc("POST /containers/create", s.json(s.create))
	mux.HandleFunc("GET /containers/{id}/json", s.json(s.inspect))
	mux.HandleFunc("POST /containers/{id}/start", s.json(s.start))
	mux.HandleFunc("POST /containers/{id}/stop", s.json(s.stop))
	mux.HandleFunc("POST /containers/{id}/kill", s.json(s.kill))
	mux.HandleFunc("DELETE /containers/{id}", s.json(s.remove))
	mux.HandleFunc("GET /containers/{id}/stats", s.sampled(s.json(s.stats)))
	mux.HandleFunc("GET /containers/{id}/logs", s.logs)
	mux.HandleFunc("POST /containers/{id}/wait", s.wait)
	mux.HandleFunc("POST /containers/{id}/exec", s.json(s.createExec))
	mux.HandleFunc("POST /exec/{id}/start", s.startExec)
	mux.HandleFunc("GET /exec/{id}/json", s.json(s.inspectExec))
	mux.HandleFunc("POST /networks/create", s.json(s.createNetwork))
	mux.HandleFunc("GET /networks", s.json(s.listNetworks))
	mux.HandleFunc("GET /networks/{id}", s.json(s.inspectNetwork))
	mux.HandleFunc("POST /networks/{id}/connect", s.json(s.connect))
	mux.HandleFunc("POST /networks/{id}/disconnect", s.json(s.disconnect))
	mux.HandleFunc("DELETE /networks/{id}", s.json(s.removeNetwork))
	mux.HandleFunc("GET /info", s.json(s.info))
	mux.HandleFunc("POST /volumes/create", s.json(s.createVolume))
	mux.HandleFunc("GET /volumes", s.json(s.listVolumes))
	mux.HandleFunc("DELETE /volumes/{name}", s.json(s.removeVolume))
	mux.HandleFunc("/", s.unknown)
	return mux
}

// versioned records the request and takes the version off its path.
func (s *Server) versioned(next http.Handler) http.Handler {
	prefix := regexp.MustCompile(`^/v1\.(\d+)/`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", apiVersion)
		w.Header().Set("Ostype", "linux")
		handler, path := next, r.URL.Path
		if m := prefix.FindStringSubmatch(path); m != nil {
			version := "1." + m[1]
			if newer(version) {
				s.problem(w, r, &apiError{http.StatusBadRequest, "client version " + version + " is too new. Maximum supported API version is " + apiVersion})
				return
			}
			handler, path = http.StripPrefix("/v"+version, next), path[len("/v"+version):]
		}
		s.record(r, path)
		handler.ServeHTTP(w, r)
	})
}

// newer compares minor versions: there is only one major.
func newer(version string) bool {
	minor := func(v string) int { n, _ := strconv.Atoi(strings.TrimPrefix(v, "1.")); return n }
	return minor(version) > minor(apiVersion)
}

func (s *Server) record(r *http.Request, path string) {
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+path)
}

// An apiError is an answer of 400 or above and its reason.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

func notFound(kind, id string) error {
	return &apiError{http.StatusNotFound, "No such " + kind + ": " + id}
}

// A malformed request is a fault of the client's, and a problem.
type malformed struct{ apiError }

func malform(format string, args ...any) error {
	return &malformed{apiError{http.StatusBadRequest, fmt.Sprintf(format, args...)}}
}

// An answer is a status and what is sent as JSON; nil sends nothing.
type answer struct {
	status int
	body   any
}

// json serves a function whose answer is JSON. The server is locked while it runs and while
// its answer, which may share what the server holds, is turned into text.
func (s *Server) json(serve func(*http.Request) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		got, err := serve(r)
		var text json.RawMessage
		if err == nil && got.body != nil {
			text, err = json.Marshal(got.body)
		}
		s.mu.Unlock()
		switch {
		case err != nil:
			s.fail(w, r, err)
		case text == nil:
			w.WriteHeader(got.status)
		default:
			writeJSON(w, got.status, text)
		}
	}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var wrong *malformed
	if errors.As(err, &wrong) {
		s.problem(w, r, &wrong.apiError)
		return
	}
	status := http.StatusInternalServerError
	var refused *apiError
	if errors.As(err, &refused) {
		status = refused.status
	}
	writeJSON(w, status, common.ErrorResponse{Message: err.Error()})
}

func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	s.problem(w, r, &apiError{http.StatusNotFound, "page not found"})
}

func (s *Server) problem(w http.ResponseWriter, r *http.Request, err *apiError) {
	s.mu.Lock()
	s.problems = append(s.problems, fmt.Sprintf("%s %s: %s", r.Method, r.URL.RequestURI(), err.message))
	s.mu.Unlock()
	writeJSON(w, err.status, common.ErrorResponse{Message: err.message})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// read decodes a request's body.
func read(r *http.Request, into any) error {
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		return malform("unsupported Content-Type header (%s): must be 'application/json'", kind)
	}
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return malform("invalid JSON: %v", err)
	}
	return nil
}

// newID makes an id that looks like an engine's.
func (s *Server) newID() string {
	s.count++
	return hexDigest(strconv.Itoa(s.count))
}

func hexDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Builder-Version", "2")
	w.Header().Set("Docker-Experimental", "false")
	w.Header().Set("Swarm", "inactive")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
}

func version(*http.Request) (answer, error) {
	return answer{http.StatusOK, system.VersionResponse{
		Platform: system.PlatformInfo{Name: "enginetest"}, Version: "20.10.0",
		APIVersion: apiVersion, MinAPIVersion: "1.12", Os: "linux", Arch: runtime.GOARCH,
	}}, nil
}
