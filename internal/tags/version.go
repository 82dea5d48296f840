package tags

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// parseVersion reads strict semver with an optional v, as metadata-action's gate does; Masterminds'
// own parser would let "1.2" pass. Nil where the text is none.
func parseVersion(text string) *semver.Version {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
	if err != nil {
		return nil
	}
	return v
}

// full writes a version without its build metadata, which no tag may hold.
func full(v *semver.Version) string {
	text := fmt.Sprintf("%d.%d.%d", v.Major(), v.Minor(), v.Patch())
	if v.Prerelease() != "" {
		text += "-" + v.Prerelease()
	}
	return text
}

func (r rule) semver(e Event) (tag Tag, latest bool, reason string) {
	text, isTag := strings.CutPrefix(e.Ref, "refs/tags/")
	if v := r.attrs["value"]; v != "" {
		text, isTag = e.expand(v), true
	}
	if !isTag {
		return Tag{}, false, e.Ref + " is no tag"
	}
	if m := r.attrs["match"]; m != "" {
		if groups := regexp.MustCompile(m).FindStringSubmatch(text); groups != nil {
			text = groups[1]
		}
	}
	v := parseVersion(strings.ReplaceAll(text, "/", "-"))
	if v == nil {
		return Tag{}, false, fmt.Sprintf("%q is no semantic version", text)
	}
	tag = renderVersion(r.attrs["pattern"], text, v)
	return tag, v.Prerelease() == "", ""
}

// renderVersion fills a semver pattern. A prerelease gives its full version whatever the pattern,
// so that major and minor tags never move to it.
func renderVersion(pattern, raw string, v *semver.Version) Tag {
	tag := Tag{Kind: Version, Release: full(v)}
	if v.Prerelease() != "" {
		if tag.Name = tag.Release; pattern == "{{raw}}" {
			tag.Name = raw
		}
		return tag
	}
	major, minor := fmt.Sprint(v.Major()), fmt.Sprint(v.Minor())
	tag.Name = strings.NewReplacer("{{raw}}", raw, "{{version}}", tag.Release, "{{major}}", major,
		"{{minor}}", minor, "{{patch}}", fmt.Sprint(v.Patch())).Replace(pattern)
	switch {
	case strings.Contains(tag.Name, tag.Release), strings.Contains(pattern, "{{patch}}"), strings.Contains(pattern, "{{raw}}"):
		return tag
	case strings.Contains(pattern, "{{minor}}"):
		tag.Line = major + "." + minor
	case strings.Contains(pattern, "{{major}}"):
		tag.Line = major
	}
	tag.Kind = Release
	return tag
}

// Follows reports whether a version belongs to the line that a Release tag follows.
func (t Tag) Follows(v *semver.Version) bool {
	major := fmt.Sprint(v.Major())
	return t.Line == "" || t.Line == major || t.Line == major+"."+fmt.Sprint(v.Minor())
}

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
func (r rule) shape() *regexp.Regexp {
	pattern := r.attrs["pattern"]
	if r.kind == "ref" && r.attrs["event"] == "tag" {
		pattern = "{{raw}}"
	}
	// A bare major version looks like any number: a date, a build's count.
	if !strings.Contains(pattern, "{{minor}}") && !strings.Contains(pattern, "{{version}}") && pattern != "{{raw}}" {
		return nil
	}
	affix := func(key string) string {
		return affixExpression.ReplaceAllString(regexp.QuoteMeta(r.attrs[key]), `[A-Za-z0-9._-]*`)
	}
	return regexp.MustCompile("^" + affix("prefix") + placeholders.Replace(regexp.QuoteMeta(pattern)) + affix("suffix") + "$")
}

// Published returns the version that a tag which these rules gave stands for; of one that leaves
// parts of it open, the lowest. Nil where the tag stands for none, or for a prerelease.
func (rules Rules) Published(tag string) *semver.Version {
	for _, r := range rules {
		shape := r.shape()
		if shape == nil {
			continue
		}
		groups := shape.FindStringSubmatch(tag)
		if groups == nil {
			continue
		}
		part := func(name string) string {
			if i := shape.SubexpIndex(name); i >= 0 {
				return groups[i]
			}
			return ""
		}
		if whole := part("version"); whole != "" {
			return parseVersion(whole)
		}
		return parseVersion(part("major") + "." + part("minor") + "." + cmp.Or(part("patch"), "0"))
	}
	return nil
}
