package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/ghcr-publish/internal/run"
)

// preset is what Renovate is told of our configuration, and samples a repository that it is tried out on.
const (
	preset  = "../../.github/renovate-preset.json"
	samples = "../service/testdata/renovate"
)

// renovate gives a repository with the sample's files and the preset, and the command that starts Renovate.
func renovate(t *testing.T) (dir string, argv []string) {
	t.Helper()
	needParts(t)
	argv, err := parts.Renovate(t.Context())
	fromNPM(t, err)
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(samples)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(preset)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "renovate.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "--all"}} {
		if _, err := run.OS(t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: dir, Env: os.Environ()}); err != nil {
			t.Fatal(err)
		}
	}
	return dir, argv
}

// A managed file is what Renovate says of a file that it found dependencies in.
type managed struct {
	File         string `json:"packageFile"`
	Dependencies []struct {
		Name       string `json:"depName"`
		Value      string `json:"currentValue"`
		Digest     string `json:"currentDigest"`
		Datasource string `json:"datasource"`
	} `json:"deps"`
}

// TestRenovateFinds has Renovate itself say what it finds by our preset.
func TestRenovateFinds(t *testing.T) {
	t.Parallel()
	dir, argv := renovate(t)
	var log bytes.Buffer
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "RENOVATE_PLATFORM=local", "RENOVATE_DRY_RUN=extract", "RENOVATE_BASE_DIR=" + t.TempDir(), "LOG_LEVEL=debug", "LOG_FORMAT=json"}
	if _, err := run.OS(t.Context(), run.Command{Argv: argv, Dir: dir, Env: env, Stdout: &log, Stderr: &log}); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var found []string
	for line := range strings.Lines(log.String()) {
		var said struct {
			Message string               `json:"msg"`
			Files   map[string][]managed `json:"packageFiles"`
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil || said.Message != "Extracted dependencies" {
			continue // in another form, where it has no logger yet
		}
		for _, manager := range []string{"jsonata", "regex"} {
			for _, f := range said.Files[manager] {
				for _, d := range f.Dependencies {
					found = append(found, fmt.Sprintf("%s %s %s %s %s@%s", f.File, manager, d.Datasource, d.Name, d.Value, d.Digest))
				}
			}
		}
	}
	want, err := os.ReadFile(filepath.Join(samples, "expected.txt"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), found); diff != "" {
		t.Errorf("what Renovate finds (-want +got):\n%s", diff)
	}
}

// TestRenovateUpdates has it put newer versions and digests into the files, which it does with the preset's template.
func TestRenovateUpdates(t *testing.T) {
	t.Parallel()
	dir, argv := renovate(t)
	script, err := filepath.Abs("testdata/renovate.mjs")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "RENOVATE=" + filepath.Dir(argv[1]), "PRESET=renovate.json"}
	log, err := attempt(t.Context(), run.Command{Argv: []string{argv[0], script, ".github/ghcr-publish.yml", ".github/workflows/publish.yml"}, Dir: dir, Env: env})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	digest := "sha256:" + strings.Repeat("f", 64)
	for _, line := range []string{
		`# yaml-language-server: $schema=https://raw.githubusercontent.com/org/ghcr-publish/v99.9.9/internal/service/schema.json`,
		`image: "registry.example.com:5000/team/postgres:v99.9.9@` + digest + `" # with host and port, tag and digest`,
		`redis: {resources: {limits: {memory: 1G}}, image: redis@` + digest + `}`,
		`proxy: {kind: nginx, image: nginx:1.28-alpine@` + digest + `}`,
		`proxy: {kind: nginx, image: nginx:v99.9.9@` + digest + `}`,
		`base: docker-image://node:22.11.0-bookworm-slim@` + digest,
		`COPY --from=busybox:v99.9.9 /bin/wget /bin/`,
		`NODE_VERSION: "v99.9.9"`,
		`binfmt-image: tonistiigi/binfmt:v99.9.9`,
	} {
		if !strings.Contains(log, "updated: "+line+"\n") {
			t.Errorf("nothing was updated to %s", line)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// schemaLine is how a configuration says where its schema is.
const schemaLine = "# yaml-language-server: $schema="

// TestEditor has the language server of editors find the schema by the line that `init` writes, or by our entry of SchemaStore's catalog.
func TestEditor(t *testing.T) {
	t.Parallel()
	needParts(t)
	library, err := parts.YAMLServer(t.Context())
	fromNPM(t, err)
	right := read(t, "../migrate/testdata/new.yml") // as init writes it
	line, _, _ := strings.Cut(right, "\n")
	address, says := strings.CutPrefix(line, schemaLine)
	if !says {
		t.Fatalf("a configuration begins with %q", line)
	}
	const wrong = "services:\n  - name: backend\n    helth_endpoint: /health\ngates: {user: nobody}\n"
	dir := t.TempDir()
	for file, text := range map[string]string{"right.yml": right, "wrong.yml": line + "\n" + wrong, "open.yml": line + "\nservices:\n  - name: backend\n    ", ".github/ghcr-publish.yml": wrong, "other.yml": wrong} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, entry, _ := strings.Cut(read(t, "../../.github/docs/ecosystem.md"), "<!-- begin catalog -->\n```json\n")
	entry, _, _ = strings.Cut(entry, "```")
	script, err := filepath.Abs("testdata/editor.mjs")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := filepath.Abs("../service/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LIBRARY=" + library, "SCHEMA=" + schema, "ADDRESS=" + address, "CATALOG=" + entry}
	log, err := attempt(t.Context(), run.Command{Argv: []string{"node", script, "right.yml", "wrong.yml", "open.yml", ".github/ghcr-publish.yml", "other.yml"}, Dir: dir, Env: env})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, want := range []string{
		"wrong.yml:4: Property helth_endpoint is not allowed.\n", "wrong.yml:5: Value is not accepted. Valid values: \"non-root\", \"any\".\n",
		".github/ghcr-publish.yml:3: Property helth_endpoint is not allowed.\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if found := regexp.MustCompile(`(?m)^(right|other)\.yml:[0-9].*`).FindAllString(log, -1); found != nil {
		t.Errorf("what is right, or another's, is found wrong: %q", found)
	}
	if !regexp.MustCompile(`(?m)^open\.yml: proposed: .*\bhealth_endpoint\b`).MatchString(log) {
		t.Error("health_endpoint is not proposed")
	}
	if t.Failed() {
		t.Log(log)
	}
}
