package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/sigstoretest"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
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
			o := w.mustPublish(report.ExitDone, "--services", "auth", "--sign-key", "file:"+v.path("key.pem"), "--attest-sbom", "spdx-json,cyclonedx")
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
			for _, kind := range sign.Inventories() {
				for _, image := range images(s)[1:] { // the platforms'
					if err := v.cosign(append([]string{"verify-attestation", "--trusted-root", v.path("root.json"), image, "--type", kind}, by...)...); err != nil {
						t.Errorf("%s: %v", image, err)
					}
				}
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

// freePort is one that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// startFulcio runs the real authority, with a root of its own, for the jobs that a Sigstore's issuer vouches for, and has
// that Sigstore trust it.
func startFulcio(t *testing.T, s *sigstoretest.Server) {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "oidc-issuers:\n  %[1]s:\n    issuer-url: %[1]s\n    client-id: sigstore\n    type: github-workflow\n", s.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		_, err := run.OS(ctx, run.Command{Argv: []string{"fulcio", "serve", "--ca", "ephemeralca", "--ct-log-url", "", "--config-path", config, "--host", "127.0.0.1", "--port", port,
			"--grpc-host", "127.0.0.1", "--grpc-port", freePort(t), "--metrics-port", freePort(t), "--legacy-unix-domain-socket", filepath.Join(dir, "socket")},
			Env: parts.Environ(os.Environ()), Stdout: &log, Stderr: &log})
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if <-ended; t.Failed() {
			t.Logf("fulcio says:\n%s", log.String())
		}
	})
	address := "http://127.0.0.1:" + port
	s.Trust(address, trustBundle(t, address, ended)...)
}

// trustBundle waits for an authority to tell its certificates.
func trustBundle(t *testing.T, address string, ended <-chan error) []*x509.Certificate {
	t.Helper()
	for range 300 {
		select {
		case err := <-ended:
			t.Fatalf("fulcio has ended: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		response, err := http.Get(address + "/api/v2/trustBundle")
		if err != nil {
			continue
		}
		var bundle struct {
			Chains []struct{ Certificates []string }
		}
		err = json.NewDecoder(response.Body).Decode(&bundle)
		response.Body.Close()
		if err != nil || len(bundle.Chains) == 0 {
			continue
		}
		chain, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(strings.Join(bundle.Chains[0].Certificates, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return chain
	}
	t.Fatal("fulcio does not answer")
	return nil
}

// certified is a world whose jobs the real Fulcio certifies, and what the program is told of that Sigstore.
func certified(t *testing.T) (v *verifier, sigstore *sigstoretest.Server, args []string) {
	t.Helper()
	v, sigstore = newVerifier(newWorld(t)), sigstoretest.Start()
	t.Cleanup(sigstore.Close)
	startFulcio(t, sigstore)
	v.write("root.json", string(sigstore.TrustedRoot()))
	v.write("signing.json", string(sigstore.SigningConfig()))
	v.env = sigstore.Environ()
	return v, sigstore, []string{"--services", "auth", "--signing-config", v.path("signing.json"), "--trusted-root", v.path("root.json")}
}

// TestSignedKeyless has the real Fulcio certify a job, a log and a timestamp authority testify, and the real cosign prove it.
func TestSignedKeyless(t *testing.T) {
	v, sigstore, args := certified(t)
	w := v.world
	args = append(args, "--sign", "keyless", "--attest", "registry")

	o := w.mustPublish(report.ExitDone, args...)
	s := o.Services[0]
	const identity = "https://github.com/octo-org/shared/.github/workflows/images.yml@refs/tags/v1"
	if s.Signature == nil || s.Signature.Identity != identity || s.Signature.Issuer != sigstore.URL {
		t.Fatalf("signature %+v\n%s", s.Signature, o.log)
	}
	for line := range strings.Lines(o.log) {
		if strings.Contains(line, "eyJ") && !strings.HasPrefix(line, "::add-mask::") || strings.Contains(line, sigstore.RequestToken) {
			t.Errorf("the log shows a token: %s", line)
		}
	}
	by := []string{"--insecure-ignore-sct=true", "--certificate-oidc-issuer", sigstore.URL, "--certificate-identity", identity}
	v.proven(t, s, "verify", by...)
	for _, kind := range []string{sign.VerdictType, sign.ProvenanceType} {
		v.proven(t, s, "verify-attestation", append(by, "--type", kind)...)
	}
	by[4] = strings.Replace(identity, "refs/tags/v1", "refs/heads/feature", 1)
	v.refused(t, s, "verify", by...)
	by[4], by[2] = identity, "https://token.actions.githubusercontent.com"
	v.refused(t, s, "verify", by...)
	// Whoever calls that workflow has its name; the certificate tells them apart.
	by[2] = sigstore.URL
	v.proven(t, s, "verify", append(by, "--certificate-github-workflow-repository", "octo-org/cards")...)
	v.refused(t, s, "verify", append(by, "--certificate-github-workflow-repository", "octo-org/others")...)

	t.Run("whom the authority does not know moves no tag", func(t *testing.T) {
		w.commit("next", map[string]string{"auth/www/auth/extra": "x"})
		before := w.tags("auth")
		sigstore.Claim("iss", "https://token.example.com")
		o := w.mustPublish(report.ExitFault, args...)
		if !strings.Contains(o.Services[0].Error, "asking for a certificate: Fulcio returned 4") {
			t.Errorf("error %q", o.Services[0].Error)
		}
		if now := w.tags("auth"); !mapsEqual(now, before) {
			t.Errorf("tags moved from %v to %v", before, now)
		}
	})
}

// TestUsedAgain has a branch use what the default branch has published, since the real Fulcio certified the job that signed the
// verdict on it, and the default branch not use what a branch has.
func TestUsedAgain(t *testing.T) {
	v, sigstore, args := certified(t)
	w := v.world
	sigstore.Claim("repository", sample.Owner+"/cards")
	on := func(branch string) report.Service {
		sigstore.Claim("ref", "refs/heads/"+branch)
		o := w.publish(sample.Job{Ref: "refs/heads/" + branch}, args...)
		if o.code != report.ExitDone {
			t.Fatalf("exit code %d on %s\n%s", o.code, branch, o.log)
		}
		return o.Services[0]
	}
	first := on("main")
	by := fmt.Sprintf("since https://github.com/%s/cards/actions/runs/7/attempts/1 of refs/heads/main has signed a verdict on it", sample.Owner)
	s := on("feature")
	if s.Action != "reuse" || s.Digest != first.Digest || !strings.Contains(s.Reason, by) || !strings.Contains(s.Route, "has tried it out") {
		t.Errorf("on a branch: %s of %s, started %s, because %s", s.Action, s.Digest, s.Route, s.Reason)
	}
	w.commit("next", map[string]string{"auth/www/auth/extra": "x"})
	if s = on("feature"); s.Action != "build" {
		t.Fatalf("a change is not built: %s", s.Reason)
	}
	if again := on("main"); again.Action != "build" || !strings.Contains(again.Reason, "of refs/heads/feature, on push, which is trusted less than refs/heads/main") {
		t.Errorf("on the default branch: %s, because %s", again.Action, again.Reason)
	}
	// What it had before it finds by the memory.
	w.commit("back", map[string]string{"auth/www/auth/extra": ""})
	if err := os.Remove(filepath.Join(w.repo.Dir, "auth/www/auth/extra")); err != nil {
		t.Fatal(err)
	}
	w.commit("gone", nil)
	if s = on("main"); s.Action != "reuse" || s.Digest != first.Digest || !strings.Contains(s.Reason, "but made before") {
		t.Errorf("after it went back: %s of %s, because %s", s.Action, s.Digest, s.Reason)
	}
}
