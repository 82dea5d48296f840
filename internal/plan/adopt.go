package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/service"
)

// schemaVersion is that of a plan's JSON form.
const schemaVersion = 1

// Adopt takes over a plan that another job of the run made, in its JSON form. The plan must be of the
// commit and ref that are here, and the services in it must be made of the same inputs. What does not
// fit is listed in a service.Problems.
func (p Planner) Adopt(ctx context.Context, data []byte) (Plan, error) {
	var made Plan
	if err := json.Unmarshal(data, &made); err != nil {
		return Plan{}, fmt.Errorf("reading the plan: %w", err)
	}
	var problems service.Problems
	const again = "have all jobs of a run check out the same commit and use the same version of the action"
	switch {
	case made.SchemaVersion != schemaVersion:
		problems.Add("the plan", again, "it has version %d, and this program reads %d", made.SchemaVersion, schemaVersion)
	case made.Commit != p.Event.SHA || made.Ref != p.Event.Ref:
		problems.Add("the plan", again, "it is of commit %s of %s, and here is %s of %s", git.Short(made.Commit), made.Ref, git.Short(p.Event.SHA), p.Event.Ref)
	case made.Pushes != p.Pushes:
		problems.Add("the plan", "give every job the same push and dry-run", "it was made for a run that %s, and this job %s", pushing(made.Pushes), pushing(p.Pushes))
	}
	if len(problems) > 0 {
		return Plan{}, problems
	}
	work, err := p.checkedOut(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("reading what is checked out: %w", err)
	}
	for i := range made.Services {
		if err := p.adopt(ctx, &made.Services[i], work, &problems); err != nil {
			return Plan{}, fmt.Errorf("taking over the plan for %s: %w", made.Services[i].Name, err)
		}
	}
	return made, problems.Err()
}

func pushing(pushes bool) string {
	if pushes {
		return "pushes"
	}
	return "pushes nothing"
}

func (p Planner) adopt(ctx context.Context, s *Service, work *tree, problems *service.Problems) error {
	i := slices.IndexFunc(p.Config.Services, func(d service.Service) bool { return d.Name == s.Name })
	if i < 0 {
		problems.Add("the plan", "give every job the same config", "it has a service %q, which the configuration here has not", s.Name)
		return nil
	}
	s.Definition = p.Config.Services[i]
	s.Platforms = s.Definition.Platforms
	content, err := p.contentOf(ctx, s.Definition, work, s.Bases)
	if err != nil {
		return err
	}
	if inputs(content, s.Bases, s.Needs) != s.Inputs || s.Definition.Image != s.Image {
		problems.Add("the plan", "give every job the same settings, and let no step before this one change files that count",
			"%s is made of other files or settings here than in the job that planned", s.Name)
	}
	return nil
}
