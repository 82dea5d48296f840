package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Finding is one thing that a scan found wrong with one platform's image. What it tells of a secret is where it is.
type Finding struct {
	Platform  string `json:"platform"`
	Kind      string `json:"kind,omitempty"` // one of service's; a vulnerability where it is empty
	ID        string `json:"id"`             // "CVE-2023-0286"
	Severity  string `json:"severity"`       // CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN
	Package   string `json:"package"`        // or the place where it is
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
	// Harmless is why it does no harm, as a VEX document says; nil where none does.
	Harmless *Statement `json:"vex,omitempty"`
	// Exception is what lets it pass, or did until lately; nil where there is none.
	Exception *Exception `json:"exception,omitempty"`
}

// A Statement is what a VEX document says of a vulnerability that does no harm.
type Statement struct {
	Status   string `json:"status"`        // not_affected or fixed
	Why      string `json:"why,omitempty"` // justification, where it gives one
	Document string `json:"document"`      // file in the repository
}

func (s Statement) String() string {
	return fmt.Sprintf("%s (%s)", cmp.Or(s.Why, s.Status), s.Document)
}

func (f Finding) is(kind string) bool { return cmp.Or(f.Kind, service.Vulnerability) == kind }

// A Fault is what findings have in common that are the same: in the same package, whichever version of it, of whichever image.
type Fault struct{ Kind, ID, Package string }

// Fault is what is wrong.
func (f Finding) Fault() Fault {
	return Fault{cmp.Or(f.Kind, service.Vulnerability), f.ID, f.Package}
}

// MarkKnown says which findings others have too.
func MarkKnown(findings, published []Finding) {
	known := map[Fault]bool{}
	for _, p := range published {
		known[p.Fault()] = true
	}
	for i, f := range findings {
		findings[i].Known = known[f.Fault()]
	}
}

// Gone are the findings of what is published that are not among others. What a VEX document says to be harmless is none.
func Gone(published, findings []Finding) []Finding {
	now := map[Fault]bool{}
	for _, f := range findings {
		now[f.Fault()] = true
	}
	return slices.DeleteFunc(slices.Clone(published), func(f Finding) bool { return f.Harmless != nil || now[f.Fault()] })
}

// Rank orders severities: 4 for CRITICAL down to 0 for UNKNOWN and anything else.
func Rank(severity string) int {
	return 1 + slices.Index([]string{"LOW", "MEDIUM", "HIGH", "CRITICAL"}, severity)
}

// nouns are what findings of the kinds that are scanned for are called, in the order they are told in.
var nouns = [...]struct{ kind, noun string }{{service.Vulnerability, "finding"}, {service.Secret, "secret"}, {service.Misconfiguration, "misconfiguration"}, {service.Licence, "licence"}}

func (v *Verdict) judgeFindings(p Platform, gates service.Gates) {
	if p.Unscanned != "" {
		v.judgeUnscanned(p, gates)
		return
	}
	v.noteHarmless(p, gates.Vulnerabilities.FailOn)
	for _, k := range nouns {
		if failOn := gates.Of(k.kind).FailOn; failOn != "" && failOn != service.FailOnNone {
			v.weigh(p, k.kind, k.noun, gates)
		}
	}
}

// judgeUnscanned leaves it to the strictest of the gates that there was something to scan for.
func (v *Verdict) judgeUnscanned(p Platform, gates service.Gates) {
	policy := gates.Vulnerabilities.OnUnavailable
	for _, k := range nouns {
		if gate := gates.Of(k.kind); gate.FailOn != "" && gate.OnUnavailable == service.OnUnavailableRefuse {
			policy = service.OnUnavailableRefuse
		}
	}
	if policy != service.OnUnavailableWarn {
		v.advise("Run it again once the scanner works, or let it pass with `on_unavailable: warn` in gates.vulnerabilities.")
	}
	v.unavailable(policy, "%s could not be scanned: %s", p.Platform, p.Unscanned)
}

// noteHarmless tells what would have refused, were it not for a VEX document.
func (v *Verdict) noteHarmless(p Platform, failOn string) {
	for _, f := range p.Harmless {
		if failOn != service.FailOnNone && Rank(f.Severity) >= Rank(failOn) {
			v.note("%s on %s does no harm: %s", describe(f), p.Platform, f.Harmless)
		}
	}
}

// weigh refuses for a platform's findings of one kind, but for those that may pass.
func (v *Verdict) weigh(p Platform, kind, noun string, gates service.Gates) {
	failOn, lenient := gates.Of(kind).FailOn, service.VulnerabilityGate{}
	if kind == service.Vulnerability {
		lenient = gates.Vulnerabilities
	}
	var bad, known, excepted []string
	var refusing []Finding
	for _, f := range p.Findings {
		switch {
		case !f.is(kind) || Rank(f.Severity) < Rank(failOn) || lenient.IgnoreUnfixed && f.Fixed == "":
		case f.Exception.Holds():
			excepted = append(excepted, fmt.Sprintf("%s, until %s (%s)", describe(f), f.Exception.Until, f.Exception.Reason))
			v.endsSoon(f)
		case lenient.OnlyNew && f.Known:
			known = append(known, describe(f))
		default:
			bad, refusing = append(bad, describe(f)), append(refusing, f)
		}
	}
	text := func(found []string, which string) string {
		return fmt.Sprintf("%s has %s of severity %s or worse%s: %s", p.Platform, Quantity(len(found), noun), failOn, which, shorten(found, 3))
	}
	if len(bad) > 0 {
		v.refuse("%s", text(bad, ""))
		v.adviseOf(refusing, kind)
	}
	if len(bad) > 0 && lenient.OnlyNew && p.Uncompared != "" {
		v.note("every finding on %s counts as new, because there is nothing to compare with: %s", p.Platform, p.Uncompared)
	}
	if len(excepted) > 0 {
		v.note("%s", text(excepted, " that may pass for now"))
	}
	if len(known) > 0 {
		v.note("%s", text(known, " that the published image has too"))
	}
}

// mostNamed is how many packages an advice names.
const mostNamed = 5

// adviseOf says what mends findings of one kind.
func (v *Verdict) adviseOf(found []Finding, kind string) {
	var updates []string
	for _, f := range found {
		if update := fmt.Sprintf("%s to %s", f.Package, strings.ReplaceAll(f.Fixed, ", ", " or ")); f.Fixed != "" && !slices.Contains(updates, update) {
			updates = append(updates, update)
		}
	}
	switch {
	case kind != service.Vulnerability:
		v.advise("Take it out of the image, or let it pass until a day, by an entry in `.trivyignore.yaml`.")
	case len(updates) > 0:
		v.advise("Update %s, in the Dockerfile or by a newer base image.", shorten(updates, mostNamed))
	default:
		v.advise("Nothing mends it yet: take another package or base image, or let it pass until a day, by an entry of `exceptions` in gates.vulnerabilities.")
	}
}

func describe(f Finding) string {
	text := fmt.Sprintf("%s in %s", f.ID, f.Package)
	switch {
	case !f.is(service.Vulnerability):
	case f.Fixed != "":
		text += fmt.Sprintf(" %s, fixed in %s", f.Installed, f.Fixed)
	default:
		text += fmt.Sprintf(" %s, not fixed yet", f.Installed)
	}
	if f.Exception != nil && !f.Exception.Holds() {
		text += fmt.Sprintf(" (its exception until %s, at %s, is over)", f.Exception.Until, f.Exception.At)
	}
	return text
}
