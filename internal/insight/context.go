package insight

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/dockerfile"
)

// A File is one of a build context, by its slash path relative to that.
type File struct {
	Path string
	Size int64
}

// mostWalked bounds how many files of a context are looked at.
const mostWalked = 200_000

// Walk lists the files below a folder that an ignore file lets through, as far as they can be read.
func Walk(dir string, ignore dockerfile.Ignore) []File {
	var files []File
	_ = filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, at)
		name = filepath.ToSlash(name)
		switch {
		case err != nil || name == ".":
			return nil
		case len(files) == mostWalked:
			return fs.SkipAll
		case entry.IsDir() && ignore.Wholly(name):
			return fs.SkipDir
		case !entry.IsDir() && !ignore.Matches(name):
			if info, err := entry.Info(); err == nil {
				files = append(files, File{name, info.Size()})
			}
		}
		return nil
	})
	return files
}

// more finds what in a file that says what is installed asks for other files of the sources: scripts that run at the installation, and packages
// that are beside it. By name of the file.
var more = map[string]*regexp.Regexp{
	"package.json":   regexp.MustCompile(`"((pre|post)?install|prepare|workspaces)"\s*:|:\s*"(file|link|workspace):`),
	"go.mod":         regexp.MustCompile(`=>\s*\.`),
	"go.work":        regexp.MustCompile(`(?m)^use\b`),
	"pom.xml":        regexp.MustCompile(`<modules>`),
	"pyproject.toml": regexp.MustCompile(`\bpath\s*=|\bworkspace\b`),
	"Gemfile":        regexp.MustCompile(`\bpath:|:path\b|\bgemspec\b`),
}

// beside finds in a file of pip's requirements what lies beside it.
var beside = regexp.MustCompile(`(?m)^\s*(-e|--editable|-r|--requirement|\.|file:)`)

func asksForMore(file string, text []byte) bool {
	if pattern := more[path.Base(file)]; pattern != nil {
		return pattern.Match(text)
	}
	return strings.HasSuffix(file, ".txt") && beside.Match(text)
}

// leftovers are what editors, CI and interpreters leave behind, which no build reads.
var leftovers = [...]string{".github", ".gitlab", ".circleci", ".vscode", ".idea", ".DS_Store", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".nox",
	".nyc_output", ".terraform"}

// context finds files that were sent and that no instruction uses: all that would take them leave them out, or a later one puts others in
// their place, or they are known to be of no use to any build.
func (p placing) context(b Build) []Advice {
	sent := int64(0)
	for _, s := range b.Steps {
		if s.Name == "[internal] load build context" {
			sent += s.Sent
		}
	}
	if sent < worthSent {
		return nil
	}
	needs := p.needs()
	for _, f := range b.files() {
		needs.keep(f.Path)
	}
	bytes := map[string]int64{} // by line for the ignore file
	unused := int64(0)
	for _, f := range b.files() {
		if line := needs.unused(f.Path); line != "" {
			bytes[line] += f.Size
			unused += f.Size
		}
	}
	unused = min(unused, sent) // the builder may have had some of them
	if unused < worthSent || unused*10 < sent {
		return nil
	}
	maps.DeleteFunc(bytes, func(_ string, n int64) bool { return n*20 < unused })
	ignore := slices.Sorted(maps.Keys(bytes))
	return []Advice{{Kind: "context", Bytes: unused, Ignore: ignore,
		Text: fmt.Sprintf("%s of the %s that were sent to the builder are of no use to any instruction. Lines for the ignore file: %s",
			units.HumanSize(float64(unused)), units.HumanSize(float64(sent)), strings.Join(ignore, " "))}}
}

// needs are what the instructions of a Dockerfile need of the build context.
type needs struct {
	takers  []taker
	exclude map[string]dockerfile.Ignore // what some of them leave out, by its pattern
	idle    map[string]bool              // names of files and folders that none of them needs
}

// A taker is an instruction that takes files.
type taker struct {
	covers func(file string) bool
	leaves dockerfile.Ignore // what it leaves out, where it takes all the rest
	mounts bool
}

func (p placing) needs() needs {
	n := needs{exclude: map[string]dockerfile.Ignore{}, idle: map[string]bool{}}
	for _, name := range leftovers {
		n.idle[name] = true
	}
	var named []string
	for _, stage := range p.stages {
		for _, in := range stage.Instructions {
			if strings.Contains(in.Command, "npm ci") {
				n.idle["node_modules"] = true // https://docs.npmjs.com/cli/commands/npm-ci removes what is there
			}
			if len(in.Sources) > 0 {
				n.takers = append(n.takers, n.taker(in))
			}
			for _, source := range in.Sources {
				named = append(named, strings.Split(source, "/")...)
			}
		}
	}
	for _, name := range named { // for its own sake
		delete(n.idle, name)
	}
	return n
}

func (n needs) taker(in dockerfile.Instruction) taker {
	t := taker{covers: dockerfile.Covers(in.Sources), mounts: in.Name == "RUN"}
	if slices.Equal(in.Sources, []string{"."}) {
		t.leaves = dockerfile.ReadIgnore([]byte(strings.Join(in.Exclude, "\n")))
		for _, pattern := range in.Exclude {
			n.exclude[pattern] = dockerfile.ReadIgnore([]byte(pattern))
		}
	}
	return t
}

// keep gives up the lines for the ignore file that would leave out a file that is used.
func (n needs) keep(file string) {
	taken, mounted := false, false
	for _, t := range n.takers {
		if t.covers(file) {
			taken, mounted = taken || !t.leaves.Matches(file), mounted || t.mounts
		}
	}
	if name := n.idleName(file); name != "" && mounted {
		delete(n.idle, name)
	}
	maps.DeleteFunc(n.exclude, func(_ string, pattern dockerfile.Ignore) bool { return (taken || mounted) && pattern.Matches(file) })
}

func (n needs) idleName(file string) string {
	for name := range strings.SplitSeq(file, "/") {
		if n.idle[name] {
			return name
		}
	}
	return ""
}

// unused is the line for the ignore file by which a file that is sent and not used would not be sent; empty where there is none.
func (n needs) unused(file string) string {
	if !slices.ContainsFunc(n.takers, func(t taker) bool { return t.covers(file) }) {
		return ""
	}
	if name := n.idleName(file); name != "" {
		return "**/" + name
	}
	for _, pattern := range slices.Sorted(maps.Keys(n.exclude)) {
		if n.exclude[pattern].Matches(file) {
			return pattern
		}
	}
	return ""
}
