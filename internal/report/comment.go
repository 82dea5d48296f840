package report

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/verdict"
)

// commentRoom is how many bytes a comment may have: GitHub takes 65536 characters, and something stands around this.
const commentRoom = 60000

// Comment tells a pull request, as Markdown, what would change by it: of each service that something was done for the size, the
// findings, the start and the tags.
func (r Report) Comment() string {
	var foot strings.Builder
	fmt.Fprintf(&foot, "\n<sub>Commit %.7s", r.Commit)
	if r.RunURL != "" {
		fmt.Fprintf(&foot, ", [run](%s)", r.RunURL)
	}
	foot.WriteString("</sub>\n")
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n", unlinked(cell(r.Answer())))
	rows, more := 0, 0
	add := func(text string) bool {
		text = unlinked(text)
		fits := b.Len()+len(text)+foot.Len()+200 < commentRoom
		if fits {
			b.WriteString(text)
		}
		return fits
	}
	for _, s := range r.Services {
		switch row := r.commentRow(s); {
		case s.Action == string(plan.Skip):
		case rows == 0 && add(commentHead+row), rows > 0 && add(row):
			rows++
		default:
			more++
		}
	}
	if more > 0 {
		fmt.Fprintf(&b, "\nand %d services more, of which the run's summary tells.\n", more)
	}
	for _, s := range r.Services {
		add(s.commentDetails())
	}
	return b.String() + foot.String()
}

const commentHead = "\n| service | size | findings | start | tags |\n|---|---|---|---|---|\n"

func (r Report) commentRow(s Service) string {
	start := s.start()
	if f := s.figure(verdict.Startup); s.Healthy && f.Published != nil {
		start += "<br>" + strings.ReplaceAll(f.arrow(), " ", "&nbsp;")
	}
	return fmt.Sprintf("| %s&nbsp;**%s** | %s | %s | %s | %s |\n", r.mark(s), cell(s.Name), s.growth(), s.news(r.Severities), start, r.wouldGet(s))
}

// wouldGet are the tags of an image, which a run that pushes nothing gives it not yet.
func (r Report) wouldGet(s Service) string {
	var tags []string
	for _, k := range s.Kept {
		tags = append(tags, k.Tag)
	}
	if r.Outcome == "approved" && len(tags) > 0 {
		return "would get " + cell(few(tags, mostTags))
	}
	return s.tags()
}

// mostNews is how many findings a comment names of each service.
const mostNews = 10

// commentDetails are what refuses a service, and which findings are new by it, and gone.
func (s Service) commentDetails() string {
	var b strings.Builder
	s.writeProblems(&b)
	fresh, gone, compared := s.difference()
	for _, of := range []struct {
		what  string
		found []verdict.Finding
	}{{"new", fresh}, {"gone", gone}} {
		if compared && len(of.found) > 0 {
			fmt.Fprintf(&b, "- %s in **%s**: %s\n", of.what, cell(s.Name), cell(named(of.found)))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

func named(found []verdict.Finding) string {
	var names []string
	for _, f := range found {
		names = append(names, fmt.Sprintf("%s in %s (%s)", f.ID, f.Package, cmp.Or(f.Severity, "UNKNOWN")))
	}
	return few(names, mostNews)
}
