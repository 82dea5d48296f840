package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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
	standIn := repositoryOf(t, map[string]string{"action.yml": other, "restore/action.yml": other, "save/action.yml": other})
	for _, action := range others.FindAllStringSubmatch(read(t, "../../.github/workflows/publish.yml")+read(t, "../../.github/examples/rescan.yml")+read(t, "../../.github/examples/report.yml"), -1) {
		a.options = append(a.options, "--local-repository", action[1]+action[2]+"="+standIn)
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

var uses = regexp.MustCompile(`(?m)^ +(- )?uses: org/ghcr-publish@v1\n( +env:\n( {10}.*\n)+)? +with:\n`)

// others are actions that are not here, and other is what stands for them; act does itself what actions/checkout does.
var others = regexp.MustCompile(`\b(actions/(?:upload-artifact|upload-pages-artifact|deploy-pages|cache))(?:/\w+)?(@[0-9a-f]{40})`)

const other = `{name: other, inputs: {name: {}, path: {}}, outputs: {page_url: {value: https://pages.example}}, runs: {using: composite, steps: [{shell: bash, run: 'echo "keeps $NAME $FILES"', env: {NAME: "${{ inputs.name }}", FILES: "${{ inputs.path }}"}}]}}`

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

// cards is the configuration of the repository of TestExamples, which is deployed, with a service of two colours, mirrored and cleaned up.
const cards = `services:
  - {name: backend, image: prompt-card-backend, dockerfile: backend/Dockerfile, paths: [backend/**, shared/**, .dockerignore], port: 3001, health_endpoint: /health}
  - {name: auth, image: prompt-card-auth, context: auth, port: 8005, health_endpoint: /auth/health, compose: {switch: true}}
tags: |
  type=ref,event=branch
  type=semver,pattern={{version}}
gates: {vulnerabilities: {fail_on: CRITICAL}}
compose: {proxy: {image: "NGINX"}}
deploy: {wait: 90s, project: OWNER}
mirrors: [{image: "REGISTRY/OWNER-copies/{{name}}"}]
clean: {untagged: {newest: 0, younger: 1d}}
`

// A day is one on which an example runs: after a change of auth, or none.
type day struct {
	example, event string
	changed        bool
	more           string // of the event
	runners        string // labels beside GitHub's own
	want           string // in the log
}

var days = []day{
	{example: "reusable.yml", event: "push", want: "} ghcr-publish-compose"}, // its outputs
	{example: "start.yml", event: "push", want: "✅ Nothing to do"},
	{example: "one-service.yml", event: "push", want: "✅ Nothing to do"},
	{example: "promote.yml", event: "workflow_dispatch", want: "✅ production points to what was asked for, of backend, auth"},
	{example: "deploy.yml", event: "workflow_dispatch", more: `"inputs": {"weight": "100"}`, want: "✅ Deployed e2e-testexamples"},
	{example: "blue-green.yml", event: "push", changed: true, want: "auth: 10 % of the requests go to auth-green"},
	{example: "deploy.yml", event: "schedule", want: "✅ All of e2e-testexamples"},
	{example: "forks.yml", event: "pull_request", changed: true, want: "✅ auth passed every gate. Nothing was pushed",
		more: `"number": 7, "pull_request": {"number": 7, "base": {"ref": "main"}, "head": {"ref": "feature", "repo": {"full_name": "stranger/cards", "fork": true}}}`},
	{example: "self-hosted.yml", event: "push", runners: "docker-amd64 docker-arm64", want: "✅ Published auth"},
	{example: "ghes.yml", event: "push", changed: true, runners: "self-hosted linux", want: "✅ Published auth"},
	{example: "arc.yml", event: "push", changed: true, runners: "arc-runner-set", want: "✅ Published auth"},
	{example: "monorepo-releases.yml", event: "push", more: `"ref": "refs/tags/auth/v1.2.3"`, want: "released auth/v1.2.3"},
	{example: "rescan.yml", event: "schedule", want: "✅ backend, auth passed every gate"},
	{example: "mirror.yml", event: "schedule", want: "✅ Nothing to do: the mirrors have all"},
	{example: "report.yml", event: "schedule", want: "writing what is remembered of builds"},
	{example: "clean.yml", event: "workflow_dispatch", want: "Nothing was deleted"},
	{example: "nightly.yml", event: "schedule", want: "✅ Deleted "},
}

// TestEveryExampleIsRun finds examples that no test runs.
func TestEveryExampleIsRun(t *testing.T) {
	files, err := filepath.Glob("../../.github/examples/*.yml")
	if err != nil || len(files) < len(days)/2 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if name != "publish.yml" && name != "matrix.yml" && !slices.ContainsFunc(days, func(d day) bool { return d.example == name }) {
			t.Errorf("no test runs %s", name)
		}
	}
}

// TestExamples runs the examples one after another in one repository, but those that the tests above do. act knows no `permissions`, `concurrency` and approvals
// of environments, every job has the same token, and every runner is this machine: ghes.yml is tried without GitHub Enterprise Server, arc.yml without Kubernetes
// and `builders`.
func TestExamples(t *testing.T) {
	a := newAct(t)
	nginx, err := parts.Nginx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	newSite(t, a.world)
	hub.front(a.owner, a.api.Registry("orgs", hub.kept))
	a.api.SetBranches("main")
	a.options = append(a.options, "--env", "GITHUB_API_URL="+a.api.URL, "--var", "DEPLOY_HOST=unix:///var/run/docker.sock")
	workflows := map[string]string{}
	for _, d := range days {
		workflows[d.example] = a.example(d.example)
	}
	workflows["start.yml"] = a.fill(change(t, workflows["start.yml"], "- uses: org/ghcr-publish@v1\n", "- uses: org/ghcr-publish@v1\n        with:\n"))
	workflows["arc.yml"] = change(t, workflows["arc.yml"], "container: buildpack-deps:24.04-scm ", "container: "+a.image+" ")
	workflows["blue-green.yml"] = change(t, workflows["blue-green.yml"], "WEIGHT: 100 # percent", "WEIGHT: 10 # percent") // staging is the same host
	workflows["promote.yml"] = change(t, workflows["promote.yml"], "'staging'", "'main'")
	a.commit("cards", map[string]string{".github/ghcr-publish.yml": strings.NewReplacer("NGINX", nginx, "REGISTRY", hub.addr, "OWNER", a.owner).Replace(cards)})
	a.commitWorkflows(workflows)
	for i, d := range days {
		if d.example == "nightly.yml" { // which deletes what tags had been at
			a.checkTagsWereJudged()
		}
		begun := time.Now()
		log, err := a.live(i, d)
		t.Logf("%s took %s", d.example, time.Since(begun).Round(100*time.Millisecond))
		if err != nil || !strings.Contains(log, d.want) {
			t.Errorf("%s: %v, want %q\n%s", d.example, err, d.want, log)
		}
	}
	if problems := a.api.Problems(); len(problems) > 0 {
		t.Errorf("the GitHub API refused %q", problems)
	}
}

// live runs the example of a day.
func (a *act) live(number int, d day) (string, error) {
	a.t.Helper()
	if d.changed {
		a.commit(d.example, map[string]string{"auth/www/auth/day": fmt.Sprint(number)})
	}
	head, err := a.repo.Git(a.t.Context(), "rev-parse", "HEAD")
	if err != nil {
		a.t.Fatal(err)
	}
	a.api.SetRef("heads/main", strings.TrimSpace(head))
	event := filepath.Join(a.t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(strings.TrimSuffix(`{"repository": {"default_branch": "main", "full_name": "Octo-Org/cards"}, `+d.more, ", ")+"}"), 0o600); err != nil {
		a.t.Fatal(err)
	}
	options := []string{"--eventpath", event}
	for label := range strings.FieldsSeq(d.runners) {
		options = append(options, "-P", label+"="+a.image)
	}
	return a.on(d.event, d.example, options...)
}
