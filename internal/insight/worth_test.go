package insight

import (
	"bytes"
	"fmt"
	"slices"
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
	build("unknown", "gha", true, cache.Gave{Tier: "gha", Hits: 1, Seconds: 2}) // what it saved, nobody remembers
	written = append(written, memory.Entry{Value: []byte("no JSON")}, memory.Entry{Value: []byte(`{"service": 1}`)}, memory.Entry{Value: []byte(`{"service": "old", "steps": []}`)})
	want := map[string]map[string]cache.Worth{
		"api":  {"gha": {Builds: 2, Spent: 2.5, Saved: 40}},
		"web":  {"registry": {Builds: 1, Spent: 9}},
		"docs": {}, "old": {}, "unknown": {},
	}
	if diff := cmp.Diff(want, Worth(written)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// cachedBuild is an entry of a build that wrote to a tier, whose step "RUN install" came from the cache or took as long as is said.
func cachedBuild(writes string, hits int, step Step) memory.Entry {
	made, err := OfServices(Run{Services: []Service{{Name: "api", Account: Account{Steps: []Step{step}},
		Cache: cache.Use{Policy: cache.Policy{Writes: writes}, Tiers: []cache.Gave{{Tier: "gha", Hits: hits, Seconds: 1}}}}}})
	if err != nil {
		panic(err)
	}
	return made[1]
}

// TestWorthOfWhatIsRare is that of a tier which seldom saves anything, and much then: a dependency changes in most builds.
func TestWorthOfWhatIsRare(t *testing.T) {
	t.Parallel()
	fast, slow := Step{Name: "[1/2] WORKDIR /app", Cached: true}, Step{Name: "[1/2] RUN install", Cached: true}
	entries := []memory.Entry{cachedBuild("gha", 1, fast), cachedBuild("gha", 1, slow), cachedBuild("gha", 1, fast), cachedBuild("gha", 1, fast),
		cachedBuild("gha", 0, Step{Name: "[1/2] WORKDIR /app"}), cachedBuild("gha", 0, Step{Name: "[1/2] RUN install", Seconds: 40})}
	if got := Worth(entries)["api"]["gha"]; got.Builds != 4 || got.Saved != 10 || got.Spent != 1 {
		t.Errorf("worth %+v", got)
	}
}

// TestWorthOfWhatIsNeverOfUse is that of a tier which is written to by every build, and has nothing for the next: all comes after the sources.
func TestWorthOfWhatIsNeverOfUse(t *testing.T) {
	t.Parallel()
	wrote := cachedBuild("gha", 0, Step{Name: "[1/2] COPY . .", Seconds: 40})
	wrote.Value = bytes.Replace(wrote.Value, []byte(`"layers_written":0`), []byte(`"layers_written":3`), 1)
	for n, want := range []cache.Worth{{}, {}, {Builds: 1, Spent: 1}, {Builds: 2, Spent: 1}, {Builds: 3, Spent: 1}} {
		if got := Worth(slices.Repeat([]memory.Entry{wrote}, n))["api"]["gha"]; got != want {
			t.Errorf("after %d builds: %+v, want %+v", n, got, want)
		}
	}
}

// TestWorthOfWhatWasDoneForAnother finds how long an instruction took that another service's build did at the same time, under its own name.
func TestWorthOfWhatWasDoneForAnother(t *testing.T) {
	t.Parallel()
	entries := []memory.Entry{cachedBuild("gha", 1, Step{Name: "[linux/amd64 3/6] RUN install", Platform: "linux/amd64", Cached: true}),
		cachedBuild("gha", 0, Step{Name: "[linux/amd64 3/7] RUN install", Platform: "linux/amd64", Seconds: 40})}
	if got := Worth(entries)["api"]["gha"]; got.Builds != 1 || got.Saved != 40 {
		t.Errorf("worth %+v", got)
	}
}

// TestWorthIsForgotten where a tier that did not pay is not written to any more: it may pay by now.
func TestWorthIsForgotten(t *testing.T) {
	t.Parallel()
	kept := Step{Name: "[1/2] RUN install", Cached: true} // by the builder
	entries := []memory.Entry{cachedBuild("gha", 0, kept), cachedBuild("gha", 0, kept), cachedBuild("gha", 0, kept)}
	if got := Worth(entries)["api"]["gha"]; got.Builds != 3 || got.Saved != 0 {
		t.Errorf("worth %+v", got)
	}
	for range looked - 2 {
		entries = append([]memory.Entry{cachedBuild("off", 0, kept)}, entries...)
	}
	if got := Worth(entries)["api"]["gha"]; got.Builds != 2 {
		t.Errorf("after %d builds without it: worth %+v", looked-2, got)
	}
}
