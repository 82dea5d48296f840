package promote

import (
	"context"
	"errors"
	"testing"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
)

// TestForcedMove goes back where somebody demands it, and says what speaks against it; a version stays all the same.
func TestForcedMove(t *testing.T) {
	t.Parallel()
	s := &shelf{tags: map[string]registry.Image{"main": *revision("d"), "1.0.0": *revision("a"), "lost": *revision("f"), "free": *revision("b")}}
	p := Promoter{Resolve: s.resolve, Tag: s.tag, Versions: rules.Published, IsAncestor: ancestors, Commit: at("c"), Force: true,
		Tip:  func(context.Context) (string, error) { return "", errors.New("no remote") },
		Tags: func(context.Context, string) ([]string, error) { return nil, nil }}
	set := []tags.Tag{{Name: "1.0.0", Kind: tags.Version}, {Name: "main", Kind: tags.Branch}, {Name: "lost", Kind: tags.Branch}, {Name: "free", Kind: tags.Branch}, {Name: "new", Kind: tags.Branch}}
	moves, err := p.Promote(t.Context(), plan.Service{Image: image, TagSet: tags.Set{Tags: set}}, approve(t))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"main": "the newer commit ddddddd is published there",
		"lost": "commit fffffff is published, which this clone does not know, and the branch cannot be asked whether it is newer: no remote (check out with fetch-depth: 0)"}
	for _, m := range moves {
		if moved := s.tags[m.Tag].Ref == ours; moved != (m.Tag != "1.0.0") || moved != (m.Kept == "") || m.Despite != want[m.Tag] {
			t.Errorf("%+v, moved: %v; want it despite %q", m, moved, want[m.Tag])
		}
	}
}
