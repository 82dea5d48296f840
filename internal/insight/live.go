package insight

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// liveTTL is how long it is remembered what was found in live images.
const liveTTL = 90 * 24 * time.Hour

// A Live is what was found in a service's live images by a rescan.
type Live struct {
	Service  string    `json:"service"`
	Findings []string  `json:"findings"` // each once: "CVE-2023-0286 in openssl"
	EndedAt  time.Time `json:"endedAt"`
}

// OfLive renders what a rescan found. It takes the place of what the one before found.
func OfLive(all []Live) ([]memory.Entry, error) {
	var w writer
	for _, l := range all {
		w.add("live", l.Service, liveTTL, l)
	}
	return w.entries, w.err
}

// LastLive reads by service what the last rescan found.
func LastLive(entries []memory.Entry) map[string]Live {
	last := map[string]Live{}
	for _, e := range entries {
		var l Live
		if json.Unmarshal(e.Value, &l) == nil && l.Service == e.Key {
			last[l.Service] = l
		}
	}
	return last
}

// Since tells what is found now and was not before, and what is gone.
func (l Live) Since(before Live) (added, gone []string) {
	return without(l.Findings, before.Findings), without(before.Findings, l.Findings)
}

func without(some, others []string) []string {
	return slices.DeleteFunc(slices.Clone(some), func(one string) bool { return slices.Contains(others, one) })
}
