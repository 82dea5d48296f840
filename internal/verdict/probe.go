package verdict

import (
	"cmp"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/service"
)

// A Probe is what starting the image showed.
type Probe struct {
	Platform    string        `json:"platform,omitempty"`    // empty where none of the image's platforms runs here
	Route       string        `json:"route,omitempty"`       // how the container was reached
	Healthy     bool          `json:"healthy"`               // it answered in time, or its HEALTHCHECK did
	Started     time.Duration `json:"started"`               // from start to the first healthy answer; nanoseconds in JSON
	PeakMemory  int64         `json:"peak_memory"`           // bytes, until healthy
	CPU         time.Duration `json:"cpu"`                   // processor time, until healthy; nanoseconds in JSON
	Processes   int64         `json:"processes"`             // most at one moment, threads included, until healthy
	Unpacked    int64         `json:"unpacked"`              // bytes on disk
	Failure     string        `json:"failure,omitempty"`     // what went wrong, for a person
	Log         []string      `json:"log,omitempty"`         // the container's last lines
	Left        string        `json:"left,omitempty"`        // why something of the trial is still there
	Asked       string        `json:"asked,omitempty"`       // digest of what was demanded; empty where that is not for others to know
	Unavailable string        `json:"unavailable,omitempty"` // why it could not be started at all, for no fault of its own
}

func (v *Verdict) judgeProbe(e Evidence, gate service.StartupGate) {
	p := e.Probe
	if p.Left != "" {
		v.note("the trial left something behind: %s", p.Left)
	}
	switch {
	case e.Part && p.Platform == "" && p.Failure == "": // another part is tried out where its platform runs
	case p.Platform == "" && len(e.Emulated) > 0: // none of its platforms runs by itself
	case p.Unavailable != "":
		v.untried(gate, "the image could not be tried out: %s", p.Unavailable)
	case p.Failure != "":
		v.refuse("%s", p.Failure)
		if len(p.Log) == 0 {
			v.advise("The container wrote nothing: start the image by hand, and see what its command does.")
		} else {
			v.advise("Read the container's last lines, in the report or the details of the run's summary.")
		}
	case !p.Healthy:
		v.refuse("the image was not tried out")
	case p.Started > gate.Within:
		v.refuse("it took %s to become healthy, more than %s", p.Started.Round(100*time.Millisecond), gate.Within)
		v.advise("Have it start faster, or give it longer with `within` in gates.startup.")
	}
}

// untried refuses what could not be started, or lets it pass.
func (v *Verdict) untried(gate service.StartupGate, format string, args ...any) {
	if gate.OnUnavailable != service.OnUnavailableWarn {
		v.advise("Give the job a Docker Engine that starts it, or let it pass with `on_unavailable: warn` in gates.startup.")
	}
	v.unavailable(gate.OnUnavailable, format, args...)
}

// judgeEmulated judges the trials of platforms that do not run by themselves. An emulator is slow, and says nothing of how fast they are.
func (v *Verdict) judgeEmulated(e Evidence, gate service.StartupGate) {
	for _, p := range e.Emulated {
		switch {
		case p.Unavailable != "":
			v.untried(gate, "the image could not be tried out for %s: %s", p.Platform, p.Unavailable)
		case p.Failure != "":
			v.refuse("for %s, under emulation, %s", p.Platform, p.Failure)
		case !p.Healthy:
			v.refuse("the image was not tried out for %s", p.Platform)
		}
	}
}

// Decisive picks, of the trials of an image's parts, the one that decides on the whole: one that failed or
// could not be made before any that went well, and of those the slowest. Parts of which no platform
// ran where they were looked at count only if there are no others.
func Decisive(probes ...Probe) Probe {
	if len(probes) == 0 {
		return Probe{}
	}
	return slices.MaxFunc(probes, func(a, b Probe) int {
		return cmp.Or(cmp.Compare(a.gravity(), b.gravity()), cmp.Compare(a.Started, b.Started))
	})
}

func (p Probe) gravity() int {
	switch {
	case p.Failure != "":
		return 3
	case p.Platform == "":
		return 0
	case p.Healthy:
		return 1
	default:
		return 2
	}
}
