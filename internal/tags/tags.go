// Package tags says under which tags an image is published. Rules are written in
// docker/metadata-action's language (https://github.com/docker/metadata-action#tags-input),
// and give what they give there; where that is no tag, one is made of it, and said. One type is more
// than there: channel, for prereleases.
package tags

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An Event is what rules are rendered for.
type Event struct {
	Name          string // GitHub's event name: push, pull_request, workflow_dispatch, …
	Ref           string // refs/heads/main, refs/tags/v1.2.3, refs/pull/7/merge
	SHA           string // commit, 40 or 64 hexadecimal digits
	DefaultBranch string
	BaseRef       string // branch that a git tag was pushed from, or that a pull request is for; empty if that is not known
	// Released is the version of a git tag that releases one service alone, v1.2.3 of backend/v1.2.3; empty for all others.
	Released  string
	ShortSHA  int       // digits of the short form of SHA; the usual seven where it is 0
	Now       time.Time // when the run began
	Committed time.Time // when the commit was made
}

// A Kind says how a tag may move.
type Kind string

const (
	Commit  Kind = "commit"  // names one commit; moves when that commit is built again
	Version Kind = "version" // names one version or git tag; never moves
	Branch  Kind = "branch"  // follows a branch
	Pointer Kind = "pointer" // points where somebody says, such as production
	Release Kind = "release" // follows the highest release: latest, major and minor versions, channels of prereleases
)

// A Tag is one name an image gets, and the rule that gave it.
type Tag struct {
	Name string `json:"name"`
	Rule string `json:"rule"`
	Kind Kind   `json:"kind"`
	// Release is the semantic version that is released, "1.2.3"; empty where the tag says nothing of one.
	Release string `json:"release,omitempty"`
	// Line is the part of the version that a Release tag follows: "1.2", "1", a channel of prereleases such as "beta", or
	// empty for all releases.
	Line string `json:"line,omitempty"`
	// Shared is set for a Branch tag that the default branch gives as well, such as latest, and that is not this branch's own.
	Shared bool `json:"shared,omitempty"`
	// Repaired is what the rule gave, where that is no tag and Name was made of it; else empty.
	Repaired string `json:"repaired,omitempty"`
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

// Rules are parsed lines, in order of falling priority, and what holds for all of them.
type Rules struct {
	Flavor Flavor
	list   []rule
}

// Render applies the rules to an event. Tags come in order of priority, each once. The first rule
// that gives a tag decides whether latest comes along, unless the flavor does: it does for a
// release and for a git tag.
func (rules Rules) Render(e Event) Set {
	set := Set{Tags: []Tag{}, Silent: []string{}}
	latest, decided := Tag{}, false
	for _, r := range rules.list {
		tag, wantsLatest, reason := r.render(e, rules.Flavor)
		if reason != "" {
			set.Silent = append(set.Silent, r.text+": "+reason)
			continue
		}
		if !decided {
			set.Version, decided = tag.Name, true
			if auto := rules.Flavor.Latest == "auto"; auto && wantsLatest || rules.Flavor.Latest == "true" {
				latest = latestOf(tag, auto)
			}
		}
		set.add(tag)
	}
	if latest.Kind != "" {
		// An affix can be empty, but the word is always left.
		_ = latest.mend(rules.Flavor.latest(e))
		set.follow(latest)
	}
	return set
}

// follow adds the tag latest. Where a rule gives it as well, it follows releases all the same: a backport has a newer commit, and is none that
// people want who want the latest.
func (s *Set) follow(latest Tag) {
	i := slices.IndexFunc(s.Tags, func(t Tag) bool { return t.Name == latest.Name })
	if i >= 0 && s.Tags[i].Kind == Branch && latest.Kind == Release {
		latest.Rule = s.Tags[i].Rule
		s.Tags[i] = latest
		return
	}
	s.add(latest)
}

// latestOf is the tag latest as it comes along with another. Where the flavor demands it, it follows what
// the other one follows: a branch, if that is no release.
func latestOf(with Tag, auto bool) Tag {
	if auto || with.Release != "" {
		return Tag{Rule: "the highest release", Kind: Release, Release: with.Release}
	}
	return Tag{Rule: "flavor latest=true", Kind: Branch, Shared: true}
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
func (r rule) render(e Event, f Flavor) (tag Tag, latest bool, reason string) {
	if enable, given := r.attrs["enable"]; given {
		switch enabled := e.expand(enable); enabled {
		case "true":
		case "false":
			return Tag{}, false, "not enabled"
		default:
			return Tag{}, false, fmt.Sprintf("enable is %q, neither true nor false", enabled)
		}
	}
	tag, latest, reason = r.bare(e)
	if reason != "" {
		return Tag{}, false, reason
	}
	tag.Rule = r.text
	if reason = tag.mend(e.expand(r.affix("prefix", f.Prefix)) + tag.Name + e.expand(r.affix("suffix", f.Suffix))); reason != "" {
		return Tag{}, false, reason
	}
	tag.Shared = r.kind == "raw" && r.isShared(e, f, tag.Name)
	return tag, latest, ""
}

// isShared reports whether the default branch gives a tag of the same name. A branch's own name is its own: what a workflow has
// enabled for that branch alone reads as if it were enabled everywhere.
func (r rule) isShared(e Event, f Flavor, name string) bool {
	branch, trunk := cutOrEmpty(e.Ref, "refs/heads/"), "refs/heads/"+e.DefaultBranch
	if e.DefaultBranch == "" || e.Ref == trunk || name == repaired(sanitise(branch)) {
		return false
	}
	e.Ref = trunk
	there, _, reason := r.render(e, f)
	return reason == "" && there.Name == name
}

// bare gives the rule's tag as it is before prefix and suffix.
func (r rule) bare(e Event) (tag Tag, latest bool, reason string) {
	switch r.kind {
	case "schedule":
		if !strings.Contains(e.Name, "schedule") {
			return Tag{}, false, e.Name + " is no schedule"
		}
		return Tag{Name: fill(r.attrs["pattern"], e.dates()), Kind: Branch}, false, ""
	case "semver":
		return r.semver(e)
	case "pep440":
		return r.pep440(e)
	case "channel":
		return r.channel(e)
	case "match":
		return r.matched(e)
	case "edge":
		return r.edge(e)
	case "ref":
		return r.ref(e)
	case "raw":
		return Tag{Name: e.expand(r.attrs["value"]), Kind: Branch}, false, ""
	default: // sha
		if r.attrs["format"] == "long" {
			return Tag{Name: e.SHA, Kind: Commit}, false, ""
		}
		return Tag{Name: e.shortSHA(), Kind: Commit}, false, ""
	}
}

// affix is the rule's own prefix or suffix; where it has none, that of all.
func (r rule) affix(key, ofAll string) string {
	if own, given := r.attrs[key]; given {
		return own
	}
	return ofAll
}

func (r rule) edge(e Event) (tag Tag, latest bool, reason string) {
	branch, of := cutOrEmpty(e.Ref, "refs/heads/"), r.attrs["branch"]
	if of == "" {
		of = e.DefaultBranch
	}
	if branch == "" || branch != of {
		return Tag{}, false, e.isNot("not branch " + of)
	}
	return Tag{Name: "edge", Kind: Branch}, false, ""
}

func (r rule) ref(e Event) (tag Tag, latest bool, reason string) {
	event := r.attrs["event"]
	prefix := map[string]string{"branch": "refs/heads/", "tag": "refs/tags/", "pr": "refs/pull/"}[event]
	rest, ok := strings.CutPrefix(e.Ref, prefix)
	if !ok {
		return Tag{}, false, e.isNot("no " + event)
	}
	switch event {
	case "pr":
		return Tag{Name: strings.TrimSuffix(rest, "/merge"), Kind: Branch}, false, ""
	case "tag":
		return e.ofGitTag(rest, rest), true, ""
	}
	return Tag{Name: rest, Kind: Branch}, false, ""
}

// ofGitTag is a tag that is a git tag's name, or a part of it. The whole names one version and never moves, and
// so does a part that tells the whole version; any other part follows the line that it tells.
func (e Event) ofGitTag(name, gitTag string) Tag {
	tag := Tag{Name: name, Kind: Version}
	v := e.version(gitTag)
	if v != nil {
		tag.Release = full(v)
	}
	if name == gitTag || v != nil && strings.Contains(name, tag.Release) {
		return tag
	}
	tag.Kind = Release
	if v == nil {
		return tag
	}
	major, minor := fmt.Sprint(v.Major()), fmt.Sprint(v.Minor())
	switch bare := strings.TrimPrefix(name, "v"); bare {
	case major + "." + minor, major:
		tag.Line = bare
	}
	return tag
}

func (r rule) matched(e Event) (tag Tag, latest bool, reason string) {
	text, reason := r.subject(e)
	if reason != "" {
		return Tag{}, false, reason
	}
	groups := r.match.FindStringSubmatchIndex(text)
	if groups == nil || groups[2*r.group] < 0 {
		return Tag{}, false, fmt.Sprintf("%q does not match %s", text, r.attrs["pattern"])
	}
	return e.ofGitTag(text[groups[2*r.group]:groups[2*r.group+1]], text), true, ""
}

// subject is what semver, pep440 and match look at: their value, or the git tag.
func (r rule) subject(e Event) (text, reason string) {
	if v := r.attrs["value"]; v != "" {
		return e.expand(v), ""
	}
	text, isTag := strings.CutPrefix(e.Ref, "refs/tags/")
	if !isTag {
		return "", e.isNot("no tag")
	}
	return text, ""
}

// isNot says that the ref is not what a rule is for.
func (e Event) isNot(wanted string) string {
	if e.Ref == "" {
		return "there is no ref"
	}
	return e.Ref + " is " + wanted
}

var illegal = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// sanitise replaces each run of characters that no tag may hold.
func sanitise(tag string) string { return illegal.ReplaceAllString(tag, "-") }

var grammar = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// LongestLabel is how many characters the value of a Kubernetes label has at most; charts put an image's tag there.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
const LongestLabel = 63

// Valid reports whether name is a tag by the OCI distribution specification's grammar.
func Valid(name string) bool { return grammar.MatchString(name) }

// A Move is what happened to one tag.
type Move struct {
	Tag  string
	From string // digest it pointed to; empty for a new tag
	To   string // digest it was to point to
	Kept string // why it was left where it is; empty if it was moved
	// Despite is why it would have been left where it was, had nobody demanded the move.
	Despite string
}
