package scan

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
	"github.com/owenrumney/go-sarif/v2/sarif"
)

// A rule is all findings of one analysis that have one id, worst first. A rule is as grave as its worst finding.
type rule []verdict.Finding

// rules groups the findings, and tells where each id's rule is.
func (a Analysis) rules() (rules []rule, places map[string]int) {
	places = map[string]int{}
	for _, f := range a.Findings {
		place, known := places[ruleID(f)]
		if !known {
			place = len(rules)
			places[ruleID(f)], rules = place, append(rules, nil)
		}
		rules[place] = append(rules[place], f)
	}
	return rules, places
}

func ruleID(f verdict.Finding) string { return cmp.Or(f.ID, "unnamed") }

func (r rule) describe() *sarif.ReportingDescriptor {
	worst := r[0]
	title := sarif.NewMultiformatMessageString(cut(strings.TrimSuffix(ruleID(worst)+": "+worst.Title, ": ")))
	text, markdown := r.help()
	kind := cmp.Or(worst.Kind, service.Vulnerability)
	name := strings.ToUpper(kind[:1]) + kind[1:]
	described := sarif.NewRule(ruleID(worst)).WithName(name).WithShortDescription(title).WithFullDescription(title).
		WithHelp(sarif.NewMultiformatMessageString(text).WithMarkdown(markdown)).
		// GitHub's critical, high, medium and low come from this number, not from the level.
		WithProperties(sarif.Properties{"security-severity": severityScore(worst), "precision": "very-high", "tags": []string{"security", kind, cmp.Or(worst.Severity, "UNKNOWN")}}).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level(worst.Severity)))
	if worst.URL != "" && isAddress(worst.URL) {
		described.WithHelpURI(worst.URL)
	}
	return described
}

// isAddress reports whether a text is one that people may be sent to.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// mostHelp is how many findings the help of a rule lists: an image may have hundreds of copies of a package.
const mostHelp = 20

// help says what to do about a rule's findings.
func (r rule) help() (text, markdown string) {
	var plain, table strings.Builder
	fmt.Fprintf(&table, "**%s** %s\n\n| package | installed | fixed in | found in | brought in by |\n|---|---|---|---|---|\n", cell(ruleID(r[0])), cell(r[0].Title))
	for _, f := range r[:min(len(r), mostHelp)] {
		fmt.Fprintf(&plain, "%s %s: %s\n", f.Package, f.Installed, remedy(f))
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s |\n", cell(f.Package), cell(f.Installed), cell(cmp.Or(f.Fixed, "not fixed yet")), cell(f.Target), cell(cmp.Or(f.Origin, "–")))
	}
	if more := len(r) - mostHelp; more > 0 {
		fmt.Fprintf(&plain, "And %d more.\n", more)
		fmt.Fprintf(&table, "\nAnd %d more.\n", more)
	}
	table.WriteString("\n" + cell(remedy(r[0])) + "\n")
	if isAddress(r[0].URL) {
		fmt.Fprintf(&table, "\n[%s](%s)\n", cell(ruleID(r[0])), strings.NewReplacer("(", "%28", ")", "%29", " ", "%20").Replace(r[0].URL))
	}
	return unlinked(plain.String()), table.String()
}

// cell writes a text so that it stays in its cell of a Markdown table, and is no more than text.
func cell(text string) string {
	text = html.EscapeString(strings.Join(strings.Fields(text), " "))
	return strings.NewReplacer("|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, `\`, `\\`).Replace(text)
}

// message tells of one finding, wherever the image runs.
func (a Analysis) message(f verdict.Finding) string {
	where := strings.TrimSpace(cmp.Or(f.Package, f.Target) + " " + f.Installed)
	text := fmt.Sprintf("%s (%s) in %s of %s. %s", ruleID(f), cmp.Or(f.Severity, "UNKNOWN"), where, a.Service, remedy(f))
	if f.Origin != "" {
		text += fmt.Sprintf(" Brought in by `%s`.", f.Origin)
	}
	return text
}

// remedy says how to get rid of a finding.
func remedy(f verdict.Finding) string {
	base := strings.HasPrefix(strings.ToUpper(f.Origin), "FROM ")
	fixed := strings.ReplaceAll(f.Fixed, ", ", " or ") // of several lines of versions
	switch {
	case f.Kind == service.Secret:
		return "Keep it out of the image, and have it replaced by a new one: whoever pulls the image has it."
	case f.Kind == service.Misconfiguration || f.Kind == service.Licence:
		return f.Title + "."
	case f.Fixed == "" && base:
		return "There is no fixed version yet; another base image may do without it."
	case f.Fixed == "":
		return "There is no fixed version yet."
	case base:
		return fmt.Sprintf("Take a base image that has %s %s, or update it there.", f.Package, fixed)
	default:
		return fmt.Sprintf("Update %s to %s.", f.Package, fixed)
	}
}

func level(severity string) string {
	switch verdict.Rank(severity) {
	case 4, 3:
		return "error"
	case 2:
		return "warning"
	default:
		return "note"
	}
}

// scores are the least, the middle and the greatest score of each severity, from UNKNOWN to CRITICAL, as GitHub draws the lines.
// https://docs.github.com/en/code-security/code-scanning/managing-code-scanning-alerts/about-code-scanning-alerts#about-alert-severity-and-security-severity-levels
func scores() [5][3]float64 {
	return [...][3]float64{{0, 0, 0}, {0.1, 2, 3.9}, {4, 5.5, 6.9}, {7, 8, 8.9}, {9, 9.5, 10}}
}

// severityScore is the CVSS score, or where no source gives one the middle of the severity's range. It never leaves that range:
// what the gate refused as critical is critical in code scanning, too, whatever another source makes of it.
func severityScore(f verdict.Finding) string {
	r := scores()[verdict.Rank(f.Severity)]
	score, err := strconv.ParseFloat(f.Score, 64)
	if err != nil || math.IsNaN(score) {
		score = r[1]
	}
	return strconv.FormatFloat(min(max(score, r[0]), r[2]), 'f', 1, 64)
}

// textLimit is how many characters GitHub shows of a description.
const textLimit = 1024

// unlinked takes a text apart where it would be shown as a link, which is what the messages of SARIF may have in them.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html, 3.11.6
func unlinked(text string) string { return strings.ReplaceAll(text, "](", "] (") }

func cut(text string) string {
	runes := []rune(unlinked(text))
	if len(runes) > textLimit {
		return string(append(slices.Clone(runes[:textLimit-1]), '…'))
	}
	return string(runes)
}
