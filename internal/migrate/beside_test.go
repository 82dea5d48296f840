package migrate

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBeside names what a workflow does besides, and nothing that is taken over.
func TestBeside(t *testing.T) {
	t.Parallel()
	r, err := Read([]File{{"docker.yml", []byte(`
on: push
concurrency: x
jobs:
  test:
    steps: [{uses: actions/checkout@v4}, {run: go test ./...}]
  lint: {uses: acme/ci/.github/workflows/lint.yml@v1}
  changes:
    steps: [{uses: actions/checkout@v4}, {uses: dorny/paths-filter@v3}]
  build:
    needs: test
    runs-on: [self-hosted, big]
    environment: {name: production, url: x}
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0, lfs: false, submodules: recursive, token: "${{ secrets.PAT }}"}
      - run: echo "tag=x" >> $GITHUB_OUTPUT
      - run: |
          pnpm install --token=hunter2
      - name: Fetch models
        run: ./fetch
      - {uses: actions/download-artifact@v4, with: {name: dist}}
      - {uses: docker/login-action@v3}
      - {uses: docker/build-push-action@v6, with: {push: true, context: a, tags: ghcr.io/octo/a}}
      - {run: cosign sign x}
      - {uses: ./.github/actions/own}
      - {run: kubectl set image}
  arm:
    runs-on: ${{ matrix.runner }}
    strategy: {matrix: {runner: [ubuntu-latest, ubuntu-24.04-arm]}}
    steps:
      - {uses: docker/build-push-action@v6, with: {push: true, context: b, tags: ghcr.io/octo/b}}
      - {uses: actions/upload-artifact@v4, with: {name: digests-x}}
  merge:
    steps: [{uses: actions/download-artifact@v4, with: {pattern: digests-*}}, {run: docker buildx imagetools create x}]
`)}, {"whole.yml", []byte(`
on: push
concurrency: x
jobs:
  build:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - {uses: docker/build-push-action@v6, with: {push: true, context: c, tags: ghcr.io/octo/c}}
`)}}, "Octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"docker.yml: there a push to any branch starts it: here those alone that are named under `branches` of the new workflow.",
		"docker.yml:12: the job build runs on self-hosted, big: give that to the new workflow's job as `runs-on`.",
		"docker.yml:13: the job build has the environment production: give that to the new workflow's job, whose secrets and rules it may need.",
		"docker.yml:16: the checkout has submodules: recursive: give that to actions/checkout in the new workflow, where the build needs it.",
		"docker.yml:16: the checkout has token: ${{ secrets.PAT }}: give that to actions/checkout in the new workflow, where the build needs it.",
		"docker.yml: the job build also has these steps: `pnpm …` at line 18, Fetch models at line 21, actions/download-artifact at line 22, ./.github/actions/own at line 26, `kubectl …` at line 27. Put what the build needs before org/ghcr-publish in the new workflow, and what uses the images after it.",
		"docker.yml:29: the job arm runs on ubuntu-latest, ubuntu-24.04-arm: one job emulates what its machine is not; with `split: platform` each platform is built on a runner of its own, which `runners` names.",
		"docker.yml: its jobs test, lint do something else: they stay where they are, and a job of the new workflow that is to wait for one must have it there.",
		"whole.yml: there a push to any branch starts it: here those alone that are named under `branches` of the new workflow.",
	}
	if diff := cmp.Diff(want, r.Beside); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Equal(r.Mixed, []string{"docker.yml"}) || !slices.Equal(r.Files, []string{"docker.yml", "whole.yml"}) {
		t.Errorf("%q of %q have other jobs", r.Mixed, r.Files)
	}
}

// TestStarts has the new workflow start as the old ones did.
func TestStarts(t *testing.T) {
	t.Parallel()
	const every = "docker.yml: there a push to any branch starts it: here those alone that are named under `branches` of the new workflow."
	const build = "\nconcurrency: x\njobs: {a: {steps: [{uses: docker/build-push-action@v6, with: {push: true, context: a, tags: ghcr.io/octo/a}}]}}"
	for title, c := range map[string]struct {
		on, want string
		said     []string
	}{
		"as usual":       {"{push: {branches: [main], tags: ['v*']}, pull_request: {}}", "  push:\n    branches: [main]\n    tags: [v*]\n  pull_request:\n", nil},
		"git tags alone": {"{push: {tags: ['*', 'api-*']}}", "  push:\n    tags: ['*', api-*]\n  pull_request:\n", nil},
		"branches alone": {"{push: {branches: [develop]}}", "  push:\n    branches: [develop]\n    tags: [\"v*\"]\n  pull_request:\n", nil},
		"every push":     {"push", "  push:\n    branches: [main]\n    tags: [\"v*\"]\n", []string{every}},
		"all but some":   {"{push: {branches-ignore: [x]}}", "  push:\n    branches: [main]\n", []string{every}},
		"other events":   {"{release: {types: [published]}, schedule: [{cron: '1 2 * * *'}], workflow_dispatch: {}}", "  push:\n    branches: [main]\n", []string{"docker.yml: it is started by release, schedule, too: write that under `on` of the new workflow, where it is to publish then."}},
	} {
		r, err := Read([]File{{"docker.yml", []byte("on: " + c.on + build)}}, "Octo/cards")
		if diff := cmp.Diff(c.said, r.Beside); err != nil || diff != "" || !strings.Contains(r.Workflow(), c.want) {
			t.Errorf("%s: %v, %q is not in\n%.400s\n(-want +got):\n%s", title, err, c.want, r.Workflow(), diff)
		}
	}
	r, err := Read([]File{{"a.yml", []byte("on: {push: {tags: [v*]}}" + build)}, {"b.yml", []byte("on: {push: {branches: [main]}}" + build)}}, "Octo/cards")
	if err != nil || r.TagsOnly {
		t.Errorf("%v, a workflow for branches beside one for git tags is not seen", err)
	}
}

// TestBesideOfSameName tells a job from one of the same name in the workflow that another one calls.
func TestBesideOfSameName(t *testing.T) {
	t.Parallel()
	r, err := Read([]File{{".github/workflows/ci.yml", []byte(`
on: {push: {branches: [main]}}
concurrency: x
jobs:
  build: {runs-on: macos-15, steps: [{uses: actions/checkout@v4}, {run: go test ./...}]}
  images: {uses: ./.github/workflows/docker.yml, secrets: inherit}
`)}, {".github/workflows/docker.yml", []byte(`
on: workflow_call
jobs:
  build: {steps: [{uses: docker/build-push-action@v6, with: {push: true, context: a, tags: ghcr.io/octo/a}}]}
`)}}, "Octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".github/workflows/ci.yml: its jobs build do something else: they stay where they are, and a job of the new workflow that is to wait for one must have it there."}
	if diff := cmp.Diff(want, r.Beside); diff != "" || !slices.Equal(r.Mixed, []string{".github/workflows/ci.yml"}) {
		t.Errorf("mixed are %q, beside (-want +got):\n%s", r.Mixed, diff)
	}
}

// TestRunners are said as they are written for the new workflow.
func TestRunners(t *testing.T) {
	t.Parallel()
	for runsOn, want := range map[string]string{
		"{group: big, labels: [self-hosted, x64]}": "runs on the group big, self-hosted, x64: give that to the new workflow's job",
		"{group: big}":         "runs on the group big: give that to the new workflow's job",
		"{labels: swarm-1}":    "runs on swarm-1: give that to the new workflow's job",
		"[self-hosted, ARM64]": "runs on self-hosted, ARM64: one job emulates",
	} {
		r := readAll(t, "on: push\njobs:\n  a:\n    runs-on: "+runsOn+"\n    steps: [{uses: docker/build-push-action@v6, with: {push: true, tags: ghcr.io/octo/a}}]")
		if said := strings.Join(r.Beside, "\n"); !strings.Contains(said, want) {
			t.Errorf("of %s is said %q, not %q", runsOn, said, want)
		}
	}
}

// TestFirstCommand names a step by what it does, and never by a value.
func TestFirstCommand(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"pnpm install --token=hunter2":                            "pnpm",
		"TOKEN=hunter2 ./deploy":                                  "./deploy",
		"# With care:\nset -euo pipefail\n\nexport A=b\n./deploy": "./deploy",
		"TOKEN=hunter2":                                           "",
	} {
		if got := firstCommand(script); got != want {
			t.Errorf("of %q it is %q, not %q", script, got, want)
		}
	}
}
