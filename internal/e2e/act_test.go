package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/run"
)

// exampleInputs take the place of what an example leaves to the defaults.
const exampleInputs = `with:
          registry: REGISTRY
          owner: OWNER
          code-scanning: off
          builder-config: buildkitd.toml
          trivy-db: DATABASE
          binfmt-image: BINFMT
`

// TestExample runs the example of a workflow with one job by act, `uses: org/ghcr-publish@v1` and all.
func TestExample(t *testing.T) {
	w := newWorld(t)
	if err := builtImage(); err != nil {
		t.Fatal(err)
	}
	jobs, err := parts.Act(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	toml, err := os.ReadFile(parts.BuildkitConfig)
	if err != nil && parts.BuildkitConfig != "" {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("REGISTRY", hub.addr, "OWNER", w.owner, "DATABASE", strings.Join(parts.TrivyDB, ","), "BINFMT", parts.BinfmtImage)
	example := strings.Replace(read(t, "../../.github/examples/publish.yml"), "with:\n          services:", fill.Replace(exampleInputs)+"          services:", 1)
	w.commit("a workflow", map[string]string{".github/workflows/publish.yml": example, "buildkitd.toml": string(toml)})
	if _, err := w.repo.Git(t.Context(), "remote", "set-url", "origin", "https://github.com/Octo-Org/cards"); err != nil {
		t.Fatal(err)
	}
	// act hands no state to the post step, which so cannot stop the builder.
	t.Cleanup(func() { dropBuilder(t, buildx.DefaultName(toml, true, "")) })
	var log bytes.Buffer
	argv := []string{"act", "push", "--pull=false", "--rm", "-P", "ubuntu-latest=" + jobs, "--no-cache-server", "-s", "GITHUB_TOKEN=" + w.token,
		"--local-repository", "org/ghcr-publish@v1=" + publishedAction(t)}
	_, err = run.OS(t.Context(), run.Command{Argv: argv, Dir: w.repo.Dir, Env: parts.Environ(os.Environ()), Stdout: &log, Stderr: &log})
	if err != nil || !strings.Contains(log.String(), "✅ Published backend, frontend, auth") || !strings.Contains(log.String(), `| published {"auth":"sha256:`) {
		t.Errorf("act: %v\n%s", err, log.String())
	}
	if w.leaks(log.Bytes()) {
		t.Error("the log holds the token")
	}
	w.checkTagsWereJudged()
	for service, at := range map[string]map[string]string{"backend": w.tags("backend"), "frontend": w.tags("frontend"), "auth": w.tags("auth")} {
		if at["main"] == "" {
			t.Errorf("%s has the tags %v", service, at)
		}
	}
}

// publishedAction is what a release of the action is: a repository whose action.yml names an image.
func publishedAction(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	action := strings.Replace(read(t, "../../action.yml"), "image: Dockerfile", "image: docker://"+actionImage, 1)
	if err := os.WriteFile(filepath.Join(dir, "action.yml"), []byte(action), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "action.yml"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=v1"}} {
		if _, err := run.OS(t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: dir, Env: os.Environ()}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
