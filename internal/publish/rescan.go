package publish

import (
	"context"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/verdict"
)

// Rescan judges images that are live, each a service whose digest is given, by what is found in them today. They are
// compared with nothing, so a gate for new findings alone refuses old ones too. It moves nothing, and its verdicts give no right to.
func (p Publisher) Rescan(ctx context.Context, live []plan.Service) []Result {
	results := make([]Result, len(live))
	slots := make(chan struct{}, p.MaxParallel)
	var group sync.WaitGroup
	for i, s := range live {
		results[i] = Result{Plan: s, Seconds: map[string]float64{}}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			p.rescan(ctx, &results[i])
		})
	}
	group.Wait()
	return results
}

func (p Publisher) rescan(ctx context.Context, r *Result) {
	ctx, end := r.step(ctx, "judge")
	defer end()
	begun := time.Now()
	if r.Candidate, r.Err = p.Reuse(ctx, r.Plan, nil); r.Err != nil {
		return
	}
	r.Evidence = verdict.Evidence{Candidate: r.Candidate.Image.Ref, Part: true}
	for _, platform := range r.Candidate.Image.Platforms {
		e := verdict.Platform{Platform: platform.Platform, Digest: platform.Digest.String(), Compressed: platform.Compressed, User: platform.User}
		p.scan(ctx, &e, scan.Target{Image: platformRef(r.Candidate, platform), Platform: platform.Platform, Service: r.Plan.Definition}, scan.Target{})
		r.Evidence.Wanted = append(r.Evidence.Wanted, platform.Platform)
		r.Evidence.Platforms = append(r.Evidence.Platforms, e)
	}
	r.took("judge", begun)
	if r.Err = context.Cause(ctx); r.Err != nil {
		return
	}
	r.Evidence.Database = p.Database()
	r.Evidence.Except(r.Plan.Name, p.Gates.Exceptions, p.Now())
	r.Verdict = verdict.JudgeFindings(r.Evidence, p.Gates)
	p.Tell("%s, %s: %s", r.Plan.Name, r.Plan.Reason, summary(r.Verdict))
}
