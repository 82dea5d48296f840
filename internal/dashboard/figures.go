// Package dashboard tells how builds have been doing, by what is remembered of them: as one page of HTML that needs nothing beside it, as JSON
// and as metrics. It shows what the memory has, and nothing that it has not.
package dashboard

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
)

// Figures are what is remembered, summed up. Times are seconds, shares from 0 to 1. What is not known is left out.
type Figures struct {
	SchemaVersion int       `json:"schema_version"`
	Program       string    `json:"program"` // name and version
	Repository    string    `json:"repository,omitempty"`
	MadeAt        time.Time `json:"made_at"`
	From          time.Time `json:"from,omitzero"` // the first build that is remembered
	To            time.Time `json:"to,omitzero"`   // the last
	Answer        string    `json:"answer"`
	Overall       Summary   `json:"overall"`
	Slowest       *Slow     `json:"slowest_thing_to_fix,omitempty"`
	Services      []Service `json:"services"`
	Underway      []Work    `json:"underway"` // at the time when this was made, what began first first
	Schedule      *Packing  `json:"schedule,omitempty"`
	Builds        []Build   `json:"builds"`  // the oldest first
	Runs          []Run     `json:"runs"`    // that packed work of several services or platforms, the oldest first
	Rescans       []Rescan  `json:"rescans"` // the oldest first

	reload int // seconds after which a page that is watched loads itself again; 0 of others
}

// A Summary is of some builds. Images that were used again count as builds that took no time.
type Summary struct {
	Builds   int      `json:"builds"`
	Passed   int      `json:"passed"`
	Success  *float64 `json:"success_rate,omitempty"`
	Seconds  *float64 `json:"median_seconds,omitempty"`     // of building and judging, where that went well
	Expected *float64 `json:"median_expected,omitempty"`    // that was expected of those
	Within   *float64 `json:"within_expectation,omitempty"` // share of those that had an expectation: it promises 0.8
	HitRate  *float64 `json:"cache_hit_rate,omitempty"`     // mean share of a build's instructions
	Startup  *float64 `json:"median_startup,omitempty"`
	Trials   int      `json:"trials"`
	Failed   int      `json:"trials_failed"`
	Flaky    int      `json:"trials_flaky"` // of them: the same image was healthy at another time
	Work     float64  `json:"work_seconds"` // of all parts of all builds, one after the other
}

// A Service is how one service has been doing.
type Service struct {
	Name       string `json:"name"`
	Repository string `json:"repository,omitempty"`
	Summary
	Next       *learn.Expectation `json:"expected_next,omitempty"` // of the next build
	LastAt     time.Time          `json:"last_at,omitzero"`
	LastPassed *bool              `json:"last_passed,omitempty"`
	Sizes      map[string]float64 `json:"image_bytes,omitempty"` // compressed, of the last image, by platform
	PeakMemory float64            `json:"peak_memory_bytes,omitempty"`
	Findings   map[string]int     `json:"findings,omitempty"`      // of the last image that was scanned when it was made, by severity
	Live       map[string]int     `json:"live_findings,omitempty"` // of all live images, by the last rescan
	RescanAt   time.Time          `json:"last_rescan_at,omitzero"`
	Steps      []Step             `json:"steps,omitempty"`  // what costs most first
	Advice     []insight.Advice   `json:"advice,omitempty"` // on the last build
	Tiers      []Tier             `json:"tiers,omitempty"`

	platforms []string // of the last build
}

// A Step is what became of one instruction for one platform, over the builds whose steps are remembered.
type Step struct {
	Text     string  `json:"text"`
	Platform string  `json:"platform,omitempty"`
	Line     int     `json:"line,omitempty"` // of the Dockerfile, the last time; 0 where that is not known
	Builds   int     `json:"builds"`
	HitRate  float64 `json:"cache_hit_rate"`
	Seconds  float64 `json:"median_seconds"` // where it was worked on
	Cost     float64 `json:"mean_seconds"`   // over all builds, also those that had it from the cache
}

// A Tier is what one cache for layers of other runs did for a service, over the builds whose steps are remembered. Numbers are means of a build.
type Tier struct {
	Name    string  `json:"name"`
	Builds  int     `json:"builds"`     // that looked into it, or wrote to it
	Hits    float64 `json:"mean_hits"`  // instructions whose layers it had
	Bytes   float64 `json:"mean_bytes"` // compressed, that it gave
	Seconds float64 `json:"mean_seconds"`
}

// A Slow is what most would be won by.
type Slow struct {
	Service    string  `json:"service"`
	Repository string  `json:"repository,omitempty"`
	Text       string  `json:"text"`
	Seconds    float64 `json:"seconds"` // of a build, that it costs
}

// A Build is one service in one run, or some of its platforms where several jobs shared them.
type Build struct {
	Service    string         `json:"service"`
	Repository string         `json:"repository,omitempty"`
	Run        string         `json:"run"`
	RunURL     string         `json:"run_url,omitempty"`
	Commit     string         `json:"commit,omitempty"`
	CommitURL  string         `json:"commit_url,omitempty"`
	Ref        string         `json:"ref,omitempty"`
	At         time.Time      `json:"at"`
	Action     string         `json:"action"`
	Platforms  []string       `json:"platforms,omitempty"`
	Part       string         `json:"part,omitempty"` // the platforms that it is of, where they are not all
	Passed     bool           `json:"passed"`
	Reasons    []string       `json:"reasons,omitempty"`
	Seconds    float64        `json:"seconds,omitempty"`  // of building and judging; 0 where nothing was built
	Expected   float64        `json:"expected,omitempty"` // by the median of the builds before, with what eight of ten keep to
	Low        float64        `json:"low,omitempty"`
	High       float64        `json:"high,omitempty"`
	Work       float64        `json:"work_seconds"` // of all parts
	HitRate    *float64       `json:"cache_hit_rate,omitempty"`
	Bytes      float64        `json:"image_bytes,omitempty"` // compressed, of the largest platform
	Startup    float64        `json:"startup_seconds,omitempty"`
	Findings   map[string]int `json:"findings,omitempty"`
	Trial      string         `json:"trial,omitempty"` // healthy, failed, or flaky
}

// window is how many builds before one tell what was expected of it.
const window = 60

// A Source is what figures are made of.
type Source struct {
	Known      insight.Known // with all that is remembered, also by other repositories
	Underway   []Work        // as far as whoever is at it says
	Repository string        // owner/name; empty where that is not known
	All        bool          // show services of other repositories, too
	Server     string        // whose pages are linked to, such as https://github.com
	Program    string
	Now        time.Time
}

// Collect sums up what is remembered.
func Collect(s Source) Figures {
	pasts := s.pasts()
	f := Figures{SchemaVersion: 1, Program: s.Program, Repository: s.Repository, MadeAt: s.Now.UTC().Truncate(time.Second), Services: []Service{}, Underway: []Work{}, Builds: s.builds(pasts), Runs: s.packed(), Rescans: s.rescans()}
	f.Overall, f.Schedule = summarize(f.Builds), pack("", f.Runs)
	if len(f.Builds) > 0 {
		f.From, f.To = f.Builds[0].At, f.Builds[len(f.Builds)-1].At
	}
	at, rescans := byService(f.Builds), f.lastRescans()
	for id := range rescans {
		if at[id] == nil {
			at[id] = []int{} // also of which no build is remembered any more
		}
	}
	for id, at := range at {
		of := ofService(id, pick(pasts, at), pick(f.Builds, at))
		of.Live, of.RescanAt = rescans[id].Findings, rescans[id].At
		f.Services = append(f.Services, of)
	}
	slices.SortFunc(f.Services, func(a, b Service) int {
		return cmp.Or(own(a.Repository, s.Repository)-own(b.Repository, s.Repository), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Name, b.Name))
	})
	s.expect(f.Services)
	f.tellWork(s)
	f.Slowest = slowest(f.Services)
	f.Answer = f.answer()
	return f
}

// pasts are the builds that are shown. A memory may be shared with repositories that not everybody may see who sees this page.
func (s Source) pasts() []insight.Past {
	return slices.DeleteFunc(s.Known.Pasts(s.Repository), func(p insight.Past) bool { return !s.shows(p.Repository) })
}

func (s Source) shows(repository string) bool { return s.All || repository == s.Repository }

// own sorts this repository's services before those of others.
func own(repository, this string) int {
	if repository == this {
		return 0
	}
	return 1
}

// An identity is a service of a repository: those of several may have the same name.
type identity struct{ repository, name string }

func (b Build) identity() identity { return identity{b.Repository, b.Service} }

func (s Service) identity() identity { return identity{s.Repository, s.Name} }

// lastRescans are the last of each service of which something is live.
func (f Figures) lastRescans() map[identity]Rescan {
	last := map[identity]Rescan{}
	for _, r := range f.Rescans {
		if last[r.identity()] = r; r.Images == 0 {
			delete(last, r.identity())
		}
	}
	return last
}

// byService are the indices of each service's builds.
func byService(builds []Build) map[identity][]int {
	at := map[identity][]int{}
	for i, b := range builds {
		at[b.identity()] = append(at[b.identity()], i)
	}
	return at
}

func pick[T any](all []T, at []int) []T {
	some := make([]T, len(at))
	for i, j := range at {
		some[i] = all[j]
	}
	return some
}

func (s Source) builds(pasts []insight.Past) []Build {
	flaky := flaky(pasts)
	before := map[[3]string][]float64{} // what builds took, by service and platforms
	builds := make([]Build, len(pasts))
	for i, p := range pasts {
		b := s.build(p)
		b.Trial = outcome(p, flaky[i])
		if p.Action == "build" && p.Seconds["build"] > 0 {
			b.Seconds = round(p.Took())
			key := [3]string{p.Repository, p.Service, strings.Join(p.Platforms, " ")}
			b.foresee(before[key])
			if p.Success {
				before[key] = append(before[key], p.Took())
			}
		}
		builds[i] = b
	}
	return builds
}

// build is what is known of one by itself.
func (s Source) build(p insight.Past) Build {
	links := links{server: s.Server}
	b := Build{Service: p.Service, Repository: p.Repository, Run: p.Run, RunURL: links.run(p), Commit: p.Commit, CommitURL: links.commit(p), Ref: p.Ref, At: p.At.UTC(), Action: p.Action,
		Platforms: p.Platforms, Part: p.Part, Passed: p.Success, Reasons: p.Reasons, Findings: p.Findings}
	for _, seconds := range p.Seconds {
		b.Work += seconds
	}
	b.Work = round(b.Work)
	for _, bytes := range p.Sizes {
		b.Bytes = max(b.Bytes, bytes)
	}
	if p.Trial != nil && p.Trial.Healthy {
		b.Startup = round(p.Startup) // of another trial it is how long was waited in vain
	}
	if p.Cache != nil {
		b.HitRate = known(p.Cache.HitRate)
	}
	return b
}

// foresee is what was to be expected by builds before.
func (b *Build) foresee(before []float64) {
	if len(before) > 0 {
		e := learn.Plain(before[max(0, len(before)-window):])
		b.Expected, b.Low, b.High = round(e.Seconds), round(e.Low), round(e.High)
	}
}

// flaky tells which trials failed by chance; those of several repositories are apart.
func flaky(pasts []insight.Past) []bool {
	var trials learn.Trials
	for _, p := range pasts {
		t := learn.Trial{}
		if p.Trial != nil {
			t = *p.Trial
		} else {
			t.Healthy = true // and of no image
		}
		t.Service = p.Repository + " " + p.Service
		trials = append(trials, t)
	}
	return trials.Flaky()
}

func outcome(p insight.Past, flaky bool) string {
	switch {
	case p.Trial == nil:
		return ""
	case p.Trial.Healthy:
		return "healthy"
	case flaky:
		return "flaky"
	default:
		return "failed"
	}
}

// summarize sums builds up.
func summarize(builds []Build) Summary {
	s := Summary{Builds: len(builds)}
	var took, expected, startups, hits []float64
	within := 0
	for _, b := range builds {
		s.Work += b.Work
		if b.Passed {
			s.Passed++
		}
		if b.Passed && b.Seconds > 0 {
			took = append(took, b.Seconds)
			if b.Expected > 0 {
				expected = append(expected, b.Expected)
				if b.Low <= b.Seconds && b.Seconds <= b.High {
					within++
				}
			}
		}
		if b.HitRate != nil {
			hits = append(hits, *b.HitRate)
		}
		if b.Startup > 0 {
			startups = append(startups, b.Startup)
		}
		s.count(b.Trial)
	}
	s.Work = round(s.Work)
	s.Success, s.Within = share(s.Passed, len(builds)), share(within, len(expected))
	s.Seconds, s.Expected, s.Startup, s.HitRate = middle(took), middle(expected), middle(startups), mean(hits)
	return s
}

func (s *Summary) count(trial string) {
	if trial == "" {
		return
	}
	s.Trials++
	if trial != "healthy" {
		s.Failed++
	}
	if trial == "flaky" {
		s.Flaky++
	}
}

func share(some, all int) *float64 {
	if all == 0 {
		return nil
	}
	return known(float64(some) / float64(all))
}

func mean(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return known(sum / float64(len(values)))
}

// middle is the median; nil of nothing.
func middle(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	return known(insight.Median(values))
}

func known(v float64) *float64 {
	v = round(v)
	return &v
}

// round keeps milliseconds and thousandths: more digits would be noise.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }

// ofService sums a service up: builds and what is remembered of them, in the same order.
func ofService(id identity, pasts []insight.Past, builds []Build) Service {
	s := Service{Name: id.name, Repository: id.repository, Summary: summarize(builds)}
	if len(pasts) == 0 {
		return s
	}
	last, passed := pasts[len(pasts)-1], true
	s.LastAt, s.LastPassed, s.platforms = last.At.UTC(), &passed, last.Platforms
	for _, p := range lastRun(pasts, func(insight.Past) bool { return true }) {
		passed = passed && p.Success
	}
	for _, p := range lastRun(pasts, func(p insight.Past) bool { return len(p.Sizes) > 0 }) {
		s.Sizes = merged(s.Sizes, p.Sizes)
		s.PeakMemory = max(s.PeakMemory, p.PeakMemory)
	}
	for _, p := range lastRun(pasts, func(p insight.Past) bool { return p.Findings != nil }) {
		s.Findings = merged(s.Findings, p.Findings)
	}
	for _, p := range lastRun(pasts, func(p insight.Past) bool { return p.Cache != nil }) {
		s.Advice = append(s.Advice, p.Cache.Advice...)
	}
	s.Steps, s.Tiers = steps(pasts), tiers(pasts)
	return s
}

// lastRun are those of the last run that had any such: several where jobs shared the service's platforms. Where jobs were run again, those of the last
// attempt count for theirs.
func lastRun(pasts []insight.Past, such func(insight.Past) bool) (all []insight.Past) {
	for _, p := range slices.Backward(pasts) {
		same := func(newer insight.Past) bool { return newer.Part == p.Part }
		if such(p) && (len(all) == 0 || wholeRun(p.Run) == wholeRun(all[0].Run) && !slices.ContainsFunc(all, same)) {
			all = append(all, p)
		}
	}
	return all
}

// wholeRun is a run without its attempt.
func wholeRun(run string) string {
	if m := runForm.FindStringSubmatch(run); m != nil {
		return m[1]
	}
	return run
}

// merged adds numbers up by their names.
func merged[N int | float64](some, more map[string]N) map[string]N {
	sum := map[string]N{}
	for _, numbers := range []map[string]N{some, more} {
		for name, n := range numbers {
			sum[name] += n
		}
	}
	return sum
}

// expect tells how long the next build of each service will take.
func (s Source) expect(services []Service) {
	learners := map[string]learn.Learner{}
	for i, of := range services {
		learner, made := learners[of.Repository]
		if !made {
			learner = learn.NewLearner(insight.History(of.Repository, s.Known["builds"], nil))
			learners[of.Repository] = learner
		}
		if e := learner.Expect(of.Name, learn.Situation{At: s.Now, Platforms: of.platforms}); e.Known() {
			services[i].Next = &e
		}
	}
}
