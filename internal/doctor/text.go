package doctor

import (
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/verdict"
)

// mark stands for a state.
func (s State) mark() string {
	switch s {
	case Problem:
		return "❌"
	case Unknown:
		return "❔"
	case Advice:
		return "💡"
	default:
		return "✅"
	}
}

// An Examination is what all looks came to, as programs read it.
type Examination struct {
	Findings []Finding     `json:"findings"`
	Counts   map[State]int `json:"counts"`
	ExitCode int           `json:"exit_code"`
}

// Conclude counts findings. The exit code is that of a wrong configuration where one is a problem.
func Conclude(found []Finding, wrong int) Examination {
	e := Examination{Findings: found, Counts: map[State]int{}}
	for _, s := range states {
		e.Counts[s] = 0
	}
	for _, f := range found {
		e.Counts[f.State]++
	}
	if e.Counts[Problem] > 0 {
		e.ExitCode = wrong
	}
	return e
}

// String says how many findings there are of each kind.
func (e Examination) String() string {
	return fmt.Sprintf("%s %s, %d could not be checked, %d with advice, %d fine", e.verdict().mark(), verdict.Quantity(e.Counts[Problem], "problem"), e.Counts[Unknown], e.Counts[Advice], e.Counts[Fine])
}

func (e Examination) verdict() State {
	if e.Counts[Problem] > 0 {
		return Problem
	}
	return Fine
}

// String is a finding in one line, for a notice.
func (f Finding) String() string {
	return f.Found + "; " + strings.Join(strings.Fields(f.Fix), " ") + "."
}

// Lines tell a finding to whoever reads a log.
func (f Finding) Lines() []string {
	lines := []string{fmt.Sprintf("%s %s: %s", f.State.mark(), f.Check, f.Found)}
	if f.Where != "" {
		lines = append(lines, "   at "+f.Where)
	}
	if f.Fix != "" {
		lines = append(lines, "   "+f.label())
		for line := range strings.SplitSeq(f.Fix, "\n") {
			lines = append(lines, "     "+line)
		}
	}
	return lines
}

// label says what a fix is.
func (f Finding) label() string {
	if f.State == Unknown {
		return "To find out:"
	}
	return "To mend it:"
}

// Summary is the whole in Markdown: what is to be done first, with all of its lines, and a table of the rest.
func (e Examination) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", e)
	for _, f := range e.Findings {
		if f.State == Fine {
			continue
		}
		fmt.Fprintf(&b, "### %s %s\n\n%s\n\n", f.State.mark(), f.Check, plain(f.Found))
		if f.Where != "" {
			fmt.Fprintf(&b, "At `%s`. ", strings.ReplaceAll(f.Where, "`", "'"))
		}
		fmt.Fprintf(&b, "%s\n\n%s\n\n", f.label(), fenced(f.Fix))
	}
	b.WriteString("<details><summary>What is fine</summary>\n\n| check | found |\n|---|---|\n")
	for _, f := range e.Findings {
		if f.State == Fine {
			fmt.Fprintf(&b, "| %s %s | %s |\n", f.State.mark(), f.Check, strings.ReplaceAll(plain(f.Found), "|", `\|`))
		}
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// plain is a text of which Markdown makes nothing else: it may hold what a registry or a file said.
func plain(text string) string {
	return strings.NewReplacer("\n", " ", "<", "&lt;", "[", `\[`, "*", `\*`, "_", `\_`).Replace(text)
}

// fenced is a text as it stands, whatever it holds.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + text + "\n" + fence
}
