package insight

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/verdict"
)

// Known is what runs wrote into the memory, by namespace, the newest first.
type Known map[string][]memory.Entry

// Namespaces lists those of Known that are read here.
func Namespaces() []string { return []string{"builds", "cache", "validations", "scans", "live"} }

// Services lists whose builds are known, by name.
func (k Known) Services() []string {
	names := map[string]bool{}
	for _, e := range k["builds"] {
		if b, ok := readBuild(e); ok {
			names[b.Service] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// An Outcome is what became of a service in one run.
type Outcome struct {
	Key     string             `json:"key"` // of the entry in namespace builds
	Action  string             `json:"action"`
	Success bool               `json:"success"`
	Reasons []string           `json:"reasons,omitempty"` // why it was refused
	Commit  string             `json:"commit,omitempty"`
	EndedAt time.Time          `json:"endedAt"`
	Seconds map[string]float64 `json:"seconds,omitempty"` // by part of the run
}

// A Briefing is what somebody should know before work on a service begins.
type Briefing struct {
	Service  string         `json:"service"`
	Runs     int            `json:"runs"`                       // that are remembered
	Expected float64        `json:"expected_seconds,omitempty"` // of building and judging; 0 where nobody knows
	Last     *Outcome       `json:"last,omitempty"`
	Failures []Outcome      `json:"failures"` // the newest first, a few
	Startup  float64        `json:"startup_seconds,omitempty"`
	HitRate  float64        `json:"cache_hit_rate,omitempty"` // of the last build, 0 to 1
	Advice   []Advice       `json:"advice"`                   // about the last build's use of the cache
	Findings map[string]int `json:"findings"`                 // by severity, of the image that was scanned last
	Live     []string       `json:"live"`                     // what the last rescan found in the images that have tags
}

// mostFailures is how many of a service's failures are told.
const mostFailures = 3

// Brief collects what is known of a service.
func (k Known) Brief(service string) Briefing {
	told := Briefing{Service: service, Expected: learn.NewLearner(History("", k["builds"], nil)).Expect(service, learn.Situation{}).Seconds, Failures: []Outcome{}, Advice: []Advice{}, Findings: map[string]int{}, Live: []string{}}
	for _, o := range k.outcomes(service) {
		if told.Runs++; told.Last == nil {
			told.Last = &o
		}
		if !o.Success && len(told.Failures) < mostFailures {
			told.Failures = append(told.Failures, o)
		}
	}
	if builds := cachedBuilds(k["cache"])[service]; len(builds) > 0 {
		told.HitRate, told.Advice = builds[0].HitRate, append(told.Advice, builds[0].Advice...)
	}
	if i := slices.IndexFunc(k["scans"], func(e memory.Entry) bool { s, ok := readScan(e); return ok && s.Service == service }); i >= 0 {
		scanned, _ := readScan(k["scans"][i])
		maps.Copy(told.Findings, scanned.Findings)
	}
	told.Startup = Usual(nil, k["validations"], nil)[service][verdict.Startup].Median
	told.Live = append(told.Live, LastLive(k["live"])[service].Findings...)
	return told
}

// outcomes are a service's runs, the newest first.
func (k Known) outcomes(service string) []Outcome {
	var all []Outcome
	for _, e := range k["builds"] {
		if b, ok := readBuild(e); ok && b.Service == service {
			all = append(all, Outcome{Key: e.Key, Action: b.Action, Success: b.Success, Reasons: b.Reasons, Commit: b.Commit, EndedAt: b.EndedAt, Seconds: b.Seconds})
		}
	}
	slices.SortStableFunc(all, func(a, b Outcome) int { return b.EndedAt.Compare(a.EndedAt) })
	return all
}

// Lines tells a briefing to a person, one fact a line; none where nothing is known.
func (b Briefing) Lines() []string {
	if b.Runs == 0 && len(b.Live) == 0 {
		return nil
	}
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, b.Service+": "+fmt.Sprintf(format, args...)) }
	if b.Expected > 0 {
		add("expect about %s", duration(b.Expected))
	}
	for _, f := range b.Failures {
		add("did not pass on %s, at commit %.7s: %s", f.EndedAt.Format(time.DateOnly), f.Commit, cmp.Or(strings.Join(f.Reasons, "; "), "it was not judged"))
	}
	for _, a := range b.Advice {
		add("%s", a.Text)
	}
	if open := counts(b.Findings); open != "" {
		add("open findings: %s", open)
	}
	if len(b.Live) > 0 {
		add("what is live has %d findings, such as %s", len(b.Live), b.Live[0])
	}
	return lines
}

// counts writes numbers by their names, those of zero left out.
func counts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if of[name] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", of[name], name))
		}
	}
	return strings.Join(parts, ", ")
}

func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// A Slowness tells why the last build of a service took as long as it did.
type Slowness struct {
	Service string   `json:"service"`
	Seconds float64  `json:"seconds"`       // of building, the last time
	Usual   float64  `json:"usual_seconds"` // the median of the builds before; 0 where there was none
	Before  int      `json:"builds_before"` // that went well, of which that is told
	Steps   []Step   `json:"steps"`         // that took longest, of those that were worked on
	Miss    *Miss    `json:"first_miss,omitempty"`
	Advice  []Advice `json:"advice"`
	Text    string   `json:"text"`
}

// mostSteps is how many of a slow build's steps are told.
const mostSteps = 5

// Slow explains a service's last build; false where none is known.
func (k Known) Slow(service string) (Slowness, bool) {
	s := Slowness{Service: service, Steps: []Step{}, Advice: []Advice{}}
	var before []float64
	var last string
	for _, o := range k.outcomes(service) {
		switch took := o.Seconds["build"]; {
		case o.Action != "build" || took <= 0:
		case last == "":
			last, s.Seconds = o.Key, took
		case o.Success && len(before) < usualRuns:
			before = append(before, took)
		}
	}
	if last == "" {
		return s, false
	}
	if s.Before = len(before); s.Before > 0 {
		s.Usual = Median(before)
	}
	for _, e := range k["cache"] {
		if e.Key != last {
			continue
		}
		if b, ok := readCached(e); ok {
			s.Steps, s.Miss, s.Advice = append(s.Steps, slowest(b.Steps)...), b.FirstMiss, append(s.Advice, b.Advice...)
		}
	}
	s.Text = s.sentence()
	return s, true
}

// slowest are the steps that were worked on longest.
func slowest(steps []Step) []Step {
	worked := slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Cached })
	slices.SortStableFunc(worked, func(a, b Step) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return worked[:min(len(worked), mostSteps)]
}

func (s Slowness) sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "The last build of %s took %s", s.Service, duration(s.Seconds))
	if s.Usual > 0 {
		fmt.Fprintf(&b, ", %.1f times its usual %s (%d builds before)", s.Seconds/s.Usual, duration(s.Usual), s.Before)
	}
	b.WriteString(".")
	if s.Miss != nil {
		fmt.Fprintf(&b, " First without a cached layer was %s in line %d: %s.", s.Miss.Instruction, s.Miss.Line, s.Miss.Why)
	}
	if len(s.Steps) > 0 {
		fmt.Fprintf(&b, " Longest was %s, with %s.", s.Steps[0].Name, duration(s.Steps[0].Seconds))
	}
	if len(s.Advice) > 0 {
		fmt.Fprintf(&b, " %s", s.Advice[0].Text)
	}
	return b.String()
}
