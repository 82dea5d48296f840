// Package git asks a clone about its history. Every question goes to the git program.
package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/run"
)

// A Repo is a clone on disk.
type Repo struct {
	Dir string
	Run run.Func
	Env []string // the environment of git
}

// git runs one command. Paths come back as bytes, never quoted, and the folder may belong to another
// user, as a workspace does that a runner mounts into a container.
func (r Repo) git(ctx context.Context, args ...string) (string, error) {
	return r.ask(ctx, nil, args...)
}

// ask is git with something to read.
func (r Repo) ask(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	out, err := r.run(ctx, run.Command{Stdin: stdin}, args...)
	return string(out), err
}

func (r Repo) run(ctx context.Context, c run.Command, args ...string) ([]byte, error) {
	c.Argv = append([]string{"git", "-c", "safe.directory=" + r.Dir, "-c", "core.quotePath=false"}, args...)
	c.Dir = r.Dir
	c.Env = append(slices.Clone(r.Env), "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	out, err := r.Run(ctx, c)
	var failed *run.Error
	if errors.As(err, &failed) {
		failed.Argv = append([]string{"git"}, args...) // what was asked, not how
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Head returns the checked-out commit.
func (r Repo) Head(ctx context.Context) (string, error) {
	out, err := r.git(ctx, "rev-parse", "--verify", "HEAD")
	return strings.TrimSpace(out), err
}

// Ref returns the checked-out branch as refs/heads/name; empty when none is.
func (r Repo) Ref(ctx context.Context) string {
	out, err := r.git(ctx, "symbolic-ref", "--quiet", "HEAD")
	if err != nil {
		return "" // a detached head
	}
	return strings.TrimSpace(out)
}

// TagHere returns the name of a tag of the commit that is checked out; empty where it has none.
func (r Repo) TagHere(ctx context.Context) string {
	out, err := r.git(ctx, "describe", "--tags", "--exact-match", "HEAD")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// DefaultBranch returns origin's, as the clone has it; one that has never asked says master where it has that and no main. Empty where nothing tells.
func (r Repo) DefaultBranch(ctx context.Context) string {
	if out, err := r.git(ctx, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"); err == nil {
		return strings.TrimPrefix(strings.TrimSpace(out), "origin/")
	}
	out, err := r.git(ctx, "for-each-ref", "--format=%(refname:short)", "refs/heads/main", "refs/heads/master")
	if err != nil {
		return ""
	}
	branch, _, _ := strings.Cut(out, "\n")
	return branch
}

// Remote returns the address that origin is fetched from, without user and password; empty without one.
func (r Repo) Remote(ctx context.Context) string {
	out, err := r.git(ctx, "remote", "get-url", "origin")
	if err != nil {
		return ""
	}
	address := strings.TrimSpace(out)
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		return scheme + "://" + host[strings.LastIndex(host, "@")+1:] + "/" + path
	}
	return address
}

// Tip asks origin for the commit that a ref is at now: of an annotated tag, the commit it names.
func (r Repo) Tip(ctx context.Context, ref string) (string, error) {
	if !strings.HasPrefix(ref, "refs/") {
		return "", fmt.Errorf("%q is no full ref", ref)
	}
	out, err := r.git(ctx, "ls-remote", "--exit-code", "--end-of-options", "origin", ref, ref+"^{}")
	tip := ""
	for line := range strings.Lines(out) {
		if sha, name, _ := strings.Cut(strings.TrimSpace(line), "\t"); name == ref && tip == "" || name == ref+"^{}" {
			tip = sha
		}
	}
	return tip, err
}

// Fetch brings a commit into the clone that it lacks, with what it is built on.
func (r Repo) Fetch(ctx context.Context, commit string) error {
	if r.Has(ctx, commit) {
		return nil
	}
	_, err := r.git(ctx, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options", "origin", commit)
	return err
}

var id = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// IsID reports whether a text is the full id of a commit, by SHA-1 or SHA-256.
func IsID(text string) bool { return id.MatchString(text) }

// Commit returns the full id of the commit that a name stands for here: a branch, also one of origin's, a tag, an id.
func (r Repo) Commit(ctx context.Context, name string) (string, error) {
	out, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil {
		out, err = r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", "refs/remotes/origin/"+name+"^{commit}")
	}
	return strings.TrimSpace(out), err
}

// Time returns when a commit was made.
func (r Repo) Time(ctx context.Context, commit string) (time.Time, error) {
	out, err := r.git(ctx, "show", "--no-patch", "--no-show-signature", "--format=%cI", "--end-of-options", commit, "--")
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, strings.TrimSpace(out))
}

// Has reports whether the clone holds a commit.
func (r Repo) Has(ctx context.Context, commit string) bool {
	_, err := r.git(ctx, "cat-file", "-e", "--end-of-options", commit+"^{commit}")
	return err == nil
}

// Shallow reports whether the clone lacks history.
func (r Repo) Shallow(ctx context.Context) (bool, error) {
	out, err := r.git(ctx, "rev-parse", "--is-shallow-repository")
	return strings.TrimSpace(out) == "true", err
}

// Version returns git's own: "2.39.5".
func (r Repo) Version(ctx context.Context) (string, error) {
	out, err := r.git(ctx, "version")
	return strings.TrimPrefix(strings.TrimSpace(out), "git version "), err
}

// firstDepth is how much history a shallow clone gets at once, to begin with.
const firstDepth = 100

// Deepen fetches history that a shallow clone lacks, twice as much each time, until there is enough or all of it. A
// full clone is left as it is.
func (r Repo) Deepen(ctx context.Context, enough func() bool) error {
	for depth := firstDepth; ; depth *= 2 {
		if shallow, err := r.Shallow(ctx); err != nil || !shallow {
			return err
		}
		if _, err := r.git(ctx, "fetch", "--quiet", "--no-tags", fmt.Sprintf("--deepen=%d", depth), "origin"); err != nil || enough() {
			return err
		}
	}
}

// MergeBase returns the best common ancestor of two commits; empty where they have none.
func (r Repo) MergeBase(ctx context.Context, one, other string) (string, error) {
	out, err := r.git(ctx, "merge-base", "--end-of-options", one, other)
	var failed *run.Error
	if errors.As(err, &failed) && failed.Code == 1 {
		return "", nil
	}
	return strings.TrimSpace(out), err
}

// Message returns a commit's message; empty where it cannot be read.
func (r Repo) Message(ctx context.Context, commit string) string {
	out, err := r.git(ctx, "log", "-1", "--format=%B", "--no-show-signature", "--end-of-options", commit, "--")
	if err != nil {
		return ""
	}
	return out
}

// IsAncestor reports whether old is new or one of its ancestors.
func (r Repo) IsAncestor(ctx context.Context, old, new string) (bool, error) {
	_, err := r.git(ctx, "merge-base", "--is-ancestor", "--end-of-options", old, new)
	var failed *run.Error
	if errors.As(err, &failed) && failed.Code == 1 {
		return false, nil
	}
	return err == nil, err
}

// Changed lists the files that differ between two commits, both names of a renamed one.
func (r Repo) Changed(ctx context.Context, from, to string) ([]string, error) {
	out, err := r.git(ctx, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none", "--end-of-options", from, to, "--")
	return splitZero(out), err
}

// A Status tells where the work tree is not what the checked-out commit holds.
type Status struct {
	Dirty   []string // files that differ, and new ones that are not ignored; a clone inside this one ends in a slash
	Ignored []string // what git ignores: files, and folders with all in them, which end in a slash
}

// Status looks at the work tree.
func (r Repo) Status(ctx context.Context) (Status, error) {
	out, err := r.git(ctx, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching", "--ignore-submodules=none")
	if err != nil {
		return Status{}, err
	}
	var s Status
	for _, entry := range splitZero(out) {
		letters, file := entry[:2], entry[3:] // two status letters and a space
		if letters == "!!" {
			s.Ignored = append(s.Ignored, file)
		} else {
			s.Dirty = append(s.Dirty, file)
		}
	}
	return s, nil
}

// A File is one entry of a commit's tree.
type File struct{ Mode, ID, Path string }

// Submodule is the mode of an entry that stands for a submodule; its ID is a commit of that.
const Submodule = "160000"

// Symlink is the mode of an entry that is a symbolic link.
const Symlink = "120000"

// Tracked lists the files of the index, in order. Unwatched are those that git does not look at in the work tree, by
// the user's wish: they may hold anything there, or be missing.
func (r Repo) Tracked(ctx context.Context) (files []File, unwatched []string, err error) {
	err = r.each(ctx, func(entry string) error {
		facts, path, _ := strings.Cut(entry, "\t")
		letter, mode, id, ok := splitFacts(facts)
		if !ok {
			return fmt.Errorf("git ls-files: cannot read %q", entry)
		}
		if len(files) > 0 && files[len(files)-1].Path == path {
			return nil // another side of a conflict
		}
		files = append(files, File{Mode: mode, ID: id, Path: path})
		if letter == 'S' || letter >= 'a' {
			unwatched = append(unwatched, path)
		}
		return nil
	}, "ls-files", "-z", "-s", "-v")
	return files, unwatched, err
}

// each runs git and takes what it lists entry by entry, as it comes, so that a list of a million files is never held as
// one text.
func (r Repo) each(ctx context.Context, take func(entry string) error, args ...string) error {
	s := &splitter{take: take}
	if _, err := r.run(ctx, run.Command{Stdout: s}, args...); err != nil {
		return err
	}
	return s.err
}

// A splitter hands on what is written to it, a text for each zero byte.
type splitter struct {
	take func(entry string) error
	rest string
	err  error
}

func (s *splitter) Write(p []byte) (int, error) {
	text := s.rest + string(p)
	for s.err == nil {
		entry, rest, whole := strings.Cut(text, "\x00")
		if !whole {
			break
		}
		s.err, text = s.take(entry), rest
	}
	s.rest = strings.Clone(text) // which would keep all of the text otherwise
	return len(p), nil
}

// splitFacts reads "H 100644 id stage".
func splitFacts(facts string) (letter byte, mode, id string, ok bool) {
	tag, rest, _ := strings.Cut(facts, " ")
	mode, rest, _ = strings.Cut(rest, " ")
	id, _, ok = strings.Cut(rest, " ")
	return append([]byte(tag), 0)[0], mode, id, ok && len(tag) == 1
}

// converting are attributes by which a checked-out file differs from what the repository holds.
// https://git-scm.com/docs/gitattributes
var converting = []string{"filter", "ident", "eol", "working-tree-encoding"}

// Converted lists those of some files that git changes as it checks them out, such as the ones in LFS.
func (r Repo) Converted(ctx context.Context, files []string) ([]string, error) {
	argv := append([]string{"check-attr", "-z", "--stdin"}, converting...)
	out, err := r.ask(ctx, strings.NewReader(strings.Join(files, "\x00")), argv...)
	if err != nil {
		return nil, err
	}
	var converted []string
	facts := splitZero(out)
	for ; len(facts) >= 3; facts = facts[3:] {
		path, value := facts[0], facts[2]
		if value == "unspecified" || value == "unset" || value == "lf" || len(converted) > 0 && converted[len(converted)-1] == path {
			continue
		}
		converted = append(converted, path)
	}
	return converted, nil
}

// Files lists the files of a commit.
func (r Repo) Files(ctx context.Context, commit string) ([]File, error) {
	out, err := r.git(ctx, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, entry := range splitZero(out) {
		facts, path, _ := strings.Cut(entry, "\t")
		fields := strings.Fields(facts) // mode, type, object id
		if len(fields) != 3 {
			return nil, fmt.Errorf("git ls-tree: cannot read %q", entry)
		}
		files = append(files, File{Mode: fields[0], ID: fields[2], Path: path})
	}
	return files, nil
}

// Known lists the files of the clone by name, also new ones, but none that are ignored.
func (r Repo) Known(ctx context.Context) ([]string, error) {
	out, err := r.git(ctx, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	files := splitZero(out)
	slices.Sort(files)
	return slices.Compact(files), err // a file that is being merged comes more than once
}

// Mentions lists the files of the work tree that git keeps and that mention a text of a pattern (POSIX, extended), by that text.
func (r Repo) Mentions(ctx context.Context, pattern string) (map[string]string, error) {
	out, err := r.git(ctx, "grep", "-I", "--only-matching", "--full-name", "-z", "--extended-regexp", "-e", pattern, "--", ":/")
	var failed *run.Error
	if errors.As(err, &failed) && failed.Code == 1 {
		return nil, nil // which means that there is none
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if file, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\x00"); ok {
			found[text] = file
		}
	}
	return found, err
}

// Ignores reports whether git ignores a file, be it there or not.
func (r Repo) Ignores(ctx context.Context, file string) bool {
	_, err := r.git(ctx, "check-ignore", "--quiet", "--", file)
	return err == nil
}

// Short is enough of a commit's id to tell it from others, for people.
func Short(id string) string { return id[:min(7, len(id))] }

// At returns the content of a file as it was at a commit.
func (r Repo) At(ctx context.Context, commit, file string) ([]byte, error) {
	if !IsID(commit) {
		return nil, fmt.Errorf("reading %q at commit %q: that is no commit's id", file, commit)
	}
	return r.Blob(ctx, commit+":"+file)
}

// Blob returns the content of a file by its object id.
func (r Repo) Blob(ctx context.Context, id string) ([]byte, error) {
	out, err := r.git(ctx, "cat-file", "blob", id)
	return []byte(out), err
}

func splitZero(out string) []string {
	if out == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
}

// Top returns the clone's root folder; an error where Dir is not inside a clone.
func (r Repo) Top(ctx context.Context) (string, error) {
	out, err := r.git(ctx, "rev-parse", "--show-toplevel")
	return strings.TrimSuffix(out, "\n"), err
}
