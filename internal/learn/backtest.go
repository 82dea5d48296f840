package learn

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
)

const (
	warmUp  = 5  // builds that a model learns from before it is asked for the first time
	origins = 30 // builds that models are tried on: the last ones
	enough  = 7  // trials of fewer prove nothing
	lend    = 20 // trials that those of all other services together count for
)

// A model must be nearer to the truth than the median by a standard error and by a tenth to be used: what is less may be chance.
const (
	sure   = 1
	margin = 0.9
)

// A trial is how each model would have told of builds before they were made, each time from those before alone.
type trial struct {
	of   Build // the last of them
	at   []time.Time
	took []float64              // what the builds took
	told [len(models)][]float64 // what each model told, in seconds
}

// backtest asks each model for the builds of a table, one after the other: a back-test by rolling origin.
func (t table) backtest() trial {
	n := len(t.rows) - 1
	first := max(warmUp, n-origins)
	result := trial{of: t.last, at: t.at[first:n], took: t.took[first:n]}
	for m, model := range models {
		var tell predictor
		for i := first; i < n; i++ {
			if (i-first)%model.every == 0 {
				tell = model.fit(t.rows[:i])
			}
			result.told[m] = append(result.told[m], t.within(i, tell(t.rows[i])))
		}
	}
	return result
}

// evidence is what is known of how well models do for one service: its own trial, and those of other services of the repository, which
// are built by the same machines and changed by the same people, for so much as it lacks.
type evidence struct {
	own     trial
	others  []trial
	weights []float64              // of each build that was tried
	missed  [len(models)][]float64 // by how much each model missed it, as a share of the service's mean build
}

func newEvidence(own trial, others []trial) evidence {
	e := evidence{own: own, others: others}
	lent := 0
	for _, t := range others {
		lent += len(t.took)
	}
	e.add(own, 1)
	for _, t := range others {
		e.add(t, min(1, lend/float64(lent)))
	}
	return e
}

func (e *evidence) add(t trial, weight float64) {
	if len(t.took) == 0 {
		return
	}
	typical := stat.Mean(t.took, nil)
	for i, took := range t.took {
		e.weights = append(e.weights, weight)
		for m := range models {
			e.missed[m] = append(e.missed[m], math.Abs(t.told[m][i]-took)/typical)
		}
	}
}

func (e evidence) tried() int { return len(e.weights) }

// off is the mean distance between what a model told and what was, as a share of the mean build.
func (e evidence) off(model int) float64 { return stat.Mean(e.missed[model], e.weights) }

// choose is the model with the least error, or the median where none surely beats it.
func (e evidence) choose() int {
	best := medianModel
	if e.tried() < enough {
		return best
	}
	for m := range models {
		if e.off(m) < e.off(best) && e.beatsMedian(m) {
			best = m
		}
	}
	return best
}

// beatsMedian reports whether it is no chance that a model was nearer than the median.
func (e evidence) beatsMedian(model int) bool {
	nearer, weight := make([]float64, e.tried()), 0.0
	for i := range nearer {
		nearer[i] = e.missed[medianModel][i] - e.missed[model][i]
		weight += e.weights[i]
	}
	mean, variance := stat.PopMeanVariance(nearer, e.weights)
	return mean > sure*math.Sqrt(variance/weight) && e.off(model) < margin*e.off(medianModel)
}

// interval is what eight of ten builds keep to, by how far a model was from those that it was tried on: the service's own, or all where those
// are too few. That holds for whatever model, and whatever builds, as long as they are like those before (split conformal prediction,
// https://arxiv.org/abs/1604.04173).
func (e evidence) interval(model int, seconds float64) (low, high float64) {
	ratios := e.own.ratios(model)
	if len(ratios) < bounded {
		for _, t := range e.others {
			ratios = append(ratios, t.ratios(model)...)
		}
	}
	if len(ratios) == 0 {
		return seconds / 2, seconds * 2
	}
	slices.Sort(ratios)
	low, high = span(ratios)
	return seconds * min(1, low), seconds * max(1, high)
}

// ratios are what builds took as shares of what a model told.
func (t trial) ratios(model int) []float64 {
	ratios := make([]float64, len(t.took))
	for i, took := range t.took {
		ratios[i] = took / t.told[model][i]
	}
	return ratios
}

// bounded is of how many values the outermost are what eight of ten others keep to.
const bounded = 9

// span is what eight of ten values like some sorted ones keep to. Where those are too few for that it is what they span, widened the
// more the fewer they are.
func span(sorted []float64) (low, high float64) {
	n := len(sorted)
	if n < bounded {
		wider := 1 + 1/float64(n)
		return sorted[0] / wider, sorted[n-1] * wider
	}
	rank := int(math.Ceil(float64(n+1) * 0.9)) // from 1
	return sorted[n-rank], sorted[rank-1]
}
