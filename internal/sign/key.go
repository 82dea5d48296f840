package sign

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// ByKey is an identity that signs with a private key in PEM: ECDSA, Ed25519 or RSA, as it is or encrypted, as cosign or
// OpenSSL do. What it signs goes to no transparency log.
func ByKey(key, password string) (*Identity, error) {
	private, err := cryptoutils.UnmarshalPEMToPrivateKey([]byte(key), cryptoutils.StaticPasswordFunc([]byte(password)))
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("reading the signing key: it is none that signs")
	}
	pair, err := newKeypair(signer)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	verifier, err := signature.LoadVerifierFromAlgorithmDetails(signer.Public(), pair.algorithm)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	trusted := root.NewExpiringKey(verifier, time.Time{}, time.Time{})
	return &Identity{keypair: pair, publicKey: pair.public, Prover: Prover{
		material: root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return trusted, nil }),
		checks:   []verify.VerifierOption{verify.WithNoObserverTimestamps()}, policy: verify.WithKey()}}, nil
}

// A keypair is a key of the user's, in the form that sigstore-go signs with.
type keypair struct {
	crypto.Signer
	algorithm signature.AlgorithmDetails
	public    string // PEM
	hint      []byte
}

func newKeypair(signer crypto.Signer) (*keypair, error) {
	algorithm, err := signature.GetDefaultAlgorithmDetails(signer.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return &keypair{signer, algorithm, string(cryptoutils.PEMEncode(cryptoutils.PublicKeyPEMType, der)), []byte(base64.StdEncoding.EncodeToString(sum[:]))}, nil
}

func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }
func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}
func (k *keypair) GetHint() []byte                  { return k.hint }
func (k *keypair) GetKeyAlgorithm() string          { return k.algorithm.GetSignatureAlgorithm().String() }
func (k *keypair) GetPublicKey() crypto.PublicKey   { return k.Public() }
func (k *keypair) GetPublicKeyPem() (string, error) { return k.public, nil }

// SignData returns the signature of data, and what was signed: its digest, but of Ed25519 the data itself.
func (k *keypair) SignData(_ context.Context, data []byte) (signed, digest []byte, err error) {
	hash := k.algorithm.GetHashType()
	if hash != 0 {
		h := hash.New()
		h.Write(data)
		data = h.Sum(nil)
	}
	signed, err = k.Sign(rand.Reader, data, hash)
	return signed, data, err
}
