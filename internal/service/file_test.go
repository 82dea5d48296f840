package service

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFileMistakes(t *testing.T) {
	t.Parallel()
	const at = configFile + ":"
	cases := []struct {
		name, file string
		want       []string
	}{
		{"an empty file", "", []string{configFile + ": no services are listed, and none are found: there is no bake file, no compose file that builds and no Dockerfile; write a `services:` list that names each image"}},
		{"only a comment", "# soon\n", []string{configFile + ": no services are listed, and none are found: there is no bake file, no compose file that builds and no Dockerfile; write a `services:` list that names each image"}},
		{"a list on top", "- name: a\n", []string{at + "1:1: the file must be a mapping; begin with `services:`"}},
		{"a text on top", "services\n", []string{at + "1:1: the file must be a mapping; begin with `services:`"}},
		{"ill-formed YAML", "services:\n  - name: [\n", []string{at + "2: did not find expected node content"}},
		{"two documents", minimal + "---\nservices: []\n", []string{at + "3:1: there is more than one YAML document; keep one"}},
		{"an unknown key", minimal + "platfroms: [linux/amd64]\n", []string{at + `3:1: unknown key "platfroms" (did you mean "platforms"?)`}},
		{"a key for flags only", minimal + "mode: plan\n", []string{at + `3:1: unknown key "mode"; ` + topKeys()}},
		{"a key in dashes", minimal + "max-parallel: 3\n", []string{at + `3:1: unknown key "max-parallel" (did you mean "max_parallel"?)`}},
		{"a key that resembles none", minimal + "colour: red\n", []string{at + `3:1: unknown key "colour"; ` + topKeys()}},
		{"a key twice", minimal + "push: auto\npush: 'true'\n", []string{at + `4:1: key "push" comes twice`}},
		{"no list of services", "services: {name: a}\n", []string{at + "1:11: services must be a list of at least one; write each service as `- name: …`"}},
		{"an empty list of services", "services: []\n", []string{at + "1:11: services must be a list of at least one; write each service as `- name: …`"}},
		{"services left blank", "services:\n", []string{at + "1:10: services must be a list of at least one; write each service as `- name: …`"}},
		{"a service that is a text", "services: [backend]\n", []string{at + "1:12: must be a mapping; write it as `- name: backend`"}},
		{"a service without a name", "services:\n  - image: a\n  - image: b\n", []string{at + "2:5: a service has no name; add `name: …`", at + "3:5: a service has no name; add `name: …`"}},
		{"a name with a space", "services:\n  - {name: a b, image: a}\n", []string{at + `2:12: "a b" is no service name; use letters, digits and . _ -, at most 63`}},
		{"a name twice", minimal + "  - {name: backend}\n", []string{at + "3:5: name backend is used already at " + at + "2:5; give each service its own"}},
		{"an image twice", minimal + "  - {name: b, image: Octo/backend}\n", []string{at + "3:5: image ghcr.io/octo/backend is used already at " + at + "2:5; give each service its own"}},
		{"a service's unknown key", "services:\n  - {name: a, health_endpont: /}\n", []string{at + `2:15: unknown key "health_endpont" (did you mean "health_endpoint"?)`}},
		{"a service's key twice", "services:\n  - name: a\n    port: 1\n    port: 2\n", []string{at + `4:5: key "port" comes twice`}},
		{"a context outside", "services:\n  - {name: a, context: ../up}\n", []string{at + `2:24: "../up" leaves the workspace; give a path relative to the repository's root`}},
		{"a context that turns around", "services:\n  - {name: a, context: a/../../b}\n", []string{at + `2:24: "a/../../b" leaves the workspace; give a path relative to the repository's root`}},
		{"an absolute dockerfile", "services:\n  - {name: a, dockerfile: /etc/passwd}\n", []string{at + `2:27: "/etc/passwd" leaves the workspace; give a path relative to the repository's root`}},
		{"an endpoint without a port", "services:\n  - {name: a, health_endpoint: /health}\n", []string{at + "2:5: service \"a\" has a health_endpoint and no port; add `port: …`"}},
		{"an endpoint without a slash", "services:\n  - {name: a, port: 80, health_endpoint: health}\n", []string{at + `2:42: "health" is no path of a URL; begin it with a slash`}},
		{"ports", "services:\n  - {name: a, port: 0}\n  - {name: b, port: 65536}\n  - {name: c, port: http}\n", []string{
			at + `2:21: "0" is no port; give a number from 1 to 65535`, at + `3:21: "65536" is no port; give a number from 1 to 65535`, at + `4:21: "http" is no port; give a number from 1 to 65535`}},
		{"a list for a text", "services:\n  - {name: [a], image: {b: c}}\n", []string{at + "2:12: must be a text", at + "2:24: must be a text", at + "2:5: a service has no name; add `name: …`"}},
		{"nothing for a text", "services:\n  - name: a\n    target:\n", []string{at + "3:12: must be a text"}},
		{"a text for a list", "services:\n  - {name: a, depends_on: b, paths: c, platforms: linux/amd64}\n", []string{
			at + "2:27: must be a list; write it as [a, b]", at + "2:37: must be a list; write it as [a, b]", at + "2:51: must be a list; write it as [a, b]"}},
		{"a list for a mapping", "services:\n  - {name: a, env: [A=b], resources: []}\n", []string{at + "2:20: must be a mapping; write it as {KEY: value}", at + "2:38: must be a mapping; write it as {KEY: value}, of the keys limits, reservations"}},
		{"a list for a setting's text", "registry: {a: b}\n" + minimal, []string{at + "1:11: must be a text"}},
		{"nothing for a setting", "registry:\n" + minimal, []string{at + "1:10: must be a text"}},
		{"an empty setting", "max_parallel: ''\n" + minimal, []string{at + `1:15: "" is not a whole number of 1 or more`}},
		{"a service's platforms", "services:\n  - {name: a, platforms: [linux]}\n  - {name: b, platforms: []}\n", []string{
			at + `2:27: "linux" is not a platform such as linux/amd64 or linux/arm64`, at + "3:26: platforms must not be empty; leave it out for the default"}},
		{"a command that is no list", "services:\n  - {name: a, smoke: [node --version]}\n  - {name: b, smoke: node}\n", []string{
			at + "2:23: must be a list; write it as [a, b]", at + `3:22: must be a list of commands; write it as [["program", "argument"]]`}},
		{"resources", "services:\n  - {name: a, resources: {limits: {memory: lots, cpus: -1, pids: 0}, reservations: {memory: 1e30G, cpus: NaN}, limit: {}}}\n", []string{
			at + `2:44: "lots" is no amount of memory; write it as 512M or 2G`, at + `2:56: "-1" is no number of cores; write it as "0.5"`,
			at + `2:66: "0" is no number of processes; give a whole number, such as 200`,
			at + `2:93: "1e30G" is no amount of memory; write it as 512M or 2G`, at + `2:106: "NaN" is no number of cores; write it as "0.5"`,
			at + `2:112: unknown key "limit" (did you mean "limits"?)`}},
		{"a gate's unknown key", minimal + "gates: {vulnerabilities: {fail-on: HIGH}, health: {}}\n", []string{
			at + `3:27: unknown key "fail-on" (did you mean "fail_on"?)`, at + `3:43: unknown key "health"; the keys here are image, licences, misconfiguration, regression, secrets, size, startup, user, vulnerabilities`}},
		{"severities", minimal + "gates: {vulnerabilities: {severity: [critical], fail_on: HIHG, ignore_unfixed: 'on', on_unavailable: pass}}\n", []string{
			at + `3:38: "critical" is none of CRITICAL, HIGH, MEDIUM, LOW, UNKNOWN (did you mean "CRITICAL"?)`,
			at + `3:58: "HIHG" is none of NONE, CRITICAL, HIGH, MEDIUM, LOW, UNKNOWN (did you mean "HIGH"?)`,
			at + `3:80: "on" is neither true nor false`, at + `3:102: "pass" is none of refuse, warn`}},
		{"thresholds", minimal + "gates: {startup: {within: 30}, size: {max: huge, growth: 0.1}, user: root}\n", []string{
			at + `3:27: "30" is no duration; write it as 30s or 2m`, at + `3:44: "huge" is no size; write it as 500MB or 1GB`,
			at + `3:58: "0.1" is no percentage; write it as 10%`, at + `3:70: "root" is none of non-root, any`}},
		{"thresholds that nothing reaches", minimal + "gates: {startup: {within: -1s}, size: {max: -1, growth: NaN%}}\n", []string{
			at + `3:27: "-1s" is no duration; write it as 30s or 2m`, at + `3:45: "-1" is no size; write it as 500MB or 1GB`, at + `3:57: "NaN%" is no percentage; write it as 10%`}},
		{"growth without end", minimal + "gates: {size: {growth: Inf%}}\n", []string{at + `3:24: "Inf%" is no percentage; write it as 10%`}},
		{"expectations", "services:\n  - {name: a, tmpfs: [tmp], expect: {users: app, ports: 80, files: [{path: a, mode: rw}, {absent: true}]}}\n", []string{
			at + `2:23: "tmp" is no folder of the container; write it as /tmp`, at + `2:38: unknown key "users" (did you mean "user"?)`, at + `2:57: must be a list of ports; write it as [8080]`,
			at + `2:76: "a" is no path from the root; write it as /app/server`, at + `2:85: "rw" are no permissions; write them as "0644"`, at + "2:90: a file has no path; add `path: …`"}},
		{"slack that is none", minimal + "gates: {regression: {startup: some, peak_memory: -1%}}\n", []string{
			at + `3:31: "some" is no percentage; write it as 10%, or auto`, at + `3:50: "-1%" is no percentage; write it as 10%, or auto`}},
		{"a gate that is a text", minimal + "gates: strict\n", []string{at + "3:8: must be a mapping; write it as {KEY: value}, of the keys image, licences, misconfiguration, regression, secrets, size, startup, user, vulnerabilities"}},
		{"options", "services:\n  - {name: a, network: bridge, no_cache: maybe, provenance: all, sbom: 'a b', shm_size: big, ssh: [a b]}\n", []string{
			at + `2:24: "bridge" is none of default, none, host`, at + `2:42: "maybe" is neither true nor false`, at + `2:61: "all" is none of max, min, false`,
			at + `2:72: "a b" is neither true nor false, nor the name of an image`, at + `2:89: "big" is no amount of memory; write it as 512M or 2G`,
			at + `2:100: "a b" is not possible here; write it as default, or as id=PATH`}},
		{"maps of options", "defaults:\n  contexts: {a=b: x, up: ../x, web: 'service:wbe', none: ''}\n  extra_hosts: {h: nowhere}\n  ulimits: {nofile: many, nofiles: 1}\nservices: [{name: web}]\n", []string{
			at + `2:19: "a=b" is no name of a context`, at + `2:26: "../x" leaves the workspace`,
			at + `2:58: context "none" names nothing; give a folder, docker-image://NAME or service:NAME`,
			at + `3:20: h: "nowhere" is no address of a host`, at + `4:21: "many" is no limit; write it as 1024 or 1024:2048`, at + `4:36: invalid ulimit type: nofiles`,
			at + `5:12: web has the context web, the image of "wbe", which is no service (did you mean "web"?); name what there is: web`}},
		{"a secret's value, which is not repeated", "services:\n  - {name: a, secrets: {npm: " + token + ", a b: env:X, ok: env:NPM_TOKEN}}\n", []string{
			at + "2:30: secret npm: say where it is, as env:NAME or file:PATH", at + `2:77: "a b" is no id of a secret; use letters, digits and . _ -`}},
		{"two Dockerfiles", "services:\n  - {name: a, dockerfile: x, dockerfile_inline: FROM y}\n", []string{at + `2:5: service "a" has a dockerfile and a dockerfile_inline; keep one`}},
		{"images that are made of each other", "services: [{name: a, contexts: {base: 'service:b'}}, {name: b, depends_on: [a]}]\n", []string{
			at + "1:12: services depend on each other in a circle: a → b → a; take one of these dependencies away"}},
		{"an alias for nothing", "services: *none\n", []string{configFile + ": unknown anchor 'none' referenced"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(workspace(c.file))
			if diff := cmp.Diff(c.want, texts(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	src := workspace("push: maybe\nservices:\n  - {name: a, port: x, context: ..}\n  - {name: a}\ngates: {user: root}\nnonsense: 1\n")
	src.Flags = map[string]string{"max-parallel": "none"}
	src.Input = inputs(map[string]string{"dry-run": "perhaps", "services": "b"})
	_, err := Load(src)
	for _, want := range []string{"--max-parallel: ", "input dry-run: ", ":1:7: ", ":3:21: ", ":3:33: ", ":4:5: ", ":5:15: ", ":6:1: ", `services: there is no service "b"`} {
		if got := texts(t, err); len(got) != 9 || !strings.Contains(err.Error(), want) {
			t.Errorf("%d problems without %q:\n%v", len(got), want, err)
		}
	}
}

func TestFileFollowsAliases(t *testing.T) {
	t.Parallel()
	const file = `
platforms: &both [linux/amd64, &arm linux/arm64]
services:
  - &first
    name: a
    platforms: [*arm]
    env: &env {LEVEL: debug}
    resources: &small {limits: {memory: 64M}}
    smoke: [&version [app, --version]]
  - name: b
    platforms: *both
    env: *env
    resources: *small
    smoke: [*version, [app, check]]
    paths: [*arm]
`
	env, small := map[string]string{"LEVEL": "debug"}, Resources{MemoryLimit: 64 << 20}
	want := []Service{
		{Name: "a", Image: "ghcr.io/octo/a", Context: ".", Dockerfile: "Dockerfile", Platforms: []string{"linux/arm64"}, Env: env, Resources: small, Smoke: [][]string{{"app", "--version"}}},
		{Name: "b", Image: "ghcr.io/octo/b", Context: ".", Dockerfile: "Dockerfile", Platforms: []string{"linux/amd64", "linux/arm64"}, Env: env, Resources: small,
			Smoke: [][]string{{"app", "--version"}, {"app", "check"}}, Paths: []string{"linux/arm64"}},
	}
	if diff := cmp.Diff(want, mustLoad(t, workspace(file)).Services, unplaced); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	_, err := Load(workspace(file + "  - *first\n"))
	if got := texts(t, err); len(got) != 1 || !strings.Contains(got[0], "name a is used already") {
		t.Errorf("the same service twice gives %q", got)
	}
}

func TestFileReadsAWholeService(t *testing.T) {
	t.Parallel()
	const file = `services:
  - name: backend
    context: ./backend/
    target: runtime
    build_args: {VERSION: 1.20, DEBUG: true}
    labels: {org.opencontainers.image.licenses: MIT}
    env: {PORT: 3001}
    paths: ["backend/**", "!backend/docs/**"]
    port: 3001
`
	want := []Service{{Name: "backend", Image: "ghcr.io/octo/backend", Context: "backend", Dockerfile: "backend/Dockerfile", Target: "runtime",
		BuildArgs: map[string]string{"VERSION": "1.20", "DEBUG": "true"}, Labels: map[string]string{"org.opencontainers.image.licenses": "MIT"},
		Env: map[string]string{"PORT": "3001"}, Platforms: []string{"linux/amd64", "linux/arm64"}, Paths: []string{"backend/**", "!backend/docs/**"}, Port: 3001}}
	if diff := cmp.Diff(want, mustLoad(t, workspace(file)).Services, unplaced); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestFileReadsGates(t *testing.T) {
	t.Parallel()
	const gates = "gates: {vulnerabilities: {severity: [LOW], fail_on: NONE, ignore_unfixed: TRUE, only_new: true, max_age: 48h, on_unavailable: warn}, startup: {within: 2m, on_unavailable: warn}, size: {max: 500MB, growth: 2.5%, on_unavailable: warn}, " +
		"secrets: {fail_on: HIGH, on_unavailable: warn}, misconfiguration: {fail_on: NONE}, licences: {}, regression: {startup: 25%, peak_memory: auto, build_time: 30%, on_unavailable: warn}, image: {healthcheck: required, exposed_port: match, base: versioned, secrets: refuse}, user: any}\n"
	want := Gates{
		Vulnerabilities: VulnerabilityGate{Severity: []string{"LOW"}, FailOn: FailOnNone, MaxAge: 48 * time.Hour, IgnoreUnfixed: true, OnlyNew: true, OnUnavailable: OnUnavailableWarn},
		Secrets:         FindingGate{FailOn: "HIGH", OnUnavailable: OnUnavailableWarn}, Misconfiguration: FindingGate{FailOn: "NONE", OnUnavailable: OnUnavailableRefuse}, Licences: FindingGate{OnUnavailable: OnUnavailableRefuse},
		Startup:    StartupGate{Within: 2 * time.Minute, OnUnavailable: OnUnavailableWarn},
		Size:       SizeGate{Max: 500_000_000, Growth: 0.025, OnUnavailable: OnUnavailableWarn},
		Regression: RegressionGate{Startup: Slack{Share: 0.25}, PeakMemory: Slack{Auto: true}, BuildTime: Slack{Share: 0.3}, OnUnavailable: OnUnavailableWarn},
		Image:      ImageGate{true, true, true, true},
	}
	if diff := cmp.Diff(want, mustLoad(t, workspace(gates+minimal)).Gates); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
}

func TestFileReadsTagsAsTextOrList(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"tags: |\n  type=sha\n  type=raw,value=x\n", "tags: [type=sha, 'type=raw,value=x']\n"} {
		if got := mustLoad(t, workspace(file+minimal)).Tags; strings.TrimSpace(got) != "type=sha\ntype=raw,value=x" {
			t.Errorf("%q gives the tags %q", file, got)
		}
	}
}

func TestInsidePath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{".": ".", "./": ".", "a": "a", "./a/": "a", "a//b/../c": "a/c", "..a": "..a", "a/..": ".", ".github/x": ".github/x"} {
		if got, err := insidePath(in); got != want || err != nil {
			t.Errorf("insidePath(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"..", "../a", "/", "/a", "a/../..", "./..", ".//a/../../b", "./../a", ".//etc"} {
		if got, err := insidePath(in); err == nil && strings.HasPrefix(got, "/") || err == nil && strings.HasPrefix(got, "..") {
			t.Errorf("insidePath(%q) = %q; want it refused", in, got)
		}
	}
}
