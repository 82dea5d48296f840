package insight

import (
	"encoding/json"

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

// Worth returns, by service and tier, what reading and writing layers took lately, and what building them anew would have taken: as
// long as the same instructions took when they were built. Entries come newest first.
func Worth(entries []memory.Entry) map[string]map[string]cache.Worth {
	worth := map[string]map[string]cache.Worth{}
	for name, builds := range cachedBuilds(entries) {
		took := builtAnew(builds)
		spent, saved := map[string][]float64{}, map[string][]float64{}
		for _, b := range builds {
			for _, gave := range b.Tiers {
				counts := b.Writes == gave.Tier || gave.Hits > 0 // looking in vain into one that nothing is kept in proves nothing
				if counts && len(spent[gave.Tier]) < lately {
					spent[gave.Tier] = append(spent[gave.Tier], gave.Seconds)
					saved[gave.Tier] = append(saved[gave.Tier], b.saved(gave, took))
				}
			}
		}
		worth[name] = map[string]cache.Worth{}
		for tier := range spent {
			worth[name][tier] = cache.Worth{Builds: len(spent[tier]), Spent: median(spent[tier]), Saved: median(saved[tier])}
		}
	}
	return worth
}

func cachedBuilds(entries []memory.Entry) map[string][]cached {
	builds := map[string][]cached{}
	for _, e := range entries {
		var b cached
		if json.Unmarshal(e.Value, &b) == nil && b.Service != "" { // what somebody else wrote is no build of ours
			builds[b.Service] = append(builds[b.Service], b)
		}
	}
	return builds
}

// builtAnew is how long each instruction took when it was built.
func builtAnew(builds []cached) map[string]float64 {
	all := map[string][]float64{}
	for _, b := range builds {
		for _, step := range b.Steps {
			if !step.Cached {
				all[step.Name] = append(all[step.Name], step.Seconds)
			}
		}
	}
	took := map[string]float64{}
	for name, seconds := range all {
		took[name] = median(seconds)
	}
	return took
}

// saved is how long the instructions would have taken whose layers a tier had: its share of all that were not built.
func (b cached) saved(gave cache.Gave, took map[string]float64) float64 {
	hits, seconds := 0, 0.0
	for _, step := range b.Steps {
		if step.Cached {
			hits++
			seconds += took[step.Name]
		}
	}
	if hits == 0 {
		return 0
	}
	return seconds * min(1, float64(gave.Hits)/float64(hits))
}
