package action

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/report"
)

// planMode says what a run would do.
func planMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	made, err := makePlan(ctx, p, j, log)
	if err != nil {
		return 0, err
	}
	return report.ExitDone, printJSON(p, j, actions.Redacted(made, log.Redact))
}

// allMode is one whole run: plan, build, judge, promote, record.
func allMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	told := report.Report{Program: "ghcr-publish " + p.Version, Commit: j.Event.SHA, Ref: j.Event.Ref, Event: j.Event.Name,
		RunURL: runURL(j.Event), StartedAt: p.Now().UTC().Truncate(time.Second), Severities: j.Config.Gates.Vulnerabilities.Severity}
	begun := time.Now()
	made, err := makePlan(ctx, p, j, log)
	if err != nil {
		return 0, err
	}
	s, err := open(ctx, p, j, log)
	if err != nil {
		return 0, err
	}
	results := s.work(ctx, made)
	told.Notices = s.Close()
	for _, line := range report.Lines(results, j.Config.Gates) {
		log.Printf("%s", line)
	}
	told.Notices = append(told.Notices, s.uploadFindings(ctx, results)...)
	told.Fill(results, j.pushes())
	told = actions.Redacted(told, log.Redact)
	told.Seconds = time.Since(begun).Round(time.Millisecond).Seconds()
	told.MemoryStats, err = s.remember(ctx, told, results)
	if err != nil {
		told.Notices = append(told.Notices, log.Redact(fmt.Sprintf("The memory was not kept: %v", err)))
	}
	return told.ExitCode, s.tell(ctx, told)
}

// makePlan plans, prints the plan and writes its outputs.
func makePlan(ctx context.Context, p Process, j job, log *actions.Log) (plan.Plan, error) {
	made, err := j.planner().Make(ctx)
	if err != nil {
		return made, err
	}
	end := log.Group(fmt.Sprintf("Plan: %d of %d services need work", len(made.Work()), len(made.Services)))
	for _, s := range made.Services {
		log.Printf("%s: %s, %s", s.Name, s.Action, s.Reason)
		if s.Base.SHA != "" {
			log.Printf("  compared with %s because %s", s.Base.SHA, s.Base.Why)
		}
		log.Printf("  tags: %s", cmp.Or(strings.Join(s.TagSet.Names(), ", "), "none"))
		for _, silent := range s.TagSet.Silent {
			log.Printf("  no tag from %s", silent)
		}
	}
	end()
	data, err := report.JSON(actions.Redacted(made, log.Redact))
	if err != nil {
		return made, err
	}
	if err := writeFile(j.Config.PlanFile, data); err != nil {
		return made, err
	}
	matrix, err := json.Marshal(made.Matrix)
	if err != nil {
		return made, fmt.Errorf("writing the matrix: %w", err)
	}
	return made, writeOutputs(p, [][2]string{
		{"matrix", string(matrix)}, {"has-work", fmt.Sprint(len(made.Work()) > 0)}, {"plan", hostPath(ctx, p, j.Config.PlanFile)}})
}

// work does the plan's work, inside one group of the log.
func (s *session) work(ctx context.Context, made plan.Plan) []publish.Result {
	work := made.Work()
	if len(work) > 0 {
		defer s.log.Group(fmt.Sprintf("Build and judge %d services", len(work)))()
	}
	publisher := s.publisher(ctx, made)
	if builds := made.Builds(); len(builds) > 0 {
		if err := s.startBuilder(ctx, builds); err != nil {
			// What needs no builder is judged all the same.
			publisher.Build = func(context.Context, plan.Service) (publish.Candidate, error) { return publish.Candidate{}, err }
		}
	}
	return publisher.Run(ctx, made)
}
