package plan

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

func TestRunsOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		machine, platform string
		want              bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/amd64", "linux/amd64/v3", true},
		{"linux/amd64", "linux/386", true},
		{"linux/amd64", "linux/arm64", false},
		{"linux/amd64", "windows/amd64", false},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm64", "linux/arm/v7", false},
		{"linux/arm64/v8", "linux/arm64", true},
		{"", "linux/amd64", false},
		{"linux/amd64", "linux", false},
	} {
		if got := RunsOn(c.machine, c.platform); got != c.want {
			t.Errorf("RunsOn(%q, %q) = %v", c.machine, c.platform, got)
		}
	}
}

func TestChoices(t *testing.T) {
	t.Parallel()
	const amd, arm = "linux/amd64", "linux/arm64"
	var both, builders, own, bare service.Config
	both.Runners = map[string]string{arm: "ubuntu-24.04-arm"}
	split := both
	split.Split, bare.Split = "platform", "platform"
	builders.Builders, own.Builder = []service.Builder{{}}, "own"
	costs := map[string]Cost{amd: {Native: 40}, arm: {Native: 45, Emulated: 210}}
	for name, c := range map[string]struct {
		config service.Config
		costs  map[string]Cost
		native string
		want   []Choice
	}{
		"nothing is known":        {both, nil, amd, []Choice{{Platform: amd}, {Platform: arm, Emulated: true}}},
		"in one job":              {both, costs, amd, []Choice{{amd, "", false, 40, 0}, {arm, "", true, 210, 45}}},
		"on another machine":      {both, costs, arm, []Choice{{amd, "", true, 0, 40}, {arm, "", false, 45, 210}}},
		"on runners":              {split, costs, amd, []Choice{{amd, "ubuntu-latest", false, 40, 0}, {arm, "ubuntu-24.04-arm", false, 45, 210}}},
		"without a runner":        {bare, costs, arm, []Choice{{amd, "ubuntu-latest", false, 40, 0}, {arm, "ubuntu-latest", true, 210, 45}}},
		"builders":                {builders, costs, amd, []Choice{{amd, "", false, 40, 0}, {arm, "", false, 45, 210}}},
		"a builder":               {own, map[string]Cost{arm: {Native: 45}}, amd, []Choice{{Platform: amd}, {arm, "", false, 45, 0}}},
		"a builder that emulates": {own, map[string]Cost{arm: {Emulated: 210}}, amd, []Choice{{Platform: amd}, {arm, "", true, 210, 0}}},
	} {
		p := Planner{Config: c.config, Native: c.native, Costs: map[string]map[string]Cost{"api": c.costs}}
		if diff := gocmp.Diff(c.want, p.choices(Service{Name: "api", Platforms: []string{amd, arm}})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// Of one platform there is nothing to split.
	if got := (Planner{Config: split, Native: amd}).choices(Service{Platforms: []string{arm}}); !got[0].Emulated || got[0].Runner != "" {
		t.Errorf("one platform: %+v", got)
	}
}
