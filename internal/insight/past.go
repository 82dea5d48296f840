package insight

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

// A Past is what is remembered of one service in one run. Of a run that gave a service's platforms to several jobs there are as many. What is
// forgotten sooner than the build itself, or was never known, is nil or empty.
type Past struct {
	Run        string // the run's id and attempt, such as 123-1
	Repository string // owner/name; empty where that is not known
	Service    string
	Part       string   // the platforms that are told of, where they are not all
	Platforms  []string // that it was built for
	Action     string   // build or reuse
	Success    bool
	Reasons    []string // why it was refused
	Commit     string
	Ref        string // such as refs/heads/main
	At         time.Time
	Seconds    map[string]float64 // by part of the run
	Sizes      map[string]float64 // compressed bytes by platform
	Findings   map[string]int     // by severity; nil where nothing was scanned
	Trial      *learn.Trial       // nil where it was not started
	Startup    float64            // seconds until healthy
	PeakMemory float64            // bytes
	Cache      *Cached            // nil where nothing was built
}

// Cached is what became of the instructions of a build.
type Cached struct {
	HitRate float64 // share of them that came from the cache, 0 to 1
	Steps   []Step
	Advice  []Advice
	Tiers   []cache.Gave
}

// Text is what a step does, without its place among the others.
func (s Step) Text() string {
	if _, text, found := strings.Cut(s.Name, "] "); found {
		return text
	}
	return s.Name
}

// Took is how long building and judging took.
func (p Past) Took() float64 { return p.Seconds["build"] + p.Seconds["judge"] }

// Pasts reads what is remembered of all builds, the oldest first. What does not say which repository it is from is taken to be from this one.
func (k Known) Pasts(repository string) []Past {
	refs, scans, trials, caches := k.refs(), k.scans(), k.trials(), k.caches()
	var all []Past
	for _, e := range k["builds"] {
		b, ok := readBuild(e)
		if !ok || b.EndedAt.IsZero() {
			continue
		}
		whose, run := cutLast(e.Key)
		p := Past{Run: run, Part: strings.TrimPrefix(strings.TrimPrefix(whose, b.Service), "@"), Repository: cmp.Or(elsewhere(e, repository), repository), Service: b.Service, Platforms: b.Situation.Platforms,
			Action: b.Action, Success: b.Success, Reasons: b.Reasons, Commit: b.Commit, At: b.EndedAt, Seconds: b.Seconds, Sizes: b.Sizes, Findings: scans[e.Key], Cache: caches[e.Key]}
		p.Ref = refs[p.Run]
		if t, known := trials[e.Key]; known {
			p.Startup, p.PeakMemory, p.Trial = t.Startup, t.Memory, t.trial()
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b Past) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Run, b.Run))
	})
	return all
}

// cutLast splits the key of a build into whose it is and the run.
func cutLast(key string) (whose, run string) {
	at := strings.LastIndex(key, ":")
	return key[:max(at, 0)], key[at+1:]
}

// refs are those of runs, by their ids.
func (k Known) refs() map[string]string {
	refs := map[string]string{}
	for _, e := range k["sessions"] {
		if run, ok := readRun(e); ok {
			refs[run.ID] = run.Ref
		}
	}
	return refs
}

// readRun reads an entry of the namespace sessions back, if it is of a run or of whatever else agents did together.
func readRun(e memory.Entry) (run Run, ok bool) {
	id, ok := strings.CutPrefix(e.Key, "session:")
	err := json.Unmarshal(e.Value, &run)
	run.ID = id
	return run, ok && err == nil
}

// Packed are the runs of which it is remembered how their work was packed, the oldest first. Those before this was written down are not among them. Which
// repository each is of is told as in Pasts.
func (k Known) Packed(repository string) []Run {
	var all []Run
	for _, e := range k["sessions"] {
		run, ok := readRun(e)
		if !ok || run.EndedAt.IsZero() || run.Schedule == nil || !run.Schedule.Known() {
			continue
		}
		run.Repository = cmp.Or(elsewhere(e, repository), repository)
		all = append(all, run)
	}
	slices.SortStableFunc(all, func(a, b Run) int {
		return cmp.Or(a.EndedAt.Compare(b.EndedAt), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// scans are findings by severity, by the keys of builds.
func (k Known) scans() map[string]map[string]int {
	all := map[string]map[string]int{}
	for _, e := range k["scans"] {
		s, ok := readScan(e)
		if !ok {
			continue
		}
		all[e.Key] = possible(s.Findings)
	}
	return all
}

// possible are the findings by severity that an image may have.
func possible(findings map[string]int) map[string]int {
	found := map[string]int{}
	for severity, n := range findings {
		if n >= 0 && n <= mostFindings {
			found[severity] = n
		}
	}
	return found
}

// mostFindings are more than any image has.
const mostFindings = 1_000_000

// A tried is an entry of the namespace validations, as far as it is read back.
type tried struct {
	Service string    `json:"service"`
	Digest  string    `json:"digest"`
	Inputs  string    `json:"inputs"`
	Tried   bool      `json:"tried"`
	Healthy bool      `json:"healthy"`
	Startup float64   `json:"startupSeconds"`
	Memory  float64   `json:"peakMemory"`
	EndedAt time.Time `json:"endedAt"`
}

// trial is nil where the image was not started.
func (t tried) trial() *learn.Trial {
	if !t.Tried {
		return nil
	}
	return &learn.Trial{Service: t.Service, Digest: t.Digest, Inputs: t.Inputs, At: t.EndedAt, Healthy: t.Healthy}
}

// trials are by the keys of builds.
func (k Known) trials() map[string]tried {
	all := map[string]tried{}
	for _, e := range k["validations"] {
		var t tried
		if json.Unmarshal(e.Value, &t) == nil && within(t.Startup, mostSeconds) && within(t.Memory, mostBytes) {
			all[e.Key] = t
		}
	}
	return all
}

// caches are by the keys of builds.
func (k Known) caches() map[string]*Cached {
	all := map[string]*Cached{}
	for _, e := range k["cache"] {
		if b, ok := readCached(e); ok {
			all[e.Key] = &Cached{HitRate: b.HitRate, Steps: b.Steps, Advice: b.Advice, Tiers: b.Tiers}
		}
	}
	return all
}
