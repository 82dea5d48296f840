package migrate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const calledWorkflow = `
on:
  workflow_call:
    inputs:
      push: {type: boolean, default: false}
      file: {type: string}
      images: {type: string}
      tags: {type: string}
      suffix: {type: string, default: x}
    secrets: {npm: {}}
env: {FOLDER: src}
jobs:
  build:
    strategy: {matrix: {platform: [linux/amd64, linux/arm64]}}
    steps:
      - id: meta
        uses: docker/metadata-action@v5
        with:
          images: ${{ inputs.images }}
          tags: ${{ inputs.tags }}
      - uses: docker/build-push-action@v6
        with:
          context: ${{ env.FOLDER }}
          file: ${{ inputs.file }}
          platforms: ${{ matrix.platform }}
          push: ${{ inputs.push }}
          outputs: type=image,"name=${{ env.NAMES }}",push-by-digest=true
          build-args: |
            SUFFIX=${{ inputs.suffix }}
            MODE=${{ inputs.suffix || 'none' }}
          secrets: npm=${{ secrets.npm }}
`

const callingWorkflow = `
on: {push: {branches: [stable]}}
concurrency: x
jobs:
  each:
    strategy: {matrix: {app: [api, web]}}
    uses: ./.github/workflows/called.yml
    with:
      push: true
      file: src/${{ matrix.app }}/Dockerfile
      images: |
        octo/${{ matrix.app }}
        ghcr.io/octo/${{ matrix.app }}
      tags: |
        type=sha
        type=raw,value=edge
    secrets: {npm: "${{ secrets.NPM_TOKEN }}"}
  only-built:
    uses: ./.github/workflows/called.yml
    with: {file: src/test/Dockerfile}
  again:
    uses: ./.github/workflows/deeper.yml
`

const composedAction = `
name: docker
inputs: {app: {}, target: {default: run}, tags: {}}
runs:
  using: composite
  steps:
    - uses: docker/build-push-action@v6
      with:
        context: apps/${{ inputs.app }}
        target: ${{ inputs.target }}
        push: true
        tags: ${{ inputs.tags }}
        secrets: token=${{ inputs.token }}
`

func described(r Reading) (all []string) {
	for _, s := range r.Services {
		all = append(all, strings.Join(strings.Fields(fmt.Sprintln(s.Name+"="+s.Image, s.Context, s.Dockerfile, s.Target, strings.Join(s.Platforms, " "), s.BuildArgs, s.Secrets)), " "))
	}
	return all
}

// TestCalledWorkflows are read as their callers have them.
func TestCalledWorkflows(t *testing.T) {
	t.Parallel()
	r, err := Read([]File{
		{".github/workflows/called.yml", []byte(calledWorkflow)},
		{".github/workflows/calling.yml", []byte(callingWorkflow)},
		{".github/workflows/deeper.yml", []byte("on: workflow_call\njobs: {a: {uses: ./.github/workflows/called.yml, with: {push: true, images: ghcr.io/octo/deep, suffix: y}}}")},
		{".github/workflows/round.yml", []byte("on: push\njobs: {a: {uses: ./.github/workflows/round.yml}, b: {uses: ./.github/workflows/round.yml}, c: {steps: [{uses: ./round}]}}")},
		{"round/action.yml", []byte("runs: {using: composite, steps: [{uses: ./round}, {uses: ./round}]}")},
	}, "Octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"api=api src src/api/Dockerfile linux/amd64 linux/arm64 map[MODE:x SUFFIX:x] map[npm:env:NPM_TOKEN]",
		"web=web src src/web/Dockerfile linux/amd64 linux/arm64 map[MODE:x SUFFIX:x] map[npm:env:NPM_TOKEN]",
		"deep=deep src linux/amd64 linux/arm64 map[MODE:y SUFFIX:y] map[npm:env:npm]",
	}, described(r)); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"type=sha", "type=raw,value=edge"}, r.Tags); diff != "" || !slices.Equal(r.Branches, []string{"stable"}) {
		t.Errorf("of %q tags are (-want +got):\n%s", r.Branches, diff)
	}
	if diff := cmp.Diff([]string{".github/workflows/called.yml", ".github/workflows/calling.yml", ".github/workflows/deeper.yml"}, r.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if left := strings.Join(r.Left, "\n"); !strings.Contains(left, ".github/workflows/called.yml:21 publishes to octo/api: ") || strings.Contains(left, "only known") {
		t.Errorf("left\n%s", left)
	}
}

// TestComposedActions are read where they are used.
func TestComposedActions(t *testing.T) {
	t.Parallel()
	r, err := Read([]File{
		{".github/actions/docker/action.yml", []byte(composedAction)},
		{".github/workflows/docker.yml", []byte(`
on: push
jobs:
  build:
    strategy: {matrix: {app: [api, web]}}
    steps:
      - id: meta
        uses: docker/metadata-action@v5
        with: {images: "ghcr.io/octo/${{ matrix.app }}"}
      - uses: ./.github/actions/docker
        with: {app: "${{ matrix.app }}", tags: "${{ steps.meta.outputs.tags }}", token: "${{ secrets.TOKEN }}"}
      - uses: ./.github/actions/docker
        with: {app: jobs, target: "", tags: ghcr.io/octo/jobs, token: "${{ github.token }}"}
`)}}, "Octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"api=api apps/api run linux/amd64 map[] map[token:env:TOKEN]",
		"web=web apps/web run linux/amd64 map[] map[token:env:TOKEN]",
		"jobs=jobs apps/jobs linux/amd64 map[] map[token:env:JOBS_TOKEN]",
	}, described(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{".github/actions/docker/action.yml", ".github/workflows/docker.yml"}, r.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, f := range r.Faults {
		if f.File == "" {
			t.Errorf("a fault is nowhere: %+v", f)
		}
	}
	if _, err := Read([]File{{"a/action.yml", []byte("inputs: [")}}, "Octo/cards"); err == nil || !strings.Contains(err.Error(), "a/action.yml") {
		t.Errorf("of an action that is none: %v", err)
	}
}

// TestUnread names what may publish images, and is elsewhere.
func TestUnread(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
jobs:
  images:
    strategy: {matrix: {include: [{name: web}, {name: api}]}}
    uses: acme/.github/.github/workflows/docker-build.yml@main
    with: {image: "ghcr.io/acme/${{ matrix.name }}", file: "${{ matrix.name }}/Dockerfile"}
    secrets: {token: "${{ secrets.TOKEN }}"}
  lint:
    uses: acme/.github/.github/workflows/lint.yml@main
  steps:
    steps:
      - uses: actions/checkout@v4
      - uses: docker/setup-buildx-action@v3
      - uses: acme/publish-docker@v5
      - uses: ./build/docker
      - run: make docker-push TOKEN=hunter2
      - run: |
          go vet ./...
          ko build ./cmd/api
      - run: make test
      - uses: goreleaser/goreleaser-action@v6
`)
	want := []string{
		".github/workflows/docker.yml:6: the job images calls acme/.github/.github/workflows/docker-build.yml@main, which is not read: where that publishes images, list these under `services` by the names that they have so far, and take the job out once the new workflow has run. It is given file: web/Dockerfile, image: ghcr.io/acme/web; file: api/Dockerfile, image: ghcr.io/acme/api.",
		".github/workflows/docker.yml:15: the action acme/publish-docker@v5 is not read: where it publishes images, list these under `services` by the names that they have so far.",
		".github/workflows/docker.yml:16: the action ./build/docker is not read: where it publishes images, list these under `services` by the names that they have so far.",
		".github/workflows/docker.yml:17: the command make docker-push is not read: where it publishes images, list these under `services` by the names that they have so far.",
		".github/workflows/docker.yml:18: the command ko build is not read: where it publishes images, list these under `services` by the names that they have so far.",
		".github/workflows/docker.yml:22: the action goreleaser/goreleaser-action@v6 is not read: where it publishes images, list these under `services` by the names that they have so far.",
	}
	if diff := cmp.Diff(want, r.Left); diff != "" || len(r.Files) > 0 {
		t.Errorf("%q, left (-want +got):\n%s", r.Files, diff)
	}
}

// TestPassedSecrets are known by the names that the repository has them by, through however many workflows they come.
func TestPassedSecrets(t *testing.T) {
	t.Parallel()
	r, err := Read([]File{
		{".github/workflows/first.yml", []byte("on: push\njobs: {a: {uses: ./.github/workflows/second.yml, secrets: {npm: '${{ secrets.NPM_TOKEN }}'}}}")},
		{".github/workflows/second.yml", []byte("on: workflow_call\njobs: {b: {uses: ./.github/workflows/third.yml, secrets: {token: '${{ secrets.npm }}'}}}")},
		{".github/workflows/third.yml", []byte("on: workflow_call\njobs: {c: {steps: [{uses: docker/build-push-action@v6, with: {push: true, context: a, tags: ghcr.io/octo/a, secrets: 'npm=${{ secrets.token }}'}}]}}")},
	}, "Octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"NPM_TOKEN": "${{ secrets.NPM_TOKEN }}"}, r.Secrets); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNoWordOfTests has what tests, and what prepares for that, lead to no word, and what publishes lead to one without what it is given.
func TestNoWordOfTests(t *testing.T) {
	t.Parallel()
	for said, steps := range map[string][]string{
		"": {"uses: docker://rhysd/actionlint:1.7", "uses: docker://ghcr.io/acme/lint:1", "uses: docker://localhost:5000/lint", "uses: atomicjar/testcontainers-cloud-setup-action@v1", "uses: calibreapp/image-actions@main",
			"uses: peter-evans/dockerhub-description@v4", "uses: reproducible-containers/buildkit-cache-dance@v3", "run: '# make sure that docker runs'", "run: 'echo make docker'", "run: npm run test:images", "run: make test-image",
			"run: make image=x test", "run: goreleaser check", "run: go install github.com/goreleaser/goreleaser@latest", "run: docker compose up --build", "uses: docker/build-push-action@v6\n        with: {push: False, tags: x}"},
		"the action docker://gcr.io/kaniko-project/executor:v1 is not read": {"uses: docker://gcr.io/kaniko-project/executor:v1"},
		"the command make -C src build docker-push is not read":             {"run: cd x && A=hunter2 make -C src TOKEN=hunter2 build docker-push USER=hunter2"},
		"the action acme/login-push-image@v1 is not read":                   {"uses: acme/login-push-image@v1"},
		"the command make docker-test-push is not read":                     {"run: make docker-test-push"},
		"the command npm run docker:build is not read":                      {"run: |\n          npm run docker:test\n          npm run docker:build"},
		"the command goreleaser is not read":                                {"run: goreleaser"},
		"the command ./gradlew build jib is not read":                       {"run: if x; then ./gradlew build jib; fi"},
	} {
		for _, step := range steps {
			r := readAll(t, "on: push\njobs:\n  test:\n    steps:\n      - "+step)
			if left := strings.Join(r.Left, "\n"); !strings.Contains(left, said) || strings.Contains(left, "hunter2") || said == "" && left+strings.Join(r.Beside, "\n") != "" || len(r.Services) > 0 {
				t.Errorf("of %s is said %q, not %q", step, left, said)
			}
		}
	}
}
