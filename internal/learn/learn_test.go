package learn

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func next(changes string) Situation {
	return Situation{At: begun.Add(1000 * time.Hour), Changes: []string{changes}, Platforms: []string{"linux/amd64"}, Runner: "ubuntu-latest"}
}

// constant are builds that all take as long.
func constant(service string, seconds ...float64) History {
	return synthetic(service, len(seconds), func(i int, _ *rand.Rand) (float64, string) { return seconds[i], "sources" })
}

func near(got, want float64) bool { return math.Abs(got-want) <= 0.0006 }

func TestExpectOfFewBuilds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		builds []float64
		want   Expectation
		told   string
	}{
		"none": {nil, Expectation{}, "unknown"},
		"one": {[]float64{20}, Expectation{Seconds: 20, Low: 10, High: 40, By: median, Builds: 1, Building: 18},
			"20s (10s to 40s), by the median of one build, too few to try a model on"},
		"two": {[]float64{10, 30}, Expectation{Seconds: 20, Low: 10 / 1.5, High: 45, By: median, Builds: 2, Building: 18},
			"20s (6.7s to 45s), by the median of 2 builds, too few to try a model on"},
	} {
		got := NewLearner(constant("api", c.builds...)).Expect("api", next("sources"))
		if diff := cmp.Diff(c.want, got, cmp.Comparer(near)); diff != "" || got.String() != c.told {
			t.Errorf("%s: %q\n%s", name, got, diff)
		}
	}
}

// TestModelsThatBeatTheMedian are used, and no others.
func TestModelsThatBeatTheMedian(t *testing.T) {
	t.Parallel()
	short := synthetic("api", 80, kinds["by what changed"])
	for changes, want := range map[string]float64{"sources": 20, "dependencies": 120} {
		got := NewLearner(short).Expect("api", next(changes))
		if got.By == median || got.Error >= got.MedianError || got.Seconds < 0.8*want || got.Seconds > 1.25*want {
			t.Errorf("where %s changed %q is expected, want about %v s", changes, got, want)
		}
		if got.Low > want || got.High < want {
			t.Errorf("where %s changed %v s are not between %v and %v", changes, want, got.Low, got.High)
		}
	}
	steady := NewLearner(synthetic("api", 80, kinds["steady"])).Expect("api", next("sources"))
	if steady.By != median || steady.Error != steady.MedianError || !strings.Contains(steady.String(), "the median of 60 builds, which no model surely beats") {
		t.Errorf("of builds that nothing tells apart %q is expected, want the median", steady)
	}
}

// TestNothingThatIsStillToComeIsLookedAt: what the models told of a build does not depend on that build, nor on later ones.
func TestNothingThatIsStillToComeIsLookedAt(t *testing.T) {
	t.Parallel()
	builds := synthetic("api", 50, kinds["by what changed"])
	before := newTable(builds, next("sources")).backtest()
	const i = 20 // of those that were tried
	altered := slices.Clone(builds)
	for j := len(builds) - origins + i; j < len(altered); j++ {
		altered[j].Seconds *= 1.5
	}
	after := newTable(altered, next("sources")).backtest()
	for m, model := range models {
		if diff := cmp.Diff(before.told[m][:i+1], after.told[m][:i+1]); diff != "" {
			t.Errorf("%s knows what is to come:\n%s", model.name, diff)
		}
	}
}

// TestIntervalsHoldWhatTheyPromise of builds that are like those before.
func TestIntervalsHoldWhatTheyPromise(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"steady", "by what changed", "one bad day in ten"} {
		within, asked := 0, 0
		builds := synthetic("api", 200, kinds[kind])
		for i := 20; i < len(builds); i++ {
			e := NewLearner(builds[:i]).Expect("api", builds[i].Situation)
			if asked++; e.Low <= builds[i].Seconds && builds[i].Seconds <= e.High {
				within++
			}
		}
		if share := float64(within) / float64(asked); share < 0.74 || share > 0.95 {
			t.Errorf("%s: %.0f%% of the builds keep to the interval, which promises 80%%", kind, 100*share)
		}
	}
}

func TestTheSameBuildsGiveTheSameAnswer(t *testing.T) {
	t.Parallel()
	builds := synthetic("api", 60, kinds["by what changed"])
	want := NewLearner(builds).Expect("api", next("sources"))
	random := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		shuffled := slices.Clone(builds)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := NewLearner(shuffled).Expect("api", next("sources")); got != want {
			t.Errorf("%+v, and %+v before", got, want)
		}
	}
}

// TestWhoseBuildsTell prefers a service's own, and then those of its kind, wherever they are.
func TestWhoseBuildsTell(t *testing.T) {
	t.Parallel()
	var h History
	add := func(service, elsewhere, kind string, seconds float64) {
		b := constant(service, seconds)[0]
		b.Elsewhere, b.Kind = elsewhere, kind
		h = append(h, b)
	}
	add("api", "", "golang with go", 40)
	add("api", "org/other", "golang with go", 90)
	add("shop", "org/other", "golang with go", 50)
	add("web", "", "node with npm", 70)
	for _, c := range []struct {
		service, kind string
		want          float64
		builds        int
	}{{"api", "golang with go", 40, 1}, {"new", "golang with go", 50, 3}, {"shop", "golang with go", 50, 3}, {"new", "", 0, 0}, {"new", "rust with cargo", 0, 0}} {
		got := NewLearner(h).Expect(c.service, next("sources"))
		if !got.Known() {
			got = h.Guess(c.kind)
		}
		if got.Seconds != c.want || got.Builds != c.builds || (got.Kind != "") != (c.builds == 3) {
			t.Errorf("of %s, which is made of %s, %q is expected, want %v s by %d builds", c.service, c.kind, got, c.want, c.builds)
		}
	}
}

// TestPlatformsAreNotMixed: a row of one platform takes another time than all of them.
func TestPlatformsAreNotMixed(t *testing.T) {
	t.Parallel()
	h := constant("api", 10, 10, 10)
	arm := constant("api", 50)
	arm[0].Platforms = []string{"linux/arm64"}
	h = append(h, arm...)
	for platform, want := range map[string]float64{"linux/amd64": 10, "linux/arm64": 50, "linux/s390x": 10} {
		if got := NewLearner(h).Expect("api", Situation{Platforms: []string{platform}}); got.Seconds != want {
			t.Errorf("for %s %q is expected, want %v s", platform, got, want)
		}
	}
}

// FuzzExpect has any builds give an answer that makes sense.
func FuzzExpect(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte{})
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h History
		for i, c := range data {
			b := Build{Service: "api", Seconds: math.Exp(float64(c)/8 - 5)}
			b.Building = b.Seconds
			b.Situation = Situation{At: begun.Add(time.Duration(i*int(c)) * time.Minute), Changes: []string{fmt.Sprint(c % 3)}, Cache: fmt.Sprint(c % 2), Bases: fmt.Sprint(c % 5)}
			h = append(h, b)
		}
		e := NewLearner(h).Expect("api", next("1"))
		if e.Known() != (len(data) > 0) {
			t.Fatalf("%d builds give %+v", len(data), e)
		}
		if _, err := json.Marshal(e); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
		if e.Known() && !(0 < e.Low && e.Low <= e.Seconds && e.Seconds <= e.High) {
			t.Errorf("%+v", e)
		}
	})
}

func TestLeft(t *testing.T) {
	t.Parallel()
	e := Expectation{Seconds: 20, Low: 10, High: 40, Builds: 9, Building: 15}
	for taken, want := range map[float64]float64{0: 20, 10: 12.5, 20: 12.5, 30: 7.5} {
		if got, known := e.Left(taken); !near(got, want) || !known {
			t.Errorf("after %v s %v are left, %v; want %v", taken, got, known, want)
		}
	}
	if _, known := e.Left(40); known {
		t.Error("nobody can tell what is left of what takes longer than nearly all did")
	}
	if _, known := (Expectation{}).Left(0); known {
		t.Error("nothing is known, and something is left")
	}
	if left, known := (Expectation{Seconds: 5, Low: 5, High: 5, Builds: 3}).Left(2); left != 3 || !known {
		t.Errorf("%v left, %v, of what always takes as long", left, known)
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	h := constant("api", 10, 10, 10)
	for i := range h {
		h[i].Steps = []Step{{Name: "[1/2] RUN a", Seconds: float64(2 + i)}, {Name: "[2/2] RUN b", Cached: i > 0, Seconds: 7}}
	}
	got := h.Steps("api")
	want := map[string]Expectation{
		"[1/2] RUN a": {Seconds: 3, Low: 1.5, High: 4 * 4.0 / 3, By: median, Builds: 3},
		"[2/2] RUN b": {Seconds: 7, Low: 3.5, High: 14, By: median, Builds: 1},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(near)); diff != "" {
		t.Error(diff)
	}
}

// TestNoMoreColumnsThanModelsCanBear has builds of which each tells of other kinds of changes.
func TestNoMoreColumnsThanModelsCanBear(t *testing.T) {
	t.Parallel()
	n := 0
	builds := constant("api", slices.Repeat([]float64{20}, window)...)
	for i := range builds {
		builds[i].Changes = nil
		for range 32 {
			n++
			builds[i].Changes = append(builds[i].Changes, fmt.Sprint(n))
		}
	}
	if columns := len(newTable(builds, next("sources")).rows[0].x); columns > mostColumns+2 {
		t.Errorf("there are %d columns", columns)
	}
	if e := NewLearner(builds).Expect("api", next("sources")); e.Seconds != 20 {
		t.Errorf("%s is expected", e)
	}
}
