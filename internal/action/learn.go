package action

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// expecting has a planner expect of builds what those that are remembered tell: the service's own, or else those of its kind.
func (j job) expecting(history learn.History, p Process) func(plan.Service, []string, string) learn.Expectation {
	learner := learn.NewLearner(history)
	return func(s plan.Service, platforms []string, runner string) learn.Expectation {
		if j.Config.Mode != "plan" {
			runner = j.runner()
		}
		next := situation(s, platforms)
		next.At, next.Runner = p.Now(), runner
		if e := learner.Expect(s.Name, next); e.Known() {
			return e
		}
		return history.Guess(j.kind(s.Definition))
	}
}

// runner names the machine that does a whole run's work, so that what it takes is compared with its like.
func (j job) runner() string { return cmp.Or(j.Event.Runner, j.Event.Name) + " " + runtime.GOARCH }

// situation is what a plan knows of a build.
func situation(s plan.Service, platforms []string) learn.Situation {
	var bases []string
	for _, b := range s.Bases {
		bases = append(bases, b.Digest)
	}
	return learn.Situation{Changes: insight.Changes(s.Base.SHA, s.Changed, s.Definition.Dockerfile), Bases: insight.Fingerprint(bases),
		Platforms: slices.Sorted(slices.Values(platforms))}
}

// situation is what was known of a build, and what layers it found.
func (s *session) situation(r publish.Result) learn.Situation {
	known := situation(r.Plan, r.Plan.Platforms)
	known.Cache, known.Runner = insight.Layers(s.newBuilder, r.Candidate.Cache), s.runner
	return known
}

// kind is what a service is made by; empty where its Dockerfile does not tell.
func (j job) kind(d service.Service) string {
	text := []byte(d.Inline)
	if d.Inline == "" {
		text, _ = j.readFile(d.Dockerfile) // without it the build says so
	}
	return insight.Kind(text, outline(d, d.Platforms))
}

// outline is what decides which stages of its Dockerfile a service is made by.
func outline(d service.Service, platforms []string) dockerfile.Options {
	return dockerfile.Options{Target: d.Target, Args: d.BuildArgs, Platforms: platforms, Contexts: slices.Sorted(maps.Keys(d.Contexts))}
}

// tried reports whether an image was started, and not only taken to be as it was before.
func tried(p verdict.Probe) bool { return p.Failure != "" || p.Healthy && p.Started > 0 }

// judgeByHistory says what is unusual about builds and trials. It is advice.
func (s *session) judgeByHistory(told *report.Report, results []publish.Result) {
	for i, r := range results {
		service := &told.Services[i]
		learnt := learntOf(r, *service)
		if r.Plan.Action == plan.Build && r.Err == nil {
			learnt.Situation.Platforms = situation(r.Plan, r.Plan.Platforms).Platforms
			service.Anomaly = s.history().Anomaly(learnt.Learn(s.process.Now()))
			service.ExpectedSteps = expectedSteps(s.history().Steps(service.Name), service.Steps)
		}
		if learnt.Tried {
			health := s.trials.Health(learnt.Trial())
			service.Health = &health
		}
	}
	for _, line := range told.Remarks() {
		s.log.Printf("%s", line)
	}
}

// expectedSteps are how long those of a build's steps were expected to take that were worked on.
func expectedSteps(all map[string]learn.Expectation, steps []insight.Step) map[string]learn.Expectation {
	worked := map[string]learn.Expectation{}
	for _, step := range steps {
		if e := all[step.Name]; e.Known() && !step.Cached {
			worked[step.Name] = e
		}
	}
	return worked
}

// ofCoordination is what later runs learn of what working together cost this job.
func (s *session) ofCoordination() []memory.Entry {
	s.figures.Conflicts = s.job.memory.conflicts()
	entries, err := insight.OfCoordination(s.job.Event.Repository, strings.TrimSuffix(runID(s.job.Event, s.begun)+"@"+s.job.Config.Row, "@"), s.figures)
	if err != nil { // and it is worth no more
		s.log.Printf("%v", err)
	}
	return entries
}

// expectedOf tells how long a plan is expected to take with so many services at the same time; empty where nobody remembers.
func expectedOf(made plan.Plan, parallel int) string {
	var whole [3][]float64 // seconds that are expected, and between which
	unknown := 0
	for _, s := range made.Builds() {
		if s.Expected == nil {
			unknown++
			continue
		}
		for i, seconds := range []float64{s.Expected.Seconds, s.Expected.Low, s.Expected.High} {
			whole[i] = append(whole[i], seconds)
		}
	}
	if len(whole[0]) == 0 {
		return ""
	}
	for i := range whole {
		slices.Sort(whole[i])
		slices.Reverse(whole[i])
	}
	told := fmt.Sprintf("%s (%s to %s), %d at a time", learn.Text(learn.Makespan(whole[0], parallel)), learn.Text(learn.Makespan(whole[1], parallel)),
		learn.Text(learn.Makespan(whole[2], parallel)), parallel)
	if unknown > 0 {
		told += fmt.Sprintf("; nothing is known of %d more", unknown)
	}
	return told
}
