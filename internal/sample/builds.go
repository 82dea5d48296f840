package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
)

// A job builds a service, by its index, for some platforms.
type job struct {
	service   int
	part      string // the platforms, where they are not all
	platforms []string
}

// jobs are those of each run: the last service has one for each platform.
func jobs() []job {
	all := []string{"linux/amd64", "linux/arm64"}
	return []job{{service: 0, platforms: all}, {service: 1, platforms: all}, {2, all[0], all[:1]}, {2, all[1], all[1:]}}
}

// rescanned is after how many runs all images are scanned again.
const rescanned = 30

// packed is how a run did what it did for some services, two at a time, in no good order and with some waiting.
func packed(services []insight.Service) *learn.Schedule {
	var took []float64
	s := learn.Schedule{Parallel: 2}
	for _, of := range services {
		seconds := of.Seconds["build"] + of.Seconds["judge"]
		took, s.Work, s.Least = append(took, seconds), s.Work+seconds, max(s.Least, seconds)
	}
	if len(took) < 2 {
		return nil
	}
	s.Least = max(s.Least, s.Work/2)
	s.Seconds = learn.Makespan(took, 2) * 1.1
	return &s
}

// live are what is found in all images at some time.
func live(random *rand.Rand, at time.Time) (all []insight.Live) {
	for i, name := range Services {
		all = append(all, insight.Live{Service: name, Findings: []string{}, EndedAt: at, Images: 4, Counts: map[string]int{"CRITICAL": 1 + random.IntN(2), "HIGH": 4 + 2*i, "MEDIUM": 12 + i}})
	}
	return all
}

// Builds are what runs of a repository would have written into the memory of so many builds of the sample's services, of which the last ended by some
// time. They come one after the other in 85 days, some fail, some health checks are flaky, and dependencies change now and then. All images are scanned again from time to time. Of each run the last
// job was run again, after one that left nothing. The same arguments give the same builds.
func Builds(repository string, builds int, last time.Time) ([]memory.Entry, error) {
	random := rand.New(rand.NewPCG(1, uint64(builds)))
	var all []memory.Entry
	jobs := jobs()
	runs := (builds + len(jobs) - 1) / len(jobs)
	for i := range runs {
		at := last.Add(-85 * 24 * time.Hour / time.Duration(runs) * time.Duration(runs-1-i))
		run := insight.Run{ID: fmt.Sprintf("%d-1", 1_000_000_000+i), Repository: repository, Commit: fmt.Sprintf("%016x%024x", random.Uint64(), i), Ref: "refs/heads/main", Outcome: "published", EndedAt: at, Built: len(Services)}
		if random.IntN(4) == 0 {
			run.Ref = "refs/heads/topic"
		}
		again := run
		again.ID, again.Built = fmt.Sprintf("%d-2", 1_000_000_000+i), 1
		for n, j := range jobs[:min(len(jobs), builds-i*len(jobs))] {
			of := &run
			if n == len(jobs)-1 {
				of = &again
			}
			of.Services = append(of.Services, build(random, j, float64(i)/float64(runs)))
		}
		run.Schedule = packed(run.Services)
		for _, r := range []insight.Run{run, again} {
			entries, err := insight.Entries(r)
			if err != nil {
				return nil, err
			}
			all = append(all, entries...)
		}
		if i%rescanned == rescanned-1 {
			entries, err := insight.OfLive(repository, fmt.Sprintf("%d-1", 2_000_000_000+i), live(random, at))
			if err != nil {
				return nil, err
			}
			all = append(all, entries...)
		}
	}
	return all, nil
}

// build is what a job does, after some part of the time.
func build(random *rand.Rand, job job, part float64) insight.Service {
	service, first := job.service, job.platforms[0]
	typical := []float64{42, 75, 18}[service] * (1 + 0.25*part)
	noise := math.Exp(random.NormFloat64() * 0.18)
	installs := random.IntN(8) == 0 // the dependencies have changed
	steps := []insight.Step{
		{Name: "[builder 2/5] COPY package.json package-lock.json ./", Line: 4, Seconds: 0.2, Platform: first, Cached: !installs, Dependency: true},
		{Name: "[builder 3/5] RUN npm ci", Line: 5, Seconds: typical * 0.6, Platform: first, Cached: !installs, Dependency: true},
		{Name: "[builder 4/5] COPY . .", Line: 6, Seconds: 0.4, Platform: first},
		{Name: "[builder 5/5] RUN npm run build", Line: 7, Seconds: typical * 0.5 * noise, Platform: first, Cached: random.IntN(3) == 0},
	}
	s := insight.Service{Name: Services[service], Part: job.part, Kind: "node with npm", Action: "build", Success: random.IntN(30) > 0, Digest: fmt.Sprintf("sha256:%064x", random.Uint64()), Inputs: fmt.Sprintf("sha256:%064x", random.IntN(200)),
		Seconds: map[string]float64{"judge": 6 * noise, "promote": 1.2, "sign": 2.1}, Sizes: map[string]int64{},
		Findings: map[string]int{"CRITICAL": random.IntN(2), "HIGH": 2 + service, "MEDIUM": 9 - int(6*part)}, Tried: true, Healthy: random.IntN(25) > 0, Startup: float64(1+service) * 1.3 * noise, PeakMemory: 90 << 20,
		Situation: learn.Situation{Changes: []string{"sources"}, Platforms: job.platforms, Runner: "ubuntu-latest"},
		Cache:     cache.Use{Policy: cache.Policy{Writes: "actions"}, Tiers: []cache.Gave{{Tier: "actions", Hits: 2, Bytes: 30 << 20, Seconds: 3}}}}
	for i, platform := range job.platforms {
		s.Sizes[platform] = int64(float64(80-2*i+40*service) * 1e6 * (1 + 0.1*part))
	}
	hits := 0
	for _, step := range steps {
		if step.Cached {
			hits++
		} else {
			s.Seconds["build"] += step.Seconds
		}
	}
	s.Account = insight.Account{Steps: steps, HitRate: float64(hits) / float64(len(steps)), DependencyHitRate: float64(hits) / 4}
	if service == 1 {
		s.Account.Advice = []insight.Advice{{Kind: "cache-mount", Line: 5, Seconds: 31, Text: "RUN npm ci in line 5 fetched what earlier builds had: a cache mount for ~/.npm would spare up to 31s"}}
	}
	if !s.Success {
		s.Reasons = []string{"the image has a CRITICAL vulnerability"}
	}
	return s
}
