package service

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/docstest"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite schema.json")

const schemaFile = "schema.json"

// A setting in the schema.
func settingSchema(s Setting) map[string]any {
	// YAML reads a commit of digits alone as a number. That a text may be a truth value and a list too
	// is left out: editors would propose it.
	word := map[string]any{"$ref": "#/$defs/word"}
	property := map[string]any{"description": s.Help}
	switch {
	case s.Secret:
		property["type"], property["pattern"] = "string", "^(env|file):."
		property["description"] = s.Help + " Here as env:NAME or file:PATH."
	case s.Bool:
		property["$ref"] = "#/$defs/boolean"
	case len(s.Allowed) > 0:
		values := []any{}
		for _, allowed := range s.Allowed {
			if values = append(values, allowed); allowed == "true" || allowed == "false" {
				values = append(values, allowed == "true") // as YAML reads it without quotes
			}
		}
		property["enum"] = values
	case s.Number:
		property["type"], property["minimum"], property["pattern"] = []any{"integer", "string"}, 1, "^0*[1-9][0-9]*$"
	case s.List:
		property["anyOf"] = []any{word, map[string]any{"type": "array", "items": word}}
	case s.Default == "false": // or a text
		property["type"] = []any{"boolean", "string"}
	default:
		property["$ref"] = word["$ref"]
	}
	if s.Default != "" && !strings.Contains(s.Default, "{{") {
		property["default"] = literal(s)
	}
	return property
}

// literal is a default as one writes it.
func literal(s Setting) any {
	var v any
	if s.Bool || s.Number {
		if err := json.Unmarshal([]byte(s.Default), &v); err != nil {
			panic(err)
		}
		return v
	}
	return s.Default
}

func readSchema(t *testing.T) map[string]any {
	t.Helper()
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemaHasTheSettings keeps that part of the schema which the table of settings tells.
// It is not parallel: those that are read the file after it is written.
func TestSchemaHasTheSettings(t *testing.T) {
	schema := readSchema(t)
	properties := schema["properties"].(map[string]any)
	want := map[string]any{}
	for _, own := range []string{"services", "defaults", "tags", "flavor", "labels", "annotations", "gates", "builders", "mirrors", "compose", "deploy", "clean"} {
		want[own] = properties[own]
	}
	for _, s := range Table() {
		if !s.FlagOnly {
			want[s.Key()] = settingSchema(s)
		}
	}
	if *update {
		schema["properties"] = want
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(schema); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(schemaFile, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(plain(t, want), plain(t, properties)); diff != "" {
		t.Errorf("schema.json (-want +got); `go test ./internal/service -run TestSchemaHasTheSettings -update` writes it:\n%s", diff)
	}
}

// plain is a value as JSON reads it.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

var known = regexp.MustCompile(`the keys here are (.*)`)

// keysAt asks the reader which keys there are at a place of the file: it lists them to whoever uses a wrong one.
func keysAt(t *testing.T, file string) []string {
	t.Helper()
	_, err := Load(workspace(strings.Replace(file, "HERE", "qqqqqqqqqqqq: 1", 1)))
	found := known.FindStringSubmatch(strings.Join(texts(t, err), "\n"))
	if found == nil {
		t.Fatalf("%q is taken: %v", file, err)
	}
	return strings.Split(found[1], ", ")
}

// topKeys is what the reader says of the file's own keys.
func topKeys() string {
	_, err := Load(workspace(minimal + "qqqqqqqqqqqq: 1\n"))
	return known.FindString(err.Error())
}

// TestSchemaHasTheKeysThatAreRead compares what schema and reader know, at each place.
func TestSchemaHasTheKeysThatAreRead(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	for file, path := range map[string]string{
		minimal + "HERE\n":                                           "properties",
		"services: [{name: a, HERE}]\n":                              "$defs service properties",
		minimal + "defaults: {HERE}\n":                               "$defs defaults properties",
		"services: [{name: a, expect: {HERE}}]\n":                    "$defs expectation properties",
		"services: [{name: a, expect: {files: [{HERE}]}}]\n":         "$defs expected_file properties",
		"services: [{name: a, resources: {HERE}}]\n":                 "$defs service properties resources properties",
		"services: [{name: a, resources: {limits: {HERE}}}]\n":       "$defs limits properties",
		"services: [{name: a, resources: {reservations: {HERE}}}]\n": "$defs resources properties",
		minimal + "gates: {HERE}\n":                                  "$defs gates properties",
		minimal + "gates: {vulnerabilities: {HERE}}\n":               "$defs gates properties vulnerabilities properties",
		minimal + "gates: {secrets: {HERE}}\n":                       "$defs gates properties secrets properties", minimal + "gates: {misconfiguration: {HERE}}\n": "$defs gates properties misconfiguration properties", minimal + "gates: {licences: {HERE}}\n": "$defs gates properties licences properties",
		minimal + "gates: {vulnerabilities: {exceptions: [{HERE}]}}\n": "$defs exception properties",
		minimal + "gates: {startup: {HERE}}\n":                         "$defs gates properties startup properties",
		minimal + "gates: {size: {HERE}}\n":                            "$defs gates properties size properties",
		minimal + "gates: {image: {HERE}}\n":                           "$defs gates properties image properties",
		minimal + "gates: {regression: {HERE}}\n":                      "$defs gates properties regression properties",
		minimal + "clean: {HERE}\n":                                    "$defs clean properties",
		minimal + "clean: {untagged: {HERE}}\n":                        "$defs clean properties untagged properties",
		minimal + "clean: {tags: [{HERE}]}\n":                          "$defs tag_limits properties",
		minimal + "builders: [{HERE}]\n":                               "$defs builder properties",
		minimal + "mirrors: [{HERE}]\n":                                "$defs mirror properties",
		minimal + "deploy: {HERE}\n":                                   "$defs deploy properties",
		minimal + "compose: {HERE}\n":                                  "$defs compose_keys properties",
		minimal + "compose: {companions: {postgres: {HERE}}}\n":        "$defs companion properties",
		"services: [{name: a, compose: {HERE}}]\n":                     "$defs compose_service_keys properties",
	} {
		at := any(schema)
		for _, key := range strings.Fields(path) {
			at = at.(map[string]any)[key]
		}
		var has []string
		for key := range at.(map[string]any) {
			has = append(has, key)
		}
		slices.Sort(has)
		if diff := cmp.Diff(keysAt(t, file), has); diff != "" {
			t.Errorf("keys at %s (-reader +schema):\n%s", path, diff)
		}
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaFile, readSchema(t)); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemaAndReaderAgree on what is right, and on mistakes that a schema can know.
func TestSchemaAndReaderAgree(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	documented := docstest.Blocks(t, "# .github/ghcr-publish.yml")
	if len(documented) == 0 {
		t.Error("no document has a whole configuration")
	}
	right := append(slices.Collect(maps.Values(documented)), minimal, example,
		"services: [{name: a, platforms: [linux/arm64]}]\nbuilders: [{endpoint: 'tcp://arm:1234', platforms: [linux/arm64], options: {servername: arm}, ca: env:CA, cert: env:CERT, key: env:KEY}]\n",
		minimal+"mirrors: [{image: 'docker.io/octo/{{name}}', username: octo, password: env:HUB}, {image: 'localhost:5000/{{name}}', plain_http: true}]\n",
		minimal+"sbom: true\npush: false\nforce: True\nmax_parallel: \"3\"\nplatforms: linux/amd64, linux/arm64\nrunners: [linux/arm64=arm]\ntoken: env:TOKEN\n",
		minimal+"tags: [type=sha, main]\ngates: {size: {max: 1000, growth: 2.5%}, startup: {within: 1m30s}, vulnerabilities: {fail_on: NONE, ignore_unfixed: \"true\"}}\n",
		"services: [{name: a, port: \"80\", env: {N: 1, B: true}}, {name: b, run_once: [1]}]\n",
		"base: 1234567\ntags: [1]\nservices: [{name: 1, target: 2}, {name: b, depends_on: [1], run_once: [a], smoke: []}]\n",
		"defaults: {network: host, cache: gha, no_cache: true, build_args: {A: 1}, ulimits: {nofile: 1024}}\n"+minimal,
		"services: [{name: a, contexts: {b: docker-image://x, c: 'service:d'}, secrets: {npm: env:NPM, ca: file:ca.pem}, ssh: [default], extra_hosts: {h: '::1'}, shm_size: 1g, provenance: false, sbom: true, no_cache_filters: [x], cgroup_parent: y, cache: off}, {name: d, dockerfile_inline: FROM scratch}]\n",
		"services: [{name: a, peers: [db], peers_file: deploy/compose.yaml, read_only: true, new_privileges: true, resources: {limits: {pids: 200}}, tmpfs: [/tmp], expect: {user: app, ports: [80], env: {A: 1}, files: [{path: /a, mode: \"0644\", contains: x}, {path: /b, absent: true}]}}]\n",
		minimal+"gates: {startup: {within: .5s}, size: {max: 1.5e9, growth: 1e1%}, regression: {startup: auto, peak_memory: 20%, build_time: auto}}\n",
	)
	right = append(right, minimal+"compose: {}\n", minimal+"compose: deploy/compose.yaml\n", minimal+"compose: {from: compose.yaml}\n",
		minimal+"compose: {environment: {A: 1}, companions: [postgres, redis], health_image: 'busybox:1'}\n", minimal+"compose: {companions: {postgres: {image: 'postgres:18', profiles: [development], resources: {limits: {memory: 1G}}}, redis: }}\n",
		"compose: {companions: [redis]}\nservices: [{name: a, port: 80, compose: {publish: true, needs: [redis, b], volumes: {v: /v}, secrets: [s], environment: {A: '${A}'}, profiles: [production], read_only: false}}, {name: b, port: 1, compose: {publish: '127.0.0.1:8080'}}, {name: c, compose: false}]\n")
	right = append(right, minimal+"compose: {proxy: nginx}\n", minimal+"compose: {proxy: {kind: nginx, image: 'nginx:1'}}\n",
		"services: [{name: a, port: 80, compose: {switch: true}}, {name: b, port: 80, compose: {switch: {sticky: true}}}]\n")
	right = append(right, minimal+"clean: {protect: latest, tags: [{match: sha-*, newest: 20}, {match: [nightly-*, edge-*], younger: 30d}], closed: keep, untagged: {newest: 0, younger: 12h}, grace: 1h30m, most: 50, share: 25%}\n")
	right = append(right, minimal+"deploy: {environment: production, wait: 90s, profiles: [production, blue], project: cards_2}\n", minimal+"deploy: {}\n")
	for _, file := range []string{"../../.github/ghcr-publish.yml", "../../testdata/monorepo/.github/ghcr-publish.yml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		right = append(right, string(data))
	}
	right = append(right, minimal+"gates: {vulnerabilities: {only_new: true, max_age: 48h, exceptions: [{id: CVE-1, until: 2027-01-31, reason: r}]}, secrets: {fail_on: HIGH}, licences: {fail_on: NONE, on_unavailable: warn}}\n")
	wrong := []string{minimal + "gates: {vulnerabilities: {exceptions: [{id: CVE-1, until: 2027-01-31}]}}\n", minimal + "gates: {vulnerabilities: {exceptions: [{id: CVE-1, until: soon, reason: r}]}}\n",
		minimal + "gates: {vulnerabilities: {vex: a.json}}\n", minimal + "gates: {secrets: {fail_on: ANY}}\n", "", "services: []\n", "services: [{image: a}]\n", "services: [a]\n", minimal + "platfroms: [linux/amd64]\n", minimal + "push: maybe\n", minimal + "max_parallel: 0\n", minimal + "max_parallel: \"0\"\n",
		minimal + "token: ghp_secret\n", minimal + "mode: plan\n", minimal + "gates: {user: root}\n", minimal + "gates: {size: {growth: 0.1}}\n", minimal + "gates: {startup: {within: 30}}\n",
		"services: [{name: a b}]\n", "services: [{name: a, port: 0}]\n", "services: [{name: a, health_endpoint: /}]\n", "services: [{name: a, port: 80, health_endpoint: x}]\n",
		"services: [{name: a, platforms: []}]\n", "services: [{name: a, platforms: [linux]}]\n", "services: [{name: a, smoke: [a]}]\n", "services: [{name: a, paths: a}]\n",
		"services: [{name: a, port: 80, run_once: [b]}]\n", "services: [{name: a, run_once: [b], smoke: [[c]]}]\n",
		"services: [{name: a, resources: {limits: {cpus: 0}}}]\n", "services: [{name: a, resources: {limits: {pids: 0}}}]\n", "services: [{name: a, resources: {reservations: {pids: 9}}}]\n", minimal + "gates: {size: {max: -1}}\n", minimal + "gates: {regression: {startup: some}}\n",
		"services: [{name: a, expect: {files: [{path: a}]}}]\n", "services: [{name: a, expect: {files: [{mode: \"0999\", path: /a}]}}]\n", "services: [{name: a, expect: {files: [{}]}}]\n", "services: [{name: a, tmpfs: [tmp]}]\n", "services: [{name: a, peers: db}]\n",
		minimal + "clean: {tags: [{match: sha-*}]}\n", minimal + "clean: {tags: [{newest: 3}]}\n", minimal + "clean: {grace: 3}\n", minimal + "clean: {closed: true}\n", minimal + "clean: {most: 0}\n", minimal + "clean: {untagged: {newest: -1}}\n", minimal + "clean: {share: all}\n",
		"services: [{name: a, network: bridge}]\n", "services: [{name: a, cache: s3}]\n", minimal + "cache: true\n", minimal + "builders: []\n", minimal + "mirrors: []\n", minimal + "mirrors: [{image: octo/a}]\n", minimal + "mirrors: [{image: q.io/a, username: me}]\n", minimal + "mirrors: [{image: q.io/a, username: me, password: hunter2}]\n", minimal + "builders: [{key: hunter2}]\n", minimal + "builders: [{driver: podman}]\n", minimal + "builders: [{platforms: []}]\n", "services: [{name: a, secrets: {npm: hunter2}}]\n", "services: [{name: a, ssh: default}]\n", "services: [{name: a, ulimits: {nofile: many}}]\n", minimal + "defaults: {name: x}\n"}
	wrong = append(wrong, minimal+"compose: [a]\n", minimal+"compose: {file: a}\n", minimal+"compose: {from: a.yaml, companions: [redis]}\n", minimal+"compose: {companions: [mysql]}\n", minimal+"compose: {environment: {A=: 1}}\n",
		"services: [{name: a, port: 80, compose: {publish: 0}}]\n", "services: [{name: a, port: 80, compose: {publish: false}}]\n", "services: [{name: a, compose: {volumes: {v: v}}}]\n", "services: [{name: a, compose: {secrets: [a/b]}}]\n",
		minimal+"deploy: production\n", minimal+"deploy: {wait: soon}\n", minimal+"deploy: {profiles: production}\n", minimal+"deploy: {project: Cards}\n", minimal+"deploy: {host: h}\n",
		"services: [{name: a, compose: {profiles: [-]}}]\n", "services: [{name: a, compose: maybe}]\n",
		minimal+"compose: {proxy: envoy}\n", minimal+"compose: {proxy: {name: nginx}}\n", minimal+"compose: {from: a.yaml, proxy: nginx}\n", "services: [{name: a, port: 80, compose: {switch: blue}}]\n")
	for ok, files := range map[bool][]string{true: right, false: wrong} {
		for _, file := range files {
			src := workspace(file)
			src.Getenv = func(string) string { return token }
			_, refused := Load(src)
			var document any
			if err := yaml.Unmarshal([]byte(file), &document); err != nil {
				t.Fatal(err)
			}
			invalid := schema.Validate(plain(t, document))
			if (refused == nil) != ok || (invalid == nil) != ok {
				t.Errorf("%s\nis right: %v; the reader says %v, the schema %v", file, ok, refused, invalid)
			}
		}
	}
}

// TestSchemaHasTheGatesDefaults by giving what the schema says is the default: nothing must change by it.
func TestSchemaHasTheGatesDefaults(t *testing.T) {
	t.Parallel()
	defs := readSchema(t)["$defs"].(map[string]any)
	resolved := func(property any) map[string]any {
		p := property.(map[string]any)
		if ref, ok := p["$ref"].(string); ok && p["default"] == nil {
			return defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		}
		return p
	}
	gates, given := map[string]any{}, 0
	for gate, property := range defs["gates"].(map[string]any)["properties"].(map[string]any) {
		p := property.(map[string]any)
		if p["properties"] == nil {
			gates[gate], given = p["default"], given+1
			continue
		}
		keys := map[string]any{}
		for key, property := range p["properties"].(map[string]any) {
			if v := resolved(property)["default"]; v != nil {
				keys[key], given = v, given+1
			}
		}
		gates[gate] = keys
	}
	file, err := yaml.Marshal(map[string]any{"gates": gates})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DefaultGates(), mustLoad(t, workspace(minimal+string(file))).Gates); diff != "" || given != 20 {
		t.Errorf("with the schema's %d defaults (-want +got):\n%s", given, diff)
	}
	for def, want := range map[string][]string{"severity": severities, "on_unavailable": {OnUnavailableRefuse, OnUnavailableWarn}} {
		if diff := cmp.Diff(plain(t, want), defs[def].(map[string]any)["enum"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", def, diff)
		}
	}
	service := defs["service"].(map[string]any)["properties"].(map[string]any)
	if got := service["name"].(map[string]any)["pattern"]; got != serviceName.String() {
		t.Errorf("a service's name is %s, want %s", got, serviceName)
	}
}

// TestSchemaDescribesEveryKey because editors show it where one writes.
func TestSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	defs := schema["$defs"].(map[string]any)
	var walk func(at string, node map[string]any)
	walk = func(at string, node map[string]any) {
		properties, _ := node["properties"].(map[string]any)
		for key, property := range properties {
			p := property.(map[string]any)
			target := p
			if ref, ok := p["$ref"].(string); ok {
				target = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
			}
			if p["description"] == nil && target["description"] == nil {
				t.Errorf("%s.%s has no description", at, key)
			}
			walk(at+"."+key, p)
		}
	}
	walk("", schema)
	for name, def := range defs {
		walk(name, def.(map[string]any))
	}
}
