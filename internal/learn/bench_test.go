package learn

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// series are those that models are compared on: the recorded ones, service by service, and the synthetic ones.
func series(tb testing.TB) map[string]History {
	all := map[string]History{}
	for name, make := range kinds {
		all["synthetic: "+name] = synthetic("api", 80, make)
	}
	for file, r := range recorded(tb) {
		for _, b := range r.Builds {
			name := fmt.Sprintf("%s: %s", file, b.Service)
			all[name] = append(all[name], b)
		}
	}
	return all
}

// prequential is how far each model, and the choice among them, was from what builds took: the choice is made each time by what came before.
func prequential(t trial) (models [len(models)]float64, chosen float64, within string) {
	for m := range models {
		models[m] = t.share(m)
	}
	sum := 0.0
	inside, asked := 0, 0
	for i := range t.took {
		m := t.choose(i)
		sum += math.Abs(t.told[m][i] - t.took[i])
		if i < enough-warmUp {
			continue
		}
		low, high := t.interval(m, i, t.told[m][i])
		if asked++; low <= t.took[i] && t.took[i] <= high {
			inside++
		}
	}
	total := 0.0
	for _, seconds := range t.took {
		total += seconds
	}
	if asked == 0 {
		return models, sum / total, "      –"
	}
	return models, sum / total, fmt.Sprintf("%6.0f%%", 100*float64(inside)/float64(asked))
}

// BenchmarkBacktest prints how far each model was from what builds took, as a share of that, and how far the choice among them; and how
// many builds kept to the interval that was told.
//
//	go test ./internal/learn -run '^$' -bench Backtest -benchtime 1x
func BenchmarkBacktest(b *testing.B) {
	all := series(b)
	for b.Loop() {
		var sums [len(models)]float64
		var chosen float64
		tried := 0
		b.Logf("%-45s %s  chosen  within", "mean distance from what builds took", header())
		for _, name := range slices.Sorted(maps.Keys(all)) {
			builds := all[name]
			if len(builds) < enough {
				b.Logf("%-45s has %d builds, too few to try a model on", name, len(builds))
				continue
			}
			of, choice, within := prequential(newTable(History(builds).pick(func(Build) bool { return true }), Situation{}).backtest())
			line := ""
			for m, off := range of {
				line += fmt.Sprintf("%8.1f%%", 100*off)
				sums[m] += off
			}
			chosen, tried = chosen+choice, tried+1
			b.Logf("%-45s %s %6.1f%% %s", name, line, 100*choice, within)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(chosen/sums[0], "of-last-build")
		b.ReportMetric(chosen/sums[1], "of-mean")
		b.ReportMetric(chosen/sums[medianModel], "of-median")
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
		for i := range 20 {
			if e := h.Expect(fmt.Sprint("service", i), next("sources")); e.Tried == 0 {
				b.Fatalf("%+v", e)
			}
		}
	}
}

// BenchmarkSchedule prints how long the services of a run take with three machines: in the order of the configuration, with the longest
// expected first, and at best. Runs are drawn from the series: each time of each service one build, of which is expected what the builds before tell.
//
//	go test ./internal/learn -run '^$' -bench Schedule -benchtime 1x
func BenchmarkSchedule(b *testing.B) {
	const machines, runs = 3, 50
	all := series(b)
	names := slices.Sorted(maps.Keys(all))
	for b.Loop() {
		r := rand.New(rand.NewPCG(3, 3))
		var first, longest, best float64
		for range runs {
			r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			var took, expected []float64
			for _, name := range names[:min(8, len(names))] {
				builds := all[name]
				i := len(builds)/2 + r.IntN(len(builds)-len(builds)/2)
				took = append(took, builds[i].Seconds)
				expected = append(expected, builds[:i].Expect(builds[i].Service, builds[i].Situation).Seconds)
			}
			first += Makespan(took, machines)
			longest += Makespan(inOrder(took, expected), machines)
			best += optimum(took, machines)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(first/best, "first-come-of-optimum")
		b.ReportMetric(longest/best, "longest-expected-of-optimum")
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

// TestTheChoiceBeatsThePlainOnes on recorded series: what is chosen is nearer to the truth than the plain mean and the last value.
func TestTheChoiceBeatsThePlainOnes(t *testing.T) {
	t.Parallel()
	var chosen, last, mean float64
	for _, r := range recorded(t) {
		services := map[string]bool{}
		for _, b := range r.Builds {
			services[b.Service] = true
		}
		for service := range services {
			builds := r.Builds.own(service)
			if len(builds) < enough {
				continue
			}
			of, choice, _ := prequential(newTable(builds, Situation{}).backtest())
			chosen, last, mean = chosen+choice, last+of[0], mean+of[1]
		}
	}
	if chosen == 0 || chosen >= last || chosen >= mean {
		t.Errorf("what is chosen is off by %.3f in all, the last build by %.3f and the mean by %.3f", chosen, last, mean)
	}
}

func TestOptimum(t *testing.T) {
	t.Parallel()
	if got := optimum([]float64{7, 7, 6, 6, 5, 4, 4, 1}, 3); got != 14 {
		t.Errorf("%v, want 14", got)
	}
}
