package report

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/publish"
)

// drawn is a report of a run that planned for a second and then worked on its services at the same time.
func drawn(r Report) Report {
	r.Timeline = []Span{{Part: "plan", Seconds: 1}}
	for _, s := range r.Services {
		r.Timeline = append(r.Timeline, Span{Service: s.Name, Part: "build", Start: 1, Seconds: 12.3}, Span{Service: s.Name, Part: "judge", Platforms: []string{"linux/arm64"}, Start: 13.3, Seconds: 60})
	}
	return r
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	start := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(part string, after, seconds float64) publish.Span {
		return publish.Span{Part: part, Began: start.Add(time.Duration(after * float64(time.Second))), Seconds: seconds}
	}
	api, web := published("api"), published("web")
	web.Spans = []publish.Span{at("build", 2, 3), at("judge", 5, 1.23456)}
	api.Spans = []publish.Span{at("reuse", -900, 600), at("judge", -0.5, 2), at("promote", 9, 0)}
	want := []Span{{"", "plan", nil, 0, 1.5}, {"api", "judge", nil, 0, 2}, {"web", "build", nil, 2, 3}, {"web", "judge", nil, 5, 1.235}, {"api", "promote", nil, 9, 0}}
	if diff := cmp.Diff(want, Timeline(start, at("plan", 0, 1.5), []publish.Result{api, web})); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	if got := Timeline(start, publish.Span{}, []publish.Result{skipped("api")}); len(got) > 0 {
		t.Errorf("what did nothing has the timeline %v", got)
	}
	r := filled(true, api, web)
	r.Timeline = want
	checkSchema(t, r)
}

func TestWhatIsWorthDrawing(t *testing.T) {
	t.Parallel()
	one := filled(true, published("api"))
	cases := map[string]struct {
		spans []Span
		want  bool
	}{
		"nothing was done":         {nil, false},
		"nothing but planning":     {[]Span{{Part: "plan", Seconds: 9}}, false},
		"it was over at once":      {[]Span{{Part: "plan", Seconds: 0.2}, {Service: "api", Part: "judge", Start: 0.2, Seconds: 0.5}}, false},
		"over at once, and late":   {[]Span{{Service: "api", Part: "judge", Start: 90, Seconds: 0.5}}, false},
		"there is something to it": {[]Span{{Service: "api", Part: "judge", Start: 90, Seconds: 1}}, true},
	}
	for name, c := range cases {
		one.Timeline = c.spans
		if got := strings.Contains(one.Summary(), "```mermaid"); got != c.want {
			t.Errorf("%s: drawn %v", name, got)
		}
	}
}

func TestTheLongestAreDrawn(t *testing.T) {
	t.Parallel()
	r := Report{Outcome: "published"}
	for i := range 30 {
		name := string(rune('A' + i))
		r.Services = append(r.Services, Service{Name: name})
		r.Timeline = append(r.Timeline, Span{Service: name, Part: "build", Start: float64(i), Seconds: float64(i + 1)})
	}
	summary := r.Summary()
	if n := strings.Count(summary, "    section "); n != mostDrawn || strings.Contains(summary, "section A\n") || !strings.Contains(summary, "These are the 20 of 30 services") {
		t.Errorf("%d sections:\n%s", n, summary)
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{3: "%M:%S\n    tickInterval 1second", 30: "%M:%S", 7200: "%H:%M"} {
		if got := axis(seconds); got != want {
			t.Errorf("axis(%v) = %q, want %q", seconds, got, want)
		}
	}
	for seconds, want := range map[float64]string{0: "0ms", 0.0194: "19ms", 0.1: "100ms", 41.25: "41.3s", 3700: "1h1m40s"} {
		if got := (Span{Seconds: seconds}).length(); got != want {
			t.Errorf("length of %v = %q, want %q", seconds, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{0: "00:00:00.000", 61.2345: "00:01:01.235", 7325: "02:02:05.000", 1e6: "23:59:59.999"} {
		if got := clock(seconds); got != want {
			t.Errorf("clock(%v) = %s, want %s", seconds, got, want)
		}
	}
}

// chart is what a chart may consist of: Mermaid takes ":", ";", "#" and "%" for more than text.
var chart = regexp.MustCompile(`(?m)^(gantt|    dateFormat HH:mm:ss\.SSS|    axisFormat %[MH]:%[SM]|    tickInterval 1second|    section [^:;#%\n]*|    [a-z]+[^:;#%\n]* :(crit, |done, |active, )?\d\d:\d\d:\d\d\.\d{3}, \d\d:\d\d:\d\d\.\d{3})$`)

func FuzzTimeline(f *testing.F) {
	for _, name := range []string{"api", "a:b", "a;b#c", "```", "a\n    section b", "%%{init: {}}%%", "\u2028x", "\xff", strings.Repeat("é", 99)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r := filled(true, refused("api"), published("web"))
		r.Services[0].Name = name
		var b strings.Builder
		drawn(r).writeTimeline(&b)
		_, inside, _ := strings.Cut(b.String(), "```mermaid\n")
		inside, after, closed := strings.Cut(inside, "\n```\n")
		if !closed || after != "" {
			t.Fatalf("%q leaves its box:\n%s", name, b.String())
		}
		for line := range strings.SplitSeq(inside, "\n") {
			if !chart.MatchString(line) {
				t.Errorf("%q makes the line %q", name, line)
			}
		}
	})
}
