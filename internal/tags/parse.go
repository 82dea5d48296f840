package tags

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A rule is one line of the language.
type rule struct {
	text     string
	kind     string
	priority float64
	attrs    map[string]string
	match    *regexp.Regexp // of semver and pep440 the attribute match, of match its pattern
	group    int            // of match
}

// A kind of rules: its priority, its own attributes, the one that must be given, what others are by default, and the
// expressions that its pattern may hold.
type kindOfRule struct {
	priority    float64
	attrs       []string
	required    string
	defaults    map[string]string
	expressions []string
}

var versionExpressions = []string{"raw", "version", "major", "minor", "patch"}

// kinds are metadata-action's types, and channel. https://github.com/docker/metadata-action#tags-input
var kinds = map[string]kindOfRule{
	"schedule": {1000, []string{"pattern"}, "", map[string]string{"pattern": "nightly"}, dated},
	"semver":   {900, []string{"pattern", "value", "match"}, "pattern", nil, append([]string{"prerelease"}, versionExpressions...)},
	"pep440":   {900, []string{"pattern", "value", "match"}, "pattern", nil, versionExpressions},
	"channel":  {850, []string{"value", "match"}, "", nil, nil},
	"match":    {800, []string{"pattern", "group", "value"}, "pattern", map[string]string{"group": "0"}, nil},
	"edge":     {700, []string{"branch"}, "", nil, nil},
	"ref":      {600, []string{"event"}, "event", nil, nil},
	"raw":      {200, []string{"value"}, "value", nil, nil},
	"sha":      {100, []string{"format"}, "", map[string]string{"format": "short", "prefix": "sha-"}, nil},
}

var common = []string{"type", "enable", "priority", "prefix", "suffix"}

// Parse reads rules, one a line. All mistakes are returned together, each naming its line.
func Parse(text string) (Rules, []error) {
	rules := Rules{Flavor: Flavor{Latest: "auto"}}
	var mistakes []error
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := parseRule(line)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("tag rule %d, %q: %w", i+1, line, err))
			continue
		}
		rules.list = append(rules.list, r)
	}
	slices.SortStableFunc(rules.list, func(a, b rule) int { return cmp.Compare(b.priority, a.priority) })
	return rules, mistakes
}

func parseRule(line string) (rule, error) {
	fields, err := split(line)
	if err != nil {
		return rule{}, err
	}
	r := rule{text: line, attrs: map[string]string{}}
	for _, field := range fields {
		key, v, found := strings.Cut(field, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); !found || key == "" {
			key, v = "value", field // a bare word is a raw tag
		}
		r.attrs[key] = strings.TrimSpace(v)
	}
	r.kind = cmp.Or(r.attrs["type"], "raw")
	known, ok := kinds[r.kind]
	if !ok {
		return rule{}, fmt.Errorf("there is no type %q; there are schedule, semver, pep440, channel, match, edge, ref, raw and sha", r.kind)
	}
	for key := range r.attrs {
		if !slices.Contains(known.attrs, key) && !slices.Contains(common, key) {
			return rule{}, fmt.Errorf("type %s has no attribute %q", r.kind, key)
		}
	}
	if known.required != "" && r.attrs[known.required] == "" {
		return rule{}, fmt.Errorf("type %s needs %s=…", r.kind, known.required)
	}
	return r, r.prove(known)
}

// split reads the fields of one line in CSV.
func split(line string) ([]string, error) {
	if !utf8.ValidString(line) {
		return nil, errors.New("it is no text in UTF-8")
	}
	reader := csv.NewReader(strings.NewReader(line))
	reader.TrimLeadingSpace = true
	return reader.Read()
}

// prove checks the attributes, and fills in what is not given.
func (r *rule) prove(known kindOfRule) (err error) {
	for key, v := range known.defaults {
		if _, given := r.attrs[key]; !given {
			r.attrs[key] = v
		}
	}
	if _, given := r.attrs["prefix"]; !given && r.attrs["event"] == "pr" {
		r.attrs["prefix"] = "pr-"
	}
	r.priority = known.priority
	if p := r.attrs["priority"]; p != "" {
		if r.priority, err = strconv.ParseFloat(p, 64); err != nil || r.priority != r.priority {
			return fmt.Errorf("priority %q is no number", p)
		}
	}
	if e := r.attrs["event"]; r.kind == "ref" && !slices.Contains([]string{"branch", "tag", "pr"}, e) {
		return fmt.Errorf("event %q is none of branch, tag, pr", e)
	}
	if f := r.attrs["format"]; r.kind == "sha" && f != "short" && f != "long" {
		return fmt.Errorf("format %q is neither short nor long", f)
	}
	for _, key := range []string{"value", "prefix", "suffix", "enable"} {
		if err := checkTemplate(r.attrs[key], globals); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if r.kind == "match" {
		return r.proveMatch()
	}
	if err := checkTemplate(r.attrs["pattern"], known.expressions); err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	if m := r.attrs["match"]; m != "" {
		if r.match, err = compile(m); err != nil {
			return fmt.Errorf("match: %w", err)
		}
		if r.match.NumSubexp() == 0 {
			return fmt.Errorf("match %q needs a group in parentheses, which is the version", m)
		}
	}
	return nil
}

func (r *rule) proveMatch() (err error) {
	if r.match, err = compile(r.attrs["pattern"]); err != nil {
		return fmt.Errorf("pattern: %w", err)
	}
	if r.group, err = strconv.Atoi(r.attrs["group"]); err != nil || r.group < 0 || r.group > r.match.NumSubexp() {
		return fmt.Errorf("group %q is none of the pattern's 0 to %d", r.attrs["group"], r.match.NumSubexp())
	}
	return nil
}

// delimited is how JavaScript writes a regular expression: /v(.*)/i.
var delimited = regexp.MustCompile(`^/(.+)/([a-z]*)$`)

// compile reads a regular expression as it stands, or between slashes and with flags.
func compile(pattern string) (*regexp.Regexp, error) {
	if m := delimited.FindStringSubmatch(pattern); m != nil {
		pattern = m[1]
		if flags := strings.Map(func(f rune) rune {
			if strings.ContainsRune("ims", f) {
				return f
			}
			return -1 // g, u, y and d change nothing about the first match
		}, m[2]); flags != "" {
			pattern = "(?" + flags + ")" + pattern
		}
	}
	return regexp.Compile(pattern)
}
