package learn

import (
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
