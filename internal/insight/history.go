package insight

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/verdict"
)

// Usual returns what is usual of each service, from what runs wrote into the memory's namespaces of these names, the newest first.
// What does not read as theirs is passed over.
func Usual(builds, validations, scans []memory.Entry) map[string]verdict.History {
	samples := map[string]map[string][]float64{}
	add := func(service, figure string, value float64) {
		if samples[service] == nil {
			samples[service] = map[string][]float64{}
		}
		if of := samples[service]; len(of[figure]) < usualRuns && value >= 0 {
			of[figure] = append(of[figure], value)
		}
	}
	for _, e := range builds {
		b, ok := readBuild(e)
		if !ok || !b.Success {
			continue
		}
		if b.Action == "build" && b.Seconds["build"] > 0 {
			add(b.Service, verdict.BuildTime, b.Seconds["build"])
		}
		for platform, size := range b.Sizes {
			add(b.Service, verdict.Size(platform), size)
		}
	}
	for _, e := range validations {
		var v tried
		// Of one that was not well it is how long was waited in vain.
		if json.Unmarshal(e.Value, &v) == nil && (v.Healthy || !v.Tried) && v.Startup > 0 && within(v.Startup, mostSeconds) && within(v.Memory, mostBytes) {
			add(v.Service, verdict.Startup, v.Startup)
			add(v.Service, verdict.PeakMemory, v.Memory)
		}
	}
	for _, e := range scans {
		if s, ok := readScan(e); ok {
			add(s.Service, verdict.Findings, float64(s.found()))
		}
	}
	usual := map[string]verdict.History{}
	for service, figures := range samples {
		usual[service] = verdict.History{}
		for figure, values := range figures {
			usual[service][figure] = robust(values)
		}
	}
	return usual
}

// A scanned is an entry of the namespace scans, as far as it is read back.
type scanned struct {
	Service  string         `json:"service"`
	Digest   string         `json:"digest"`
	Findings map[string]int `json:"findings"` // by severity
}

func readScan(e memory.Entry) (s scanned, ok bool) {
	return s, json.Unmarshal(e.Value, &s) == nil
}

func (s scanned) found() int {
	found := 0
	for _, n := range s.Findings {
		found += n
	}
	return found
}

// Found returns how many findings each image of a service had when it was judged last, by service and digest, from what runs wrote
// into the namespace scans, the newest first.
func Found(scans []memory.Entry) map[string]map[string]int {
	found := map[string]map[string]int{}
	for _, e := range scans {
		s, ok := readScan(e)
		if !ok || s.found() < 0 {
			continue
		}
		if found[s.Service] == nil {
			found[s.Service] = map[string]int{}
		}
		if _, newer := found[s.Service][s.Digest]; !newer {
			found[s.Service][s.Digest] = s.found()
		}
	}
	return found
}

// usualRuns is of how many runs what is usual is told.
const usualRuns = 20

// robust sums values up by their median and the median absolute deviation from it, scaled to what is a standard deviation where
// values stray normally.
func robust(values []float64) verdict.Usual {
	middle := Median(values)
	distances := make([]float64, len(values))
	for i, v := range values {
		distances[i] = math.Abs(v - middle)
	}
	return verdict.Usual{Median: middle, Spread: 1.4826 * Median(distances), Runs: len(values)}
}

// Median is the one in the middle of some values, or the mean of the two there; there is one at least.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
