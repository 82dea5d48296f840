package insight

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/memory"
)

func TestWhatIsNewSinceTheLastRescan(t *testing.T) {
	t.Parallel()
	entries, err := OfLive([]Live{{Service: "api", Findings: []string{"a", "b"}}, {Service: "web"}})
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
