package carry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/resultstest"
)

// learn has a run write down something, and returns all that it knows.
func (c *Carrier) learn(t *testing.T, keys ...string) []string {
	t.Helper()
	store, err := memory.Open(t.Context(), filepath.Join(c.Workspace, place), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, key := range keys {
		if err := store.Put(t.Context(), memory.Entry{Namespace: "builds", Key: key, Value: []byte(`true`)}); err != nil {
			t.Fatal(err)
		}
	}
	known, err := store.List(t.Context(), "builds", 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range known {
		all = append(all, e.Key)
	}
	slices.Sort(all)
	return all
}

func (c *Carrier) fetch(t *testing.T) []string {
	t.Helper()
	keys, err := c.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (c *Carrier) keep(t *testing.T, key string) {
	t.Helper()
	if err := c.Keep(t.Context(), Prefix+key); err != nil {
		t.Fatal(err)
	}
}

// TestRunsAtTheSameTime begins two runs with the same memory, of which one ends after the other.
func TestRunsAtTheSameTime(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	first := newCarrier(t, server)
	first.learn(t, "before")
	first.keep(t, "1-1-a")
	second, third := newCarrier(t, server), newCarrier(t, server)
	second.fetch(t)
	third.fetch(t)
	second.learn(t, "second")
	second.keep(t, "2-1-a")
	third.learn(t, "third")
	third.Since = time.Now().Add(-time.Minute)
	third.keep(t, "3-1-a")
	if second.Conflicts != 0 || third.Conflicts != 0 {
		t.Errorf("%d and %d conflicts", second.Conflicts, third.Conflicts)
	}
	last := newCarrier(t, server)
	last.fetch(t)
	if got := last.learn(t); !slices.Equal(got, []string{"before", "second", "third"}) {
		t.Errorf("the next run knows %q", got)
	}
}

// TestNothingIsHiddenByWhatIsSaved has the newest memory be out of reach when a run ends, which so does not save its own over it; and then
// be no memory at all, which it does.
func TestNothingIsHiddenByWhatIsSaved(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	first := newCarrier(t, server)
	first.learn(t, "before")
	first.keep(t, "1-1-a")
	second := newCarrier(t, server)
	server.Break("/blobs/", http.StatusNotFound, nil, "")
	if _, err := second.Fetch(t.Context()); err == nil {
		t.Error("it was fetched")
	}
	second.learn(t, "second")
	if err := second.Keep(t.Context(), Prefix+"2-1-a"); err == nil || !strings.Contains(err.Error(), "merging "+Prefix+"1-1-a from the cache") {
		t.Errorf("it was saved over what is out of reach: %v", err)
	}
	server.Forgive()
	second.keep(t, "2-1-a")
	if got := second.learn(t); !slices.Equal(got, []string{"before", "second"}) {
		t.Errorf("afterwards it knows %q", got)
	}
	second.cached(t, Prefix+"3-1-a", byZstd, []byte("nothing of use"))
	second.keep(t, "4-1-a")
	third := newCarrier(t, server)
	if got := third.fetch(t); !slices.Equal(got, []string{Prefix + "4-1-a"}) {
		t.Errorf("the next one fetches %q", got)
	}
}

// TestJobsThatNobodyFinalizes has sixteen jobs of one run keep what they learnt at the same time. The next run lists and merges them; where
// it may not, it has the newest of them, and says so.
func TestJobsThatNobodyFinalizes(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	base := newCarrier(t, server)
	base.learn(t, "before")
	base.keep(t, "1-1-a")
	const jobs = 16
	want := []string{"before"}
	var begun []func()
	for n := range jobs {
		job := newCarrier(t, server)
		want = append(want, fmt.Sprintf("job-%02d", n))
		job.fetch(t) // before any of them is done, so that none knows of another
		begun = append(begun, func() {
			job.learn(t, fmt.Sprintf("job-%02d", n))
			if err := job.save(t.Context(), fmt.Sprintf("%s2-1-%d", Prefix, n)); err != nil {
				t.Error(err)
			}
		})
	}
	var working sync.WaitGroup
	for _, job := range begun {
		working.Go(job)
	}
	working.Wait()
	next := newCarrier(t, server)
	next.List = list(server)
	keys := next.fetch(t)
	if got := next.learn(t); !slices.Equal(got, want) || len(keys) != jobs+1 {
		t.Errorf("the next run knows %q, of %q", got, keys)
	}
	alone := newCarrier(t, server)
	alone.List = func(context.Context, string) ([]github.Cache, error) { return nil, errors.New("no right to know") }
	keys, err := alone.Fetch(t.Context())
	if got := alone.learn(t); len(keys) != 1 || !errors.Is(err, ErrUnlisted) || len(got) != 2 {
		t.Errorf("without the right it knows %q, of %q, %v", got, keys, err)
	}
}

// list lists a server's cache as GitHub's API does.
func list(server *resultstest.Server) func(context.Context, string) ([]github.Cache, error) {
	return func(_ context.Context, prefix string) ([]github.Cache, error) {
		var all []github.Cache
		for _, e := range server.Entries() {
			if strings.HasPrefix(e.Key, prefix) {
				all = append(all, github.Cache{Key: e.Key, Version: e.Version, Ref: e.Ref, CreatedAt: e.Made})
			}
		}
		return all, nil
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	at := func(key, ref string, minutes int) github.Cache {
		return github.Cache{Key: Prefix + key, Ref: ref, CreatedAt: time.Unix(1e9, 0).Add(time.Duration(minutes) * time.Minute)}
	}
	listed := []github.Cache{at("8-1-a", "main", 500), at("7-1-a", "main", 490), at("7-1-b", "feature", 489), at("6-1-a", "main", 441), at("8-1-b", "main", 100), at("5-1-a", "main", 439)}
	keys := func(caches []github.Cache) (keys []string) {
		for _, c := range caches {
			keys = append(keys, strings.TrimPrefix(c.Key, Prefix))
		}
		return keys
	}
	for newest, want := range map[string][]string{
		"8-1-a": {"7-1-a", "6-1-a", "8-1-b"},
		"7-1-b": nil,
		"9-1-a": nil, // which was evicted meanwhile
	} {
		if diff := cmp.Diff(want, keys(near(listed, Prefix+newest))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", newest, diff)
		}
	}
}

// TestMoreJobsThanAreLookedFor says that not all was.
func TestMoreJobsThanAreLookedFor(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	first := newCarrier(t, server)
	first.learn(t, "first")
	first.keep(t, "1-1-0")
	for jobs, want := range map[int]string{mostBeside: "", mostBeside + 3: "not looked for: the oldest 3 of 35"} {
		next := newCarrier(t, server)
		next.List = func(context.Context, string) ([]github.Cache, error) {
			var all []github.Cache
			for n := range jobs + 1 {
				all = append(all, github.Cache{Key: fmt.Sprintf("%s1-1-%d", Prefix, n), Version: version(place, byZstd)})
			}
			return all, nil
		}
		keys, err := next.Fetch(t.Context())
		if len(keys) != 1 || errors.Is(err, ErrUnlisted) != (want != "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("beside %d jobs there are %q, %v", jobs, keys, err)
		}
	}
}

// TestHostileMemoryIsSetAside merges what is no memory, and one that is another tool's.
func TestHostileMemoryIsSetAside(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	c := newCarrier(t, server)
	c.write(t, []byte("SQLite format 3\x00 and nothing that would follow"))
	c.keep(t, "1-1-a")
	other := newCarrier(t, server)
	other.learn(t, "own")
	other.keep(t, "2-1-a")
	if got := other.learn(t); !slices.Equal(got, []string{"own"}) {
		t.Errorf("it knows %q", got)
	}
	if left, _ := os.ReadDir(other.Temp); len(left) > 0 {
		t.Errorf("on the way %v were left", left)
	}
}

// TestWhatIsLeftOfAnotherMemoryIsNotPlayedIntoIt has the log of a memory be where one is brought to that is not its own.
func TestWhatIsLeftOfAnotherMemoryIsNotPlayedIntoIt(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	first, second, other := newCarrier(t, server), newCarrier(t, server), newCarrier(t, server)
	first.learn(t, "first")
	first.keep(t, "1-1-a")
	store, err := memory.Open(t.Context(), filepath.Join(other.Workspace, place), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Put(t.Context(), memory.Entry{Namespace: "builds", Key: "other", Value: []byte(`true`)}); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(other.Workspace, place+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	second.write(t, nil)
	if err := os.WriteFile(filepath.Join(second.Workspace, place+"-wal"), log, 0o644); err != nil {
		t.Fatal(err)
	}
	second.fetch(t)
	if got := second.learn(t); !slices.Equal(got, []string{"first"}) {
		t.Errorf("it knows %q", got)
	}
}
