package plan

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// selector tells which files a list of patterns selects. Patterns are read as in .gitignore: one without a
// slash matches at any depth, a folder stands for all in it, "!" takes files out again, and the last pattern that
// matches a file decides. They are read once, so that asking for each file of a large repository costs little. Of a
// submodule git tells its link alone, so a pattern for something in it selects the link.
func selector(patterns []string, links map[string]bool) func(file string) bool {
	read := make([]pattern, len(patterns))
	for i, text := range patterns {
		read[i] = newPattern(text)
	}
	return func(file string) bool {
		for i := len(read) - 1; i >= 0; i-- {
			if read[i].matches(file) {
				return !read[i].negative
			}
			if links[file] && !read[i].negative && read[i].reaches(file) {
				return true
			}
		}
		return false
	}
}

// A pattern is one of a list.
type pattern struct {
	glob     string
	literal  string // what each file that it matches begins with
	negative bool
	inside   bool // it names a folder, so never a file
}

func newPattern(text string) pattern {
	var p pattern
	p.glob, p.negative = strings.CutPrefix(text, "!")
	if p.glob == "." || p.glob == "./" {
		p.glob = "**" // the repository itself
	}
	if rest, ok := strings.CutPrefix(p.glob, "./"); ok {
		p.glob = "/" + rest
	}
	p.glob, p.inside = strings.CutSuffix(p.glob, "/")
	if !strings.Contains(p.glob, "/") {
		p.glob = "**/" + p.glob
	}
	p.glob = strings.TrimPrefix(p.glob, "/")
	p.literal = p.glob
	if i := strings.IndexAny(p.glob, `*?[{\`); i >= 0 {
		p.literal = p.glob[:i]
	}
	p.literal = strings.TrimRight(p.literal, "/")
	return p
}

func (p pattern) matches(file string) bool {
	if !strings.HasPrefix(file, p.literal) {
		return false
	}
	// An ill-formed pattern matches nothing; the configuration was proven before.
	return !p.inside && doublestar.MatchUnvalidated(p.glob, file) || doublestar.MatchUnvalidated(p.glob+"/**/*", file)
}

// reaches reports whether the pattern may match something below a folder.
func (p pattern) reaches(folder string) bool {
	parts, levels := strings.Split(p.glob, "/"), strings.Split(folder, "/")
	for i, level := range levels {
		if i == len(parts)-1 && parts[i] != "**" {
			return false // it ends above the folder, or at it
		}
		if parts[i] == "**" {
			return true
		}
		if !doublestar.MatchUnvalidated(parts[i], level) {
			return false
		}
	}
	return true
}
