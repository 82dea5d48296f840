package discover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

// clone writes files into a workspace, and finds what is in it.
func clone(t *testing.T, files map[string]string) Finder {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Finder{Workspace: dir, Repository: "shop", Vars: map[string]string{"ORG": "octo"},
		ReadFile: func(name string) ([]byte, error) {
			root, err := os.OpenRoot(dir)
			if err != nil {
				return nil, err
			}
			defer root.Close()
			return root.ReadFile(name)
		},
		Files: func(context.Context) ([]string, error) { return slices.Sorted(maps.Keys(files)), nil }}
}

func TestTheFirstSourceThatGivesAnyWins(t *testing.T) {
	t.Parallel()
	files := map[string]string{"docker-bake.hcl": `target "baked" {}`, "compose.yaml": "services: {composed: {build: .}}", "Dockerfile": "FROM scratch"}
	for _, c := range []struct{ change, text, want string }{
		{"", "", "docker-bake.hcl: target baked"},
		{"docker-bake.hcl", `group "default" { targets = [] }`, "compose.yaml: service composed"},
		{"compose.yaml", "services: {db: {image: postgres}}", "Dockerfile"},
		{"Dockerfile", "", "Dockerfile"},
	} {
		if c.change != "" {
			files[c.change] = c.text
		}
		found, err := clone(t, files).Find(t.Context())
		if err != nil || len(found.Services) != 1 || found.Services[0].At != c.want {
			t.Errorf("with another %q: %v, %+v; want %s", c.change, err, found.Services, c.want)
		}
		if composed := strings.HasPrefix(c.want, "compose.yaml"); (found.Compose == "compose.yaml") != composed || (found.Compose == "") == composed {
			t.Errorf("with another %q they come from the Compose file %q", c.change, found.Compose)
		}
	}
	found, err := clone(t, map[string]string{"main.go": ""}).Find(t.Context())
	if err != nil || len(found.Services) > 0 {
		t.Errorf("in no such clone: %v, %+v", err, found.Services)
	}
}

func TestFoundTellsWhatDecides(t *testing.T) {
	t.Parallel()
	found, err := clone(t, map[string]string{"compose.yml": "include: [more.yaml]\nservices: {api: {build: api, extends: {file: common/base.yaml, service: base}}}",
		"more.yaml": "services: {db: {image: postgres}}", "common/base.yaml": "services: {base: {environment: {A: 1}}}"}).Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"docker-bake.override.hcl", "compose.yaml", "compose.yml", "compose.override.yaml", ".env", "more.yaml", "common/base.yaml"} {
		if !slices.Contains(found.Files, want) {
			t.Errorf("%s is not among %q", want, found.Files)
		}
	}
}

func TestComposeServices(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		files map[string]string
		want  []service.Service
	}{
		{"short", map[string]string{"compose.yaml": "services: {api: {build: ./api}, db: {image: postgres}}"},
			[]service.Service{{Name: "api", Image: "api", Context: "api", Dockerfile: "api/Dockerfile"}}},
		{"long", map[string]string{"docker-compose.yml": `
services:
  db: {image: "postgres:18"}
  base: {build: {context: ., dockerfile: base.Dockerfile}}
  api:
    image: ghcr.io/${ORG}/api:${TAG:-latest}
    build: {context: api, dockerfile: ../api.Dockerfile, target: "${STAGE:-production}", args: {VERSION: "${VERSION-1}", ORG: , PRICE: "1$$"}, additional_contexts: {shared: shared}}
    ports: ["127.0.0.1:9000:3001/udp", "8080:3000", "9000:9000"]
    environment: [NODE_ENV=production, "PASSWORD=${ORG}", FROM_HOST, "PRICE=1$$"]
    depends_on: [db, base]
    deploy: {resources: {limits: {memory: 2G, cpus: "0.1", pids: 100}, reservations: {memory: 1G}}}
`}, []service.Service{
			{Name: "api", Image: "ghcr.io/octo/api", Context: "api", Dockerfile: "api.Dockerfile", Target: "production", BuildArgs: map[string]string{"VERSION": "1", "ORG": "octo", "PRICE": "1$"},
				Options: service.Options{Contexts: map[string]string{"shared": "shared"}}, Port: 3000, Env: map[string]string{"NODE_ENV": "production", "PRICE": "1$"},
				DependsOn: []string{"base"}, PeerNames: []string{"db"}, Resources: service.Resources{MemoryLimit: 2 << 30, CPUs: 0.1, MemoryReservation: 1 << 30, Processes: 100}},
			{Name: "base", Image: "base", Context: ".", Dockerfile: "base.Dockerfile"},
		}},
		{"exposed, and bound the older way", map[string]string{"docker-compose.yaml": "services: {api: {build: ., expose: ['80/udp', '8000'], mem_limit: 1g, cpus: 1.5, pids_limit: 50, environment: {A: 1, B: yes, C: '${ORG}'}}}"},
			[]service.Service{{Name: "api", Image: "api", Context: ".", Dockerfile: "Dockerfile", Port: 8000, Env: map[string]string{"A": "1", "B": "yes"}, Resources: service.Resources{MemoryLimit: 1 << 30, CPUs: 1.5, Processes: 50}}}},
		{"override", map[string]string{"compose.yaml": "services: {api: {build: api, image: octo/a, pids_limit: -1}}", "compose.override.yaml": "services: {api: {image: octo/b, build: {target: t}, ports: ['80:8080']}}", "docker-compose.yml": "services: {old: {build: .}}"},
			[]service.Service{{Name: "api", Image: "octo/b", Context: "api", Dockerfile: "api/Dockerfile", Target: "t", Port: 8080}}},
		{"profiles", map[string]string{"compose.yaml": "services: {api: {build: api}, tool: {build: tool, profiles: [tools]}}"},
			[]service.Service{{Name: "api", Image: "api", Context: "api", Dockerfile: "api/Dockerfile"}}},
		{"profiles that are active", map[string]string{"compose.yaml": "services: {tool: {build: tool, profiles: [tools]}}", ".env": "COMPOSE_PROFILES=tools,more\n"},
			[]service.Service{{Name: "tool", Image: "tool", Context: "tool", Dockerfile: "tool/Dockerfile"}}},
		{"variables of .env", map[string]string{"compose.yaml": "services: {api: {build: '${DIR}', image: '${ORG}/x'}}", ".env": "DIR=src\nORG=wrong\n"},
			[]service.Service{{Name: "api", Image: "octo/x", Context: "src", Dockerfile: "src/Dockerfile"}}},
		{"a file of variables that is not there", map[string]string{"compose.yaml": "services: {api: {build: ., env_file: secret.env, environment: {A: 1}}}"},
			[]service.Service{{Name: "api", Image: "api", Context: ".", Dockerfile: "Dockerfile", Env: map[string]string{"A": "1"}}}},
		{"taken in from a folder", map[string]string{"compose.yaml": "include: [parts/compose.yaml]", "parts/compose.yaml": "services: {api: {build: api}}"},
			[]service.Service{{Name: "api", Image: "api", Context: "parts/api", Dockerfile: "parts/api/Dockerfile"}}},
		{"an image that is a context", map[string]string{"compose.yaml": "services: {base: {build: base}, a.b: {build: {context: ., additional_contexts: {base: 'service:base'}}}}"},
			[]service.Service{{Name: "a_b", Image: "a_b", Context: ".", Dockerfile: "Dockerfile", Options: service.Options{Contexts: map[string]string{"base": "service:base"}}},
				{Name: "base", Image: "base", Context: "base", Dockerfile: "base/Dockerfile"}}},
		{"a root file system that cannot be written to", map[string]string{"compose.yaml": "services: {api: {build: ., read_only: true, tmpfs: ['/run:size=1m'], volumes: [{type: tmpfs, target: /work}]}}"},
			[]service.Service{{Name: "api", Image: "api", Context: ".", Dockerfile: "Dockerfile", ReadOnly: true, Tmpfs: []string{"/run", "/work"}}}},
		{"a file that is mounted into it", map[string]string{"compose.yaml": "services: {api: {build: ., read_only: true, tmpfs: /run, volumes: ['./conf/app.conf:/etc/app/app.conf', './api:/app']}}"},
			[]service.Service{{Name: "api", Image: "api", Context: ".", Dockerfile: "Dockerfile"}}},
		{"a volume that is mounted into it", map[string]string{"compose.yaml": "services: {api: {build: ., read_only: true, volumes: ['kept:/kept']}}\nvolumes: {kept: {}}"},
			[]service.Service{{Name: "api", Image: "api", Context: ".", Dockerfile: "Dockerfile"}}},
		{"what can be read alone, mounted into it", map[string]string{"compose.yaml": "services: {api: {build: ., read_only: true, volumes: ['./a:/a:ro']}}"},
			[]service.Service{{Name: "api", Image: "api", Context: ".", Dockerfile: "Dockerfile"}}},
		{"an override of nothing", map[string]string{"compose.override.yaml": "services: {api: {build: .}}"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := clone(t, c.files).Find(t.Context())
			for i, s := range found.Services {
				file, ok := strings.CutSuffix(s.At, ": service "+s.Name)
				if _, there := c.files[strings.Split(file, ", ")[0]]; !ok || !there {
					t.Errorf("%s is at %q", s.Name, s.At)
				}
				found.Services[i].At = ""
			}
			if diff := cmp.Diff(c.want, found.Services); err != nil || diff != "" {
				t.Errorf("%v, services (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestLinkThatLeavesTheClone(t *testing.T) {
	t.Parallel()
	f := clone(t, map[string]string{"compose.yaml": "services: {api: {build: ., extends: {file: link.yaml, service: base}}}"})
	elsewhere := filepath.Join(t.TempDir(), "base.yaml")
	if err := errors.Join(os.WriteFile(elsewhere, []byte("services: {base: {labels: {a: secret}}}"), 0o600), os.Symlink(elsewhere, filepath.Join(f.Workspace, "link.yaml"))); err != nil {
		t.Fatal(err)
	}
	const want = `compose.yaml: "link.yaml" is taken in, which is not in this repository; give a file of the repository`
	if _, err := f.Find(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"ill-formed bake file", map[string]string{"docker-bake.hcl": "target api {\n  context = \n}"}, "docker-bake.hcl:2:13: "},
		{"ill-formed YAML", map[string]string{"compose.yaml": "services:\n  api: {build: .\n  web: x"}, "compose.yaml:1: "},
		{"ill-formed override", map[string]string{"compose.yaml": "services: {api: {build: .}}", "compose.override.yml": "services: {api: {build: [1}}"}, "compose.override.yml: "},
		{"wrong kind", map[string]string{"compose.yaml": "services: {api: {build: 3}}"}, "compose.yaml: "},
		{"required variable", map[string]string{"compose.yaml": "services: {api: {build: '${DIR:?say where}'}}"}, "say where; set it in the environment, on GitHub by `env:` of the step"},
		{"variables that nothing sets", map[string]string{"compose.yaml": "services: {api: {build: '${DIR-.}', ports: ['${WEB_PORT}', '${OTHER:-3}', '${API_PORT}', '${WEB_PORT}'], environment: {A: '${SET}'}}}", ".env": "SET=1\n"},
			"it may be as nothing sets API_PORT, WEB_PORT: set such variables in the environment, on GitHub by `env:` of the step, or in .env, or give them defaults in the file"},
		{"remote context", map[string]string{"compose.yaml": "services: {api: {build: 'https://github.com/octo/api.git'}}"}, "compose.yaml: service api: context \"https://github.com/octo/api.git\" is not in this repository"},
		{"part that is not built", map[string]string{"compose.yaml": "services: {db: {image: x}, api: {build: {context: ., additional_contexts: {db: 'service:db'}}}}"}, `declares non-buildable service "db" as additional contexts db`},
		{"file of elsewhere", map[string]string{"compose.yaml": "include: [../other.yaml]\nservices: {api: {build: .}}"}, "other.yaml"},
		{"ill-formed .env", map[string]string{"compose.yaml": "services: {api: {build: .}}", ".env": "a b c\n"}, ".env: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := clone(t, c.files)
			_, err := f.Find(t.Context())
			if problems, ok := err.(service.Problems); !ok || !strings.Contains(problems.Error(), c.want) || strings.Contains(problems.Error(), f.Workspace) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestIncludesReadNoOtherFiles: an include could have variables read from wherever it says.
func TestIncludesReadNoOtherFiles(t *testing.T) {
	t.Parallel()
	const asks = "include: [{path: a.yaml, env_file: /proc/self/environ}]\nservices: {api: {build: {context: ., labels: {a: '${PATH}'}}}}"
	for name, files := range map[string]map[string]string{
		"at once":       {"compose.yaml": asks, "a.yaml": "services: {}"},
		"through other": {"compose.yaml": "include: [b.yaml]\nservices: {api: {build: .}}", "b.yaml": asks, "a.yaml": "services: {}"},
	} {
		files["Dockerfile"] = "FROM scratch\n"
		found, err := clone(t, files).Find(t.Context())
		if err == nil || !strings.Contains(err.Error(), "include with env_file is not read here") || len(found.Services) > 0 {
			t.Errorf("%s: %v, %+v", name, err, found.Services)
		}
	}
}

// TestAlone has nothing of what variables give, wherever they have it from.
func TestAlone(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	cases := map[string]map[string]string{
		"the environment": {"compose.yaml": "services: {api: {image: 'x:${TOKEN:?}', build: {context: ., args: [TOKEN, 'A=${TOKEN:-1}'], labels: {a: '$TOKEN'}}, environment: [TOKEN]}}"},
		"by name alone":   {"compose.yaml": "services: {api: {build: {context: ., args: {TOKEN: }}, environment: {TOKEN: , OTHER: '${TOKEN}'}}}"},
		".env":            {"compose.yaml": "services: {api: {build: {context: ., args: {A: '${DOT}'}}, environment: [DOT]}}", ".env": "DOT=" + secret},
		"a file that is included": {"compose.yaml": "include: [parts/compose.yaml]", "parts/.env": "PART=" + secret,
			"parts/compose.yaml": "services: {api: {build: {context: ., args: {A: '${PART}', PART: }, labels: {b: '${PART?}'}}, environment: [PART]}}"},
		"a file beside it that is included": {"compose.yaml": "include: [more.yaml]", ".env": "PART=" + secret,
			"more.yaml": "services: {api: {build: {context: ., args: {A: '${PART}', PART: }}, environment: [PART]}}"},
		"a bake file": {"docker-bake.hcl": "variable \"TOKEN\" {}\ntarget \"api\" { args = {T = TOKEN, (TOKEN) = 1} }"},
	}
	for name, files := range cases {
		f := clone(t, files)
		f.Vars["TOKEN"] = secret
		alone, err := f.Alone(t.Context())
		if text := fmt.Sprintf("%+v", alone); err != nil || len(alone.Services) != 1 || strings.Contains(text, secret) {
			t.Errorf("%s: %v, %s", name, err, text)
		}
		found, err := f.Find(t.Context())
		if err != nil || len(found.Services) != 1 || strings.Contains(fmt.Sprint(found.Services[0].Env), secret) {
			t.Errorf("%s, read with variables: %v, %+v", name, err, found)
		}
	}
}
