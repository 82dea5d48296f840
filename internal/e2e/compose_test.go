package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
)

// composed is what the sample's Compose file is to be: the frontend alone is reached from outside, its image has a program to ask with and no
// HEALTHCHECK; that of auth has neither.
const composed = `
compose: {environment: {OPTIMIZATION_ENABLED: true, CACHE_ENABLED: true}, health_image: %s/library/busybox}
`

// A stack is a Compose project on the engine.
type stack struct {
	*world
	program, file string
	env           []string
}

// newStack has Compose log in at the registry by a configuration of its own.
func (w *world) newStack(file string) stack {
	w.t.Helper()
	program, err := parts.Compose(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	login, err := json.Marshal(map[string]any{"auths": map[string]any{hub.addr: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("octocat:" + w.token))}}})
	if err != nil {
		w.t.Fatal(err)
	}
	config := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "config.json"), login, 0o600); err != nil {
		w.t.Fatal(err)
	}
	s := stack{w, program, file, append(os.Environ(), "DOCKER_CONFIG="+config, "COMPOSE_PROJECT_NAME="+w.owner)}
	w.t.Cleanup(func() { _, _ = s.run("down", "--volumes", "--timeout", "1", "--rmi", "all") })
	return s
}

// run runs a command of Compose, and returns what it printed.
func (s stack) run(args ...string) (string, error) {
	var out bytes.Buffer
	// What clears away runs when the test's own context is over.
	_, err := run.OS(context.Background(), run.Command{Argv: append([]string{s.program, "--file", s.file}, args...), Env: s.env, Stdout: &out})
	if err != nil {
		fmt.Fprint(&out, err) // with what it said of the failure
	}
	return out.String(), err
}

func (s stack) must(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// health is that of each container, by its service.
func (s stack) health() map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(s.must("ps", "--all", "--format", "{{.Service}} {{.State}} {{.Health}}")) {
		service, state, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[service] = state
	}
	return found
}

// TestComposeReadsFiles has Compose itself read the files that show what there is, for each profile.
func TestComposeReadsFiles(t *testing.T) {
	w := newWorld(t)
	files, err := filepath.Glob("../compose/testdata/*/compose.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		s := w.newStack(file)
		s.env = append(s.env, "DATABASE_URL=x", "API_KEY=x")
		for _, profile := range []string{"", "production", "development"} {
			s.must("--profile", profile, "config", "--quiet")
		}
	}
}

// withoutChecks takes the HEALTHCHECK out of a Dockerfile of the sample.
func withoutChecks(dockerfile string) string {
	before, rest, _ := strings.Cut(dockerfile, "HEALTHCHECK")
	_, after, _ := strings.Cut(rest, "\n\n")
	return before + after
}

// TestCompose publishes the sample, and brings its Compose file up until every service is well.
func TestCompose(t *testing.T) {
	w := newWorld(t)
	config := strings.NewReplacer("    health_endpoint: /\n", "    health_endpoint: /\n    compose: {publish: true, needs: [backend, auth]}\n").Replace(w.read(".github/ghcr-publish.yml")) + fmt.Sprintf(composed, hub.addr)
	bare := strings.NewReplacer("FROM busybox\n", "FROM scratch\nCOPY --from=build /bin/busybox /server/busybox\n", `CMD ["httpd"`, `CMD ["/server/busybox", "httpd"`).Replace(withoutChecks(w.read("auth/Dockerfile")))
	w.commit("compose", map[string]string{".github/ghcr-publish.yml": config, "frontend/Dockerfile": withoutChecks(w.read("frontend/Dockerfile")), "auth/Dockerfile": bare})
	o := w.mustPublish(report.ExitDone)
	if o.Compose == nil {
		t.Fatalf("no Compose file was written: %q", o.Notices)
	}
	first, err := os.ReadFile(o.Compose.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range o.Services {
		if line := "image: " + s.Image + "@" + s.Digest + " # main\n"; !strings.Contains(string(first), line) {
			t.Errorf("the file lacks %q:\n%s", line, first)
		}
	}
	up := w.newStack(o.Compose.File)
	port := freePort(t)
	up.env = append(up.env, "FRONTEND_PORT="+port)
	up.must("config", "--quiet")
	up.must("up", "--detach", "--wait", "--wait-timeout", "120")
	up.checkHealth(map[string]string{"auth": "running", "auth-health": "running healthy", "backend": "running healthy", "frontend": "running healthy"})
	up.checkSafe(port)
	up.must("down", "--timeout", "1")

	t.Run("what is live gives the same", func(t *testing.T) {
		w.mode = "compose"
		if o := w.run(sample.Job{}); o.code != report.ExitDone {
			t.Fatalf("exit code %d\n%s", o.code, o.log)
		}
		again, err := os.ReadFile(up.file)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%v; the file of what is live is another:\n%s", err, again)
		}
	})
	t.Run("what is sick is waited for in vain", func(t *testing.T) {
		for _, address := range []string{"http://127.0.0.1:3000/", "http://auth:8005/auth/health"} {
			broken := strings.NewReplacer(address, address+"nowhere", "retries: 6", "retries: 1", "start_period: 30s", "start_period: 0s").Replace(string(first))
			sick := up
			sick.file = filepath.Join(t.TempDir(), "compose.yaml")
			if err := os.WriteFile(sick.file, []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := sick.run("up", "--detach", "--wait", "--wait-timeout", "60"); err == nil || !strings.Contains(out, "unhealthy") {
				t.Errorf("with %snowhere: %v\n%s", address, err, out)
			}
			sick.must("down", "--timeout", "1")
		}
	})
}

func (s stack) checkHealth(want map[string]string) {
	s.t.Helper()
	if found := s.health(); !maps.Equal(found, want) {
		s.t.Errorf("containers are %v, want %v", found, want)
	}
}

// checkSafe looks at the running containers: only what is named is reached from outside, and no root file system can be written to.
func (s stack) checkSafe(port string) {
	s.t.Helper()
	answer, err := http.Get("http://127.0.0.1:" + port + "/")
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("the frontend at its published port: %v, %v", answer, err)
	}
	answer.Body.Close()
	published := strings.Fields(s.must("ps", "--format", "{{range .Publishers}}{{if .PublishedPort}}{{.PublishedPort}} {{end}}{{end}}"))
	slices.Sort(published)
	if published = slices.Compact(published); !slices.Equal(published, []string{port}) {
		s.t.Errorf("published are %q, want %s alone", published, port)
	}
	for _, c := range [][]string{{"touch", "/written"}, {"touch", "/www/written"}} {
		if out, err := s.run(append([]string{"exec", "-T", "backend"}, c...)...); err == nil || !strings.Contains(out, "Read-only file system") {
			s.t.Errorf("%q: %v\n%s", c, err, out)
		}
	}
	s.must("exec", "-T", "backend", "touch", "/tmp/written")
	if env := s.must("exec", "-T", "backend", "env"); !strings.Contains(env, "OPTIMIZATION_ENABLED=true\n") {
		s.t.Errorf("the environment is %s", env)
	}
	if status := s.must("exec", "-T", "backend", "cat", "/proc/1/status"); !strings.Contains(status, "NoNewPrivs:\t1\n") || !strings.Contains(status, "CapBnd:\t0000000000000000\n") {
		s.t.Errorf("the program may more than it needs: %s", status)
	}
	s.must("exec", "-T", "frontend", "wget", "-q", "-O", "/dev/null", "http://backend:3001/health")
}
