package discover

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

func TestAsked(t *testing.T) {
	t.Parallel()
	cases := []struct {
		test []string
		port int
		path string // empty for none
	}{
		{[]string{"CMD", "curl", "-f", "http://localhost:3000/health"}, 3000, "/health"},
		{[]string{"CMD", "curl", "--fail", "http://127.0.0.1/"}, 80, "/"},
		{[]string{"CMD-SHELL", "curl -sSf 'http://localhost:3000' || exit 1"}, 3000, "/"},
		{[]string{"CMD-SHELL", "wget -q --spider http://0.0.0.0:8080/-/ready||exit 1"}, 8080, "/-/ready"},
		{[]string{"CMD-SHELL", "wget -qO- http://[::1]:8080/up\n"}, 8080, "/up"},
		{[]string{"CMD-SHELL", "wget --no-verbose --tries=1 --timeout=5 -O /dev/null \"http://localhost:3000/a.b/c~d\" || exit 1"}, 3000, "/a.b/c~d"},
		{[]string{"CMD", "wget", "-q", "-T", "2", "-t", "1", "-O", "-", "http://localhost:3000/up"}, 3000, "/up"},
		{[]string{"CMD-SHELL", "curl -fsSo /dev/null --max-time 3 -L http://localhost:3000/up"}, 3000, "/up"},
		{[]string{"CMD-SHELL", "curl -fsS --fail --silent --show-error --location -o /dev/null http://localhost:3000/up"}, 3000, "/up"},
		{[]string{"CMD-SHELL", "wget -qO- http://[::1]:8080/up | grep ok"}, 0, ""}, // more than an answer
		{[]string{"CMD-SHELL", "curl -fsXPOST http://localhost:3000/login || exit 1"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "-HHost:x", "http://localhost:3000/"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "--json", "{}", "http://localhost:3000/"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "-T", "2", "http://localhost:3000/"}, 0, ""}, // which is an upload
		{[]string{"CMD", "curl", "-f", "http://localhost:3000/", "-XPOST"}, 0, ""},
		{[]string{"CMD-SHELL", "wget -q --spider http://localhost:3000/login; nc -z localhost 3000"}, 0, ""},
		{[]string{"CMD-SHELL", "wget -q --spider http://localhost:3000/login\nnc -z localhost 3000"}, 0, ""},
		{[]string{"CMD-SHELL", "curl -f http://localhost:3000/ || true"}, 0, ""},
		{[]string{"CMD-SHELL", "curl -f http://localhost:3000/ || exit 0"}, 0, ""},
		{[]string{"CMD-SHELL", "curl -f http://localhost:3000/ || kill 1"}, 0, ""},
		{[]string{"CMD-SHELL", "curl -f http://localhost:3000/ || curl -f http://localhost:3000/up || exit 1"}, 0, ""},
		{[]string{"CMD-SHELL", "! curl -f http://localhost:3000/"}, 0, ""},
		{[]string{"CMD-SHELL", "curl -f http://localhost:3000/ && pgrep work"}, 0, ""},
		{[]string{"CMD-SHELL", "curl -f http://localhost:3000/{a,b}"}, 0, ""},
		{[]string{"CMD-SHELL", "curl -f http://localhost:3000/ > /dev/null"}, 0, ""},
		{[]string{"CMD-SHELL", "sh -c 'curl -f http://localhost:3000/'"}, 0, ""},
		{[]string{"CMD", "curl -f http://localhost:3000/"}, 0, ""}, // no program has such a name
		{[]string{"CMD", "curl", "-f", "http://localhost:3000/", "||", "exit", "1"}, 0, ""},
		{[]string{"CMD", "curl", "http://localhost:3000/health"}, 0, ""}, // content with any answer
		{[]string{"CMD", "curl", "-f", "http://localhost:${PORT}/health"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "http://localhost:$PORT/health"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "http://localhost:3000/health?full=1"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "https://localhost:3000/health"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "http://db:3000/health"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "-H", "Host: x", "http://localhost:3000/health"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "http://localhost:1/a", "http://localhost:2/b"}, 0, ""},
		{[]string{"CMD", "curl", "-f", "http://localhost:1/a", "http://other/b"}, 0, ""},
		{[]string{"CMD-SHELL", "pgrep work"}, 0, ""},
		{[]string{"NONE"}, 0, ""},
		{nil, 0, ""},
	}
	for _, c := range cases {
		port, path, ok := asked(&types.HealthCheckConfig{Test: c.test})
		if port != c.port || path != c.path || ok != (c.path != "") {
			t.Errorf("%q asks %d %q %t, want %d %q", c.test, port, path, ok, c.port, c.path)
		}
	}
	if _, _, ok := asked(nil); ok {
		t.Error("no health check asks something")
	}
}

// TestLeft says what of each kind of file is not taken over.
func TestLeft(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"bake", map[string]string{"docker-bake.hcl": `
variable "TAG" { default = "dev" }
group "default" { targets = ["api"] }
target "base" {}
target "_more" {}
target "docs" {}
target "api" {
  inherits = ["base"]
  tags = ["docker.io/acme/api:${TAG}", "acme/api:latest", "ghcr.io/acme/api:${TAG}"]
  entitlements = ["security.insecure"]
}`}, []string{
			"docker-bake.hcl: target api: it is docker.io/acme/api as well: name its registry under `mirrors`, which get copies.",
			"docker-bake.hcl: target api: its tag `latest` is that of releases here: `type=raw,value=latest,enable={{is_default_branch}}` under `tags` gives it to what the default branch has, too.",
			"docker-bake.hcl: target api: its entitlements security.insecure are not given: of these, a service has `network: host` alone.",
			"docker-bake.hcl: the target docs is not in the group default, so it is not published: add it there if it should be.",
			"docker-bake.hcl: the variables TAG have their defaults, or what they are in the environment: set them by `env:` of the step.",
		}},
		{"Compose", map[string]string{"compose.yaml": `
services:
  api:
    build: api
    ports: ["80:3000"]
    env_file: production.env
    environment: {A: 1, B: "${B}", C: }
    command: [serve]
    volumes: ["./data:/data"]
    cap_add: [NET_ADMIN]
    healthcheck: {test: [CMD, curl, -f, "http://localhost:3000/health"]}
  jobs:
    build: jobs
    read_only: true
    tmpfs: /tmp
    volumes: ["kept:/kept", "./config:/config:ro"]
    mem_limit: 1g
    healthcheck: {test: [CMD, pgrep, jobs]}
  sealed: {build: sealed, read_only: true, volumes: [{type: tmpfs, target: /work}]}
  tool: {build: tool, profiles: [tools, more]}
  db: {image: postgres, profiles: [tools], cap_add: [ALL]}
volumes: {kept: {}}
`}, []string{
			"compose.yaml: service api: its command is not in the image, which is tried out with what its Dockerfile says: write it there as CMD, or under `run_once` if it ends by itself.",
			"compose.yaml: service api: production.env, B, C: what the file itself does not tell of the environment is not there when the image is tried out: write under `env` what it needs to start.",
			"compose.yaml: service api: it is tried out without cap_add, volumes, which are how it runs where the Compose file brings it up.",
			"compose.yaml: service jobs: its healthcheck is not in the image: write it into the Dockerfile as HEALTHCHECK, or under `smoke`.",
			"compose.yaml: service jobs: its root file system can be written to when it is tried out, as its volumes are not there: list the service with `read_only`, and under `tmpfs` the folders that it writes to, if it is to be tried out so.",
			"compose.yaml: service jobs: it is tried out without volumes, which are how it runs where the Compose file brings it up.",
			"compose.yaml: the service tool belongs to the profile tools, more alone, which is not active, so it is not published: set COMPOSE_PROFILES, by `env:` of the step or in .env, if it should be.",
		}},
		{"what is taken over", map[string]string{"compose.yaml": "services: {api: {build: api, restart: always, networks: [a], labels: {a: b}, deploy: {resources: {limits: {memory: 1G}}}, healthcheck: {disable: true}}}\nnetworks: {a: {}}"}, nil},
		{"a Dockerfile", map[string]string{"Dockerfile": "FROM scratch"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := clone(t, c.files).Find(t.Context())
			if diff := cmp.Diff(c.want, found.Left); err != nil || diff != "" {
				t.Errorf("%v, left (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestWhatDockerfilesSay completes what other files say of the services.
func TestWhatDockerfilesSay(t *testing.T) {
	t.Parallel()
	const (
		stages = "FROM a AS base\nEXPOSE 8080\nHEALTHCHECK CMD wget localhost\nFROM base AS run\nFROM base AS quiet\nHEALTHCHECK NONE\nFROM a AS two\nEXPOSE 1 2\n" +
			"FROM base AS again\nEXPOSE 8080\nEXPOSE 8080/tcp\nFROM base AS udp\nEXPOSE 8080/udp\n"
		compose   = "services: {api: {build: {context: ., target: run}, healthcheck: {test: 'wget http://localhost:8080/up'}}}"
		elsewhere = "services: {api: {build: {context: ., target: quiet}, healthcheck: {test: 'wget http://localhost:8080/up'}}}"
	)
	cases := []struct {
		name, file, text string
		port             int
		health           string
		checked          bool
	}{
		{"stage", "docker-bake.hcl", `target "api" { target = "run" }`, 8080, "", true},
		{"stage that takes the check away", "docker-bake.hcl", `target "api" { target = "quiet" }`, 8080, "", false},
		{"two ports", "docker-bake.hcl", `target "api" { target = "two" }`, 0, "", false},
		{"a port that is named again", "docker-bake.hcl", `target "api" { target = "again" }`, 8080, "", true},
		{"a port of two protocols", "docker-bake.hcl", `target "api" { target = "udp" }`, 0, "", true},
		{"inline", "docker-bake.hcl", `target "api" { dockerfile-inline = "FROM a\nEXPOSE 9000" }`, 9000, "", false},
		{"no Dockerfile", "docker-bake.hcl", `target "api" { dockerfile = "nowhere" }`, 0, "", false},
		{"a check beside the image's own", "compose.yaml", compose, 8080, "", true},
		{"a check of the Compose file", "compose.yaml", elsewhere, 8080, "/up", false},
		{"a check of another port", "compose.yaml", "services: {api: {build: {context: ., target: quiet}, ports: ['80:3000'], healthcheck: {test: 'wget http://localhost:8080/up'}}}", 3000, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := clone(t, map[string]string{"Dockerfile": stages, c.file: c.text})
			found, err := f.Find(t.Context())
			if err != nil || len(found.Services) != 1 {
				t.Fatalf("%v, %+v", err, found.Services)
			}
			if s := found.Services[0]; s.Port != c.port || s.HealthEndpoint != c.health || f.HasHealthcheck(s) != c.checked {
				t.Errorf("port %d, health %q", s.Port, s.HealthEndpoint)
			}
		})
	}
}
