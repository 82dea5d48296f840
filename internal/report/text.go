package report

import (
	"cmp"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// Answer is the run in one sentence: what a person reads first.
func (r Report) Answer() string {
	if r.mirrorsOnly() {
		return r.mirrorAnswer()
	}
	switch r.Outcome {
	case "published":
		if r.To != "" {
			return fmt.Sprintf("✅ %s points to what was asked for, of %s. That took %s.", r.To, r.names(func(s Service) bool { return len(s.Moved) > 0 }), seconds(r.Seconds))
		}
		published := fmt.Sprintf("✅ Published %s in %s", r.names(func(s Service) bool { return len(s.Moved) > 0 }), seconds(r.Seconds))
		if n := r.unscanned(); n > 0 {
			return published + ", but " + notScanned(n) + "."
		}
		return published + "."
	case "kept":
		return r.passed() + " Every tag stays where it is; the reasons are below."
	case "approved":
		passed := r.passed()
		if r.Row != "" {
			return passed + " The job that finalizes decides on the tags."
		}
		return passed + " Nothing was pushed."
	case "nothing-to-do":
		return "✅ Nothing to do: no service needs to be built or tagged."
	case "refused":
		return fmt.Sprintf("❌ Refused: %s. Tags of refused images stay where they were.", r.names(func(s Service) bool { return s.Verdict.Outcome == "refused" }))
	default:
		return fmt.Sprintf("❌ Failed: %s. What users pull is unchanged unless a tag is listed as moved.", r.names(func(s Service) bool { return s.Error != "" }))
	}
}

// passed says which services passed. No gate has seen what is in an image that was not scanned.
func (r Report) passed() string {
	names := r.names(func(s Service) bool { return s.Action != string(plan.Skip) })
	if n := r.unscanned(); n > 0 {
		return fmt.Sprintf("✅ %s passed, but %s.", names, notScanned(n))
	}
	return fmt.Sprintf("✅ %s passed every gate.", names)
}

// unscanned counts the images of which a platform could not be scanned.
func (r Report) unscanned() (n int) {
	for _, s := range r.Services {
		if slices.ContainsFunc(s.Platforms, func(p Platform) bool { return !p.Scanned }) {
			n++
		}
	}
	return n
}

func notScanned(n int) string {
	if n == 1 {
		return "1 image was not scanned"
	}
	return fmt.Sprintf("%d images were not scanned", n)
}

// Unscanned says how many images passed that could not be scanned, and why the first of them could not; empty where there is none.
func Unscanned(results []publish.Result) string {
	n, why := 0, ""
	for _, r := range results {
		i := slices.IndexFunc(r.Evidence.Platforms, func(p verdict.Platform) bool { return p.Unscanned != "" })
		if i >= 0 && r.Verdict.Approved() {
			n, why = n+1, cmp.Or(why, r.Evidence.Platforms[i].Unscanned)
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s, so nothing is known of what is in there: %s", notScanned(n), why)
}

func (r Report) names(which func(Service) bool) string {
	var names []string
	for _, s := range r.Services {
		if which(s) {
			names = append(names, s.Name)
		}
	}
	return strings.Join(slices.Compact(names), ", ") // a rescan tells of several images of a service
}

// Lines are the checks a person looks for in the log, each green or red.
func Lines(results []publish.Result, gates service.Gates) []string {
	var lines, large, sick []string
	judged, healthy := 0, 0
	for _, r := range results {
		if r.Plan.Action == plan.Skip || len(r.Evidence.Platforms) == 0 {
			continue
		}
		judged++
		probe := r.Evidence.Probe
		switch {
		case probe.Healthy:
			healthy++
			lines = append(lines, fmt.Sprintf("✅ %s started in %.1f seconds", r.Plan.Name, probe.Started.Seconds()))
		case probe.Failure == "" && probe.Unavailable != "":
			mark := "⚠️"
			if elsewhere := r.Evidence.Part && probe.Platform == ""; !elsewhere && !r.Verdict.Approved() {
				mark, sick = "❌", append(sick, r.Plan.Name)
			}
			lines = append(lines, fmt.Sprintf("%s %s was not tried out: %s", mark, r.Plan.Name, probe.Unavailable))
		default:
			sick = append(sick, r.Plan.Name)
			lines = append(lines, fmt.Sprintf("❌ %s did not start: %s", r.Plan.Name, cmp.Or(probe.Failure, "nobody tried")))
		}
		for _, p := range r.Evidence.Emulated {
			if p.Healthy {
				lines = append(lines, fmt.Sprintf("✅ %s started for %s in %.1f seconds, under emulation", r.Plan.Name, p.Platform, p.Started.Seconds()))
			} else {
				lines = append(lines, fmt.Sprintf("❌ %s did not start for %s: %s", r.Plan.Name, p.Platform, cmp.Or(p.Failure, p.Unavailable)))
			}
		}
		for _, a := range r.Candidate.Account.Advice {
			lines = append(lines, fmt.Sprintf("💡 %s: %s%s", r.Plan.Name, a.Text, saves(a)))
		}
		for _, p := range r.Evidence.Platforms {
			if gates.Size.Max > 0 && p.Compressed > gates.Size.Max {
				large = append(large, fmt.Sprintf("%s for %s is %s", r.Plan.Name, p.Platform, units.HumanSize(float64(p.Compressed))))
			}
		}
	}
	if judged == 0 {
		return nil
	}
	if gates.Size.Max > 0 {
		threshold := units.HumanSize(float64(gates.Size.Max))
		lines = append(lines, pick(large, "✅ Image sizes under "+threshold+" threshold", "❌ Image sizes over "+threshold+" threshold: "))
	}
	if healthy+len(sick) > 0 {
		lines = append(lines, pick(sick, "✅ All health checks passing", "❌ Health checks failing: "))
	}
	return lines
}

func pick(bad []string, green, red string) string {
	if len(bad) == 0 {
		return green
	}
	return red + strings.Join(bad, ", ")
}

// writeComparison shows what there is something to compare with for.
func (s Service) writeComparison(b *strings.Builder) {
	known := slices.DeleteFunc(slices.Clone(s.Compared), func(f Figure) bool { return f.Published == nil && f.Runs == 0 })
	if len(known) == 0 {
		return
	}
	b.WriteString("\n| figure | now | published | usual | change |\n|---|---|---|---|---|\n")
	for _, f := range known {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", cell(f.Name), f.text(f.Now), f.published(), f.usual(), f.arrow())
	}
}

func (f Figure) text(value float64) string { return verdict.Figure{Unit: f.Unit}.Text(value) }

func (f Figure) published() string {
	switch {
	case f.Published == nil:
		return "–"
	case f.Basis == verdict.Remembered:
		return f.text(*f.Published) + " when it was judged"
	default:
		return f.text(*f.Published)
	}
}

func (f Figure) usual() string {
	if f.Runs == 0 {
		return "–"
	}
	return fmt.Sprintf("%s ± %s in %d runs", f.text(f.Usual), f.text(f.Spread), f.Runs)
}

func (f Figure) arrow() string {
	was := f.Usual
	if f.Published != nil {
		was = *f.Published
	}
	switch {
	case was == 0 && f.Now > 0:
		return "▲ from none"
	case f.Change >= 0.005:
		return fmt.Sprintf("▲ %.0f%%", 100*f.Change)
	case f.Change <= -0.005:
		return fmt.Sprintf("▼ %.0f%%", -100*f.Change)
	default:
		return "＝"
	}
}

func (s Service) start() string {
	if !s.Healthy {
		return "–"
	}
	return fmt.Sprintf("%.1f s", s.StartupSeconds)
}

func (s Service) sizes() string {
	var sizes []string
	for _, p := range s.Platforms {
		sizes = append(sizes, units.HumanSize(float64(p.CompressedBytes)))
	}
	return strings.Join(sizes, " / ")
}

func (s Service) findings(shown []string) string {
	if len(s.Platforms) > 0 && !slices.ContainsFunc(s.Platforms, func(p Platform) bool { return p.Scanned }) {
		return "not scanned"
	}
	var found []string
	for _, p := range s.Platforms {
		if !p.Scanned {
			found = append(found, cell("not scanned on "+p.Platform))
			continue
		}
		for _, severity := range shown {
			if n := p.Counts[severity]; n > 0 {
				found = append(found, cell(fmt.Sprintf("%d %s on %s%s", n, severity, p.Platform, p.ofThem(severity))))
			}
		}
	}
	if len(found) == 0 && len(s.Platforms) > 0 {
		return "none of note"
	}
	return strings.Join(found, "<br>")
}

// ofThem says how many findings of a severity are no news.
func (p Platform) ofThem(severity string) string {
	known, excepted := 0, 0
	for _, f := range p.Findings {
		switch {
		case f.Severity != severity:
		case f.Exception.Holds():
			excepted++
		case f.Known:
			known++
		}
	}
	var parts []string
	if known > 0 {
		parts = append(parts, fmt.Sprintf("%d known", known))
	}
	if excepted > 0 {
		parts = append(parts, fmt.Sprintf("%d excepted", excepted))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (s Service) cached() string {
	if len(s.Steps) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f%%", s.CacheHitRate*100)
}

// problems are what kept the service from being published.
func (s Service) problems() []string {
	problems := slices.Clone(s.Verdict.Reasons)
	if s.Error != "" {
		problems = append(problems, s.Error)
	}
	return problems
}

// short is enough of a digest to tell it from others.
func short(digest string) string {
	algorithm, hex, _ := strings.Cut(digest, ":")
	return algorithm + ":" + hex[:min(12, len(hex))]
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// cell makes text of unknown origin safe inside a Markdown table: no markup, no second line.
func cell(text string) string {
	text = html.EscapeString(strings.Join(strings.Fields(text), " "))
	return strings.NewReplacer(`\`, "&#92;", "|", "&#124;", "`", "&#96;", "[", "&#91;", "*", "&#42;", "@", "&#64;").Replace(text)
}

// What GitHub makes mentions and references of, whether it is written as an entity or not. What it leaves alone comes first: code, and
// the entities of other characters.
// https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
const unread = "(?is)```.*?```|`[^`]*`|<code>.*?</code>|"

var (
	mentions   = regexp.MustCompile(unread + "&#64;|&#[0-9]+;|@")
	references = regexp.MustCompile(unread + "&#[0-9]+;|(?:#|GH-)[0-9]")
)

// apart has no width, and ends what GitHub would read as one word.
const apart = "\u200b"

// unlinked keeps Markdown whose text is of unknown origin from mentioning people and from pointing to issues.
func unlinked(markdown string) string {
	return references.ReplaceAllStringFunc(unmentioned(markdown), func(found string) string {
		last := len(found) - 1
		if found[last] < '0' || found[last] > '9' {
			return found
		}
		return found[:last] + apart + found[last:]
	})
}

// unmentioned keeps it from mentioning people alone.
func unmentioned(markdown string) string {
	return mentions.ReplaceAllStringFunc(markdown, func(found string) string {
		if found == "@" || found == "&#64;" {
			return found + apart
		}
		return found
	})
}
