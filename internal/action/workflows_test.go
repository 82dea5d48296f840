package action

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"go.yaml.in/yaml/v3"
)

// A caller is a workflow as far as it uses the action, or the workflow of the action's repository.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
type caller struct {
	On struct {
		Call struct {
			Inputs, Secrets, Outputs map[string]any
		} `yaml:"workflow_call"`
	}
	Jobs map[string]struct {
		Uses          string
		With, Secrets map[string]any
		Steps         []step
	}
}

type step struct {
	ID, Name, Uses, Run string
	With                map[string]any
}

const ownWorkflow = "org/ghcr-publish/.github/workflows/publish.yml@v1"

// unknown lists what a workflow gives to the action or to the own workflow, or takes from them, that these do not have.
func unknown(text string, own caller) (found []string, err error) {
	var c caller
	// `on: push` names no workflow_call.
	if err := yaml.Unmarshal(regexp.MustCompile(`(?m)^on: .*$`).ReplaceAll([]byte(text), nil), &c); err != nil {
		return nil, err
	}
	has := func(of, kind string, names map[string]any, known func(string) bool) {
		for name := range names {
			if !known(name) {
				found = append(found, fmt.Sprintf("%s has no %s %s", of, kind, name))
			}
		}
	}
	in := func(all map[string]any) func(string) bool {
		return func(name string) bool { _, ok := all[name]; return ok }
	}
	for id, job := range c.Jobs {
		if job.Uses == ownWorkflow {
			has(job.Uses, "input", job.With, in(own.On.Call.Inputs))
			has(job.Uses, "secret", job.Secrets, in(own.On.Call.Secrets))
			has(job.Uses, "output", taken(text, "needs", id), in(own.On.Call.Outputs))
		}
		for _, step := range job.Steps {
			if step.Uses == "org/ghcr-publish@v1" || step.Uses == "./" {
				has(step.Uses, "input", step.With, func(name string) bool {
					return slices.ContainsFunc(service.Table(), func(s service.Setting) bool { return s.Name == name })
				})
				has(step.Uses, "output", taken(text, "steps", step.ID), func(name string) bool {
					return slices.ContainsFunc(Outputs[:], func(o Output) bool { return o.Name == name })
				})
			}
		}
	}
	return found, nil
}

// taken are the outputs that a workflow takes from a job or a step.
func taken(text, from, id string) map[string]any {
	names := map[string]any{}
	for _, m := range regexp.MustCompile(`\b`+from+`\.`+regexp.QuoteMeta(id)+`\.outputs\.([\w-]+)`).FindAllStringSubmatch(text, -1) {
		names[m[1]] = nil
	}
	return names
}

func readOwn(t *testing.T) (own caller) {
	t.Helper()
	data, err := os.ReadFile("../../.github/workflows/publish.yml")
	if err == nil {
		err = yaml.Unmarshal(data, &own)
	}
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// TestCallersSecrets runs the step by which the own workflow gives each of its jobs the variables that the caller's secret `env` has, and has none of them shown.
func TestCallersSecrets(t *testing.T) {
	t.Parallel()
	jobs := readOwn(t).Jobs
	if len(jobs) != 3 {
		t.Fatalf("%d jobs", len(jobs))
	}
	for id, job := range jobs {
		at := slices.IndexFunc(job.Steps, func(s step) bool { return s.Name == "Secrets of the configuration" })
		if at < 0 {
			t.Fatalf("job %s has no such step", id)
		}
		env := filepath.Join(t.TempDir(), "env")
		const given = "NPM_TOKEN=a=b%c\n\nno line\nEMPTY=\n1ST=d\nEVIL<<E=f\nPASSWORD=$(touch x) `y` \\n "
		out, err := run.OS(t.Context(), run.Command{Argv: []string{"bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", job.Steps[at].Run}, Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH"), "GITHUB_ENV=" + env, "SECRETS=" + given}})
		if want := "::add-mask::a=b%25c\n::add-mask::$(touch x) `y` \\n \n"; err != nil || string(out) != want {
			t.Errorf("job %s prints %q, want %q, %v", id, out, want, err)
		}
		written, err := os.ReadFile(env)
		if want := "NPM_TOKEN=a=b%c\nPASSWORD=$(touch x) `y` \\n \n"; err != nil || string(written) != want {
			t.Errorf("job %s has %q, want %q, %v", id, written, want, err)
		}
	}
}

// TestWorkflows keeps the workflows of this repository, and those that are shown to people, to what the action has. Nobody else does: actionlint does not know
// an action of another repository, as they name it, and the runner only warns.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../.github/*/*.yml")
	if err != nil || len(files) < 15 {
		t.Fatalf("%q, %v", files, err)
	}
	own := readOwn(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := unknown(string(text), own); err != nil || found != nil {
			t.Errorf("%s: %v, %q", file, err, found)
		}
	}
	const wrong = `on: push
jobs:
  call: {uses: ` + ownWorkflow + `, with: {services: a, registry: b}, secrets: {token: c}}
  other: {uses: org/other/.github/workflows/publish.yml@v1, with: {color: red}}
  step:
    outputs: {a: "${{ steps.it.outputs.digest }}", b: "${{ needs.call.outputs.matrix }}", c: "${{ steps.it.outputs.outcome }}"}
    steps: [{uses: actions/checkout@v6, with: {depth: 1}}, {id: it, uses: org/ghcr-publish@v1, with: {mode: all, service: a}}]
`
	found, err := unknown(wrong, own)
	slices.Sort(found)
	want := []string{"has no input registry", "has no output matrix", "has no secret token", "has no input service", "has no output digest"}
	if err != nil || len(found) != len(want) {
		t.Fatalf("%v, %q", err, found)
	}
	for i := range want {
		if !strings.HasSuffix(found[i], want[i]) {
			t.Errorf("%q, want %q", found[i], want[i])
		}
	}
}
