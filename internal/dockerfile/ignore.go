package dockerfile

import (
	"bytes"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// An Ignore decides which files of a context the builder never gets. The zero value lets all through.
// https://docs.docker.com/build/concepts/context/#dockerignore-files
type Ignore struct {
	matcher    *patternmatcher.PatternMatcher
	exceptions bool
}

// ReadIgnore reads an ignore file's text. What cannot be read lets all through.
func ReadIgnore(text []byte) Ignore {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil || len(patterns) == 0 {
		return Ignore{}
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return Ignore{}
	}
	return Ignore{matcher, matcher.Exclusions()}
}

// Matches reports whether a file, named by its slash path relative to the context, is left out.
func (i Ignore) Matches(file string) bool {
	if i.matcher == nil {
		return false
	}
	hit, err := i.matcher.MatchesOrParentMatches(file)
	return err == nil && hit
}

// Wholly reports whether a folder is left out with all in it.
func (i Ignore) Wholly(folder string) bool { return !i.exceptions && i.Matches(folder) }
