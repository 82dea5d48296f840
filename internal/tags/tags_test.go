package tags

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sha = "0123456789abcdef0123456789abcdef01234567"

var (
	mainPush = Event{Name: "push", Ref: "refs/heads/main", SHA: sha, DefaultBranch: "main"}
	feature  = Event{Name: "push", Ref: "refs/heads/feat/ü x", SHA: sha, DefaultBranch: "main"}
	release  = Event{Name: "push", Ref: "refs/tags/v1.2.3", SHA: sha, DefaultBranch: "main"}
	preview  = Event{Name: "push", Ref: "refs/tags/v2.0.0-rc.1", SHA: sha, DefaultBranch: "main"}
	pull     = Event{Name: "pull_request", Ref: "refs/pull/7/merge", SHA: sha, DefaultBranch: "main"}
)

func TestRender(t *testing.T) {
	t.Parallel()
	all := "type=ref,event=branch\ntype=ref,event=pr\ntype=semver,pattern={{version}}\ntype=semver,pattern={{major}}.{{minor}}\ntype=sha"
	cases := []struct {
		name, rules string
		event       Event
		want        []string
		version     string
	}{
		{"a branch", all, mainPush, []string{"main", "sha-0123456"}, "main"},
		{"a branch's illegal characters", all, feature, []string{"feat-x", "sha-0123456"}, "feat-x"},
		{"a release moves its line and latest", all, release, []string{"1.2.3", "1.2", "sha-0123456", "latest"}, "1.2.3"},
		{"a prerelease moves nothing", all, preview, []string{"2.0.0-rc.1", "sha-0123456"}, "2.0.0-rc.1"},
		{"a pull request", all, pull, []string{"pr-7", "sha-0123456"}, "pr-7"},
		{"raw, enabled by expression", "type=raw,value=edge,enable={{is_default_branch}}", mainPush, []string{"edge"}, "edge"},
		{"raw, not enabled", "type=raw,value=edge,enable={{is_default_branch}}", feature, nil, ""},
		{"a bare word", "nightly", mainPush, []string{"nightly"}, "nightly"},
		{"an expression that is empty here", "type=sha,prefix={{branch}}-", release, []string{"0123456"}, "0123456"},
		{"the long sha", "type=sha,format=long,prefix=", mainPush, []string{sha}, sha},
		{"a tag with match", `type=semver,pattern={{version}},match=backend-(.*)`, Event{Ref: "refs/tags/backend-1.0.0", SHA: sha}, []string{"1.0.0", "latest"}, "1.0.0"},
		{"a tag that is no version", "type=semver,pattern={{version}}", Event{Ref: "refs/tags/nightly", SHA: sha}, nil, ""},
		{"a git tag carries latest", "type=ref,event=tag", release, []string{"v1.2.3", "latest"}, "v1.2.3"},
		{"a raw rule of higher priority turns latest off", "type=raw,value=x,priority=1000\ntype=semver,pattern={{version}}", release, []string{"x", "1.2.3"}, "x"},
		{"comments and blanks", "# no\n\n type=sha ", mainPush, []string{"sha-0123456"}, "sha-0123456"},
		{"the same tag twice", "latest\ntype=semver,pattern={{version}}", release, []string{"1.2.3", "latest"}, "1.2.3"},
		{"build metadata", "type=semver,pattern={{version}}\ntype=semver,pattern={{raw}}", Event{Ref: "refs/tags/v1.0.0+b1", SHA: sha}, []string{"1.0.0", "v1.0.0-b1", "latest"}, "1.0.0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rules, mistakes := Parse(c.rules)
			if mistakes != nil {
				t.Fatal(mistakes)
			}
			set := rules.Render(c.event)
			if diff := cmp.Diff(strings.Join(c.want, " "), strings.Join(set.Names(), " ")); diff != "" || set.Version != c.version {
				t.Errorf("version %q, want %q; tags (-want +got):\n%s silent: %q", set.Version, c.version, diff, set.Silent)
			}
			if len(set.Tags) < len(c.want) && len(set.Silent) == 0 {
				t.Error("a rule gave no tag and no reason")
			}
		})
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	rules, _ := Parse("type=ref,event=branch\ntype=ref,event=tag\ntype=semver,pattern={{version}}\ntype=semver,pattern={{major}}.{{minor}},prefix=api-\n" +
		"type=semver,pattern={{major}},suffix=-alpine\ntype=semver,pattern=stable\ntype=sha\nedge")
	want := map[string]Tag{
		"v1.2.3": {Kind: Version, Release: "1.2.3"}, "1.2.3": {Kind: Version, Release: "1.2.3"}, "sha-0123456": {Kind: Commit},
		"api-1.2": {Kind: Release, Release: "1.2.3", Line: "1.2"}, "1-alpine": {Kind: Release, Release: "1.2.3", Line: "1"},
		"stable": {Kind: Release, Release: "1.2.3"}, "latest": {Kind: Release, Release: "1.2.3"}, "edge": {Kind: Branch},
	}
	got := map[string]Tag{}
	for _, tag := range rules.Render(release).Tags {
		got[tag.Name] = Tag{Kind: tag.Kind, Release: tag.Release, Line: tag.Line}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// TestKindsOfOtherRules says how the tags of each further rule may move.
func TestKindsOfOtherRules(t *testing.T) {
	t.Parallel()
	nightly := Event{Name: "schedule", Ref: "refs/heads/main", SHA: sha, DefaultBranch: "main"}
	python := Event{Name: "push", Ref: "refs/tags/1.2.3", SHA: sha}
	odd := Event{Name: "push", Ref: "refs/tags/2024-spring", SHA: sha}
	cases := []struct {
		rule, flavor string
		event        Event
		want         Tag // the first one
	}{
		{"type=schedule", "", nightly, Tag{Name: "nightly", Kind: Branch}},
		{"type=edge", "", mainPush, Tag{Name: "edge", Kind: Branch}},
		{"type=match,pattern=.*", "", release, Tag{Name: "v1.2.3", Kind: Version, Release: "1.2.3"}},
		{"type=match,pattern=v(.*),group=1", "", release, Tag{Name: "1.2.3", Kind: Version, Release: "1.2.3"}},
		{"type=match,pattern=\\d.\\d", "", release, Tag{Name: "1.2", Kind: Release, Release: "1.2.3", Line: "1.2"}},
		{"type=match,pattern=v\\d", "", release, Tag{Name: "v1", Kind: Release, Release: "1.2.3", Line: "1"}},
		{"type=match,pattern=\\d+$", "", release, Tag{Name: "3", Kind: Release, Release: "1.2.3"}},
		{"type=match,pattern=\\d+", "", odd, Tag{Name: "2024", Kind: Release}},
		{"type=match,pattern=.*", "", odd, Tag{Name: "2024-spring", Kind: Version}},
		{"type=channel", "", preview, Tag{Name: "rc", Kind: Release, Release: "2.0.0-rc.1", Line: "rc"}},
		{"type=channel,value=1.0.0-beta+b7,prefix=p-", "", mainPush, Tag{Name: "p-beta", Kind: Release, Release: "1.0.0-beta", Line: "beta"}},
		{"type=pep440,pattern={{version}}", "", python, Tag{Name: "1.2.3", Kind: Version, Release: "1.2.3"}},
		{"type=pep440,pattern={{major}}.{{minor}}", "", python, Tag{Name: "1.2", Kind: Release, Release: "1.2.3", Line: "1.2"}},
		{"type=pep440,pattern={{major}}", "", Event{Ref: "refs/tags/1.2.3rc1", SHA: sha}, Tag{Name: "1.2.3rc1", Kind: Version}},
		{"type=pep440,pattern={{major}}", "", Event{Ref: "refs/tags/1.2.3.post1", SHA: sha}, Tag{Name: "1.2.3.post1", Kind: Version}},
		{"type=pep440,pattern={{major}}", "", Event{Ref: "refs/tags/7!1.2.3", SHA: sha}, Tag{Name: "1", Kind: Release, Line: "1"}},
	}
	for _, c := range cases {
		rules, mistakes := Parse(c.rule)
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		got := rules.Render(c.event).Tags[0]
		if got.Rule = ""; got != c.want {
			t.Errorf("%s on %s gives %+v, want %+v", c.rule, c.event.Ref, got, c.want)
		}
	}
	rules, _ := Parse("type=ref,event=branch")
	rules.Flavor.Latest = "true"
	if got := rules.Render(mainPush).Tags[1]; got.Name != "latest" || got.Kind != Branch {
		t.Errorf("latest that the flavor demands of a branch is %+v", got)
	}
	set := rules.Render(mainPush)
	if set.Ask("main"); len(set.Tags) != 2 || set.Version != "main" || set.Tags[1].Kind != Version {
		t.Errorf("a tag that is asked for by the name of another: %+v", set)
	}
}

// TestRepaired tells the user which rule to mend.
func TestRepaired(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 130)
	cases := []struct{ rule, flavor, want, was, silent string }{
		{"type=sha,prefix={{branch}}-", "", "0123456", "-0123456", ""},
		{"type=sha,prefix={{tag}}-", "", "v1.2.3-0123456", "", ""},
		{"type=raw,value=é x", "", "x", "-x", ""},
		{long, "", long[:119] + "-3afbb132", long, ""},
		{long[:128], "", long[:128], "", ""},
		{"--", "", "", "", `--: of "--" nothing is left that a tag may begin with`},
		{"type=raw,value={{branch}}", "", "", "", "type=raw,value={{branch}}: it is empty here"},
		{"type=semver,pattern={{version}},prefix=x", "prefix=.,onlatest=true", "latest", ".latest", ""}, // the last one
	}
	for _, c := range cases {
		rules, mistakes := Parse(c.rule)
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		rules.Flavor, _ = ParseFlavor(c.flavor)
		set := rules.Render(release)
		var last Tag
		if len(set.Tags) > 0 {
			last = set.Tags[len(set.Tags)-1]
		}
		if last.Name != c.want || last.Repaired != c.was || strings.Join(set.Silent, "; ") != c.silent {
			t.Errorf("%s gives %q of %q, silent %q", c.rule, last.Name, last.Repaired, set.Silent)
		}
	}
	for _, rule := range []string{"type=semver,pattern={{version}}", "type=ref,event=branch", "type=edge"} {
		rules, _ := Parse(rule)
		if set := rules.Render(Event{Name: "local", SHA: release.SHA}); len(set.Silent) != 1 || set.Silent[0] != rule+": there is no ref" {
			t.Errorf("without a ref %s is silent with %q", rule, set.Silent)
		}
	}
	one, other := repaired(long+"a"), repaired(long+"b")
	if one == other || one != repaired(long+"a") {
		t.Errorf("two long names give %q and %q", one, other)
	}
}

func TestPublished(t *testing.T) {
	t.Parallel()
	cases := []struct {
		rule, tag, want string // of the service backend; empty: none
	}{
		{"type=semver,pattern={{version}}", "1.2.3", "1.2.3"},
		{"type=semver,pattern={{version}}", "v1.2.3", ""},
		{"type=semver,pattern={{version}}", "1.2.3-rc.1", "1.2.3-rc.1"},
		{"type=semver,pattern={{version}}", "v1.2.3-rc.1", ""},
		{"type=semver,pattern={{version}}", "1.2.3-01", ""},
		{"type=semver,pattern={{raw}}", "v1.2.3-rc.1", "1.2.3-rc.1"},
		{"type=semver,pattern={{major}}", "1.2.3-rc.1", "1.2.3-rc.1"}, // which is all that a prerelease gives
		{"type=semver,pattern=v{{major}}", "1.2.3-rc.1", "1.2.3-rc.1"},
		{"type=ref,event=tag", "backend-v1.2.3-rc.1", "1.2.3-rc.1"},
		{"type=semver,pattern={{version}},suffix=-alpine", "1.2.3-rc.1-alpine", "1.2.3-rc.1"},
		{"type=semver,pattern={{version}}\ntype=semver,pattern={{version}},suffix=-alpine", "1.2.3-rc.1-alpine", "1.2.3-rc.1"},
		{"type=semver,pattern={{version}}\ntype=semver,pattern={{version}},suffix=-alpine", "1.2.3-alpine", "1.2.3"},
		{"type=semver,pattern={{version}},prefix={{branch}}-", "1.2.3-rc.1", "1.2.3-rc.1"},
		{"type=pep440,pattern={{version}}", "1.2.3-rc.1", ""},
		{"type=channel", "beta", ""},
		{"type=semver,pattern={{version}}", "main", ""},
		{"type=semver,pattern=v{{version}}", "v1.2.3", "1.2.3"},
		{"type=semver,pattern={{raw}}", "v1.2.3", "1.2.3"},
		{"type=ref,event=tag", "v1.2.3", "1.2.3"},
		{"type=ref,event=tag", "1.2.3", "1.2.3"},
		{"type=ref,event=tag", "backend-v1.2.3", "1.2.3"},
		{"type=ref,event=tag", "backend-1.2.3", "1.2.3"},
		{"type=ref,event=tag", "web-v1.2.3", ""},
		{"type=ref,event=tag,prefix=p-", "p-backend-v1.2.3", "1.2.3"},
		{"type=match,pattern=.*", "backend-v1.2.3", "1.2.3"},
		{"type=semver,pattern={{raw}}", "backend-v1.2.3", ""},
		{"type=ref,event=branch", "1.2.3", ""},
		{"type=semver,pattern={{version}},prefix=api-", "api-1.2.3", "1.2.3"},
		{"type=semver,pattern={{version}},prefix=api-", "web-1.2.3", ""},
		{"type=semver,pattern={{version}},suffix=-alpine", "1.2.3-alpine", "1.2.3"},
		{"type=semver,pattern={{version}},prefix={{branch}}-", "x-1.2.3", "1.2.3"},
		{"type=semver,pattern={{major}}.{{minor}}", "1.3", "1.3.0"},
		{"type=semver,pattern={{major}}.{{minor}}", "2024.01", ""},
		{"type=semver,pattern={{major}}.{{minor}}.{{patch}}", "1.3.2", "1.3.2"},
		{"type=semver,pattern={{major}}", "20240501", ""},
		{"type=semver,pattern=a.b{{version}}", "axb1.2.3", ""},
		{"type=semver,pattern={{minor}}", "2", ""},
		{"type=match,pattern=v(.*),group=1", "1.2.3", "1.2.3"},
		{"type=match,pattern=v(.*),group=1,prefix=api-", "1.2.3", ""},
		// What was repaired is found again by its rule.
		{"type=semver,pattern={{version}},prefix={{branch}}-", "1.2.3", "1.2.3"},
		{"type=semver,pattern={{version}},prefix={{branch}}-x-", "x-1.2.3", "1.2.3"},
		{"type=semver,pattern={{version}},prefix={{branch}}-x-", "1.2.3", ""},
		{"type=semver,pattern=.{{major}}.{{minor}}", "1.2", "1.2.0"},
		{"type=semver,pattern={{version}},prefix=-{{branch}}-", "main-1.2.3", "1.2.3"},
	}
	for _, c := range cases {
		rules, mistakes := Parse(c.rule)
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		got := ""
		if v := rules.Published("backend")(c.tag); v != nil {
			got = v.String()
		}
		if got != c.want {
			t.Errorf("by %s the tag %s stands for %q, want %q", c.rule, c.tag, got, c.want)
		}
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	services := []string{"web", "web.api", "backend", "1.0.0", "web/v1"}
	for ref, want := range map[string][2]string{
		"refs/tags/backend/v1.2.3":      {"backend", "v1.2.3"},
		"refs/tags/backend/1.2.3":       {"backend", "1.2.3"},
		"refs/tags/backend@1.2.3":       {"backend", "1.2.3"},
		"refs/tags/backend@v1.2.3-rc.1": {"backend", "v1.2.3-rc.1"},
		"refs/tags/backend/v1.2.3+b1":   {"backend", "v1.2.3+b1"},
		"refs/tags/backend@1.2rc1":      {"backend", "1.2rc1"}, // Python's
		"refs/tags/web/v1":              {"web", "v1"},
		"refs/tags/web/v1/2.0.0":        {"web/v1", "2.0.0"}, // the longest name
		"refs/tags/web.api/1.0.0":       {"web.api", "1.0.0"},
		"refs/tags/1.0.0/2.0.0":         {"1.0.0", "2.0.0"},
		"refs/tags/backend/nightly":     {},
		"refs/tags/backend/":            {},
		"refs/tags/backend":             {},
		"refs/tags/backend-v1.2.3":      {},
		"refs/tags/backend/v1/2":        {},
		"refs/tags/backends/v1.2.3":     {},
		"refs/tags/Backend/v1.2.3":      {},
		"refs/tags/a/backend/v1.2.3":    {},
		"refs/tags/other/v1.2.3":        {},
		"refs/tags/v1.2.3":              {},
		"refs/heads/backend/v1.2.3":     {},
		"":                              {},
	} {
		if service, version := Releases(ref, services); [2]string{service, version} != want {
			t.Errorf("%s releases %q as %q, want %q", ref, service, version, want)
		}
	}
	if service, _ := Releases("refs/tags//v1.2.3", []string{""}); service != "" {
		t.Errorf("a service without a name is released")
	}
}

// TestKindsOfAServicesRelease: what a service's own git tag gives follows its versions.
func TestKindsOfAServicesRelease(t *testing.T) {
	t.Parallel()
	rules, _ := Parse("type=semver,pattern={{version}}\ntype=semver,pattern={{major}}\ntype=ref,event=tag\ntype=match,pattern=v(.*),group=1,suffix=-m\ntype=match,pattern=\\d+,suffix=-n")
	set := rules.Render(Event{Name: "push", Ref: "refs/tags/backend/v1.2.3", SHA: sha, Released: "v1.2.3"})
	want := map[string]Tag{
		"1.2.3": {Kind: Version, Release: "1.2.3"}, "1": {Kind: Release, Release: "1.2.3", Line: "1"}, "backend-v1.2.3": {Kind: Version, Release: "1.2.3"},
		"1.2.3-m": {Kind: Version, Release: "1.2.3"}, "1-n": {Kind: Release, Release: "1.2.3", Line: "1"}, "latest": {Kind: Release, Release: "1.2.3"},
	}
	got := map[string]Tag{}
	for _, tag := range set.Tags {
		got[tag.Name] = Tag{Kind: tag.Kind, Release: tag.Release, Line: tag.Line}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	// A value is no git tag, whatever it looks like.
	rules, _ = Parse("type=ref,event=tag\ntype=semver,pattern={{version}},value=backend/v1.2.3\ntype=semver,pattern={{version}},match=web/(.*)")
	set = rules.Render(Event{Name: "push", Ref: "refs/tags/backend/v1.2.3", SHA: sha, Released: "v1.2.3"})
	if got := strings.Join(set.Names(), " "); got != "backend-v1.2.3 latest" {
		t.Errorf("tags %s; silent %q", got, set.Silent)
	}
}

func TestParseReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, mistakes := Parse("type=nope\ntype=ref\ntype=ref,event=x\ntype=sha,format=tiny\ntype=semver,pattern={{version}},match=v.*\ntype=raw,value=a,colour=red\ntype=sha\ntype=channel,pattern={{version}}\ntype=channel,match=v.*")
	if len(mistakes) != 8 {
		t.Errorf("got %d mistakes, want 8: %v", len(mistakes), mistakes)
	}
}

func FuzzRender(f *testing.F) {
	f.Add("type=ref,event=branch\ntype=sha", "", "push", "refs/heads/main")
	f.Add("type=semver,pattern={{major}}", "suffix=-x,onlatest=true", "push", "refs/tags/v1.2.3")
	f.Add("type=schedule,pattern={{date 'YYYY' tz='Asia/Tokyo'}}\ntype=pep440,pattern={{version}}", "latest=true", "schedule", "refs/tags/1.2rc1")
	f.Add("type=match,pattern=/v(.*)/i,group=1\ntype=edge\nfoo", "prefix={{sha}}", "push", "refs/tags/v1")
	f.Fuzz(func(t *testing.T, text, flavor, name, ref string) {
		rules, _ := Parse(text)
		rules.Flavor, _ = ParseFlavor(flavor)
		e := Event{Name: name, Ref: ref, SHA: sha, DefaultBranch: "main"}
		set := rules.Render(e)
		checkSet(t, rules, e, set)
		for _, tag := range set.Tags {
			if tag.Kind == Version && tag.Line != "" {
				t.Errorf("%q from %q on %q never moves, and follows a line", tag.Name, text, ref)
			}
		}
		rules.Published("backend")(ref)
		if again := rules.Render(e); fmt.Sprint(again) != fmt.Sprint(set) {
			t.Error("rendering twice differs")
		}
	})
}
