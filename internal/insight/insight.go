// Package insight tells where the time of builds went and what would have spared it, and writes down what a run learnt, as entries of
// the memory.
package insight

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

// How long each kind of insight is worth keeping.
const (
	buildsTTL  = 90 * 24 * time.Hour
	scansTTL   = 30 * 24 * time.Hour
	cacheTTL   = 14 * 24 * time.Hour
	sessionTTL = 90 * 24 * time.Hour
)

// A Run is what a run learnt as a whole.
type Run struct {
	ID         string    `json:"sessionId"` // unique to the run and its attempt
	Repository string    `json:"-"`         // owner/name; empty where that is not known
	Commit     string    `json:"commit"`
	Ref        string    `json:"ref"`
	Outcome    string    `json:"outcome"`
	EndedAt    time.Time `json:"endedAt"`
	Seconds    float64   `json:"seconds"`
	Built      int       `json:"built"`
	// Schedule is how the work was packed; nil where it was one service's alone.
	Schedule *learn.Schedule `json:"schedule,omitempty"`
	Services []Service       `json:"-"`
}

// A Service is what a run learnt about one service.
type Service struct {
	Name       string
	Part       string // the platforms that are told of, where they are not all
	Kind       string // what it is made by; see Kind
	Situation  learn.Situation
	Action     string
	Success    bool
	Reasons    []string
	Digest     string
	Inputs     string             // digest of what it is made of
	Args       map[string]string  // fingerprints of its build arguments
	Seconds    map[string]float64 // by part of the run
	Account    Account            // of its build
	Emulated   []string           // platforms that it was built for on a machine of another
	Cache      cache.Use          // what layers of other runs did for it
	Sizes      map[string]int64   // compressed bytes by platform
	Findings   map[string]int     // by severity
	Tried      bool               // it was started
	Healthy    bool
	Startup    float64 // seconds until healthy
	PeakMemory int64   // bytes
	CPU        float64 // seconds
	Processes  int64
	Route      string
}

type object map[string]any

// Entries renders a run and its services. Keys hold the run's identity, so that runs never overwrite one another.
func Entries(run Run) ([]memory.Entry, error) {
	services, err := OfServices(run)
	whole, failed := OfRun(run)
	return append(services, whole...), errors.Join(err, failed)
}

// OfRun renders what is learnt of a run as a whole.
func OfRun(run Run) ([]memory.Entry, error) {
	w := writer{repository: run.Repository}
	w.add("sessions", "session:"+run.ID, sessionTTL, run)
	return w.entries, w.err
}

// A writer collects entries until one cannot be written.
type writer struct {
	repository string
	entries    []memory.Entry
	err        error
}

func (w *writer) add(namespace, key string, ttl time.Duration, value any) {
	data, err := json.Marshal(value)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("writing insight %s: %w", key, err)
	}
	w.entries = append(w.entries, memory.Entry{Namespace: namespace, Key: key, TTL: ttl, Value: data, Metadata: w.metadata()})
}

// OfServices renders what is learnt of each service.
func OfServices(run Run) ([]memory.Entry, error) {
	w := writer{repository: run.Repository}
	for _, s := range run.Services {
		key := strings.TrimSuffix(s.Name+"@"+s.Part, "@") + ":" + run.ID
		w.add("builds", key, buildsTTL, object{"service": s.Name, "action": s.Action, "success": s.Success, "reasons": s.Reasons,
			"digest": s.Digest, "inputs": s.Inputs, "args": s.Args, "commit": run.Commit, "seconds": s.Seconds, "platforms": s.platforms(), "sizes": s.Sizes, "endedAt": run.EndedAt,
			"kind": s.Kind, "situation": s.Situation})
		if a := s.Account; len(a.Steps) > 0 {
			w.add("cache", key, cacheTTL, object{"service": s.Name, "hitRate": a.HitRate, "dependencyHitRate": a.DependencyHitRate, "steps": a.Steps,
				"contextBytes": a.ContextBytes, "pulledBytes": a.PulledBytes, "firstMiss": a.FirstMiss, "advice": a.Advice,
				"writes": s.Cache.Writes, "tiers": s.Cache.Tiers})
		}
		// Without sizes nothing was judged, and the digest is that of an earlier run.
		if s.Digest != "" && len(s.Sizes) > 0 {
			w.add("scans", key, scansTTL, object{"service": s.Name, "digest": s.Digest, "findings": s.Findings})
			w.add("validations", key, buildsTTL, object{"service": s.Name, "digest": s.Digest, "startupSeconds": s.Startup,
				"peakMemory": s.PeakMemory, "cpuSeconds": s.CPU, "processes": s.Processes, "route": s.Route,
				"inputs": s.Inputs, "tried": s.Tried, "healthy": s.Healthy, "endedAt": run.EndedAt})
		}
	}
	return w.entries, w.err
}

// A platform is what building for it took.
type platform struct {
	Seconds  float64 `json:"seconds"` // of the instructions that ran, one after the other
	Emulated bool    `json:"emulated"`
}

// platforms sums up what ran for each platform. Where all of an image came from the cache there is nothing to tell.
func (s Service) platforms() map[string]platform {
	all := map[string]platform{}
	for _, step := range s.Account.Steps {
		if !step.Instruction() || step.Cached || step.Platform == "" {
			continue
		}
		all[step.Platform] = platform{all[step.Platform].Seconds + step.Seconds, slices.Contains(s.Emulated, step.Platform)}
	}
	return all
}

// A build is an entry of that namespace, as far as it is read back.
type build struct {
	Service string             `json:"service"`
	Action  string             `json:"action"`
	Success bool               `json:"success"`
	Reasons []string           `json:"reasons"`
	Commit  string             `json:"commit"`
	EndedAt time.Time          `json:"endedAt"`
	Digest  string             `json:"digest"`
	Inputs  string             `json:"inputs"`
	Args    map[string]string  `json:"args"` // their fingerprints
	Seconds map[string]float64 `json:"seconds"`
	Sizes   map[string]float64 `json:"sizes"` // bytes by platform
	// Platforms are what building for each took.
	Platforms map[string]platform `json:"platforms"`
	Kind      string              `json:"kind"`
	Situation learn.Situation     `json:"situation"`
}

// readBuild reads an entry back; what somebody else wrote is no build of ours.
func readBuild(e memory.Entry) (b build, ok bool) {
	return b, json.Unmarshal(e.Value, &b) == nil && b.Service != "" && b.plausible()
}

// plausible reports whether a run may have written the numbers. With others sums and ratios are no numbers any more, and models never done.
func (b build) plausible() bool {
	for _, seconds := range b.Seconds {
		if !within(seconds, mostSeconds) {
			return false
		}
	}
	for _, bytes := range b.Sizes {
		if !within(bytes, mostBytes) {
			return false
		}
	}
	for _, p := range b.Platforms {
		if !within(p.Seconds, mostSeconds) {
			return false
		}
	}
	return len(b.Situation.Changes) <= mostWords && len(b.Situation.Platforms) <= mostWords
}

// What is more was not measured by a run.
const (
	mostSeconds = 1e9
	mostBytes   = 1e15
	mostWords   = 32 // kinds of changes, and platforms
)

// within reports whether a number was measured: nothing takes a part of a microsecond.
func within(n, most float64) bool { return n == 0 || n >= 1e-6 && n <= most }

// Costs returns what building services for platforms took lately, by service and platform: the medians of the builds that went well.
func Costs(builds []memory.Entry) map[string]map[string]learn.Cost {
	type way struct {
		service, platform string
		emulated          bool
	}
	all := map[way][]float64{}
	for _, e := range builds {
		b, ok := readBuild(e)
		if !ok || !b.Success || b.Action != "build" {
			continue
		}
		for name, p := range b.Platforms {
			if w := (way{b.Service, name, p.Emulated}); p.Seconds > 0 && len(all[w]) < lately {
				all[w] = append(all[w], p.Seconds)
			}
		}
	}
	costs := map[string]map[string]learn.Cost{}
	for w, seconds := range all {
		if costs[w.service] == nil {
			costs[w.service] = map[string]learn.Cost{}
		}
		cost := costs[w.service][w.platform]
		if w.emulated {
			cost.Emulated = Median(seconds)
		} else {
			cost.Native = Median(seconds)
		}
		costs[w.service][w.platform] = cost
	}
	return costs
}

// Made returns the digests that were published of each service lately, by the digest of their inputs, the newest first. They are
// hints: whoever wrote the memory may have written anything.
func Made(builds []memory.Entry) map[string]map[string][]string {
	made := map[string]map[string][]string{}
	for _, e := range builds {
		b, ok := readBuild(e)
		if !ok || !b.Success || b.Digest == "" || b.Inputs == "" {
			continue
		}
		if made[b.Service] == nil {
			made[b.Service] = map[string][]string{}
		}
		if of := made[b.Service][b.Inputs]; len(of) < hints && !slices.Contains(of, b.Digest) {
			made[b.Service][b.Inputs] = append(of, b.Digest)
		}
	}
	return made
}

// hints is how many digests of the same inputs are looked at.
const hints = 3

// lately is how many builds of a service tell how long the next will take.
const lately = 9
