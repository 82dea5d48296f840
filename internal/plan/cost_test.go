package plan

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/learn"
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
	costs := map[string]learn.Cost{amd: {Native: 40}, arm: {Native: 45, Emulated: 210}}
	for name, c := range map[string]struct {
		config service.Config
		costs  map[string]learn.Cost
		native string
		want   []Choice
	}{
		"nothing is known":        {both, nil, amd, []Choice{{Platform: amd}, {Platform: arm, Emulated: true}}},
		"in one job":              {both, costs, amd, []Choice{{amd, "", false, 40, 0}, {arm, "", true, 210, 45}}},
		"on another machine":      {both, costs, arm, []Choice{{amd, "", true, 0, 40}, {arm, "", false, 45, 210}}},
		"on runners":              {split, costs, amd, []Choice{{amd, "ubuntu-latest", false, 40, 0}, {arm, "ubuntu-24.04-arm", false, 45, 210}}},
		"without a runner":        {bare, costs, arm, []Choice{{amd, "ubuntu-latest", false, 40, 0}, {arm, "ubuntu-latest", true, 210, 45}}},
		"builders":                {builders, costs, amd, []Choice{{amd, "", false, 40, 0}, {arm, "", false, 45, 210}}},
		"a builder":               {own, map[string]learn.Cost{arm: {Native: 45}}, amd, []Choice{{Platform: amd}, {arm, "", false, 45, 0}}},
		"a builder that emulates": {own, map[string]learn.Cost{arm: {Emulated: 210}}, amd, []Choice{{Platform: amd}, {arm, "", true, 210, 0}}},
	} {
		p := Planner{Config: c.config, Native: c.native, Costs: map[string]map[string]learn.Cost{"api": c.costs}}
		api := Service{Name: "api", Action: Build, Platforms: []string{amd, arm}}
		if diff := gocmp.Diff(c.want, p.choices(api, p.matrix([]Service{api}).Include)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestChoicesAreThoseOfTheRows holds that the plan tells of the machine that the matrix names.
func TestChoicesAreThoseOfTheRows(t *testing.T) {
	t.Parallel()
	const amd, arm = "linux/amd64", "linux/arm64"
	api, alone := Service{Name: "api", Action: Build, Platforms: []string{amd, arm}}, Service{Name: "api", Action: Build, Platforms: []string{arm}}
	web := Service{Name: "web", Action: Build, Platforms: []string{amd}, Bases: []BaseImage{{Service: "api"}}}
	runners := map[string]string{arm: "ubuntu-24.04-arm"}
	one := map[string]string{amd: "big", arm: "big"}
	for name, c := range map[string]struct {
		config service.Settings
		work   []Service
		want   []Choice
	}{
		"a platform alone":           {service.Settings{Split: "service", Runners: runners}, []Service{alone}, []Choice{{Platform: arm, Runner: "ubuntu-24.04-arm"}}},
		"a platform alone, split":    {service.Settings{Split: "platform", Runners: runners}, []Service{alone}, []Choice{{Platform: arm, Runner: "ubuntu-24.04-arm"}}},
		"in one job":                 {service.Settings{Mode: "all", Split: "platform", Runners: runners}, []Service{api}, []Choice{{Platform: amd}, {Platform: arm, Emulated: true}}},
		"a row that cannot be split": {service.Settings{Split: "platform", Runners: runners}, []Service{api, web}, []Choice{{Platform: amd, Runner: "ubuntu-latest"}, {Platform: arm, Runner: "ubuntu-latest", Emulated: true}}},
		"one machine for both":       {service.Settings{Split: "service", Runners: one}, []Service{api}, []Choice{{Platform: amd, Runner: "big"}, {Platform: arm, Runner: "big", Emulated: true}}},
	} {
		p := Planner{Config: service.Config{Settings: c.config}, Native: amd}
		if diff := gocmp.Diff(c.want, p.choices(c.work[0], p.matrix(c.work).Include)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
