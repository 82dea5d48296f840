package report

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/verdict"
)

func TestComment(t *testing.T) {
	t.Parallel()
	api := compared("api")
	api.Moves, api.Held = nil, "this run pushes nothing"
	none := 1
	for i := range api.Evidence.Platforms {
		api.Evidence.Platforms[i].Before = &none
		api.Evidence.Platforms[i].Gone = []verdict.Finding{{ID: "CVE-9", Package: "libssl | @x", Severity: "HIGH"}}
	}
	r := filled(false, api, skipped("docs"), refused("web"))
	const golden = "testdata/comment.md"
	if *update {
		if err := os.WriteFile(golden, []byte(r.Comment()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), r.Comment()); diff != "" {
		t.Errorf("comment (-want +got; rewrite with -update):\n%s", diff)
	}
}

// TestCommentHasRoom makes more than a comment may hold.
func TestCommentHasRoom(t *testing.T) {
	t.Parallel()
	var results []publish.Result
	for i := range 800 {
		r := refused(fmt.Sprintf("service-%d", i))
		r.Verdict.Reasons = append(r.Verdict.Reasons, strings.Repeat("#1", 20))
		results = append(results, r)
	}
	comment := filled(false, results...).Comment()
	rows := strings.Count(comment, "\n| ❌&nbsp;")
	if rows == 0 || rows == 800 || len(comment) > 65000 || !strings.Contains(comment, fmt.Sprintf("and %d services more", 800-rows)) || !strings.HasSuffix(comment, "</sub>\n") {
		t.Errorf("%d rows, %d bytes; it ends with %q", rows, len(comment), comment[len(comment)-300:])
	}
}
