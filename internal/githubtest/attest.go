package githubtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// An Attestation is a Sigstore bundle that was accepted.
type Attestation struct {
	Repository    string // "owner/name"
	PredicateType string
	Subjects      []string // digests, "sha256:…"
	Bundle        json.RawMessage
}

// Attestations returns those that were accepted, in order.
func (s *Server) Attestations() []Attestation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attested)
}

// WithholdAttestations has the token lack `attestations: write`, or have it again. What is refused for that is no problem.
func (s *Server) WithholdAttestations(withheld bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withheld = withheld
}

// attest takes an attestation in. A bundle must have a certificate: nobody could prove by GitHub's tools what a key has signed.
// https://docs.github.com/rest/repos/attestations#create-an-attestation
func (s *Server) attest(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	withheld := s.withheld
	s.mu.Unlock()
	if withheld {
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	a, err := readAttestation(r.Body)
	if err != nil {
		s.refuse(w, r, &refusal{http.StatusUnprocessableEntity, "Invalid bundle: " + err.Error()})
		return
	}
	a.Repository = repository(r)
	s.mu.Lock()
	s.attested = append(s.attested, a)
	id := len(s.attested)
	s.mu.Unlock()
	writeJSON(w, http.StatusCreated, map[string]int{"id": id})
}

func readAttestation(from io.Reader) (Attestation, error) {
	var body struct{ Bundle json.RawMessage }
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return Attestation{}, err
	}
	var bundle struct {
		MediaType            string
		VerificationMaterial struct {
			Certificate *struct{ RawBytes []byte }
			TlogEntries []any
		}
		DSSEEnvelope struct {
			PayloadType string
			Payload     []byte
			Signatures  []struct{ Sig []byte }
		}
	}
	if err := json.Unmarshal(body.Bundle, &bundle); err != nil {
		return Attestation{}, err
	}
	envelope, material := bundle.DSSEEnvelope, bundle.VerificationMaterial
	if bundle.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" || material.Certificate == nil || len(material.TlogEntries) == 0 ||
		envelope.PayloadType != "application/vnd.in-toto+json" || len(envelope.Signatures) != 1 {
		return Attestation{}, fmt.Errorf("%s with %q, certificate %v and %d log entries", bundle.MediaType, envelope.PayloadType, material.Certificate != nil, len(material.TlogEntries))
	}
	return statementOf(envelope.Payload, body.Bundle)
}

func statementOf(payload []byte, bundle json.RawMessage) (Attestation, error) {
	var statement struct {
		PredicateType string
		Subject       []struct{ Digest map[string]string }
	}
	if err := json.Unmarshal(payload, &statement); err != nil {
		return Attestation{}, err
	}
	a := Attestation{PredicateType: statement.PredicateType, Bundle: bundle}
	for _, subject := range statement.Subject {
		a.Subjects = append(a.Subjects, "sha256:"+subject.Digest["sha256"])
	}
	if len(a.Subjects) == 0 || len(a.Subjects) > 1024 || a.PredicateType == "" || slices.ContainsFunc(a.Subjects, func(s string) bool { return len(s) != len("sha256:")+64 }) {
		return Attestation{}, fmt.Errorf("the statement is of type %q and about %q", a.PredicateType, a.Subjects)
	}
	return a, nil
}

// listAttestations tells what is attested of a digest.
// https://docs.github.com/rest/repos/attestations#list-attestations
func (s *Server) listAttestations(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	for _, a := range s.Attestations() {
		wanted := r.URL.Query().Get("predicate_type")
		if slices.Contains(a.Subjects, r.PathValue("digest")) && strings.EqualFold(a.Repository, repository(r)) && (wanted == "" || wanted == a.PredicateType) {
			list = append(list, map[string]any{"bundle": a.Bundle, "repository_id": 1})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"attestations": list})
}
