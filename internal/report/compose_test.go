package report

import (
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/memory"
)

func TestComposition(t *testing.T) {
	t.Parallel()
	c := Composition{File: "/tmp/a|b/compose.yaml", Services: []Composed{{Name: "backend", Image: "ghcr.io/octo/backend", Tag: "main", Digest: sha("a")}, {Name: "auth", Image: "ghcr.io/octo/auth", Tag: "1.0.0", Digest: sha("b")}}}
	want := "### ✅ Wrote /tmp/a&#124;b/compose.yaml of what is live: backend, auth.\n\n| service | tag | image |\n|---|---|---|\n" +
		"| backend | main | ghcr.io/octo/backend&#64;" + sha("a") + " |\n| auth | 1.0.0 | ghcr.io/octo/auth&#64;" + sha("b") + " |\n"
	if got := c.Summary(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	r := Report{Compose: &c, MemoryStats: memory.Stats{SuccessRate: "100%"}}
	r.Fill(nil, true)
	if got := r.Summary(); !strings.Contains(got, "\nWrote /tmp/a&#124;b/compose.yaml of what is live: backend, auth.\n") {
		t.Errorf("the summary tells of no Compose file:\n%s", got)
	}
	checkSchema(t, r)
}
