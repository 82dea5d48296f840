package service

import (
	"errors"
	"io/fs"

	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const configFile = ".github/ghcr-publish.yml"

// token must never be seen in an error.
const token = "ghp_0123456789abcdefghijABCDEFGHIJ012345"

const minimal = "services:\n  - name: backend\n"

// workspace gives a configuration file in a workspace of octo's, and nothing else.
func workspace(config string) Sources {
	return Sources{
		Getenv:   func(string) string { return "" },
		ReadFile: fstest.MapFS{configFile: {Data: []byte(config)}}.ReadFile,
		Defaults: map[string]string{"owner": "Octo", "actor": "mona", "token": "", "temp": "/tmp/run"},
	}
}

func inputs(given map[string]string) func(string) string {
	return func(name string) string { return given[name] }
}

func environ(given map[string]string) func(string) string { return inputs(given) }

func mustLoad(t *testing.T, src Sources) Config {
	t.Helper()
	config, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// texts are an error's problems, one per line of its text.
func texts(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var problems Problems
	if !errors.As(err, &problems) || problems.ExitCode() != 2 {
		t.Fatalf("the error is %T: %v; want Problems with exit code 2", err, err)
	}
	return strings.Split(err.Error(), "\n")
}

func TestLoadTakesTheFirstThatGives(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		flags, inputs map[string]string
		file          string
		want          string
	}{
		"a flag before all":      {map[string]string{"registry": "flag.example"}, map[string]string{"registry": "input.example"}, "registry: file.example\n", "flag.example"},
		"an input before a file": {nil, map[string]string{"registry": " input.example\n"}, "registry: file.example\n", "input.example"},
		"a file before defaults": {nil, nil, "registry: file.example\n", "file.example"},
		"an empty input is none": {nil, map[string]string{"registry": "  "}, "registry: file.example\n", "file.example"},
		"a default":              {nil, nil, "", "ghcr.io"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := workspace(c.file + minimal)
			src.Flags, src.Input = c.flags, inputs(c.inputs)
			if got := mustLoad(t, src).Registry; got != c.want {
				t.Errorf("registry is %q, want %q", got, c.want)
			}
		})
	}
}

// defaultOf is a default that changes with the world's versions.
func defaultOf(name string) string {
	table := Table()
	return table[slices.IndexFunc(table, func(s Setting) bool { return s.Name == name })].Default
}

func TestLoadFillsDefaults(t *testing.T) {
	t.Parallel()
	src := workspace(minimal)
	src.Defaults["token"] = token
	got := mustLoad(t, src)
	want := Settings{
		Mode: "all", ConfigFile: configFile, Registry: "ghcr.io", Owner: "octo", Username: "mona", Token: token,
		Platforms: []string{"linux/amd64", "linux/arm64"}, RefreshBase: "always", ReuseFrom: "trusted", Push: "auto", Promote: "all-or-nothing", MaxParallel: 3, Weight: 100, Emulation: "auto",
		Split: "service", Runners: map[string]string{"linux/arm64": "ubuntu-24.04-arm"}, Handover: "auto", Artifact: "ghcr-publish",
		BinfmtImage: defaultOf("binfmt-image"), Cache: CacheAuto, CacheDir: "/tmp/run/layers", Provenance: "max", SBOM: "false",
		Sign:         "auto",
		Attest:       "auto",
		TrivyDB:      []string{"mirror.gcr.io/aquasec/trivy-db:2", "ghcr.io/aquasecurity/trivy-db:2"},
		CodeScanning: "auto", Release: "off", Memory: ".swarm/memory.db", PlanFile: "/tmp/run/plan.json", Report: "/tmp/run/report.json", ComposeFile: "/tmp/run/compose/compose.yaml", Dashboard: "/tmp/run/dashboard", DashboardOf: "repository",
	}
	if diff := cmp.Diff(want, got.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(DefaultGates(), got.Gates); diff != "" || got.Tags != DefaultTags || got.File != configFile {
		t.Errorf("file %q, tags %q, gates (-want +got):\n%s", got.File, got.Tags, diff)
	}
}

func TestLoadLeavesWhatNobodyFillsEmpty(t *testing.T) {
	t.Parallel()
	src := workspace(minimal)
	src.Defaults = map[string]string{"owner": "octo"}
	if got := mustLoad(t, src); got.Username != "" || got.Token != "" || got.PlanFile != "" {
		t.Errorf("got %q, %q and %q; want none", got.Username, got.Token, got.PlanFile)
	}
}

func TestLoadReadsEverySettingFromTheFile(t *testing.T) {
	t.Parallel()
	const file = `
registry: localhost:5000
plain_http: true
owner: Somebody
username: robot
platforms: linux/arm64
force: True
base: abc
refresh_base: never
reuse_from: pull_request
push: "false"
promote: per-service
max_parallel: 7
split: platform
runners: [linux/amd64=big, linux/aarch64=small]
handover: registry
artifact: images
builder: mine
builder_config: buildkitd.toml
emulation: off
binfmt_image: binfmt:1
cache: off
cache_dir: /mnt/layers
provenance: min
sbom: scanner:1
trivy_db: [one.example/db:2, two.example/db:2]
code_scanning: off
sign: off
signing_config: c.json
trusted_root: r.json
attest: off
attest_sbom: [spdx-json]
memory: off
plan_file: plan.json
report: report.json
compose_file: deploy/compose.yaml
dashboard: site
dashboard_of: all
dry_run: true
`
	want := Settings{
		Mode: "all", ConfigFile: configFile, Registry: "localhost:5000", PlainHTTP: true, Owner: "somebody", Username: "robot",
		Platforms: []string{"linux/arm64"}, Force: true, Base: "abc", RefreshBase: "never", ReuseFrom: "pull_request", Push: "false", Promote: "per-service", MaxParallel: 7, Weight: 100,
		Split: "platform", Runners: map[string]string{"linux/amd64": "big", "linux/arm64": "small"}, Handover: "registry", Artifact: "images",
		Builder: "mine", BuilderConfig: "buildkitd.toml", Emulation: "off", BinfmtImage: "binfmt:1", Cache: CacheOff, CacheDir: "/mnt/layers", Provenance: "min", SBOM: "scanner:1",
		Sign: "off", SigningConfig: "c.json", TrustedRoot: "r.json", Attest: "off", AttestSBOM: []string{"spdx-json"},
		TrivyDB: []string{"one.example/db:2", "two.example/db:2"}, CodeScanning: "off", Release: "off", Memory: "off",
		PlanFile: "plan.json", Report: "report.json", ComposeFile: "deploy/compose.yaml", Dashboard: "site", DashboardOf: "all", DryRun: true,
	}
	if diff := cmp.Diff(want, mustLoad(t, workspace(file+minimal)).Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestLoadFindsTheFile(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		asked string
		files fstest.MapFS
		want  []string // beginnings of the problems
	}{
		{"where it is by default", "", fstest.MapFS{configFile: {Data: []byte(minimal)}}, nil},
		{"where it was asked for", "other.yml", fstest.MapFS{"other.yml": {Data: []byte(minimal)}}, nil},
		{"nowhere", "", fstest.MapFS{}, []string{configFile + ": no services are listed, and none are found"}},
		{"not where it was asked for", "other.yml", fstest.MapFS{configFile: {Data: []byte(minimal)}}, []string{"other.yml: cannot be read: "}},
		{"outside the workspace", "../other.yml", fstest.MapFS{}, []string{"../other.yml: cannot be read: "}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := workspace("")
			src.Input, src.ReadFile = inputs(map[string]string{"config": c.asked}), c.files.ReadFile
			config, err := Load(src)
			got := texts(t, err)
			if len(got) != len(c.want) || len(c.want) > 0 && !strings.HasPrefix(got[0], c.want[0]) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			if want := map[bool]string{true: "other.yml", false: configFile}[c.asked != ""]; err == nil && config.File != want {
				t.Errorf("read from %q, want %q", config.File, want)
			}
		})
	}
}

func TestLoadCompletesImages(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, image, registry, want string }{
		{"none", "", "", "ghcr.io/octo/backend"},
		{"a bare name", "web", "", "ghcr.io/octo/web"},
		{"a bare name on another registry", "web", "localhost:5000", "localhost:5000/octo/web"},
		{"upper case", "Web", "", "ghcr.io/octo/web"},
		{"an owner of its own", "Other/Web", "", "ghcr.io/other/web"},
		{"nested", "other/web/api", "", "ghcr.io/other/web/api"},
		{"a host", "quay.io/Other/web", "", "quay.io/other/web"},
		{"a host with a port", "registry:5000/web", "", "registry:5000/web"},
		{"localhost", "localhost/web", "", "localhost/web"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := workspace("services:\n  - {name: backend, image: '" + c.image + "'}\n")
			src.Flags = map[string]string{}
			if c.registry != "" {
				src.Flags["registry"] = c.registry
			}
			if got := mustLoad(t, src).Services[0].Image; got != c.want {
				t.Errorf("image is %q, want %q", got, c.want)
			}
		})
	}
}

func TestLoadRefusesImages(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"web:1.0", "web@sha256:" + strings.Repeat("a", 64), "we b", "-web", "web/", "https://ghcr.io/octo/web", "ghcr.io//web"} {
		if got, err := Load(workspace("services:\n  - {name: backend, image: '" + image + "'}\n")); err == nil {
			t.Errorf("image %q became %q, want it refused", image, got.Services[0].Image)
		}
	}
}

func TestLoadNeedsAnOwner(t *testing.T) {
	t.Parallel()
	src := workspace("services: [{name: backend}, {name: frontend}]\n")
	src.Defaults = nil
	_, err := Load(src)
	if want := []string{`owner: there is none: this clone has no origin on GitHub; give --owner NAME, or set GITHUB_REPOSITORY_OWNER`}; !slices.Equal(texts(t, err), want) {
		t.Errorf("got %q, want %q", err, want)
	}
	src = workspace("services:\n  - {name: backend, image: ghcr.io/octo/backend}\n")
	src.Defaults = nil
	mustLoad(t, src)
}

// The example of the design, but for a key that does not exist yet.
const example = `platforms: [linux/amd64, linux/arm64]
services:
  - name: base
  - name: backend
    image: prompt-card-backend          # → ghcr.io/<owner in lower case>/prompt-card-backend
    context: .
    dockerfile: backend/Dockerfile
    paths: [backend/**, shared/**, package.json]   # optional: narrows or widens what counts as a change
    depends_on: [base]                             # its change rebuilds this service too
    port: 3001
    health_endpoint: /health
    smoke: [["node", "--version"]]
    new_privileges: true
    resources: {limits: {memory: 2G, cpus: "1.0", pids: 200}, reservations: {memory: 1G, cpus: "0.5"}}
tags: |                                 # docker/metadata-action's language
  type=ref,event=branch
  type=semver,pattern={{version}}
gates:
  vulnerabilities: {severity: [CRITICAL, HIGH], fail_on: CRITICAL, ignore_unfixed: false}
  startup: {within: 30s}
  size: {max: 1GB, growth: 10%}
  user: non-root
`

// unplaced leaves out where a service is defined.
var unplaced = cmpopts.IgnoreFields(Service{}, "At")

func TestLoadReadsTheExample(t *testing.T) {
	t.Parallel()
	both := []string{"linux/amd64", "linux/arm64"}
	want := Config{
		File: configFile,
		From: []string{configFile},
		Services: []Service{
			{Name: "base", Image: "ghcr.io/octo/base", Context: ".", Dockerfile: "Dockerfile", Platforms: both},
			{Name: "backend", Image: "ghcr.io/octo/prompt-card-backend", Context: ".", Dockerfile: "backend/Dockerfile", Platforms: both,
				Paths: []string{"backend/**", "shared/**", "package.json"}, DependsOn: []string{"base"}, Port: 3001, HealthEndpoint: "/health",
				Smoke: [][]string{{"node", "--version"}}, NewPrivileges: true, Resources: Resources{MemoryLimit: 2 << 30, CPUs: 1, MemoryReservation: 1 << 30, CPUReservation: 0.5, Processes: 200}},
		},
		Tags: "type=ref,event=branch\ntype=semver,pattern={{version}}\n",
		Gates: Gates{
			Secrets: FindingGate{OnUnavailable: "refuse"}, Misconfiguration: FindingGate{OnUnavailable: "refuse"}, Licences: FindingGate{OnUnavailable: "refuse"},
			Vulnerabilities: VulnerabilityGate{Severity: []string{"CRITICAL", "HIGH"}, FailOn: "CRITICAL", MaxAge: 72 * time.Hour, OnUnavailable: "refuse"},
			Startup:         StartupGate{Within: 30 * time.Second, OnUnavailable: "refuse"},
			Size:            SizeGate{Max: 1_000_000_000, Growth: 0.1, OnUnavailable: OnUnavailableRefuse},
			Regression:      DefaultGates().Regression,
			NonRoot:         true,
		},
		Clean: DefaultClean(), Deploy: DefaultDeploy(),
	}
	got := mustLoad(t, workspace(example))
	got.Settings = Settings{}
	if diff := cmp.Diff(want, got, unplaced); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestLoadTakesAMatrixRowAsAService(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, workspace(`services: [{"name": "auth", "image": "prompt-card-auth", "port": 3005, "health_endpoint": "/health"}]`)).Services
	want := []Service{{Name: "auth", Image: "ghcr.io/octo/prompt-card-auth", Context: ".", Dockerfile: "Dockerfile",
		Platforms: []string{"linux/amd64", "linux/arm64"}, Port: 3005, HealthEndpoint: "/health"}}
	if got[0].At != ".github/ghcr-publish.yml:1:12" {
		t.Errorf("it is defined at %s", got[0].At)
	}
	if diff := cmp.Diff(want, got, unplaced); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestLoadNormalisesPlatforms(t *testing.T) {
	t.Parallel()
	// As an image index names them; what is asked for under another name would seem to be missing from it.
	got := mustLoad(t, workspace("platforms: [linux/aarch64]\nservices:\n  - {name: a, platforms: [linux/arm64/v8, linux/arm, Linux/AMD64, linux/arm/v6, linux/x86_64]}\n  - name: b\n"))
	// Two names of one platform ask for it once.
	want := [][]string{{"linux/arm64", "linux/arm/v7", "linux/amd64", "linux/arm/v6"}, {"linux/arm64"}}
	if diff := cmp.Diff(want, [][]string{got.Services[0].Platforms, got.Services[1].Platforms}); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func TestLoadProvesDependencies(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, services string
		want           []string
	}{
		{"a tree", "[{name: a, depends_on: [b, c]}, {name: b, depends_on: [c]}, {name: c}]", nil},
		{"on nothing", "[{name: backend, depends_on: [fronted]}, {name: frontend}]",
			[]string{configFile + `:1:12: backend depends on "fronted", which is no service (did you mean "frontend"?); name what there is: backend, frontend`}},
		{"on itself", "[{name: a, depends_on: [a]}]", []string{configFile + ":1:12: services depend on each other in a circle: a → a; take one of these dependencies away"}},
		{"in a circle, told once", "[{name: x, depends_on: [a]}, {name: a, depends_on: [b]}, {name: b, depends_on: [a]}]",
			[]string{configFile + ":1:40: services depend on each other in a circle: a → b → a; take one of these dependencies away"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(workspace("services: " + c.services + "\n"))
			if diff := cmp.Diff(c.want, texts(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadNarrowsToServicesThatExist(t *testing.T) {
	t.Parallel()
	src := workspace("services: [{name: backend}, {name: frontend}]\n")
	src.Input = inputs(map[string]string{"services": "backend, frontent\n nothing-like-it"})
	config, err := Load(src)
	want := []string{`input services: there is no service "frontent" (did you mean "frontend"?); name what there is: backend, frontend`,
		`input services: there is no service "nothing-like-it"; name what there is: backend, frontend`}
	if diff := cmp.Diff(want, texts(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"backend", "frontent", "nothing-like-it"}, config.Only); diff != "" {
		t.Errorf("only (-want +got):\n%s", diff)
	}
}

func TestServicesAreGivenInline(t *testing.T) {
	t.Parallel()
	src := workspace("registry: r.example\n" + minimal)
	src.Input = inputs(map[string]string{"services": "- {name: web, port: 80}\n- name: api\n  network: none\n", "only": "web"})
	config := mustLoad(t, src)
	if len(config.Services) != 2 || config.Services[0].Image != "r.example/octo/web" || config.Services[1].Network != "none" || config.Services[1].Dockerfile != "Dockerfile" {
		t.Errorf("services %+v", config.Services)
	}
	if diff := cmp.Diff([]string{"web"}, config.Only); diff != "" {
		t.Errorf("only (-want +got):\n%s", diff)
	}
	src.Input = inputs(map[string]string{"services": "- {name: web, prot: 80}\n"})
	_, err := Load(src)
	if diff := cmp.Diff([]string{`input services:2:15: unknown key "prot" (did you mean "port"?)`}, texts(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestServicesToConsider(t *testing.T) {
	t.Parallel()
	for _, given := range []map[string]string{{"services": "a b"}, {"services": "[a, b]"}, {"only": "a, b"}} {
		src := workspace("services: [{name: a}, {name: b}, {name: c}]\n")
		src.Input = inputs(given)
		if diff := cmp.Diff([]string{"a", "b"}, mustLoad(t, src).Only); diff != "" {
			t.Errorf("%v (-want +got):\n%s", given, diff)
		}
	}
	src := workspace(minimal)
	src.Input = inputs(map[string]string{"services": "backend", "only": "backend", "skip": "bakcend"})
	_, err := Load(src)
	want := []string{"input services: services and only both name some; name the services in one of the two", `input skip: there is no service "bakcend" (did you mean "backend"?); name what there is: backend`}
	if diff := cmp.Diff(want, texts(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	src = workspace(minimal)
	src.Flags = map[string]string{"only": "nope"}
	_, err = Load(src)
	if diff := cmp.Diff([]string{`--only: there is no service "nope"; name what there is: backend`}, texts(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestServicesAreFoundWhereNoneAreListed(t *testing.T) {
	t.Parallel()
	src := workspace("defaults: {network: none, build_args: {A: 1, B: 2}, secrets: {npm: env:NPM}}\n")
	src.Input = inputs(map[string]string{"build-args": "B=3"})
	src.Discover = func([]string) (Found, error) {
		return Found{Services: []Service{{Name: "web", Context: "web", At: "web/Dockerfile", BuildArgs: map[string]string{"A": "0"}}, {Name: "api", Context: ".", Inline: "FROM scratch", Options: Options{Network: "host"}}}, Files: []string{"web/Dockerfile"}}, nil
	}
	config := mustLoad(t, src)
	if diff := cmp.Diff([]string{configFile, "web/Dockerfile"}, config.From); diff != "" {
		t.Errorf("from (-want +got):\n%s", diff)
	}
	got := config.Services
	if got[0].Dockerfile != "web/Dockerfile" || got[0].Network != "none" || got[1].Network != "host" || got[1].Dockerfile != "" || got[1].Secrets["npm"] != "env:NPM" {
		t.Errorf("services %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"A": "0", "B": "3"}, got[0].BuildArgs); diff != "" {
		t.Errorf("build arguments (-want +got):\n%s", diff)
	}
	src.ReadFile = workspace(minimal).ReadFile
	if listed := mustLoad(t, src).Services; len(listed) != 1 || listed[0].Name != "backend" {
		t.Errorf("with a list there are %+v", listed)
	}
}

func TestFoundServicesAreProven(t *testing.T) {
	t.Parallel()
	src := workspace("token: env:MINE\n")
	src.Getenv = func(string) string { return "secret" }
	found := Found{Services: []Service{
		{At: "a", Name: "_a", Context: "..", Platforms: []string{"arm"}, Options: Options{Network: "net", SSH: []string{"a,b"}, Contexts: map[string]string{"x": "../x"}}},
		{At: "b", Name: "b", Context: ".", Dockerfile: "../b", Options: Options{Secrets: map[string]string{"a b": "env:A"}, ExtraHosts: map[string]string{"h": "nowhere"}, Ulimits: map[string]string{"nofile": "many"}}},
		{At: "c", Name: "c", Context: "./c/", Platforms: []string{"linux/ARM64"}},
	}}
	src.Discover = func(secret []string) (Found, error) {
		if diff := cmp.Diff([]string{"MINE"}, secret); diff != "" {
			t.Errorf("secret variables (-want +got):\n%s", diff)
		}
		return found, nil
	}
	config, err := Load(src)
	const want = `a: _a: "_a" is no service name; use letters, digits and . _ -, at most 63
a: _a: ".." leaves the workspace; give a path relative to the repository's root
a: _a: "arm" is not a platform such as linux/amd64 or linux/arm64
a: _a: "../x" leaves the workspace
a: _a: "a,b" is no agent; write it as default, or as id=PATH
a: _a: network "net" is none of default, none, host
b: b: "../b" leaves the workspace; give a path relative to the repository's root
b: b: "a b" is no id of a secret; use letters, digits and . _ -
b: b: h: "nowhere" is no address of a host
b: b: "many" is no limit; write it as 1024 or 1024:2048
a: "_a" is no image name; use lower-case letters, digits and . _ - between slashes`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if c := config.Services[2]; c.Context != "c" || c.Dockerfile != "c/Dockerfile" || c.Platforms[0] != "linux/arm64" {
		t.Errorf("proven: %+v", c)
	}
}

func TestLoadFollowsSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, config string
		flags        map[string]string
		input        map[string]string
	}{
		{"env in a flag", "", map[string]string{"token": "env:TOKEN"}, nil},
		{"file in a flag", "", map[string]string{"token": "file:" + file}, nil},
		{"env in the file", "token: env:TOKEN\n", nil, nil},
		{"file in the file", "token: 'file:" + file + "'\n", nil, nil},
		{"an input as it stands", "token: env:OTHER\n", nil, map[string]string{"token": token}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := workspace(c.config + minimal)
			src.Flags, src.Input, src.Getenv = c.flags, inputs(c.input), environ(map[string]string{"TOKEN": token})
			if got := mustLoad(t, src).Token; got != token {
				t.Errorf("token is %q", got)
			}
		})
	}
}

func TestLoadRefusesSecretsInThePlain(t *testing.T) {
	t.Parallel()
	gone := filepath.Join(t.TempDir(), token)
	cases := []struct {
		name, config string
		flags        map[string]string
		want         string
	}{
		{"in a flag", "", map[string]string{"token": token}, "--token: a secret does not belong here; give it as env:NAME or file:PATH"},
		{"in another flag", "", map[string]string{"registry-token": token}, "--registry-token: a secret"},
		{"in the file", "token: " + token + "\n", nil, configFile + ":1:8: a secret does not belong here"},
		{"in the file, as a list", "registry_token:\n- " + token + "\n", nil, configFile + ":2:1: a secret does not belong here"},
		{"in the file, under a wrong key", "tokn: " + token + "\n", nil, configFile + `:1:1: unknown key "tokn" (did you mean "token"?)`},
		{"in the file, behind a flag that is right", "token: " + token + "\n", map[string]string{"token": "env:SET"}, configFile + ":1:8: a secret does not belong here"},
		{"as a mapping", "token: {" + token + ": x}\n", nil, configFile + ":1:8: must be a text"},
		{"as a variable's name", "", map[string]string{"token": "env:" + token}, "--token: the environment variable that it names is empty"},
		{"as a file's name", "token: 'file:" + gone + "'\n", nil, configFile + ":1:8: the file that it names cannot be read: no such file"},
		{"before ill-formed YAML", "token: " + token + "\n\t- x: [\n", nil, configFile + ":2: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := workspace(c.config + minimal)
			src.Flags = c.flags
			config, err := Load(src)
			if got := texts(t, err); len(got) != 1 || !strings.HasPrefix(got[0], c.want) || strings.Contains(got[0], token) {
				t.Errorf("got %q, want one that begins %q and tells no secret", got, c.want)
			}
			if config.Token != "" || config.RegistryToken != "" {
				t.Error("the secret was taken all the same")
			}
		})
	}
}

func TestLoadRefusesEmptySwitches(t *testing.T) {
	t.Parallel()
	// Nothing is better than an empty value where one is needed: no parallelism at all would wait for ever.
	for name, want := range map[string]string{"max-parallel": "whole number", "push": "none of auto", "mode": "none of all", "platforms": "names no platform", "force": "neither true nor false", "registry": "no registry"} {
		src := workspace(minimal)
		src.Flags = map[string]string{name: ""}
		if _, err := Load(src); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--%s with an empty value gives %v, want %q", name, err, want)
		}
	}
	for _, name := range []string{"base", "builder", "memory", "services", "token", "registry-token"} {
		src := workspace(minimal)
		src.Flags = map[string]string{name: ""}
		mustLoad(t, src)
	}
	for value, want := range map[string]string{"": "off", ".": "", "..": "", "folder/": "", "a/..": "", "/": "", "off": "off", "a/memory.db": "a/memory.db"} {
		src := workspace(minimal)
		src.Flags = map[string]string{"memory": value}
		if config, err := Load(src); (err == nil) != (want != "") || err == nil && config.Memory != want {
			t.Errorf("the memory %q is %q, %v; want %q", value, config.Memory, err, want)
		}
	}
	src := workspace(minimal)
	src.Input = inputs(map[string]string{"platforms": ","})
	if _, err := Load(src); err == nil {
		t.Error("a list of no platforms is accepted")
	}
}

func TestProblemsReadAsLines(t *testing.T) {
	t.Parallel()
	var p Problems
	if p.Err() != nil {
		t.Error("no problem is an error")
	}
	p.Add("a.yml:1:2", "mend it", "%q is wrong", "x")
	p.Add("--flag", "", "is wrong too")
	if got, want := p.Err().Error(), "a.yml:1:2: \"x\" is wrong; mend it\n--flag: is wrong too"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableIsSound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range Table() {
		if s.Help == "" || !strings.HasSuffix(s.Help, ".") {
			t.Errorf("%s has the help %q; want a sentence", s.Name, s.Help)
		}
		if seen[s.Name] || s.Name != strings.ToLower(s.Name) || strings.ContainsAny(s.Name, "_ ") {
			t.Errorf("the name %q comes twice or is ill-formed", s.Name)
		}
		seen[s.Name] = true
		if s.Secret && strings.Contains(s.Default, ":") {
			t.Errorf("%s has a secret for its default", s.Name)
		}
		var settings Settings
		text := fillDefault(s.Default, map[string]string{"owner": "octo", "actor": "mona", "token": token, "temp": "/tmp"})
		if strings.Contains(text, "{{") {
			t.Errorf("the default %q of %s is filled by nobody", s.Default, s.Name)
		}
		if err := s.set(&settings, text); text != "" && err != nil {
			t.Errorf("%s does not accept its own default: %v", s.Name, err)
		}
		if s.Bool && text != "false" {
			t.Errorf("the switch %s is on by default", s.Name)
		}
	}
}

func TestSettingsRefuse(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, value, want string }{
		{"mode", "paln", `"paln" is none of all, plan, publish, finalize, rescan, clean, doctor, mirror, compose, promote, deploy, report (did you mean "plan"?)`},
		{"mode", "pln", `"pln" is none of all, plan, publish, finalize, rescan, clean, doctor, mirror, compose, promote, deploy, report (did you mean "plan"?)`},
		{"push", "maybe", `"maybe" is none of auto, true, false`},
		{"plain-http", "yes", `"yes" is neither true nor false`},
		{"max-parallel", "0", `"0" is not a whole number of 1 or more`},
		{"max-parallel", "two", `"two" is not a whole number of 1 or more`},
		{"runners", "ubuntu-latest", `"ubuntu-latest" is not of the form`},
		{"runners", "arm64=arm", `"arm64" is not a platform`},
		{"build-args", "A=1\nB", `"B" is not of the form NAME=VALUE`},
		{"sbom", "a,b=c", `"a,b=c" is neither true nor false, nor the name of an image`},
		{"artifact", "a/b", `"a/b" is no name`},
		{"platforms", "linux", `"linux" is not a platform`},
		{"platforms", "linux/amd64, linux(1.0)/arm64", `"linux(1.0)/arm64" is not a platform`},
		{"platforms", "linux/*", `"linux/*" is not a platform`},
		{"registry", "ghcr.io/octo", `"ghcr.io/octo" is no registry`},
		{"registry", "https://ghcr.io", `"https://ghcr.io" is no registry`},
	}
	for _, c := range cases {
		src := workspace("services: [{name: a, image: ghcr.io/octo/a}]")
		src.Input = inputs(map[string]string{c.name: c.value})
		_, err := Load(src)
		if got := texts(t, err); len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s=%s gives %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

func TestWatchedPaths(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		service Service
		want    []string
	}{
		"the whole workspace": {Service{Context: ".", Dockerfile: "Dockerfile"}, []string{"/**", "/Dockerfile", "/Dockerfile.dockerignore", "/.dockerignore"}},
		"a folder":            {Service{Context: "backend", Dockerfile: "docker/Dockerfile"}, []string{"/backend/**", "/docker/Dockerfile", "/docker/Dockerfile.dockerignore", "/backend/.dockerignore"}},
		"what was asked for": {Service{Context: "app", Dockerfile: "Dockerfile", Paths: []string{"src", "!*.md"}},
			[]string{"src", "!*.md", "/Dockerfile", "/Dockerfile.dockerignore", "/app/.dockerignore"}},
		"names that would be patterns": {Service{Context: "a[b]", Dockerfile: "{x}/*"}, []string{`/a\[b\]/**`, `/\{x\}/\*`, `/\{x\}/\*.dockerignore`, `/a\[b\]/.dockerignore`}},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, c.service.WatchedPaths()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"", minimal, example, "a: &a [*a]\nservices: *a\n", "services:\n  - &s {name: a}\n  - *s\n", "<<: {a: b}\n", "- a\n", "---\na: b\n---\nc: d\n",
		"services: [{name: a, resources: {limits: {cpus: NaN, memory: 1e30G}}}]\n", "gates: {size: {growth: NaN%}}\nservices: [{}]\n", "? [a]\n: b\n", "\xff", "token: " + token} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, err := Load(workspace(text))
		if err == nil && len(config.Services) == 0 {
			t.Error("a configuration without services is accepted")
		}
		var problems Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("the error is %T", err)
		}
		for _, p := range problems {
			if p.Where == "" || p.What == "" {
				t.Errorf("a problem without place or text: %q", p)
			}
		}
		for _, s := range config.Services {
			if err == nil && (s.Name == "" || s.Image == "" || len(s.Platforms) == 0 || s.Resources.CPUs < 0 || s.Resources.MemoryLimit < 0 || !fs.ValidPath(s.Context) || !fs.ValidPath(s.Dockerfile)) {
				t.Errorf("accepted %+v", s)
			}
		}
	})
}

func TestBuildArgsOfTheRunYieldToTheServices(t *testing.T) {
	t.Parallel()
	src := workspace("services: [{name: a, build_args: {MODE: own}}, {name: b}]")
	src.Input = inputs(map[string]string{"build-args": "\nMODE=run\n VERSION=1=2, 3 \n"})
	got := mustLoad(t, src).Services
	if diff := cmp.Diff([]map[string]string{{"MODE": "own", "VERSION": "1=2, 3"}, {"MODE": "run", "VERSION": "1=2, 3"}}, []map[string]string{got[0].BuildArgs, got[1].BuildArgs}); diff != "" {
		t.Errorf("build arguments (-want +got):\n%s", diff)
	}
}

func TestRunOnceIsForWhatEnds(t *testing.T) {
	t.Parallel()
	if got := mustLoad(t, workspace("services: [{name: a, run_once: [--version]}]")).Services[0].RunOnce; !slices.Equal(got, []string{"--version"}) {
		t.Errorf("run_once is %q", got)
	}
	for _, more := range []string{"port: 80", "smoke: [[a]]"} {
		_, err := Load(workspace("services: [{name: a, run_once: [x], " + more + "}]"))
		if got := texts(t, err); len(got) != 1 || !strings.Contains(got[0], "which need a server") {
			t.Errorf("with %s: %q", more, got)
		}
	}
}
