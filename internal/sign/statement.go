package sign

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// A Claim is what is said of approved images.
type Claim struct {
	Type      string // of the predicate, a URL
	Predicate any
	Image     name.Digest // that it speaks of; all of them where it is none
	// Covers reports whether a predicate that was signed before says the same; any does where it is nil.
	Covers func(predicate []byte) bool
}

// images are those that a claim speaks of.
func (c Claim) images(all []name.Digest) []name.Digest {
	if c.Image == (name.Digest{}) {
		return all
	}
	return []name.Digest{c.Image}
}

// about is the claim as a statement.
func (c Claim) about(all []name.Digest) statement {
	st := statement{Type: statementVersion, PredicateType: c.Type, Predicate: c.Predicate}
	for _, image := range c.images(all) {
		st.Subject = append(st.Subject, subject{Name: image.Context().Name(), Digest: digestSet(image.DigestStr())})
	}
	return st
}

// A statement says something of images.
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate,omitempty"`
}

const statementVersion = "https://in-toto.io/Statement/v1"

// A subject is one image.
type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // in hexadecimal, by algorithm
}

// digestSet is a digest, "sha256:…", as statements write it.
func digestSet(digest string) map[string]string {
	algorithm, digits, _ := strings.Cut(digest, ":")
	return map[string]string{algorithm: digits}
}
