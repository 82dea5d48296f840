package sign

import (
	"context"
	"encoding/json"

	"github.com/google/go-containerregistry/pkg/name"
	"google.golang.org/protobuf/encoding/protojson"
)

// A Verifier reads verdicts that earlier runs have signed.
type Verifier struct {
	Prover
	// Attached is the registry's and Stored is Attested of a github.Client, nil where nothing is looked for there.
	Attached func(ctx context.Context, image name.Digest, mediaType, key, value string) ([][]byte, error)
	Stored   func(ctx context.Context, digest, predicateType string) ([][]byte, error)
}

// A Signed verdict is one that is proven. Ref, Event and Run are the certificate's; where a key has signed, they are as the
// verdict says.
type Signed struct {
	Verdict
	Ref, Event string
	Address    string // of the run
}

// Verdicts returns the verdicts of an image that are proven, and leaves out all else that is said of it.
func (v Verifier) Verdicts(ctx context.Context, image name.Digest) ([]Signed, error) {
	bundles, err := v.Attached(ctx, image, bundleType, predicateKey, VerdictType)
	if err != nil {
		return nil, err
	}
	if v.Stored != nil {
		stored, err := v.Stored(ctx, image.DigestStr(), VerdictType)
		if err != nil {
			return nil, err
		}
		bundles = append(bundles, stored...)
	}
	var all []Signed
	for _, data := range bundles {
		if read, ok := v.verdict(data, image); ok {
			all = append(all, read)
		}
	}
	return all, nil
}

// verdict reads one bundle; false where it proves none.
func (v Verifier) verdict(data []byte, image name.Digest) (read Signed, ok bool) {
	proven, err := v.prove(data, image)
	if err != nil || proven.Statement.GetPredicateType() != VerdictType {
		return read, false
	}
	predicate, err := protojson.Marshal(proven.Statement.GetPredicate())
	if err != nil || json.Unmarshal(predicate, &read.Verdict) != nil || read.Outcome != approved {
		return read, false
	}
	read.Ref, read.Event, read.Address = read.Verdict.Run.Ref, read.Verdict.Run.Event, read.Verdict.Run.Address
	if certificate := proven.Signature.Certificate; certificate != nil {
		read.Ref, read.Event, read.Address = certificate.SourceRepositoryRef, certificate.BuildTrigger, certificate.RunInvocationURI
	}
	return read, true
}
