package tags

import (
	"cmp"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A value gives what an expression stands for. Arg is its argument, a date's format, and zone its time zone.
type value func(arg string, zone *time.Location) string

// statement is an expression in double braces, or in triple ones, with what may stand in it: a name, an argument
// in quotes, and attributes.
var statement = regexp.MustCompile(`\{\{\{?\s*([A-Za-z_]\w*)((?:\s+(?:'[^']*'|"[^"]*"|\w+=(?:'[^']*'|"[^"]*")))*)\s*\}?\}\}`)

var argument = regexp.MustCompile(`(?:(\w+)=)?(?:'([^']*)'|"([^"]*)")`)

// dated are the expressions that take a format and a time zone.
var dated = []string{"date", "commit_date"}

// checkTemplate finds the mistakes of a template whose expressions are known.
func checkTemplate(text string, known []string) error {
	rest := statement.ReplaceAllStringFunc(text, func(string) string { return "" })
	if i := strings.Index(rest, "{{"); i >= 0 {
		return fmt.Errorf("%q is no expression", rest[i:])
	}
	for _, m := range statement.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, m[1]) {
			return fmt.Errorf("there is no expression %q here; there are %s", m[1], strings.Join(known, ", "))
		}
		for _, a := range argument.FindAllStringSubmatch(m[2], -1) {
			switch {
			case !slices.Contains(dated, m[1]):
				return fmt.Errorf("%s takes no argument", m[1])
			case a[1] != "" && a[1] != "tz":
				return fmt.Errorf("%s has no attribute %q; there is tz", m[1], a[1])
			case a[1] == "tz":
				if _, err := time.LoadLocation(a[2] + a[3]); err != nil {
					return fmt.Errorf("%q is no time zone", a[2]+a[3])
				}
			}
		}
	}
	return nil
}

// fill replaces a template's expressions. As in Handlebars, which metadata-action uses, what stands in double braces is
// escaped as for HTML, and what is not known is empty.
func fill(text string, values map[string]value) string {
	return statement.ReplaceAllStringFunc(text, func(whole string) string {
		m := statement.FindStringSubmatch(whole)
		get, known := values[m[1]]
		if !known {
			return ""
		}
		format, zone := "", time.UTC
		for _, a := range argument.FindAllStringSubmatch(m[2], -1) {
			if a[1] == "" {
				format = a[2] + a[3]
			} else if named, err := time.LoadLocation(a[2] + a[3]); err == nil {
				zone = named
			}
		}
		if strings.HasPrefix(whole, "{{{") {
			return get(format, zone)
		}
		return escape(get(format, zone))
	})
}

// escape writes as Handlebars does what HTML gives a meaning.
func escape(text string) string {
	return strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#x27;", "`", "&#x60;", "=", "&#x3D;").Replace(html.EscapeString(text))
}

func constant(text string) value { return func(string, *time.Location) string { return text } }

// isRaw reports whether a pattern is the expression raw and nothing else.
func isRaw(pattern string) bool {
	m := statement.FindStringSubmatch(pattern)
	return m != nil && m[0] == pattern && m[1] == "raw"
}

// globals are the expressions that values, affixes, labels and annotations may hold.
var globals = []string{"branch", "tag", "sha", "base_ref", "is_default_branch", "is_not_default_branch", "date", "commit_date"}

// values are those of the global expressions for an event.
func (e Event) values() map[string]value {
	all := e.dates()
	for name, text := range map[string]string{
		"branch": cutOrEmpty(e.Ref, "refs/heads/"), "tag": cutOrEmpty(e.Ref, "refs/tags/"), "sha": e.shortSHA(), "base_ref": e.baseRef(),
		"is_default_branch": fmt.Sprint(e.onDefaultBranch()), "is_not_default_branch": fmt.Sprint(!e.onDefaultBranch()),
	} {
		all[name] = constant(text)
	}
	return all
}

// dates are the expressions that tell times.
func (e Event) dates() map[string]value {
	at := func(t time.Time) value {
		return func(format string, zone *time.Location) string { return formatMoment(t.In(zone), format) }
	}
	return map[string]value{"date": at(e.Now), "commit_date": at(e.Committed)}
}

func (e Event) expand(text string) string { return fill(text, e.values()) }

// Expand fills the global expressions of a text, such as a label.
func (e Event) Expand(text string) string { return e.expand(text) }

// baseRef is the branch that a git tag was pushed from, where GitHub says so, or that a pull request is for.
func (e Event) baseRef() string {
	if strings.HasPrefix(e.Ref, "refs/tags/") || strings.HasPrefix(e.Ref, "refs/pull/") {
		return strings.TrimPrefix(e.BaseRef, "refs/heads/")
	}
	return ""
}

// onDefault are events that are always about the default branch.
// https://docs.github.com/en/actions/reference/events-that-trigger-workflows
var onDefault = regexp.MustCompile(`create|discussion|issues|schedule`)

func (e Event) onDefaultBranch() bool {
	return e.DefaultBranch != "" && strings.TrimPrefix(e.Ref, "refs/heads/") == e.DefaultBranch || onDefault.MatchString(e.Name)
}

func (e Event) shortSHA() string { return e.SHA[:min(cmp.Or(e.ShortSHA, 7), len(e.SHA))] }

func cutOrEmpty(s, prefix string) string {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return ""
	}
	return rest
}
