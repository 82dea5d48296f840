package e2e

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/run"
)

// An act is a clone whose workflows run on this machine, `uses: org/ghcr-publish@v1` and all.
type act struct {
	*world
	image     string   // that jobs run in
	action    string   // repository of the action
	artifacts string   // folder
	options   []string // of act itself
	toml      []byte   // of BuildKit
}

func newAct(t *testing.T) *act {
	t.Helper()
	a := &act{world: newWorld(t), artifacts: t.TempDir(), options: []string{"--no-cache-server"}}
	if err := builtImage(); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.image, err = parts.Act(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.toml, err = os.ReadFile(parts.BuildkitConfig); err != nil && parts.BuildkitConfig != "" {
		t.Fatal(err)
	}
	a.action = a.publishedAction()
	for _, action := range others.FindAllString(read(t, "../../.github/workflows/publish.yml")+read(t, "../../.github/examples/rescan.yml"), -1) {
		a.options = append(a.options, "--local-repository", action+"="+repositoryOf(t, map[string]string{"action.yml": other}))
	}
	// act hands no state to the post step, which so cannot stop the builder.
	t.Cleanup(func() { dropBuilder(t, buildx.DefaultName(a.toml, true, "")) })
	return a
}

// publishedAction is what a release of the action is: a repository whose action.yml names an image, and whose workflow others call.
func (a *act) publishedAction() string {
	a.t.Helper()
	action := strings.Replace(read(a.t, "../../action.yml"), "image: Dockerfile", "image: docker://"+actionImage, 1)
	return repositoryOf(a.t, map[string]string{"action.yml": action, ".github/workflows/publish.yml": a.fill(read(a.t, "../../.github/workflows/publish.yml"))})
}

// repositoryOf makes a repository of files.
func repositoryOf(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=v1"}} {
		if _, err := run.OS(t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: dir, Env: os.Environ()}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inputs take the place of what the examples leave to the defaults.
const inputs = `          registry: REGISTRY
          owner: OWNER
          code-scanning: off
          builder-config: buildkitd.toml
          trivy-db: DATABASE
          binfmt-image: BINFMT
`

var uses = regexp.MustCompile(`(?m)^ +(- )?uses: org/ghcr-publish@v1\n +with:\n`)

// others are actions that are not here, and other is what stands for them; act does itself what actions/checkout does.
var others = regexp.MustCompile(`\bactions/(upload-artifact|cache/\w+)@[0-9a-f]{40}`)

const other = `{name: other, inputs: {name: {}, path: {}}, runs: {using: composite, steps: [{shell: bash, run: 'echo "keeps $NAME"', env: {NAME: "${{ inputs.name }}"}}]}}`

// example is one of the examples, for this laboratory.
func (a *act) example(name string) string {
	a.t.Helper()
	return a.fill(read(a.t, "../../.github/examples/"+name))
}

// fill gives the steps of a workflow that use the action what they need in this laboratory.
func (a *act) fill(workflow string) string {
	fill := strings.NewReplacer("REGISTRY", hub.addr, "OWNER", a.owner, "DATABASE", strings.Join(parts.TrivyDB, ","), "BINFMT", parts.BinfmtImage)
	return uses.ReplaceAllString(workflow, "${0}"+fill.Replace(inputs))
}

// commitWorkflows commits them and makes the clone look like one of GitHub's. It can be pushed from all the same.
func (a *act) commitWorkflows(workflows map[string]string) {
	a.t.Helper()
	files := map[string]string{"buildkitd.toml": string(a.toml)}
	for name, text := range workflows {
		files[".github/workflows/"+name] = text
	}
	a.commit("workflows", files)
	origin, err := a.repo.Git(a.t.Context(), "remote", "get-url", "origin")
	if err != nil {
		a.t.Fatal(err)
	}
	for _, args := range [][]string{{"--push", "origin", origin}, {"origin", "https://github.com/Octo-Org/cards"}} {
		if _, err := a.repo.Git(a.t.Context(), append([]string{"remote", "set-url"}, args...)...); err != nil {
			a.t.Fatal(err)
		}
	}
}

// push runs a workflow as a push of what is checked out does.
func (a *act) push(workflow, attempt string) (string, error) {
	a.t.Helper()
	return a.on("push", workflow, "--env", "GITHUB_RUN_ATTEMPT="+attempt)
}

// on runs a workflow as an event does.
func (a *act) on(event, workflow string, more ...string) (string, error) {
	a.t.Helper()
	var log bytes.Buffer
	argv := []string{"act", event, "--workflows", ".github/workflows/" + workflow, "--pull=false", "--rm", "-P", "ubuntu-latest=" + a.image, "-P", "ubuntu-24.04-arm=" + a.image,
		"--artifact-server-path", a.artifacts, "--artifact-server-addr", "127.0.0.1", "--artifact-server-port", freePort(a.t),
		"-s", "GITHUB_TOKEN=" + a.token, "--local-repository", "org/ghcr-publish@v1=" + a.action}
	argv = slices.Concat(argv, a.options, more)
	_, err := run.OS(a.t.Context(), run.Command{Argv: argv, Dir: a.repo.Dir, Env: parts.Environ(os.Environ()), Stdout: &log, Stderr: &log})
	if a.leaks(log.Bytes()) {
		a.t.Error("the log holds the token")
	}
	return log.String(), err
}

func read(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// change replaces what must be there.
func change(t testing.TB, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("there is no %q in:\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, new)
}

// TestExample runs the example of a workflow with one job.
func TestExample(t *testing.T) {
	a := newAct(t)
	a.commitWorkflows(map[string]string{"publish.yml": a.example("publish.yml")})
	log, err := a.push("publish.yml", "1")
	if err != nil || !strings.Contains(log, "✅ Published backend, frontend, auth") || !strings.Contains(log, `"auth": "sha256:`) {
		t.Errorf("act: %v\n%s", err, log)
	}
	a.checkTagsWereJudged()
	for _, service := range []string{"backend", "frontend", "auth"} {
		if at := a.tags(service); at["main"] == "" {
			t.Errorf("%s has the tags %v", service, at)
		}
	}
}

// TestExampleOfThreeJobs runs the example of a workflow with a matrix. One service's name is a secret of
// somebody's; another's row fails at first, and is then run again as GitHub does it: that row alone, and
// the job that finalizes, as another attempt.
func TestExampleOfThreeJobs(t *testing.T) {
	a := newAct(t)
	workflow := change(t, a.example("matrix.yml"), "      - id: plan\n", "      - run: echo '::add-mask::backend'\n      - id: plan\n")
	again := change(t, workflow[:strings.Index(workflow, "  plan:\n")]+workflow[strings.Index(workflow, "  publish:\n"):], "    needs: plan\n    if: needs.plan.outputs.has-work == 'true'\n", "")
	again = change(t, again, "${{ fromJSON(needs.plan.outputs.matrix) }}", `{include: [{row: auth, runner: ubuntu-latest}]}`)
	again = change(t, again, "    needs: [plan, publish]\n    if: ${{ !cancelled() && needs.plan.result == 'success' }}\n", "    needs: publish\n    if: ${{ !cancelled() }}\n")
	a.commitWorkflows(map[string]string{"publish.yml": workflow, "again.yml": again})

	hub.refuse(a.owner+"/prompt-card-auth", true)
	log, err := a.push("publish.yml", "1")
	if err == nil || !strings.Contains(log, "Failed: auth") {
		t.Errorf("with a row that fails: %v\n%s", err, log)
	}
	for _, service := range []string{"backend", "frontend", "auth"} {
		if at := a.tags(service); len(at) > 0 {
			t.Errorf("though one row failed, %s has the tags %v", service, at)
		}
	}
	hub.refuse(a.owner+"/prompt-card-auth", false)
	log, err = a.push("again.yml", "2")
	if err != nil || !strings.Contains(log, "✅ Published backend, frontend, auth") {
		t.Errorf("run again: %v\n%s", err, log)
	}
	a.checkTagsWereJudged()
	for _, service := range []string{"backend", "frontend", "auth"} {
		if at := a.tags(service); at["main"] == "" {
			t.Errorf("%s has the tags %v", service, at)
		}
	}
}

// TestExampleSplitByPlatform builds each platform of a service in a job of its own. Where one of the jobs fails, the next time, nothing moves.
func TestExampleSplitByPlatform(t *testing.T) {
	a := newAct(t)
	workflow := change(t, a.example("matrix.yml"), "services: ${{ inputs.services }}", "services: backend\n          split: platform")
	a.commitWorkflows(map[string]string{"publish.yml": workflow})
	log, err := a.push("publish.yml", "1")
	if err != nil || !strings.Contains(log, "✅ Published backend") || !strings.Contains(log, "backend@linux-arm64") {
		t.Fatalf("act: %v\n%s", err, log)
	}
	a.checkTagsWereJudged()
	if images, attestations := a.held("backend", a.tags("backend")["main"]); !slices.Equal(images, platforms) || attestations != len(platforms) {
		t.Errorf("main holds %q with %d attestations", images, attestations)
	}
	published := a.tags("backend")
	a.commit("fail for one platform", map[string]string{"backend/Dockerfile": change(t, a.read("backend/Dockerfile"), "\nFROM busybox\n", "\nRUN [ $(uname -m) != aarch64 ]\nFROM busybox\n")})
	log, err = a.push("publish.yml", "1")
	if err == nil || strings.Contains(log, "✅ Published") || !strings.Contains(log, "backend@linux-arm64") {
		t.Errorf("without one platform, act: %v\n%s", err, log)
	}
	if now := a.tags("backend"); !maps.Equal(now, published) {
		t.Errorf("without one platform, the tags are %v, and were %v", now, published)
	}
}

// TestExamples runs the examples one after another in one repository. What act leaves out is `permissions`, `concurrency`, and the approval of an environment;
// every job has the same token, and every runner is this machine.
func TestExamples(t *testing.T) {
	a := newAct(t)
	day := []struct {
		example, event string
		options        []string
		want           []string
	}{
		{example: "reusable.yml", event: "push", want: []string{"✅ Published backend, frontend, auth", `published {`, `"auth": "sha256:`}},
	}
	workflows := map[string]string{}
	for _, at := range day {
		workflows[at.example] = a.example(at.example)
	}
	a.commitWorkflows(workflows)
	for _, at := range day {
		log, err := a.on(at.event, at.example, at.options...)
		if err != nil {
			t.Errorf("%s: %v\n%s", at.example, err, log)
		}
		for _, want := range at.want {
			if !strings.Contains(log, want) {
				t.Errorf("%s does not say %q\n%s", at.example, want, log)
			}
		}
	}
	a.checkTagsWereJudged()
}
