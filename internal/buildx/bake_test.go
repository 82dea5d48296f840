package buildx

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

const workspace = "/home/me/shop"

func read(t *testing.T, vars map[string]string, files ...string) ([]service.Service, error) {
	t.Helper()
	var all []BakeFile
	for i := 0; i < len(files); i += 2 {
		all = append(all, BakeFile{Name: files[i], Data: []byte(files[i+1])})
	}
	found, err := Bake{Workspace: workspace, Vars: vars}.Services(all)
	return found.Services, err
}

func TestBakeTargetsAreServices(t *testing.T) {
	t.Parallel()
	yes := true
	const at = "docker-bake.hcl: target api"
	cases := []struct {
		name, target string
		vars         map[string]string
		want         service.Service
	}{
		{"bare", ``, nil, service.Service{Image: "api", Context: ".", Dockerfile: "Dockerfile"}},
		{"image", `tags = ["ghcr.io/octo/backend:1.2@sha256:0123", "other:1"]`, nil, service.Service{Image: "ghcr.io/octo/backend", Context: ".", Dockerfile: "Dockerfile"}},
		{"image on GitHub's registry, among others", `tags = ["docker.io/octo/a:1", "octo/b", "ghcr.io/octo/backend:1"]`, nil, service.Service{Image: "ghcr.io/octo/backend", Context: ".", Dockerfile: "Dockerfile"}},
		{"image by its name alone, among others", `tags = ["docker.io/octo/a:1", "octo/b", "backend:1", "ghcr.io/octo/c"]`, nil, service.Service{Image: "backend", Context: ".", Dockerfile: "Dockerfile"}},
		{"image at a port", `tags = ["localhost:5000/backend"]`, nil, service.Service{Image: "localhost:5000/backend", Context: ".", Dockerfile: "Dockerfile"}},
		{"context", `context = "./api/"`, nil, service.Service{Image: "api", Context: "api", Dockerfile: "api/Dockerfile"}},
		{"context by its full path", `context = "/home/me/shop/api"`, nil, service.Service{Image: "api", Context: "api", Dockerfile: "api/Dockerfile"}},
		{"context where bake is started", `context = BAKE_CMD_CONTEXT`, nil, service.Service{Image: "api", Context: ".", Dockerfile: "Dockerfile"}},
		{"Dockerfile beside its context", `context = "api"
			dockerfile = "../docker/api.Dockerfile"`, nil, service.Service{Image: "api", Context: "api", Dockerfile: "docker/api.Dockerfile"}},
		{"Dockerfile where bake is started", `context = "api"
			dockerfile = "cwd://docker/api.Dockerfile"`, nil, service.Service{Image: "api", Context: "api", Dockerfile: "docker/api.Dockerfile"}},
		{"inline", `dockerfile-inline = "FROM scratch"`, nil, service.Service{Image: "api", Context: ".", Inline: "FROM scratch"}},
		{"words", `target = "production"
			args = {A = "1", B = null}
			labels = {a = "1"}
			annotations = ["index,manifest:b=2", "c=3"]
			platforms = ["linux/amd64", "linux/arm64"]`, nil, service.Service{Image: "api", Context: ".", Dockerfile: "Dockerfile", Target: "production",
			BuildArgs: map[string]string{"A": "1"}, Labels: map[string]string{"a": "1"}, Annotations: map[string]string{"b": "2", "c": "3"},
			Platforms: []string{"linux/amd64", "linux/arm64"}}},
		{"options", `contexts = {base = "docker-image://alpine:3.22", shared = "./shared"}
			secret = ["id=npm,src=.npmrc", "type=env,id=TOKEN", "id=known", "id=file", {id = "other", env = "OTHER"}]
			ssh = ["default", "key=.ssh/key"]
			network = "host"
			extra-hosts = {db = "10.0.0.1"}
			shm-size = "64m"
			ulimits = ["nofile=1024:2048"]
			no-cache = true
			no-cache-filter = ["build"]
			attest = ["type=provenance,mode=max", "type=sbom"]`, map[string]string{"known": ""}, service.Service{Image: "api", Context: ".", Dockerfile: "Dockerfile", Options: service.Options{
			Contexts: map[string]string{"base": "docker-image://alpine:3.22", "shared": "shared"},
			Secrets:  map[string]string{"npm": "file:.npmrc", "TOKEN": "env:TOKEN", "known": "env:known", "file": "file:file", "other": "env:OTHER"},
			SSH:      []string{"default", "key=.ssh/key"}, Network: "host", ExtraHosts: map[string]string{"db": "10.0.0.1"}, ShmSize: 64 << 20,
			Ulimits: map[string]string{"nofile": "1024:2048"}, NoCache: &yes, NoCacheFilters: []string{"build"}, Provenance: "max", SBOM: "true"}}},
		{"no attestations", `attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]`, nil, service.Service{Image: "api", Context: ".", Dockerfile: "Dockerfile",
			Options: service.Options{Provenance: "false", SBOM: "false"}}},
		{"other attestations", `attest = ["type=provenance", "type=sbom,generator=scanner:1"]`, nil, service.Service{Image: "api", Context: ".", Dockerfile: "Dockerfile",
			Options: service.Options{Provenance: "min", SBOM: "scanner:1"}}},
		{"what is not its own to say", `output = ["type=docker"]
			cache-from = ["type=gha"]
			cache-to = ["type=gha"]
			call = "check"
			entitlements = ["security.insecure"]
			pull = true`, nil, service.Service{Image: "api", Context: ".", Dockerfile: "Dockerfile"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, c.vars, "docker-bake.hcl", "target \"api\" {\n"+c.target+"\n}")
			c.want.At, c.want.Name = at, "api"
			if diff := cmp.Diff([]service.Service{c.want}, got); err != nil || diff != "" {
				t.Errorf("%v, services (-want +got):\n%s", err, diff)
			}
		})
	}
}

// told lists services as name, image and context.
func told(services []service.Service) string {
	var lines []string
	for _, s := range services {
		lines = append(lines, s.Name+" "+s.Image+" "+s.Context)
	}
	return strings.Join(lines, "\n")
}

func TestBakeFiles(t *testing.T) {
	t.Parallel()
	const (
		bare     = "variable \"TAG\" { default = \"dev\" }\nvariable \"ORG\" {}\n"
		function = "function \"image\" {\n  params = [name]\n  result = \"${ORG}/${name}:${TAG}\"\n}\n"
	)
	cases := []struct {
		name  string
		files []string
		want  string
	}{
		{"the group default", []string{"docker-bake.hcl", `group "default" { targets = ["some", "web"] }
			group "some" { targets = ["api"] }
			target "api" {}
			target "web" {}
			target "docs" {}`}, "api api .\nweb web ."},
		{"the target default", []string{"docker-bake.hcl", `target "default" { tags = ["app:1"] }
			target "other" {}`}, "default app ."},
		{"all but parts", []string{"docker-bake.hcl", `target "_common" { dockerfile = "x" }
			target "docker-metadata-action" {}
			target "api" {
			  inherits = ["_common", "docker-metadata-action"]
			  context = "api"
			}
			target "api-slim" { inherits = ["api"] }`}, "api api api\napi-slim api-slim api"},
		{"an image that is a context, too", []string{"docker-bake.hcl", `target "base" { tags = ["base"] }
			target "api" { contexts = {base = "target:base"} }`}, "api api .\nbase base ."},
		{"a matrix", []string{"docker-bake.hcl", `group "default" { targets = ["app"] }
			target "app" {
			  name = "app-${item.name}"
			  matrix = {item = [{name = "api", dir = "a"}, {name = "web", dir = "w"}]}
			  context = item.dir
			}`}, "app-api app-api a\napp-web app-web w"},
		{"variables and functions", []string{"docker-bake.hcl", bare + function + `target "api" { tags = [image("api")] }`}, "api octo/api ."},
		{"JSON", []string{"docker-bake.json", `{"variable": {"ORG": {}}, "target": {"api": {"context": "api", "tags": ["${ORG}/x:1"]}}}`}, "api octo/x api"},
		{"an override", []string{"docker-bake.hcl", `target "api" { context = "api" }`, "docker-bake.override.hcl", `target "api" { tags = ["octo/y"] }`}, "api octo/y api"},
		{"nothing", []string{"docker-bake.hcl", bare}, ""},
		{"an empty group", []string{"docker-bake.hcl", `group "default" { targets = [] }`}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, map[string]string{"ORG": "octo"}, c.files...)
			if err != nil || told(got) != c.want {
				t.Errorf("%v, got\n%s\nwant\n%s", err, told(got), c.want)
			}
			for _, s := range got {
				if want := strings.Join([]string{c.files[0], c.files[max(0, len(c.files)-2)]}, ", "); !strings.HasPrefix(want, strings.Split(s.At, ":")[0]) {
					t.Errorf("%s is at %q", s.Name, s.At)
				}
			}
		})
	}
}

func TestLinkedTargets(t *testing.T) {
	t.Parallel()
	got, err := read(t, nil, "docker-bake.hcl", `group "default" { targets = ["api", "base"] }
		target "base" {}
		target "api" { contexts = {base = "target:base"} }`)
	if err != nil || got[0].Contexts["base"] != "service:base" {
		t.Errorf("%v, services %+v", err, got)
	}
}

// A variable is not taken from this process: what the action was given, tokens too, is in its environment.
func TestBakeVariablesAreOnlyThoseGiven(t *testing.T) {
	t.Setenv("STOLEN", "token")
	got, err := read(t, nil, "docker-bake.hcl", "variable \"STOLEN\" {}\ntarget \"api\" { args = {A = STOLEN} }")
	if err != nil || got[0].BuildArgs["A"] != "" {
		t.Errorf("%v, services %+v", err, got)
	}
	found, err := Bake{Workspace: workspace}.Compose("compose.yaml", []byte("services: {api: {build: {context: /home/me/shop, args: {A: '${STOLEN}', STOLEN: }}}}"))
	if got := found.Services; err != nil || got[0].BuildArgs["A"] != "" || got[0].BuildArgs["STOLEN"] != "" {
		t.Errorf("%v, services %+v", err, got)
	}
}

func TestBakeMistakes(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"ill-formed", "target \"api\" {\n  context = \n}", "docker-bake.hcl:2:13: Invalid expression"},
		{"unknown variable", "target \"api\" {\n  context = NONE\n}", "docker-bake.hcl:2:13: "},
		{"name", `target "a.b" {}`, "only letters, digits and _ - are allowed"},
		{"no such target", `group "default" { targets = ["api"] }`, `docker-bake.hcl: the group default names "api", which is no target`},
		{"no such parent", `target "api" { inherits = ["base"] }`, "docker-bake.hcl: failed to find target base"},
		{"remote context", `target "api" { context = "https://github.com/octo/api.git" }`, `docker-bake.hcl: target api: context "https://github.com/octo/api.git" is not in this repository; build from a folder`},
		{"remote Dockerfile", `target "api" { dockerfile = "https://example.com/Dockerfile" }`, `dockerfile "https://example.com/Dockerfile" is not in this repository`},
		{"unpublished part", `target "base" {}
			target "api" { contexts = {base = "target:base"} }`, `docker-bake.hcl: target api: context base is the image of "base", which is not published; publish that too (in a bake file, add it to the group default), or write a configuration file`},
		{"size", `target "api" { shm-size = "much" }`, `shm-size "much" is no amount of memory`},
		{"annotation", `target "api" { annotations = ["none"] }`, `invalid annotation "none"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, nil, "docker-bake.hcl", c.text)
			if problems, ok := err.(service.Problems); !ok || !strings.Contains(problems.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestComposeTargets(t *testing.T) {
	t.Parallel()
	found, err := Bake{Workspace: workspace}.Compose("compose.yaml", []byte(`
services:
  base: {build: /home/me/shop/base}
  db: {image: "postgres:18"}
  api.v2:
    image: ghcr.io/octo/api:2
    build:
      context: /home/me/shop/api
      dockerfile: build/Dockerfile
      additional_contexts: {base: "service:base"}
      args: {PRICE: "1$$"}
      secrets: [npm]
      provenance: mode=max
      x-bake: {platforms: [linux/amd64, linux/arm64]}
secrets: {npm: {file: /home/me/shop/.npmrc}}
`))
	want := []service.Service{
		{At: "compose.yaml: service api_v2", Name: "api_v2", Image: "ghcr.io/octo/api", Context: "api", Dockerfile: "api/build/Dockerfile", BuildArgs: map[string]string{"PRICE": "1$"},
			Platforms: []string{"linux/amd64", "linux/arm64"}, Options: service.Options{Contexts: map[string]string{"base": "service:base"},
				Secrets: map[string]string{"npm": "file:.npmrc"}, Provenance: "max"}},
		{At: "compose.yaml: service base", Name: "base", Image: "base", Context: "base", Dockerfile: "base/Dockerfile"},
	}
	if diff := cmp.Diff(want, found.Services); err != nil || diff != "" {
		t.Errorf("%v, services (-want +got):\n%s", err, diff)
	}
}
