package git

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
)

// TestSince compares all commits of a history, and a stranger, with its last, as asking for each by itself does; and
// asks no more often for many than for few.
func TestSince(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.write("same", "1")
	commits := []string{c.commit("first")}
	for i, name := range append(slices.Clone(odd), "plain") {
		c.write(name, "1")
		commits = append(commits, c.commit(name))
		if i%3 == 0 {
			commits = append(commits, c.commit("nothing"))
		}
	}
	c.do("checkout", "--quiet", "-b", "side", commits[1])
	c.write("aside", "1")
	stranger := c.commit("aside")
	c.do("checkout", "--quiet", "-")
	head, missing := commits[len(commits)-1], strings.Repeat("ab", 20)
	asked := 0
	c.Run = func(ctx context.Context, command run.Command) ([]byte, error) {
		asked++
		return run.OS(ctx, command)
	}
	got, err := c.Since(t.Context(), append(slices.Clone(commits), stranger, missing), head)
	if err != nil || asked != 3 {
		t.Fatalf("%v, after %d questions", err, asked)
	}
	want := map[string]Distance{stranger: {}}
	for _, commit := range commits {
		changed, err := c.Changed(t.Context(), commit, head)
		if err != nil {
			t.Fatal(err)
		}
		want[commit] = Distance{Ancestor: true, Changed: changed}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := c.Since(t.Context(), []string{missing}, head); err != nil || len(got) != 0 {
		t.Errorf("of a commit that is not there: %v, %v", got, err)
	}
	if _, err := c.Since(t.Context(), []string{"--output=x"}, head); err == nil {
		t.Error("an option is taken for a commit")
	}
}
