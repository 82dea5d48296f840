package e2e

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sign"
)

// A verifier is who wants to prove what was published, with cosign and what is public.
type verifier struct {
	*world
	dir string
}

func newVerifier(w *world) *verifier {
	w.t.Helper()
	if err := parts.Sigstore(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	v := &verifier{w, w.t.TempDir()}
	login := base64.StdEncoding.EncodeToString([]byte("octocat:" + w.token))
	v.write("config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, hub.addr, login))
	if err := v.cosign("trusted-root", "create", "--out", v.path("root.json")); err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (v *verifier) path(name string) string { return filepath.Join(v.dir, name) }

func (v *verifier) write(name, content string) {
	v.t.Helper()
	if err := os.WriteFile(v.path(name), []byte(content), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// cosign runs the real program, which reaches no network beside the registry.
func (v *verifier) cosign(args ...string) error {
	env := append(parts.Environ(os.Environ()), "DOCKER_CONFIG="+v.dir, "HTTPS_PROXY=http://127.0.0.1:1", "TUF_ROOT="+v.dir, "HOME="+v.dir, "COSIGN_PASSWORD=")
	_, err := run.OS(v.t.Context(), run.Command{Argv: append([]string{"cosign"}, args...), Dir: v.dir, Env: env})
	return err
}

// proven demands that cosign accepts the index and each platform's image, by a command of its own with these arguments.
func (v *verifier) proven(t *testing.T, s report.Service, command string, args ...string) {
	t.Helper()
	for _, image := range images(s) {
		if err := v.cosign(append([]string{command, "--trusted-root", v.path("root.json"), image}, args...)...); err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
}

// refused demands that cosign accepts none of them.
func (v *verifier) refused(t *testing.T, s report.Service, command string, args ...string) {
	t.Helper()
	for _, image := range images(s) {
		if err := v.cosign(append([]string{command, "--trusted-root", v.path("root.json"), image}, args...)...); err == nil {
			t.Errorf("%s %v accepts %s", command, args, image)
		}
	}
}

// images are the index and each platform's image, by digest.
func images(s report.Service) []string {
	all := []string{s.Image + "@" + s.Digest}
	for _, p := range s.Platforms {
		all = append(all, s.Image+"@"+p.Digest)
	}
	return all
}

func privateKey(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestSignedByKey has the real cosign prove offline what was signed by keys of each kind.
func TestSignedByKey(t *testing.T) {
	w := newWorld(t)
	v := newVerifier(w)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cosign("generate-key-pair"); err != nil { // encrypted with an empty password, which $COSIGN_PASSWORD is
		t.Fatal(err)
	}
	own, err := os.ReadFile(v.path("cosign.key"))
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"ecdsa": privateKey(t, ec), "ed25519": privateKey(t, ed), "cosign": string(own)} {
		t.Run(name, func(t *testing.T) {
			v.write("key.pem", key)
			o := w.mustPublish(report.ExitDone, "--services", "auth", "--sign-key", "file:"+v.path("key.pem"))
			for line := range strings.Lines(o.log) {
				if strings.Contains(line, "PRIVATE KEY") && !strings.HasPrefix(line, "::add-mask::") {
					t.Errorf("the log shows the key: %s", line)
				}
			}
			s := o.Services[0]
			if s.Signature == nil {
				t.Fatalf("it is not signed:\n%s", o.log)
			}
			v.write("own.pub", s.Signature.PublicKey)
			by := []string{"--insecure-ignore-tlog=true", "--key", v.path("own.pub")}
			v.proven(t, s, "verify", by...)
			for _, kind := range []string{sign.VerdictType, sign.ProvenanceType} {
				v.proven(t, s, "verify-attestation", append(by, "--type", kind)...)
			}
			v.refused(t, s, "verify-attestation", append(by, "--type", "https://example.com/never")...)
			if name != "cosign" {
				by[2] = v.path("cosign.pub")
				v.refused(t, s, "verify", by...)
				v.refused(t, s, "verify-attestation", append(by, "--type", sign.VerdictType)...)
			}
			w.commit("next for "+name, map[string]string{"auth/www/auth/extra": name})
		})
	}
	t.Run("what nobody signed", func(t *testing.T) {
		o := w.mustPublish(report.ExitDone, "--services", "auth")
		v.refused(t, o.Services[0], "verify", "--key", v.path("cosign.pub"), "--insecure-ignore-tlog=true")
	})
}
