package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/deploy"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
)

// A site is where a world is deployed.
type site struct {
	*world
	engine *engine.Engine
}

// newSite has the sample of a world be deployed under a name of its own, and everything of that be taken away in the end.
func newSite(t *testing.T, w *world) site {
	t.Helper()
	s := site{world: w}
	program, err := parts.Compose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.engine, err = engine.Open(os.Getenv); err != nil {
		t.Fatal(err)
	}
	s.commit("deploy", map[string]string{".github/ghcr-publish.yml": s.read(".github/ghcr-publish.yml") + "deploy: {environment: production, wait: 90s, project: " + s.owner + "}\n"})
	t.Cleanup(func() {
		ctx := context.Background()
		_, _ = run.OS(ctx, run.Command{Argv: []string{program, "--project-name", s.owner, "down", "--volumes", "--timeout", "1", "--rmi", "all"}, Env: os.Environ()})
		for _, kind := range []string{"deployment", "begun", "lock"} {
			notes, err := s.engine.Notes(ctx, map[string]string{"ghcr-publish.project": s.owner, "ghcr-publish.kind": kind})
			for _, n := range notes {
				_ = s.engine.RemoveNote(ctx, n.Name)
			}
			if err != nil || kind != "deployment" && len(notes) > 0 {
				t.Errorf("notes %v are left: %v", notes, err)
			}
		}
	})
	return s
}

// running are the images of the project's containers, by service.
func (s site) running() map[string]string {
	s.t.Helper()
	all, err := s.engine.Project(s.t.Context(), s.owner)
	if err != nil {
		s.t.Fatal(err)
	}
	images := map[string]string{}
	for _, i := range all {
		images[i.Service] = i.Image
	}
	return images
}

// release publishes a change, and returns the images that are live then.
func (s site) release(message string, files map[string]string) map[string]string {
	s.t.Helper()
	s.commit(message, files)
	s.mode = "all"
	images := map[string]string{}
	for _, one := range s.mustPublish(report.ExitDone).Services {
		images[one.Name] = one.Image + "@" + one.Digest
	}
	return images
}

// deploy runs mode deploy, and demands an exit code.
func (s site) deploy(want int, more ...string) report.Deployment {
	s.t.Helper()
	s.mode = "deploy"
	begun := time.Now()
	o := s.run(sample.Job{}, more...)
	s.t.Logf("deploy %q took %s", more, time.Since(begun).Round(100*time.Millisecond))
	if o.code != want {
		s.t.Fatalf("deploy %q: exit code %d, want %d\n%s", more, o.code, want, o.log)
	}
	if strings.Contains(o.log, s.token) && strings.Count(o.log, s.token) > strings.Count(o.log, "::add-mask::") {
		s.t.Errorf("the log has the token:\n%s", o.log)
	}
	data, err := os.ReadFile(s.reportFile())
	if err != nil {
		s.t.Fatal(err)
	}
	var told report.Deployment
	if err := json.Unmarshal(data, &told); err != nil {
		s.t.Fatal(err)
	}
	return told
}

func (s site) check(want map[string]string) {
	s.t.Helper()
	if got := s.running(); !maps.Equal(got, want) {
		s.t.Errorf("the host runs %v, want %v", got, want)
	}
}

// TestDeploy brings the sample up on the engine, updates it, has a broken update go back by itself, and goes back by hand.
func TestDeploy(t *testing.T) {
	s := newSite(t, newWorld(t))
	first := s.release("first", nil)
	if told := s.deploy(report.ExitDone); told.Outcome != "deployed" || len(told.Services) != len(first) {
		t.Errorf("the first: %+v", told)
	}
	s.check(first)
	second := s.release("second", map[string]string{"backend/www/new.html": "new\n"})
	if maps.Equal(first, second) {
		t.Fatal("nothing changed")
	}
	s.deploy(report.ExitDone)
	s.check(second)
	if told := s.deploy(report.ExitDone, "--status"); told.Outcome != "healthy" || len(told.Services) != len(second) {
		t.Errorf("how it is: %+v", told)
	}

	// The image answers, and so is published; its own check says that it is not well.
	broken := strings.NewReplacer("' 200 '", "' 299 '", "--retries=15", "--retries=2").Replace(s.read("backend/Dockerfile"))
	third := s.release("third", map[string]string{"backend/Dockerfile": broken})
	told := s.deploy(report.ExitRefused)
	if told.Outcome != "refused" || told.After != deploy.Restored || len(told.Troubles) != 1 || told.Troubles[0].Service != "backend" || told.Troubles[0].What != "is unhealthy" {
		t.Errorf("the broken one: %+v", told)
	}
	s.check(second)
	if told := s.deploy(report.ExitDone, "--status"); told.Outcome != "healthy" || !strings.Contains(fmt.Sprint(told.Notices), "backend runs another image than main") {
		t.Errorf("how it is, %s being published: %+v", third["backend"], told)
	}
	s.deploy(report.ExitDone, "--rollback")
	s.check(first)
	s.deploy(report.ExitConfig, "--rollback")
	s.check(first)

	// A container that somebody stops is found, and started again by the next deployment.
	if _, err := run.OS(t.Context(), run.Command{Argv: []string{"docker", "stop", "--time", "1", s.owner + "-auth-1"}, Env: os.Environ()}); err != nil {
		t.Fatal(err)
	}
	if told := s.deploy(report.ExitRefused, "--status"); told.Outcome != "unwell" || len(told.Troubles) != 1 || told.Troubles[0].Service != "auth" {
		t.Errorf("stopped: %+v", told)
	}
	states := []string{}
	for _, d := range s.api.Deployments() {
		states = append(states, d.Environment+" "+strings.Join(d.States, " "))
	}
	if want := "[production in_progress success production in_progress success production in_progress failure production in_progress success failure]"; fmt.Sprint(states) != want {
		t.Errorf("GitHub was told %v, want %s", states, want)
	}
	if problems := s.api.Problems(); len(problems) > 0 {
		t.Errorf("the GitHub API refused %q", problems)
	}
}

// TestDeployByImage deploys as the runner would have the action do it, with what the action's image brings.
func TestDeployByImage(t *testing.T) {
	j := newJob(t)
	s := newSite(t, j.world)
	j.handOver()
	if o := j.step("", "INPUT_PLATFORMS=linux/amd64"); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	for _, status := range []string{"false", "true"} {
		if o := j.step("", "INPUT_MODE=deploy", "INPUT_STATUS="+status); o.code != report.ExitDone || !strings.Contains(o.log, "✅") {
			t.Fatalf("status %s: exit code %d\n%s", status, o.code, o.log)
		}
	}
	if got := s.running(); len(got) != len(sample.Services) {
		t.Errorf("the host runs %v", got)
	}
	if _, err := run.OS(t.Context(), run.Command{Argv: []string{"docker", "run", "--rm", "--entrypoint", "/usr/bin/ssh", actionImage, "-V"}, Env: os.Environ()}); err != nil {
		t.Error(err)
	}
}

// sshHost runs OpenSSH's server on a loopback port. It returns the address of the machine's engine through it, a key that it lets in, and its own.
func sshHost(t *testing.T) (address, key, known string) {
	t.Helper()
	sshd, err := parts.SSHD(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), freePort(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"host", "key"} {
		if _, err := run.OS(t.Context(), run.Command{Argv: []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file(name)}, Env: os.Environ()}); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf("ListenAddress 127.0.0.1\nPort %s\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nPasswordAuthentication no\nStrictModes no\n", port, file("host"), file("key.pub"))
	if err := os.WriteFile(file("config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := run.OS(ctx, run.Command{Argv: []string{sshd, "-D", "-e", "-f", file("config")}, Env: os.Environ()})
		ended <- err
	}()
	t.Cleanup(func() { stop(); <-ended })
	for listening := false; !listening; {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if listening = err == nil; listening {
			conn.Close()
			continue
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	public, err := os.ReadFile(file("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(file("key"))
	if err != nil {
		t.Fatal(err)
	}
	return "ssh://root@127.0.0.1:" + port, string(private), "[127.0.0.1]:" + port + " " + string(public)
}

// TestDeployBySSH reaches the engine by ssh, and no host that is not known.
func TestDeployBySSH(t *testing.T) {
	s := newSite(t, newWorld(t))
	live := s.release("first", nil)
	address, key, known := sshHost(t)
	_, other, another := sshHost(t)
	with := func(key, known string) []string {
		return []string{"DOCKER_HOST=" + address, "INPUT_SSH-KEY=" + key, "INPUT_SSH-KNOWN-HOSTS=" + known}
	}
	s.mode = "deploy"
	host, _, _ := strings.Cut(known, " ")
	_, foreign, _ := strings.Cut(another, " ")
	for want, env := range map[string][]string{"give `ssh-key` a private key": with(other, known), "give `ssh-known-hosts` what `ssh-keyscan 127.0.0.1` prints": with(key, host+" "+foreign)} {
		s.env = env
		if o := s.run(sample.Job{}); o.code != report.ExitFault || !strings.Contains(o.log, want) {
			t.Errorf("exit code %d, want %q\n%s", o.code, want, o.log)
		}
	}
	if got := s.running(); len(got) > 0 {
		t.Errorf("the host runs %v", got)
	}
	s.env = with(key, known)
	s.deploy(report.ExitDone)
	s.check(live)
	if told := s.deploy(report.ExitDone, "--status"); told.Host != address {
		t.Errorf("%+v", told)
	}
}

// disturb starts mode deploy, sends it a signal once its log has a text, and returns how it ended.
func (s site) disturb(signal syscall.Signal, text string) outcome {
	s.t.Helper()
	program, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.mode = "deploy"
	log, err := os.Create(filepath.Join(s.t.TempDir(), "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, s.args()...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.repo.Dir, s.environ(sample.Job{}), log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	said := func() string { data, _ := os.ReadFile(log.Name()); return string(data) }
	for !strings.Contains(said(), text) {
		select {
		case <-ended:
			s.t.Fatalf("it ended before it said %q:\n%s", text, said())
		case <-time.After(5 * time.Millisecond):
		}
	}
	asked := time.Now()
	_ = cmd.Process.Signal(signal)
	<-ended
	s.t.Logf("%v, it took %s to leave", signal, time.Since(asked).Round(100*time.Millisecond))
	return outcome{code: cmd.ProcessState.ExitCode(), log: said()}
}

// TestDeployDisturbed has deployments be cancelled, killed, made by two at once, and begun of what ends again and again.
func TestDeployDisturbed(t *testing.T) {
	s := newSite(t, newWorld(t))
	first := s.release("first", nil)
	s.deploy(report.ExitDone)
	second := s.release("second", map[string]string{"backend/www/new.html": "new\n", "auth/www/new.html": "new\n"})

	if o := s.disturb(syscall.SIGTERM, "  Started"); o.code != report.ExitFault || !strings.Contains(o.log, "What ran before runs again, and is well") {
		t.Errorf("cancelled: exit code %d\n%s", o.code, o.log)
	}
	s.check(first)

	s.disturb(syscall.SIGKILL, "  Container ")
	if told := s.deploy(report.ExitDone, "--rollback"); !strings.Contains(fmt.Sprint(told.Notices), "did not come to an end") {
		t.Errorf("after a killed one: %+v", told)
	}
	s.check(first)

	var both sync.WaitGroup
	other := s
	other.world = new(world)
	*other.world = *s.world
	other.temp = t.TempDir()
	for _, one := range []site{s, other} {
		both.Go(func() {
			one.mode = "deploy"
			if o := one.run(sample.Job{}); o.code != report.ExitDone {
				t.Errorf("of two at once one has exit code %d\n%s", o.code, o.log)
			}
		})
	}
	both.Wait()
	s.check(second)

	ends := strings.Replace(withoutChecks(s.read("backend/Dockerfile")), `CMD ["httpd", "-f", "-v", "-p", "3001", "-h", "/www"]`, `CMD ["sh", "-c", "echo deployed: $DEPLOYED; [ -z $DEPLOYED ] || exit 3; exec httpd -f -p 3001 -h /www"]`, 1)
	s.release("third", map[string]string{"backend/Dockerfile": ends, ".github/ghcr-publish.yml": s.read(".github/ghcr-publish.yml") + "compose: {environment: {DEPLOYED: 1}}\n"})
	told := s.deploy(report.ExitRefused)
	if len(told.Troubles) != 1 || told.Troubles[0].Service != "backend" || !strings.Contains(strings.Join(told.Troubles[0].Log, "\n"), "deployed: 1") || told.After != deploy.Restored {
		t.Errorf("what ends again and again: %+v", told)
	}
	t.Logf("%s %s", told.Troubles[0].Service, told.Troubles[0].What)
	s.check(second)
}

// forget takes away what the host remembers of the project: all, or what has more labels.
func (s site) forget(more map[string]string) {
	s.t.Helper()
	labels := map[string]string{"ghcr-publish.project": s.owner}
	maps.Copy(labels, more)
	notes, err := s.engine.Notes(s.t.Context(), labels)
	for _, n := range notes {
		err = errors.Join(err, s.engine.RemoveNote(s.t.Context(), n.Name))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestDeployWithoutLock takes the lock away from a deployment that goes on: it stops, and a rollback sets right what it left.
func TestDeployWithoutLock(t *testing.T) {
	s := newSite(t, newWorld(t))
	first := s.release("first", nil)
	s.deploy(report.ExitDone)
	waits := strings.NewReplacer("' 200 '", "' 299 '", "--retries=15", "--retries=1000").Replace(s.read("backend/Dockerfile"))
	second := s.release("second", map[string]string{"backend/Dockerfile": waits})
	s.mode = "deploy"
	ended := make(chan outcome)
	go func() { ended <- s.run(sample.Job{}) }()
	for s.running()["backend"] != second["backend"] {
		select {
		case o := <-ended:
			t.Fatalf("it ended before it had begun\n%s", o.log)
		case <-time.After(100 * time.Millisecond):
		}
	}
	var o outcome
	for over := false; !over; { // it may be just about to renew the lock
		select {
		case o = <-ended:
			over = true
		case <-time.After(100 * time.Millisecond):
			s.forget(map[string]string{"ghcr-publish.kind": "lock"})
		}
	}
	if o.code != report.ExitFault || !strings.Contains(o.log, "the lock on the Docker host was lost") || !strings.Contains(o.log, "What it had begun is left as it is") {
		t.Errorf("exit code %d\n%s", o.code, o.log)
	}
	if got := s.running(); got["backend"] != second["backend"] {
		t.Errorf("it is not left as it is: %v", got)
	}
	if told := s.deploy(report.ExitDone, "--rollback"); !strings.Contains(fmt.Sprint(told.Notices), "did not come to an end") {
		t.Errorf("the rollback: %+v", told)
	}
	s.check(first)
}

// secured leads a port that only those may use who have a certificate to the machine's engine, and returns the folder with what they need.
func secured(t *testing.T) (address, certificates string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// One certificate is enough for all: it has signed itself.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, dir := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), t.TempDir()
	for name, text := range map[string][]byte{"ca.pem": certificate, "cert.pem": certificate, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	engine := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", "/var/run/docker.sock")
		}}}
	go func() { _ = http.Serve(listener, engine) }()
	return "tcp://" + listener.Addr().String(), dir
}

// TestDeployByTLS reaches the engine with a certificate, and not without.
func TestDeployByTLS(t *testing.T) {
	s := newSite(t, newWorld(t))
	live := s.release("first", nil)
	address, certificates := secured(t)
	s.env = []string{"DOCKER_HOST=" + address}
	s.mode = "deploy"
	if o := s.run(sample.Job{}); o.code != report.ExitFault || !strings.Contains(o.log, "reaching the Docker host "+address) {
		t.Errorf("without a certificate: exit code %d\n%s", o.code, o.log)
	}
	s.env = append(s.env, "DOCKER_CERT_PATH="+certificates)
	s.deploy(report.ExitDone)
	s.check(live)
}

// TestDeployByHand tells what Compose leaves running of another profile, and what can be gone back to that nobody wrote down.
func TestDeployByHand(t *testing.T) {
	s := newSite(t, newWorld(t))
	const file = ".github/ghcr-publish.yml"
	config := strings.Replace(s.read(file), "    context: auth\n", "    context: auth\n    compose: {profiles: [extra]}\n", 1)
	more := strings.Replace(config, "wait: 90s", "wait: 90s, profiles: [production, extra]", 1)
	all := s.release("first", map[string]string{file: config})
	some := maps.Clone(all)
	delete(some, "auth")
	for n, c := range []struct {
		config string
		args   []string
		want   map[string]string
	}{{config, nil, some}, {more, nil, all}, {config, nil, some}, {config, []string{"--rollback"}, all}, {more, []string{"--rollback"}, some}} {
		s.commit("profiles", map[string]string{file: c.config})
		s.deploy(report.ExitDone, c.args...)
		if t.Logf("deployment %d", n); !maps.Equal(s.running(), c.want) {
			t.Errorf("it is of other profiles: %v", s.running())
		}
	}

	// What is known goes back without what was started beside it by hand. The same that runs already and nobody wrote down is gone back to as it was;
	// of what was started otherwise only the images are, and what was not well stays.
	broken := strings.NewReplacer("' 200 '", "' 299 '", "--retries=15", "--retries=2").Replace(s.read("backend/Dockerfile"))
	for _, c := range []struct {
		forgotten bool
		docker    []string // what somebody does before
		settings  string
		want      string
		lacks     []string
	}{
		{false, []string{"run", "--detach", "--label", "com.docker.compose.project=" + s.owner, "--label", "com.docker.compose.service=debug", "--label", "com.docker.compose.oneoff=False", all["auth"]}, "", deploy.Partly, []string{"debug"}},
		{true, []string{"version"}, "", deploy.Restored, nil},
		{true, []string{"stop", "--time", "1", s.owner + "-frontend-1"}, "compose: {environment: {OTHER: 1}}\n", deploy.Partly, []string{"backend", "frontend"}},
	} {
		if c.forgotten {
			s.forget(nil)
		}
		if _, err := run.OS(t.Context(), run.Command{Argv: append([]string{"docker"}, c.docker...), Env: os.Environ()}); err != nil {
			t.Fatal(err)
		}
		s.release("broken", map[string]string{"backend/Dockerfile": broken, file: config + c.settings})
		told := s.deploy(report.ExitRefused)
		for _, service := range []string{"backend", "frontend", "debug"} {
			if said := strings.Contains(fmt.Sprint(told.Notices), "Should this deployment fail: "+service); told.After != c.want || said != slices.Contains(c.lacks, service) {
				t.Errorf("want %s, and %q: %+v", c.want, c.lacks, told)
			}
		}
		s.check(some)
	}
}
