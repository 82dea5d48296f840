package release

import (
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/git"
)

// A Group is the changes of one kind, each in a sentence, the newest first.
type Group struct {
	Title   string
	Changes []string
}

// header is the first line of a conventional commit: https://www.conventionalcommits.org/en/v1.0.0/#specification
var header = regexp.MustCompile(`^([A-Za-z]+)(?:\(([^()]+)\))?(!)?: +(.+)$`)

// breaking is the footer of one that breaks what worked.
var breaking = regexp.MustCompile(`(?m)^BREAKING[ -]CHANGE: `)

const others = "Other changes"

// titles are those of the kinds that people who use an image want to know of; what has another one is among others.
var titles = []struct{ kind, title string }{{"!", "Breaking changes"}, {"feat", "Features"}, {"fix", "Fixes"}, {"perf", "Faster"}, {"", others}}

// inside are the kinds of changes that no image shows.
var inside = []string{"build", "chore", "ci", "docs", "refactor", "style", "test"}

// Groups sorts changes by what conventional commits say of them. Of a message that is none, the first line is the change.
func Groups(changes []git.Change) []Group {
	by := map[string][]string{}
	for _, c := range changes {
		kind, text := kindOf(c.Message)
		if text != "" {
			by[kind] = append(by[kind], text+" ("+git.Short(c.ID)+")")
		}
	}
	var groups []Group
	for _, t := range titles {
		if len(by[t.kind]) > 0 {
			groups = append(groups, Group{t.title, by[t.kind]})
		}
	}
	return groups
}

// kindOf returns one of the kinds of titles, and what was done; nothing for what no image shows.
func kindOf(message string) (kind, text string) {
	first, rest, _ := strings.Cut(strings.TrimSpace(message), "\n")
	parts := header.FindStringSubmatch(first)
	if parts == nil {
		return "", strings.TrimSpace(first)
	}
	kind, text = strings.ToLower(parts[1]), parts[4]
	if parts[2] != "" {
		text = parts[2] + ": " + text
	}
	switch {
	case parts[3] != "" || breaking.MatchString(rest):
		return "!", text
	case slices.Contains(inside, kind):
		return "", ""
	case kind == "feat" || kind == "fix" || kind == "perf":
		return kind, text
	default:
		return "", text
	}
}
