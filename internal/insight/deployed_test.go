package insight

import (
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// TestDeployedSince tells since when a project is unwell, over looks and deployments, and starts anew once it was well.
func TestDeployedSince(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	var entries []memory.Entry
	for n, look := range []struct{ outcome, want string }{
		{"unwell", ""},
		{"unwell", "It has been found unwell since 2026-01-02 03:00 UTC."},
		{"unwell", "It has been found unwell since 2026-01-02 03:00 UTC."},
		{"deployed", ""},
		{"unwell", "Before, at 2026-01-02 03:03 UTC, it was deployed."},
		{"unwell", "It has been found unwell since 2026-01-02 03:04 UTC."},
		{"healthy", ""},
		{"unwell", "Before, at 2026-01-02 03:06 UTC, it was healthy."},
	} {
		now := Deployed{Project: "cards", Environment: "production", Outcome: look.outcome, EndedAt: at.Add(time.Duration(n) * time.Minute)}
		now, got := now.Following(LastDeployed(entries, "cards", "production"))
		if got != look.want {
			t.Errorf("look %d: %q, want %q", n, got, look.want)
		}
		var err error
		if entries, err = OfDeployed("octo/cards", now); err != nil {
			t.Fatal(err)
		}
	}
	before := entries
	entries = append(entries, memory.Entry{Key: "other", Value: []byte(`{"project": "other", "environment": "staging"}`)}, memory.Entry{Key: "broken", Value: []byte(`1`)})
	for _, name := range []string{"other", "broken", "cards"} {
		if d := LastDeployed(entries, name, ""); d.Project != "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	others, err := OfDeployed("octo/others", Deployed{Project: "cards", Environment: "production", Outcome: "deployed", EndedAt: at.Add(time.Hour)})
	if err != nil || others[0].Key == before[0].Key {
		t.Errorf("two repositories write under %q: %v", others[0].Key, err)
	}
	// Which repository an entry is of was not always written down.
	old := memory.Entry{Key: "cards@production", Value: []byte(`{"project": "cards", "environment": "production", "outcome": "deployed", "endedAt": "2026-01-01T00:00:00Z"}`)}
	for _, c := range []struct {
		entries []memory.Entry
		want    string
	}{{append(others, append([]memory.Entry{old}, before...)...), "unwell"}, {append(others, old), "deployed"}, {others, ""}} {
		if d := LastDeployed(Own(c.entries, "octo/cards"), "cards", "production"); d.Outcome != c.want {
			t.Errorf("of %d entries: %q, want %q", len(c.entries), d.Outcome, c.want)
		}
	}
}
