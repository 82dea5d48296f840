package sign

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
)

// An Identity signs statements, and proves those that it has signed.
type Identity struct {
	keypair  sign.Keypair
	options  sign.BundleOptions
	material root.TrustedMaterial // what it is proven by
	checks   []verify.VerifierOption
	policy   verify.PolicyOption

	name, issuer string // of a certificate
	publicKey    string // PEM, of a key
}

// sign makes a Sigstore bundle of a statement.
func (i *Identity) sign(ctx context.Context, st statement) ([]byte, error) {
	st.Type = statementVersion
	data, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("writing a statement: %w", err)
	}
	options := i.options
	options.Context = ctx
	made, err := sign.Bundle(&sign.DSSEData{Data: data, PayloadType: statementType}, i.keypair, options)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(made)
}

// prove proves that a bundle is this identity's, is of a type and speaks of each of the images.
func (i *Identity) prove(data []byte, predicateType string, images []name.Digest) error {
	var read bundle.Bundle
	if err := read.UnmarshalJSON(data); err != nil {
		return err
	}
	verifier, err := verify.NewVerifier(i.material, i.checks...)
	if err != nil {
		return err
	}
	for _, image := range images {
		algorithm, digits, _ := strings.Cut(image.DigestStr(), ":")
		digest, err := hex.DecodeString(digits)
		if err != nil {
			return err
		}
		proven, err := verifier.Verify(&read, verify.NewPolicy(verify.WithArtifactDigest(algorithm, digest), i.policy))
		if err != nil {
			return err
		}
		if proven.Statement.GetPredicateType() != predicateType {
			return fmt.Errorf("it is of type %q and not %q", proven.Statement.GetPredicateType(), predicateType)
		}
	}
	return nil
}

// record says how anybody can prove what this identity signs.
func (i *Identity) record(image name.Digest) Record {
	r := Record{Identity: i.name, Issuer: i.issuer, PublicKey: i.publicKey}
	if i.publicKey != "" {
		r.Verify = []string{"cosign verify --key cosign.pub --insecure-ignore-tlog=true " + image.Name()}
	} else {
		r.Verify = []string{fmt.Sprintf("cosign verify --certificate-identity %s --certificate-oidc-issuer %s %s", quote(i.name), quote(i.issuer), image.Name())}
	}
	return r
}

// quote makes a shell take text as it stands: a branch may be called by what a shell would run.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
