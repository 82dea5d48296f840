package learn

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

const (
	enough  = 12 // builds below which models are not tried out
	warmUp  = 5  // builds that a model learns from before it is asked for the first time
	origins = 40 // builds that models are tried on: the last ones
)

// A model must be nearer to the truth than the median by a standard error and by a tenth to be used: what is less may be chance. (Without the one a
// model of nothing is used for one steady service in two, with twice as much what depends on what changed is learnt late.)
const (
	sure   = 1
	margin = 0.9
)

// A trial is how each model would have told of builds before they were made, each time from those before alone.
type trial struct {
	took []float64              // what the builds took
	told [len(models)][]float64 // what each model told, in seconds
}

// backtest asks each model for the builds of a table, one after the other: a back-test by rolling origin.
func (t table) backtest() trial {
	n := len(t.rows) - 1
	first := max(warmUp, n-origins)
	result := trial{took: t.took[first:n]}
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

func (t trial) tried() int { return len(t.took) }

// off is the mean distance between what a model told of the first n builds and what they took.
func (t trial) off(model, n int) float64 {
	sum := 0.0
	for i := range n {
		sum += math.Abs(t.told[model][i] - t.took[i])
	}
	return sum / float64(n)
}

// choose is the model with the least error on the first n builds, or the median where none surely beats it.
func (t trial) choose(n int) int {
	best := medianModel
	if n < enough-warmUp {
		return best
	}
	for m := range models {
		if t.off(m, n) < t.off(best, n) && t.beats(m, medianModel, n) {
			best = m
		}
	}
	return best
}

// beats reports whether it is no chance that one model was nearer to the first n builds than another.
func (t trial) beats(model, other, n int) bool {
	nearer := make([]float64, n)
	for i := range nearer {
		nearer[i] = math.Abs(t.told[other][i]-t.took[i]) - math.Abs(t.told[model][i]-t.took[i])
	}
	mean, deviation := stat.MeanStdDev(nearer, nil)
	return mean > sure*stat.StdErr(deviation, float64(n)) && t.off(model, n) < margin*t.off(other, n)
}

// share is a model's error as a share of the mean build.
func (t trial) share(model int) float64 {
	sum := 0.0
	for _, seconds := range t.took {
		sum += seconds
	}
	return t.off(model, t.tried()) * float64(t.tried()) / sum
}

// interval is what eight of ten builds keep to, by how far a model was from the first n of those that it was tried on. That holds for
// whatever model, and whatever builds, as long as they are like those before (split conformal prediction, https://arxiv.org/abs/1604.04173).
func (t trial) interval(model, n int, seconds float64) (low, high float64) {
	ratios := make([]float64, n)
	for i := range ratios {
		ratios[i] = t.took[i] / t.told[model][i]
	}
	slices.Sort(ratios)
	low, high = span(ratios)
	return seconds * min(1, low), seconds * max(1, high)
}

// span is what eight of ten values like some sorted ones keep to. Where those are too few for that it is what they span, widened the
// more the fewer they are.
func span(sorted []float64) (low, high float64) {
	n := len(sorted)
	rank := int(math.Ceil(float64(n+1) * 0.9)) // from 1
	if rank > n {
		wider := 1 + 1/float64(n)
		return sorted[0] / wider, sorted[n-1] * wider
	}
	return sorted[n-rank], sorted[rank-1]
}
