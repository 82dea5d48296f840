// Package sign signs what was approved, as Sigstore bundles beside the image, and proves each signature right after. It
// signs nothing else: who wants a signature must show an Approval.
package sign

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/verdict"
	"golang.org/x/sync/errgroup"
)

// A Signer signs the images of a run.
type Signer struct {
	Who *Identity
	// Attach and Attached are the registry's, which signatures go to: see registry.Client.
	Attach   func(ctx context.Context, approval verdict.Approval, image name.Digest, files []registry.Attachment) error
	Attached func(ctx context.Context, image name.Digest, mediaType, key, value string) ([][]byte, error)
	// Store and Stored are Attest and Attested of a github.Client, where claims are to go there and not to the registry.
	Store      func(ctx context.Context, bundle []byte) error
	Stored     func(ctx context.Context, digest, predicateType string) ([][]byte, error)
	Repository string // owner/name whose attestations they are then
}

// A Record is who signed an image, and how anybody can prove it. The zero Record stands for an image that nobody signed.
type Record struct {
	Identity  string   `json:"identity,omitempty"`   // of the certificate; empty where a key signed
	Issuer    string   `json:"issuer,omitempty"`     // of the token that the certificate was given for
	PublicKey string   `json:"public_key,omitempty"` // in PEM; empty where a certificate was given
	Before    bool     `json:"before,omitempty"`     // it was signed before, by the same identity
	Attested  []string `json:"attested"`             // types of what was claimed of it beside
	Verify    []string `json:"verify"`               // commands that prove it
}

// By says who signed, for a person; empty for nobody.
func (r Record) By() string {
	if r.PublicKey != "" {
		return "the key that was given"
	}
	return r.Identity
}

// Sign signs the approved images, and what is claimed of them, and proves all of it. What this identity has signed before
// is not signed again.
func (s *Signer) Sign(ctx context.Context, approval verdict.Approval, claims ...Claim) (Record, error) {
	candidate, err := approval.Candidate()
	if err != nil {
		return Record{}, fmt.Errorf("signing: %w", err)
	}
	record := s.record(candidate, claims)
	one := &signing{s, approval}
	if record.Before, err = one.sign(ctx, append(claims, Claim{Type: signatureType})); err != nil {
		return Record{}, fmt.Errorf("signing %s: %w", candidate, err)
	}
	return record, nil
}

// signatureType is the predicate of a statement that says no more than that its subjects are signed.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
const signatureType = "https://sigstore.dev/cosign/sign/v1"

// A signing is that of one service.
type signing struct {
	*Signer
	approval verdict.Approval
}

// sign signs the claims that are not there yet, stores and proves them. It reports whether all of them were there.
func (s *signing) sign(ctx context.Context, claims []Claim) (bool, error) {
	missing, err := s.missing(ctx, claims)
	if err != nil || len(missing) == 0 {
		return err == nil, err
	}
	bundles := make([]registry.Attachment, len(missing))
	group, each := errgroup.WithContext(ctx)
	for i, claim := range missing {
		group.Go(func() (err error) {
			bundles[i], err = s.bundle(each, claim)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return false, err
	}
	if err := s.store(ctx, missing, bundles); err != nil {
		return false, err
	}
	// What is listed of GitHub's store may be seconds old, so the registry alone is read back.
	if missing, err = s.missing(ctx, slices.DeleteFunc(missing, s.elsewhere)); err == nil && len(missing) > 0 {
		err = fmt.Errorf("the statement %s that was just signed cannot be proven from what the registry has", missing[0].Type)
	}
	return false, err
}

// elsewhere reports whether a claim goes to GitHub's store. A signature goes beside the image, where whoever pulls it looks.
func (s *signing) elsewhere(c Claim) bool { return s.Store != nil && c.Type != signatureType }

// bundleType is the media type of a Sigstore bundle, and the annotations say what is in it.
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	contentKey    = "dev.sigstore.bundle.content"
	predicateKey  = "dev.sigstore.bundle.predicateType"
	dsseContent   = "dsse-envelope"
	statementType = "application/vnd.in-toto+json"
)

// bundle signs a claim, and proves it.
func (s *signing) bundle(ctx context.Context, claim Claim) (registry.Attachment, error) {
	data, err := s.Who.sign(ctx, claim.about(s.approval.Images()))
	if err == nil && !s.Who.proves(data, claim, claim.images(s.approval.Images())) {
		err = fmt.Errorf("the statement %s that was just signed cannot be proven", claim.Type)
	}
	return registry.Attachment{MediaType: bundleType, Data: data, Annotations: map[string]string{contentKey: dsseContent, predicateKey: claim.Type}}, err
}

// store puts bundles beside the images that they speak of, or into GitHub's store. The index comes last: what it has, its
// platforms have too.
func (s *signing) store(ctx context.Context, claims []Claim, bundles []registry.Attachment) error {
	for i, claim := range claims {
		if s.elsewhere(claim) {
			if err := s.Store(ctx, bundles[i].Data); err != nil {
				return err
			}
		}
	}
	for _, image := range s.approval.Images() {
		var files []registry.Attachment
		for i, claim := range claims {
			if !s.elsewhere(claim) && slices.Contains(claim.images(s.approval.Images()), image) {
				files = append(files, bundles[i])
			}
		}
		if len(files) == 0 {
			continue
		}
		if err := s.Attach(ctx, s.approval, image, files); err != nil {
			return err
		}
	}
	return nil
}

// missing are the claims that there is no proven statement of.
func (s *signing) missing(ctx context.Context, claims []Claim) ([]Claim, error) {
	var missing []Claim
	for _, claim := range claims {
		images := claim.images(s.approval.Images())
		bundles, err := s.before(ctx, claim, images[len(images)-1])
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(bundles, func(bundle []byte) bool { return s.Who.proves(bundle, claim, images) }) {
			missing = append(missing, claim)
		}
	}
	return missing, nil
}

// before reads what was claimed of an image so far, proven or not.
func (s *signing) before(ctx context.Context, claim Claim, image name.Digest) ([][]byte, error) {
	if s.elsewhere(claim) {
		return s.Stored(ctx, image.DigestStr(), claim.Type)
	}
	return s.Attached(ctx, image, bundleType, predicateKey, claim.Type)
}
