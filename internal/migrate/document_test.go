package migrate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAliases has them be read as what they stand for, wherever they are.
func TestAliases(t *testing.T) {
	t.Parallel()
	r, err := Read([]File{{"docker.yml", []byte(`
on: {push: {branches: [main]}}
concurrency: x
jobs:
  apps:
    env: &env {OWNER: ghcr.io/octo}
    runs-on: &runner [self-hosted, big]
    strategy:
      matrix: &matrix
        app: &apps [api, web]
    steps:
      - uses: &build docker/build-push-action@v6
        with: {push: &yes true, context: "apps/${{ matrix.app }}", tags: "${{ env.OWNER }}/${{ matrix.app }}"}
  tools:
    env: *env
    runs-on: *runner
    strategy: {matrix: *matrix}
    steps:
      - uses: *build
        with: {push: *yes, context: "tools/${{ matrix.app }}", tags: "${{ env.OWNER }}/${{ matrix.app }}-tool"}
  tests:
    strategy: {matrix: {app: *apps}}
    steps:
      - {uses: *build, with: {push: *yes, context: "tests/${{ matrix.app }}", tags: "ghcr.io/octo/${{ matrix.app }}-test"}}
`)}}, "octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	var built []string
	for _, s := range r.Services {
		built = append(built, s.Image+" of "+s.Context)
	}
	if diff := cmp.Diff([]string{"api of apps/api", "web of apps/web", "api-tool of tools/api", "web-tool of tools/web", "api-test of tests/api", "web-test of tests/web"}, built); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	said := strings.Join(append(r.Left, r.Beside...), "\n")
	for _, want := range []string{"docker.yml:20 names the tags itself", "docker.yml:16: the job tools runs on self-hosted, big"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
}

// TestEndlessAliases are refused, be it that one stands for itself or that each stands for many of the one before.
func TestEndlessAliases(t *testing.T) {
	t.Parallel()
	many := "on: push\nx:\n- &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		before := "*a" + string(n[0]-1)
		many += "- &a" + n + " [" + strings.Repeat(before+", ", 9) + "]\n"
	}
	for _, text := range []string{"on: push\njobs: &a {a: *a}", many} {
		if _, err := Read([]File{{"docker.yml", []byte(text)}}, "octo/cards"); err == nil || err.Error() != "reading docker.yml: its aliases stand for too much, or for themselves" {
			t.Errorf("%.30q…: %v", text, err)
		}
	}
}

// TestMadeAtRunTime has expressions that stand for whole mappings not keep a workflow from being read.
func TestMadeAtRunTime(t *testing.T) {
	t.Parallel()
	r, err := Read([]File{{"docker.yml", []byte(`
on: {push: {branches: [main]}}
concurrency: x
env: ${{ fromJSON(vars.ENV) }}
jobs:
  test:
    env: ${{ fromJSON(vars.ENV) }}
    steps: [{run: make test, env: "${{ fromJSON(vars.ENV) }}"}, {uses: acme/lint@v1, with: "${{ fromJSON(vars.LINT) }}"}]
  called: {uses: acme/ci/.github/workflows/lint.yml@v1, with: "${{ fromJSON(vars.LINT) }}"}
  build:
    strategy: ${{ fromJSON(needs.plan.outputs.strategy) }}
    steps:
      - {uses: docker/build-push-action@v6, with: {push: true, context: "${{ matrix.app }}", tags: "ghcr.io/octo/${{ matrix.app }}"}}
      - {uses: docker/build-push-action@v6, with: {push: true, context: web, tags: "ghcr.io/octo/web"}}
`)}}, "octo/cards")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Services) != 1 || r.Services[0].Image != "web" {
		t.Errorf("services are %+v", r.Services)
	}
	if want := "docker.yml:13 builds by a matrix that is made at run time: "; !strings.HasPrefix(r.Left[0], want) {
		t.Errorf("%q is not in %q", want, r.Left)
	}
}
