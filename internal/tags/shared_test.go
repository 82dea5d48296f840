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

// TestLatest says what the tag latest follows, by the rules that give it.
func TestLatest(t *testing.T) {
	t.Parallel()
	const semver, raw, trunk = "type=semver,pattern={{version}}", "type=raw,value=latest", "type=raw,value=latest,enable={{is_default_branch}}"
	for _, c := range []struct {
		rules, ref string
		want       Kind // empty where there is no such tag
	}{
		{semver, "refs/tags/v1.2.3", Release},
		{semver, "refs/tags/v1.2.3-rc.1", ""},
		{semver, "refs/heads/main", ""},
		{semver + "\n" + raw, "refs/tags/v1.2.3", Release},
		{semver + "\n" + raw, "refs/tags/v1.2.3-rc.1", Branch},
		{semver + "\n" + raw, "refs/heads/main", Branch},
		{semver + "\n" + raw, "refs/heads/feature", Branch},
		{semver + "\n" + trunk, "refs/tags/v1.2.3", Release},
		{semver + "\n" + trunk, "refs/tags/v1.2.3-rc.1", ""},
		{semver + "\n" + trunk, "refs/heads/main", Branch},
		{semver + "\n" + trunk, "refs/heads/feature", ""},
		{raw + ",priority=1000\n" + semver, "refs/tags/v1.2.3", Branch}, // which is no release by its first rule
	} {
		rules, mistakes := Parse(c.rules)
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		rules.Flavor.Latest = "auto"
		var got []Kind
		for _, tag := range rules.Render(Event{Name: "push", Ref: c.ref, DefaultBranch: "main"}).Tags {
			if tag.Name == "latest" {
				got = append(got, tag.Kind)
			}
		}
		if len(got) > 1 || slices.Concat(got, []Kind{""})[0] != c.want {
			t.Errorf("%q on %s gives latest as %q, want %q", c.rules, c.ref, got, c.want)
		}
	}
}
