package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/service"
)

// mostSteps is how many instructions are told of each service.
const mostSteps = 12

// worthSeconds is what an instruction or an advice must cost of a build to be worth mending.
const worthSeconds = 1

// A tally counts what became of one instruction.
type tally struct {
	Step
	hits int
	took []float64 // where it was worked on
}

// steps tell what became of a service's instructions, by what is remembered of its builds, the oldest first.
func steps(pasts []insight.Past) []Step {
	all := map[[2]string]*tally{}
	for _, p := range pasts {
		if p.Cache == nil {
			continue
		}
		for key, s := range alike(p.Cache.Steps) {
			if all[key] == nil {
				all[key] = &tally{Step: Step{Text: s.Text(), Platform: s.Platform}}
			}
			all[key].add(s)
		}
	}
	told := make([]Step, 0, len(all))
	for _, t := range all {
		told = append(told, t.sum())
	}
	slices.SortFunc(told, func(a, b Step) int {
		return cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Platform, b.Platform))
	})
	return told[:min(len(told), mostSteps)]
}

// alike sums up the steps of one build that do the same for the same platform, such as those of two stages.
func alike(steps []insight.Step) map[[2]string]insight.Step {
	all := map[[2]string]insight.Step{}
	for _, s := range steps {
		key := [2]string{s.Platform, s.Text()}
		if same, there := all[key]; there {
			s.Line, s.Seconds, s.Cached = same.Line, s.Seconds+same.Seconds, s.Cached && same.Cached
		}
		all[key] = s
	}
	return all
}

func (t *tally) add(s insight.Step) {
	t.Builds++
	t.Line = s.Line
	if s.Cached {
		t.hits++
	} else {
		t.took = append(t.took, s.Seconds)
	}
}

func (t *tally) sum() Step {
	t.HitRate = round(float64(t.hits) / float64(t.Builds))
	for _, seconds := range t.took {
		t.Cost += seconds
	}
	t.Cost = round(t.Cost / float64(t.Builds))
	if median := middle(t.took); median != nil {
		t.Seconds = *median
	}
	return t.Step
}

// tiers tell what caches did for a service's builds.
func tiers(pasts []insight.Past) []Tier {
	sums := map[string]Tier{}
	for _, p := range pasts {
		if p.Cache == nil {
			continue
		}
		for _, gave := range p.Cache.Tiers {
			if gave.Hits < 0 || gave.Bytes < 0 {
				continue // no run has written that
			}
			sum := sums[gave.Tier]
			sums[gave.Tier] = Tier{gave.Tier, sum.Builds + 1, sum.Hits + float64(gave.Hits), sum.Bytes + float64(gave.Bytes), sum.Seconds + gave.Seconds}
		}
	}
	var told []Tier
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		sum := sums[name]
		n := float64(sum.Builds)
		told = append(told, Tier{name, sum.Builds, round(sum.Hits / n), round(sum.Bytes / n), round(sum.Seconds / n)})
	}
	return told
}

// slowest is what most would be won by: what the last build of a service would have been spared, or else the instruction that costs its builds most.
func slowest(services []Service) *Slow {
	var advice, costly []Slow
	for _, s := range services {
		for _, a := range s.Advice {
			advice = append(advice, Slow{s.Name, s.Repository, a.Text, round(a.Seconds)})
		}
		for _, step := range s.Steps {
			costly = append(costly, Slow{s.Name, s.Repository, step.String(), step.Cost})
		}
	}
	for _, all := range [][]Slow{advice, costly} {
		slices.SortStableFunc(all, func(a, b Slow) int { return cmp.Compare(b.Seconds, a.Seconds) })
		if len(all) > 0 && all[0].Seconds >= worthSeconds {
			return &all[0]
		}
	}
	return nil
}

// String tells of a step for a person.
func (s Step) String() string {
	text := s.Text
	if s.Line > 0 {
		text = fmt.Sprintf("%s in line %d", text, s.Line)
	}
	return fmt.Sprintf("%s costs a build %s, and came from the cache in %.0f%% of %d", text, learn.Text(s.Cost), 100*s.HitRate, s.Builds)
}

// severities in falling order, and after them whatever else there is.
func severities(findings map[string]int) []string {
	order := service.Severities()
	return slices.SortedFunc(maps.Keys(findings), func(a, b string) int {
		return cmp.Or(cmp.Compare(uint(slices.Index(order, a)), uint(slices.Index(order, b))), cmp.Compare(a, b))
	})
}
