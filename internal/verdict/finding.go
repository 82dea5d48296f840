package verdict

import (
	"fmt"
	"slices"

	"github.com/org/ghcr-publish/internal/service"
)

// A Finding is one vulnerability that a scan saw on one platform.
type Finding struct {
	Platform  string `json:"platform"`
	ID        string `json:"id"`       // "CVE-2023-0286"
	Severity  string `json:"severity"` // CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN
	Package   string `json:"package"`
	Installed string `json:"installed"`
	Fixed     string `json:"fixed,omitempty"` // version that mends it; empty where there is none
	Title     string `json:"title,omitempty"`
	URL       string `json:"url,omitempty"`
	Target    string `json:"target,omitempty"` // what in the image it was found in
	Score     string `json:"score,omitempty"`  // CVSS base score, 0.0 to 10.0
	PURL      string `json:"purl,omitempty"`   // of the package: https://github.com/package-url/purl-spec
	Known     bool   `json:"known,omitempty"`  // the published image has it too; unknown where nobody compared
	Line      int    `json:"line,omitempty"`   // of the Dockerfile, that brought it into the image; 0 where that is not known
	Origin    string `json:"origin,omitempty"` // what stands there: "RUN apk add curl"
	// Exception is what lets it pass, or did until lately; nil where there is none.
	Exception *Exception `json:"exception,omitempty"`
}

// MarkKnown says which findings others have too: the same fault in the same package, whichever version of it.
func MarkKnown(findings, published []Finding) {
	for i, f := range findings {
		findings[i].Known = slices.ContainsFunc(published, func(p Finding) bool { return p.ID == f.ID && p.Package == f.Package })
	}
}

// Rank orders severities: 4 for CRITICAL down to 0 for UNKNOWN and anything else.
func Rank(severity string) int {
	return 1 + slices.Index([]string{"LOW", "MEDIUM", "HIGH", "CRITICAL"}, severity)
}

func (v *Verdict) judgeVulnerabilities(p Platform, gate service.VulnerabilityGate) {
	if p.Unscanned != "" {
		v.unavailable(gate.OnUnavailable, "%s could not be scanned: %s", p.Platform, p.Unscanned)
		return
	}
	if gate.FailOn == service.FailOnNone {
		return
	}
	var bad, known, excepted []string
	for _, f := range p.Findings {
		switch {
		case Rank(f.Severity) < Rank(gate.FailOn) || gate.IgnoreUnfixed && f.Fixed == "":
		case f.Exception.Holds():
			excepted = append(excepted, fmt.Sprintf("%s, until %s (%s)", describe(f), f.Exception.Until, f.Exception.Reason))
			v.endsSoon(f)
		case gate.OnlyNew && f.Known:
			known = append(known, describe(f))
		default:
			bad = append(bad, describe(f))
		}
	}
	if len(bad) > 0 {
		v.refuse("%s has %s of severity %s or worse: %s", p.Platform, count(len(bad), "finding"), gate.FailOn, shorten(bad, 3))
		if gate.OnlyNew && p.Uncompared != "" {
			v.note("every finding on %s counts as new, because there is nothing to compare with: %s", p.Platform, p.Uncompared)
		}
	}
	if len(excepted) > 0 {
		v.note("%s has %s of severity %s or worse that may pass for now: %s", p.Platform, count(len(excepted), "finding"), gate.FailOn, shorten(excepted, 3))
	}
	if len(known) > 0 {
		v.note("%s has %s of severity %s or worse that the published image has too: %s", p.Platform, count(len(known), "finding"), gate.FailOn, shorten(known, 3))
	}
}

func describe(f Finding) string {
	text := fmt.Sprintf("%s in %s %s", f.ID, f.Package, f.Installed)
	if f.Fixed != "" {
		text += ", fixed in " + f.Fixed
	} else {
		text += ", not fixed yet"
	}
	if f.Exception != nil && !f.Exception.Holds() {
		text += fmt.Sprintf(" (its exception until %s, at %s, is over)", f.Exception.Until, f.Exception.At)
	}
	return text
}
