package insight

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/verdict"
)

// TestUsual reads back what Entries writes.
func TestUsual(t *testing.T) {
	t.Parallel()
	kinds := map[string][]memory.Entry{}
	for i, startup := range []float64{2, 1.2, 1, 90} { // a bad day among them
		s := judged("api")
		s.Startup, s.Seconds["build"] = startup, float64(10+i)
		run := whole(s)
		run.ID = fmt.Sprint(i)
		for _, e := range entries(t, run) {
			kinds[e.Namespace] = append(kinds[e.Namespace], e)
		}
	}
	failed := judged("api")
	failed.Success, failed.Seconds, failed.Startup, failed.Tried, failed.Healthy = false, map[string]float64{"build": 900}, 30, true, false
	for _, e := range entries(t, whole(failed)) {
		kinds[e.Namespace] = append(kinds[e.Namespace], e)
	}
	kinds["builds"] = append(kinds["builds"], memory.Entry{Value: []byte(`"somebody else's"`)})
	got := Usual(kinds["builds"], kinds["validations"], kinds["scans"])
	want := map[string]verdict.History{"api": {
		verdict.Startup:             {Median: 1.6, Spread: 1.4826 * 0.5, Runs: 4},
		verdict.PeakMemory:          {Median: 8 << 20, Runs: 4},
		verdict.BuildTime:           {Median: 11.5, Spread: 1.4826, Runs: 4},
		verdict.Size("linux/amd64"): {Median: 1000, Runs: 4},
		verdict.Findings:            {Median: 2, Runs: 5},
	}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })); diff != "" {
		t.Errorf("usual (-want +got):\n%s", diff)
	}
}

// TestUsualIsOfTheNewestRuns leaves out what is long ago.
func TestUsualIsOfTheNewestRuns(t *testing.T) {
	t.Parallel()
	var builds []memory.Entry
	for i := range 50 {
		seconds := 10
		if i >= usualRuns {
			seconds = 1000
		}
		builds = append(builds, memory.Entry{Value: fmt.Appendf(nil, `{"service":"api","action":"build","success":true,"seconds":{"build":%d}}`, seconds)})
	}
	if got := Usual(builds, nil, nil)["api"][verdict.BuildTime]; got != (verdict.Usual{Median: 10, Runs: usualRuns}) {
		t.Errorf("%+v", got)
	}
}

// TestFound is of the newest look at each image.
func TestFound(t *testing.T) {
	t.Parallel()
	var scans []memory.Entry
	for _, text := range []string{`{"service":"api","digest":"sha256:a","findings":{"HIGH":2,"LOW":1}}`, `{"service":"api","digest":"sha256:a","findings":{"HIGH":9}}`,
		`{"service":"api","digest":"sha256:b","findings":{}}`, `{"service":"web","digest":"sha256:a","findings":{"LOW":-1}}`, `{"service":"web","digest":"sha256:c","findings":{"LOW":1}}`, `[]`, ``} {
		scans = append(scans, memory.Entry{Value: []byte(text)})
	}
	want := map[string]map[string]int{"api": {"sha256:a": 3, "sha256:b": 0}, "web": {"sha256:c": 1}}
	if diff := cmp.Diff(want, Found(scans)); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}
