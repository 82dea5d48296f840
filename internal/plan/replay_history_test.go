package plan

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/run"
)

// An entry is one path of a commit. Its data are the content of a file, the target of a link, the commit of a submodule.
type entry struct{ mode, data string }

// A snapshot is all that a commit holds, by path.
type snapshot map[string]entry

const (
	plain, tool, link = "100644", "100755", "120000"
	submodule         = "vendored/lib"
	outside           = "out side[1]" // a folder whose name would be a pattern
)

// libraryFiles are what the submodule holds, at each of its commits.
var libraryFiles = []string{"src/main.go", "README.md"}

// A drawn commit names its parents by their number.
type drawn struct {
	parents []int
	tree    snapshot
}

// A history is drawn first and made by git in one go.
type history struct {
	*rand.Rand
	library []string // commits of the submodule
	commits []drawn
	pushes  []int // the commit that each leaves as the branch's last
}

func pick[T any](h *history, from []T) T { return from[h.IntN(len(from))] }

// draw makes so many commits, or few more, and pushes them.
func (h *history) draw(commits int) {
	at := h.add(h.first())
	h.pushes = append(h.pushes, at)
	for len(h.commits) < commits {
		at = h.push(at)
		h.pushes = append(h.pushes, at)
	}
}

func (h *history) add(tree snapshot, parents ...int) int {
	h.commits = append(h.commits, drawn{parents, tree})
	return len(h.commits) - 1
}

// push puts some commits upon one. None at all is a run that is started again; a few pushes rewind first.
func (h *history) push(at int) int {
	if h.IntN(16) == 0 {
		at = h.back(at, 1+h.IntN(5))
	}
	for range pick(h, []int{0, 1, 1, 2, 2, 3, 5}) {
		at = h.step(at)
	}
	return at
}

// back follows first parents.
func (h *history) back(at, steps int) int {
	for range steps {
		if parents := h.commits[at].parents; len(parents) > 0 {
			at = parents[0]
		}
	}
	return at
}

func (h *history) step(at int) int {
	tree := maps.Clone(h.commits[at].tree)
	switch h.IntN(20) {
	case 0: // an empty commit
	case 1, 2:
		return h.merge(at)
	case 3, 4: // a revert
		undone := h.back(at, h.IntN(4))
		tree.carry(h.commits[undone].tree, h.commits[h.back(undone, 1)].tree)
	default:
		return h.edit(at)
	}
	return h.add(tree, at)
}

func (h *history) edit(at int) int {
	tree := maps.Clone(h.commits[at].tree)
	for range 1 + h.IntN(3) {
		h.change(tree)
	}
	return h.add(tree, at)
}

// merge brings in a side branch; where both changed a file, the side's is taken.
func (h *history) merge(at int) int {
	fork := h.back(at, h.IntN(4))
	side := h.edit(fork)
	if h.IntN(2) == 0 {
		side = h.edit(side)
	}
	tree := maps.Clone(h.commits[at].tree)
	tree.carry(h.commits[fork].tree, h.commits[side].tree)
	return h.add(tree, at, side)
}

// carry does to a tree what lies between two others.
func (s snapshot) carry(from, to snapshot) {
	for file := range from {
		if _, stays := to[file]; !stays {
			delete(s, file)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(to)) {
		if from[file] != to[file] {
			s.put(file, to[file])
		}
	}
}

// put sets a path, unless a file is where its folder would be, or a folder where it would.
func (s snapshot) put(file string, e entry) {
	for other := range s {
		if strings.HasPrefix(other, file+"/") || strings.HasPrefix(file, other+"/") {
			return
		}
	}
	s[file] = e
}

// folders are where files come and go; nothing is built from the last.
var folders = []string{"own", "app", "shared", "picked", outside + "/s*c", outside + "/build", "mine", "linked", "linked/data", "vendored", ".", "docs"}

// names are of files below them. Some differ by case alone, some are what shells, git and patterns take for something else.
var names = []string{"a.go", "b.txt", "README.md", "readme.md", "keep.md", "sub/c.go", "sub/deep/d.md", "sub/keep.md", "tmp/log", "tmp/keep.md",
	"\xff\xfe", "sub/\xff.md", "sp ace.txt", "new\nline.md", "new\nfolder/e.md", "quo\"te'", "gl*b[1].txt", `back\slash`, "-dash", "ü.md", "{a,b}", "tab\t/x", "!bang", "#hash", "Sub/c.go"}

// ignoreLines are what ignore files are made of.
var ignoreLines = []string{"*.md", "**/*.md", "tmp", "tmp/", "tmp/*", "!tmp/keep.md", "!**/keep.md", "sub/**", "!sub/c.go", "sub/deep", "# note", "", "*", "!a.go", "!sub", "!app",
	"!shared", "shared/tmp", "app/sub", "?p*", "gl\\*b*", "/b.txt", "**/c.go", "data", "!data/a.go", "lib", "lib/docs", ".*", "**/new*", "[a-c]*", "! keep.md"}

// submoduleLines hide a submodule, or some of it.
var submoduleLines = []string{"lib", "!lib/src", "!lib/README.md", "lib/src", "*.md", "*"}

var ignoreFilesOfAll = []string{".dockerignore", "own/.dockerignore", outside + "/s*c/.dockerignore", outside + "/build/Dockerfile.dockerignore", "mine/.dockerignore",
	"mine/Dockerfile.dockerignore", "linked/.dockerignore", "vendored/.dockerignore", "app/Dockerfile.dockerignore"}

// copies are the lines by which each Dockerfile may take its context.
var copies = map[string][]string{
	"own/Dockerfile":              {"COPY . /", "COPY --chown=1:1 . /srv/"},
	"app/Dockerfile":              {"COPY shared /shared\nCOPY app /app", "COPY app /app", "COPY shared/*.go app/sub /x/"},
	"picked/Dockerfile":           {"COPY picked shared /"},
	outside + "/build/Dockerfile": {"COPY . /src", "COPY ./sub/ /sub"},
	"mine/Dockerfile":             {"COPY . /", "ADD sub tmp /"},
	"linked/Dockerfile":           {"COPY link /x", "COPY . /", "COPY --from=0 /x /x\nCOPY link sub /"},
	"vendored/Dockerfile":         {"COPY . /"},
}

// first is a tree with all services and a few files for each.
func (h *history) first() snapshot {
	tree := snapshot{submodule: {git.Submodule, h.library[0]}, "linked/link": {link, "data"}}
	for file, lines := range copies {
		tree[file] = entry{plain, "FROM scratch\n" + lines[0] + "\n"}
	}
	for _, folder := range folders {
		for range 5 {
			tree.put(path.Join(folder, pick(h, names)), entry{plain, h.text()})
		}
	}
	tree[".dockerignore"] = entry{plain, "**/*.md\n!**/keep.md\ntmp\n"}
	tree["mine/.dockerignore"] = entry{plain, "*\n"}
	tree["mine/Dockerfile.dockerignore"] = entry{plain, "tmp\n"}
	tree["linked/data/a.go"] = entry{plain, h.text()}
	return tree
}

// text is drawn from few, so that equal contents come again.
func (h *history) text() string { return fmt.Sprintf("%d\n", h.IntN(4)) }

func (h *history) place() string { return path.Join(pick(h, folders), pick(h, names)) }

// change does one thing to a tree.
func (h *history) change(tree snapshot) {
	kinds := []func(snapshot){h.write, h.write, h.write, h.remove, h.rename, h.rename, h.hide, h.chmod, h.chmod, h.relink, h.ignore, h.ignore, h.dockerfile, h.bump, h.bump, h.attribute, h.link}
	pick(h, kinds)(tree)
}

// loose draws a file that nothing breaks without.
func (h *history) loose(tree snapshot) string {
	all := slices.Sorted(maps.Keys(tree))
	return pick(h, slices.DeleteFunc(all, func(file string) bool {
		return copies[file] != nil || slices.Contains(ignoreFilesOfAll, file) || strings.HasPrefix(file, ".git") || file == submodule
	}))
}

func (h *history) write(tree snapshot) {
	if h.IntN(2) == 0 {
		tree.put(h.place(), entry{plain, h.text()})
		return
	}
	file := h.loose(tree)
	tree[file] = entry{pick(h, []string{plain, tool}), h.text()}
}

func (h *history) remove(tree snapshot) { delete(tree, h.loose(tree)) }

func (h *history) rename(tree snapshot) { h.move(tree, h.loose(tree), h.place()) }

// hide moves a file into the folder that is ignored the most, or out of it.
func (h *history) hide(tree snapshot) {
	file := h.loose(tree)
	folder, base := path.Split(file)
	if strings.HasSuffix(folder, "tmp/") {
		h.move(tree, file, path.Join(folder, "..", base))
		return
	}
	h.move(tree, file, folder+"tmp/"+base)
}

func (h *history) move(tree snapshot, from, to string) {
	e := tree[from]
	delete(tree, from)
	if tree.put(to, e); tree[to] != e {
		tree[from] = e // the place was taken
	}
}

func (h *history) chmod(tree snapshot) {
	file := pick(h, []string{h.loose(tree), "own/Dockerfile"})
	switch e := tree[file]; e.mode {
	case plain:
		tree[file] = entry{tool, e.data}
	case tool:
		tree[file] = entry{plain, e.data}
	}
}

// relink makes a link point elsewhere; sometimes a file becomes one.
func (h *history) relink(tree snapshot) {
	file := "linked/link"
	if h.IntN(3) == 0 {
		file = h.loose(tree)
	}
	tree.put(file, entry{link, pick(h, []string{"data", "sub", "a.go", "data/a.go", "/data", "../linked/sub", "../../own", "missing", "link"})})
}

func (h *history) ignore(tree snapshot) {
	file := pick(h, ignoreFilesOfAll)
	if h.IntN(4) == 0 {
		delete(tree, file)
		return
	}
	lines := ignoreLines
	if strings.HasPrefix(file, "vendored/") {
		lines = submoduleLines
	}
	var text strings.Builder
	for range h.IntN(4) {
		text.WriteString(pick(h, lines) + "\n")
	}
	tree[file] = entry{plain, text.String()}
}

func (h *history) dockerfile(tree snapshot) {
	file := pick(h, slices.Sorted(maps.Keys(copies)))
	tree[file] = entry{pick(h, []string{plain, plain, tool}), fmt.Sprintf("FROM scratch\n%s\n# %s", pick(h, copies[file]), h.text())}
}

// bump moves the submodule to another of its commits, or takes it away.
func (h *history) bump(tree snapshot) {
	if h.IntN(4) == 0 {
		delete(tree, submodule)
		return
	}
	tree[submodule] = entry{git.Submodule, pick(h, h.library)}
}

// attribute changes how git writes files to disk, and so what the builder gets, with no file changed.
func (h *history) attribute(tree snapshot) {
	tree[".gitattributes"] = entry{plain, pick(h, []string{"", "*.txt text eol=crlf\n", "*.go text eol=crlf\n"})}
}

// link makes an ignore file or a Dockerfile a link to something, or changes what such a link points to.
func (h *history) link(tree snapshot) {
	folder := pick(h, []string{"own", "mine", "linked", outside + "/s*c", outside + "/build"})
	switch h.IntN(4) {
	case 0:
		tree.put(outside+"/build/other", entry{plain, "FROM scratch\nCOPY . /\n# " + h.text()})
		tree[outside+"/build/Dockerfile"] = entry{link, "other"}
	case 1:
		tree.put("docs/ignored", entry{plain, pick(h, ignoreLines) + "\n"})
		tree[folder+"/.dockerignore"] = entry{link, strings.Repeat("../", 1+strings.Count(folder, "/")) + "docs/ignored"}
	default:
		tree.put(folder+"/ignored", entry{plain, pick(h, ignoreLines) + "\n"})
		tree[folder+"/.dockerignore"] = entry{link, "ignored"}
	}
}

// imported has git make commits, and returns their ids.
func (c clone) imported(commits []drawn) []string {
	c.t.Helper()
	marks := filepath.Join(c.t.TempDir(), "marks")
	var stream bytes.Buffer
	for i, commit := range commits {
		fmt.Fprintf(&stream, "commit refs/heads/history\nmark :%d\ncommitter a <a@example.com> %d +0000\ndata <<.\n%d\n.\n", i+1, 1_700_000_000+i, i)
		for n, parent := range commit.parents {
			fmt.Fprintf(&stream, "%s :%d\n", []string{"from", "merge"}[n], parent+1)
		}
		stream.WriteString("deleteall\n")
		commit.tree.stream(&stream)
	}
	_, err := run.OS(c.t.Context(), run.Command{Argv: []string{"git", "fast-import", "--quiet", "--force", "--export-marks=" + marks}, Dir: c.dir, Env: environ(), Stdin: &stream})
	c.must(err)
	text, err := os.ReadFile(marks)
	c.must(err)
	ids := make([]string, len(commits))
	for line := range strings.Lines(string(text)) {
		var mark int
		var id string
		_, err := fmt.Sscanf(line, ":%d %s", &mark, &id)
		c.must(err)
		ids[mark-1] = id
	}
	return ids
}

func (s snapshot) stream(to *bytes.Buffer) {
	for _, file := range slices.Sorted(maps.Keys(s)) {
		e := s[file]
		if e.mode == git.Submodule {
			fmt.Fprintf(to, "M %s %s %s\n", e.mode, e.data, quoted(file))
			continue
		}
		fmt.Fprintf(to, "M %s inline %s\ndata %d\n%s\n", e.mode, quoted(file), len(e.data), e.data)
	}
}

// quoted writes a path as git reads it whatever is in it: each byte by its number.
func quoted(file string) string {
	var b strings.Builder
	for _, c := range []byte(file) {
		fmt.Fprintf(&b, `\%03o`, c)
	}
	return `"` + b.String() + `"`
}
