package tags

import (
	"slices"
	"testing"
)

// TestShared tells tags that the default branch gives as well from those that are a branch's own.
func TestShared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, ref string
		shared    bool
	}{
		{"type=raw,value=latest", "refs/heads/feature", true},
		{"type=raw,value=latest", "refs/tags/v1.2.3", true},
		{"type=raw,value=latest", "refs/heads/main", false},
		{"type=raw,value=latest,enable={{is_not_default_branch}}", "refs/heads/feature", false},
		{"type=raw,value={{branch}}", "refs/heads/feature", false},
		{"type=raw,value=latest,suffix=-{{branch}}", "refs/heads/feature", false},
		{"type=raw,value=feat-x,enable=true", "refs/heads/feat/x", false},
		{"type=raw,value=feat-x,enable=true", "refs/heads/feat/y", true},
		{"type=ref,event=branch", "refs/heads/feature", false},
		{"type=edge,branch=feature", "refs/heads/feature", false},
	} {
		rules, mistakes := Parse(c.rule)
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		set := rules.Render(Event{Name: "push", Ref: c.ref, DefaultBranch: "main"})
		if len(set.Tags) == 0 || slices.ContainsFunc(set.Tags, func(tag Tag) bool { return tag.Shared != c.shared }) {
			t.Errorf("%s on %s gives %+v; want shared: %v", c.rule, c.ref, set.Tags, c.shared)
		}
	}
	rules, _ := Parse("type=raw,value=latest")
	if set := rules.Render(Event{Name: "push", Ref: "refs/heads/feature"}); set.Tags[0].Shared {
		t.Error("shared with a default branch that nobody knows")
	}
}
