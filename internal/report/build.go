package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
)

// mostSteps is how many instructions of a build the summary shows: those that took longest.
const mostSteps = 5

// writeBuild shows where the build's time went.
func (s Service) writeBuild(b *strings.Builder) {
	if len(s.Steps) == 0 {
		return
	}
	parts := []string{fmt.Sprintf("%.0f%% of the instructions came from the cache", 100*s.CacheHitRate)}
	if s.Dependencies > 0 {
		parts = append(parts, fmt.Sprintf("%.0f%% of the dependency layers", 100*s.DependencyRate))
	}
	if s.ContextBytes > 0 {
		parts = append(parts, units.HumanSize(float64(s.ContextBytes))+" were sent")
	}
	pulled := int64(0)
	for _, bytes := range s.PulledBytes {
		pulled += bytes
	}
	if pulled > 0 {
		parts = append(parts, units.HumanSize(float64(pulled))+" were pulled")
	}
	fmt.Fprintf(b, "\nBuild: %s.\n", strings.Join(parts, ", "))
	if m := s.FirstMiss; m != nil {
		fmt.Fprintf(b, "\nThe first that did not: %s in line %d: %s.\n", cell(m.Instruction), m.Line, cell(m.Why))
	}
	if longest := longestSteps(s.Steps); len(longest) > 0 {
		b.WriteString("\n| line | instruction | time | expected |\n|---|---|---|---|\n")
		for _, step := range longest {
			fmt.Fprintf(b, "| %s | %s | %.1f s | %s |\n", line(step.Line), cell(instruction(step)), step.Seconds, bounds(s.ExpectedSteps[step.Name]))
		}
	}
}

func saves(a insight.Advice) string {
	switch {
	case a.Kind == "cache-mount":
		return fmt.Sprintf(" It took %.1f s.", a.Seconds)
	case a.Seconds > 0:
		return fmt.Sprintf(" It would have saved this build %.1f s.", a.Seconds)
	default:
		return ""
	}
}

// longestSteps are the instructions that were worked on for longest, each once: of its platforms the slowest.
func longestSteps(steps []insight.Step) []insight.Step {
	var longest []insight.Step
	for _, step := range steps {
		if !step.Instruction() || step.Seconds < 0.1 {
			continue
		}
		i := slices.IndexFunc(longest, func(other insight.Step) bool {
			return other.Line == step.Line && instruction(other) == instruction(step)
		})
		if i < 0 {
			longest = append(longest, step)
		} else if step.Seconds > longest[i].Seconds {
			longest[i] = step
		}
	}
	slices.SortStableFunc(longest, func(a, b insight.Step) int { return -cmp.Compare(a.Seconds, b.Seconds) })
	return longest[:min(len(longest), mostSteps)]
}

// instruction names a step without what BuildKit puts before it.
func instruction(step insight.Step) string {
	_, name, _ := strings.Cut(step.Name, "] ")
	return name
}

// bounds are what is expected of an instruction.
func bounds(e learn.Expectation) string {
	if !e.Known() {
		return "–"
	}
	return fmt.Sprintf("%s to %s", learn.Text(e.Low), learn.Text(e.High))
}

func line(number int) string {
	if number == 0 {
		return "–"
	}
	return fmt.Sprint(number)
}
