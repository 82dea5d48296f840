package learn

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// series are those that models are compared on, by what they are and their names.
func series(tb testing.TB) map[string]map[string]History {
	all := map[string]map[string]History{"synthetic": {}, "recorded": {}}
	for name, make := range kinds {
		all["synthetic"][name] = synthetic("api", 80, make)
	}
	for file, r := range recorded(tb) {
		all["recorded"][file] = r.Builds
	}
	return all
}

// before is the part of a trial that was over by some time.
func (t trial) before(at time.Time) trial {
	n, _ := slices.BinarySearchFunc(t.at, at, time.Time.Compare)
	t.at, t.took = t.at[:n], t.took[:n]
	for m := range t.told {
		t.told[m] = t.told[m][:n]
	}
	return t
}

// A score is how far each model, and the choice among them, was from what builds took, as a share of that.
type score struct {
	models        [len(models)]float64
	chosen        float64
	inside, asked int // intervals that a build kept to, of all that were told
}

// prequential scores a service's builds; the choice is made each time by what came before alone, also of the others.
func prequential(own trial, others []trial) score {
	var s score
	total := 0.0
	for i, took := range own.took {
		var known []trial
		for _, t := range others {
			known = append(known, t.before(own.at[i]))
		}
		e := newEvidence(own.before(own.at[i]), known)
		m := e.choose()
		s.chosen += math.Abs(own.told[m][i] - took)
		low, high := e.interval(m, own.told[m][i])
		if s.asked++; low <= took && took <= high {
			s.inside++
		}
		for m := range models {
			s.models[m] += math.Abs(own.told[m][i] - took)
		}
		total += took
	}
	for m := range s.models {
		s.models[m] /= total
	}
	s.chosen /= total
	return s
}

// scores scores each service of each series.
func scores(all map[string]History) map[string]score {
	scored := map[string]score{}
	for name, h := range all {
		trials := h.try()
		for i, t := range trials {
			if len(t.took) >= enough {
				scored[name+": "+t.of.Service] = prequential(t, slices.Concat(trials[:i], trials[i+1:]))
			}
		}
	}
	return scored
}

// BenchmarkBacktest prints how far each model was from what builds took, as a share of that, and how far the choice among them; and how
// many builds kept to the interval that was told.
//
//	go test ./internal/learn -run '^$' -bench Backtest -benchtime 1x -v
func BenchmarkBacktest(b *testing.B) {
	for _, of := range []string{"recorded", "synthetic"} {
		all := series(b)[of]
		b.Run(of, func(b *testing.B) {
			var sums [len(models)]float64
			var chosen float64
			for b.Loop() {
				sums, chosen = [len(models)]float64{}, 0
				scored := scores(all)
				b.Logf("%-32s %s  chosen  within", "mean distance from what was", header())
				for _, name := range slices.Sorted(maps.Keys(scored)) {
					s, line := scored[name], ""
					for m, off := range s.models {
						line += fmt.Sprintf("%8.1f%%", 100*off)
						sums[m] += off
					}
					chosen += s.chosen
					b.Logf("%-32s %s %6.1f%% %6.0f%%", name, line, 100*s.chosen, 100*float64(s.inside)/float64(s.asked))
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(chosen/sums[0], "of-last-build")
			b.ReportMetric(chosen/sums[1], "of-mean")
			b.ReportMetric(chosen/sums[medianModel], "of-median")
		})
	}
}

func header() string {
	short := map[string]string{"the last build": "last", "the mean": "mean", median: "median", "builds like it": "alike", "ridge regression": "ridge", "a neural network": "network"}
	line := ""
	for _, m := range models {
		line += fmt.Sprintf("%9s", short[m.name])
	}
	return line
}

// BenchmarkExpect is for 20 services of which 200 builds are remembered each, all of which are to be built.
func BenchmarkExpect(b *testing.B) {
	var h History
	for i := range 20 {
		h = append(h, synthetic(fmt.Sprint("service", i), 200, kinds["by what changed"])...)
	}
	for b.Loop() {
		l := NewLearner(h)
		for i := range 20 {
			if e := l.Expect(fmt.Sprint("service", i), next("sources")); e.Tried == 0 {
				b.Fatalf("%+v", e)
			}
		}
	}
}

// BenchmarkSchedule prints how long runs take with three machines, as a share of what they take at best: in the order of the configuration, and with
// the longest expected first. A run is eight services, each with a build of the second half of its series, of which is expected what the builds before tell.
//
//	go test ./internal/learn -run '^$' -bench Schedule -benchtime 1x
func BenchmarkSchedule(b *testing.B) {
	const machines, runs = 3, 50
	for _, of := range []string{"recorded", "synthetic"} {
		var services []History
		for _, h := range series(b)[of] {
			for _, t := range h.try() {
				services = append(services, h.own(t.of.Service))
			}
		}
		slices.SortFunc(services, func(a, b History) int { return cmp.Compare(a[0].Seconds, b[0].Seconds) })
		b.Run(of, func(b *testing.B) {
			for b.Loop() {
				r := rand.New(rand.NewPCG(3, 3))
				var first, longest, best float64
				for range runs {
					var took, expected []float64
					for range 8 {
						builds := services[r.IntN(len(services))]
						i := len(builds)/2 + r.IntN(len(builds)-len(builds)/2)
						took = append(took, builds[i].Seconds)
						expected = append(expected, NewLearner(builds[:i]).Expect(builds[i].Service, builds[i].Situation).Seconds)
					}
					first += Makespan(took, machines)
					longest += Makespan(inOrder(took, expected), machines)
					best += optimum(took, machines)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(first/best, "first-come-of-optimum")
				b.ReportMetric(longest/best, "longest-expected-of-optimum")
			}
		})
	}
}

// inOrder is what took longest expected first.
func inOrder(took, expected []float64) []float64 {
	order := make([]int, len(took))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(expected[b], expected[a]) })
	sorted := make([]float64, len(took))
	for i, from := range order {
		sorted[i] = took[from]
	}
	return sorted
}

// optimum is the least that work takes on so many machines, by trying all ways to share it.
func optimum(took []float64, machines int) float64 {
	best := math.Inf(1)
	loads := make([]float64, machines)
	var share func(i int)
	share = func(i int) {
		if slices.Max(loads) >= best {
			return
		}
		if i == len(took) {
			best = slices.Max(loads)
			return
		}
		for m := range loads {
			if slices.Index(loads, loads[m]) < m {
				continue // as another one, which was tried
			}
			loads[m] += took[i]
			share(i + 1)
			loads[m] -= took[i]
		}
	}
	share(0)
	return best
}

// TestTheChoiceBeatsThePlainOnes on recorded series: what is chosen is nearer to the truth than the plain mean, the last value and the median.
func TestTheChoiceBeatsThePlainOnes(t *testing.T) {
	t.Parallel()
	var chosen, last, mean, median float64
	for _, s := range scores(series(t)["recorded"]) {
		chosen, last, mean, median = chosen+s.chosen, last+s.models[0], mean+s.models[1], median+s.models[medianModel]
	}
	if chosen == 0 || chosen >= min(last, mean, median) {
		t.Errorf("what is chosen is off by %.3f in all, the last build by %.3f, the mean by %.3f and the median by %.3f", chosen, last, mean, median)
	}
}

func TestOptimum(t *testing.T) {
	t.Parallel()
	if got := optimum([]float64{7, 7, 6, 6, 5, 4, 4, 1}, 3); got != 14 {
		t.Errorf("%v, want 14", got)
	}
}
