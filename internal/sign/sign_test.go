package sign

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A stage is a registry with an approved image of two platforms.
type stage struct {
	Signer
	approval verdict.Approval

	mu     sync.Mutex
	writes int
	listed int // writes of indexes of what refers to an image
}

func newStage(t *testing.T, key string) *stage {
	t.Helper()
	s := &stage{}
	store := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			s.mu.Lock()
			s.writes++
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256-") {
				s.listed++
			}
			s.mu.Unlock()
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	s.approval = approve(t, must(name.NewRepository(host+"/octo/backend")))
	client := &registry.Client{Host: host}
	s.Attach, s.Attached = client.Attach, client.Attached
	s.by(t, key)
	s.writes, s.listed = 0, 0
	return s
}

// by has a key sign from here on.
func (s *stage) by(t *testing.T, key string) {
	t.Helper()
	identity, err := ByKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Who = identity
}

// approve pushes an image of two platforms and gives the right to tag it.
func approve(t *testing.T, repo name.Repository) verdict.Approval {
	t.Helper()
	index := v1.ImageIndex(mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	evidence := verdict.Evidence{Probe: verdict.Probe{Platform: "linux/amd64", Healthy: true}}
	for _, architecture := range []string{"amd64", "arm64"} {
		image := must(random.Image(10, 1))
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
		evidence.Wanted = append(evidence.Wanted, "linux/"+architecture)
		evidence.Platforms = append(evidence.Platforms, verdict.Platform{Platform: "linux/" + architecture, Digest: must(image.Digest()).String(), User: "app"})
	}
	evidence.Candidate = repo.Digest(must(index.Digest()).String())
	if err := remote.WriteIndex(evidence.Candidate, index); err != nil {
		t.Fatal(err)
	}
	approval, err := verdict.Judge(evidence, service.DefaultGates()).Approval()
	if err != nil {
		t.Fatal(err)
	}
	return approval
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func ecKey(curve elliptic.Curve) string {
	return pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(curve, rand.Reader)))))
}

// signed is what every image is signed with.
var signed = Claim{Type: signatureType}

func TestEveryImageIsSignedByAnyKindOfKey(t *testing.T) {
	t.Parallel()
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, key := range map[string]string{
		"P-256": ecKey(elliptic.P256()), "P-384": ecKey(elliptic.P384()), "P-521": ecKey(elliptic.P521()),
		"SEC 1":   pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))),
		"Ed25519": pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))),
		"RSA":     pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(must(rsa.GenerateKey(rand.Reader, 2048)))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, key)
			record, err := s.Sign(t.Context(), s.approval)
			if err != nil {
				t.Fatal(err)
			}
			if record.Before || !strings.HasPrefix(record.PublicKey, "-----BEGIN PUBLIC KEY-----") || len(record.Verify) != 1 || !strings.Contains(record.Verify[0], "cosign verify --key") {
				t.Errorf("record %+v", record)
			}
			s.wantProven(t, signed, s.approval.Images()...)
		})
	}
}

// wantProven demands that each image has one bundle of a type, and that it is proven.
func (s *stage) wantProven(t *testing.T, claim Claim, images ...name.Digest) {
	t.Helper()
	for _, image := range images {
		bundles, err := s.Attached(t.Context(), image, bundleType, predicateKey, claim.Type)
		if err != nil || len(bundles) != 1 {
			t.Fatalf("%s has %d bundles of type %s, %v", image, len(bundles), claim.Type, err)
		}
		if !s.Who.proves(bundles[0], claim, images) {
			t.Errorf("%s of %s is not proven", claim.Type, image)
		}
	}
}

func TestClaimsAreStoredAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, ecKey(elliptic.P256()))
	images := s.approval.Images()
	says := func(want string) func([]byte) bool { return func(p []byte) bool { return string(p) == want } }
	one, some := Claim{Type: "https://example.com/one", Image: images[0], Predicate: map[string]string{"a": "b"}, Covers: says(`{"a":"b"}`)}, Claim{Type: "https://example.com/some", Predicate: map[string]int{"n": 1}}
	record, err := s.Sign(t.Context(), s.approval, one, some)
	if err != nil {
		t.Fatal(err)
	}
	s.wantProven(t, one, images[0])
	s.wantProven(t, some, images...)
	s.wantProven(t, signed, images...)
	if s.listed != len(images) {
		t.Errorf("indexes of what refers to %d images were written %d times", len(images), s.listed)
	}
	if len(record.Attested) != 2 || len(record.Verify) != 3 || !strings.Contains(record.Verify[1], images[0].Name()) || !strings.HasPrefix(record.Verify[2], "cosign verify-attestation --type 'https://example.com/some'") {
		t.Errorf("record %+v", record)
	}

	// The next time only what changed is signed.
	s.writes, s.listed = 0, 0
	if record, err = s.Sign(t.Context(), s.approval, one, some); err != nil || !record.Before || s.writes != 0 {
		t.Errorf("the second time: record %+v, %d writes, %v", record, s.writes, err)
	}
	one.Predicate, one.Covers = map[string]string{"a": "c"}, says(`{"a":"c"}`)
	if record, err = s.Sign(t.Context(), s.approval, one, some); err != nil || record.Before || s.listed != 1 {
		t.Errorf("the third time: record %+v, %d writes, %v", record, s.writes, err)
	}
}

func TestSigningAgainWritesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, ecKey(elliptic.P256()))
	if _, err := s.Sign(t.Context(), s.approval); err != nil {
		t.Fatal(err)
	}
	s.writes = 0
	record, err := s.Sign(t.Context(), s.approval)
	if err != nil || !record.Before || s.writes != 0 {
		t.Errorf("the second time: record %+v, %d writes, %v", record, s.writes, err)
	}
	s.by(t, ecKey(elliptic.P256()))
	if record, err = s.Sign(t.Context(), s.approval); err != nil || record.Before || s.writes == 0 {
		t.Errorf("by another key: record %+v, %d writes, %v", record, s.writes, err)
	}
}

// TestProofRefuses changes one thing of a bundle at a time.
func TestProofRefuses(t *testing.T) {
	t.Parallel()
	s := newStage(t, ecKey(elliptic.P256()))
	who, stranger := s.Who, must(ByKey(ecKey(elliptic.P256()), ""))
	images := s.approval.Images()
	sound := must(who.sign(t.Context(), signed.about(images)))
	if !who.proves(sound, signed, images) {
		t.Fatal("what is sound is not proven")
	}
	other := images[0].Digest("sha256:" + strings.Repeat("0", 64))
	lesser := must(who.sign(t.Context(), signed.about(images[:1])))
	for name, proven := range map[string]bool{
		"another key":        stranger.proves(sound, signed, images),
		"a stranger's":       who.proves(must(stranger.sign(t.Context(), signed.about(images))), signed, images),
		"another type":       who.proves(sound, Claim{Type: "https://example.com/verdict"}, images),
		"another image":      who.proves(sound, signed, append(images, other)),
		"some images only":   who.proves(lesser, signed, images),
		"another payload":    who.proves(swap(t, sound, lesser), signed, images[:1]),
		"an older signature": who.proves(swap(t, lesser, sound), signed, images[:1]),
		"no bundle":          who.proves([]byte("{}"), signed, images),
		"no JSON":            who.proves([]byte("-"), signed, images),
	} {
		if proven {
			t.Errorf("%s was taken for proven", name)
		}
	}
}

// swap puts one bundle's payload into another.
func swap(t *testing.T, into, from []byte) []byte {
	t.Helper()
	var a, b map[string]any
	if err := errors.Join(json.Unmarshal(into, &a), json.Unmarshal(from, &b)); err != nil {
		t.Fatal(err)
	}
	a["dsseEnvelope"].(map[string]any)["payload"] = b["dsseEnvelope"].(map[string]any)["payload"]
	return must(json.Marshal(a))
}

func TestSignFails(t *testing.T) {
	t.Parallel()
	refused := errors.New("no")
	for name, change := range map[string]func(*stage){
		"nothing was approved": func(s *stage) { s.approval = verdict.Approval{} },
		"the registry refuses": func(s *stage) {
			s.Attach = func(context.Context, verdict.Approval, name.Digest, []registry.Attachment) error { return refused }
		},
		"the registry cannot be read": func(s *stage) {
			s.Attached = func(context.Context, name.Digest, string, string, string) ([][]byte, error) { return nil, refused }
		},
		"the registry forgets": func(s *stage) {
			s.Attached = func(context.Context, name.Digest, string, string, string) ([][]byte, error) { return nil, nil }
		},
		"the registry has another's": func(s *stage) {
			s.Attached = func(context.Context, name.Digest, string, string, string) ([][]byte, error) {
				return [][]byte{must(must(ByKey(ecKey(elliptic.P256()), "")).sign(context.Background(), signed.about(s.approval.Images())))}, nil
			}
		},
	} {
		s := newStage(t, ecKey(elliptic.P256()))
		change(s)
		if record, err := s.Sign(t.Context(), s.approval); err == nil || record.By() != "" {
			t.Errorf("%s, and it says %+v, %v", name, record, err)
		}
	}
}

func TestByKeyTellsNoSecret(t *testing.T) {
	t.Parallel()
	encrypted, _, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.StaticPasswordFunc([]byte("open")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ByKey(string(encrypted), "open"); err != nil {
		t.Errorf("the right password: %v", err)
	}
	key := ecKey(elliptic.P256())
	for name, args := range map[string][2]string{
		"the wrong password": {string(encrypted), "hunter2"},
		"no password":        {string(encrypted), ""},
		"no PEM":             {"hunter2", ""},
		"a cut key":          {strings.Replace(key, "\nM", "\nhunter2M", 1), ""},
		"a public key":       {must(ByKey(key, "")).publicKey, ""},
		"no key that signs":  {pemOf("PRIVATE KEY", []byte("hunter2")), ""},
	} {
		if _, err := ByKey(args[0], args[1]); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a": "'a'", "a$(b) `c`": "'a$(b) `c`'", "it's": `'it'\''s'`} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) = %s, want %s", text, got, want)
		}
	}
}

// TestActionIsVerifiedAsDocumented has README.md say of the action's own image what the program says of every image that it signs.
func TestActionIsVerifiedAsDocumented(t *testing.T) {
	t.Parallel()
	readme := string(must(os.ReadFile("../../README.md")))
	image := must(name.NewDigest("ghcr.io/org/ghcr-publish@sha256:" + strings.Repeat("1", 64)))
	signer := Signer{Who: &Identity{name: "https://github.com/org/ghcr-publish/.github/workflows/release.yml@refs/heads/main", issuer: "https://token.actions.githubusercontent.com"},
		Store: func(context.Context, []byte) error { return nil }, Repository: "org/ghcr-publish"}
	said := signer.record(image, []Claim{{Type: VerdictType}, {Type: ProvenanceType}}).Verify
	want := "```sh\nDIGEST=sha256:…\n" + strings.ReplaceAll(strings.Join(said, "\n"), image.DigestStr(), "$DIGEST") + "\n```\n"
	if !strings.Contains(readme, want) {
		t.Errorf("README.md lacks\n%s", want)
	}
}
