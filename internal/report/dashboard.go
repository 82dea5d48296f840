package report

import (
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/dashboard"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/verdict"
)

// Dashboard renders how builds have been doing as Markdown.
func Dashboard(f dashboard.Figures) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### 📈 %s\n", cell(f.Answer))
	if len(f.Services) == 0 {
		return b.String()
	}
	b.WriteString("\n| service | builds | passed | median | expected next | from the cache | flaky trials |\n|---|---|---|---|---|---|---|\n")
	for _, s := range f.Services {
		next := "–"
		if s.Next != nil {
			next = fmt.Sprintf("%s (%s to %s)", learn.Text(s.Next.Seconds), learn.Text(s.Next.Low), learn.Text(s.Next.High))
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %s | %d of %d |\n", cell(f.Label(s)), s.Builds, dashboard.Percent(s.Success), dashboard.Seconds(s.Seconds), next, dashboard.Percent(s.HitRate), s.Flaky, s.Trials)
	}
	if p := f.Schedule; p != nil {
		fmt.Fprintf(&b, "\nSchedule efficiency is %s over %s of several services or platforms: the least time that their work takes in any order, over the time that it took.\n", dashboard.Percent(&p.Efficiency), verdict.Quantity(p.Runs, "run"))
	}
	return b.String()
}
