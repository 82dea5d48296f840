package sign

import (
	"strings"

	"github.com/org/ghcr-publish/internal/verdict"
)

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

func subjects(approval verdict.Approval) []subject {
	var all []subject
	for _, image := range approval.Images() {
		algorithm, digest, _ := strings.Cut(image.DigestStr(), ":")
		all = append(all, subject{Name: image.Context().Name(), Digest: map[string]string{algorithm: digest}})
	}
	return all
}
