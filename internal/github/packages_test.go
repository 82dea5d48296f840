package github

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v62/github"
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

// TestDeleteTaggedWithheld has GitHub not find what it lists, which is how it refuses some tokens, and what somebody else has deleted meanwhile.
func TestDeleteTaggedWithheld(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deleted bool
		want    error
	}{"withheld": {false, ErrWithheld}, "deleted meanwhile": {true, nil}} {
		client, server := startAPI(t)
		server.Publish("orgs", "octo", "memory", "b")
		server.Publish("orgs", "octo", "memory", "a")
		p, err := client.Package(t.Context(), "octo", "memory")
		if err != nil {
			t.Fatal(err)
		}
		listed, err := p.Versions(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		server.Watch(func(r *http.Request) {
			if r.Method != http.MethodDelete {
				return
			}
			once.Do(func() {
				server.Fail(1, http.StatusNotFound, nil, `{"message":"Package not found."}`)
				if c.deleted {
					server.Remove("orgs", "octo", "memory", listed[0].Digest)
				}
			})
		})
		if err := client.DeleteTagged(t.Context(), "octo", "memory", []string{"a"}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestPackage has packages with a name of several parts, whoever owns them.
func TestPackage(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"orgs", "users"} {
		c, server := startAPI(t)
		first, second := server.Publish(kind, "octo", "mono/app", "v1"), server.Publish(kind, "octo", "mono/app")
		p, err := c.Package(t.Context(), "octo", "mono/app")
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		found, err := p.Versions(t.Context(), false)
		if err != nil || len(found) != 2 || found[1].ID != int64(first) || !slices.Equal(found[1].Tags, []string{"v1"}) || found[0].Tags == nil || !found[0].Created.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
			t.Errorf("%s: there are %v, %v", kind, found, err)
		}
		if v, there, err := p.Version(t.Context(), int64(second)); err != nil || !there || v.Digest != found[0].Digest {
			t.Errorf("%s: found %v, %v, %v", kind, v, there, err)
		}
		for _, want := range []error{nil, ErrAbsent} {
			if err := p.Delete(t.Context(), int64(second)); !errors.Is(err, want) {
				t.Errorf("%s: deleting: %v, want %v", kind, err, want)
			}
		}
		if _, there, err := p.Version(t.Context(), int64(second)); err != nil || there {
			t.Errorf("%s: after that: %v, %v", kind, there, err)
		}
		gone, err := p.Versions(t.Context(), true)
		if err != nil || len(gone) != 1 || gone[0].ID != int64(second) {
			t.Errorf("%s: deleted are %v, %v", kind, gone, err)
		}
		if err := p.Restore(t.Context(), int64(second)); err != nil {
			t.Errorf("%s: restoring: %v", kind, err)
		}
		if got := server.Versions(kind, "octo", "mono/app"); !slices.Equal(got, []int{first, second}) {
			t.Errorf("%s: in the end there are %v", kind, got)
		}
	}
}

func TestPackageRefuses(t *testing.T) {
	t.Parallel()
	c, server := startAPI(t)
	last, other := server.Publish("orgs", "octo", "app", "v1"), server.Publish("orgs", "octo", "app")
	p, err := c.Package(t.Context(), "octo", "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), int64(last)); !errors.Is(err, ErrUndeletable) || !strings.Contains(err.Error(), "last tagged version") {
		t.Errorf("the last with a tag: %v", err)
	}
	if _, err := c.Package(t.Context(), "octo", "another"); !errors.Is(err, ErrNoPackage) {
		t.Errorf("another: %v", err)
	}
	server.Fail(1, http.StatusForbidden, nil, `{"message":"Resource not accessible by integration"}`)
	if err := p.Delete(t.Context(), int64(other)); err == nil || !strings.Contains(err.Error(), "role Admin") {
		t.Errorf("without the right: %v", err)
	}
	later := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	server.Fail(1, http.StatusForbidden, http.Header{"X-Ratelimit-Limit": {"1000"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {later}}, `{"message":"API rate limit exceeded"}`)
	if err := p.Delete(t.Context(), int64(other)); !errors.Is(err, ErrSpent) {
		t.Errorf("without a budget: %v", err)
	}
	if _, _, err := p.Version(t.Context(), int64(other)); !errors.Is(err, ErrSpent) {
		t.Errorf("after that: %v", err)
	}
}

// TestPackageLeavesBudget to other jobs.
func TestPackageLeavesBudget(t *testing.T) {
	t.Parallel()
	p := &Package{left: reserve}
	if err := p.afford(); err != nil {
		t.Error(err)
	}
	p.note(&github.Response{Rate: github.Rate{Limit: 1000, Remaining: reserve - 1}})
	if err := p.afford(); !errors.Is(err, ErrSpent) {
		t.Errorf("with %d requests left: %v", p.left, err)
	}
}

func TestPackageOf(t *testing.T) {
	t.Parallel()
	if owner, name := PackageOf("ghcr.io/octo/mono/app"); owner != "octo" || name != "mono/app" {
		t.Errorf("%s, %s", owner, name)
	}
}

func TestRefs(t *testing.T) {
	t.Parallel()
	c, server := startAPI(t)
	server.SetBranches("main", "feature/one")
	server.SetPulls(githubtest.Pull{Number: 7, Branch: "one", Open: true}, githubtest.Pull{Number: 8, Branch: "two"})
	branches, err := c.Branches(t.Context())
	if diff := cmp.Diff([]string{"main", "feature/one"}, branches); diff != "" || err != nil {
		t.Errorf("branches: %v\n%s", err, diff)
	}
	open, err := c.OpenPulls(t.Context())
	if diff := cmp.Diff([]int{7}, open); diff != "" || err != nil {
		t.Errorf("open: %v\n%s", err, diff)
	}
	left, err := c.LeftBranches(t.Context())
	if diff := cmp.Diff([]string{"two"}, left); diff != "" || err != nil {
		t.Errorf("left: %v\n%s", err, diff)
	}
	for want, ask := range map[string]func() error{
		"`contents: read`":      func() error { _, err := c.Branches(t.Context()); return err },
		"`pull-requests: read`": func() error { _, err := c.OpenPulls(t.Context()); return err },
	} {
		server.Fail(1, http.StatusForbidden, nil, `{"message":"Resource not accessible by integration"}`)
		if err := ask(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
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
