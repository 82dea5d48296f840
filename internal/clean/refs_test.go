package clean

import (
	"testing"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/tags"
)

func TestRefs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rules, tag, lives, over string }{
		{"type=ref,event=pr", "pr-2", "", "pull request 2 is closed"},
		{"type=ref,event=pr", "pr-26", "", "pull request 26 is closed"},
		{"type=ref,event=pr", "pr-267", "pull request 267 is open", ""},
		{"type=ref,event=pr,prefix=v3-pull-,suffix=-x2", "v3-pull-267-x2", "pull request 267 is open", ""},
		{"type=ref,event=pr,prefix=v3-pull-,suffix=-x2", "v3-pull-3-x2", "", "pull request 3 is closed"},
		{"type=ref,event=pr", "mine-2", "", ""},
		{"type=raw,value=edge2", "edge2", "branch main is there", ""},
		{"type=raw,value=edge2,enable={{is_default_branch}}\ntype=ref,event=pr", "edge2", "branch main is there", ""},
		{"type=ref,event=branch", "feature-one", "branch feature/one is there", ""},
		{"type=ref,event=branch", "topic-two", "", "branch topic/two is deleted"},
		{"type=ref,event=branch", "topic", "", ""},
		{"type=ref,event=branch,prefix=b-", "main", "", ""},
		{"type=sha", "sha-0000000", "", ""},
		{"type=schedule,pattern=nightly", "nightly", "branch main is there", ""},
		{"type=edge", "edge", "branch main is there", ""},
	} {
		rules, mistakes := tags.Parse(test.rules)
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		known := Refs{Rules: rules, Event: tags.Event{DefaultBranch: "main"}, Branches: []string{"main", "feature/one"}, Open: []int{267}, Left: []string{"topic/two", "feature/one"}}.Tags()
		if lives, over := known.Lives(test.tag), known.Over(test.tag); lives != test.lives || over != test.over {
			t.Errorf("%s by %s: %q and %q, want %q and %q", test.tag, test.rules, lives, over, test.lives, test.over)
		}
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	both := []string{"linux/amd64", "linux/arm64"}
	known := Refs{Branches: []string{"main", "feature/one"}}.Tags()
	for _, test := range []struct{ tag, want string }{
		{cache.Tag("main", both), "main"}, {cache.Tag("feature/one", both[:1]), "feature/one"}, {cache.Tag("gone", both), ""}, {cache.Tag("main", both[1:]), ""}, {"main", ""},
	} {
		if got := known.Layers(test.tag, [][]string{both, both[:1]}); got != test.want {
			t.Errorf("%s: %q, want %q", test.tag, got, test.want)
		}
	}
}
