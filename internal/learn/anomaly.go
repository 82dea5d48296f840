package learn

import (
	"fmt"
	"slices"
	"strings"
)

// An Anomaly is a build that took much longer than is usual.
type Anomaly struct {
	Seconds float64 `json:"seconds"` // of building
	Usual   float64 `json:"usual"`   // median of the builds before
	Times   float64 `json:"times"`   // of the usual
	Builds  int     `json:"builds"`  // that tell what is usual
	Why     string  `json:"why"`
}

// String tells of the anomaly for a person.
func (a Anomaly) String() string {
	return fmt.Sprintf("the build took %.1f times its usual time (%s instead of %s): %s", a.Times, Text(a.Seconds), Text(a.Usual), a.Why)
}

// What is less is no anomaly.
const (
	unusualTimes   = 1.5
	unusualSeconds = 2
	leastBuilds    = 5 // of fewer nobody can tell what is usual
)

// Anomaly compares a build with those before. Nil where it is nothing unusual.
func (h History) Anomaly(now Build) *Anomaly {
	before := h.of(now.Service, now.Platforms)
	if len(before) < leastBuilds {
		return nil
	}
	took := make([]float64, len(before))
	for i, b := range before {
		took[i] = b.Building
	}
	usual := Plain(took)
	if now.Building <= max(usual.High, unusualTimes*usual.Seconds, usual.Seconds+unusualSeconds) || usual.Seconds <= 0 {
		return nil
	}
	return &Anomaly{Seconds: rounded(now.Building), Usual: rounded(usual.Seconds), Times: rounded(now.Building / usual.Seconds), Builds: len(before), Why: why(now, before, now.Building-usual.Seconds)}
}

// why names the instruction that took most of what a build took longer, and what it lost its cache by.
func why(now Build, before []Build, excess float64) string {
	var worst Step
	var most, usually float64
	cached := true
	for _, s := range now.Steps {
		took, came := usual(s.Name, before)
		if over := s.Seconds - took; !s.Cached && over > most {
			worst, most, usually, cached = s, over, took, came
		}
	}
	if most < excess/4 {
		return "no instruction of its Dockerfile took that much longer"
	}
	name := instruction(worst)
	if !cached {
		return fmt.Sprintf("%s took %s instead of %s", name, Text(worst.Seconds), Text(usually))
	}
	return fmt.Sprintf("%s lost its cache%s", name, now.Miss.because())
}

// because tells why instructions from the first on lost their cache.
func (m *Miss) because() string {
	switch {
	case m == nil:
		return ""
	case len(m.Files) > 0:
		return fmt.Sprintf(" because %s changed", strings.Join(m.Files[:min(len(m.Files), few)], ", "))
	default:
		return ": " + m.Why
	}
}

// usual is how long an instruction took in most builds, and whether it came from the cache in most. One that is new always did, so to speak.
func usual(name string, builds []Build) (seconds float64, cached bool) {
	var took []float64
	hits := 0
	for _, b := range builds[max(0, len(builds)-recent):] {
		i := slices.IndexFunc(b.Steps, func(s Step) bool { return s.Name == name })
		switch {
		case i < 0:
		case b.Steps[i].Cached:
			hits++
			took = append(took, 0)
		default:
			took = append(took, b.Steps[i].Seconds)
		}
	}
	if len(took) == 0 {
		return 0, true
	}
	return middle(took), 2*hits > len(took)
}

// instruction names a step without what BuildKit puts before it.
func instruction(s Step) string {
	name := s.Name
	if _, after, found := strings.Cut(name, "] "); found {
		name = after
	}
	if s.Line > 0 {
		return fmt.Sprintf("%s in line %d", name, s.Line)
	}
	return name
}
