package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/service"
)

func TestRegression(t *testing.T) {
	t.Parallel()
	share, auto := service.Slack{Share: 0.25}, service.Slack{Auto: true}
	startup := func(published, now time.Duration, u Usual) Evidence {
		e := sound()
		e.Probe.Started, e.Usual = now, History{Startup: u}
		e.Before = &Probe{Platform: "linux/amd64", Healthy: true, Started: published}
		return e
	}
	steady, wild := Usual{Median: 10, Spread: 0.1, Runs: 20}, Usual{Median: 10, Spread: 9, Runs: 20}
	cases := []struct {
		name     string
		evidence Evidence
		slack    service.Slack
		want     string // part of the only reason; empty: approved
	}{
		{"no limit", startup(time.Second, 20*time.Second, steady), service.Slack{}, ""},
		{"as before", startup(10*time.Second, 10*time.Second, Usual{}), share, ""},
		{"within its limit", startup(10*time.Second, 12500*time.Millisecond, Usual{}), share, ""},
		{"beyond it", startup(10*time.Second, 13*time.Second, Usual{}), share, "its startup rose from 10s to 13s, more than the 25% that gates.regression allows"},
		{"history changes no limit that is given", startup(10*time.Second, 13*time.Second, wild), share, "more than the 25%"},
		{"less than what can be told apart", startup(100*time.Millisecond, 300*time.Millisecond, Usual{}), share, ""},
		{"no history", startup(10*time.Second, 14*time.Second, Usual{}), auto, ""},
		{"no history, and far beyond", startup(10*time.Second, 16*time.Second, Usual{}), auto, "more than the 50%"},
		{"too little of it", startup(10*time.Second, 14*time.Second, Usual{Median: 10, Spread: 0.1, Runs: 4}), auto, ""},
		{"a steady service", startup(10*time.Second, 12*time.Second, steady), auto, "more than the 10%"},
		{"one that strays", startup(10*time.Second, 19*time.Second, wild), auto, ""},
		{"history excuses no more than twice", startup(10*time.Second, 21*time.Second, wild), auto, "more than the 100%"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			gates := strict()
			gates.Regression.Startup = c.slack
			v := Judge(c.evidence, gates)
			if got := strings.Join(v.Reasons, "\n"); v.Approved() != (c.want == "") || !strings.Contains(got, c.want) || len(v.Reasons) > 1 {
				t.Errorf("approved %v, reasons %q; want %q", v.Approved(), got, c.want)
			}
		})
	}
}

// TestNothingToCompareWith tells an image that cannot be had from one that fails, and from none.
func TestNothingToCompareWith(t *testing.T) {
	t.Parallel()
	gates := strict()
	gates.Regression.PeakMemory = service.Slack{Share: 0.1}
	e := sound()
	if v := Judge(e, gates); !v.Approved() || len(v.Notes) > 0 {
		t.Errorf("nothing published: %q, %q", v.Reasons, v.Notes)
	}
	e.Before = &Probe{Failure: "it ended"}
	if v := Judge(e, gates); !v.Approved() || len(v.Notes) != 1 {
		t.Errorf("published and broken: %q, %q", v.Reasons, v.Notes)
	}
	e.Before = &Probe{Unavailable: "no such manifest"}
	if v := Judge(e, gates); v.Approved() || !strings.Contains(v.Reasons[0], "could not be tried out: no such manifest") {
		t.Errorf("published and out of reach: %q", v.Reasons)
	}
	gates.Regression.OnUnavailable = service.OnUnavailableWarn
	if v := Judge(e, gates); !v.Approved() || len(v.Notes) != 1 {
		t.Errorf("the same, let pass: %q, %q", v.Reasons, v.Notes)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		figure Figure
		want   float64
	}{
		"nothing known":               {Figure{Unit: Bytes, Now: 5}, 0},
		"the published one counts":    {Figure{Unit: Bytes, Now: 150, Published: 100, Usual: Usual{Median: 300, Runs: 9}}, 0.5},
		"or else what is usual":       {Figure{Unit: Bytes, Now: 150, Usual: Usual{Median: 300, Runs: 9}}, -0.5},
		"within the usual spread":     {Figure{Unit: Bytes, Now: 150, Usual: Usual{Median: 100, Spread: 25, Runs: 9}}, 0},
		"beyond it":                   {Figure{Unit: Bytes, Now: 151, Usual: Usual{Median: 100, Spread: 25, Runs: 9}}, 0.51},
		"a moment":                    {Figure{Unit: Seconds, Now: 0.3, Published: 0.1}, 0},
		"from none":                   {Figure{Unit: Count, Now: 3, Usual: Usual{Median: 0, Runs: 3}}, 0},
		"a page or two of the memory": {Figure{Name: PeakMemory, Unit: Bytes, Now: 9e6, Published: 6e6}, 0},
	}
	for name, c := range cases {
		if got := c.figure.Change(); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
