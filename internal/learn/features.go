package learn

import (
	"math"
	"slices"
	"time"
)

// A row is one build as models see it.
type row struct {
	situation []string  // what is known of the build, as words; see words
	x         []float64 // the same as numbers
	y         float64   // the logarithm of its seconds: what makes builds slower makes them slower by a factor
}

// A table is the builds of one service, the oldest first, and after them the next one, whose y is not known.
type table struct {
	last Build
	rows []row
	at   []time.Time
	took []float64 // seconds
}

func newTable(builds []Build, next Situation) table {
	t := table{last: builds[len(builds)-1]}
	last := t.last.Situation
	if next.Cache == "" { // what is not known is taken to be as it was
		next.Cache = last.Cache
	}
	if next.Runner == "" {
		next.Runner = last.Runner
	}
	before := builds[0].Situation
	seconds := builds[0].Seconds
	for _, b := range append(slices.Clone(builds), Build{Situation: next, Seconds: 1}) {
		r := row{situation: words(b.Situation, before), y: math.Log(b.Seconds)}
		r.x = []float64{math.Log(seconds), since(before.At, b.At)}
		t.rows = append(t.rows, r)
		t.at, t.took = append(t.at, b.At), append(t.took, b.Seconds)
		before, seconds = b.Situation, b.Seconds
	}
	t.number()
	return t
}

// words are what is known of a build, the one before being known.
func words(s, before Situation) []string {
	words := []string{"cache " + s.Cache, "runner " + s.Runner}
	for _, kind := range s.Changes {
		words = append(words, "changed "+kind)
	}
	for _, platform := range s.Platforms {
		words = append(words, "for "+platform)
	}
	if s.Bases != before.Bases {
		words = append(words, "on other base images")
	}
	return words
}

// since is how long ago something was, so that hours matter as much as weeks: 0 for at once, 1 for a day.
func since(then, now time.Time) float64 {
	return math.Log1p(max(0, now.Sub(then).Hours())) / math.Log1p(24)
}

// mostColumns is how many words are looked at: models take time by the cube of them, and there are no more where a run wrote the memory.
const mostColumns = 64

// number has each word that tells builds apart be a column.
func (t *table) number() {
	counts := map[string]int{}
	var order []string
	for _, r := range t.rows {
		for _, w := range r.situation {
			if counts[w] == 0 && len(order) < mostColumns {
				order = append(order, w)
			}
			counts[w]++
		}
	}
	for _, w := range order {
		if counts[w] == len(t.rows) {
			continue
		}
		for i := range t.rows {
			r := &t.rows[i]
			value := 0.0
			if slices.Contains(r.situation, w) {
				value = 1
			}
			r.x = append(r.x, value)
		}
	}
}

// within turns what a model tells of a build into seconds, and keeps it near what was seen before: no model has an idea of what never was.
func (t table) within(n int, y float64) float64 {
	took := t.took[:n]
	return min(max(math.Exp(y), slices.Min(took)/2), slices.Max(took)*2)
}
