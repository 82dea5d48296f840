package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/package-url/packageurl-go"
)

// An Exception lets a finding pass, or did until lately.
type Exception struct {
	Until    string `json:"until"` // last day on which it holds, 2027-01-31
	Reason   string `json:"reason"`
	At       string `json:"at"`        // where it is written
	DaysLeft int    `json:"days_left"` // until that day; negative where it is over
}

// Holds reports whether there is one that lets the finding pass.
func (e *Exception) Holds() bool { return e != nil && e.DaysLeft >= 0 }

// warnDays is how long before its end an exception is told of.
const warnDays = 14

// Except says which findings are excepted on a day, in UTC. What was said before does not count.
func (e *Evidence) Except(name string, exceptions []service.Exception, now time.Time) {
	today := now.UTC().Truncate(24 * time.Hour)
	for _, p := range e.Platforms {
		for i := range p.Findings {
			p.Findings[i].Exception = p.Findings[i].except(name, exceptions, today)
		}
	}
}

// except finds the exception that holds longest, of those that a finding has.
func (f Finding) except(name string, exceptions []service.Exception, today time.Time) *Exception {
	var longest *service.Exception
	for i, e := range exceptions {
		if f.falls(name, e) && (longest == nil || e.Until.After(longest.Until)) {
			longest = &exceptions[i]
		}
	}
	if longest == nil {
		return nil
	}
	return &Exception{Until: longest.Until.Format(service.Day), Reason: longest.Reason, At: longest.At,
		DaysLeft: int(longest.Until.Sub(today).Hours() / 24)}
}

// falls reports whether a finding in a service's image falls under an exception.
func (f Finding) falls(name string, e service.Exception) bool {
	return f.named(e) && (e.Kind == "" || f.is(e.Kind)) && (e.Service == "" || e.Service == name) && (e.Package == "" || e.Package == f.Package) &&
		(len(e.Paths) == 0 || slices.ContainsFunc(e.Paths, func(pattern string) bool {
			return doublestar.MatchUnvalidated(strings.TrimPrefix(pattern, "/"), f.Target)
		})) &&
		(len(e.PURLs) == 0 || slices.ContainsFunc(e.PURLs, func(purl string) bool { return isOfPackage(f.PURL, purl) }))
}

// named reports whether an exception is for what a finding is called. Misconfigurations were called AVD-DS-0002 once.
func (f Finding) named(e service.Exception) bool {
	return f.ID == e.ID || f.is(service.Misconfiguration) && "AVD-"+f.ID == e.ID
}

// isOfPackage reports whether a package URL says all that another one says.
func isOfPackage(purl, wanted string) bool {
	has, err := packageurl.FromString(purl)
	want, malformed := packageurl.FromString(wanted)
	if cmp.Or(err, malformed) != nil || has.Type != want.Type || has.Namespace != want.Namespace || has.Name != want.Name {
		return false
	}
	qualifiers := has.Qualifiers.Map()
	for key, value := range want.Qualifiers.Map() {
		if got, ok := qualifiers[key]; !ok || got != value {
			return false
		}
	}
	return (want.Version == "" || want.Version == has.Version) && (want.Subpath == "" || want.Subpath == has.Subpath)
}

// endsSoon tells of an exception that will not hold for long any more.
func (v *Verdict) endsSoon(f Finding) {
	if f.Exception.DaysLeft > warnDays {
		return
	}
	text := fmt.Sprintf("the exception for %s in %s (%s) ends after %s: mend it until then, or prolong the exception", f.ID, f.Package, f.Exception.At, f.Exception.Until)
	if !slices.Contains(v.Notes, text) { // another platform has it too
		v.note("%s", text)
	}
}
