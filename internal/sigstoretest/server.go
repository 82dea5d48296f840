// Package sigstoretest is a Sigstore in this process, for tests: an authority that certifies who a token is of, a
// transparency log, a timestamp authority, and the issuer that vouches for the jobs of a workflow. The log is sigstore-go's
// own for tests. What describes the instance is as cosign reads it.
package sigstoretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

// A Server is a running Sigstore.
type Server struct {
	// URL is the address under which everything is served, and the issuer's name.
	URL string
	// Authority is where the certificates come from; this server's own unless a test has another.
	Authority string
	// RequestToken is what a job must show to get a token of its identity.
	RequestToken string

	http    *httptest.Server
	virtual *ca.VirtualSigstore
	issuer  *ecdsa.PrivateKey // signs tokens
	fulcio  pair
	tsa     pair
	chain   [2]*x509.Certificate // of the timestamp authority's: its parent, and the root
	roots   []*x509.Certificate  // of Fulcio

	mu      sync.Mutex
	claims  map[string]any
	failing map[string]int // by the beginning of a path
	entries int
}

// A pair is a certificate and its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Start serves until Close. It panics where it cannot, as nothing can be tested then.
func Start() *Server {
	s := &Server{RequestToken: "request-" + rand.Text(), failing: map[string]int{}}
	s.makeKeys()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", s.token)
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discover)
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("POST /api/v2/signingCert", s.certify)
	mux.HandleFunc("POST /api/v1/log/entries", s.log)
	mux.HandleFunc("POST /timestamp", s.timestamp)
	s.http = httptest.NewServer(s.guard(mux))
	s.URL, s.Authority = s.http.URL, s.http.URL
	s.claims = map[string]any{
		"iss": s.URL, "sub": "repo:octo-org/cards:ref:refs/heads/main", "ref": "refs/heads/main", "sha": strings.Repeat("c", 40),
		"repository": "octo-org/cards", "repository_owner": "octo-org", "repository_id": "1", "repository_owner_id": "2", "repository_visibility": "public",
		"workflow": "Publish", "workflow_ref": "octo-org/cards/.github/workflows/publish.yml@refs/heads/main", "workflow_sha": strings.Repeat("c", 40),
		"job_workflow_ref": "octo-org/shared/.github/workflows/images.yml@refs/tags/v1", "job_workflow_sha": strings.Repeat("d", 40),
		"event_name": "push", "run_id": "7", "run_attempt": "1", "runner_environment": "github-hosted",
	}
	return s
}

// Close ends the server.
func (s *Server) Close() { s.http.Close() }

// Environ is what the runner tells a job that may ask for a token.
func (s *Server) Environ() []string {
	return []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + s.URL + "/token?version=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + s.RequestToken}
}

// Claim has tokens say something else of the job.
func (s *Server) Claim(name string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims[name] = value
}

// Fail has requests whose path begins so be answered with a status; 0 ends that.
func (s *Server) Fail(path string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing[path] = status
}

// Entries returns how many entries the log has.
func (s *Server) Entries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries
}

func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		status := 0
		for path, with := range s.failing {
			if strings.HasPrefix(r.URL.Path, path) && with != 0 {
				status = with
			}
		}
		s.mu.Unlock()
		if status != 0 {
			writeJSON(w, status, map[string]any{"code": status, "message": "out of order"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// SigningConfig describes where to sign, as cosign's --signing-config reads it.
func (s *Server) SigningConfig() []byte {
	service := func(url string) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: 1, ValidityPeriodStart: time.Now().Add(-time.Hour), Operator: "test"}}
	}
	one := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	config := must(root.NewSigningConfig(root.SigningConfigMediaType02, service(s.Authority), service(s.URL), service(s.URL), one, service(s.URL+"/timestamp"), one))
	return must(json.Marshal(config))
}

// TrustedRoot describes what signatures are proven by, as cosign's --trusted-root reads it.
func (s *Server) TrustedRoot() []byte {
	begin, end := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	authority := &root.FulcioCertificateAuthority{Root: s.roots[len(s.roots)-1], Intermediates: s.roots[:len(s.roots)-1], ValidityPeriodStart: begin, ValidityPeriodEnd: end, URI: s.Authority}
	clock := &root.SigstoreTimestampingAuthority{Root: s.chain[1], Intermediates: s.chain[:1], Leaf: s.tsa.certificate, ValidityPeriodStart: begin, ValidityPeriodEnd: end, URI: s.URL}
	logs := map[string]*root.TransparencyLog{}
	for id, log := range s.virtual.RekorLogs() {
		log.ID = must(fromHex(id))
		logs[id] = log
	}
	trusted := must(root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{authority}, nil, []root.TimestampingAuthority{clock}, logs))
	return must(json.Marshal(trusted))
}

// Trust has the certificates of another authority be trusted: intermediates first, its root last.
func (s *Server) Trust(authority string, chain ...*x509.Certificate) {
	s.Authority, s.roots = authority, chain
}

func (s *Server) makeKeys() {
	s.virtual = must(ca.NewVirtualSigstore())
	s.issuer = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	top, topKey, err := ca.GenerateRootCa()
	check(err)
	s.fulcio.certificate, s.fulcio.key, err = ca.GenerateFulcioIntermediate(top, topKey)
	check(err)
	s.roots = []*x509.Certificate{s.fulcio.certificate, top}
	middle, middleKey, err := ca.GenerateTSAIntermediate(top, topKey)
	check(err)
	s.tsa.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	s.tsa.certificate = must(ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), s.tsa.key, middle, middleKey))
	s.chain = [2]*x509.Certificate{middle, top}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(fmt.Sprintf("sigstoretest: %v", err))
	}
}
