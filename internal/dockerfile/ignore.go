package dockerfile

import (
	"bytes"
	"sync"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// An Ignore decides which files of a context the builder never gets. The zero value lets all through. Several may ask it at the same time.
// https://docs.docker.com/build/concepts/context/#dockerignore-files
type Ignore struct {
	matchers   *sync.Pool // of *patternmatcher.PatternMatcher, which is not safe for several at a time: it compiles a pattern once it comes to it
	exceptions bool
}

// ReadIgnore reads an ignore file's text. What cannot be read lets all through.
func ReadIgnore(text []byte) Ignore {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil || len(patterns) == 0 {
		return Ignore{}
	}
	first, err := patternmatcher.New(patterns)
	if err != nil {
		return Ignore{}
	}
	matchers := &sync.Pool{New: func() any {
		another, _ := patternmatcher.New(patterns) // which went well before
		return another
	}}
	matchers.Put(first)
	return Ignore{matchers, first.Exclusions()}
}

// Matches reports whether a file, named by its slash path relative to the context, is left out.
func (i Ignore) Matches(file string) bool {
	if i.matchers == nil {
		return false
	}
	matcher := i.matchers.Get().(*patternmatcher.PatternMatcher)
	defer i.matchers.Put(matcher)
	hit, err := matcher.MatchesOrParentMatches(file)
	return err == nil && hit
}

// Wholly reports whether a folder is left out with all in it.
func (i Ignore) Wholly(folder string) bool { return !i.exceptions && i.Matches(folder) }
