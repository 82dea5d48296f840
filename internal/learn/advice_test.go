package learn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hour is a build of four steps, the second an installation that comes from the cache.
func ordinary(seconds float64) Build {
	b := constant("web", seconds)[0]
	b.Building = seconds
	b.Steps = []Step{{Name: "[1/4] COPY package.json .", Line: 2, Cached: true}, {Name: "[2/4] RUN npm ci", Line: 3, Cached: true},
		{Name: "[3/4] COPY . .", Line: 4, Seconds: 0.1}, {Name: "[4/4] RUN npm run build", Line: 5, Seconds: seconds - 0.1}}
	return b
}

func TestAnomaly(t *testing.T) {
	t.Parallel()
	var before History
	for range 9 {
		before = append(before, ordinary(20))
	}
	slow := ordinary(20)
	slow.Building, slow.Steps[0], slow.Steps[1] = 48, Step{Name: "[1/4] COPY package.json .", Line: 2, Seconds: 0.1}, Step{Name: "[2/4] RUN npm ci", Line: 3, Seconds: 28}
	slow.Miss = &Miss{Instruction: "COPY package.json .", Line: 2, Why: "changed since abc: package-lock.json", Files: []string{"package-lock.json"}}
	moved := slow
	moved.Miss = &Miss{Instruction: "COPY package.json .", Line: 2, Why: "its base image node:22 moved"}
	longer := ordinary(48)
	machine := ordinary(20)
	machine.Building = 48
	for name, c := range map[string]struct {
		before History
		now    Build
		want   string
	}{
		"a lock file":         {before, slow, "the build took 2.4 times its usual time (48s instead of 20s): RUN npm ci in line 3 lost its cache because package-lock.json changed"},
		"a base image":        {before, moved, "the build took 2.4 times its usual time (48s instead of 20s): RUN npm ci in line 3 lost its cache: its base image node:22 moved"},
		"an instruction":      {before, longer, "the build took 2.4 times its usual time (48s instead of 20s): RUN npm run build in line 5 took 48s instead of 20s"},
		"the machine":         {before, machine, "the build took 2.4 times its usual time (48s instead of 20s): no instruction of its Dockerfile took that much longer"},
		"nothing":             {before, ordinary(25), ""},
		"too few before":      {before[:leastBuilds-1], slow, ""},
		"of another service":  {constant("api", 1, 1, 1, 1, 1, 1), slow, ""},
		"such as there were":  {append(before[:9:9], slow, slow, slow), slow, ""},
		"a second that was 0": {constant("web", .1, .1, .1, .1, .1, .1), ordinary(1.5), ""},
	} {
		got := ""
		if a := c.before.Anomaly(c.now); a != nil {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	trial := func(digest, inputs string, healthy bool) Trial {
		return Trial{Service: "web", Digest: digest, Inputs: inputs, Healthy: healthy}
	}
	other := Trial{Service: "api", Digest: "a", Inputs: "1"}
	for name, c := range map[string]struct {
		before Trials
		now    Trial
		want   Health
	}{
		"the first":               {nil, trial("a", "1", false), Health{Trials: 1, Failed: 1}},
		"healthy before":          {Trials{trial("a", "1", true), other}, trial("a", "1", false), Health{2, 1, 1, "its health check is flaky: the same image was healthy in 1 of 1 trials before"}},
		"healthy by its inputs":   {Trials{trial("b", "1", true)}, trial("a", "1", false), Health{2, 1, 1, "its health check is flaky: the same image was healthy in 1 of 1 trials before"}},
		"healthy again":           {Trials{trial("a", "1", false)}, trial("a", "1", true), Health{2, 1, 1, "its health check is flaky: the same image is healthy now, and was not in 1 of 1 trials before"}},
		"never healthy":           {Trials{trial("a", "1", false), trial("a", "1", false)}, trial("a", "1", false), Health{3, 3, 0, "this is no accident: the same image was not healthy in any of 2 trials before"}},
		"another image was":       {Trials{trial("b", "2", true)}, trial("a", "1", false), Health{2, 1, 0, ""}},
		"what is not known":       {Trials{trial("", "", true)}, trial("", "", false), Health{2, 1, 0, ""}},
		"flaky then, healthy now": {Trials{trial("a", "1", false), trial("a", "1", true)}, trial("b", "2", true), Health{3, 1, 1, ""}},
	} {
		if diff := cmp.Diff(c.want, c.before.Health(c.now)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestMakespan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seconds  []float64
		machines int
		want     float64
	}{{nil, 3, 0}, {[]float64{5}, 3, 5}, {[]float64{1, 2, 3, 4}, 1, 10}, {[]float64{1, 1, 1, 9}, 2, 10}, {[]float64{9, 1, 1, 1}, 2, 9}, {[]float64{2, 2}, 0, 4}} {
		if got := Makespan(c.seconds, c.machines); got != c.want {
			t.Errorf("%v on %d machines take %v, want %v", c.seconds, c.machines, got, c.want)
		}
	}
}

// TestPack has runs whose best schedule is known beforehand.
func TestPack(t *testing.T) {
	t.Parallel()
	build := func(of string, start, seconds float64) Piece { return Piece{of, "", start, seconds} }
	judge := func(of string, start, seconds float64) Piece { return Piece{of, "judge", start, seconds} }
	for name, c := range map[string]struct {
		pieces   []Piece
		after    map[string][]string
		parallel int
		want     Schedule
		ratio    float64
	}{
		"as well as can be":                    {[]Piece{build("a", 0, 4), build("b", 0, 2), build("c", 2, 2)}, nil, 2, Schedule{2, 4, 8, 4}, 1},
		"the long one began last":              {[]Piece{build("b", 0, 2), build("c", 0, 2), build("a", 2, 4)}, nil, 2, Schedule{2, 6, 8, 4}, 4.0 / 6},
		"one at a time":                        {[]Piece{build("a", 5, 3), build("b", 8, 3)}, nil, 1, Schedule{1, 6, 6, 6}, 1},
		"a pause between":                      {[]Piece{build("a", 0, 3), build("b", 6, 3)}, nil, 1, Schedule{1, 9, 6, 6}, 6.0 / 9},
		"the longest bounds it":                {[]Piece{build("a", 0, 9), build("b", 0, 1)}, nil, 3, Schedule{3, 9, 10, 9}, 1},
		"judging takes turns of its own":       {[]Piece{build("a", 0, 2), judge("a", 2, 2), build("b", 2, 2), judge("b", 4, 2)}, nil, 1, Schedule{1, 6, 8, 6}, 1},
		"judging that waits in vain":           {[]Piece{build("a", 0, 2), judge("a", 4, 2), build("b", 2, 2), judge("b", 6, 2)}, nil, 1, Schedule{1, 8, 8, 6}, 6.0 / 8},
		"one waits for the other's image":      {[]Piece{build("a", 0, 5), judge("a", 5, 1), build("b", 5, 5), judge("b", 10, 1)}, map[string][]string{"b": {"a"}}, 3, Schedule{3, 11, 12, 11}, 1},
		"as if it need not have waited":        {[]Piece{build("a", 0, 5), judge("a", 5, 1), build("b", 5, 5), judge("b", 10, 1)}, nil, 3, Schedule{3, 11, 12, 6}, 6.0 / 11},
		"more at a time than was said":         {[]Piece{build("a", 0, 4), build("b", 0, 4), build("c", 0, 4)}, nil, 1, Schedule{3, 4, 12, 4}, 1},
		"from itself, which nothing is":        {[]Piece{build("a", 0, 4), build("b", 0, 4)}, map[string][]string{"a": {"b"}, "b": {"a"}}, 2, Schedule{2, 4, 8, 4}, 1},
		"one service":                          {[]Piece{build("a", 0, 4), judge("a", 4, 1)}, nil, 2, Schedule{}, 0},
		"nothing":                              {nil, nil, 2, Schedule{}, 0},
		"two of which one was over in no time": {[]Piece{build("a", 0, 4), build("b", 0, 0)}, nil, 1, Schedule{1, 4, 4, 4}, 1},
	} {
		got := Pack(c.pieces, c.after, c.parallel)
		if got != c.want || got.Known() != (c.ratio > 0) || got.Known() && math.Abs(got.Efficiency()-c.ratio) > 1e-9 {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	// 0.3+(0.2+0.1) is more than (0.3+0.2)+0.1, to a computer.
	if tenths := Pack([]Piece{build("a", 0, 0.3), build("b", 0.5, 0.2), judge("b", 0.7, 0.1)}, map[string][]string{"b": {"a"}}, 1); !tenths.Known() {
		t.Errorf("no run may have had %+v", tenths)
	}
	for _, s := range []Schedule{{}, {1, 0, 0, 0}, {0, 2, 2, 2}, {1, 2, 3, 3}, {1, 3, 1, 2}, {1, -1, -1, -2}, {1, 1e300, 1e300, 1e300}, {1, math.Inf(1), 3, 2}} {
		if s.Known() {
			t.Errorf("a run may have had %+v", s)
		}
	}
}

// TestNoOrderIsBetterThanTheLeast has work be done in many orders, none of which takes less than the bound.
func TestNoOrderIsBetterThanTheLeast(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		machines := 1 + random.IntN(4)
		free := make([]float64, machines)
		var pieces []Piece
		for i := range 2 + random.IntN(8) {
			next := slices.Index(free, slices.Min(free))
			p := Piece{Of: string(rune('a' + i)), Start: free[next] + random.Float64(), Seconds: 10 * random.Float64()}
			free[next] = p.Start + p.Seconds
			pieces = append(pieces, p)
		}
		if s := Pack(pieces, nil, machines); !s.Known() || s.Efficiency() > 1 || s.Parallel != machines {
			t.Errorf("%v: %+v", pieces, s)
		}
	}
}

func TestCoordinate(t *testing.T) {
	t.Parallel()
	got := Coordinate([]Figures{{Restore: 1, Save: 2, Conflicts: 1, Messages: []float64{0.5, 3}, Operations: 8, Succeeded: 8}, {Restore: 3, Operations: 2, Succeeded: 1}})
	want := Coordination{Jobs: 2, Restore: Times{2, 2.8}, Save: Times{2, 2}, Conflicts: 1, Messages: 2, Latency: Times{1.75, 2.75}, Success: 0.9}
	if diff := cmp.Diff(want, got, cmp.Comparer(near)); diff != "" {
		t.Error(diff)
	}
	if got := Coordinate(nil); got != (Coordination{Success: 1}) {
		t.Errorf("%+v of nothing", got)
	}
}
