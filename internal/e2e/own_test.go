package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

// TestReleaseOfItself has the program release its own image as the release workflow has it do, by this repository's own configuration: built by its
// Dockerfile (for this machine's platform alone, with the laboratory's Trivy and Docker Compose), judged, signed by a job that the real Fulcio certifies, and drafted with
// all that README.md says of verifying it, which the real cosign does.
func TestReleaseOfItself(t *testing.T) {
	v, sigstore, args := certified(t)
	w := v.world
	w.repo, w.noBuilder = v.ownRepository(t), true
	sigstore.Claim("job_workflow_ref", "org/ghcr-publish/.github/workflows/release.yml@refs/heads/main")
	sigstore.Claim("repository", sample.Owner+"/cards")
	args = append(args[2:], "--builder", imageBuilder, "--tag", "0.9.0", "--release-tag", "v0.9.0", "--build-args", "VERSION=v0.9.0") // as of what the services are
	if err := createImageBuilder(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = runBuildx(t.Context(), "stop", imageBuilder) }()
	o := w.publish(sample.Job{Event: "workflow_dispatch"}, args...)
	if o.code != report.ExitDone || o.Outcome != "published" || o.ReleaseURL == "" {
		t.Fatalf("exit code %d, %s, released at %q\n%s", o.code, o.Outcome, o.ReleaseURL, o.log)
	}
	s := o.Services[0]
	t.Logf("%s: %d findings, %d bytes, in %.0f s", s.Digest, len(s.Platforms[0].Findings), s.Platforms[0].CompressedBytes, o.Seconds)
	draft := w.api.Releases()[0]
	var names []string
	for _, a := range draft.Assets {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	if want := []string{"checksums.txt", "digests.txt", "ghcr-publish-linux-amd64.spdx.json", "report.json"}; !draft.Draft || draft.Tag != "v0.9.0" || !slices.Equal(names, want) {
		t.Errorf("the draft is %+v with %q, want %q", draft.Draft, names, want)
	}
	// Here another repository's job signs under the workflow's name, as that of somebody does who calls it, so the command names that one, too.
	said := strings.NewReplacer("ghcr.io/org/ghcr-publish@$DIGEST", s.Image+"@"+s.Digest,
		"'https://token.actions.githubusercontent.com'", "'"+sigstore.URL+"' --certificate-github-workflow-repository '"+sample.Owner+"/cards'").Replace(documented(t, "cosign verify "))
	if !strings.Contains(draft.Body, "\n"+said+"\n") {
		t.Errorf("the notes lack\n%s\nbut have\n%s", said, draft.Body)
	}
	command := append(strings.Fields(strings.ReplaceAll(said, "'", ""))[1:], "--trusted-root", v.path("root.json"), "--insecure-ignore-sct=true")
	if err := v.cosign(command...); err != nil {
		t.Errorf("what README.md says proves nothing: %v", err)
	}
	command[2] = strings.Replace(command[2], "refs/heads/main", "refs/heads/feature", 1)
	if err := v.cosign(command...); err == nil {
		t.Errorf("cosign %q proves what is not so", command)
	}
	// Once its git tag is there, the same again publishes the draft as it is.
	if o := w.publish(sample.Job{Event: "workflow_dispatch"}, append(args, "--release", "publish")...); o.code != report.ExitDone || o.Outcome != "nothing-to-do" {
		t.Errorf("again: exit code %d, %s\n%s", o.code, o.Outcome, o.log)
	}
	if all := w.api.Releases(); len(all) != 1 || all[0].Draft || all[0].Body != draft.Body || len(all[0].Assets) != len(draft.Assets) {
		t.Errorf("the releases are %+v", all)
	}
	if problems := w.api.Problems(); problems != nil {
		t.Errorf("the GitHub API refused %q", problems)
	}
}

// documented is the line of README.md's section on verifying the action that begins so.
func documented(t *testing.T, begin string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n### Verify this action\n")
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, begin) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("README.md says nowhere how to %s", begin)
	return ""
}

// ownRepository is a clone of what this repository's image is made of. What the laboratory makes instead of what cannot be pulled lies in it, beside what is committed.
func (w *world) ownRepository(t *testing.T) *sample.Repo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ghcr-publish")
	for _, from := range []string{"Dockerfile", "main.go", "go.mod", "go.sum", "action.yml", ".github", "internal"} {
		copyTo(t, filepath.Join(dir, from), filepath.Join("../..", from))
	}
	configure(t, filepath.Join(dir, ".github/ghcr-publish.yml"), labContexts(t, dir))
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"init", "--quiet", "--bare", dir + ".origin"}, {"remote", "add", "origin", dir + ".origin"},
		{"add", "--all", "--", ".", ":!lab"}, {"commit", "--quiet", "--message", "What is released"}, {"push", "--quiet", "origin", "main"}} {
		if _, err := w.repo.Git(t.Context(), append([]string{"-C", dir}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	return &sample.Repo{Dir: dir}
}

// labContexts puts what the laboratory has made into a folder, and returns it as named contexts.
func labContexts(t *testing.T, dir string) (contexts []string) {
	t.Helper()
	programs, err := stages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for stage, program := range programs {
		copyTo(t, filepath.Join(dir, "lab", stage, "out", program), filepath.Join(parts.Bin, program))
		contexts = append(contexts, fmt.Sprintf("%s: lab/%s", stage, stage))
	}
	golang, err := golangContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if image, at, away := strings.Cut(golang, "=oci-layout://"); away {
		folder, digest, _ := strings.Cut(at, "@")
		copyTo(t, filepath.Join(dir, "lab/golang"), folder)
		contexts = append(contexts, fmt.Sprintf("%q: oci-layout://lab/golang@%s", image, digest))
	}
	return contexts
}

// configure changes what a configuration of the laboratory's must have otherwise.
func configure(t *testing.T, at string, contexts []string) {
	t.Helper()
	config, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	text := string(config)
	for before, after := range map[string]string{"platforms: [linux/amd64, linux/arm64]\n": "platforms: [linux/amd64]\n", "sbom: true\n": "", // BuildKit's scanner is on Docker Hub
		"    run_once: [--version]\n": "    run_once: [--version]\n    contexts: {" + strings.Join(contexts, ", ") + "}\n"} {
		if strings.Count(text, before) != 1 {
			t.Fatalf("%s has not once %q", at, before)
		}
		text = strings.Replace(text, before, after, 1)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyTo copies a file or a folder.
func copyTo(t *testing.T, to, from string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		err = copyFile(to, from, info.Mode())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(to, from string, mode fs.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}
