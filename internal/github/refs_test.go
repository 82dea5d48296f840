package github

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/org/ghcr-publish/internal/githubtest"
)

// TestListsOfSeveralPages has the first of what is listed end while the second page is asked for, so that the first of that is on the first page by then.
func TestListsOfSeveralPages(t *testing.T) {
	t.Parallel()
	c, server := startAPI(t)
	var pulls []githubtest.Pull
	var numbers []int
	var branches []string
	for n := range 250 {
		pulls = append(pulls, githubtest.Pull{Number: n + 1, Branch: "b", Open: true})
		numbers, branches = append(numbers, n+1), append(branches, fmt.Sprintf("b%03d", n))
	}
	server.SetPulls(pulls...)
	server.SetBranches(branches...)
	server.Watch(func(r *http.Request) {
		if r.FormValue("page") == "2" {
			server.SetPulls(pulls[1:]...)
			server.SetBranches(branches[1:]...)
		}
	})
	open, err := c.OpenPulls(t.Context())
	if slices.Sort(open); err != nil || !slices.Equal(open, numbers) {
		t.Errorf("%d of %d pull requests are open: %v", len(open), len(numbers), err)
	}
	server.SetBranches(branches...)
	there, err := c.Branches(t.Context())
	if slices.Sort(there); err != nil || !slices.Equal(there, branches) {
		t.Errorf("%d of %d branches are there: %v", len(there), len(branches), err)
	}
	before := server.Requests()
	server.SetPulls(pulls[:100]...)
	if open, err := c.OpenPulls(t.Context()); err != nil || len(open) != 100 || server.Requests() != before+1 {
		t.Errorf("%d are open, by %d requests: %v", len(open), server.Requests()-before, err)
	}
}
