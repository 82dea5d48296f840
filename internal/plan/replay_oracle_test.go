package plan

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// Contents are what an image is made of: for each thing that goes into it, all that matters of that thing.
type contents map[string]string

// differing names the things that two images do not share.
func differing(a, b contents) []string {
	var names []string
	for name := range a {
		if in, there := b[name]; !there || in != a[name] {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, there := a[name]; !there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

const folderThing = "folder"

// files leaves folders out, which are there for the things in them.
func (c contents) files() contents {
	files := maps.Clone(c)
	maps.DeleteFunc(files, func(_, thing string) bool { return thing == folderThing })
	return files
}

// A checkout is a commit written to an empty folder. It tells what an image is made of in the slowest and plainest
// way: it looks at each file on disk, and at each anew.
type checkout struct {
	t     testing.TB
	dir   string
	links map[string]string // commits of submodules
}

// checkedOut writes a commit of a clone to a new folder, with an index of its own, as a fresh clone would have it.
func (c clone) checkedOut(commit string) checkout {
	c.t.Helper()
	out := checkout{c.t, c.t.TempDir(), map[string]string{}}
	env := append(environ(), "GIT_DIR="+filepath.Join(c.dir, ".git"), "GIT_WORK_TREE="+out.dir, "GIT_INDEX_FILE="+filepath.Join(c.t.TempDir(), "index"))
	git := func(args ...string) string {
		text, err := run.OS(c.t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: out.dir, Env: env})
		c.must(err)
		return string(text)
	}
	git("read-tree", "--reset", "-u", commit)
	for line := range strings.SplitSeq(git("ls-files", "--stage", "-z"), "\x00") {
		if rest, is := strings.CutPrefix(line, "160000 "); is {
			facts, file, _ := strings.Cut(rest, "\t")
			out.links[file] = facts
		}
	}
	return out
}

// all is what an image and those that it is built upon are made of.
func (c checkout) all(s service.Service, services []service.Service) contents {
	made := c.of(s)
	for _, other := range services {
		if slices.Contains(s.DependsOn, other.Name) {
			for name, thing := range c.all(other, services) {
				made[other.Name+": "+name] = thing
			}
		}
	}
	return made
}

// of is what an image by itself is made of. Paths that were named say all that counts beside Dockerfile and ignore file.
func (c checkout) of(s service.Service) contents {
	dockerfile, _ := c.within(path.Dir(s.Dockerfile), path.Base(s.Dockerfile))
	made := contents{"the Dockerfile": dockerfile, "the ignore file": c.ignoreText(s)}
	if len(s.Paths) > 0 {
		for _, file := range c.below(".") {
			if c.chosen(s.Paths, file) {
				made[file] = c.thing(file)
			}
		}
		return made
	}
	sources := c.sources(s.Context, dockerfile)
	for _, file := range c.sent(s) {
		if slices.ContainsFunc(sources, func(source string) bool { return takes(source, file) }) {
			made[file] = c.thing(path.Join(s.Context, file))
		}
	}
	return made
}

func (c checkout) text(file string) string {
	text, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	return string(text)
}

// ignoreText is the text of the ignore file that the builder reads: the Dockerfile's own, or else the context's.
func (c checkout) ignoreText(s service.Service) string {
	own, there := c.within(path.Dir(s.Dockerfile), path.Base(s.Dockerfile)+".dockerignore")
	if there {
		return own
	}
	text, _ := c.within(s.Context, ".dockerignore")
	return text
}

// within reads a file of a folder that the builder is sent. A link leads to something in that folder, or nowhere.
func (c checkout) within(folder, file string) (text string, there bool) {
	file = c.led(folder, file)
	info, err := os.Lstat(filepath.Join(c.dir, folder, file))
	if err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	return c.text(path.Join(folder, file)), true
}

// led follows links inside a folder, as if that were all there is.
func (c checkout) led(folder, file string) string {
	for range 20 {
		target, err := os.Readlink(filepath.Join(c.dir, folder, file))
		if err != nil {
			break
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir("/"+file), target)
		}
		file = path.Join(".", strings.TrimPrefix(path.Clean(target), "/"))
	}
	return file
}

// thing is all that matters of one file, link, submodule or folder.
func (c checkout) thing(file string) string {
	if commit, is := c.links[file]; is {
		return "submodule " + commit
	}
	at := filepath.Join(c.dir, file)
	info, err := os.Lstat(at)
	if err != nil {
		c.t.Fatal(err)
	}
	switch {
	case info.IsDir():
		return folderThing
	case info.Mode()&os.ModeSymlink != 0:
		target, err := os.Readlink(at)
		if err != nil {
			c.t.Fatal(err)
		}
		return "link to " + target
	}
	return fmt.Sprintf("file, executable %v, %x", info.Mode()&0o100 != 0, sha256.Sum256([]byte(c.text(file))))
}

// below lists what is in a folder at any depth, folders too, by names relative to it. Of a submodule it lists the
// folder alone.
func (c checkout) below(folder string) []string {
	var names []string
	entries, err := os.ReadDir(filepath.Join(c.dir, folder))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		if e.IsDir() {
			for _, name := range c.below(path.Join(folder, e.Name())) {
				names = append(names, e.Name()+"/"+name)
			}
		}
	}
	return names
}

// sent lists what the builder gets of a context. It goes down the folders as BuildKit does: what an ignore file says of
// a folder is asked before what it says of the things in it.
// https://github.com/tonistiigi/fsutil/blob/master/filter.go
func (c checkout) sent(s service.Service) []string {
	patterns, err := ignorefile.ReadAll(strings.NewReader(c.ignoreText(s)))
	if err != nil {
		c.t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		c.t.Fatal(err)
	}
	said := map[string]patternmatcher.MatchInfo{}
	var sent []string
	for _, file := range c.below(s.Context) {
		hidden, info, err := matcher.MatchesUsingParentResults(file, said[path.Dir(file)])
		if err != nil {
			c.t.Fatal(err)
		}
		said[file] = info
		if _, is := c.links[path.Join(s.Context, file)]; is {
			hidden = !slices.ContainsFunc(libraryFiles, func(inside string) bool {
				out, err := matcher.MatchesOrParentMatches(file + "/" + inside)
				return err == nil && !out
			})
		}
		if !hidden {
			sent = append(sent, file)
		}
	}
	return sent
}

// sources are what a Dockerfile takes from its context. The builder follows a source that is a link, inside the context.
func (c checkout) sources(context, dockerfile string) []string {
	var sources []string
	for line := range strings.Lines(dockerfile) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" && words[0] != "ADD" || strings.HasPrefix(words[1], "--from=") {
			continue
		}
		words = slices.DeleteFunc(words[1:len(words)-1], func(word string) bool { return strings.HasPrefix(word, "--") })
		for _, word := range words {
			sources = append(sources, path.Clean(word))
		}
	}
	for _, source := range slices.Clone(sources) {
		sources = append(sources, c.led(context, source))
	}
	return sources
}

// takes reports whether a source brings a file: it names it, or a folder that it is in.
func takes(source, file string) bool {
	for at := file; at != "."; at = path.Dir(at) {
		if named, _ := path.Match(source, at); named {
			return true
		}
	}
	return source == "."
}

// chosen reports whether paths select a thing of the tree. A folder is nothing by itself; a submodule is chosen where
// something in it is.
func (c checkout) chosen(paths []string, file string) bool {
	if _, is := c.links[file]; is {
		return slices.ContainsFunc(libraryFiles, func(inside string) bool { return lastWord(paths, file+"/"+inside) })
	}
	return c.thing(file) != folderThing && lastWord(paths, file)
}

// lastWord reads paths as .gitignore is read: in order, and the last that names a file decides.
func lastWord(paths []string, file string) bool {
	chosen := false
	for _, text := range paths {
		text, negative := strings.CutPrefix(text, "!")
		if namedBy(text, file) {
			chosen = !negative
		}
	}
	return chosen
}

// namedBy reports whether a pattern names a file or a folder that it is in.
func namedBy(pattern, file string) bool {
	pattern, folder := strings.CutSuffix(pattern, "/")
	for at := file; at != "."; at = path.Dir(at) {
		if folder && at == file {
			continue
		}
		name := at
		if !strings.Contains(pattern, "/") {
			name = path.Base(at)
		}
		if segments(strings.Split(strings.TrimPrefix(pattern, "/"), "/"), strings.Split(name, "/")) {
			return true
		}
	}
	return false
}

// segments matches a pattern with a name, one folder after the other.
func segments(pattern, name []string) bool {
	switch {
	case len(pattern) == 0 || len(name) == 0:
		return len(pattern) == len(name)
	case pattern[0] == "**" && len(pattern) == 1:
		return true
	case pattern[0] == "**":
		return segments(pattern[1:], name) || segments(pattern, name[1:])
	}
	same, _ := path.Match(pattern[0], name[0])
	return same && segments(pattern[1:], name[1:])
}

// TestLastWord holds the plain reading of patterns, which the planner's is held to, to git's own.
func TestLastWord(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	h := newHistory(1)
	tree := snapshot{}
	for range 300 {
		tree.put(h.place(), entry{plain, ""})
	}
	files := slices.Sorted(maps.Keys(tree))
	// Without negative ones: git does not look again into a folder that it ignores.
	for _, paths := range [][]string{{"sub"}, {"sub/"}, {"/own"}, {"**/sub/*.go", "*.md"}, {"own/**/keep.md"}, {"?p*"}, {"/shared/**"}, {"[a-c]*"}, {"app/", "own/*"}} {
		c.write(map[string]string{".git/info/exclude": strings.Join(paths, "\n") + "\n"})
		out, _ := run.OS(t.Context(), run.Command{Argv: []string{"git", "check-ignore", "--no-index", "--stdin", "-z"}, Dir: c.dir, Env: environ(),
			Stdin: strings.NewReader(strings.Join(files, "\x00") + "\x00")})
		var got []string
		for _, file := range files {
			if lastWord(paths, file) {
				got = append(got, file)
			}
		}
		want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("what %q select (-git +here):\n%s", paths, diff)
		}
	}
}
