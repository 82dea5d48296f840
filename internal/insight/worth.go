package insight

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/memory"
)

// A cached build is an entry of namespace cache, as far as it is read back.
type cached struct {
	Service string       `json:"service"`
	Steps   []Step       `json:"steps"`
	Writes  string       `json:"writes"`
	Tiers   []cache.Gave `json:"tiers"`

	HitRate   float64  `json:"hitRate"`
	FirstMiss *Miss    `json:"firstMiss"`
	Advice    []Advice `json:"advice"`
}

// readCached reads an entry back; what somebody else wrote is no build of ours.
func readCached(e memory.Entry) (b cached, ok bool) {
	return b, json.Unmarshal(e.Value, &b) == nil && b.Service != "" && b.plausible()
}

func (b cached) plausible() bool {
	return within(b.HitRate, 1) && !slices.ContainsFunc(b.Steps, func(s Step) bool { return !within(s.Seconds, mostSeconds) }) &&
		!slices.ContainsFunc(b.Tiers, func(gave cache.Gave) bool { return !within(gave.Seconds, mostSeconds) })
}

// looked is at how many builds of a service Worth looks. Where a tier is not written to any more nothing new is learnt of it, so what was known is forgotten
// after as many, and it is tried again.
const looked = 12

// Worth returns, by service and tier, what reading and writing layers took lately, and what building them anew would have taken: as
// long as the same instructions took when they were built. Entries come newest first.
func Worth(entries []memory.Entry) map[string]map[string]cache.Worth {
	worth := map[string]map[string]cache.Worth{}
	for name, builds := range cachedBuilds(entries) {
		took, sums := builtAnew(builds), map[string]cache.Worth{}
		for i, b := range builds[:min(looked, len(builds))] {
			for _, gave := range b.Tiers {
				if saved, known := b.saved(gave, took, hadLayers(builds[i+1:], gave.Tier)); known {
					sum := sums[gave.Tier]
					sums[gave.Tier] = cache.Worth{Builds: sum.Builds + 1, Spent: sum.Spent + gave.Seconds, Saved: sum.Saved + saved}
				}
			}
		}
		for tier, sum := range sums {
			n := float64(sum.Builds)
			sums[tier] = cache.Worth{Builds: sum.Builds, Spent: sum.Spent / n, Saved: sum.Saved / n}
		}
		worth[name] = sums
	}
	return worth
}

func cachedBuilds(entries []memory.Entry) map[string][]cached {
	builds := map[string][]cached{}
	for _, e := range entries {
		if b, ok := readCached(e); ok {
			builds[b.Service] = append(builds[b.Service], b)
		}
	}
	return builds
}

// builtAnew is how long each instruction took when it was built. One that the builder did for several services at once has the place that it has in one of
// them, so places do not count.
func builtAnew(builds []cached) map[string]float64 {
	all := map[string][]float64{}
	for _, b := range builds {
		for _, step := range b.Steps {
			if !step.Cached {
				all[step.instruction()] = append(all[step.instruction()], step.Seconds)
			}
		}
	}
	took := map[string]float64{}
	for name, seconds := range all {
		took[name] = Median(seconds)
	}
	return took
}

// instruction is what a step does, and for which platform.
func (s Step) instruction() string {
	_, text, _ := strings.Cut(s.Name, "] ")
	return s.Platform + " " + text
}

// hadLayers reports whether one of these builds, which came before another, has written layers to a tier.
func hadLayers(earlier []cached, tier string) bool {
	return slices.ContainsFunc(earlier, func(b cached) bool {
		return slices.ContainsFunc(b.Tiers, func(gave cache.Gave) bool { return gave.Tier == tier && gave.Written > 0 })
	})
}

// saved is how long the instructions would have taken whose layers a tier had: its share of all that were not built. Nothing is known of a build for which the
// tier can have had nothing, or of instructions that nobody remembers to have been built. One for which it had layers, and none that was of use, saved nothing.
func (b cached) saved(gave cache.Gave, took map[string]float64, had bool) (seconds float64, known bool) {
	hits := 0
	for _, step := range b.Steps {
		if !step.Cached {
			continue
		}
		anew, remembered := took[step.instruction()]
		if !remembered && gave.Hits > 0 {
			return 0, false
		}
		hits, seconds = hits+1, seconds+anew
	}
	if hits == 0 && !had || b.Writes != gave.Tier && gave.Hits == 0 {
		return 0, false // all was new; or it was looked into in vain, since nothing is kept in it
	}
	if hits == 0 {
		return 0, true
	}
	return seconds * min(1, float64(gave.Hits)/float64(hits)), true
}
