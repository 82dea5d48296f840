package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/org/ghcr-publish/internal/publish"
)

// A Span is when something was done, in seconds after the run's start.
type Span struct {
	Service   string   `json:"service,omitempty"` // empty of what was done for all of them
	Part      string   `json:"part"`
	Platforms []string `json:"platforms,omitempty"` // that it was done for, where that is not all of the service's
	Start     float64  `json:"start"`
	Seconds   float64  `json:"seconds"`
}

func (s Span) end() float64 { return s.Start + s.Seconds }

// Timeline puts in order what a run that began at some time did: its planning, and what it did with each service. What an earlier
// attempt of the run did is left out.
func Timeline(started time.Time, planning publish.Span, results []publish.Result) []Span {
	var line []Span
	add := func(service string, s publish.Span) {
		start := s.Began.Sub(started).Seconds()
		if s.Part != "" && start+s.Seconds > 0 {
			line = append(line, Span{service, s.Part, s.Platforms, round(max(start, 0)), round(s.Seconds)})
		}
	}
	add("", planning)
	for _, r := range results {
		for _, s := range r.Spans {
			add(r.Plan.Name, s)
		}
	}
	slices.SortStableFunc(line, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	return line
}

// What is drawn: nothing of a run that was over at once, and of many services those that took longest.
const (
	leastDrawn = 1 // seconds
	mostDrawn  = 20
)

// writeTimeline draws what was done when, as a Gantt chart of Mermaid's. Times are those of a day that begins with the run, so that
// every reader sees the same, wherever their clock is.
// https://mermaid.js.org/syntax/gantt.html
func (r Report) writeTimeline(b *strings.Builder) {
	if len(r.Timeline) == 0 {
		return
	}
	begin, end := math.Inf(1), 0.0
	for _, s := range r.Timeline {
		begin, end = min(begin, s.Start), max(end, s.end())
	}
	drawn := r.drawn()
	if len(drawn) == 0 || end-begin < leastDrawn {
		return
	}
	fmt.Fprintf(b, "\n#### When\n\n```mermaid\ngantt\n    dateFormat HH:mm:ss.SSS\n    axisFormat %s\n", axis(end-begin))
	for _, name := range append([]string{""}, drawn...) {
		r.writeSection(b, name, begin)
	}
	b.WriteString("```\n")
	if all := r.worked(); len(drawn) < len(all) {
		fmt.Fprintf(b, "\nThese are the %d of %d services that were worked on for longest.\n", len(drawn), len(all))
	}
}

// axis is how times are told, of a run of some seconds: no time twice.
func axis(seconds float64) string {
	switch {
	case seconds < 10:
		return "%M:%S\n    tickInterval 1second"
	case seconds < 3600:
		return "%M:%S"
	default:
		return "%H:%M"
	}
}

// length is how long a span was, as briefly as it was.
func (s Span) length() string {
	if s.Seconds < 0.1 {
		return fmt.Sprintf("%.0fms", 1000*s.Seconds)
	}
	return seconds(s.Seconds)
}

func (r Report) writeSection(b *strings.Builder, service string, begin float64) {
	title := "    section " + plain(service) + "\n"
	if service == "" {
		title = "    section all\n"
	}
	for _, s := range r.Timeline {
		if s.Service != service {
			continue
		}
		part := s.Part
		if len(s.Platforms) > 0 {
			part += " " + plain(strings.Join(s.Platforms, " "))
		}
		fmt.Fprintf(b, "%s    %s %s :%s%s, %s\n", title, part, s.length(), r.looks(s), clock(s.Start-begin), clock(s.end()-begin))
		title = ""
	}
}

// looks is how Mermaid is to show a span: what was refused or failed in red, judging unlike building.
func (r Report) looks(s Span) string {
	i := slices.IndexFunc(r.Services, func(other Service) bool { return other.Name == s.Service })
	switch {
	case i >= 0 && len(r.Services[i].problems()) > 0 && s.Part == r.last(s.Service):
		return "crit, "
	case s.Part == "judge":
		return "active, "
	case s.Part == "build":
		return ""
	default:
		return "done, "
	}
}

// last is the part that was done last with a service.
func (r Report) last(service string) string {
	part, end := "", -1.0
	for _, s := range r.Timeline {
		if s.Service == service && s.end() >= end {
			part, end = s.Part, s.end()
		}
	}
	return part
}

// worked are the services that something was done with, in their order.
func (r Report) worked() []string {
	var names []string
	for _, s := range r.Services {
		if slices.ContainsFunc(r.Timeline, func(span Span) bool { return span.Service == s.Name }) && !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// drawn are those of the services that took longest, in their order.
func (r Report) drawn() []string {
	took := map[string]float64{}
	for _, s := range r.Timeline {
		took[s.Service] += s.Seconds
	}
	longest := r.worked()
	slices.SortStableFunc(longest, func(a, b string) int { return cmp.Compare(took[b], took[a]) })
	longest = longest[:min(len(longest), mostDrawn)]
	return slices.DeleteFunc(r.worked(), func(name string) bool { return !slices.Contains(longest, name) })
}

// clock is a time of day so many seconds after midnight; a chart ends with the day.
func clock(seconds float64) string {
	ms := min(int64(math.Round(seconds*1000)), 24*3600*1000-1)
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// longestName is how many characters of a name a chart has place for.
const longestName = 40

// plain leaves of a name what means nothing in a chart.
func plain(name string) string {
	kept := []rune(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./ ", r) {
			return r
		}
		return '-'
	}, strings.ToValidUTF8(name, "-")))
	return string(kept[:min(len(kept), longestName)])
}
