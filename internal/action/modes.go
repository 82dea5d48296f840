package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/telemetry"
)

// allMode is one whole run in one job: plan, build, judge, promote, record.
func allMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	begun := p.Now()
	made, err := makePlan(ctx, p, j, log)
	if err == nil {
		err = j.checkRelease(made.Services)
	}
	if err != nil {
		return 0, err
	}
	s, err := open(ctx, p, j, log, begun)
	if err != nil {
		return 0, err
	}
	s.planning = publish.Span{Part: "plan", Began: begun, Seconds: made.Seconds}
	s.join(ctx, alone, "publish", made.Services, nil)
	results := s.work(ctx, made.Services)
	told, seen := s.publish(ctx, begun, results, made.Notices)
	learnt, err := insight.Entries(s.learnt(told, results))
	return s.record(ctx, told, append(learnt, seen...), err)
}

// publish decides on what was judged, moves tags, and does whatever follows a publication. It tells of all that, with what cleaning up learnt.
func (s *session) publish(ctx context.Context, begun time.Time, results []publish.Result, notices []string) (told report.Report, seen []memory.Entry) {
	s.publisher().Decide(ctx, results)
	s.say(ctx, results, "")
	s.finish(ctx, results)
	s.mirror(ctx, results)
	composed := s.compose(ctx, results)
	told = s.conclude(ctx, begun, results, notices)
	told.Compose = composed
	s.release(ctx, &told, results)
	s.comment(ctx, &told)
	return told, s.cleanAfter(ctx, &told)
}

// planMode says what a run would do, and hands the plan to the jobs that do it.
func planMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	made, err := makePlan(ctx, p, j, log)
	if err != nil {
		return 0, err
	}
	made.Said = j.planned(ctx, p, log, made)
	made = actions.Redacted(made, log.Redact)
	ref, err := handOverPlan(ctx, p, j, made)
	if errors.Is(err, errNoHandover) && (!j.onRunner() || j.Config.Handover == "none") {
		err = nil // and nobody expects one
	}
	if err != nil {
		return 0, err
	}
	if err := writeOutputs(p, [][2]string{{"plan-ref", ref}}); err != nil {
		return 0, err
	}
	made.Said = nil // to the other jobs
	log.Answer("%s", planAnswer(made))
	return report.ExitDone, printJSON(p, j, made)
}

// publishMode works on one row of the matrix, moves no tag, and hands over what it made.
func publishMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	begun := p.Now()
	between, made, err := takeOver(ctx, p, j)
	if err != nil {
		return 0, err
	}
	row, ok := made.Row(j.Config.Row)
	if !ok {
		return 0, noSuchRow(j.Config.Row, made)
	}
	s, err := open(ctx, p, j, log, made.StartedAt)
	if err != nil {
		return 0, err
	}
	s.runner = row.Runner
	s.join(ctx, rowAgent(row.Row), "build and judge", made.Share(row), made.Said)
	results := s.work(ctx, made.Share(row))
	s.say(ctx, results, finalizer)
	for i := range results {
		results[i].Held = "the job that finalizes moves it"
	}
	told := s.conclude(ctx, begun, results, nil)
	told.Row = row.Row
	learnt, err := insight.OfServices(s.learnt(told, results))
	if err != nil {
		told.Notices, learnt = append(told.Notices, log.Redact(fmt.Sprintf("Nothing goes to the memory: %v", err))), nil
	}
	learnt = append(learnt, s.ofCoordination()...)
	told.Notices = append(told.Notices, s.handIn(ctx, learnt)...)
	fragment := actions.Redacted(publish.NewFragment(row.Row, j.Event.SHA, j.Event.Attempt, results, learnt), log.Redact)
	fragment.Said = actions.Redacted(s.member.written, log.Redact)
	sending, done := lastWords(ctx)
	defer done()
	ref, err := between.saveFragment(sending, fragment)
	if err != nil {
		return 0, errors.Join(err, s.tell(ctx, told))
	}
	if err := writeOutputs(p, [][2]string{{"fragment", ref}}); err != nil {
		return 0, err
	}
	return told.ExitCode, s.tell(ctx, told)
}

// finalizeMode puts together what the rows made, judges and promotes the whole, and records.
func finalizeMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	now := p.Now()
	between, made, err := takeOver(ctx, p, j)
	if err == nil {
		err = j.checkRelease(made.Services)
	}
	if err != nil {
		return 0, err
	}
	fragments, err := between.fragments(ctx, made)
	if err != nil {
		return 0, err
	}
	begun := publish.Began(made, fragments, j.Event.Attempt, now)
	s, err := open(ctx, p, j, log, begun)
	if err != nil {
		return 0, err
	}
	s.planning = publish.Span{Part: "plan", Began: made.StartedAt, Seconds: made.Seconds}
	said := made.Said
	for _, row := range made.Matrix.Include {
		said = append(said, fragments[row.Row].Said...)
	}
	s.join(ctx, finalizer, "promote", made.Services, said)
	results := s.publisher().Join(ctx, made, fragments)
	told, seen := s.publish(ctx, begun, results, made.Notices)
	entries, err := insight.OfRun(s.learnt(told, results))
	entries = append(entries, seen...)
	for _, row := range made.Matrix.Include {
		if f := fragments[row.Row]; f.Attempt >= made.Attempt {
			entries = append(entries, f.Learnt...)
		}
	}
	return s.record(ctx, told, entries, err)
}

// lastWords lets a cancelled row still hand over why it ended, before the runner loses patience.
func lastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
}

func noSuchRow(name string, made plan.Plan) error {
	var problems service.Problems
	var rows []string
	for _, r := range made.Matrix.Include {
		rows = append(rows, r.Row)
	}
	problems.Add("row", "give `row: ${{ matrix.row }}` in a job whose matrix is the plan's", "the plan has no row %q; it has %s", name, cmp.Or(strings.Join(rows, ", "), "none"))
	return problems
}

// makePlan plans, prints the plan and writes its outputs.
func makePlan(ctx context.Context, p Process, j job, log *actions.Log) (plan.Plan, error) {
	planner := j.planner()
	planner.Now = p.Now()
	j.remembering(ctx, p, &planner)
	ctx, end := telemetry.Start(ctx, "plan")
	made, err := planner.Make(ctx)
	end(err)
	if err != nil {
		return made, err
	}
	made.Seconds = p.Now().Sub(planner.Now).Seconds()
	tellPlan(made, j.Config.MaxParallel, log)
	shown := actions.Redacted(made, log.Redact)
	if err := errors.Join(writeJSON(j.Config.PlanFile, shown), writeJSON(j.bakeFile(), shown.Bake(j.Event.Levels))); err != nil {
		return made, err
	}
	matrix, err := actions.MaskProof(made.Matrix, false)
	if err != nil {
		return made, err
	}
	if len(matrix) > mostOutput {
		return made, fmt.Errorf("the matrix is %d characters long, and GitHub keeps %d of a job's outputs; consider fewer services at once, with `only`", len(matrix), mostOutput)
	}
	return made, writeOutputs(p, [][2]string{{"matrix", matrix}, {"max-parallel", fmt.Sprint(j.Config.MaxParallel)}, {"fail-fast", fmt.Sprint(j.Config.FailFast)},
		{"has-work", fmt.Sprint(len(made.Work()) > 0)}, {"plan", hostPath(ctx, p, j.Config.PlanFile)}, {"bake-file", hostPath(ctx, p, j.bakeFile())}})
}

// mostOutput is how many characters of outputs GitHub keeps for a job: a megabyte, two bytes each.
// https://docs.github.com/en/actions/reference/limits#existing-system-limits
const mostOutput = 500_000

// planAnswer is a plan in one line.
func planAnswer(made plan.Plan) string {
	var doing []string
	for _, s := range made.Work() {
		doing = append(doing, fmt.Sprintf("%s (%s)", s.Name, s.Action))
	}
	return fmt.Sprintf("%d of %d services need work: %s", len(doing), len(made.Services), cmp.Or(strings.Join(doing, ", "), "none"))
}

func tellPlan(made plan.Plan, parallel int, log *actions.Log) {
	defer log.Group(fmt.Sprintf("Plan: %d of %d services need work", len(made.Work()), len(made.Services)))()
	for _, notice := range made.Notices {
		log.Warning(actions.Annotation{Title: "Plan", Message: notice})
	}
	log.Printf("services: %s", made.Origin())
	if expected := expectedOf(made, parallel); expected != "" {
		log.Printf("expected to take %s", expected)
	}
	for _, s := range made.Services {
		log.Printf("%s: %s, %s", s.Name, s.Action, s.Reason)
		if s.Base.SHA != "" {
			log.Printf("  compared with %s because %s", s.Base.SHA, s.Base.Why)
		}
		if s.Expected != nil {
			log.Printf("  expected to take %s", s.Expected)
		}
		tellChoices(s, log)
		tellBases(s, log)
		if s.Action != plan.Skip {
			tellPeers(s.Definition, log)
		}
		log.Printf("  tags: %s", cmp.Or(strings.Join(s.TagSet.Names(), ", "), "none"))
		for _, tag := range s.TagSet.Tags {
			if tag.Repaired != "" {
				log.Printf("  tag %s was made of %q, which is no tag, from %s", tag.Name, tag.Repaired, tag.Rule)
			} else {
				log.Printf("  tag %s from %s", tag.Name, tag.Rule)
			}
			if len(tag.Name) > tags.LongestLabel {
				log.Printf("  tag %s has %d characters: Kubernetes takes no more than %d where a chart makes a label of it", tag.Name, len(tag.Name), tags.LongestLabel)
			}
		}
		for _, silent := range s.TagSet.Silent {
			log.Printf("  no tag from %s", silent)
		}
	}
}

// tellChoices says where a service is built for each platform, and what that is expected to cost. Where all is built alike by this machine, there is no choice to tell of.
func tellChoices(s plan.Service, log *actions.Log) {
	if !slices.ContainsFunc(s.Choices, func(c plan.Choice) bool { return c.Emulated || c.Runner != "" }) {
		return
	}
	for _, c := range s.Choices {
		here, elsewhere := "natively", "by emulation"
		if c.Emulated {
			here, elsewhere = elsewhere, here
		}
		if c.Runner != "" {
			here += " on " + c.Runner
		}
		text := fmt.Sprintf("  for %s %s", c.Platform, here)
		if c.Seconds > 0 {
			text += fmt.Sprintf(", which took about %s of instructions lately", about(c.Seconds))
		}
		if c.Otherwise > 0 {
			text += fmt.Sprintf("; %s it took %s", elsewhere, about(c.Otherwise))
		}
		log.Printf("%s", text)
	}
}

// about is a time of some seconds, to the tenth.
func about(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond)
}

// tellPeers says what a service is tried out with, and what that is not given.
func tellPeers(s service.Service, log *actions.Log) {
	for _, p := range s.Peers {
		log.Printf("  tried out with %s, of %s", p.Name, p.Image)
		if len(p.Withheld) > 0 {
			log.Printf("    which is not given its %s", strings.Join(p.Withheld, ", "))
		}
	}
}

// tellBases says what a service is made from, as far as that is known.
func tellBases(s plan.Service, log *actions.Log) {
	for _, b := range s.Bases {
		switch {
		case b.Service != "" && b.Digest == "":
			log.Printf("  made from the image of %s", b.Service)
		case b.Digest != "":
			log.Printf("  made from %s, which is %s", b.Ref, b.Digest)
		default:
			log.Printf("  made from %s, whichever the builder finds: %s", b.Ref, cmp.Or(b.Unread, "it was not asked for"))
		}
	}
}

// work builds and judges services, and tells meanwhile how far it is.
func (s *session) work(ctx context.Context, services []plan.Service) []publish.Result {
	work, builds := plan.Plan{Services: services}.Work(), plan.Plan{Services: services}.Builds()
	if len(work) == 0 {
		return s.publisher().Work(ctx, services)
	}
	s.alone = len(work) == 1
	s.underway.expect(work, s.job.Config.MaxParallel)
	defer s.underway.tell(s.log.Printf)()
	var looking sync.WaitGroup
	looking.Go(func() { s.preflight(ctx) })
	defer looking.Wait()
	defer s.networked(ctx, len(builds) > 0)()
	publisher := s.publisher()
	scanner := s.startScanner(ctx)
	publisher.Scan, publisher.Database = scanner.Scan, scanner.Database
	// A digest that is used again needs no builder, unless it is refused.
	start := sync.OnceValue(func() error {
		s.prepareCaches(ctx)
		return s.startBuilder(ctx, work)
	})
	if len(builds) > 0 {
		looking.Go(func() { _ = start() }) // what needs no builder is judged meanwhile, and all the same
	}
	publisher.Build = func(ctx context.Context, service plan.Service, made map[string]publish.Candidate) (publish.Candidate, error) {
		if err := start(); err != nil {
			return publish.Candidate{}, err
		}
		return s.build(ctx, service, made)
	}
	return publisher.Work(ctx, services)
}

// conclude ends the work and tells of it in a report.
func (s *session) conclude(ctx context.Context, begun time.Time, results []publish.Result, notices []string) report.Report {
	e := s.job.Event
	told := report.Report{Program: "ghcr-publish " + s.process.Version, Commit: e.SHA, Ref: e.Ref, Event: e.Name, RunURL: runURL(e),
		StartedAt: begun.UTC().Truncate(time.Second), Severities: s.job.Config.Gates.Vulnerabilities.Severity}
	s.member.leave(ctx)
	s.traceBuilds(ctx)
	told.Notices = slices.Concat(notices, s.notices, s.Close())
	if database := report.Database(results); !database.Updated.IsZero() {
		s.log.Printf("vulnerability database of %s", database)
	}
	if s.job.Config.Mode != "rescan" { // which tries nothing out
		for _, line := range report.Lines(results, s.job.Config.Gates) {
			s.log.Printf("%s", line)
		}
	}
	whole := s.job.Config.Mode != "publish" // what a row found is told of, uploaded and promoted with the rest
	if whole {
		if unscanned := report.Unscanned(results); unscanned != "" {
			s.log.Warning(actions.Annotation{Title: "Scanning", Message: unscanned})
		}
		told.Notices = append(told.Notices, s.uploadFindings(ctx, results)...)
	}
	told.Fill(results, whole && s.job.pushes() && s.job.Config.Mode != "rescan")
	told.Timeline = report.Timeline(told.StartedAt, s.planning, results)
	told.AddMirrors(s.mirrored)
	s.judgeByHistory(&told, results)
	told = actions.Redacted(told, s.log.Redact)
	told.Seconds = s.process.Now().Sub(begun).Round(time.Millisecond).Seconds()
	return told
}
