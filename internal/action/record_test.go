package action

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// TestWhatIsRefusedIsLeftOut has one entry too many letters, and one hold a secret; the others are kept.
func TestWhatIsRefusedIsLeftOut(t *testing.T) {
	t.Parallel()
	store, err := memory.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"), time.Now, memory.WithLimits(memory.Limits{Entry: 100}))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	entry := func(key, text string) memory.Entry {
		return memory.Entry{Namespace: "builds", Key: key, Value: []byte(`"` + text + `"`)}
	}
	refused, err := putAll(t.Context(), store, []memory.Entry{entry("long", strings.Repeat("x", 101)), entry("secret", "AKIAABCDEFGHIJKLMNOP"), entry("fine", "x")})
	kept, listing := store.List(t.Context(), "builds", 0)
	if err != nil || listing != nil || len(refused) != 2 || len(kept) != 1 || kept[0].Key != "fine" {
		t.Errorf("kept are %+v, and refused %v; %v, %v", kept, refused, err, listing)
	}
}
