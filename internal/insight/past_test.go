package insight

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

func TestPasts(t *testing.T) {
	t.Parallel()
	other := whole(Service{Name: "api", Part: "linux/amd64", Action: "reuse", Reasons: []string{"no"}})
	other.ID, other.Repository, other.Ref = "41-1", "octo/other", ""
	got := remembered(t, other, whole(judged("api"))).Pasts("octo/this")
	later := ended.Add(time.Hour)
	want := []Past{
		{Run: "41-1", Repository: "octo/other", Service: "api", Part: "linux/amd64", Action: "reuse", Reasons: []string{"no"}, Commit: "abc", At: ended},
		{Run: "42-1", Repository: "octo/this", Service: "api", Platforms: []string{"linux/amd64"}, Action: "build", Success: true, Commit: "abc", Ref: "refs/heads/main", At: later,
			Seconds: map[string]float64{"build": 1.5}, Sizes: map[string]float64{"linux/amd64": 1000}, Findings: map[string]int{"CRITICAL": 0, "HIGH": 2},
			Trial: &learn.Trial{Service: "api", Digest: "sha256:a", Inputs: "sha256:1", At: later, Healthy: true}, Startup: 1.2, PeakMemory: 8 << 20,
			Cache: &Cached{HitRate: 1, Steps: []Step{{Name: "[1/1] RUN x", Seconds: 1, Cached: true}}, Tiers: []cache.Gave{{Tier: "gha", Hits: 1, Bytes: 10, Written: 2, Seconds: 0.5}}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pasts (-want +got):\n%s", diff)
	}
}

// TestPastsOfSomebodyElse passes over what no run of ours has written.
func TestPastsOfSomebodyElse(t *testing.T) {
	t.Parallel()
	k := remembered(t, whole(judged("api")))
	for namespace := range k {
		for _, value := range []string{`null`, `"text"`, `{}`, `[1]`, `{"service":7}`, `{"service":"api"}`} {
			k[namespace] = append(k[namespace], memory.Entry{Namespace: namespace, Key: "theirs:1-1", Value: []byte(value)})
		}
	}
	k["scans"] = append(k["scans"], memory.Entry{Key: "api:42-1", Value: []byte(`{"service":"api","findings":{"HIGH":-5,"LOW":99999999,"MEDIUM":1}}`)})
	got := k.Pasts("")
	if len(got) != 1 || got[0].Ref != "refs/heads/main" || len(got[0].Findings) != 1 || got[0].Findings["MEDIUM"] != 1 {
		t.Errorf("%+v", got)
	}
}

// TestPacked reads how runs packed their work, and passes over those that did not say so, or cannot have.
func TestPacked(t *testing.T) {
	t.Parallel()
	run, old := whole(judged("api")), whole(judged("api"))
	run.Schedule, old.ID = &learn.Schedule{Parallel: 2, Seconds: 9, Work: 12, Least: 8}, "41-1"
	k := remembered(t, old, run)
	for key, value := range map[string]string{"session:1-1": `{"endedAt":"2024-05-01T12:00:00Z","schedule":{"parallel":2,"seconds":1,"work":9,"least":5}}`, "session:2-1": `{"endedAt":"2024-05-01T12:00:00Z","schedule":7}`,
		"session:3-1": `{"schedule":{"parallel":2,"seconds":9,"work":12,"least":8}}`, "other": `{"endedAt":"2024-05-01T12:00:00Z","schedule":{"parallel":2,"seconds":9,"work":12,"least":8}}`} {
		k["sessions"] = append(k["sessions"], memory.Entry{Namespace: "sessions", Key: key, Value: []byte(value)})
	}
	got := k.Packed("octo/this")
	if len(got) != 1 || got[0].ID != "42-1" || *got[0].Schedule != *run.Schedule || got[0].Ref != "refs/heads/main" || got[0].Repository != "octo/this" {
		t.Errorf("%+v", got)
	}
}
