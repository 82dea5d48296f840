package insight

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

var ended = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func judged(name string) Service {
	return Service{Name: name, Kind: "golang with go", Action: "build", Success: true, Digest: "sha256:a", Inputs: "sha256:1", Seconds: map[string]float64{"build": 1.5},
		Account: Account{Steps: []Step{{Name: "[1/1] RUN x", Seconds: 1, Cached: true}}, HitRate: 1},
		Cache:   cache.Use{Policy: cache.Policy{Writes: "gha"}, Tiers: []cache.Gave{{Tier: "gha", Hits: 1, Bytes: 10, Written: 2, Seconds: 0.5}}}, Sizes: map[string]int64{"linux/amd64": 1000},
		Situation: learn.Situation{Changes: []string{"sources"}, Bases: "b", Cache: "kept", Platforms: []string{"linux/amd64"}, Runner: "ubuntu-latest"},
		Findings:  map[string]int{"CRITICAL": 0, "HIGH": 2}, Tried: true, Healthy: true, Startup: 1.2, PeakMemory: 8 << 20, CPU: 0.5, Processes: 3, Route: "container address"}
}

func whole(services ...Service) Run {
	return Run{ID: "42-1", Commit: "abc", Ref: "refs/heads/main", Outcome: "published", EndedAt: ended, Seconds: 9.5, Built: 1, Services: services}
}

func entries(t *testing.T, run Run) []memory.Entry {
	t.Helper()
	got, err := Entries(run)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// told writes an entry's place and its time to live.
func told(entries []memory.Entry) []string {
	var told []string
	for _, e := range entries {
		told = append(told, fmt.Sprintf("%s/%s for %d days", e.Namespace, e.Key, int(e.TTL/(24*time.Hour))))
	}
	return told
}

func TestEntries(t *testing.T) {
	t.Parallel()
	reused := judged("web")
	reused.Action, reused.Account = "reuse", Account{}
	failed := Service{Name: "docs", Action: "build", Digest: "sha256:published", Sizes: map[string]int64{}}
	never := Service{Name: "new", Action: "build"}
	got := told(entries(t, whole(judged("api"), reused, failed, never)))
	want := []string{
		"builds/api:42-1 for 90 days", "cache/api:42-1 for 14 days", "scans/api:42-1 for 30 days", "validations/api:42-1 for 90 days",
		"builds/web:42-1 for 90 days", "scans/web:42-1 for 30 days", "validations/web:42-1 for 90 days",
		"builds/docs:42-1 for 90 days", // what was published before was not judged again
		"builds/new:42-1 for 90 days",
		"sessions/session:42-1 for 90 days",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestEntryValues(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"builds": `{"action":"build","args":null,"commit":"abc","digest":"sha256:a","endedAt":"2024-05-01T12:00:00Z","inputs":"sha256:1",` +
			`"kind":"golang with go","platforms":{},"reasons":null,"seconds":{"build":1.5},"service":"api","situation":{"changes":["sources"],"bases":"b","cache":"kept","platforms":["linux/amd64"],"runner":"ubuntu-latest"},"sizes":{"linux/amd64":1000},"success":true}`,
		"cache": `{"advice":null,"contextBytes":0,"dependencyHitRate":0,"firstMiss":null,"hitRate":1,"pulledBytes":null,"service":"api","steps":[{"name":"[1/1] RUN x","seconds":1,"cached":true}],` +
			`"tiers":[{"tier":"gha","hits":1,"bytes_read":10,"layers_written":2,"seconds":0.5}],"writes":"gha"}`,
		"scans": `{"digest":"sha256:a","findings":{"CRITICAL":0,"HIGH":2},"service":"api"}`,
		"validations": `{"cpuSeconds":0.5,"digest":"sha256:a","endedAt":"2024-05-01T12:00:00Z","healthy":true,"inputs":"sha256:1","peakMemory":8388608,"processes":3,"route":"container address",` +
			`"service":"api","startupSeconds":1.2,"tried":true}`,
		"sessions": `{"sessionId":"42-1","commit":"abc","ref":"refs/heads/main","outcome":"published","endedAt":"2024-05-01T12:00:00Z","seconds":9.5,"built":1}`,
	}
	got := map[string]string{}
	for _, e := range entries(t, whole(judged("api"))) {
		got[e.Namespace] = string(e.Value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestRunsNeverOverwriteOneAnother(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, id := range []string{"42-1", "42-2", "43-1"} {
		run := whole(judged("api"), judged("web"))
		run.ID = id
		for _, e := range entries(t, run) {
			key := e.Namespace + "/" + e.Key
			if seen[key] || !strings.HasSuffix(key, id) {
				t.Errorf("%s comes twice, or does not name its run", key)
			}
			seen[key] = true
		}
	}
}

func TestEntriesOfNothing(t *testing.T) {
	t.Parallel()
	if got := told(entries(t, whole())); !slices.Equal(got, []string{"sessions/session:42-1 for 90 days"}) {
		t.Errorf("entries %q, want the session alone", got)
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := judged("api")
	s.Seconds = map[string]float64{"build": math.NaN()}
	if _, err := Entries(whole(s)); err == nil || !strings.Contains(err.Error(), "api:42-1") {
		t.Errorf("Entries() = %v, want an error that names the entry", err)
	}
}

func TestTheMemoryTakesThem(t *testing.T) {
	t.Parallel()
	store, err := memory.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"), func() time.Time { return ended })
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	want := entries(t, whole(judged("api")))
	if err := store.Put(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	for _, e := range want {
		got, found, err := store.Get(t.Context(), e.Namespace, e.Key)
		if err != nil || !found || !json.Valid(got.Value) || got.TTL != e.TTL {
			t.Errorf("%s/%s comes back as %+v, %v, %v", e.Namespace, e.Key, got, found, err)
		}
	}
}

func TestPartsOfOneServiceHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for _, s := range []Service{{Name: "a"}, {Name: "a", Part: "linux/amd64"}, {Name: "a", Part: "linux/arm64"}, {Name: "b", Part: "linux/arm64"}} {
		entries, err := OfServices(Run{ID: "1-1", Services: []Service{s}})
		if err != nil || keys[entries[0].Key] {
			t.Errorf("%+v has the key %q, %v", s, entries[0].Key, err)
		}
		keys[entries[0].Key] = true
	}
	if !keys["a:1-1"] || !keys["a@linux/amd64:1-1"] {
		t.Errorf("keys %v", keys)
	}
}

// TestCosts reads back what building for platforms took, apart by how that was done.
func TestCosts(t *testing.T) {
	t.Parallel()
	var builds []memory.Entry
	build := func(emulated []string, success bool, amd, arm float64) {
		step := func(platform string, seconds float64) Step {
			return Step{Name: "[" + platform + " 2/2] RUN make", Platform: platform, Seconds: seconds}
		}
		steps := []Step{step("linux/amd64", amd), step("linux/amd64", 1), step("linux/arm64", arm), {Name: "[linux/arm64 1/2] RUN ci", Platform: "linux/arm64", Seconds: 99, Cached: true},
			{Name: "exporting", Platform: "linux/arm64", Seconds: 99}}
		made, err := OfServices(Run{ID: "r", Services: []Service{{Name: "api", Action: "build", Success: success, Emulated: emulated, Account: Account{Steps: steps}}}})
		if err != nil {
			t.Fatal(err)
		}
		builds = append(builds, made[0])
	}
	build([]string{"linux/arm64"}, true, 9, 60)
	build([]string{"linux/arm64"}, true, 11, 70)
	build([]string{"linux/arm64"}, false, 500, 500)
	build(nil, true, 9, 12)
	build([]string{"linux/arm64"}, true, 9, 0)
	builds = append(builds, memory.Entry{Value: []byte("no JSON")}, memory.Entry{Value: []byte(`{"service":"api","success":true,"action":"build","platforms":[]}`)})
	want := map[string]map[string]learn.Cost{"api": {"linux/amd64": {Native: 10}, "linux/arm64": {Native: 12, Emulated: 65}}}
	if diff := cmp.Diff(want, Costs(builds)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMade reads back which digests were published of which inputs.
func TestMade(t *testing.T) {
	t.Parallel()
	var builds []memory.Entry
	for _, text := range []string{
		`{"service":"api","success":true,"inputs":"sha256:1","digest":"sha256:e"}`,
		`{"service":"api","success":true,"inputs":"sha256:1","digest":"sha256:e"}`,
		`{"service":"api","success":false,"inputs":"sha256:1","digest":"sha256:f"}`,
		`{"service":"api","success":true,"inputs":"sha256:1","digest":"sha256:d"}`,
		`{"service":"api","success":true,"inputs":"sha256:2","digest":"sha256:c"}`,
		`{"service":"web","success":true,"inputs":"sha256:1","digest":"sha256:b"}`,
		`{"service":"web","success":true,"inputs":"","digest":"sha256:b"}`,
		`{"service":"web","success":true,"inputs":"sha256:1"}`,
		`"somebody else's"`,
		`{"service":"api","success":true,"inputs":"sha256:1","digest":"sha256:a"}`,
		`{"service":"api","success":true,"inputs":"sha256:1","digest":"sha256:0"}`, // too old to be looked at
	} {
		builds = append(builds, memory.Entry{Value: json.RawMessage(text)})
	}
	want := map[string]map[string][]string{
		"api": {"sha256:1": {"sha256:e", "sha256:d", "sha256:a"}, "sha256:2": {"sha256:c"}},
		"web": {"sha256:1": {"sha256:b"}},
	}
	if diff := cmp.Diff(want, Made(builds)); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
}
