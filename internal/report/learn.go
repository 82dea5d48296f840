package report

import (
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/learn"
)

// Remarks are what earlier runs make of this one, as lines for the log.
func (r Report) Remarks() []string {
	var lines []string
	for _, s := range r.Services {
		for _, remark := range s.remarks() {
			lines = append(lines, fmt.Sprintf("📈 %s: %s", s.Name, remark))
		}
	}
	return lines
}

// remarks are what earlier runs make of what became of a service.
func (s Service) remarks() []string {
	var remarks []string
	if s.Anomaly != nil {
		remarks = append(remarks, s.Anomaly.String())
	}
	if s.Health != nil && s.Health.Note != "" {
		remarks = append(remarks, s.Health.Note)
	}
	return remarks
}

// writeExpected shows what was expected beside what came.
func (s Service) writeExpected(b *strings.Builder) {
	if took := s.Seconds["build"] + s.Seconds["judge"]; s.Expected != nil && s.Seconds["build"] > 0 {
		fmt.Fprintf(b, "- took %s; expected were %s\n", learn.Text(took), cell(s.Expected.String()))
	}
	for _, remark := range s.remarks() {
		fmt.Fprintf(b, "- 📈 %s\n", cell(remark))
	}
	if h := s.Health; h != nil && h.Flaky > 0 {
		fmt.Fprintf(b, "- of %d trials %d failed, %d of them by chance\n", h.Trials, h.Failed, h.Flaky)
	}
}

// writeCoordination shows what working together cost, where more than one job did.
func (r Report) writeCoordination(b *strings.Builder) {
	c := r.Coordination
	if c.Jobs < 2 {
		return
	}
	fmt.Fprintf(b, "\nWorking together, in %d jobs: %.0f%% of the operations on the memory succeeded, %d conflicts were merged", c.Jobs, 100*c.Success, c.Conflicts)
	for _, part := range []struct {
		text string
		took learn.Times
	}{{"it was brought in %s", c.Restore}, {"saved in %s", c.Save}, {"messages arrived within %s", c.Latency}} {
		if part.took.Median > 0 {
			fmt.Fprintf(b, ", "+part.text, learn.Text(part.took.Median))
		}
	}
	b.WriteString(".\n")
}
