package insight

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/memory"
)

func TestWhatIsNewSinceTheLastRescan(t *testing.T) {
	t.Parallel()
	entries, err := OfLive("octo-org/shop", "7-1", []Live{{Service: "api", Findings: []string{"a", "b"}}, {Service: "web"}})
	if err != nil {
		t.Fatal(err)
	}
	entries = append(entries, memory.Entry{Key: "other", Value: []byte(`{"service": "api"}`)}, memory.Entry{Key: "broken", Value: []byte(`1`)})
	last := LastLive(entries)
	if len(last) != 2 {
		t.Errorf("last %+v", last)
	}
	added, gone := Live{Findings: []string{"b", "c"}}.Since(last["api"])
	if diff := cmp.Diff([][]string{{"c"}, {"a"}}, [][]string{added, gone}); diff != "" {
		t.Errorf("since then (-want +got):\n%s", diff)
	}
}

// TestEachRepositoryHasItsOwnLastRescan has repositories with services of one name share a memory, one of which was named by the service alone before.
func TestEachRepositoryHasItsOwnLastRescan(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	known := map[string]memory.Entry{}
	remember := func(repository, run, finding string, at time.Time) {
		entries, err := OfLive(repository, run, []Live{{Service: "api", Findings: []string{finding}, EndedAt: at}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if run == "old" {
				e.Key = "api"
			}
			if e.Namespace == "live" {
				known[e.Key] = e
			}
		}
	}
	last := func(repository string) string {
		return strings.Join(LastLive(Own(slices.Collect(maps.Values(known)), repository))["api"].Findings, " ")
	}
	remember("octo-org/shop", "old", "a", at)
	if got := last("octo-org/shop"); got != "a" {
		t.Errorf("by the old name %q", got)
	}
	if got := last("octo-org/other"); got != "" {
		t.Errorf("of another repository %q", got)
	}
	remember("octo-org/shop", "8-1", "b", at.Add(time.Hour))
	remember("octo-org/other", "9-1", "c", at.Add(2*time.Hour))
	if shop, other := last("octo-org/shop"), last("octo-org/other"); shop != "b" || other != "c" {
		t.Errorf("%q and %q", shop, other)
	}
}

func TestRescans(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var known []memory.Entry
	for i, run := range []string{"8-1", "7-1"} { // the newest first
		entries, err := OfLive("octo-org/shop", run, []Live{{Service: "api", EndedAt: at.Add(-time.Duration(i) * time.Hour), Images: 2, Counts: map[string]int{"HIGH": 3 - i, "LOW": -1}}})
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, entries...)
	}
	// What somebody else wrote is none, nor is what a program wrote that did not count.
	for key, value := range map[string]string{"api:1-1": `{"service":"web","images":1,"endedAt":"2026-05-01T12:00:00Z"}`, "api:2-1": `{"service":"api","endedAt":"2026-05-01T12:00:00Z"}`, "api:3-1": `{"service":"api","images":1}`, "api:4-1": `[]`, ":5-1": `{"images":1,"endedAt":"2026-05-01T12:00:00Z"}`} {
		known = append(known, memory.Entry{Namespace: "rescans", Key: key, Value: []byte(value)})
	}
	known = slices.DeleteFunc(known, func(e memory.Entry) bool { return e.Namespace != "rescans" })
	want := []Rescan{{"7-1", "octo-org/shop", "api", 2, map[string]int{"HIGH": 2}, at.Add(-time.Hour)}, {"8-1", "octo-org/shop", "api", 2, map[string]int{"HIGH": 3}, at}}
	if diff := cmp.Diff(want, Known{"rescans": known}.Rescans("octo-org/other")); diff != "" {
		t.Errorf("rescans (-want +got):\n%s", diff)
	}
}
