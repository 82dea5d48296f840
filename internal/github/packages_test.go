package github

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/githubtest"
)

func startAPI(t *testing.T) (*Client, *githubtest.Server) {
	t.Helper()
	server := githubtest.Start(token)
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		if problems := server.Problems(); len(problems) > 0 {
			t.Errorf("GitHub refused %q", problems)
		}
	})
	return open(t, server), server
}

func TestDeleteTagged(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"orgs", "users"} {
		c, server := startAPI(t)
		var want []int
		var gone []string
		for n := range 130 { // which is more than one page
			tag := "memory-" + strings.Repeat("x", n)
			id := server.Publish(kind, "octo", "memory", tag)
			if n%2 == 0 {
				gone = append(gone, tag)
			} else {
				want = append(want, id)
			}
		}
		want = append(want, server.Publish(kind, "octo", "memory", gone[0], "v1"), server.Publish(kind, "octo", "memory"))
		if err := c.DeleteTagged(t.Context(), "octo", "memory", gone); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if got := server.Versions(kind, "octo", "memory"); !slices.Equal(got, want) {
			t.Errorf("%s: there are %v, want %v", kind, got, want)
		}
		if err := c.DeleteTagged(t.Context(), "octo", "another", gone); err == nil || !strings.Contains(err.Error(), "deleting versions of the package another of octo") {
			t.Errorf("%s: of a package that is not there: %v", kind, err)
		}
	}
}

func TestDeleteTaggedRefused(t *testing.T) {
	t.Parallel()
	c, server := startAPI(t)
	id := server.Publish("orgs", "octo", "memory", "a")
	server.Fail(1, http.StatusForbidden, nil, `{"message":"Resource not accessible by integration"}`)
	if err := c.DeleteTagged(t.Context(), "octo", "memory", []string{"a"}); err == nil || !strings.Contains(err.Error(), "not accessible") {
		t.Errorf("got %v", err)
	}
	if got := server.Versions("orgs", "octo", "memory"); !slices.Equal(got, []int{id}) {
		t.Errorf("there are %v", got)
	}
}

func TestCaches(t *testing.T) {
	t.Parallel()
	c, server := startAPI(t)
	if _, err := c.Caches(t.Context(), "memory-"); err == nil || !strings.Contains(err.Error(), "the token lacks `actions: read`") {
		t.Errorf("without the right: %v", err)
	}
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server.ListCaches(func() []githubtest.Cache {
		return []githubtest.Cache{{Ref: "refs/heads/main", Key: "memory-2", Version: "v", Made: made}, {Ref: "refs/heads/main", Key: "other-1", Version: "v", Made: made}}
	})
	got, err := c.Caches(t.Context(), "memory-")
	if diff := cmp.Diff([]Cache{{Key: "memory-2", Version: "v", Ref: "refs/heads/main", CreatedAt: made}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
