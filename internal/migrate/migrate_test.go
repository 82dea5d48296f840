package migrate

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func readAll(t *testing.T, text string) Reading {
	t.Helper()
	r, err := Read([]File{{".github/workflows/docker.yml", []byte(text)}}, "Octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func old(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/old.yml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestServices takes over what a usual workflow builds.
func TestServices(t *testing.T) {
	t.Parallel()
	both := []string{"linux/amd64", "linux/arm64"}
	args := map[string]string{"NODE_ENV": "production"}
	want := []Service{
		{Name: "backend", Image: "prompt-card-backend", Context: ".", Dockerfile: "backend/Dockerfile", Platforms: both, BuildArgs: args, Paths: []string{"backend/**", "shared/**"}, Port: 3001, Health: "/health"},
		{Name: "frontend", Image: "prompt-card-frontend", Context: ".", Dockerfile: "frontend/Dockerfile", Platforms: both, BuildArgs: args, Paths: []string{"frontend/**"}, Port: 3000, Health: "/"},
		{Name: "auth", Image: "prompt-card-auth", Context: "auth", Platforms: both, BuildArgs: args, Port: 8005, Health: "/auth/health"},
	}
	r := readAll(t, old(t))
	if diff := cmp.Diff(want, r.Services); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"type=ref,event=branch", "type=semver,pattern={{version}}", "type=sha,prefix={{branch}}-", "type=raw,value=stable,enable={{is_default_branch}}"}, r.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"main", "develop"}, r.Branches); diff != "" {
		t.Errorf("branches (-want +got):\n%s", diff)
	}
}

// TestConfig is what is written of it.
func TestConfig(t *testing.T) {
	t.Parallel()
	r := readAll(t, old(t))
	text, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/new.yml")
	if err != nil || text != string(want) {
		t.Errorf("%v, the configuration is\n%s", err, text)
	}
	if workflow := r.Workflow(); !strings.Contains(workflow, "branches: [main, develop]\n") || strings.Contains(workflow, "matrix:") {
		t.Errorf("the workflow is\n%s", workflow)
	}
	one := Reading{Services: []Service{{Name: "a", Image: "a", Context: ".", Platforms: []string{"linux/amd64"}}}}
	if text, err := one.Config(); err != nil || !strings.Contains(text, "platforms: [linux/amd64] # add linux/arm64 ") {
		t.Errorf("%v, of one platform it is\n%s", err, text)
	}
	r.Services = append(r.Services, r.Services...)
	if !strings.Contains(r.Workflow(), "matrix:") {
		t.Error("many services have one job")
	}
}

// TestExamples holds what is written to what the examples say.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"publish.yml": oneJob, "matrix.yml": threeJobs} {
		want, err := os.ReadFile("../../.github/examples/" + name)
		if err != nil || string(want) != text {
			t.Errorf("%s is not the example: %v", name, err)
		}
		if !strings.Contains(text, defaultBranches) {
			t.Errorf("%s does not say %q", name, defaultBranches)
		}
	}
}

// TestFaults finds each fault where it is, and none in what has been mended.
func TestFaults(t *testing.T) {
	t.Parallel()
	text := old(t)
	lines := strings.Split(text, "\n")
	var found []string
	for _, f := range readAll(t, text).Faults {
		found = append(found, fmt.Sprintf("%s | %s", strings.TrimSpace(lines[f.Line-1]), f.What))
	}
	for line, what := range map[string]string{
		"# A workflow of the kind that is copied from repository to repository, shortened.": "Two runs at once",
		"git diff --name-only HEAD~1 HEAD >changed":                                         "last commit alone",
		"if: matrix.enabled != 'false'":                                                     "never equals the text",
		"http = true":                                                                       "plain HTTP",
		"tags: |":                                                                           "every such build fails",
		"provenance: false":                                                                 "Nothing tells",
		"build-args: |":                                                                     "another one with each commit",
		"type=gha,scope=${{ matrix.service }}-${{ github.ref_name }}":                                                "every new branch starts without",
		"type=local,src=/tmp/cache":                                                                                  "gone with it",
		"type=registry,ref=ghcr.io/${{ github.repository_owner }}/cache:${{ github.ref_name }}":                      "clutters the image",
		"- uses: aquasecurity/trivy-action@master":                                                                   "refuses nothing",
		"image-ref: ghcr.io/${{ github.repository_owner }}/prompt-card-${{ matrix.service }}:${{ github.ref_name }}": "named by `github.ref_name`",
		"- uses: github/codeql-action/upload-sarif@v3":                                                               "without a category",
		"docker exec c curl -f http://localhost:3000/":                                                               "must have for that alone",
		"version: '3.8'": "means nothing",
	} {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, line+" | ") && strings.Contains(f, what) }) {
			t.Errorf("%q is not found to go wrong (%s) in\n%s", line, what, strings.Join(found, "\n"))
		}
	}
	for _, what := range []string{"One platform alone", "whatever its master is", "have their tags already", "`latest` is moved", "as it is"} {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, what) }) {
			t.Errorf("%q is not found in\n%s", what, strings.Join(found, "\n"))
		}
	}
	mended, err := os.ReadFile("testdata/mended.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range readAll(t, string(mended)).Faults {
		t.Errorf("found in what is right: %+v", f)
	}
	for _, text := range []string{oneJob, threeJobs} {
		if r := readAll(t, text); len(r.Files)+len(r.Faults) > 0 {
			t.Errorf("found in an example: %+v", r)
		}
	}
}

// TestRead has shapes of workflows that people write.
func TestRead(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct{ steps, want string }{
		"one image of the repository's name": {`
      - uses: docker/build-push-action@v6
        with: {push: true, tags: "ghcr.io/${{ github.repository }}:latest"}`, "cards=cards . linux/amd64"},
		"an image below the repository's": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: ./api, tags: "ghcr.io/${{ github.repository }}/api:${{ github.sha }}"}`, "api=ghcr.io/octo/cards/api api linux/amd64"},
		"another owner's": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: ./api, file: api/Dockerfile.prod, target: run, tags: "ghcr.io/Acme/api"}`, "api=ghcr.io/acme/api api api/Dockerfile.prod run linux/amd64"},
		"a registry elsewhere, too": {`
      - id: m
        uses: docker/metadata-action@v5
        with: {images: "acme/api\nghcr.io/acme/api"}
      - uses: docker/build-push-action@v6
        with: {push: true, context: api, tags: "${{ steps.m.outputs.tags }}"}`, "api=ghcr.io/acme/api api linux/amd64"},
		"the repository by its address": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: "https://github.com/acme/api.git", tags: "ghcr.io/acme/api"}`, "api=ghcr.io/acme/api . linux/amd64"},
		"a context that is only known when it runs": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: "${{ steps.x.outputs.dir }}", tags: "ghcr.io/acme/api"}`, "api=ghcr.io/acme/api . linux/amd64"},
		"two in a row": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: a, tags: "ghcr.io/acme/a", platforms: linux/amd64}
      - uses: docker/build-push-action@v6
        with: {push: true, context: b, tags: "ghcr.io/acme/b"}`, "a=ghcr.io/acme/a a linux/amd64, b=ghcr.io/acme/b b linux/amd64"},
		"a job for each platform": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: a, tags: "ghcr.io/acme/a", platforms: linux/amd64}
      - uses: docker/build-push-action@v6
        with: {push: true, context: a, tags: "ghcr.io/acme/a", platforms: linux/arm64}`, "a=ghcr.io/acme/a a linux/amd64 linux/arm64"},
		"Docker Hub alone": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: ., tags: "acme/weather:latest"}`, "weather=weather . linux/amd64"},
		"a name that is only known when it runs": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: ., tags: "${{ vars.IMAGE }}:latest"}`, "cards=cards . linux/amd64"},
		"one that is never pushed": {`
      - uses: docker/build-push-action@v6
        with: {push: false, context: api, tags: "x:test"}`, ""},
		"one that is pushed by digest": {`
      - uses: docker/build-push-action@v6
        with: {context: api, outputs: "type=image,name=ghcr.io/acme/api,push-by-digest=true,push=true"}`, "api=ghcr.io/acme/api api linux/amd64"},
		"one that is pushed by digest in some cases": {`
      - uses: docker/build-push-action@v6
        with: {context: api, outputs: 'type=image,"name=ghcr.io/acme/server,docker.io/acme/server",push-by-digest=true,push=${{ !github.event.pull_request.head.repo.fork }}'}`, "server=ghcr.io/acme/server api linux/amd64"},
		"the repository as it is cloned by the builder": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: "{{defaultContext}}", tags: "ghcr.io/acme/api"}`, "api=ghcr.io/acme/api . linux/amd64"},
		"a folder of it": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: "{{defaultContext}}:api", tags: "${{ vars.IMAGE }}"}`, "api=api api linux/amd64"},
		"a folder of it, with a Dockerfile": {`
      - uses: docker/build-push-action@v6
        with: {push: true, context: "{{defaultContext}}:api", file: run.Dockerfile, tags: "ghcr.io/acme/api"}`, "api=ghcr.io/acme/api api api/run.Dockerfile linux/amd64"},
		"one that is built elsewhere": {`
      - uses: depot/build-push-action@v1
        with: {push: true, project: x, context: api, tags: "ghcr.io/acme/api"}`, "api=ghcr.io/acme/api api linux/amd64"},
		"one that is kept in a file": {`
      - uses: docker/build-push-action@v6
        with: {context: api, outputs: 'type=oci,dest=x.tar,push=false'}`, ""},
		"a command":       {"\n      - run: docker build -t x .", ""},
		"no image at all": {"\n      - run: go test ./...", ""},
	} {
		r := readAll(t, "on: push\nconcurrency: x\njobs:\n  build:\n    steps:"+c.steps+"\n")
		var got []string
		for _, s := range r.Services {
			got = append(got, strings.Join(strings.Fields(fmt.Sprintln(s.Name+"="+s.Image, s.Context, s.Dockerfile, s.Target, strings.Join(s.Platforms, " "))), " "))
		}
		if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", title, diff)
		}
	}
}

// TestRows are those that GitHub makes.
func TestRows(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
jobs:
  build:
    strategy:
      matrix:
        service: [{name: a, dir: x}, {name: b, dir: y}]
        platform: [linux/amd64, linux/arm64]
        exclude: [{service: {name: b, dir: y}, platform: linux/arm64}, {platform: linux/s390x}]
        include: [{platform: linux/arm64, file: Dockerfile.arm}, {service: {name: c, dir: z}, platform: linux/s390x}]
    steps:
      - uses: docker/build-push-action@v6
        with:
          context: ${{ matrix.service.dir }}
          push: true
          platforms: ${{ matrix.platform }}
          tags: ghcr.io/acme/${{ matrix.service.name }}
`)
	want := []Service{
		{Name: "a", Image: "ghcr.io/acme/a", Context: "x", Platforms: []string{"linux/amd64", "linux/arm64"}, BuildArgs: map[string]string{}},
		{Name: "b", Image: "ghcr.io/acme/b", Context: "y", Platforms: []string{"linux/amd64"}, BuildArgs: map[string]string{}},
		{Name: "c", Image: "ghcr.io/acme/c", Context: "z", Platforms: []string{"linux/s390x"}, BuildArgs: map[string]string{}},
	}
	if diff := cmp.Diff(want, r.Services); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOneImageOfSeveralBuilds keeps each build, and says which image it becomes.
func TestOneImageOfSeveralBuilds(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct{ rows, want, said string }{
		"Dockerfiles": {"[{file: src/ad/Dockerfile}, {file: src/web/Dockerfile}, {file: src/web/Dockerfile.cypress}, {file: src/web/Dockerfile.cypress}]",
			"demo=src/ad/Dockerfile demo-web=src/web/Dockerfile demo-cypress=src/web/Dockerfile.cypress", "builds ghcr.io/acme/demo with another Dockerfile as well, which its tags tell apart: here that is an image of its own, ghcr.io/acme/demo-cypress."},
		"arguments":                     {"[{device: cpu}, {device: Cuda 12}]", "demo= demo-cuda-12=", "with another build argument as well"},
		"stages":                        {"[{target: app}, {target: worker}]", "demo= demo-worker=", "with another stage as well"},
		"contexts":                      {"[{context: a}, {context: x/b}]", "demo= demo-b=", "with another context as well"},
		"one argument less":             {"[{device: cpu}, {device: ''}]", "demo= demo-other=", "with another build argument as well"},
		"an argument that is not known": {"[{device: cpu}, {device: '${{ github.sha }}'}]", "demo=", ""},
		"a platform's":                  {"[{file: a/Dockerfile, platform: linux/amd64}, {file: a/Dockerfile.arm, platform: linux/arm64}]", "demo=a/Dockerfile", "builds ghcr.io/acme/demo with another Dockerfile for linux/arm64 than for linux/amd64: here all platforms of a service are built alike, as linux/amd64 is."},
		"platforms alone":               {"[{platform: linux/amd64}, {platform: linux/arm64}]", "demo=", ""},
	} {
		r := readAll(t, `
on: push
concurrency: x
jobs:
  build:
    strategy: {matrix: {include: `+c.rows+`}}
    steps:
      - uses: docker/build-push-action@v6
        with: {push: true, context: "${{ matrix.context }}", file: "${{ matrix.file }}", target: "${{ matrix.target }}", platforms: "${{ matrix.platform }}", tags: "ghcr.io/acme/demo:${{ matrix.tag }}", build-args: "DEVICE=${{ matrix.device }}"}
`)
		var got []string
		for _, s := range r.Services {
			got = append(got, s.Name+"="+s.Dockerfile)
			if !strings.HasSuffix(s.Image, "/"+s.Name) {
				t.Errorf("%s: the image of %s is %s", title, s.Name, s.Image)
			}
		}
		left := strings.Join(r.Left, "\n")
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" || !strings.Contains(left, c.said) || c.said == "" && strings.Contains(left, " builds ") {
			t.Errorf("%s: left\n%s\n(-want +got):\n%s", title, left, diff)
		}
	}
}

// TestExpressions fills in what the file tells, and nothing else.
func TestExpressions(t *testing.T) {
	t.Parallel()
	in := scope{"Octo/cards", row{"WEB_IMAGE": "octo/web", "WHICH": "${{ matrix.app }}", "EMPTY": ""}, row{"app": "web", "key": "WEB_IMAGE"}, row{"inputs.given": "g", "inputs.none": ""}, true}
	for text, want := range map[string]string{
		"a-${{ matrix.app }}":                      "a-web",
		"${{ matrix.platforms || 'linux/amd64' }}": "linux/amd64",
		"${{ matrix.app || 'none' }}":              "web",
		"${{ env.EMPTY || matrix.none || 'x' }}":   "x",
		"[${{ matrix.none }}]":                     "[]",
		"${{ env[matrix.key] }}":                   "octo/web",
		"${{ env.WHICH }}":                         "web",
		"${{ inputs.Given || 'x' }}":               "g",
		"${{ inputs.none || 'x' }}":                "x",
		"${{ inputs.tag || 'x' }}":                 "${{ inputs.tag || 'x' }}",
		"${{ matrix.none && 'x' || 'y' }}":         "${{ matrix.none && 'x' || 'y' }}",
		"${{ env[inputs.which] }}":                 "${{ env[inputs.which] }}",
		"${{ matrix.app == 'web' }}":               "${{ matrix.app == 'web' }}",
	} {
		if got, whole := in.fill(text); got != want || whole == strings.Contains(want, "${{") {
			t.Errorf("%s is %s, %v", text, got, whole)
		}
	}
	in.written = false
	if got, whole := in.fill("${{ matrix.none }}"); whole {
		t.Errorf("of a matrix that is made at run time it is %q", got)
	}
	for matrix, want := range map[string]bool{"{}": true, "{a: [x]}": true, "{include: [{a: x}]}": true, `"${{ fromJSON(needs.a.outputs.b) }}"`: false, `{a: "${{ fromJSON(x) }}"}`: false} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(matrix), &n); err != nil || written(n.Content[0]) != want {
			t.Errorf("%s is written: %v, %v", matrix, !want, err)
		}
	}
}

// TestMatrixMadeAtRunTime takes from the file what is made of it, and builds nothing of what is not there.
func TestMatrixMadeAtRunTime(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct{ matrix, want, said string }{
		"all filters":           {"{app: \"${{ fromJSON(needs.changes.outputs.apps) }}\"}", "api=[apps/api/** libs/** shared/**] web=[apps/web/**]", ""},
		"a text":                {"{app: \"${{ fromJson('[\\\"api\\\"]') }}\"}", "api=[apps/api/** libs/** shared/**]", ""},
		"a whole one in a text": {"\"${{ fromJSON('{\\\"include\\\": [{\\\"app\\\": \\\"web\\\"}]}') }}\"", "web=[apps/web/**]", ""},
		"of a command":          {"{app: \"${{ fromJSON(needs.changes.outputs.list) }}\"}", "", "docker.yml:20 builds by a matrix that is made at run time: list under `services` what that is, by the names that the images have so far, of ghcr.io/octo/${{ matrix.app }}:edge."},
		"no JSON":               {"\"${{ fromJSON('x') }}\"", "", "by a matrix that is made at run time"},
	} {
		r := readAll(t, `
on: push
concurrency: x
jobs:
  changes:
    outputs: {apps: "${{ steps.filter.outputs.changes }}", list: "${{ steps.list.outputs.list }}"}
    steps:
      - id: filter
        uses: dorny/paths-filter@v3
        with:
          filters: |
            shared: &shared [libs/**]
            api: [apps/api/**, *shared, {added|modified: shared/**}]
            web: apps/web/**
  build:
    strategy:
      matrix: `+c.matrix+`
    steps:

      - uses: docker/build-push-action@v6
        with: {push: true, context: "apps/${{ matrix.app }}", tags: "ghcr.io/octo/${{ matrix.app }}:edge"}
`)
		var got []string
		for _, s := range r.Services {
			if s.Name != "shared" { // which nobody could tell from a service
				got = append(got, fmt.Sprintf("%s=%v", s.Name, s.Paths))
			}
		}
		left := strings.Join(r.Left, "\n")
		if diff := cmp.Diff(strings.ReplaceAll(c.want, "web=[apps/web/**]", "web=[]"), strings.Join(got, " ")); diff != "" || !strings.Contains(left, c.said) || c.said == "" && strings.Contains(left, "run time") {
			t.Errorf("%s: left\n%s\n(-want +got):\n%s", title, left, diff)
		}
	}
	if round := filters(step{With: map[string]field{"filters": {text: "a: &a [x, *a]"}}}); len(round["a"]) > 3 {
		t.Errorf("a filter within itself is %q", round)
	}
}

// TestKept has rules say the same without what is only known when a workflow runs.
func TestKept(t *testing.T) {
	t.Parallel()
	const branch = "type=raw,value=edge,enable={{is_default_branch}}"
	for rule, want := range map[string]string{
		"type=raw,value=edge,enable=${{ github.ref == 'refs/heads/main' }}":                                                branch,
		"type=raw,value=edge,enable=${{github.ref_name == 'master'}}":                                                      branch,
		"type=raw,value=edge,enable=${{ github.ref == format('refs/heads/{0}', github.event.repository.default_branch) }}": branch,
		"type=raw,value=edge,enable=${{ github.ref_name == github.event.repository.default_branch }}":                      branch,
		"type=raw,value=edge,enable=${{ endsWith(github.ref, github.event.repository.default_branch) }}":                   branch,
		"type=raw,value=${{ github.ref_name }},enable=${{ startsWith(github.ref, 'refs/tags/') }}":                         "type=ref,event=tag",
		"type=raw,value=${{ github.ref_name }},enable=${{ github.ref_type == 'tag' }}":                                     "type=ref,event=tag",
		"type=raw,value=${{ github.ref_name }}":                                                                            "",
		"type=raw,value=latest,enable=${{ startsWith(github.ref, 'refs/tags/') && !contains(github.ref, '-') }}":           "",
		"type=raw,value=edge,enable=${{ github.ref == 'refs/heads/main' && github.event_name == 'push' }}":                 "",
	} {
		if as, why := kept(rule); as != want || (why == "") == (want == "") {
			t.Errorf("%s is %q, as it %s", rule, as, why)
		}
	}
}

// TestMetadata takes over what all images have, and names the rest.
func TestMetadata(t *testing.T) {
	t.Parallel()
	text := `
on: push
concurrency: x
jobs:
  build:
    steps:
      - uses: docker/metadata-action@v5
        with:
          images: ghcr.io/octo/web
          tags: type=sha
          flavor: |
            latest=false
            suffix=${{ matrix.suffix }}
          labels: |
            org.opencontainers.image.vendor=Octo: a
            org.opencontainers.image.revision=${{ github.sha }}
          annotations: |
            # of the index
            org.opencontainers.image.description=Web
            manifest:org.opencontainers.image.title=Web
      - uses: docker/build-push-action@v6
        with: {push: true, context: web}
`
	nightly := strings.NewReplacer("type=sha", "type=raw,value=nightly", "=Web", "=Other").Replace(text)
	r, err := Read([]File{{"a.yml", []byte(text)}, {"b.yml", []byte(nightly)}}, "Octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	written, err := r.Config()
	if want := "flavor: |\n  latest=false\nlabels:\n  org.opencontainers.image.vendor: 'Octo: a'\nannotations:\n  org.opencontainers.image.description: Web\ngates:"; err != nil || !strings.Contains(written, want) {
		t.Errorf("%v, %q is not in\n%s", err, want, written)
	}
	left := strings.Join(r.Left, "\n")
	for _, said := range []string{
		"a.yml:11: \"suffix=${{ matrix.suffix }}\" is left out of `flavor`: it holds what is only known when it runs.",
		"a.yml:14: \"org.opencontainers.image.revision=${{ github.sha }}\" is left out: write it under `labels`, of all services or of one.",
		"a.yml:17: \"manifest:org.opencontainers.image.title=Web\" is left out: write it under `annotations`",
		"b.yml:17: \"org.opencontainers.image.description=Other\" is left out",
		"b.yml: its rules for tags stand beside those of the workflows before it",
	} {
		if !strings.Contains(left, said) {
			t.Errorf("%q is not among\n%s", said, left)
		}
	}
	if strings.Contains(left, "a.yml: its rules") || strings.Contains(left, "of the index") {
		t.Errorf("left\n%s", left)
	}
}

// TestFilters says of each filter that is of no service where it stands.
func TestFilters(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
concurrency: x
jobs:
  changes:
    steps:
      - uses: dorny/paths-filter@v3
        with:
          filters: |
            Web: [web/**, libs/**]
            api:
              - services/orders-api/**
              - libs/proto/**
            none: []
      - uses: dorny/paths-filter@v3
        with: {filters: "docs: [docs/**]"}
  build:
    strategy: {matrix: {name: [web, orders-api]}}
    steps:
      - uses: docker/build-push-action@v6
        with: {push: true, context: "services/${{ matrix.name }}", tags: "ghcr.io/acme/${{ matrix.name }}:edge"}
`)
	left := slices.DeleteFunc(r.Left, func(said string) bool { return !strings.Contains(said, "the filter ") })
	want := []string{
		".github/workflows/docker.yml:11: the filter api has the name of no service: where services/orders-api/**, libs/proto/** is to count as a change of one, write that under `paths` of the service.",
		".github/workflows/docker.yml:16: the filter docs has the name of no service: where docs/** is to count as a change of one, write that under `paths` of the service.",
	}
	if diff := cmp.Diff(want, left); diff != "" || !slices.Equal(r.Services[0].Paths, []string{"web/**", "libs/**"}) {
		t.Errorf("%q (-want +got):\n%s", r.Services[0].Paths, diff)
	}
}

// TestIllFormed is an error that names the file.
func TestIllFormed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"jobs: [", "on: push\njobs:\n  a: {steps: {}}"} {
		if _, err := Read([]File{{"x.yml", []byte(text)}}, "Octo/cards"); err == nil || !strings.Contains(err.Error(), "x.yml") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzRead writes a configuration of whatever there is, or none.
func FuzzRead(f *testing.F) {
	f.Add("on: push\njobs: {a: {steps: [{uses: docker/build-push-action@v1, with: {push: true, context: a}}]}}")
	f.Add("on: push\njobs: {a: {steps: [{uses: docker/build-push-action@v1, with: {push: true, tags: 'x:latest'}}, {uses: dorny/paths-filter@v3, with: {filters: \"a: [b]\\n\"}}]}}")
	f.Add("on: push\njobs: {a: {strategy: {matrix: {b: ['x'], exclude: [{b: x}]}}, steps: [{run: 'cd a && docker build -t x:$Y . && docker push x'}, {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, exit-code: 1}}]}}")
	f.Add("on: {workflow_call: {inputs: {a: {default: b}}}}\njobs: {a: {uses: ./x.yml, with: {a: '${{ inputs.a }}'}}, b: {steps: [{uses: docker/build-push-action@v1, with: {push: '${{ inputs.a }}', context: '{{defaultContext}}:a'}}]}}")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Read([]File{{"x.yml", []byte(text)}}, "Octo/cards")
		if err != nil {
			return
		}
		if _, err := r.Config(); err != nil {
			t.Error(err)
		}
	})
}

// TestEndlessMatrix takes neither all memory nor all time.
func TestEndlessMatrix(t *testing.T) {
	t.Parallel()
	matrix := ""
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		matrix += key + ": [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], "
	}
	w, err := read(File{"docker.yml", []byte("on: push\njobs: {a: {strategy: {matrix: {" + matrix + "}}, steps: [{run: make test}]}}")}, "octo/cards")
	if err != nil || len(w.jobs) != 1 || len(w.jobs[0].rows) != mostRows {
		t.Errorf("%v, %d rows", err, len(w.jobs[0].rows))
	}
}

// TestNamedByImage has a service be called as its image is where its row says what is no name.
func TestNamedByImage(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
jobs:
  a:
    strategy: {matrix: {include: [{name: My App, dir: a}, {name: "${{ vars.NAME }}", dir: b}, {name: good, dir: c}]}}
    steps: [{uses: docker/build-push-action@v6, with: {push: true, context: "${{ matrix.dir }}", tags: "ghcr.io/octo/${{ matrix.dir }}"}}]
`)
	if len(r.Services) != 3 || r.Services[0].Name != "a" || r.Services[1].Name != "b" || r.Services[2].Name != "good" {
		t.Errorf("%+v", r.Services)
	}
}

// TestNoExpressionIsWritten leaves out a secret's file and a port that a configuration may not have.
func TestNoExpressionIsWritten(t *testing.T) {
	t.Parallel()
	r := readAll(t, `
on: push
jobs:
  a:
    strategy: {matrix: {include: [{name: a, port: 99999}]}}
    steps: [{uses: docker/build-push-action@v6, with: {push: true, context: "${{ matrix.name }}", tags: ghcr.io/octo/a, secret-files: "rc=${{ env.FILE }}\nkey=./key"}}]
`)
	text, err := r.Config()
	if err != nil || strings.Contains(text, "${{") || strings.Contains(text, "port: 9") || !strings.Contains(text, "key: file:./key") || !strings.Contains(strings.Join(r.Left, "\n"), "a secret of the build is in a file whose name is only known when it runs") {
		t.Errorf("%v, left %q\n%s", err, r.Left, text)
	}
}
