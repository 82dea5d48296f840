package tags

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

const number = `(?:0|[1-9][0-9]*)`

// placeholders are what a pattern's expressions look like in a tag, as QuoteMeta writes them.
var placeholders = strings.NewReplacer(
	`\{\{version\}\}`, `(?P<version>`+number+`\.`+number+`\.`+number+`)`,
	`\{\{raw\}\}`, `v?(?P<version>`+number+`\.`+number+`\.`+number+`)`,
	`\{\{major\}\}`, `(?P<major>`+number+`)`,
	`\{\{minor\}\}`, `(?P<minor>`+number+`)`,
	`\{\{patch\}\}`, `(?P<patch>`+number+`)`)

// affixExpression is an expression in a prefix or suffix, as QuoteMeta writes it. What it gave
// another run is not known here.
var affixExpression = regexp.MustCompile(`\\\{\\\{.*?\\\}\\\}`)

// A shape is what the tags of one rule look like.
type shape struct {
	whole *regexp.Regexp
	lost  string // what a repair has taken off its beginning where the expressions before it were empty
}

// shape is that of a rule for one service; nil where its tags tell no version.
func (r rule) shape(f Flavor, service string) *shape {
	pattern, before := statement.ReplaceAllString(r.attrs["pattern"], "{{$1}}"), ""
	switch {
	case r.showsGitTag():
		pattern, before = "{{raw}}", maybe(service)
	case r.kind != "semver" && r.kind != "pep440":
		return nil
	}
	// A bare major version looks like any number: a date, a build's count.
	if !strings.Contains(pattern, "{{minor}}") && !strings.Contains(pattern, "{{version}}") && pattern != "{{raw}}" {
		return nil
	}
	return r.shaped(f, pattern, before+placeholders.Replace(regexp.QuoteMeta(pattern)))
}

// showsGitTag reports whether the rule's tags are made of the git tag, whatever that is.
func (r rule) showsGitTag() bool {
	return r.kind == "ref" && r.attrs["event"] == "tag" || r.kind == "match"
}

// maybe is what the tag of a git tag begins with that releases a service alone.
func maybe(service string) string { return "(?:" + regexp.QuoteMeta(service+"-") + ")?" }

const prerelease = `(?P<version>` + number + `\.` + number + `\.` + number + `-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)`

// previewShape is that of a rule's prereleases, which give their whole version; nil where they tell none.
func (r rule) previewShape(f Flavor, service string) *shape {
	switch {
	case r.showsGitTag():
		return r.shaped(f, "", maybe(service)+"v?"+prerelease)
	case r.kind == "semver" && isRaw(r.attrs["pattern"]):
		return r.shaped(f, "", "v?"+prerelease)
	case r.kind == "semver":
		return r.shaped(f, "", prerelease)
	}
	return nil
}

// shaped puts the affixes around a pattern, which looks like that in a tag.
func (r rule) shaped(f Flavor, pattern, looks string) *shape {
	prefix, suffix := r.affix("prefix", f.Prefix), r.affix("suffix", f.Suffix)
	affix := func(text string) string {
		return affixExpression.ReplaceAllString(regexp.QuoteMeta(text), `[A-Za-z0-9._-]*`)
	}
	emptied := statement.ReplaceAllString(prefix, "") + pattern
	return &shape{regexp.MustCompile("^" + affix(prefix) + looks + affix(suffix) + "$"), emptied[:len(emptied)-len(strings.TrimLeft(emptied, neverFirst))]}
}

// version is the one that a tag of the shape stands for.
func (s shape) version(tag string) *semver.Version {
	groups := s.whole.FindStringSubmatch(tag)
	if groups == nil && s.lost != "" {
		groups = s.whole.FindStringSubmatch(s.lost + tag)
	}
	if groups == nil {
		return nil
	}
	part := func(name string) string {
		if i := s.whole.SubexpIndex(name); i >= 0 {
			return groups[i]
		}
		return ""
	}
	if whole := part("version"); whole != "" {
		return parseVersion(whole)
	}
	return parseVersion(part("major") + "." + part("minor") + "." + cmp.Or(part("patch"), "0"))
}

// Published returns a function that tells which version a tag stands for which these rules gave a service; of
// one that leaves parts of it open, the lowest. It tells nil where the tag stands for none.
func (rules Rules) Published(service string) func(tag string) *semver.Version {
	var releases, previews []*shape
	for _, r := range rules.list {
		if s := r.shape(rules.Flavor, service); s != nil {
			releases = append(releases, s)
		}
		if s := r.previewShape(rules.Flavor, service); s != nil {
			previews = append(previews, s)
		}
	}
	return func(tag string) *semver.Version {
		for _, s := range releases {
			if v := s.version(tag); v != nil {
				return v
			}
		}
		return lowest(previews, tag)
	}
}

// lowest reads a prerelease. Where one rule gives no suffix and another -alpine, 1.2.3-rc.1-alpine may be of either:
// it is taken for the lower version, which keeps nothing back that may move.
func lowest(shapes []*shape, tag string) (found *semver.Version) {
	for _, s := range shapes {
		if v := s.version(tag); v != nil && (found == nil || v.LessThan(found)) {
			found = v
		}
	}
	return found
}
