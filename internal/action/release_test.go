package action

import (
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

// TestWantedRelease tells releases of one service from those of all, however many there are.
func TestWantedRelease(t *testing.T) {
	t.Parallel()
	version := func(name, release string) plan.Service {
		r := plan.Service{Name: name}
		if release != "" {
			r.TagSet.Tags = []tags.Tag{{Name: release, Kind: tags.Version, Release: release}}
		}
		return r
	}
	for name, c := range map[string]struct {
		tag      string
		services []string
		planned  []plan.Service
		want     [3]string // service, prefix, version
	}{
		"all":                      {"v1.2.3", []string{"a", "b"}, []plan.Service{version("a", "1.2.3"), version("b", "1.2.3")}, [3]string{"", "v", "1.2.3"}},
		"one of several":           {"a/v1.2.3", []string{"a", "b"}, []plan.Service{version("a", "1.2.3"), version("b", "")}, [3]string{"a", "a/v", "1.2.3"}},
		"one of several, narrowed": {"a/v1.2.3", []string{"a", "b"}, []plan.Service{version("a", "1.2.3")}, [3]string{"a", "a/v", "1.2.3"}},
		"the only one":             {"a@1.2.3", []string{"a"}, []plan.Service{version("a", "1.2.3")}, [3]string{"a", "a@", "1.2.3"}},
		"all of which one has versions": {"v1.2.3", []string{"a", "b"}, []plan.Service{version("a", "1.2.3"), version("b", "")},
			[3]string{"", "v", "1.2.3"}},
	} {
		j := job{Event: actions.Event{Ref: "refs/tags/" + c.tag}}
		for _, name := range c.services {
			j.Config.Services = append(j.Config.Services, service.Service{Name: name})
		}
		want, ok := j.wantedRelease(c.planned)
		if !ok {
			t.Errorf("%s: there is no release of %s", name, c.tag)
			continue
		}
		if got := [3]string{want.Service, want.Prefix, want.Version.String()}; got != c.want {
			t.Errorf("%s: %s is %q, want %q", name, c.tag, got, c.want)
		}
	}
	// A run that was started by hand says which git tag it is.
	j := job{Event: actions.Event{Ref: "refs/heads/main"}}
	j.Config.ReleaseTag, j.Config.Tag, j.Config.Services = "a/v1.2.3", "1.2.3", []service.Service{{Name: "a"}, {Name: "b"}}
	asked := version("a", "9.9.9")
	asked.TagSet.Ask("1.2.3")
	if want, ok := j.wantedRelease([]plan.Service{asked}); !ok || want.Tag != "a/v1.2.3" || want.Service != "a" || want.Prefix != "a/v" || want.Version.String() != "1.2.3" {
		t.Errorf("it is %+v, %v", want, ok)
	}
	if _, ok := (job{Event: actions.Event{Ref: "refs/tags/nightly"}}).wantedRelease([]plan.Service{version("a", "")}); ok {
		t.Error("nightly is a release")
	}
}

func TestReleaseTag(t *testing.T) {
	t.Parallel()
	for at, c := range map[string]struct{ tag, want string }{
		"":              {"", ""},
		"v1.2.3":        {"1.2.3", ""},
		"api@1.2.3-rc1": {"1.2.3-rc1", ""},
		"v2.0.0":        {"v2.0.0", ""},
		"v1.2.4":        {"1.2.3", "does not end in a version"},
		"v1.2":          {"1.2", "does not end in a version"},
		"v1.2.5":        {"", "does not end in a version"},
		"-v1.2.3":       {"1.2.3", "is no name of a git tag"},
		"v 1.2.3":       {"1.2.3", "is no name of a git tag"},
	} {
		var problems service.Problems
		j := job{}
		j.Config.ReleaseTag, j.Config.Tag = at, c.tag
		j.checkReleaseTag(&problems)
		if got := problems.Err(); (got == nil) != (c.want == "") || got != nil && !strings.Contains(got.Error(), c.want) {
			t.Errorf("%q with %q: %v, want %q", at, c.tag, got, c.want)
		}
	}
}
