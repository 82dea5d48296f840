package clean

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/tags"
)

// Refs are the branches and pull requests that there are, and the tags that the rules make of them.
type Refs struct {
	Rules    tags.Rules
	Event    tags.Event // of a run on the default branch
	Branches []string
	Open     []int    // pull requests
	Left     []string // branches that pull requests came from which are closed; some may still be there
}

// Tags are what is known of the tags that follow something.
type Tags struct {
	refs Refs
	// follow says for each tag of a branch that there is which one, and deleted for each of one that there was.
	follow, deleted map[string]string
}

// events are those that give the default branch tags.
var events = [...]string{"push", "schedule", "workflow_dispatch"}

// Tags renders the tags of all branches. One that several give is the default branch's.
func (r Refs) Tags() Tags {
	t := Tags{r, map[string]string{}, map[string]string{}}
	for _, branch := range r.Branches {
		for _, tag := range r.ofBranch(branch) {
			if t.follow[tag] == "" || branch == r.Event.DefaultBranch {
				t.follow[tag] = branch
			}
		}
	}
	for _, branch := range r.Left {
		if slices.Contains(r.Branches, branch) {
			continue
		}
		for _, tag := range r.ofBranch(branch) {
			if t.follow[tag] == "" {
				t.deleted[tag] = branch
			}
		}
	}
	return t
}

// ofBranch are the tags that runs of a branch give which tell no commit.
func (r Refs) ofBranch(branch string) (names []string) {
	e := r.Event
	e.Ref = "refs/heads/" + branch
	for _, name := range events {
		e.Name = name
		names = append(names, steady(r.Rules, e)...)
	}
	return names
}

// steady are the tags that rules give whichever the commit is.
func steady(rules tags.Rules, e tags.Event) (names []string) {
	e.SHA = strings.Repeat("0", 40)
	some := rules.Render(e).Names()
	e.SHA = strings.Repeat("1", 40)
	for _, name := range rules.Render(e).Names() {
		if slices.Contains(some, name) {
			names = append(names, name)
		}
	}
	return names
}

// Lives says what a tag follows that there is: a branch, or a pull request that is open. It is empty for all others.
func (t Tags) Lives(tag string) string {
	if branch, ok := t.follow[tag]; ok {
		return fmt.Sprintf("branch %s is there", branch)
	}
	if n, ok := t.pull(tag); ok && slices.Contains(t.refs.Open, n) {
		return fmt.Sprintf("pull request %d is open", n)
	}
	return ""
}

// Over says what a tag followed that there is no more. It is empty for all others.
func (t Tags) Over(tag string) string {
	if n, ok := t.pull(tag); ok && !slices.Contains(t.refs.Open, n) {
		return fmt.Sprintf("pull request %d is closed", n)
	}
	if branch, ok := t.deleted[tag]; ok {
		return fmt.Sprintf("branch %s is deleted", branch)
	}
	return ""
}

var number = regexp.MustCompile(`[0-9]+`)

// pull is the pull request that a tag is of. Each number in it is tried: it is the one whose tag the rules make exactly so, and make
// another of for another.
func (t Tags) pull(tag string) (int, bool) {
	for _, text := range number.FindAllString(tag, -1) {
		n, err := strconv.Atoi(text)
		if err == nil && n > 0 && slices.Contains(t.ofPull(n), tag) && !slices.Contains(t.ofPull(n+1), tag) {
			return n, true
		}
	}
	return 0, false
}

func (t Tags) ofPull(n int) []string {
	e := t.refs.Event
	e.Name, e.Ref = "pull_request", fmt.Sprintf("refs/pull/%d/merge", n)
	return steady(t.refs.Rules, e)
}

// Layers says which branch a cache's tag keeps the layers of, for some of these sets of platforms; empty where that is none there is.
func (t Tags) Layers(tag string, platforms [][]string) string {
	for _, branch := range t.refs.Branches {
		for _, set := range platforms {
			if cache.Tag(branch, set) == tag {
				return branch
			}
		}
	}
	return ""
}
