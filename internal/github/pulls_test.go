package github

import (
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/githubtest"
)

func TestMerged(t *testing.T) {
	t.Parallel()
	server := githubtest.Start(token)
	defer server.Close()
	commit, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
	server.Merge(commit, 7, true)
	server.Merge(commit, 8, false)
	server.Merge(commit, 9, true)
	client := open(t, server)
	if numbers, err := client.Merged(t.Context(), commit); err != nil || !slices.Equal(numbers, []int{7, 9}) {
		t.Errorf("%v, %v", numbers, err)
	}
	if numbers, err := client.Merged(t.Context(), other); err != nil || len(numbers) > 0 {
		t.Errorf("of a commit that came by none: %v, %v", numbers, err)
	}
	server.Fail(1, 404, nil, "")
	if _, err := client.Merged(t.Context(), commit); err == nil || !strings.Contains(err.Error(), "which pull requests commit "+commit) {
		t.Errorf("a refusal is %v", err)
	}
	if problems := server.Problems(); len(problems) > 0 {
		t.Error(problems)
	}
}
