package report

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/verdict"
)

// summaryRoom is how many bytes a summary may have; GitHub drops one of more than a MiB, and other steps' are not counted.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits
const summaryRoom = 1<<20 - 4096

// Summary renders the report as Markdown for the step's summary: the answer, what became of each service, what is left to do, and
// when what was done. Details stand folded beneath, those of services with problems first; where there is no room for all of them, the
// report has them.
func (r Report) Summary() string {
	var top, bottom strings.Builder
	fmt.Fprintf(&top, "### %s\n", cell(r.Answer()))
	if r.mirrorsOnly() {
		r.writeProblems(&top)
		r.writeMirrors(&top)
		r.writeNotices(&top)
		return top.String()
	}
	if r.ReleaseURL != "" {
		fmt.Fprintf(&top, "\n[The release](%s)\n", r.ReleaseURL)
	}
	r.writeTable(&top)
	r.writeToDo(&top)
	r.writeAdvice(&top)
	r.writeTimeline(&top)
	r.writeRest(&bottom)
	return top.String() + r.details(summaryRoom-top.Len()-bottom.Len()) + bottom.String()
}

func (r Report) writeProblems(b *strings.Builder) {
	for _, s := range r.Services {
		for _, problem := range s.problems() {
			fmt.Fprintf(b, "\n- ❌ **%s**: %s\n", cell(s.Name), cell(problem))
		}
	}
}

// writeTable has a row for each service.
func (r Report) writeTable(b *strings.Builder) {
	if len(r.Services) == 0 {
		return
	}
	b.WriteString("\n| service | what, and why | time | cached | start | size | findings | tags |\n|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Services {
		fmt.Fprintf(b, "| %s&nbsp;**%s** | **%s**: %s | %s | %s | %s | %s | %s | %s |\n", r.mark(s), cell(s.Name), cell(s.Action), cell(clipped(s.Reason)), s.took(), s.cached(),
			s.start(), s.growth(), s.news(r.Severities), s.tags())
	}
}

// mark says at a glance how a service fared.
func (r Report) mark(s Service) string {
	switch {
	case len(s.problems()) > 0:
		return "❌"
	case s.Verdict.Outcome == "none":
		return "➖"
	case len(s.Moved) == 0 && r.ExitCode != ExitDone:
		return "⏸️"
	default:
		return "✅"
	}
}

// longestReason is how many characters of a reason a table has place for.
const longestReason = 70

// clipped is the beginning of a text, on one line.
func clipped(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if kept := []rune(text); len(kept) > longestReason {
		return string(kept[:longestReason-1]) + "…"
	}
	return text
}

// took is how long building and judging took, beside what was expected.
func (s Service) took() string {
	took := s.Seconds["build"] + s.Seconds["reuse"] + s.Seconds["judge"]
	switch {
	case took == 0:
		return "–"
	case s.Expected == nil || s.Seconds["build"] == 0:
		return learn.Text(took)
	default:
		return fmt.Sprintf("%s<br>expected %s", learn.Text(took), learn.Text(s.Expected.Seconds))
	}
}

// growth is how large each platform's image is, and by what it grew.
func (s Service) growth() string {
	var sizes []string
	for _, p := range s.Platforms {
		size := Service{Platforms: []Platform{p}}.sizes()
		if f := s.figure(verdict.Size(p.Platform)); f.Published != nil {
			size += "&nbsp;" + strings.ReplaceAll(f.arrow(), " ", "&nbsp;")
		}
		sizes = append(sizes, size)
	}
	return cmp.Or(strings.Join(sizes, "<br>"), "–")
}

// figure is what was measured under a name.
func (s Service) figure(name string) Figure {
	for _, f := range s.Compared {
		if f.Name == name {
			return f
		}
	}
	return Figure{}
}

// news are the findings of note, and how many of all are new against the published image, or gone.
func (s Service) news(shown []string) string {
	found := cmp.Or(s.findings(shown), "–")
	if fresh, gone, compared := s.difference(); compared {
		found += fmt.Sprintf("<br>%d&nbsp;new, %d&nbsp;gone", len(fresh), len(gone))
	}
	return found
}

// difference is what of the findings is new against the published image, and what is gone; each once, whichever platforms have it.
func (s Service) difference() (fresh, gone []verdict.Finding, compared bool) {
	compared = len(s.Platforms) > 0
	for _, p := range s.Platforms {
		compared = compared && p.Compared
		for _, f := range p.Findings {
			if !f.Known {
				fresh = addFault(fresh, f)
			}
		}
		for _, f := range p.Gone {
			gone = addFault(gone, f)
		}
	}
	return fresh, gone, compared
}

func addFault(all []verdict.Finding, f verdict.Finding) []verdict.Finding {
	if slices.ContainsFunc(all, func(other verdict.Finding) bool { return other.Fault() == f.Fault() }) {
		return all
	}
	return append(all, f)
}

// mostTags is how many tags a table names of each service.
const mostTags = 6

// tags are those that moved, and those that stay.
func (s Service) tags() string {
	var moved, kept, lines []string
	for _, m := range s.Moved {
		moved = append(moved, m.Tag)
	}
	for _, k := range s.Kept {
		kept = append(kept, k.Tag)
	}
	for _, of := range []struct {
		what string
		tags []string
	}{{"new", moved}, {"kept", kept}} {
		if slices.Sort(of.tags); len(of.tags) > 0 {
			lines = append(lines, of.what+": "+cell(few(of.tags, mostTags)))
		}
	}
	return cmp.Or(strings.Join(lines, "<br>"), "–")
}

// few joins the first of some texts and counts the rest.
func few(texts []string, most int) string {
	if len(texts) <= most {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), len(texts)-most)
}

// writeToDo tells what was refused, failed or kept, each with what a person does now.
func (r Report) writeToDo(b *strings.Builder) {
	var items strings.Builder
	for _, s := range r.Services {
		s.writeProblems(&items)
	}
	r.writeKept(&items)
	if items.Len() > 0 {
		fmt.Fprintf(b, "\n#### Refused and kept\n\n%s", items.String())
	}
}

func (s Service) writeProblems(b *strings.Builder) {
	if reasons := s.Verdict.Reasons; len(reasons) > 0 {
		lead := "\n  - "
		if len(reasons) == 1 {
			lead = " "
		}
		fmt.Fprintf(b, "- ❌ **%s** is refused:", cell(s.Name))
		for _, reason := range reasons {
			b.WriteString(lead + cell(reason))
		}
		b.WriteString("\n")
	}
	for _, next := range s.Verdict.Next {
		fmt.Fprintf(b, "  - ➜ %s\n", code(next))
	}
	if s.Error != "" {
		fmt.Fprintf(b, "- ❌ **%s** failed: %s\n  - ➜ Mend that, and re-run the failed jobs: what is done is found again.\n", cell(s.Name), cell(s.Error))
	}
}

// mostServices is how many services are named that have the same thing to tell of.
const mostServices = 10

// writeKept tells of tags that stay for a reason that a person may do something about, those of one reason together.
func (r Report) writeKept(b *strings.Builder) {
	type cause struct{ why, next string }
	var order []cause
	keep := map[cause][]string{}
	for _, s := range r.Services {
		tags := map[cause][]string{}
		for _, k := range s.Kept {
			if c := (cause{k.Why, k.Next}); k.Next != "" {
				if keep[c] == nil && tags[c] == nil {
					order = append(order, c)
				}
				tags[c] = append(tags[c], k.Tag)
			}
		}
		for c := range tags {
			keep[c] = append(keep[c], fmt.Sprintf("**%s** keeps %s", cell(s.Name), cell(few(tags[c], mostTags))))
		}
	}
	for _, c := range order {
		fmt.Fprintf(b, "- ⏸️ %s: %s\n  - ➜ %s\n", few(keep[c], mostServices), cell(c.why), code(c.next))
	}
}

// code makes text safe as cell does, and keeps as code what stands between backquotes.
func code(text string) string {
	parts := strings.Split(cell(text), "&#96;")
	for i := 1; i < len(parts)-1; i += 2 {
		parts[i] = "<code>" + parts[i] + "</code>"
	}
	return strings.Join(parts, "")
}

// mostAdvice is how many hints the summary has; the log and the report have all of them.
const mostAdvice = 5

// writeAdvice tells what would have spared time, the most first.
func (r Report) writeAdvice(b *strings.Builder) {
	type hint struct {
		service string
		insight.Advice
	}
	var hints []hint
	for _, s := range r.Services {
		for _, a := range s.Advice {
			hints = append(hints, hint{s.Name, a})
		}
	}
	if len(hints) == 0 {
		return
	}
	slices.SortStableFunc(hints, func(a, b hint) int { return cmp.Compare(b.Seconds, a.Seconds) })
	b.WriteString("\n#### What would spare time\n\n")
	for i, h := range hints[:min(len(hints), mostAdvice)] {
		which := "💡"
		if i == 0 && h.Seconds > 0 {
			which = "🐢 Slowest thing to fix:"
		}
		fmt.Fprintf(b, "- %s **%s**: %s%s\n", which, cell(h.service), cell(h.Text), saves(h.Advice))
	}
	if more := len(hints) - mostAdvice; more > 0 {
		fmt.Fprintf(b, "- and %d more, which the log and the report have\n", more)
	}
}

// details tell more of each service, in so many bytes.
func (r Report) details(room int) string {
	var all strings.Builder
	left := 0
	order := slices.Clone(r.Services)
	slices.SortStableFunc(order, func(a, b Service) int { return cmp.Compare(min(len(b.problems()), 1), min(len(a.problems()), 1)) })
	const note = 200 // bytes, of what is left out
	for _, s := range order {
		var one strings.Builder
		s.writeDetails(&one)
		if all.Len()+one.Len()+note > room {
			left++
			continue
		}
		all.WriteString(one.String())
	}
	if left > 0 {
		fmt.Fprintf(&all, "\nDetails of %d of the services are left out, as GitHub shows no summary of more than a MiB; the report has them.\n", left)
	}
	return all.String()
}

func (s Service) writeDetails(b *strings.Builder) {
	open := ""
	if len(s.problems()) > 0 {
		open = " open"
	}
	fmt.Fprintf(b, "\n<details%s><summary><b>%s</b>, in detail</summary>\n\n%s: %s\n\n", open, cell(s.Name), cell(s.Action), cell(s.Reason))
	for _, note := range s.Verdict.Notes {
		fmt.Fprintf(b, "- ⚠️ %s\n", cell(note))
	}
	for _, m := range s.Moved {
		if m.Despite != "" {
			fmt.Fprintf(b, "- ⚠️ moved %s as was demanded, although %s\n", cell(m.Tag), cell(m.Despite))
		}
	}
	for _, k := range s.Kept {
		fmt.Fprintf(b, "- kept `%s`: %s\n", cell(k.Tag), cell(k.Why))
	}
	if len(s.Moved) == 0 && s.Before != "" {
		fmt.Fprintf(b, "- live as before: `%s`\n", cell(s.Before))
	}
	if s.Cache != nil {
		fmt.Fprintf(b, "- layers of other runs: %s\n", cell(s.Cache.String()))
	}
	s.writeExpected(b)
	s.writeComparison(b)
	s.writeBuild(b)
	if s.Signature != nil {
		fmt.Fprintf(b, "\nSigned by %s. Anybody can prove it:\n\n<pre>%s</pre>\n", cell(s.Signature.By()), html.EscapeString(strings.Join(s.Signature.Verify, "\n")))
	}
	if len(s.Log) > 0 {
		fmt.Fprintf(b, "\nIts last lines:\n\n<pre>%s</pre>\n", html.EscapeString(strings.Join(s.Log, "\n")))
	}
	b.WriteString("\n</details>\n")
}

// writeRest tells of the run as a whole.
func (r Report) writeRest(b *strings.Builder) {
	if d := r.Database; d != nil {
		fmt.Fprintf(b, "\nVulnerability database of %s.\n", verdict.Database{Updated: d.Updated, Age: time.Duration(d.AgeSeconds) * time.Second, From: d.From})
	}
	r.writeMirrors(b)
	if r.Compose != nil {
		fmt.Fprintf(b, "\n%s\n", cell(r.Compose.Answer()))
	}
	if r.Cleaning != nil {
		fmt.Fprintf(b, "\n%s", r.Cleaning.Summary())
	}
	r.writeNotices(b)
	if r.Row != "" {
		return // the job that finalizes tells of the memory
	}
	fmt.Fprintf(b, "\nMemory: %d entries in %d namespaces, %.2f KB, %s of builds succeeded.\n",
		r.MemoryStats.TotalEntries, r.MemoryStats.Namespaces, r.MemoryStats.SizeKB, cell(r.MemoryStats.SuccessRate))
	r.writeCoordination(b)
}

func (r Report) writeNotices(b *strings.Builder) {
	for _, n := range r.Notices {
		fmt.Fprintf(b, "\n> %s\n", code(n))
	}
}
