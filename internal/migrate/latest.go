package migrate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A naming is what a step that builds says itself of the tag `latest`.
type naming struct {
	file   string
	line   int
	latest bool // whether it names the tag, in some cases at least
	always bool // whether each push to the default branch moves it
}

func (w workflow) naming(j job, s step, in scope) naming {
	tags, _ := in.fill(s.With["tags"].text)
	plain := slices.ContainsFunc(list(tags), func(tag string) bool { return strings.HasSuffix(tag, ":latest") })
	n := naming{file: w.file, line: s.With["tags"].line, latest: latestTag.MatchString(tags)}
	n.always = plain && w.pushesDefault() && !slices.ContainsFunc([]string{j.text.If.Value, s.If.Value, s.With["push"].text}, func(condition string) bool {
		return !always.MatchString(strings.TrimSpace(condition))
	})
	return n
}

var latestTag = regexp.MustCompile(`[:'"]latest(['"\s,]|$)`)

// always finds conditions that hold whenever the default branch is pushed to.
var always = regexp.MustCompile(`^(true|(\$\{\{)?\s*(github\.event_name\s*(!=\s*'pull_request'|==\s*'push')|github\.ref(_name)?\s*==\s*'(refs/heads/)?(main|master)')?\s*(\}\})?)$`)

// pushesDefault reports whether pushes to the default branch, as it is mostly called, start the workflow.
func (w workflow) pushesDefault() bool {
	branches := w.filter("push", "branches")
	if len(branches) == 0 {
		return slices.Contains(w.events(), "push") && len(w.filter("push", "tags"))+len(w.filter("push", "branches-ignore"))+len(w.filter("push", "tags-ignore")) == 0
	}
	return slices.ContainsFunc(branches, func(branch string) bool { return slices.Contains([]string{"main", "master", "*", "**"}, branch) })
}

const followsDefault = "type=raw,value=latest,enable={{is_default_branch}}"

// latest keeps the tag where it was: on what the default branch has, where each image had it from there, or else it says how.
func (all *Reading) latest() {
	certain := len(all.Tags) == 0 && len(all.Flavor) == 0 && all.baked == "" && !slices.ContainsFunc(all.named, func(n naming) bool { return !n.always })
	if certain && len(all.named) > 0 {
		all.Tags = append(strings.Split(strings.TrimSpace(service.DefaultTags), "\n"), followsDefault)
		return
	}
	for _, n := range all.named {
		if n.latest && !slices.Contains(all.Tags, followsDefault) {
			all.leave("%s:%d names the tag `latest`, which follows releases here: to have it follow the default branch, too, add the rule %s under `tags`, and beside it the default rules where there is no `tags` yet.", n.file, n.line, followsDefault)
		}
	}
}
