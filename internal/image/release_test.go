// Package image is about what makes the action's image, and releases it.
package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/run"
	"go.yaml.in/yaml/v3"
)

const (
	one = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	two = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// A clone is one of a repository that holds this project's action.yml.
type clone struct {
	t           *testing.T
	dir, origin string
}

func newClone(t *testing.T) clone {
	t.Helper()
	c := clone{t, filepath.Join(t.TempDir(), "clone"), filepath.Join(t.TempDir(), "origin.git")}
	c.must(run.OS(t.Context(), run.Command{Argv: []string{"git", "init", "--quiet", "--bare", c.origin}, Env: environ()}))
	c.must(run.OS(t.Context(), run.Command{Argv: []string{"git", "init", "--quiet", "--initial-branch=main", c.dir}, Env: environ()}))
	c.git("remote", "add", "origin", c.origin)
	for _, file := range []string{"action.yml", ".github/workflows/publish.yml"} {
		text := c.must(os.ReadFile(filepath.Join("../..", file)))
		c.must(nil, os.MkdirAll(filepath.Dir(filepath.Join(c.dir, file)), 0o755))
		c.must(nil, os.WriteFile(filepath.Join(c.dir, file), []byte(text+"\n"), 0o644))
	}
	c.git("add", ".")
	c.git("commit", "--quiet", "--message=first")
	c.git("push", "--quiet", "origin", "main")
	return c
}

func environ() []string {
	return append(os.Environ(), "GITHUB_STEP_SUMMARY=", "IMAGE=", "ORIGIN=", "GITHUB_REPOSITORY=", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
}

func (c clone) must(out []byte, err error) string {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (c clone) git(args ...string) string {
	c.t.Helper()
	return c.must(run.OS(c.t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: c.dir, Env: environ()}))
}

// release runs the script from main, as a workflow does in a clone of its own.
func (c clone) release(args ...string) (string, error) {
	c.t.Helper()
	script, err := filepath.Abs("../../.github/release.sh")
	if err != nil {
		c.t.Fatal(err)
	}
	c.git("checkout", "--quiet", "main")
	out, err := run.OS(c.t.Context(), run.Command{Argv: append([]string{script}, args...), Dir: c.dir, Env: append(environ(), "GITHUB_STEP_SUMMARY="+c.summary(), "PATH="+c.programs()+":"+os.Getenv("PATH"))})
	return string(out), err
}

// programs is a folder with a gh that prints what it is asked, and refuses what the file `refused` names.
func (c clone) programs() string {
	c.t.Helper()
	dir := c.dir + ".bin"
	c.must(nil, os.MkdirAll(dir, 0o755))
	c.must(nil, os.WriteFile(filepath.Join(dir, "gh"), []byte("#!/bin/sh\necho \"gh $*\"\n! grep -qsF -- \"$*\" \"$0.refused\"\n"), 0o755))
	return dir
}

// refuse has gh refuse a command.
func (c clone) refuse(command string) {
	c.t.Helper()
	c.must(nil, os.WriteFile(filepath.Join(c.programs(), "gh.refused"), []byte(strings.TrimPrefix(command, "gh ")), 0o644))
}

// summary is the file of the step's summary.
func (c clone) summary() string { return c.dir + ".md" }

func (c clone) mustRelease(args ...string) string {
	c.t.Helper()
	out, err := c.release(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// mustRefuse demands that the origin is as it was.
func (c clone) mustRefuse(want string, args ...string) {
	c.t.Helper()
	before := c.refs()
	if out, err := c.release(args...); err == nil || !strings.Contains(err.Error(), want) {
		c.t.Errorf("%q gives %v, want %q\n%s", args, err, want, out)
	}
	if after := c.refs(); after != before {
		c.t.Errorf("%q was refused, and origin went from\n%s\nto\n%s", args, before, after)
	}
}

func (c clone) refs() string { return c.git("ls-remote", "origin") }

// at returns the version that a tag of origin names in action.yml, as "1.2.3 sha256:…".
func (c clone) at(tag string) string {
	c.t.Helper()
	out, err := run.OS(c.t.Context(), run.Command{Argv: []string{"git", "-C", c.origin, "show", tag + ":action.yml"}, Env: environ()})
	if err != nil {
		return "not there"
	}
	var action struct {
		Runs struct {
			Using, Image string
			Post         string `yaml:"post-entrypoint"`
		}
	}
	if err := yaml.Unmarshal(out, &action); err != nil || action.Runs.Using != "docker" || action.Runs.Post == "" {
		c.t.Fatalf("%s has an action.yml that is none: %+v, %v", tag, action, err)
	}
	_, version, _ := strings.Cut(string(out), "# v")
	version, _, _ = strings.Cut(version, "\n")
	return version + " " + strings.TrimPrefix(action.Runs.Image, "docker://ghcr.io/org/ghcr-publish@")
}

func (c clone) check(want map[string]string) {
	c.t.Helper()
	for tag, at := range want {
		if got := c.at(tag); got != at {
			c.t.Errorf("%s is at %q, want %q", tag, got, at)
		}
	}
	c.git("fetch", "--quiet", "origin")
	if changed := c.git("diff", "--stat", "main", "origin/main"); changed != "" || !strings.Contains(c.git("show", "origin/main:action.yml"), "\n  image: Dockerfile\n") {
		c.t.Errorf("main is changed: %s", changed)
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.mustRelease("check", "1.2.3")
	out := c.mustRelease("publish", "1.2.3", one)
	if !strings.Contains(out, "\n-  image: Dockerfile\n+  image: docker://ghcr.io/org/ghcr-publish@"+one+" # v1.2.3\n") || strings.Count(out, "\n+") != 2 {
		t.Errorf("the commit is\n%s", out)
	}
	c.check(map[string]string{"v1.2.3": "1.2.3 " + one, "v1.2": "1.2.3 " + one, "v1": "1.2.3 " + one})
	c.mustRelease("publish", "1.10.0", two)
	c.check(map[string]string{"v1.2.3": "1.2.3 " + one, "v1.2": "1.2.3 " + one, "v1.10": "1.10.0 " + two, "v1": "1.10.0 " + two})

	// A patch of an older line moves that line alone, a prerelease nothing.
	c.mustRelease("publish", "1.2.4", two)
	c.mustRelease("publish", "2.0.0-rc.1", one)
	c.check(map[string]string{"v1.2": "1.2.4 " + two, "v1": "1.10.0 " + two, "v2.0.0-rc.1": "2.0.0-rc.1 " + one, "v2": "not there", "v2.0": "not there"})

	summary, err := os.ReadFile(c.summary())
	for _, tags := range []string{"v1.2.3 v1.2 v1", "v1.10.0 v1.10 v1", "v1.2.4 v1.2", "v2.0.0-rc.1"} {
		if !strings.Contains(string(summary), "\n- tags: `"+tags+"`\n") {
			t.Errorf("the summary lacks %s: %v\n%s", tags, err, summary)
		}
	}

	c.mustRefuse("v1.2.4 is released, and 1.2.2 would come after it", "check", "1.2.2")
	c.mustRefuse("v1.2.4 is released", "publish", "1.2.2", one)
	c.mustRefuse("v1.10.0 is released with another image", "publish", "1.10.0", one)
}

// TestReleaseThatBrokeOff finishes one of which only the version's tag was pushed.
func TestReleaseThatBrokeOff(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.mustRelease("publish", "1.0.0", one)
	c.mustRelease("publish", "1.0.1", two)
	c.git("tag", "--force", "v1", "v1.0.0^{commit}")
	c.git("tag", "--delete", "v1.0")
	c.git("push", "--quiet", "--force", "origin", "refs/tags/v1", ":refs/tags/v1.0")
	if out := c.mustRelease("check", "1.0.1"); !strings.Contains(out, "tagged already") {
		t.Errorf("check says %s", out)
	}
	c.mustRelease("publish", "1.0.1", two)
	c.check(map[string]string{"v1.0.1": "1.0.1 " + two, "v1.0": "1.0.1 " + two, "v1": "1.0.1 " + two})
}

func TestDryRunPushesNothing(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	before := c.refs()
	if out := c.mustRelease("publish", "--dry-run", "1.0.0", one); !strings.Contains(out, "+  image: docker://") || !strings.Contains(out, "tags: v1.0.0 v1.0 v1") {
		t.Errorf("it shows\n%s", out)
	}
	if after := c.refs(); after != before {
		t.Errorf("origin has\n%s", after)
	}
}

// TestReleaseMeetsAnother finds the version pushed by somebody else in between.
func TestReleaseMeetsAnother(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.git("tag", "v1.0.0")
	c.git("push", "--quiet", "origin", "v1.0.0")
	c.git("tag", "--delete", "v1.0.0")
	c.mustRefuse("v1.0.0", "publish", "1.0.0", one)
}

// TestLineNeverMovesBack releases from a clone that does not know of a higher version.
func TestLineNeverMovesBack(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.mustRelease("publish", "1.0.0", one)
	c.mustRelease("publish", "1.2.0", two)
	c.git("tag", "--delete", "v1.2.0", "v1.2")
	c.git("tag", "--force", "v1", "v1.0.0^{commit}")
	c.mustRefuse("nothing was pushed", "publish", "1.1.0", one)
	c.check(map[string]string{"v1": "1.2.0 " + two, "v1.1.0": "not there", "v1.1": "not there"})

	// What was refused is finished once the clone knows.
	c.git("fetch", "--quiet", "--tags", "--force", "origin")
	c.mustRelease("publish", "1.1.0", one)
	c.check(map[string]string{"v1": "1.2.0 " + two, "v1.1": "1.1.0 " + one, "v1.1.0": "1.1.0 " + one})

	// Nor is the first tag of a line taken to be missing where it is only unknown.
	c.git("tag", "--delete", "v1")
	c.mustRefuse("nothing was pushed", "publish", "1.3.0", one)
}

func TestReleaseRefuses(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	for _, version := range []string{"", "v1.2.3", "1.2", "01.2.3", "1.2.3+b", "1.2.3-", "1.2.3-rc..1", "1.2.3-01", "1.2.3; true", "--force", "1.2.3\n4"} {
		c.mustRefuse("is no version", "check", version)
	}
	for _, digest := range []string{"", "sha256:abc", strings.ToUpper(one), one + " "} {
		c.mustRefuse("is no digest", "publish", "1.2.3", digest)
	}
	for _, outcome := range []string{"", "kept", "approved", "refused", "failed"} {
		c.mustRefuse("is not the image that this run judged", "placed", "1.2.3", outcome, "https://example.com")
	}
	c.mustRelease("placed", "1.2.3", "published", "https://example.com")
	c.mustRelease("placed", "1.2.3", "nothing-to-do", "https://example.com")
	c.mustRefuse("no release was drafted", "placed", "1.2.3", "published", "")
	c.mustRefuse("usage", "placed", "1.2.3", "published")
	c.mustRefuse("is no digest", "verify", "1.2.3", "sha256:abc")
	c.mustRefuse("usage", "announce")
	c.mustRefuse("v1.2.3 has no tag yet", "announce", "1.2.3")
	c.mustRefuse("usage", "publish", "1.2.3")
	c.mustRefuse("usage", "publish", "1.2.3", one, two)
	c.mustRefuse("usage", "publish", "--dry-run", "1.2.3")
	c.mustRefuse("usage")
	c.mustRefuse("publish.yml uses another line of the action than v2", "publish", "2.0.0", one)
	c.must(nil, os.WriteFile(filepath.Join(c.dir, "left"), nil, 0o644))
	c.mustRefuse("not committed", "publish", "1.2.3", one)
}

// TestAnnounces publishes the draft, of the highest version as the latest.
func TestAnnounces(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	for _, version := range []string{"1.2.3", "1.10.0", "1.2.4", "2.0.0-rc.1"} {
		c.mustRelease("publish", version, one)
	}
	for version, latest := range map[string]string{"1.10.0": "true", "1.2.3": "false", "1.2.4": "false", "2.0.0-rc.1": "false"} {
		want := "gh release edit v" + version + " --repo org/ghcr-publish --verify-tag --draft=false --latest=" + latest + "\n"
		if got := c.mustRelease("announce", version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
	c.refuse("gh release edit v1.2.4 --repo org/ghcr-publish --verify-tag --draft=false --latest=false")
	if out, err := c.release("announce", "1.2.4"); err == nil {
		t.Errorf("what gh refuses is announced: %s", out)
	}
}

// TestVerifiesAsDocumented asks what README.md has everybody ask, and refuses where one of the answers is no.
func TestVerifiesAsDocumented(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n### Verify this action\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var want []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "gh ") {
			want = append(want, strings.ReplaceAll(strings.ReplaceAll(line, "$DIGEST", one), "'", ""))
		}
	}
	if len(want) < 2 {
		t.Fatalf("README.md has %q", want)
	}
	c := newClone(t)
	if got := c.mustRelease("verify", "1.2.3", one); got != strings.Join(want, "") {
		t.Errorf("the script asks\n%s\nand README.md says\n%s", got, strings.Join(want, ""))
	}
	for _, command := range want {
		c.refuse(strings.TrimSuffix(command, "\n"))
		c.mustRefuse("the release workflow of org/ghcr-publish has attested no https://", "verify", "1.2.3", one)
	}
}
