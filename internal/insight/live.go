package insight

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
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
	// Images are how many were looked at, none where nothing is live any more, and Counts what was found in them by severity, on each platform once.
	Images int            `json:"images"`
	Counts map[string]int `json:"counts"`
}

// OfLive renders what a rescan, which is named by the run's id, found: for the next one, where it takes the place of what the one before found, and beside
// what others found, for those who look back.
func OfLive(repository, run string, all []Live) ([]memory.Entry, error) {
	w := writer{repository: repository}
	for _, l := range all {
		w.add("live", keyIn(repository, l.Service), liveTTL, l)
		w.add("rescans", l.Service+":"+run, liveTTL, rescan{l.Service, l.Images, l.Counts, l.EndedAt})
	}
	return w.entries, w.err
}

// keyIn names an entry that takes the place of the one before: services and projects of several repositories may have the same name.
func keyIn(repository, name string) string {
	return strings.TrimPrefix(repository+":"+name, ":")
}

// A rescan is an entry of the namespace rescans.
type rescan struct {
	Service  string         `json:"service"`
	Images   int            `json:"images"`
	Findings map[string]int `json:"findings"` // by severity, as in the namespace scans
	EndedAt  time.Time      `json:"endedAt"`
}

// LastLive reads by service what the last rescan found. Entries that were named by the service alone count too.
func LastLive(entries []memory.Entry) map[string]Live {
	last := map[string]Live{}
	for _, e := range entries {
		var l Live
		if json.Unmarshal(e.Value, &l) != nil || e.Key != l.Service && e.Key != keyIn(from(e), l.Service) {
			continue
		}
		if before, known := last[l.Service]; !known || l.EndedAt.After(before.EndedAt) {
			last[l.Service] = l
		}
	}
	return last
}

// A Rescan is what is remembered of one that looked at a service's live images.
type Rescan struct {
	Run        string // the run's id and attempt
	Repository string // owner/name; empty where that is not known
	Service    string
	Images     int
	Findings   map[string]int // by severity, of all images together, on each platform once
	At         time.Time
}

// Rescans reads what is remembered of rescans, the oldest first. Which repository each is of is told as in Pasts.
func (k Known) Rescans(repository string) []Rescan {
	var all []Rescan
	for _, e := range k["rescans"] {
		r := rescan{Images: -1}
		if json.Unmarshal(e.Value, &r) != nil || r.EndedAt.IsZero() || r.Images < 0 {
			continue
		}
		if whose, run := cutLast(e.Key); whose == r.Service && whose != "" {
			all = append(all, Rescan{Run: run, Repository: cmp.Or(elsewhere(e, repository), repository), Service: whose, Images: r.Images, Findings: possible(r.Findings), At: r.EndedAt})
		}
	}
	slices.SortStableFunc(all, func(a, b Rescan) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Run, b.Run))
	})
	return all
}

// Since tells what is found now and was not before, and what is gone.
func (l Live) Since(before Live) (added, gone []string) {
	return without(l.Findings, before.Findings), without(before.Findings, l.Findings)
}

func without(some, others []string) []string {
	return slices.DeleteFunc(slices.Clone(some), func(one string) bool { return slices.Contains(others, one) })
}
