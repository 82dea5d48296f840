// Package learn tells from builds that are remembered how long the next one will take, by whichever of several models was right
// most often so far; what was unusual about one; and how steady health checks are. Whatever it tells is advice: nothing is refused,
// skipped or tagged by it. The same builds give the same answer.
package learn

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// A Build is one build of a service that went well, as it is remembered.
type Build struct {
	Service string `json:"service"`
	Kind    string `json:"kind,omitempty"` // what it is made by: services of one kind are built alike; empty where that is not known
	// Elsewhere is the repository that the service is of; empty where that is this one.
	Elsewhere string `json:"elsewhere,omitempty"`
	Situation
	Seconds  float64 `json:"seconds"`         // that building and judging took
	Building float64 `json:"building"`        // seconds of them, without judging
	Steps    []Step  `json:"steps,omitempty"` // instructions of the Dockerfile, on each platform
	Miss     *Miss   `json:"miss,omitempty"`
}

// A Situation is what is known of a build before it begins.
type Situation struct {
	At        time.Time `json:"at,omitzero"`
	Changes   []string  `json:"changes,omitempty"` // kinds of what changed since the image that was published, sorted
	Bases     string    `json:"bases,omitempty"`   // stands for the base images, by their digests
	Cache     string    `json:"cache,omitempty"`   // what layers there were; empty where that is not known
	Platforms []string  `json:"platforms,omitempty"`
	Runner    string    `json:"runner,omitempty"`
}

// A Step is one instruction that a build came to, on one platform.
type Step struct {
	Name    string  `json:"name"`
	Line    int     `json:"line,omitempty"` // of the Dockerfile; 0 where it is not known
	Seconds float64 `json:"seconds"`
	Cached  bool    `json:"cached"`
}

// A Miss is the first instruction that did not come from the cache, and why.
type Miss struct {
	Instruction string   `json:"instruction"`
	Line        int      `json:"line"`
	Why         string   `json:"why"`
	Files       []string `json:"files,omitempty"` // that changed, where that is why
}

// A History is builds of several services, in any order.
type History []Build

// An Expectation is how long a build is expected to take. Times are seconds.
type Expectation struct {
	Seconds     float64 `json:"seconds"`
	Low         float64 `json:"low"` // eight of ten builds are to take between Low and High
	High        float64 `json:"high"`
	By          string  `json:"by"`                     // the model: that with the least error so far, or the median where none beats it
	Builds      int     `json:"builds"`                 // that it is told from
	Kind        string  `json:"kind,omitempty"`         // of the services whose builds those are, where none of this one is known
	Tried       int     `json:"tried"`                  // builds, of this service and others, that the models were tried on; 0 where there are too few
	Error       float64 `json:"error,omitempty"`        // of the model: the mean distance between told and true, as a share of the mean build
	MedianError float64 `json:"median_error,omitempty"` // that of the median
	Building    float64 `json:"building"`               // seconds of Seconds that are not for judging
}

// Known reports whether there is anything to expect.
func (e Expectation) Known() bool { return e.Builds > 0 }

// String tells of the expectation for a person.
func (e Expectation) String() string {
	if !e.Known() {
		return "unknown"
	}
	return fmt.Sprintf("%s (%s to %s), by %s", Text(e.Seconds), Text(e.Low), Text(e.High), e.basis())
}

func (e Expectation) basis() string {
	builds := fmt.Sprintf("%d builds", e.Builds)
	if e.Builds == 1 {
		builds = "one build"
	}
	switch {
	case e.Kind != "":
		return fmt.Sprintf("the median of %s of other services made of %s", builds, e.Kind)
	case e.Tried == 0:
		return fmt.Sprintf("the median of %s, too few to try a model on", builds)
	case e.By == median:
		return fmt.Sprintf("the median of %s, which no model surely beats (off by %.0f%% in %d trials)", builds, 100*e.Error, e.Tried)
	default:
		return fmt.Sprintf("%s over %s (off by %.0f%% in %d trials, the median by %.0f%%)", e.By, builds, 100*e.Error, e.Tried, 100*e.MedianError)
	}
}

// Text writes seconds for a person: as finely as it matters.
func Text(seconds float64) string {
	grain := 100 * time.Millisecond
	if seconds >= 10 {
		grain = time.Second
	}
	return time.Duration(seconds * float64(time.Second)).Round(grain).String()
}

// A Learner expects of builds what a history tells.
type Learner struct {
	history History
	trials  func() []trial // of services that there are models to try for
}

// NewLearner learns from a history, once it is asked.
func NewLearner(h History) Learner { return Learner{h, sync.OnceValue(h.try)} }

// try has the models compete for each service of the repository, as it was built last; in the order of their names.
func (h History) try() []trial {
	last := map[string]Build{}
	for _, b := range h {
		if b.Elsewhere == "" && !b.At.Before(last[b.Service].At) {
			last[b.Service] = b
		}
	}
	var trials []trial
	for _, service := range slices.Sorted(maps.Keys(last)) {
		if builds := h.of(service, last[service].Platforms); len(builds) > warmUp {
			trials = append(trials, newTable(builds, Situation{}).backtest())
		}
	}
	return trials
}

// Expect tells how long a service's next build is expected to take, by those of its builds that are remembered.
func (l Learner) Expect(service string, next Situation) Expectation {
	own := l.history.of(service, next.Platforms)
	switch {
	case len(own) == 0:
		return Expectation{}
	case len(own) < warmUp:
		return plainly(own)
	}
	mine := trial{of: own[len(own)-1]}
	var others []trial
	for _, t := range l.trials() {
		switch {
		case t.of.Service != service:
			others = append(others, t)
		case slices.Equal(t.of.Platforms, mine.of.Platforms):
			mine = t
		}
	}
	return expect(own, next, newEvidence(mine, others))
}

// Guess tells how long a service is expected to take of which no build is remembered: as long as others of its kind, in this repository
// and elsewhere.
func (h History) Guess(kind string) Expectation {
	like := h.pick(func(b *Build) bool { return b.Kind == kind })
	if kind == "" || len(like) == 0 {
		return Expectation{}
	}
	e := plainly(like)
	e.Kind = kind
	return e
}

// of are a service's builds, the oldest first: those for the same platforms, where there are any.
func (h History) of(service string, platforms []string) []Build {
	own := h.own(service)
	same := History(own).pick(func(b *Build) bool { return slices.Equal(b.Platforms, platforms) })
	if len(same) > 0 {
		return same
	}
	return own
}

func (h History) own(service string) []Build {
	return h.pick(func(b *Build) bool { return b.Service == service && b.Elsewhere == "" })
}

// pick are some builds, the oldest first.
func (h History) pick(which func(*Build) bool) []Build {
	var picked []Build
	for i := range h {
		if b := &h[i]; b.Seconds > 0 && which(b) {
			picked = append(picked, *b)
		}
	}
	slices.SortStableFunc(picked, func(a, b Build) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Service, b.Service)) })
	return picked[max(0, len(picked)-window):]
}

// window is how many builds are looked at: what is longer ago tells little.
const window = 60

// expect tells from builds of one service, by what is known of the models.
func expect(builds []Build, next Situation, known evidence) Expectation {
	if known.tried() < enough {
		return plainly(builds)
	}
	t, n, best := newTable(builds, next), len(builds), known.choose()
	e := Expectation{By: models[best].name, Builds: n, Tried: known.tried(), Error: known.off(best), MedianError: known.off(medianModel)}
	e.Seconds = t.within(n, models[best].fit(t.rows[:n])(t.rows[n]))
	e.Low, e.High = known.interval(best, e.Seconds)
	e.Building = e.Seconds * building(builds)
	return e.rounded()
}

// plainly tells what a few builds tell, of one service or several.
func plainly(builds []Build) Expectation {
	took := make([]float64, len(builds))
	for i, b := range builds {
		took[i] = b.Seconds
	}
	e := Plain(took)
	e.Building = e.Seconds * building(builds)
	return e.rounded()
}

// Plain is the median of what something took lately, the oldest first and once at least, and what it spans.
func Plain(took []float64) Expectation {
	e := Expectation{Seconds: middle(lately(took)), By: median, Builds: len(took)}
	low, high := span(slices.Sorted(slices.Values(took)))
	e.Low, e.High = min(low, e.Seconds), max(high, e.Seconds)
	return e
}

// rounded is the expectation in milliseconds and thousandths: more digits would be noise.
func (e Expectation) rounded() Expectation {
	for _, value := range []*float64{&e.Seconds, &e.Low, &e.High, &e.Error, &e.MedianError, &e.Building} {
		*value = rounded(*value)
	}
	return e
}

func rounded(value float64) float64 { return math.Round(value*1000) / 1000 }

// building is the share of builds' time that is not for judging.
func building(builds []Build) float64 {
	shares := make([]float64, len(builds))
	for i, b := range builds {
		shares[i] = b.Building / b.Seconds
	}
	return middle(lately(shares))
}
