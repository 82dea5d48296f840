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
		{"an expression that is empty here", "type=sha,prefix={{branch}}-", release, nil, ""},
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
	rules, _ := Parse("type=ref,event=branch\ntype=semver,pattern={{version}}\ntype=semver,pattern={{major}}\ntype=sha")
	want := map[string]Kind{"1.2.3": Fixed, "1": Release, "latest": Release, "sha-0123456": Fixed}
	for _, tag := range rules.Render(release).Tags {
		if tag.Kind != want[tag.Name] {
			t.Errorf("%s has kind %d, want %d", tag.Name, tag.Kind, want[tag.Name])
		}
	}
}

func TestParseReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, mistakes := Parse("type=nope\ntype=ref\ntype=ref,event=x\ntype=sha,format=tiny\ntype=semver,pattern={{version}},match=v.*\ntype=raw,value=a,colour=red\ntype=sha")
	if len(mistakes) != 6 {
		t.Errorf("got %d mistakes, want 6: %v", len(mistakes), mistakes)
	}
}

func FuzzRender(f *testing.F) {
	f.Add("type=ref,event=branch\ntype=sha", "refs/heads/main")
	f.Add("type=semver,pattern={{major}}", "refs/tags/v1.2.3")
	f.Fuzz(func(t *testing.T, text, ref string) {
		rules, _ := Parse(text)
		set := rules.Render(Event{Name: "push", Ref: ref, SHA: sha, DefaultBranch: "main"})
		seen := map[string]bool{}
		for _, tag := range set.Tags {
			if !Valid(tag.Name) || seen[tag.Name] {
				t.Errorf("%q from %q on %q: invalid or twice", tag.Name, text, ref)
			}
			seen[tag.Name] = true
		}
		if again := rules.Render(Event{Name: "push", Ref: ref, SHA: sha, DefaultBranch: "main"}); fmt.Sprint(again) != fmt.Sprint(set) {
			t.Error("rendering twice differs")
		}
	})
}
