package sign

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
)

// A Prover proves what one identity has signed, or any of several.
type Prover struct {
	material root.TrustedMaterial // what it is proven by
	checks   []verify.VerifierOption
	policy   verify.PolicyOption
}

// An Identity signs statements, and proves those that it has signed.
type Identity struct {
	Prover
	keypair sign.Keypair
	options sign.BundleOptions
	logs    []sign.RekorOptions // that testify to what it signs

	name, issuer string // of a certificate
	publicKey    string // PEM, of a key
}

// sign makes a Sigstore bundle of a statement.
func (i *Identity) sign(ctx context.Context, st statement) ([]byte, error) {
	data, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("writing a statement: %w", err)
	}
	options := i.options
	options.Context = ctx
	for _, log := range i.logs {
		options.TransparencyLogs = append(options.TransparencyLogs, sign.NewRekor(&log)) // of its own: one is not safe for several at a time
	}
	made, err := sign.Bundle(&sign.DSSEData{Data: data, PayloadType: statementType}, i.keypair, options)
	if err != nil {
		return nil, fmt.Errorf("making a bundle of %s: %w", st.PredicateType, err)
	}
	return protojson.Marshal(made)
}

// proves reports whether a bundle is this identity's, and claims as much of each of the images.
func (i *Identity) proves(data []byte, claim Claim, images []name.Digest) bool {
	for _, image := range images {
		proven, err := i.prove(data, image)
		if err != nil || proven.Statement.GetPredicateType() != claim.Type {
			return false
		}
		predicate, err := protojson.Marshal(proven.Statement.GetPredicate())
		if err != nil || claim.Covers != nil && !claim.Covers(predicate) {
			return false
		}
	}
	return true
}

// prove reads from a bundle what is said of an image, and who says it.
func (p Prover) prove(data []byte, image name.Digest) (*verify.VerificationResult, error) {
	var read bundle.Bundle
	if err := read.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	verifier, err := verify.NewVerifier(p.material, p.checks...)
	if err != nil {
		return nil, err
	}
	algorithm, digits, _ := strings.Cut(image.DigestStr(), ":")
	digest, err := hex.DecodeString(digits)
	if err != nil {
		return nil, err
	}
	return verifier.Verify(&read, verify.NewPolicy(verify.WithArtifactDigest(algorithm, digest), p.policy))
}

// record says how anybody can prove what is signed.
func (s *Signer) record(image name.Digest, claims []Claim) Record {
	who := s.Who
	r := Record{Identity: who.name, Issuer: who.issuer, PublicKey: who.publicKey, Attested: []string{}}
	how := fmt.Sprintf("--certificate-identity %s --certificate-oidc-issuer %s", quote(who.name), quote(who.issuer))
	switch {
	case who.publicKey != "":
		how = "--key cosign.pub --insecure-ignore-tlog=true"
	case s.Repository != "" && !strings.Contains(who.name, "/"+s.Repository+"/"):
		// Whoever calls a workflow of another repository signs by its name.
		how += " --certificate-github-workflow-repository " + quote(s.Repository)
	}
	r.Verify = []string{fmt.Sprintf("cosign verify %s %s", how, image.Name())}
	for _, claim := range claims {
		if slices.Contains(r.Attested, claim.Type) {
			continue
		}
		r.Attested = append(r.Attested, claim.Type)
		of := claim.images([]name.Digest{image})[0].Name()
		if s.Store == nil {
			r.Verify = append(r.Verify, fmt.Sprintf("cosign verify-attestation --type %s %s %s", quote(claim.Type), how, of))
		} else {
			r.Verify = append(r.Verify, fmt.Sprintf("gh attestation verify oci://%s --repo %s --cert-identity %s --predicate-type %s", of, quote(s.Repository), quote(who.name), quote(claim.Type)))
		}
	}
	return r
}

// quote makes a shell take text as it stands: a branch may be called by what a shell would run.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
