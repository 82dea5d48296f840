package plan

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// ignoreFileOf returns the ignore file that the builder reads. The Dockerfile's own comes before the
// context's, as BuildKit has it.
func ignoreFileOf(dir, dockerfile string) string {
	own := dockerfile + ".dockerignore"
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return filepath.Join(dir, ".dockerignore")
}

// An ignored decides which files of a context the builder never gets. The zero value lets all through.
type ignored struct {
	matcher    *patternmatcher.PatternMatcher
	exceptions bool
}

// readIgnored reads an ignore file's text. What cannot be read lets all through.
func readIgnored(text []byte) ignored {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil || len(patterns) == 0 {
		return ignored{}
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return ignored{}
	}
	return ignored{matcher, matcher.Exclusions()}
}

func (i ignored) matches(file string) bool {
	if i.matcher == nil {
		return false
	}
	hit, err := i.matcher.MatchesOrParentMatches(file)
	return err == nil && hit
}

// wholly reports whether a folder is ignored with all in it.
func (i ignored) wholly(folder string) bool { return !i.exceptions && i.matches(folder) }
