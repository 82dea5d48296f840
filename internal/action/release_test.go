package action

import (
	"testing"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

// TestWantedRelease tells releases of one service from those of all, however many there are.
func TestWantedRelease(t *testing.T) {
	t.Parallel()
	version := func(name, release string) publish.Result {
		r := publish.Result{Plan: plan.Service{Name: name}}
		if release != "" {
			r.Plan.TagSet.Tags = []tags.Tag{{Name: release, Kind: tags.Version, Release: release}}
		}
		return r
	}
	for name, c := range map[string]struct {
		tag      string
		services []string
		results  []publish.Result
		want     [3]string // service, prefix, version
	}{
		"all":                      {"v1.2.3", []string{"a", "b"}, []publish.Result{version("a", "1.2.3"), version("b", "1.2.3")}, [3]string{"", "v", "1.2.3"}},
		"one of several":           {"a/v1.2.3", []string{"a", "b"}, []publish.Result{version("a", "1.2.3"), version("b", "")}, [3]string{"a", "a/v", "1.2.3"}},
		"one of several, narrowed": {"a/v1.2.3", []string{"a", "b"}, []publish.Result{version("a", "1.2.3")}, [3]string{"a", "a/v", "1.2.3"}},
		"the only one":             {"a@1.2.3", []string{"a"}, []publish.Result{version("a", "1.2.3")}, [3]string{"a", "a@", "1.2.3"}},
		"all of which one has versions": {"v1.2.3", []string{"a", "b"}, []publish.Result{version("a", "1.2.3"), version("b", "")},
			[3]string{"", "v", "1.2.3"}},
	} {
		s := &session{job: job{Event: actions.Event{Ref: "refs/tags/" + c.tag}}}
		for _, name := range c.services {
			s.job.Config.Services = append(s.job.Config.Services, service.Service{Name: name})
		}
		want, ok := s.wantedRelease(c.tag, c.results)
		if !ok {
			t.Errorf("%s: there is no release of %s", name, c.tag)
			continue
		}
		if got := [3]string{want.Service, want.Prefix, want.Version.String()}; got != c.want {
			t.Errorf("%s: %s is %q, want %q", name, c.tag, got, c.want)
		}
	}
	if _, ok := (&session{job: job{Event: actions.Event{Ref: "refs/tags/nightly"}}}).wantedRelease("nightly", []publish.Result{version("a", "")}); ok {
		t.Error("nightly is a release")
	}
}
