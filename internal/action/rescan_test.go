package action

import (
	"slices"
	"testing"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/service"
)

// TestGoneLive finds what is live no longer, and says nothing of what was not looked at.
func TestGoneLive(t *testing.T) {
	t.Parallel()
	before := map[string]insight.Live{"api": {Images: 2}, "web": {Findings: []string{"CVE-1 in a (HIGH)"}}, "renamed": {Images: 1}, "gone before": {}}
	live := []plan.Service{{Name: "api"}}
	for name, c := range map[string]struct {
		only []string
		want []string
	}{
		"of all":                    {nil, []string{"renamed", "web"}},
		"of one":                    {[]string{"web"}, []string{"web"}},
		"of one that is live still": {[]string{"api"}, nil},
	} {
		j := job{Config: service.Config{Settings: service.Settings{Only: c.only}, Services: []service.Service{{Name: "api"}, {Name: "web"}, {Name: "new"}}}}
		var got []string
		for _, l := range j.goneLive(live, before) {
			got = append(got, l.Service)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
