package plan

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// matching returns the files that a list of patterns selects. Patterns are read as in .gitignore:
// one without a slash matches at any depth, a folder stands for all in it, "!" takes files out
// again, and the last pattern that matches a file decides.
func matching(patterns, files []string) []string {
	var hits []string
	for _, file := range files {
		selected := false
		for _, pattern := range patterns {
			negative := strings.HasPrefix(pattern, "!")
			if matchPath(strings.TrimPrefix(pattern, "!"), file) {
				selected = !negative
			}
		}
		if selected {
			hits = append(hits, file)
		}
	}
	return hits
}

func matchPath(pattern, file string) bool {
	if pattern == "." || pattern == "./" {
		return true // the repository itself
	}
	if rest, ok := strings.CutPrefix(pattern, "./"); ok {
		pattern = "/" + rest
	}
	inside := strings.HasSuffix(pattern, "/") // names a folder, so never a file
	pattern = strings.TrimSuffix(pattern, "/")
	if !strings.Contains(pattern, "/") {
		pattern = "**/" + pattern
	}
	pattern = strings.TrimPrefix(pattern, "/")
	// An ill-formed pattern matches nothing; the configuration was proven before.
	return !inside && doublestar.MatchUnvalidated(pattern, file) || doublestar.MatchUnvalidated(pattern+"/**/*", file)
}
