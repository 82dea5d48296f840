package insight

import (
	"fmt"
	"io/fs"
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

// leftovers are what tools leave behind, which no build reads.
var leftovers = [...]string{".github", ".gitlab", ".circleci", ".vscode", ".idea", "**/.DS_Store", "**/__pycache__", "**/.pytest_cache", "**/.mypy_cache", "**/.ruff_cache", "**/.tox",
	"**/.nox", "**/.nyc_output", "**/.terraform"}

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
	bytes := map[string]int64{} // by line for the ignore file
	unused := int64(0)
	lines := p.unused()
	for _, f := range b.files() {
		if i := slices.IndexFunc(lines, func(l line) bool { return l.ignore.Matches(f.Path) }); i >= 0 && !p.uses(f.Path, lines[i]) {
			bytes[lines[i].text] += f.Size
			unused += f.Size
		}
	}
	unused = min(unused, sent) // the builder may have had some of them
	if unused < worthSent || unused*10 < sent {
		return nil
	}
	var ignore []string
	for text, n := range bytes {
		if n*20 >= unused {
			ignore = append(ignore, text)
		}
	}
	slices.Sort(ignore)
	return []Advice{{Kind: "context", Bytes: unused, Ignore: ignore,
		Text: fmt.Sprintf("%s of the %s that were sent to the builder are of no use to any instruction. Lines for the ignore file: %s",
			units.HumanSize(float64(unused)), units.HumanSize(float64(sent)), strings.Join(ignore, " "))}}
}

// A line is one for the ignore file.
type line struct {
	text   string
	ignore dockerfile.Ignore
	// replaced tells that an instruction takes the files, and a later one puts others in their place, or nothing reads them.
	replaced bool
}

// unused are the lines that may be right for the Dockerfile.
func (p placing) unused() []line {
	var lines []line
	add := func(text string, replaced bool) {
		if !strings.HasPrefix(text, "!") && !slices.ContainsFunc(lines, func(l line) bool { return l.text == text }) {
			lines = append(lines, line{text, dockerfile.ReadIgnore([]byte(text)), replaced})
		}
	}
	for _, stage := range p.stages {
		for _, in := range stage.Instructions {
			for _, pattern := range in.Exclude {
				add(pattern, false)
			}
			if found, _ := installs(in.Command); slices.ContainsFunc(found.managers, func(m manager) bool { return m.program == "npm" }) && strings.Contains(in.Command, "npm ci") {
				add("**/node_modules", true) // https://docs.npmjs.com/cli/commands/npm-ci removes what is there
			}
		}
	}
	for _, text := range leftovers {
		add(text, true)
	}
	return lines
}

// uses reports whether an instruction takes a file for its own sake: it does not leave it out, and does not take it only with the whole folder that
// it lies in.
func (p placing) uses(file string, l line) bool {
	for _, stage := range p.stages {
		for _, in := range stage.Instructions {
			if len(taken(in, []string{file})) == 0 {
				continue
			}
			left := in.Name != "RUN" && slices.Equal(in.Sources, []string{"."}) && dockerfile.ReadIgnore([]byte(strings.Join(in.Exclude, "\n"))).Matches(file)
			named := slices.ContainsFunc(in.Sources, func(source string) bool { return l.ignore.Matches(source) || l.ignore.Matches(source+"/x") })
			if !left && (!l.replaced || named || in.Name == "RUN") {
				return true
			}
		}
	}
	return false
}
