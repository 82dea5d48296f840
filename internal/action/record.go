package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/telemetry"
)

// record keeps what the run learnt and tells of the run.
func (s *session) record(ctx context.Context, told report.Report, learnt []memory.Entry, err error) (int, error) {
	stats, notices := s.keepLearnt(ctx, learnt, err)
	told.MemoryStats, told.Notices = stats, append(told.Notices, notices...)
	s.figures.Conflicts = s.job.memory.conflicts()
	told.Coordination = learn.Coordinate(append(s.before, s.figures))
	return told.ExitCode, s.tell(ctx, told)
}

// keepLearnt keeps what the run learnt for itself and for later runs, unless that could not be put together, and tells what of it was lost. Losing insights
// costs time, never safety.
func (s *session) keepLearnt(ctx context.Context, learnt []memory.Entry, err error) (stats memory.Stats, notices []string) {
	ctx, end := telemetry.Start(ctx, "remember")
	defer func() { end(err) }()
	if err == nil {
		stats, err = s.remember(ctx, learnt)
	}
	notices = s.lost("kept", err)
	if err == nil {
		notices = append(notices, s.lost("shared", s.shareMemory(ctx))...)
		notices = append(notices, s.lost("kept for later runs", s.keepMemory(ctx))...)
	}
	return stats, notices
}

// lost says that the memory was not kept, or whatever was to be done with it.
func (s *session) lost(done string, err error) []string {
	if err == nil {
		return nil
	}
	return []string{s.log.Redact(fmt.Sprintf("The memory was not %s: %s", done, strings.ReplaceAll(hint(err).Error(), "\n", "; ")))}
}

func (s *session) remember(ctx context.Context, entries []memory.Entry) (stats memory.Stats, err error) {
	stats.SuccessRate = "100%"
	if s.job.Config.Memory == "off" {
		return stats, nil
	}
	store, err := s.job.openMemory(ctx, s.process, s.log, s.job.memoryPath())
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	refused, err := putAll(ctx, store, append(entries, s.ofCoordination()...))
	s.figures.Count(err)
	if err := errors.Join(err, s.endSession(ctx, store)); err != nil {
		return stats, err
	}
	if len(refused) > 0 {
		s.log.Warning(actions.Annotation{Title: "Memory", Message: fmt.Sprintf("%d insights were not kept; the first: %v", len(refused), refused[0])})
	}
	if _, err := store.Purge(ctx); err != nil {
		return stats, err
	}
	return store.Stats(ctx)
}

// putAll writes entries, but for those that the memory refuses, and tells why it does.
func putAll(ctx context.Context, store *memory.Store, entries []memory.Entry) (refused []error, err error) {
	var why *memory.Refused
	if err = store.Put(ctx, entries...); !errors.As(err, &why) {
		return nil, err
	}
	for _, e := range entries {
		if err = store.Put(ctx, e); errors.As(err, &why) {
			refused = append(refused, err)
		} else if err != nil {
			return refused, err
		}
	}
	return refused, nil
}

// learnt picks from the results what later runs can use.
func (s *session) learnt(told report.Report, results []publish.Result) insight.Run {
	run := insight.Run{ID: runID(s.job.Event, told.StartedAt), Repository: s.job.Event.Repository, Commit: told.Commit, Ref: told.Ref, Outcome: told.Outcome,
		EndedAt: told.StartedAt.Add(time.Duration(told.Seconds * float64(time.Second))), Seconds: told.Seconds}
	for i, r := range results {
		if r.Plan.Action == plan.Skip {
			continue
		}
		if r.Plan.Action == plan.Build {
			run.Built++
		}
		learnt := learntOf(r, told.Services[i])
		learnt.Args, learnt.Emulated = s.fingerprints(r.Plan), s.emulated(r.Plan.Platforms)
		if r.Plan.Action == plan.Build {
			learnt.Kind, learnt.Situation = s.job.kind(r.Plan.Definition), s.situation(r)
		}
		learnt.Part = partOf(r.Plan)
		run.Services = append(run.Services, learnt)
	}
	if packed := s.packed(told.Timeline, results); packed.Known() {
		run.Schedule = &packed
	}
	return actions.Redacted(run, s.log.Redact)
}

// packed tells how what a run built and judged was packed. In one job building and judging take turns of their own; rows of the matrix do one after the other.
func (s *session) packed(timeline []report.Span, results []publish.Result) learn.Schedule {
	var pieces []learn.Piece
	after := map[string][]string{}
	for _, span := range timeline {
		if !slices.Contains([]string{string(plan.Build), string(plan.Reuse), "judge"}, span.Part) {
			continue
		}
		p := learn.Piece{Of: span.Service + " " + strings.Join(span.Platforms, " "), Start: span.Start, Seconds: span.Seconds}
		if s.job.Config.Mode == "all" && span.Part == "judge" {
			p.Turn = span.Part
		}
		pieces = append(pieces, p)
		for _, base := range basesOf(results, span.Service) {
			after[p.Of] = append(after[p.Of], base+" "+strings.Join(span.Platforms, " "))
		}
	}
	return learn.Pack(pieces, after, s.job.Config.MaxParallel)
}

// basesOf are the services of a run whose images one is made from.
func basesOf(results []publish.Result, service string) (names []string) {
	for _, r := range results {
		for _, b := range r.Plan.Bases {
			if r.Plan.Name == service && b.Service != "" && b.Service != service && b.Digest == "" {
				names = append(names, b.Service)
			}
		}
	}
	return names
}

// emulated are those of some platforms that this machine builds for by emulation. Builders that the user brings are taken to be of the platforms that they
// build for.
func (s *session) emulated(platforms []string) []string {
	if len(s.job.Config.Builders) > 0 || s.adopted {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(platforms), func(p string) bool { return plan.RunsOn(s.native, p) })
}

func learntOf(r publish.Result, told report.Service) insight.Service {
	learnt := insight.Service{Name: told.Name, Action: told.Action, Success: r.Approved(), Reasons: told.Verdict.Reasons, Digest: told.Digest, Inputs: r.Plan.Inputs,
		Seconds: told.Seconds, Account: r.Candidate.Account, Cache: r.Candidate.Cache, Sizes: map[string]int64{}, Findings: map[string]int{},
		Tried: tried(r.Evidence.Probe), Healthy: told.Healthy, Startup: told.StartupSeconds, PeakMemory: told.PeakMemoryBytes, CPU: told.CPUSeconds, Processes: told.Processes, Route: told.Route}
	if failure, _, _ := strings.Cut(told.Error, "\n"); failure != "" {
		learnt.Reasons = append(slices.Clone(learnt.Reasons), failure)
	}
	learnt.Account.Steps = slices.DeleteFunc(slices.Clone(learnt.Account.Steps), func(s insight.Step) bool { return !s.Instruction() })
	for _, p := range told.Platforms {
		learnt.Sizes[p.Platform] = p.CompressedBytes
		for severity, n := range p.Counts {
			learnt.Findings[severity] += n
		}
	}
	return learnt
}

func runID(e actions.Event, started time.Time) string {
	if e.RunID != "" {
		return fmt.Sprintf("%s-%d", e.RunID, e.Attempt)
	}
	return fmt.Sprintf("local-%d", started.Truncate(time.Second).UnixNano())
}

func runURL(e actions.Event) string {
	if e.RunID == "" || e.Repository == "" {
		return ""
	}
	return fmt.Sprintf("%s/%s/actions/runs/%s", e.ServerURL, e.Repository, e.RunID)
}

// tell writes report, annotations, summary and outputs. One that cannot be written, on a full disk say, is no reason not to tell by the others.
func (s *session) tell(ctx context.Context, told report.Report) error {
	written := writeJSON(s.job.Config.Report, told)
	for _, service := range told.Services {
		for _, reason := range append(service.Verdict.Reasons, service.Error) {
			if reason != "" {
				s.log.Error(actions.Annotation{Title: s.badNews(service), File: s.dockerfile(service.Name), Message: reason})
			}
		}
		if !s.job.onRunner() {
			s.tellNext(service)
		}
	}
	s.log.Answer("%s", told.Answer())
	if !s.job.onRunner() && written == nil {
		s.log.Printf("The report is %s.", s.job.Config.Report)
	}
	return errors.Join(written, actions.AppendSummary(s.process.Getenv("GITHUB_STEP_SUMMARY"), told.Summary()), s.writeToldOutputs(ctx, told), printJSON(s.process, s.job, told))
}

// writeToldOutputs writes what later steps and jobs are to know of a run.
func (s *session) writeToldOutputs(ctx context.Context, told report.Report) error {
	digests := map[string]string{}
	for _, service := range told.Services {
		if s.job.Config.Mode == "rescan" {
			break // which looks at several images of one service
		}
		digests[service.Name] = service.Digest
	}
	digestJSON, err := actions.MaskProof(digests, true)
	if err != nil {
		return err
	}
	stats, err := json.Marshal(map[string]any{"memory_stats": told.MemoryStats})
	if err != nil {
		return fmt.Errorf("writing outputs: %w", err)
	}
	outputs := [][2]string{{"outcome", told.Outcome}, {"digests", digestJSON},
		{"report", hostPath(ctx, s.process, s.job.Config.Report)}, {"release-url", told.ReleaseURL}, {"memory-stats", string(stats)}}
	if told.Cleaning != nil {
		outputs = append(outputs, [2]string{"deleted", deletedBy(*told.Cleaning)})
	}
	if told.Compose != nil {
		outputs = append(outputs, [2]string{"compose-file", hostPath(ctx, s.process, told.Compose.File)})
	}
	return writeOutputs(s.process, outputs)
}

// tellNext says in the log what a person does about a refusal, and what the container wrote. On a runner the run's summary does.
func (s *session) tellNext(service report.Service) {
	for _, next := range service.Verdict.Next {
		s.log.Printf("  ➜ %s", next)
	}
	for _, line := range service.Log {
		s.log.Printf("  │ %s", line)
	}
}

// badNews is the title of what is wrong with a service.
func (s *session) badNews(service report.Service) string {
	if s.job.Config.Mode == "rescan" {
		return service.Name + ", " + service.Reason + ", would be refused"
	}
	return service.Name + " was not published"
}

func (s *session) dockerfile(service string) string {
	for _, d := range s.job.Config.Services {
		if d.Name == service {
			return d.Dockerfile
		}
	}
	return ""
}

// remembered is how many entries of a kind are looked at to tell what is usual.
const remembered = 2000

// recall reads the newest entries of some namespaces of the memory. Without one, or with a broken one, nothing is known, which
// costs time alone.
func (j job) recall(ctx context.Context, p Process, namespaces ...string) map[string][]memory.Entry {
	path := j.memoryPath()
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	store, err := memory.Open(ctx, path, p.Now)
	if err != nil {
		return nil
	}
	defer store.Close()
	found := map[string][]memory.Entry{}
	for _, namespace := range namespaces {
		if found[namespace], err = store.List(ctx, namespace, remembered); err != nil {
			return nil
		}
	}
	return found
}

// fingerprints stand for a service's build arguments. One that holds a secret has none.
func (s *session) fingerprints(of plan.Service) map[string]string {
	args := maps.Clone(of.Definition.BuildArgs)
	maps.DeleteFunc(args, func(_, value string) bool { return s.log.Redact(value) != value })
	return insight.Fingerprints(args)
}

// remind reads what the memory knows of services.
func (s *session) remind(ctx context.Context) {
	known := s.job.recall(ctx, s.process, append(insight.Namespaces(), "coordination")...)
	builds, caches := known["builds"], known["cache"]
	s.history = sync.OnceValue(func() learn.History { return insight.History(s.job.Event.Repository, builds, caches) })
	s.known = insight.Known{}
	for namespace, entries := range known {
		s.known[namespace] = insight.Own(entries, s.job.Event.Repository)
	}
	known = s.known
	s.trials, s.before = insight.Trials(known["validations"]), insight.Coordination(known["coordination"])
	s.usual, s.found = insight.Usual(known["builds"], known["validations"], known["scans"]), insight.Found(known["scans"])
	s.args, s.worth = insight.Args(known["builds"]), insight.Worth(known["cache"])
}
