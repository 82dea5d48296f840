package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
)

// A machine is a BuildKit in a network of its own, which speaks TLS to those who have a certificate.
type machine struct {
	t       *testing.T
	name    string
	dir     string // its certificates and configuration
	address string
}

// docker runs Docker's own program, as whoever owns the machine would.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run.OS(context.Background(), run.Command{Argv: append([]string{"docker"}, args...), Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// start starts the BuildKit, or starts it again. It builds for one platform.
func (m *machine) start() {
	m.t.Helper()
	docker(m.t, "run", "--detach", "--privileged", "--name", m.name, "--volume", m.dir+":/etc/buildkit:ro", "moby/buildkit:buildx-stable-1", "--config", "/etc/buildkit/buildkitd.toml", "--addr", "tcp://0.0.0.0:1234",
		"--tlscacert", "/etc/buildkit/ca.pem", "--tlscert", "/etc/buildkit/server.pem", "--tlskey", "/etc/buildkit/server-key.pem")
	m.address = docker(m.t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", m.name) + ":1234"
	for range 100 {
		if conn, err := net.Dial("tcp", m.address); err == nil {
			conn.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	m.t.Fatalf("%s does not answer: %s", m.name, docker(m.t, "logs", m.name))
}

func (m *machine) stop() {
	_, _ = run.OS(context.Background(), run.Command{Argv: []string{"docker", "rm", "--force", "--volumes", m.name}, Env: os.Environ()})
}

// certify makes an authority, and certificates of it for machines, under one name, and for who may build on them.
func certify(t *testing.T, dir string) {
	t.Helper()
	sign := func(name string, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if by == nil {
			parent, by = template, key
		}
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + "-key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return template, key
	}
	authority, key := sign("ca", &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	sign("server", &x509.Certificate{DNSNames: []string{"buildkit.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, authority, key)
	sign("client", &x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, authority, key)
}

// TestRemoteBuilders builds each platform on a machine of its own, one of which goes away in the midst of it.
func TestRemoteBuilders(t *testing.T) {
	w := newWorld(t)
	gateway, err := parts.Bridge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.registry = forward(t, gateway, hub.addr)
	dir := t.TempDir()
	certify(t, dir)
	config := fmt.Sprintf("[registry.\"docker.io\"]\n  mirrors = [%[1]q]\n[registry.%[1]q]\n  http = true\n", w.registry)
	if err := os.WriteFile(filepath.Join(dir, "buildkitd.toml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	amd, arm := &machine{t: t, dir: dir, name: "e2e-amd-" + fmt.Sprint(os.Getpid())}, &machine{t: t, dir: dir, name: "e2e-arm-" + fmt.Sprint(os.Getpid())}
	for _, m := range []*machine{amd, arm} {
		m.start()
		t.Cleanup(m.stop)
	}

	// The first build for arm64 that gets here takes its machine away, and waits for nothing.
	var once sync.Once
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/aarch64" {
			once.Do(arm.stop)
		}
	})}
	listener, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })

	dockerfile := w.read("auth/Dockerfile")
	configure := func() {
		node := "  - {endpoint: 'tcp://%s', platforms: [%s], options: {servername: buildkit.test}, ca: 'file:" + dir + "/ca.pem', cert: 'file:" + dir + "/client.pem', key: 'file:" + dir + "/client-key.pem'}\n"
		w.commit("builders", map[string]string{
			".github/ghcr-publish.yml": "services:\n  - {name: auth, image: prompt-card-auth, context: auth, port: 8005, health_endpoint: /auth/health}\nbuilders:\n" +
				fmt.Sprintf(node, amd.address, "linux/amd64") + fmt.Sprintf(node, arm.address, "linux/arm64"),
			"auth/Dockerfile": strings.Replace(dockerfile, "COPY www ./www\n", "RUN wget -q -O /dev/null http://"+listener.Addr().String()+"/$(uname -m)\nCOPY www ./www\n", 1),
		})
	}
	configure()
	w.noBuilder = true
	o := w.mustPublish(report.ExitFault, "--plain-http")
	if said := o.Services[0].Error; !strings.Contains(said, "building with buildx") {
		t.Errorf("with one machine gone it says %q\n%s", said, o.log)
	}
	if tags := w.tags("auth"); len(tags) > 0 {
		t.Errorf("tags %v", tags)
	}
	// As long as it is away nothing is built, and it is named.
	o = w.mustPublish(report.ExitFault, "--plain-http")
	if said := o.Services[0].Error; !strings.Contains(said, "builder tcp://"+arm.address+", which builds for linux/arm64, does not answer") || strings.Contains(said, amd.address) {
		t.Errorf("without one machine it says %q", said)
	}
	arm.start()
	configure()
	o = w.mustPublish(report.ExitDone, "--plain-http")
	if s := o.Services[0]; len(s.Platforms) != 2 || s.Action != "build" {
		t.Errorf("built %+v", s.Platforms)
	}
	key, err := os.ReadFile(filepath.Join(dir, "client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(o.log) {
		if strings.Contains(line, strings.Split(string(key), "\n")[1]) && !strings.HasPrefix(line, "::add-mask::") {
			t.Errorf("the log shows the key: %s", line)
		}
	}
}
