package report

import (
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/learn"
)

// TestCoordinationIsTold where several jobs worked together, with what they took any time for.
func TestCoordinationIsTold(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]learn.Coordination{
		"": {Jobs: 1, Success: 1},
		"Working together, in 3 jobs: 90% of the operations on the memory succeeded, 2 conflicts were merged, it was brought in 1.5s, messages arrived within 12s.": {
			Jobs: 3, Success: 0.9, Conflicts: 2, Restore: learn.Times{Median: 1.5, Ninth: 2}, Messages: 4, Latency: learn.Times{Median: 12, Ninth: 20}},
	} {
		var b strings.Builder
		Report{Coordination: c}.writeCoordination(&b)
		if got := strings.TrimSpace(b.String()); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

// TestWhatIsToldOfFlakyTrials stands beside the service.
func TestWhatIsToldOfFlakyTrials(t *testing.T) {
	t.Parallel()
	s := Service{Name: "web", Health: &learn.Health{Trials: 5, Failed: 2, Flaky: 1, Note: "its health check is <flaky>"}}
	var b strings.Builder
	s.writeExpected(&b)
	if want := "- 📈 its health check is &lt;flaky&gt;\n- of 5 trials 2 failed, 1 of them by chance\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	if got := (Report{Services: []Service{s, {Name: "api"}}}).Remarks(); len(got) != 1 || got[0] != "📈 web: its health check is <flaky>" {
		t.Errorf("%q", got)
	}
}
