// Package sign signs what was approved, as Sigstore bundles beside the image, and proves each signature right after. It
// signs nothing else: who wants a signature must show an Approval.
package sign

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Signer signs the images of a run.
type Signer struct {
	// Identity is who signs. It is asked for anew for each service, because what proves it may be short-lived.
	Identity func(context.Context) (*Identity, error)
	// Attach and Attached are the registry's: see registry.Client.
	Attach   func(ctx context.Context, approval verdict.Approval, image name.Digest, files []registry.Attachment) error
	Attached func(ctx context.Context, image name.Digest, mediaType, key, value string) ([][]byte, error)
}

// A Record is who signed an image, and how anybody can prove it. The zero Record stands for an image that nobody signed.
type Record struct {
	Identity  string   `json:"identity,omitempty"`   // of the certificate; empty where a key signed
	Issuer    string   `json:"issuer,omitempty"`     // of the token that the certificate was given for
	PublicKey string   `json:"public_key,omitempty"` // in PEM; empty where a certificate was given
	Before    bool     `json:"before,omitempty"`     // it was signed before, by the same identity
	Verify    []string `json:"verify"`               // commands that prove it
}

// By says who signed, for a person; empty for nobody.
func (r Record) By() string {
	if r.PublicKey != "" {
		return "the key that was given"
	}
	return r.Identity
}

// Sign signs the approved images, one statement for all of them, and proves that the registry has it. What this identity
// has signed before is not signed again.
func (s *Signer) Sign(ctx context.Context, approval verdict.Approval) (Record, error) {
	candidate, err := approval.Candidate()
	if err != nil {
		return Record{}, fmt.Errorf("signing: %w", err)
	}
	who, err := s.Identity(ctx)
	if err != nil {
		return Record{}, fmt.Errorf("signing %s: %w", candidate, err)
	}
	record := who.record(candidate)
	if record.Before, err = s.attested(ctx, who, approval, signatureType); err != nil {
		return Record{}, fmt.Errorf("signing %s: %w", candidate, err)
	}
	if !record.Before {
		err = s.attest(ctx, who, approval, statement{Subject: subjects(approval), PredicateType: signatureType})
	}
	if err != nil {
		return Record{}, fmt.Errorf("signing %s: %w", candidate, err)
	}
	return record, nil
}

// signatureType is the predicate of a statement that says no more than that its subjects are signed.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
const signatureType = "https://sigstore.dev/cosign/sign/v1"

// bundleType is the media type of a Sigstore bundle, and the annotations say what is in it.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	contentKey    = "dev.sigstore.bundle.content"
	predicateKey  = "dev.sigstore.bundle.predicateType"
	dsseContent   = "dsse-envelope"
	statementType = "application/vnd.in-toto+json"
)

// attest signs a statement, puts it beside its subjects and reads it back. The index comes last: where it has the
// statement, its platforms have it too.
func (s *Signer) attest(ctx context.Context, who *Identity, approval verdict.Approval, st statement) error {
	bundle, err := who.sign(ctx, st)
	if err != nil {
		return err
	}
	file := registry.Attachment{MediaType: bundleType, Data: bundle, Annotations: map[string]string{contentKey: dsseContent, predicateKey: st.PredicateType}}
	for _, image := range approval.Images() {
		if err := s.Attach(ctx, approval, image, []registry.Attachment{file}); err != nil {
			return err
		}
	}
	found, err := s.attested(ctx, who, approval, st.PredicateType)
	if err == nil && !found {
		err = errors.New("the signature that was just made cannot be proven from what the registry has")
	}
	return err
}

// attested reports whether the images have a statement of a type that is proven to be of this identity.
func (s *Signer) attested(ctx context.Context, who *Identity, approval verdict.Approval, predicateType string) (bool, error) {
	images := approval.Images()
	bundles, err := s.Attached(ctx, images[len(images)-1], bundleType, predicateKey, predicateType)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(bundles, func(bundle []byte) bool { return who.prove(bundle, predicateType, images) == nil }), nil
}
