package action

import (
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
	if _, ok := (job{Event: actions.Event{Ref: "refs/tags/nightly"}}).wantedRelease([]plan.Service{version("a", "")}); ok {
		t.Error("nightly is a release")
	}
}
