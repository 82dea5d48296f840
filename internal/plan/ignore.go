package plan

import (
	"bytes"
	"path"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/org/ghcr-publish/internal/service"
)

// ignoreFiles are the places where an ignore file may be; the builder reads the first that is there, so the
// Dockerfile's own comes before the context's.
func ignoreFiles(s service.Service) []string {
	ofContext := path.Join(s.Context, ".dockerignore")
	if s.Dockerfile == "" {
		return []string{ofContext}
	}
	return []string{s.Dockerfile + ".dockerignore", ofContext}
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
