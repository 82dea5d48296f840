package verdict

import (
	"fmt"
	"slices"
	"time"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/service"
)

// Usual is what earlier runs saw of one figure. Medians are not carried away by the one run on a bad day.
type Usual struct {
	Median float64 `json:"median"`
	Spread float64 `json:"spread"` // usual distance from the median: the median absolute deviation, as a standard deviation
	Runs   int     `json:"runs"`   // how many were looked at
}

// History is what is usual of a service, by the figure's name.
type History map[string]Usual

// Names of figures. The size is that of one platform, whose name follows.
const (
	Startup    = "startup"
	PeakMemory = "peak memory"
	Findings   = "findings"
	BuildTime  = "build"
	sizeOf     = "size "
)

// Size names the figure of one platform's compressed size.
func Size(platform string) string { return sizeOf + platform }

// Units of figures.
const (
	Seconds = "seconds"
	Bytes   = "bytes"
	Count   = "count"
)

// What the figure of the published image is known from: this run, or what the memory has of an earlier one.
const (
	Measured   = "measured"
	Remembered = "remembered"
)

// A Figure is one measured quantity, of which less is better, beside what it was.
type Figure struct {
	Name, Unit string
	Now        float64
	Published  float64 // of the image that is published now
	Basis      string  // of what is known of that: Measured or Remembered; empty where nothing is
	Usual      Usual   // no runs where there is no history
}

// Was is what the figure is compared with: the published image, or else what is usual; 0 where there is neither.
func (f Figure) Was() float64 {
	if f.Basis != "" || f.Usual.Runs == 0 {
		return f.Published
	}
	return f.Usual.Median
}

// Change is by which share of what it was the figure rose; 0 where that cannot be told, or strays no further than usual.
func (f Figure) Change() float64 {
	was := f.Was()
	if was <= 0 {
		return 0
	}
	change := f.Now/was - 1
	if distance := f.Now - was; max(distance, -distance) <= f.noise() {
		return 0
	}
	return change
}

// noise is the difference that tells nothing. What is counted by one database at one time has none.
func (f Figure) noise() float64 {
	if f.Unit == Count && f.Basis == Measured {
		return 0
	}
	return max(f.grain(), 2*f.Usual.Spread)
}

// grain is the difference that is none: how often a starting container is looked at, and what pages and caches come to.
func (f Figure) grain() float64 {
	switch {
	case f.Unit == Seconds:
		return 0.2
	case f.Name == PeakMemory:
		return 4e6
	default:
		return 0
	}
}

// Figures are what the evidence measures, beside what is published and usual.
func Figures(e Evidence) []Figure {
	var figures []Figure
	add := func(name, unit string, now, published float64) {
		f := Figure{Name: name, Unit: unit, Now: now, Published: published, Usual: e.Usual[name]}
		if published > 0 {
			f.Basis = Measured
		}
		figures = append(figures, f)
	}
	if p := e.Probe; p.Healthy {
		var before Probe
		if e.Before != nil && e.Before.Healthy {
			before = *e.Before
		}
		add(Startup, Seconds, p.Started.Seconds(), before.Started.Seconds())
		add(PeakMemory, Bytes, float64(p.PeakMemory), float64(before.PeakMemory))
	}
	for _, p := range e.Platforms {
		add(Size(p.Platform), Bytes, float64(p.Compressed), float64(p.Published))
	}
	if !slices.ContainsFunc(e.Platforms, func(p Platform) bool { return p.Unscanned != "" }) {
		figures = append(figures, findings(e))
	}
	if e.Built > 0 {
		add(BuildTime, Seconds, e.Built, 0)
	}
	return figures
}

// findings counts what was found, beside what the published image has by the same database, where that was looked for on each
// platform, or else had when it was judged.
func findings(e Evidence) Figure {
	f := Figure{Name: Findings, Unit: Count, Usual: e.Usual[Findings]}
	before, measured := 0, len(e.Platforms) > 0
	for _, p := range e.Platforms {
		f.Now += float64(len(p.Findings))
		if measured = measured && p.Before != nil; measured {
			before += *p.Before
		}
	}
	switch {
	case measured:
		f.Published, f.Basis = float64(before), Measured
	case e.Remembered != nil && !e.Part:
		f.Published, f.Basis = float64(*e.Remembered), Remembered
	}
	return f
}

// judgeRegression compares with the published image as it did on this machine just now. History alone refuses nothing.
func (v *Verdict) judgeRegression(e Evidence, gate service.RegressionGate) {
	switch {
	case !gate.Set() || !e.Probe.Healthy || e.Before == nil:
		return
	case e.Before.Failure != "":
		v.note("there is nothing to compare with: the published image does not start as this one is to: %s", e.Before.Failure)
		return
	case !e.Before.Healthy:
		v.unavailable(gate.OnUnavailable, "whether it became slower is not known, because the published image could not be tried out: %s (`on_unavailable: warn` in gates.regression lets it pass)", e.Before.Unavailable)
		return
	}
	limits := map[string]service.Slack{Startup: gate.Startup, PeakMemory: gate.PeakMemory}
	for _, f := range Figures(e) {
		slack, limited := limits[f.Name]
		if !limited || !slack.Set() || f.Published <= 0 {
			continue
		}
		if most := f.Published * (1 + allowed(slack, f.Usual)); f.Now > most+f.grain() {
			v.refuse("its %s rose from %s to %s, more than the %.0f%% that gates.regression allows", f.Name, f.Text(f.Published), f.Text(f.Now), 100*allowed(slack, f.Usual))
			v.advise("Compare with what is published, which did better on the same machine, or raise the limit in gates.regression.")
		}
	}
}

// judgeBuildTime tells of a build that took longer than is usual. How long the published image would take to build on this machine
// nobody measures, so there is only the memory to compare with, which refuses nothing.
func (v *Verdict) judgeBuildTime(e Evidence, slack service.Slack) {
	f := Figure{Name: BuildTime, Unit: Seconds, Now: e.Built, Usual: e.Usual[BuildTime]}
	if !slack.Set() || f.Now <= 0 || f.Usual.Runs < fewRuns {
		return
	}
	if most := f.Usual.Median * (1 + allowed(slack, f.Usual)); f.Now > most+f.grain() {
		v.note("its build took %s, more than the %.0f%% over the usual %s that build_time in gates.regression allows; what is usual only the memory knows, which refuses nothing", f.Text(f.Now), 100*allowed(slack, f.Usual), f.Text(f.Usual.Median))
	}
}

// What a slack that is left to history may be. Within these bounds it makes no difference who wrote that history.
const (
	leastSlack, mostSlack = 0.1, 1.0
	unknownSlack          = 0.5
	fewRuns               = 5 // of fewer runs nobody can tell what is usual
	deviations            = 3 // beyond which a value is no accident
)

// allowed is the share by which a figure may rise.
func allowed(slack service.Slack, usual Usual) float64 {
	switch {
	case !slack.Auto:
		return slack.Share
	case usual.Runs < fewRuns || usual.Median <= 0:
		return unknownSlack
	default:
		return min(max(deviations*usual.Spread/usual.Median, leastSlack), mostSlack)
	}
}

// Text writes a value of the figure for a person.
func (f Figure) Text(value float64) string {
	switch f.Unit {
	case Seconds:
		return time.Duration(value * float64(time.Second)).Round(100 * time.Millisecond).String()
	case Bytes:
		return units.HumanSize(value)
	default:
		return fmt.Sprintf("%.0f", value)
	}
}
