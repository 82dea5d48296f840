package git

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
)

// A clone is a repository made for one test.
type clone struct {
	Repo
	t *testing.T
}

// environment leaves out what this machine's own configuration would say.
func environment(t *testing.T) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05+02:00",
		"GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:06+02:00"}
}

func newClone(t *testing.T) clone {
	t.Helper()
	c := clone{Repo{Dir: t.TempDir(), Run: run.OS, Env: environment(t)}, t}
	c.do("init", "--quiet", "--initial-branch=main")
	return c
}

// shallow clones the last commit alone.
func (c clone) shallow() clone {
	c.t.Helper()
	s := clone{Repo{Dir: filepath.Join(c.t.TempDir(), "shallow"), Run: run.OS, Env: c.Env}, c.t}
	c.do("clone", "--quiet", "--depth=1", "file://"+c.Dir, s.Dir)
	return s
}

// do runs git beside the code under test.
func (c clone) do(args ...string) string {
	c.t.Helper()
	out, err := run.OS(c.t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: c.Dir, Env: c.Env})
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (c clone) write(path, text string) {
	c.t.Helper()
	path = filepath.Join(c.Dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c clone) remove(path string) {
	c.t.Helper()
	if err := os.Remove(filepath.Join(c.Dir, path)); err != nil {
		c.t.Fatal(err)
	}
}

// commit commits all that is there and returns the commit.
func (c clone) commit(message string) string {
	c.t.Helper()
	c.do("add", "--all")
	c.do("commit", "--quiet", "--allow-empty", "--message", message)
	return c.do("rev-parse", "HEAD")
}

// odd are names that a program which reads lines or words would get wrong.
var odd = []string{"-leading-dash", "--output=x", " leading space", "new\nline", "quo\"te's", "tab\there", "back\\slash", "\xff\xfe not UTF-8", "ünïcödé/日本", "a b/c d", ":(top)magic", "star*", "trailing "}

// optionLike are words that would be options if they were not kept from being any.
var optionLike = []string{"-h", "--help", "--all", "--output=written", "--batch", "-"}

func sorted(words []string) []string { return slices.Sorted(slices.Values(words)) }

func TestChangedListsBothNames(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write("kept", "1")
	c.write("edited", "1")
	c.write("removed", "a file that goes away")
	c.write("old/name", strings.Repeat("the same content\n", 20))
	c.do("config", "diff.renames", "copies")
	from := c.commit("one")
	c.write("edited", "2")
	c.remove("removed")
	c.do("mv", "old/name", "new name")
	c.write("added", "1")
	to := c.commit("two")
	got, err := c.Changed(t.Context(), from, to)
	if diff := cmp.Diff([]string{"added", "edited", "new name", "old/name", "removed"}, sorted(got)); diff != "" || err != nil {
		t.Errorf("%v, changed (-want +got):\n%s", err, diff)
	}
	if got, err := c.Changed(t.Context(), to, to); got != nil || err != nil {
		t.Errorf("a commit differs from itself by %q, %v", got, err)
	}
}

func TestOddNames(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	from := c.commit("nothing")
	for _, name := range odd {
		c.write(name, "1")
	}
	if got, err := dirty(c, t.Context()); !slices.Equal(sorted(got), sorted(odd)) || err != nil {
		t.Errorf("dirty before the commit: %q, %v; want %q", got, err, odd)
	}
	to := c.commit("odd names")
	if got, err := c.Changed(t.Context(), from, to); !slices.Equal(sorted(got), sorted(odd)) || err != nil {
		t.Errorf("changed: %q, %v; want %q", got, err, odd)
	}
	files, err := c.Files(t.Context(), to)
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	if !slices.Equal(sorted(names), sorted(odd)) || err != nil {
		t.Errorf("files: %q, %v; want %q", names, err, odd)
	}
	if got, err := dirty(c, t.Context()); got != nil || err != nil {
		t.Errorf("dirty after the commit: %q, %v", got, err)
	}
}

func TestFilesMayBeNamedAfterCommits(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	from := c.commit("one")
	c.write(from, "1")
	to := c.commit("two")
	if got, err := c.Changed(t.Context(), from, to); !slices.Equal(got, []string{from}) || err != nil {
		t.Errorf("Changed() = %q, %v", got, err)
	}
	if _, err := c.Time(t.Context(), from); err != nil {
		t.Errorf("Time() = %v", err)
	}
	if is, err := c.IsAncestor(t.Context(), from, to); !is || err != nil {
		t.Errorf("IsAncestor() = %v, %v", is, err)
	}
}

func dirty(c clone, ctx context.Context) ([]string, error) {
	status, err := c.Status(ctx)
	return status.Dirty, err
}

func never() bool { return false }

func TestIgnored(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write(".gitignore", "*.log\nout/\n")
	c.write("a", "1")
	c.commit("one")
	c.write("x.log", "1")
	c.write("out/deep/file", "1")
	c.write("sub/y.log", "1")
	status, err := c.Status(t.Context())
	if diff := cmp.Diff([]string{"out/", "sub/y.log", "x.log"}, sorted(status.Ignored)); diff != "" || err != nil || status.Dirty != nil {
		t.Errorf("%v, dirty %q, ignored (-want +got):\n%s", err, status.Dirty, diff)
	}
	for file, want := range map[string]bool{"out/new": true, "absent/new": false, "new.log": true, "new": false, "a": false} {
		if got := c.Ignores(t.Context(), file); got != want {
			t.Errorf("ignores %s: %t", file, got)
		}
	}
}

func TestTracked(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	for _, name := range append(odd, "plain", "assumed", "skipped") {
		c.write(name, "1")
	}
	commit := c.commit("one")
	c.do("update-index", "--assume-unchanged", "assumed")
	c.do("update-index", "--skip-worktree", "skipped")
	files, unwatched, err := c.Tracked(t.Context())
	if diff := cmp.Diff([]string{"assumed", "skipped"}, sorted(unwatched)); diff != "" || err != nil {
		t.Errorf("%v, unwatched (-want +got):\n%s", err, diff)
	}
	committed, err := c.Files(t.Context(), commit)
	slices.SortFunc(committed, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if diff := cmp.Diff(committed, files); diff != "" || err != nil {
		t.Errorf("%v, index (-commit +index):\n%s", err, diff)
	}
}

func TestConverted(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write(".gitattributes", "*.bin filter=lfs diff=lfs -text\n*.bat eol=crlf\n*.sh eol=lf\n*.id ident\n*.u16 working-tree-encoding=UTF-16\nplain.bin -filter\n")
	got, err := c.Converted(t.Context(), []string{"a.bin", "odd\nname.bin", "b.bat", "c.sh", "d.id", "e.u16", "plain.bin", "f.txt"})
	if diff := cmp.Diff([]string{"a.bin", "odd\nname.bin", "b.bat", "d.id", "e.u16"}, got); diff != "" || err != nil {
		t.Errorf("%v, converted (-want +got):\n%s", err, diff)
	}
}

func TestMergeBase(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	fork := c.commit("fork")
	c.do("checkout", "--quiet", "-b", "side")
	side := c.commit("side")
	c.do("checkout", "--quiet", "-")
	main := c.commit("main")
	if got, err := c.MergeBase(t.Context(), main, side); got != fork || err != nil {
		t.Errorf("%q, %v; want %q", got, err, fork)
	}
	c.do("checkout", "--quiet", "--orphan", "alone")
	if got, err := c.MergeBase(t.Context(), main, c.commit("alone")); got != "" || err != nil {
		t.Errorf("of strangers: %q, %v", got, err)
	}
	c.do("checkout", "--quiet", "side")
	c.do("merge", "--quiet", "--no-ff", "-m", "merge", main)
	merge, _ := c.Head(t.Context())
	if got, want := c.Message(t.Context(), merge), "merge"; strings.TrimSpace(got) != want {
		t.Errorf("a merge says %q, want %q", got, want)
	}
	if got, want := c.Message(t.Context(), side), "side"; strings.TrimSpace(got) != want {
		t.Errorf("a commit says %q, want %q", got, want)
	}
}

func TestDirty(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write(".gitignore", "*.log\n")
	c.write("edited", "1")
	c.write("staged", "1")
	c.write("removed", "1")
	c.write("moved", strings.Repeat("the same content\n", 20))
	c.commit("one")
	c.do("config", "status.renames", "copies")
	c.do("config", "status.showUntrackedFiles", "no")
	c.do("config", "status.branch", "true")
	c.write("edited", "2")
	c.write("staged", "2")
	c.do("add", "staged")
	c.remove("removed")
	c.do("mv", "moved", "moved here")
	c.write("new/folder/file", "1")
	c.write("ignored.log", "1")
	got, err := dirty(c, t.Context())
	want := []string{"edited", "moved", "moved here", "new/folder/file", "removed", "staged"}
	if diff := cmp.Diff(want, sorted(got)); diff != "" || err != nil {
		t.Errorf("%v, dirty (-want +got):\n%s", err, diff)
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write(".gitignore", "*.log\n")
	c.write("committed", "1")
	c.write("removed", "1")
	c.commit("one")
	c.remove("removed")
	c.write("new/föl der/file", "1")
	c.write("ignored.log", "1")
	got, err := c.Known(t.Context())
	want := []string{".gitignore", "committed", "new/föl der/file", "removed"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, known (-want +got):\n%s", err, diff)
	}
}

func TestDirtyLeavesTheIndexAlone(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write("a", "1")
	c.commit("one")
	index := filepath.Join(c.Dir, ".git", "index")
	before, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	// The same content at another time makes git wish to renew its index, which would then be root's on a runner.
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(c.Dir, "a"), later, later); err != nil {
		t.Fatal(err)
	}
	if got, err := dirty(c, t.Context()); got != nil || err != nil {
		t.Errorf("dirty: %q, %v", got, err)
	}
	if after, err := os.Stat(index); err != nil || !os.SameFile(before, after) {
		t.Errorf("the index was written anew, %v", err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write("sub/file", "hello\n")
	c.write("tool", "#!/bin/sh\n")
	if err := errors.Join(os.Chmod(filepath.Join(c.Dir, "tool"), 0o755), os.Symlink("sub/file", filepath.Join(c.Dir, "link"))); err != nil {
		t.Fatal(err)
	}
	commit := c.commit("one")
	got, err := c.Files(t.Context(), commit)
	want := []File{
		{"120000", c.do("rev-parse", "HEAD:link"), "link"},
		{"100644", "ce013625030ba8dba906f756967f9e9ca394464a", "sub/file"},
		{"100755", c.do("rev-parse", "HEAD:tool"), "tool"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, files (-want +got):\n%s", err, diff)
	}
	if got, err := c.Files(t.Context(), strings.Repeat("a", 40)); err == nil {
		t.Errorf("an unknown commit has the files %v", got)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	first := c.commit("first")
	second := c.commit("second")
	c.do("checkout", "--quiet", "-b", "side", first)
	side := c.commit("side")
	unknown := strings.Repeat("a", 40)
	for _, q := range []struct {
		old, new string
		want     bool
		fails    bool
	}{
		{first, second, true, false}, {second, first, false, false}, {second, side, false, false}, {first, first, true, false},
		{unknown, second, false, true}, {first, unknown, false, true},
	} {
		if got, err := c.IsAncestor(t.Context(), q.old, q.new); got != q.want || (err != nil) != q.fails {
			t.Errorf("IsAncestor(%.7s, %.7s) = %v, %v; want %v, failing %v", q.old, q.new, got, err, q.want, q.fails)
		}
	}
	tree := c.do("rev-parse", "HEAD^{tree}")
	for commit, want := range map[string]bool{first: true, side: true, unknown: false, tree: false, "": false} {
		if got := c.Has(t.Context(), commit); got != want {
			t.Errorf("Has(%q) = %v, want %v", commit, got, want)
		}
	}
}

func TestHeadAndRef(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	if got, err := c.Head(t.Context()); err == nil {
		t.Errorf("a clone without commits has the head %q", got)
	}
	want := c.commit("one")
	c.do("checkout", "--quiet", "-b", "feat/ü-1")
	if got, err := c.Head(t.Context()); got != want || err != nil {
		t.Errorf("Head() = %q, %v; want %q", got, err, want)
	}
	if got := c.Ref(t.Context()); got != "refs/heads/feat/ü-1" {
		t.Errorf("Ref() = %q", got)
	}
	c.do("checkout", "--quiet", "--detach")
	if got := c.Ref(t.Context()); got != "" {
		t.Errorf("a detached head is on %q", got)
	}
	if got, err := c.Head(t.Context()); got != want || err != nil {
		t.Errorf("detached: Head() = %q, %v; want %q", got, err, want)
	}
	if got := c.TagHere(t.Context()); got != "" {
		t.Errorf("a commit without a tag has %q", got)
	}
	c.do("tag", "backend/v1.2.3")
	if got := c.TagHere(t.Context()); got != "backend/v1.2.3" {
		t.Errorf("TagHere() = %q", got)
	}
}

func TestTop(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write("sub/folder/file", "1")
	want, err := filepath.EvalSymlinks(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	inside := Repo{Dir: filepath.Join(c.Dir, "sub", "folder"), Run: run.OS, Env: c.Env}
	if got, err := inside.Top(t.Context()); got != want || err != nil {
		t.Errorf("Top() = %q, %v; want %q", got, err, want)
	}
	outside := Repo{Dir: t.TempDir(), Run: run.OS, Env: append(c.Env, "GIT_CEILING_DIRECTORIES="+os.TempDir())}
	if got, err := outside.Top(t.Context()); err == nil {
		t.Errorf("outside a clone: Top() = %q", got)
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	commit := c.commit("one")
	c.do("config", "log.showSignature", "true")
	got, err := c.Time(t.Context(), commit)
	if want := time.Date(2026, 1, 2, 1, 4, 6, 0, time.UTC); !got.Equal(want) || err != nil {
		t.Errorf("Time() = %v, %v; want %v, when it was committed", got, err, want)
	}
	if got, err := c.Time(t.Context(), strings.Repeat("a", 40)); err == nil {
		t.Errorf("an unknown commit was made %v", got)
	}
}

func TestRemoteTellsNoCredentials(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"":                                "",
		"https://github.com/octo/web.git": "https://github.com/octo/web.git",
		"https://x-access-token:ghp_secret@github.com/octo/web": "https://github.com/octo/web",
		"https://ghp_secret@github.com/octo/web":                "https://github.com/octo/web",
		"https://a%40b:c@d@git.example:8443/octo/web":           "https://git.example:8443/octo/web",
		"ssh://git@github.com/octo/web.git":                     "ssh://github.com/octo/web.git",
		"git@github.com:octo/web.git":                           "git@github.com:octo/web.git",
		"/srv/git/web.git":                                      "/srv/git/web.git",
		"file:///srv/git/web.git":                               "file:///srv/git/web.git",
	} {
		c := newClone(t)
		if address != "" {
			c.do("remote", "add", "origin", address)
		}
		if got := c.Remote(t.Context()); got != want {
			t.Errorf("Remote() of %q = %q, want %q", address, got, want)
		}
	}
}

func TestDeepen(t *testing.T) {
	t.Parallel()
	origin := newClone(t)
	first := origin.commit("first")
	origin.commit("second")
	last := origin.commit("third")
	origin.do("tag", "v1")
	shallow := origin.shallow()
	if shallow.Has(t.Context(), first) || !shallow.Has(t.Context(), last) {
		t.Fatal("the clone is not shallow")
	}
	if is, err := shallow.IsAncestor(t.Context(), first, last); is || err == nil {
		t.Errorf("in a shallow clone: IsAncestor() = %v, %v; want an error", is, err)
	}
	if is, err := shallow.Shallow(t.Context()); !is || err != nil {
		t.Errorf("Shallow() = %v, %v", is, err)
	}
	if is, err := origin.Shallow(t.Context()); is || err != nil {
		t.Errorf("Shallow() = %v, %v of what has it all", is, err)
	}
	for range 2 { // the second time there is nothing to do
		if err := shallow.Deepen(t.Context(), never); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := shallow.IsAncestor(t.Context(), first, last); !is || err != nil {
		t.Errorf("IsAncestor() = %v, %v; want true", is, err)
	}
	alone := newClone(t)
	alone.commit("one")
	if err := alone.Deepen(t.Context(), never); err != nil {
		t.Errorf("a full clone without a remote: %v", err)
	}
}

func TestTip(t *testing.T) {
	t.Parallel()
	origin := newClone(t)
	first := origin.commit("first")
	origin.do("tag", "light")
	origin.do("tag", "-a", "-m", "x", "v1")
	origin.do("branch", "not/refs/heads/main")
	c := clone{Repo{Dir: filepath.Join(t.TempDir(), "clone"), Run: run.OS, Env: origin.Env}, t}
	origin.do("clone", "--quiet", "file://"+origin.Dir, c.Dir)
	second := origin.commit("second")
	for ref, want := range map[string]string{"refs/heads/main": second, "refs/tags/light": first, "refs/tags/v1": first, "refs/heads/gone": "", "main": "", "": "", "--upload-pack=x": ""} {
		if got, err := c.Tip(t.Context(), ref); got != want || (err == nil) != (want != "") {
			t.Errorf("Tip(%q) = %q, %v; want %q", ref, got, err, want)
		}
	}
	if c.Has(t.Context(), second) {
		t.Fatal("the clone has the second commit already")
	}
	for range 2 { // the second time there is nothing to do
		if err := c.Fetch(t.Context(), second); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := c.IsAncestor(t.Context(), first, second); !is || err != nil {
		t.Errorf("IsAncestor() = %v, %v; want true", is, err)
	}
	if err := c.Fetch(t.Context(), strings.Repeat("ab", 20)); err == nil {
		t.Error("a commit came from nowhere")
	}
}

// A shallow clone must not lose the history that it has when it gets another commit.
func TestFetchIntoShallowClone(t *testing.T) {
	t.Parallel()
	origin := newClone(t)
	origin.commit("first")
	second := origin.commit("second")
	shallow := origin.shallow()
	third := origin.commit("third")
	if err := shallow.Fetch(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	if is, err := shallow.IsAncestor(t.Context(), second, third); !is || err != nil {
		t.Errorf("IsAncestor() = %v, %v; want true", is, err)
	}
}

func TestCommit(t *testing.T) {
	t.Parallel()
	origin := newClone(t)
	first := origin.commit("first")
	origin.do("branch", "feat")
	origin.do("tag", "-a", "-m", "x", "v1")
	c := clone{Repo{Dir: filepath.Join(t.TempDir(), "clone"), Run: run.OS, Env: origin.Env}, t}
	origin.do("clone", "--quiet", "file://"+origin.Dir, c.Dir)
	for _, name := range []string{"main", "feat", "v1", "HEAD", first, first[:7]} {
		if got, err := c.Commit(t.Context(), name); got != first || err != nil {
			t.Errorf("Commit(%s) = %q, %v; want %s", name, got, err, first)
		}
	}
	for _, word := range append(optionLike, "gone", strings.Repeat("ab", 20)) {
		if got, err := c.Commit(t.Context(), word); err == nil {
			t.Errorf("%q is the commit %s", word, got)
		}
	}
}

func TestDeepenNeedsItsOrigin(t *testing.T) {
	t.Parallel()
	origin := newClone(t)
	origin.commit("first")
	origin.commit("second")
	shallow := origin.shallow()
	shallow.do("remote", "set-url", "origin", "file:///no/such/repository")
	if err := shallow.Deepen(t.Context(), never); err == nil {
		t.Error("history came from nowhere")
	}
}

func TestCommitsAreNeverOptions(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	commit := c.commit("one")
	for _, word := range optionLike {
		if c.Has(t.Context(), word) {
			t.Errorf("%q is a commit", word)
		}
		if got, err := c.Files(t.Context(), word); err == nil {
			t.Errorf("%q has the files %v", word, got)
		}
		if got, err := c.Time(t.Context(), word); err == nil {
			t.Errorf("%q was made %v", word, got)
		}
		if got, err := c.Changed(t.Context(), word, commit); err == nil {
			t.Errorf("%q differs by %q", word, got)
		}
		if got, err := c.Changed(t.Context(), commit, word); err == nil {
			t.Errorf("%q differs by %q", word, got)
		}
		if got, err := c.IsAncestor(t.Context(), word, commit); err == nil {
			t.Errorf("%q is an ancestor: %v", word, got)
		}
	}
	if got, err := dirty(c, t.Context()); got != nil || err != nil {
		t.Errorf("files were written: %q, %v", got, err)
	}
}

func TestAnotherUsersFolder(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	want := c.commit("one")
	// git is made to believe that the folder is not this user's.
	c.Env = append(c.Env, "GIT_TEST_ASSUME_DIFFERENT_OWNER=1")
	if got, err := c.Head(t.Context()); got != want || err != nil {
		t.Errorf("Head() = %q, %v; want %q", got, err, want)
	}
}

func TestErrorsNameTheCommand(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	_, err := c.Head(t.Context())
	var failed *run.Error
	if !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), "git rev-parse: ") || !strings.Contains(err.Error(), "fatal") {
		t.Errorf("Head() = %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the run is over")
	cancel(gone)
	if _, err := dirty(c, ctx); !errors.Is(err, gone) {
		t.Errorf("with an ended context: %v", err)
	}
	c.Run = func(context.Context, run.Command) ([]byte, error) { return nil, gone }
	if _, err := dirty(c, t.Context()); !errors.Is(err, gone) {
		t.Errorf("without git: %v", err)
	}
	c.Run = func(context.Context, run.Command) ([]byte, error) { return []byte("nonsense\x00"), nil }
	if got, err := c.Files(t.Context(), "x"); err == nil {
		t.Errorf("nonsense is read as %v", got)
	}
}

func TestEnvironmentOfGit(t *testing.T) {
	t.Parallel()
	var seen run.Command
	r := Repo{Dir: "/work space", Env: []string{"A=1"}, Run: func(_ context.Context, c run.Command) ([]byte, error) { seen = c; return nil, nil }}
	_, _ = r.Head(t.Context())
	want := run.Command{Argv: []string{"git", "-c", "safe.directory=/work space", "-c", "core.quotePath=false", "rev-parse", "--verify", "HEAD"},
		Dir: "/work space", Env: []string{"A=1", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C"}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got, err := newClone(t).Version(t.Context()); err != nil || !regexp.MustCompile(`^[0-9]+\.[0-9]+`).MatchString(got) {
		t.Errorf("Version() = %q, %v", got, err)
	}
}

func TestMentions(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	for name, text := range map[string]string{"deploy/a b.yaml": "image: x@" + digest + "\n", "none": "sha256:01\n", "ignored": strings.Replace(digest, "0", "1", 1)} {
		path := filepath.Join(c.Dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.Mentions(t.Context(), "sha256:[0-9a-f]{64}"); err != nil || len(got) > 0 {
		t.Errorf("before anything is known to git: %v, %v", got, err)
	}
	c.do("add", "deploy", "none")
	got, err := c.Mentions(t.Context(), "sha256:[0-9a-f]{64}")
	if diff := cmp.Diff(map[string]string{digest: "deploy/a b.yaml"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := c.Mentions(t.Context(), "["); err == nil {
		t.Error("a pattern that is none is taken")
	}
}

func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	if got := c.DefaultBranch(t.Context()); got != "" {
		t.Errorf("%q before any commit", got)
	}
	c.commit("one")
	if got := c.DefaultBranch(t.Context()); got != "main" {
		t.Errorf("%q, want main", got)
	}
	c.do("branch", "--move", "master")
	if got := c.DefaultBranch(t.Context()); got != "master" {
		t.Errorf("%q, want master", got)
	}
	c.do("branch", "--move", "release/next")
	s := c.shallow()
	s.do("switch", "--quiet", "--create", "main")
	if got := s.DefaultBranch(t.Context()); got != "release/next" {
		t.Errorf("%q, want what origin has", got)
	}
}
