package insight

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/memory"
)

// TestWorth reads back what OfServices writes.
func TestWorth(t *testing.T) {
	t.Parallel()
	var written []memory.Entry
	build := func(service, writes string, cachedToo bool, tiers ...cache.Gave) {
		steps := []Step{{Name: "[1/2] RUN install", Seconds: 40}, {Name: "[2/2] RUN make", Seconds: 5}}
		if cachedToo {
			steps[0] = Step{Name: "[1/2] RUN install", Seconds: 0.1, Cached: true}
		}
		entries, err := OfServices(Run{ID: fmt.Sprint(len(written)), Services: []Service{{Name: service, Account: Account{Steps: steps}, Cache: cache.Use{Policy: cache.Policy{Writes: writes}, Tiers: tiers}}}})
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, entries...)
	}
	build("api", "gha", false, cache.Gave{Tier: "gha", Seconds: 6}) // which had nothing yet
	build("api", "gha", true, cache.Gave{Tier: "gha", Hits: 1, Seconds: 2})
	build("api", "gha", true, cache.Gave{Tier: "gha", Hits: 1, Seconds: 3}, cache.Gave{Tier: "registry", Seconds: 0.5})
	build("web", "registry", true, cache.Gave{Tier: "registry", Seconds: 9}) // the builder had it all
	build("docs", "off", false)
	written = append(written, memory.Entry{Value: []byte("no JSON")}, memory.Entry{Value: []byte(`{"service": 1}`)}, memory.Entry{Value: []byte(`{"service": "old", "steps": []}`)})
	want := map[string]map[string]cache.Worth{
		"api":  {"gha": {Builds: 3, Spent: 3, Saved: 40}},
		"web":  {"registry": {Builds: 1, Spent: 9}},
		"docs": {}, "old": {},
	}
	if diff := cmp.Diff(want, Worth(written)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
