// Package tags says under which tags an image is published. Rules are written in
// docker/metadata-action's language (https://github.com/docker/metadata-action#tags-input);
// this package knows the types ref, semver, sha and raw of it.
package tags

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// An Event is what rules are rendered for.
type Event struct {
	Name          string // GitHub's event name: push, pull_request, workflow_dispatch, …
	Ref           string // refs/heads/main, refs/tags/v1.2.3, refs/pull/7/merge
	SHA           string // commit, 40 or 64 hexadecimal digits
	DefaultBranch string
}

// A Kind says how a tag may move.
type Kind string

const (
	Commit  Kind = "commit"  // names one commit; moves when that commit is built again
	Version Kind = "version" // names one version or git tag; never moves
	Branch  Kind = "branch"  // follows a branch
	Release Kind = "release" // follows the highest release: latest, major and minor versions
)

// A Tag is one name an image gets, and the rule that gave it.
type Tag struct {
	Name string `json:"name"`
	Rule string `json:"rule"`
	Kind Kind   `json:"kind"`
	// Release is the semantic version that is released, "1.2.3"; empty where the tag says nothing of one.
	Release string `json:"release,omitempty"`
	// Line is the part of the version that a Release tag follows: "1.2", "1", or empty for all versions.
	Line string `json:"line,omitempty"`
}

// A Set is what the rules yield for one event.
type Set struct {
	// Version is the tag of the rule with the highest priority; it labels the image.
	Version string `json:"version"`
	Tags    []Tag  `json:"tags"`
	// Silent lists the rules that gave no tag, each with the reason.
	Silent []string `json:"silent"`
}

// Names returns the tags' names alone.
func (s Set) Names() []string {
	names := make([]string, len(s.Tags))
	for i, t := range s.Tags {
		names[i] = t.Name
	}
	return names
}

// A rule is one line of the language.
type rule struct {
	text     string
	kind     string
	priority int
	attrs    map[string]string
}

// Rules are parsed lines, in order of falling priority.
type Rules []rule

// The priorities and attributes of metadata-action's types; the first attribute listed as required must be given.
var types = map[string]struct {
	priority int
	attrs    []string
	required string
}{
	"semver": {900, []string{"pattern", "value", "match"}, "pattern"},
	"ref":    {600, []string{"event"}, "event"},
	"raw":    {200, []string{"value"}, "value"},
	"sha":    {100, []string{"format"}, ""},
}

var common = []string{"type", "enable", "priority", "prefix", "suffix"}

// Parse reads rules, one a line. All mistakes are returned together, each naming its line.
func Parse(text string) (Rules, []error) {
	var rules Rules
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
		rules = append(rules, r)
	}
	slices.SortStableFunc(rules, func(a, b rule) int { return cmp.Compare(b.priority, a.priority) })
	return rules, mistakes
}

func parseRule(line string) (rule, error) {
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil {
		return rule{}, err
	}
	r := rule{text: line, attrs: map[string]string{}}
	for _, field := range fields {
		key, v, found := strings.Cut(field, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); !found {
			key, v = "value", field // a bare word is a raw tag
		}
		r.attrs[key] = strings.TrimSpace(v)
	}
	r.kind = cmp.Or(r.attrs["type"], "raw")
	known, ok := types[r.kind]
	if !ok {
		return rule{}, fmt.Errorf("type %q is not supported; use semver, ref, raw or sha", r.kind)
	}
	for key := range r.attrs {
		if !slices.Contains(known.attrs, key) && !slices.Contains(common, key) {
			return rule{}, fmt.Errorf("type %s has no attribute %q", r.kind, key)
		}
	}
	if known.required != "" && r.attrs[known.required] == "" {
		return rule{}, fmt.Errorf("type %s needs %s=…", r.kind, known.required)
	}
	return r, r.prove(known.priority)
}

// prove checks the attributes that have a fixed set of values.
func (r *rule) prove(priority int) error {
	r.priority = priority
	if p := r.attrs["priority"]; p != "" {
		if _, err := fmt.Sscanf(p, "%d", &r.priority); err != nil {
			return fmt.Errorf("priority %q is no number", p)
		}
	}
	if e := r.attrs["event"]; r.kind == "ref" && !slices.Contains([]string{"branch", "tag", "pr"}, e) {
		return fmt.Errorf("event %q is none of branch, tag, pr", e)
	}
	if f := r.attrs["format"]; f != "" && f != "short" && f != "long" {
		return fmt.Errorf("format %q is neither short nor long", f)
	}
	if m := r.attrs["match"]; m != "" {
		re, err := regexp.Compile(m)
		if err != nil {
			return fmt.Errorf("match: %w", err)
		}
		if re.NumSubexp() == 0 {
			return fmt.Errorf("match %q needs a group in parentheses, which is the version", m)
		}
	}
	return nil
}

// Render applies the rules to an event. Tags come in order of priority, each once. The first rule
// that gives a tag decides, as in metadata-action, whether `latest` comes along: it does for a
// release and for a git tag.
func (rules Rules) Render(e Event) Set {
	set := Set{Tags: []Tag{}, Silent: []string{}}
	latest, decided := Tag{}, false
	for _, r := range rules {
		tag, wantsLatest, reason := r.render(e)
		if reason != "" {
			set.Silent = append(set.Silent, r.text+": "+reason)
			continue
		}
		if !decided {
			set.Version, decided = tag.Name, true
			if wantsLatest {
				latest = Tag{Name: "latest", Rule: "the highest release", Kind: Release, Release: tag.Release}
			}
		}
		set.add(tag)
	}
	if latest.Name != "" {
		set.add(latest)
	}
	return set
}

// Ask adds a tag that somebody asked for by its name. It labels the image, and never moves.
func (s *Set) Ask(name string) {
	s.Version = name
	s.Tags = slices.DeleteFunc(s.Tags, func(t Tag) bool { return t.Name == name })
	s.add(Tag{Name: name, Rule: "asked for by its name", Kind: Version})
}

func (s *Set) add(t Tag) {
	if !slices.ContainsFunc(s.Tags, func(have Tag) bool { return have.Name == t.Name }) {
		s.Tags = append(s.Tags, t)
	}
}

// render gives the rule's tag, or the reason why there is none.
func (r rule) render(e Event) (tag Tag, latest bool, reason string) {
	switch enabled := e.expand(cmp.Or(r.attrs["enable"], "true")); enabled {
	case "true":
	case "false":
		return Tag{}, false, "not enabled"
	default:
		return Tag{}, false, fmt.Sprintf("enable is %q, neither true nor false", enabled)
	}
	switch r.kind {
	case "semver":
		tag, latest, reason = r.semver(e)
	case "ref":
		tag, latest, reason = r.ref(e)
	case "raw":
		tag = Tag{Name: e.expand(r.attrs["value"]), Kind: Branch}
	case "sha":
		tag = Tag{Name: e.shortSHA(), Kind: Commit}
		if r.attrs["format"] == "long" {
			tag.Name = e.SHA
		}
	}
	if reason != "" {
		return Tag{}, false, reason
	}
	tag.Rule = r.text
	tag.Name = sanitise(r.affix("prefix", e) + tag.Name + e.expand(r.attrs["suffix"]))
	if !Valid(tag.Name) {
		return Tag{}, false, fmt.Sprintf("%q is not a valid tag", tag.Name)
	}
	return tag, latest, ""
}

// affix is the rule's prefix; sha and pull-request tags have one of their own.
func (r rule) affix(key string, e Event) string {
	if v, given := r.attrs[key]; given {
		return e.expand(v)
	}
	switch {
	case r.kind == "sha":
		return "sha-"
	case r.kind == "ref" && r.attrs["event"] == "pr":
		return "pr-"
	}
	return ""
}

func (r rule) ref(e Event) (tag Tag, latest bool, reason string) {
	event := r.attrs["event"]
	prefix := map[string]string{"branch": "refs/heads/", "tag": "refs/tags/", "pr": "refs/pull/"}[event]
	rest, ok := strings.CutPrefix(e.Ref, prefix)
	if !ok {
		return Tag{}, false, fmt.Sprintf("%s is no %s", e.Ref, event)
	}
	switch event {
	case "pr":
		rest, _, _ = strings.Cut(rest, "/")
	case "tag":
		tag = Tag{Name: rest, Kind: Version}
		if v := parseVersion(rest); v != nil {
			tag.Release = full(v)
		}
		return tag, true, ""
	}
	return Tag{Name: rest, Kind: Branch}, false, ""
}

var expression = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}`)

// expand fills metadata-action's global expressions.
func (e Event) expand(text string) string {
	return expression.ReplaceAllStringFunc(text, func(match string) string {
		switch expression.FindStringSubmatch(match)[1] {
		case "branch":
			return cutOrEmpty(e.Ref, "refs/heads/")
		case "tag":
			return cutOrEmpty(e.Ref, "refs/tags/")
		case "sha":
			return e.shortSHA()
		case "is_default_branch":
			return fmt.Sprint(e.onDefaultBranch())
		case "is_not_default_branch":
			return fmt.Sprint(!e.onDefaultBranch())
		}
		return match
	})
}

func (e Event) onDefaultBranch() bool {
	return e.DefaultBranch != "" && e.Ref == "refs/heads/"+e.DefaultBranch
}

func (e Event) shortSHA() string { return e.SHA[:min(7, len(e.SHA))] }

func cutOrEmpty(s, prefix string) string {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return ""
	}
	return rest
}

var illegal = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// sanitise replaces each run of characters that no tag may hold.
func sanitise(tag string) string { return illegal.ReplaceAllString(tag, "-") }

var grammar = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// Valid reports whether name is a tag by the OCI distribution specification's grammar.
func Valid(name string) bool { return grammar.MatchString(name) }

// A Move is what happened to one tag.
type Move struct {
	Tag  string
	From string // digest it pointed to; empty for a new tag
	To   string // digest it was to point to
	Kept string // why it was left where it is; empty if it was moved
}
