package learn

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// A model learns from builds, the oldest first, to tell the logarithm of the next one's seconds.
type model struct {
	name  string
	every int // builds after which it learns anew while it is tried out
	fit   func(past []row) predictor
}

type predictor func(next row) float64

// median names the model that the others must beat.
const median = "the median"

// medianModel is its place in models.
const medianModel = 2

// models compete. Of those that are as good as each other the first is taken.
var models = [...]model{
	{"the last build", 1, last},
	{"the mean", 1, mean},
	{median, 1, medianOf},
	{"builds like it", 1, alike},
	{"ridge regression", 1, ridge},
	{"a neural network", 10, network},
}

func last(past []row) predictor { return always(past[len(past)-1].y) }

// mean is that of seconds, not of logarithms.
func mean(past []row) predictor {
	sum := 0.0
	for _, r := range past {
		sum += math.Exp(r.y)
	}
	return always(math.Log(sum / float64(len(past))))
}

func medianOf(past []row) predictor { return always(middle(lately(ys(past)))) }

func always(y float64) predictor { return func(row) float64 { return y } }

// alike is the median of those builds that have most in common with the next one: at least so many that it is no single one's whim.
func alike(past []row) predictor {
	return func(next row) float64 {
		common := make([]int, len(past))
		for i, r := range past {
			common[i] = -distance(r.situation, next.situation)
		}
		order := make([]int, len(past))
		for i := range order {
			order[i] = len(past) - 1 - i // the newest first
		}
		slices.SortStableFunc(order, func(a, b int) int { return common[b] - common[a] })
		var nearest []float64
		for n, i := range order {
			if n >= few && common[i] < common[order[n-1]] || n == recent {
				break
			}
			nearest = append(nearest, past[i].y)
		}
		return middle(nearest)
	}
}

// few is how many builds are no single one's whim.
const few = 3

// distance is how many words only one of two has.
func distance(a, b []string) int {
	n := 0
	for _, w := range a {
		if !slices.Contains(b, w) {
			n++
		}
	}
	for _, w := range b {
		if !slices.Contains(a, w) {
			n++
		}
	}
	return n
}

// recent is of how many builds a median is told.
const recent = 9

// lately are the last of some values.
func lately(values []float64) []float64 { return values[max(0, len(values)-recent):] }

func ys(past []row) []float64 {
	all := make([]float64, len(past))
	for i, r := range past {
		all[i] = r.y
	}
	return all
}

// middle is the median of values, which stay in their order.
func middle(values []float64) float64 { return quantile(0.5, values) }

// quantile is the value below which a share of some are, between two of them where it falls there.
func quantile(share float64, values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 1 {
		return sorted[0]
	}
	at := share * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// A sample is builds as numbers about their means, so that no model needs to learn those.
type sample struct {
	x         [][]float64
	y         []float64
	meanX     []float64
	meanY     float64
	low, high []float64 // of what there was in each column, about its mean
}

func newSample(past []row) sample {
	s := sample{y: ys(past), meanX: make([]float64, len(past[0].x))}
	for _, r := range past {
		floats.Add(s.meanX, r.x)
	}
	floats.Scale(1/float64(len(past)), s.meanX)
	s.meanY = stat.Mean(s.y, nil)
	floats.AddConst(-s.meanY, s.y)
	s.low, s.high = make([]float64, len(s.meanX)), make([]float64, len(s.meanX))
	for _, r := range past {
		x := floats.SubTo(make([]float64, len(s.meanX)), r.x, s.meanX)
		for j, value := range x {
			s.low[j], s.high[j] = min(s.low[j], value), max(s.high[j], value)
		}
		s.x = append(s.x, x)
	}
	return s
}

// of is a build as the sample's are. What goes beyond all that there was is taken to be no further than that: nobody knows what it does.
func (s sample) of(next row) []float64 {
	x := floats.SubTo(make([]float64, len(s.meanX)), next.x, s.meanX)
	for j := range x {
		x[j] = min(max(x[j], s.low[j]), s.high[j])
	}
	return x
}
