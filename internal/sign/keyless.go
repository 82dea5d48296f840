package sign

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// An Instance is a Sigstore: an authority that certifies identities, logs and timestamp authorities, and what all that is
// proven by.
type Instance struct {
	config  *root.SigningConfig
	trusted root.TrustedMaterial
}

// NewInstance reads a Sigstore of one's own from the files that describe it, as cosign's --signing-config and
// --trusted-root do.
func NewInstance(signingConfig, trustedRoot []byte) (*Instance, error) {
	config, err := root.NewSigningConfigFromJSON(signingConfig)
	if err != nil {
		return nil, errors.New("the signing config is none of version 0.2")
	}
	trusted, err := root.NewTrustedRootFromJSON(trustedRoot)
	if err != nil {
		return nil, errors.New("the trusted root is none")
	}
	return &Instance{config: config, trusted: trusted}, nil
}

// PublicInstance asks for what describes the public good instance, and proves it by The Update Framework.
// https://docs.sigstore.dev/about/security/
func PublicInstance() (*Instance, error) {
	client, err := tuf.New(tuf.DefaultOptions().WithDisableLocalCache())
	if err != nil {
		return nil, fmt.Errorf("asking for Sigstore's trusted root: %w", err)
	}
	config, err := root.GetSigningConfig(client)
	if err != nil {
		return nil, fmt.Errorf("asking for Sigstore's signing config: %w", err)
	}
	trusted, err := root.GetTrustedRoot(client)
	if err != nil {
		return nil, fmt.Errorf("asking for Sigstore's trusted root: %w", err)
	}
	return &Instance{config: config, trusted: trusted}, nil
}

// Keyless is an identity that signs with a key made for the moment, which the instance's authority certifies to be of
// whoever the token is of. The certificate is good for some minutes.
func (i *Instance) Keyless(ctx context.Context, client *http.Client, token string) (*Identity, error) {
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := i.certify(ctx, client, pair, token)
	if err != nil {
		return nil, fmt.Errorf("asking for a certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	summary, err := certificate.SummarizeCertificate(parsed)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	expected, err := verify.NewShortCertificateIdentity(summary.Issuer, "", summary.SubjectAlternativeName, "")
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	identity := &Identity{keypair: pair, name: summary.SubjectAlternativeName, issuer: summary.Issuer, Prover: i.prover(expected)}
	identity.options.CertificateProvider = certified(der)
	return identity, i.witness(ctx, client, identity)
}

func (i *Instance) certify(ctx context.Context, client *http.Client, pair sign.Keypair, token string) ([]byte, error) {
	authority, err := root.SelectService(i.config.FulcioCertificateAuthorityURLs(), sign.FulcioAPIVersions, time.Now())
	if err != nil {
		return nil, err
	}
	return sign.NewFulcio(&sign.FulcioOptions{BaseURL: authority.URL, Transport: bound{ctx, client.Transport}}).
		GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token})
}

// A certified key has its certificate already.
type certified []byte

// GetCertificate returns the certificate, in DER.
func (c certified) GetCertificate(context.Context, sign.Keypair, *sign.CertificateProviderOptions) ([]byte, error) {
	return c, nil
}

// witness has logs and timestamp authorities testify when something was signed: the certificate must have been good then.
func (i *Instance) witness(ctx context.Context, client *http.Client, identity *Identity) error {
	if services := i.config.TimestampAuthorityURLs(); len(services) > 0 {
		chosen, err := root.SelectServices(services, i.config.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, time.Now())
		if err != nil {
			return fmt.Errorf("choosing a timestamp authority: %w", err)
		}
		for _, s := range chosen {
			identity.options.TimestampAuthorities = append(identity.options.TimestampAuthorities, sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: s.URL, Transport: bound{ctx, client.Transport}}))
		}
	}
	if services := i.config.RekorLogURLs(); len(services) > 0 {
		chosen, err := root.SelectServices(services, i.config.RekorLogURLsConfig(), sign.RekorAPIVersions, time.Now())
		if err != nil {
			return fmt.Errorf("choosing a transparency log: %w", err)
		}
		for _, s := range chosen {
			identity.logs = append(identity.logs, sign.RekorOptions{BaseURL: s.URL, Version: s.MajorAPIVersion, Retries: 3})
		}
	}
	return nil
}

// prover proves what certificates of this instance have signed.
func (i *Instance) prover(who verify.CertificateIdentity) Prover {
	p := Prover{material: i.trusted, policy: verify.WithCertificateIdentity(who)}
	if len(i.config.RekorLogURLs()) > 0 {
		p.checks = append(p.checks, verify.WithTransparencyLog(1))
	}
	if len(i.trusted.CTLogs()) > 0 {
		p.checks = append(p.checks, verify.WithSignedCertificateTimestamps(1))
	}
	p.checks = append(p.checks, verify.WithObserverTimestamps(1))
	return p
}

// Jobs proves what any job of a repository has signed, whatever workflow and ref it is of. The repository is an address,
// such as https://github.com/octo-org/cards, and the issuer is who vouches for its jobs.
func (i *Instance) Jobs(issuer, repository string) (Prover, error) {
	anyone, err := verify.NewSANMatcher("", "^https://")
	if err != nil {
		return Prover{}, err
	}
	by, err := verify.NewIssuerMatcher(issuer, "")
	if err != nil {
		return Prover{}, err
	}
	who, err := verify.NewCertificateIdentity(anyone, by, certificate.Extensions{SourceRepositoryURI: repository})
	if err != nil || repository == "" {
		return Prover{}, errors.Join(err, errors.New("proving what a repository's jobs have signed: it has no address"))
	}
	return i.prover(who), nil
}

// bound carries requests that end with a context; sigstore-go makes them without one.
type bound struct {
	ctx  context.Context
	next http.RoundTripper
}

func (b bound) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(r.WithContext(b.ctx))
}
