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

// TestBuildTime refuses nothing, however long a build took.
func TestBuildTime(t *testing.T) {
	t.Parallel()
	share, auto := service.Slack{Share: 0.25}, service.Slack{Auto: true}
	cases := map[string]struct {
		built float64
		usual Usual
		slack service.Slack
		want  string // part of the only note; empty for none
	}{
		"no limit":             {900, Usual{Median: 10, Spread: 1, Runs: 20}, service.Slack{}, ""},
		"not built":            {0, Usual{Median: 10, Spread: 1, Runs: 20}, share, ""},
		"as usual":             {10, Usual{Median: 10, Spread: 1, Runs: 20}, share, ""},
		"within its limit":     {12.5, Usual{Median: 10, Spread: 1, Runs: 20}, share, ""},
		"beyond it":            {13, Usual{Median: 10, Spread: 1, Runs: 20}, share, "its build took 13s, more than the 25% over the usual 10s that build_time in gates.regression allows"},
		"too little history":   {900, Usual{Median: 10, Spread: 1, Runs: 4}, share, ""},
		"as history strays":    {12.9, Usual{Median: 10, Spread: 1, Runs: 5}, auto, ""},
		"further than that":    {13.3, Usual{Median: 10, Spread: 1, Runs: 5}, auto, "more than the 30% over"},
		"a moment":             {0.3, Usual{Median: 0.1, Spread: 0, Runs: 5}, auto, ""},
		"wild, and far beyond": {21, Usual{Median: 10, Spread: 9, Runs: 5}, auto, "more than the 100% over"},
	}
	for name, c := range cases {
		e, gates := sound(), strict()
		e.Built, e.Usual, gates.Regression.BuildTime = c.built, History{BuildTime: c.usual}, c.slack
		v := Judge(e, gates)
		if got := strings.Join(v.Notes, "\n"); !v.Approved() || (got == "") != (c.want == "") || !strings.Contains(got, c.want) || len(v.Notes) > 1 {
			t.Errorf("%s: approved %v, notes %q; want %q", name, v.Approved(), got, c.want)
		}
	}
	gates := strict()
	if gates.Regression.BuildTime = share; gates.Regression.Set() {
		t.Error("the published image is tried out for nothing")
	}
}

// TestFindingsBefore takes what the same database knows of the published image before what is remembered of it.
func TestFindingsBefore(t *testing.T) {
	t.Parallel()
	none, two, seven := 0, 2, 7
	one := []Finding{{ID: "a"}}
	cases := map[string]struct {
		evidence Evidence
		want     Figure
	}{
		"nothing is known":          {Evidence{Platforms: []Platform{{Findings: one}, {}}}, Figure{Now: 1}},
		"by the same database":      {Evidence{Platforms: []Platform{{Findings: one, Before: &two}, {Findings: one, Before: &none}}, Remembered: &seven}, Figure{Now: 2, Published: 2, Basis: Measured}},
		"none, by the same":         {Evidence{Platforms: []Platform{{Findings: one, Before: &none}}, Remembered: &seven}, Figure{Now: 1, Basis: Measured}},
		"of one platform alone":     {Evidence{Platforms: []Platform{{Findings: one, Before: &two}, {}}}, Figure{Now: 1}},
		"remembered":                {Evidence{Platforms: []Platform{{Findings: one, Before: &two}, {}}, Remembered: &seven}, Figure{Now: 1, Published: 7, Basis: Remembered}},
		"remembered to be none":     {Evidence{Platforms: []Platform{{Findings: one}}, Remembered: &none}, Figure{Now: 1, Basis: Remembered}},
		"remembered, of more parts": {Evidence{Platforms: []Platform{{Findings: one}}, Remembered: &seven, Part: true}, Figure{Now: 1}},
	}
	for name, c := range cases {
		c.want.Name, c.want.Unit = Findings, Count
		if got := findings(c.evidence); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		figure Figure
		want   float64
	}{
		"nothing known":                {Figure{Unit: Bytes, Now: 5}, 0},
		"the published one counts":     {Figure{Unit: Bytes, Now: 150, Published: 100, Basis: Measured, Usual: Usual{Median: 300, Runs: 9}}, 0.5},
		"or else what is usual":        {Figure{Unit: Bytes, Now: 150, Usual: Usual{Median: 300, Runs: 9}}, -0.5},
		"within the usual spread":      {Figure{Unit: Bytes, Now: 150, Usual: Usual{Median: 100, Spread: 25, Runs: 9}}, 0},
		"beyond it":                    {Figure{Unit: Bytes, Now: 151, Usual: Usual{Median: 100, Spread: 25, Runs: 9}}, 0.51},
		"a moment":                     {Figure{Unit: Seconds, Now: 0.3, Published: 0.1, Basis: Measured}, 0},
		"counted by the same database": {Figure{Unit: Count, Now: 4, Published: 3, Basis: Measured, Usual: Usual{Median: 3, Spread: 2, Runs: 9}}, 1.0 / 3},
		"counted on another day":       {Figure{Unit: Count, Now: 4, Published: 3, Basis: Remembered, Usual: Usual{Median: 3, Spread: 2, Runs: 9}}, 0},
		"none is published":            {Figure{Unit: Count, Now: 4, Basis: Measured, Usual: Usual{Median: 3, Runs: 9}}, 0},
		"from none":                    {Figure{Unit: Count, Now: 3, Usual: Usual{Median: 0, Runs: 3}}, 0},
		"a page or two of the memory":  {Figure{Name: PeakMemory, Unit: Bytes, Now: 9e6, Published: 6e6, Basis: Measured}, 0},
	}
	for name, c := range cases {
		if got := c.figure.Change(); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
