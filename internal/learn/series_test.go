package learn

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A recording is a file of testdata: builds that were really made, and where.
type recording struct {
	Source string  `json:"source"`
	Builds History `json:"builds"`
}

// recorded reads all recordings, by the names of their files.
func recorded(t testing.TB) map[string]recording {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded series: %v", err)
	}
	all := map[string]recording{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r recording
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = r
	}
	return all
}

var begun = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// synthetic makes builds up, one every three hours: how long each takes, and why.
func synthetic(service string, n int, next func(i int, r *rand.Rand) (seconds float64, changes string)) History {
	var h History
	r := rand.New(rand.NewPCG(7, uint64(len(service))))
	for i := range n {
		seconds, changes := next(i, r)
		b := Build{Service: service, Seconds: seconds, Building: 0.9 * seconds}
		b.At, b.Changes, b.Platforms = begun.Add(time.Duration(i)*3*time.Hour), []string{changes}, []string{"linux/amd64"}
		b.Runner, b.Cache = "ubuntu-latest", "kept"
		h = append(h, b)
	}
	return h
}

// noise is a factor by which builds stray.
func noise(r *rand.Rand, spread float64) float64 { return math.Exp(spread * r.NormFloat64()) }

// kinds of synthetic series, by what decides how long builds take. None is of true builds.
var kinds = map[string]func(i int, r *rand.Rand) (float64, string){
	"steady": func(_ int, r *rand.Rand) (float64, string) { return 30 * noise(r, 0.1), "sources" },
	"by what changed": func(_ int, r *rand.Rand) (float64, string) {
		if r.IntN(4) == 0 {
			return 120 * noise(r, 0.1), "dependencies"
		}
		return 20 * noise(r, 0.1), "sources"
	},
	"growing": func(i int, r *rand.Rand) (float64, string) {
		return 20 * math.Pow(1.03, float64(i)) * noise(r, 0.05), "sources"
	},
	"one bad day in ten": func(_ int, r *rand.Rand) (float64, string) {
		if r.IntN(10) == 0 {
			return 300 * noise(r, 0.3), "sources"
		}
		return 30 * noise(r, 0.1), "sources"
	},
	"another machine halfway": func(i int, r *rand.Rand) (float64, string) {
		if i >= 40 {
			return 15 * noise(r, 0.1), "sources"
		}
		return 60 * noise(r, 0.1), "sources"
	},
}
