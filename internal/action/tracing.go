package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/telemetry"
	"golang.org/x/sync/errgroup"
)

// leastKey is how long a header's value is at least that is taken for a secret. What is shorter names a tenant, which may be in anything that is told.
const leastKey = 16

// maskTracing keeps what opens a collector's door out of the log.
func maskTracing(p Process, log *actions.Log) {
	for _, secret := range telemetry.Secrets(p.Getenv) {
		if len(secret) >= leastKey {
			log.Mask(secret)
		}
	}
}

// traced runs a mode, and tells a collector of it where one is asked for. That it could not is no fault of the run.
func traced(ctx context.Context, p Process, j job, log *actions.Log, began time.Time, run func(context.Context, job) (int, error)) (int, error) {
	ctx, sender, err := telemetry.Open(ctx, p.Getenv, log.Redact, j.traceRun(p, began))
	if errors.Is(err, telemetry.ErrSetting) {
		return 0, settingProblem(err)
	}
	if err != nil {
		return 0, err
	}
	j.tracing = sender
	code, err := run(ctx, j)
	if failure := sender.Close(ctx, ended(code, err)); failure != nil {
		log.Warning(actions.Annotation{Title: "Traces", Message: fmt.Sprintf("not all steps of this run reached the OpenTelemetry collector: %v. %s", failure, collectorAdvice)})
	}
	return code, err
}

const collectorAdvice = "Look at OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS; nothing else depends on it"

func settingProblem(err error) error {
	var problems service.Problems
	problems.Add("the environment", "correct it, or unset it to send nothing", "%v", err)
	return problems
}

// ended is what a run failed by; nil where it did not.
func ended(code int, err error) error {
	switch {
	case err != nil:
		return err
	case code == report.ExitRefused:
		return errors.New("a gate refused an image")
	case code != report.ExitDone:
		return fmt.Errorf("exit code %d", code)
	}
	return nil
}

// traceRun is what a trace says of where it comes from.
func (j job) traceRun(p Process, began time.Time) telemetry.Run {
	e := j.Event
	_, ref, _ := strings.Cut(strings.TrimPrefix(e.Ref, "refs/"), "/") // heads/main
	r := telemetry.Run{Version: p.Version, Name: "ghcr-publish " + j.Config.Mode, Began: began, Workflow: p.Getenv("GITHUB_WORKFLOW"), Job: p.Getenv("GITHUB_JOB"),
		ID: e.RunID, Attempt: e.Attempt, URL: runURL(e), Ref: ref, Commit: e.SHA}
	if e.Repository != "" {
		r.Repository = e.ServerURL + "/" + e.Repository
	}
	return r
}

// recordsTime bounds how long a run that is done asks its builder for records, and for each of them.
const recordsTime, recordTime = 10 * time.Second, time.Second

// traceBuilds keeps what BuildKit has recorded of the run's builds for the trace. A builder that keeps no records has nothing to tell.
func (s *session) traceBuilds(ctx context.Context) {
	if s.job.tracing == nil || s.buildx == nil {
		return
	}
	builds := s.builds()
	ctx, cancel := context.WithTimeout(ctx, recordsTime+time.Duration(len(builds))*recordTime)
	defer cancel()
	var all errgroup.Group
	all.SetLimit(s.job.Config.MaxParallel)
	for _, ref := range builds {
		all.Go(func() error {
			recorded, err := s.buildx.Trace(ctx, s.builder, ref)
			if err == nil {
				err = s.job.tracing.Keep(recorded)
			}
			if err != nil {
				s.log.Printf("what BuildKit did in a build is not in the trace: %v", err)
			}
			return nil
		})
	}
	_ = all.Wait()
}
