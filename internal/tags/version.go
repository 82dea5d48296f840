package tags

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	pep440 "github.com/aquasecurity/go-pep440-version"
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

// isPython reports whether a text is a version of Python's kind.
func isPython(text string) bool {
	_, err := pep440.Parse(text)
	return err == nil
}

func isSemver(text string) bool { return parseVersion(text) != nil }

// Releases tells which of the services a git tag releases alone, and as which version: backend/v1.2.3, backend@v1.2.3 and
// backend@1.2.3 release backend. Both are empty where the ref is no such tag.
func Releases(ref string, services []string) (service, version string) {
	gitTag := cutOrEmpty(ref, "refs/tags/")
	if !strings.ContainsAny(gitTag, "/@") {
		return "", ""
	}
	for _, name := range services {
		rest, ok := strings.CutPrefix(gitTag, name)
		if !ok || len(name) <= len(service) || rest == "" || rest[0] != '/' && rest[0] != '@' {
			continue
		}
		if rest = rest[1:]; isSemver(rest) || isPython(rest) {
			service, version = name, rest
		}
	}
	return service, version
}

// version is the semantic version that a git tag tells, or what stands in its place; nil for none.
func (e Event) version(text string) *semver.Version {
	if v := parseVersion(text); v != nil || e.Ref != "refs/tags/"+text {
		return v
	}
	return parseVersion(e.Released)
}

func (r rule) semver(e Event) (tag Tag, latest bool, reason string) {
	text, v, reason := r.semanticVersion(e)
	if reason != "" {
		return Tag{}, false, reason
	}
	return renderVersion(r.attrs["pattern"], text, v), v.Prerelease() == "", ""
}

// semanticVersion is the one that the rule is about, as it is written and as it is read.
func (r rule) semanticVersion(e Event) (text string, v *semver.Version, reason string) {
	text, reason = r.versionText(e, isSemver)
	if reason != "" {
		return "", nil, reason
	}
	if v = parseVersion(text); v == nil {
		return "", nil, fmt.Sprintf("%q is no semantic version", text)
	}
	return text, v, ""
}

// versionText is what rules about versions look at: of what match finds the first group, else all of it; of a git tag
// that releases one service alone, and would be no version, what follows the service's name.
func (r rule) versionText(e Event, isVersion func(string) bool) (text, reason string) {
	text, reason = r.subject(e)
	if reason != "" {
		return "", reason
	}
	if r.match != nil {
		if groups := r.match.FindStringSubmatch(text); groups != nil {
			text = groups[1]
		}
	}
	text = strings.ReplaceAll(text, "/", "-")
	if plain := r.match == nil && r.attrs["value"] == ""; plain && e.Released != "" && !isVersion(text) {
		return e.Released, ""
	}
	return text, ""
}

// renderVersion fills a semver pattern. A prerelease gives its full version whatever the pattern,
// so that major and minor tags never move to it.
func renderVersion(pattern, raw string, v *semver.Version) Tag {
	tag := Tag{Kind: Version, Release: full(v)}
	if v.Prerelease() != "" {
		if tag.Name = tag.Release; isRaw(pattern) {
			tag.Name = raw
		}
		return tag
	}
	major, minor, patch := fmt.Sprint(v.Major()), fmt.Sprint(v.Minor()), fmt.Sprint(v.Patch())
	tag.Name = fillVersion(pattern, raw, tag.Release, major, minor, patch)
	return tag.along(pattern, major, minor)
}

func fillVersion(pattern, raw, version, major, minor, patch string) string {
	return fill(pattern, map[string]value{"raw": constant(raw), "version": constant(version),
		"major": constant(major), "minor": constant(minor), "patch": constant(patch)})
}

// along makes a version's tag follow the line that its pattern tells, where it leaves a part of the version open.
func (t Tag) along(pattern, major, minor string) Tag {
	has := func(name string) bool {
		return slices.ContainsFunc(statement.FindAllStringSubmatch(pattern, -1), func(m []string) bool { return m[1] == name })
	}
	switch {
	case t.Release != "" && strings.Contains(t.Name, t.Release), has("patch"), has("raw"), has("version"):
		return t
	case has("minor"):
		t.Line = major + "." + minor
	case has("major"):
		t.Line = major
	}
	t.Kind = Release
	return t
}

// pep440 reads a Python version: https://packaging.python.org/en/latest/specifications/version-specifiers/
func (r rule) pep440(e Event) (tag Tag, latest bool, reason string) {
	text, reason := r.versionText(e, isPython)
	if reason != "" {
		return Tag{}, false, reason
	}
	v, err := pep440.Parse(text)
	if err != nil {
		return Tag{}, false, fmt.Sprintf("%q is no Python version", text)
	}
	pattern := r.attrs["pattern"]
	tag = Tag{Name: v.String(), Kind: Version}
	if v.IsPreRelease() || v.IsPostRelease() { // a development release counts as one before
		if isRaw(pattern) {
			tag.Name = text
		}
		return tag, false, ""
	}
	release := v.BaseVersion()
	_, bare, epoch := strings.Cut(release, "!")
	if epoch {
		release = bare
	}
	numbers := append(strings.Split(release, "."), "0", "0")
	major, minor, patch := numbers[0], numbers[1], numbers[2]
	// What semver has no way to say goes by its commits: epochs, a fourth number, local versions.
	if final := parseVersion(major + "." + minor + "." + patch); final != nil && release == v.String() && len(numbers) <= 5 {
		tag.Release = full(final)
	}
	tag.Name = fillVersion(pattern, text, v.String(), major, minor, patch)
	return tag.along(pattern, major, minor), true, ""
}

// channel gives the channel of a prerelease. No other rule's tag moves to a prerelease, and this one's to nothing else.
func (r rule) channel(e Event) (tag Tag, latest bool, reason string) {
	text, v, reason := r.semanticVersion(e)
	if reason != "" {
		return Tag{}, false, reason
	}
	name := channelOf(v)
	if name == "" {
		return Tag{}, false, fmt.Sprintf("%q is of no prerelease channel", text)
	}
	return Tag{Name: name, Kind: Release, Release: full(v), Line: name}, false, ""
}

// channelOf is what a prerelease begins with, beta of 1.2.3-beta.1; empty where that is a number, or there is none.
func channelOf(v *semver.Version) string {
	first, _, _ := strings.Cut(v.Prerelease(), ".")
	if strings.Trim(first, "0123456789") == "" || first[0] == '-' {
		return ""
	}
	return first
}

// Follows reports whether a version belongs to the line that a Release tag follows.
func (t Tag) Follows(v *semver.Version) bool {
	if v.Prerelease() != "" {
		return t.Line != "" && t.Line == channelOf(v)
	}
	major := fmt.Sprint(v.Major())
	return t.Line == "" || t.Line == major || t.Line == major+"."+fmt.Sprint(v.Minor())
}
