package insight

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/memory"
)

func TestSightings(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entries, err := OfTags(map[string][]Sighting{"ghcr.io/o/a": {{"nightly", "sha256:1", at}, {"edge", "sha256:2", at.Add(time.Hour)}}, "ghcr.io/o/b": nil})
	if err != nil {
		t.Fatal(err)
	}
	got := TagsSeen(append(entries, memory.Entry{Key: "broken", Value: []byte("{")}))
	want := map[string]map[string]Sighting{"ghcr.io/o/a": {"nightly": {"nightly", "sha256:1", at}, "edge": {"edge", "sha256:2", at.Add(time.Hour)}}, "ghcr.io/o/b": {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSightingsFit into an entry of the memory, the first seen before all others.
func TestSightingsFit(t *testing.T) {
	t.Parallel()
	var many []Sighting
	for i := range mostSightings + 10 {
		many = append(many, Sighting{fmt.Sprintf("nightly-%120d", i), "sha256:0123456789012345678901234567890123456789012345678901234567890123", time.Unix(int64(-i), 0)})
	}
	entries, err := OfTags(map[string][]Sighting{"a": many})
	if err != nil || len(entries[0].Value) > 1<<21 {
		t.Fatalf("%d bytes, %v", len(entries[0].Value), err)
	}
	seen := TagsSeen(entries)["a"]
	if _, has := seen[many[len(many)-1].Tag]; !has || len(seen) != mostSightings {
		t.Errorf("%d are kept, the first among them: %v", len(seen), has)
	}
}
