package buildx

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// A Check is what one of BuildKit's build checks found in a Dockerfile.
// https://docs.docker.com/reference/build-checks/
type Check struct {
	Rule string // "JSONArgsRecommended"
	Text string
	URL  string // that explains the rule
	Line int    // 0 where it is of no line
}

// warning is how BuildKit tells of a check while it builds: the same that `--call=check` prints, without asking again.
// https://github.com/moby/buildkit/blob/master/client/graph.go
type warning struct {
	Short []byte `json:"short"` // "JSONArgsRecommended: JSON arguments … (line 7)"
	URL   string `json:"url"`
	Range []struct {
		Start struct {
			Line int `json:"line"`
		} `json:"start"`
	} `json:"range"`
}

// checkText matches what a build check says: the rule, what it found, and where.
var checkText = regexp.MustCompile(`(?s)^([A-Z][A-Za-z]+): (.*?)(?: \(line \d+\))?$`)

// check is what a warning tells of a Dockerfile; false of what is no build check.
func (w warning) check() (Check, bool) {
	said := checkText.FindStringSubmatch(strings.TrimSpace(string(w.Short)))
	if said == nil || !strings.Contains(w.URL, "/dockerfile/") {
		return Check{}, false
	}
	check := Check{Rule: said[1], Text: said[2], URL: w.URL}
	if len(w.Range) > 0 {
		check.Line = w.Range[0].Start.Line
	}
	return check, true
}

// Checks returns what the build checks found in the Dockerfile, in the order of its lines.
func (p *Progress) Checks() []Check {
	p.mu.Lock()
	defer p.mu.Unlock()
	checks := slices.Clone(p.checks)
	slices.SortStableFunc(checks, func(a, b Check) int { return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Rule, b.Rule)) })
	return checks
}
