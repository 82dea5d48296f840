package insight

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

// absurd are eight builds of a service of which the memory tells numbers that no run writes.
func absurd(number string) Known {
	k := Known{}
	add := func(namespace, key, value string) {
		k[namespace] = append(k[namespace], memory.Entry{Namespace: namespace, Key: key, Value: []byte(strings.ReplaceAll(value, "#", number))})
	}
	for i := range 8 {
		key := fmt.Sprint("api:", i)
		add("builds", key, fmt.Sprintf(`{"service":"api","action":"build","success":true,"digest":"d","endedAt":"2026-01-0%dT00:00:00Z","kind":"go","seconds":{"build":#,"judge":#},
			"sizes":{"linux/amd64":#},"platforms":{"linux/amd64":{"seconds":#},"linux/arm64":{"seconds":#,"emulated":true}}}`, i+1))
		add("cache", key, `{"service":"api","hitRate":#,"steps":[{"name":"[1/2] RUN a","seconds":#},{"name":"[2/2] RUN b","cached":true}],"writes":"gha","tiers":[{"tier":"gha","hits":1,"layers_written":1,"seconds":#}]}`)
		add("coordination", figuresPrefix+key, `{"restoreSeconds":#,"saveSeconds":#,"messageSeconds":[#,#]}`)
		add("validations", key, `{"service":"api","startupSeconds":#,"peakMemory":#}`)
	}
	slices.Reverse(k["builds"])
	return k
}

// TestAbsurdNumbers has the memory tell of numbers with which sums and ratios are no numbers any more. Whatever is made of them can still
// be written down: a report or a plan that cannot is a run that fails.
func TestAbsurdNumbers(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"1e308", "1.7e308", "1e300", "1e16", "5e-324", "1e-300", "-1e308", "-5e-324", "0"} {
		k := absurd(number)
		history := History("", k["builds"], k["cache"])
		now := learn.Build{Service: "api", Situation: learn.Situation{At: time.Now()}, Seconds: 30, Building: 20, Steps: []learn.Step{{Name: "[1/2] RUN a", Seconds: 20}}}
		slow, _ := k.Slow("api")
		for what, made := range map[string]any{
			"expectation": learn.NewLearner(history).Expect("api", learn.Situation{}), "guess": history.Guess("go"), "steps": history.Steps("api"),
			"anomaly": history.Anomaly(now), "costs": Costs(k["builds"]), "usual": Usual(k["builds"], k["validations"], nil), "worth": Worth(k["cache"]),
			"briefing": k.Brief("api"), "slowness": slow, "pasts": k.Pasts(""),
			"coordination": learn.Coordinate(Coordination(k["coordination"])),
		} {
			if _, err := json.Marshal(made); err != nil {
				t.Errorf("of %s the %s is %+v: %v", number, what, made, err)
			}
		}
	}
}

// TestAbsurdSituations has the memory tell of a build of which more changed than there are kinds.
func TestAbsurdSituations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kinds, builds int }{{mostWords, 1}, {mostWords + 1, 0}} {
		words, err := json.Marshal(make([]string, c.kinds))
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range []string{"changes", "platforms"} {
			e := memory.Entry{Value: fmt.Appendf(nil, `{"service":"api","action":"build","success":true,"seconds":{"build":1},"situation":{%q:%s}}`, list, words)}
			if got := History("", []memory.Entry{e}, nil); len(got) != c.builds {
				t.Errorf("with %d %s there are %d builds, want %d", c.kinds, list, len(got), c.builds)
			}
		}
	}
}
