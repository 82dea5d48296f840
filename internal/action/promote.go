package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/promote"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"golang.org/x/sync/errgroup"
)

// promoteMode points a tag of services to images that there are: under another tag, by digest, or where it pointed before. Each
// is judged first, and no tag moves before all are approved.
func promoteMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	begun := p.Now()
	s, err := open(ctx, p, j, log, begun)
	if err != nil {
		return 0, err
	}
	services, entry, err := s.promotion(ctx)
	if err != nil {
		return 0, errors.Join(hint(err), notices(s.Close()))
	}
	s.tellPromotion(services)
	results := s.work(ctx, services)
	publisher := s.publisher()
	if j.Config.AcceptRefused && accept(results) {
		publisher.Sign = nil
	}
	publisher.PerService = false
	publisher.Begin, publisher.End = s.writeDown(entry)
	publisher.Decide(ctx, results)
	tellAccepted(results)
	s.takenBack(ctx, services, entry)
	s.finish(ctx, results)
	s.mirror(ctx, results)
	s.deployed(ctx, results)
	told := s.conclude(ctx, begun, results, nil)
	told.To = j.Config.To
	return s.record(ctx, told, nil, nil)
}

// checkPromotion finds what does not belong together in what is asked of mode promote.
func (j job) checkPromotion(problems *service.Problems) {
	c := j.Config
	if c.Mode != "promote" {
		for setting, given := range map[string]bool{"from": c.PromoteFrom != nil, "to": c.To != "", "rollback": c.Rollback && c.Mode != "deploy", "accept-refused": c.AcceptRefused} {
			if given {
				problems.Add(setting, "give `mode: promote` with it, or leave it out", "mode %s promotes nothing", c.Mode)
			}
		}
		return
	}
	switch {
	case c.To == "":
		problems.Add("to", "give the tag that is to point elsewhere, such as `to: production`", "it is not said what is promoted to")
	case !tags.Valid(c.To) || !registry.IsUserTag(c.To):
		problems.Add("to", "use letters, digits and . _ -, at most 128", "%q is no tag that people pull by", c.To)
	case !c.Rollback && !c.ForceMove && j.isMoved(c.To):
		problems.Add("to", "promote to a tag of its own, such as `production`, or demand it with `force-move: true`", "%q is moved by the runs that publish", c.To)
	}
	switch {
	case c.Rollback && c.PromoteFrom != nil:
		problems.Add("from", "keep one of the two", "a rollback goes back to what was live before, and `from` names something else")
	case !c.Rollback && c.PromoteFrom == nil:
		problems.Add("from", "give a tag or a digest, such as `from: staging`, or `rollback: true`", "it is not said what is promoted")
	case c.AcceptRefused && !c.Rollback:
		problems.Add("accept-refused", "leave it out", "only a rollback goes back to what is refused")
	}
	j.checkFrom(problems)
}

func (j job) checkFrom(problems *service.Problems) {
	named := map[string]bool{}
	for _, item := range j.Config.PromoteFrom {
		name, value, pair := strings.Cut(item, "=")
		if !pair {
			name, value = "", item
		}
		if _, known := j.Config.Service(name); pair && !known {
			problems.Add("from", service.Among(j.Config.Services), "there is no service %q", name)
		}
		if _, err := v1.NewHash(value); err != nil && !tags.Valid(value) {
			problems.Add("from", "give a tag, or a digest such as sha256:…", "%q is neither", value)
		}
		if named[name] {
			problems.Add("from", "keep one", "it names more than one image for %s", cmp.Or(name, "all services"))
		}
		if named[name] = true; !pair && strings.HasPrefix(value, "sha256:") && len(j.Config.Considered()) > 1 {
			problems.Add("from", "name its service, as NAME="+value+", or give `only`", "a digest is of one service, and %d are considered", len(j.Config.Considered()))
		}
	}
}

// isMoved reports whether runs that publish move a tag by themselves, forward only.
func (j job) isMoved(tag string) bool {
	if v, err := semver.NewVersion(tag); err == nil {
		return strings.TrimPrefix(tag, "v") != v.String() // a whole version is given once
	}
	e := j.Event
	rendered := j.Rules.Render(tags.Event{Name: "push", Ref: "refs/heads/" + cmp.Or(e.DefaultBranch, "main"), SHA: e.SHA, DefaultBranch: e.DefaultBranch})
	return tag == "latest" || slices.Contains(rendered.Names(), tag)
}

// kindOf is how the tag that is promoted to may move.
func kindOf(tag string) tags.Kind {
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v")); err == nil {
		return tags.Version
	}
	return tags.Pointer
}

// A target is what a service's tag is to point to, and why.
type target struct {
	digest string
	why    string
	now    string // what it may point to now; empty where that does not matter
}

// promotion decides what of each service is promoted, and what the journal is to say of that.
func (s *session) promotion(ctx context.Context) ([]plan.Service, promote.Entry, error) {
	entry := promote.Entry{Commit: s.job.Event.SHA, Ref: s.job.Event.Ref, To: s.job.Config.To}
	find := s.named
	if s.job.Config.Rollback {
		last, err := s.last(ctx)
		if err != nil {
			return nil, entry, err
		}
		entry.Undoes = last.Run
		find = func(_ context.Context, d service.Service) (*target, error) { return before(last, d.Name) }
	}
	definitions := s.job.Config.Considered()
	found, failed := make([]*plan.Service, len(definitions)), make([]error, len(definitions))
	var group errgroup.Group
	group.SetLimit(lookUps)
	for i, d := range definitions {
		group.Go(func() error {
			to, err := find(ctx, d)
			if err == nil && to != nil {
				found[i], err = s.promoted(ctx, d, *to)
			}
			failed[i] = err
			return nil // all that is wrong is told at once
		})
	}
	_ = group.Wait()
	var services []plan.Service
	for _, f := range found {
		if f == nil {
			continue
		}
		services = append(services, *f)
		if f.Action == plan.Skip && entry.Undoes != "" { // it is taken back all the same
			entry.Intents = append(entry.Intents, promote.Intent{Service: f.Name, Image: f.Image, Digest: f.Digest, Published: f.Digest, Tags: f.TagSet.Tags})
		}
	}
	return services, entry, errors.Join(failed...)
}

// lookUps is how many services are asked about at the same time.
const lookUps = 8

// last is the promotion that a rollback takes back.
func (s *session) last(ctx context.Context) (promote.Entry, error) {
	considered := s.job.Config.Considered()
	last, found, err := s.journal().Back(ctx, s.job.Config.To, func(name string) bool {
		return slices.ContainsFunc(considered, func(d service.Service) bool { return d.Name == name })
	})
	if err == nil && !found {
		var problems service.Problems
		problems.Add("rollback", "name what it is to point to with `from`", "no promotion to %s is known that could be taken back", s.job.Config.To)
		return last, problems
	}
	if err != nil {
		return last, fmt.Errorf("looking for the last promotion to %s: %w", s.job.Config.To, err)
	}
	return last, nil
}

// before is what a service's tag pointed to before a promotion; nil where that was not its.
func before(last promote.Entry, name string) (*target, error) {
	i := slices.IndexFunc(last.Intents, func(i promote.Intent) bool { return i.Service == name })
	if i < 0 {
		return nil, nil
	}
	intent := last.Intents[i]
	if intent.Published == "" {
		return nil, fmt.Errorf("%s had no %s before run %s, and a registry cannot take away a tag alone; leave it out with `skip`", name, last.To, last.Run)
	}
	return &target{digest: intent.Published, why: fmt.Sprintf("%s pointed to it before run %s", last.To, last.Run), now: intent.Digest}, nil
}

// named is what is given for a service; nil where nothing is.
func (s *session) named(ctx context.Context, d service.Service) (*target, error) {
	value := ""
	for _, item := range s.job.Config.PromoteFrom {
		if name, own, pair := strings.Cut(item, "="); !pair {
			value = cmp.Or(value, item)
		} else if name == d.Name {
			value = own
			break
		}
	}
	if value == "" {
		return nil, nil
	}
	if _, err := v1.NewHash(value); err == nil {
		return &target{digest: value, why: "it is named"}, nil
	}
	at, found, err := s.registry.Resolve(ctx, d.Image, value)
	if err != nil {
		return nil, err
	}
	if !found {
		var problems service.Problems
		problems.Add("from", "publish it first, or leave the service out with `skip`", "%s has no tag %q", d.Name, value)
		return nil, problems
	}
	return &target{digest: at.Ref.DigestStr(), why: "it is " + value}, nil
}

// promoted is a service whose tag is to point to an image. Where it does, nothing is done for it.
func (s *session) promoted(ctx context.Context, d service.Service, to target) (*plan.Service, error) {
	tag := s.job.Config.To
	now, found, err := s.registry.Resolve(ctx, d.Image, tag)
	if err != nil {
		return nil, err
	}
	image, err := s.published(ctx, d.Image, to.digest)
	if registry.IsNotFound(err) {
		return nil, fmt.Errorf("%s has no image %s: %w", d.Name, to.digest, err)
	}
	if err != nil {
		return nil, err
	}
	p := &plan.Service{Name: d.Name, Image: d.Image, From: d.At, Action: plan.Reuse, Reused: to.digest, Definition: d, Version: image.Version, Inputs: image.Annotations[plan.InputsKey],
		Reason: fmt.Sprintf("%s is to be %s, as %s", shortDigest(to.digest), tag, to.why), TagSet: tags.Set{Tags: []tags.Tag{{Name: tag, Rule: "the setting `to`", Kind: kindOf(tag)}}}}
	for _, platform := range image.Platforms {
		p.Platforms = append(p.Platforms, platform.Platform)
	}
	if found {
		p.Digest = now.Ref.DigestStr()
	}
	switch {
	case p.Digest == to.digest:
		p.Action, p.Reused, p.Reason = plan.Skip, "", fmt.Sprintf("%s is %s already", shortDigest(to.digest), tag)
	case to.now != "" && p.Digest != to.now && !s.job.Config.ForceMove:
		return nil, fmt.Errorf("%s: %s points to %s, which the promotion that is to be taken back did not put there; name what it is to point to with `from`, or go back all the same with `force-move: true`", d.Name, tag, cmp.Or(p.Digest, "nothing"))
	}
	planner := s.job.planner()
	s.job.remembering(ctx, s.process, &planner)
	p.Proof = planner.Prove(ctx, *p, image)
	return p, nil
}

// shortDigest is enough of a digest to tell it from others.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return "sha256:" + hex[:min(12, len(hex))]
}

// tellPromotion says what is about to be done.
func (s *session) tellPromotion(services []plan.Service) {
	defer s.log.Group(fmt.Sprintf("Promotion to %s: %d services", s.job.Config.To, len(services)))()
	for _, p := range services {
		s.log.Printf("%s: %s; now it is %s", p.Name, p.Reason, cmp.Or(shortDigest(p.Digest), "nothing"))
	}
}

// writeDown has the journal say what is about to move, so that a killed run is finished and a bad promotion can be taken back.
func (s *session) writeDown(entry promote.Entry) (begin func(context.Context, []*publish.Result) error, end func(context.Context) error) {
	journal := s.journal()
	begin = func(ctx context.Context, set []*publish.Result) error {
		moving, _ := intents(set)
		entry.Intents = append(entry.Intents, moving...)
		return hint(journal.Begin(ctx, entry))
	}
	return begin, func(ctx context.Context) error { return journal.End(ctx, journal.Run) }
}

// takenBack has the journal say that a promotion is taken back of which nothing had moved: otherwise the next run would finish it.
func (s *session) takenBack(ctx context.Context, services []plan.Service, entry promote.Entry) {
	if entry.Undoes == "" || !s.job.pushes() || len(plan.Plan{Services: services}.Work()) > 0 {
		return
	}
	journal := s.journal()
	err := journal.Begin(ctx, entry)
	if err == nil {
		err = journal.End(ctx, journal.Run)
	}
	if err != nil {
		s.note(fmt.Sprintf("That run %s is taken back is not written down: %v", entry.Undoes, err))
	}
}

// accept takes what is refused of a rollback for approved, and reports whether anything was.
func accept(results []publish.Result) (any bool) {
	for i := range results {
		r := &results[i]
		if r.Err == nil && r.Plan.Action != plan.Skip && !r.Verdict.Approved() {
			r.Accepted, any = r.Verdict.Reasons, true
			r.Verdict = r.Verdict.Despite()
		}
	}
	return any
}

// tellAccepted says of each move what spoke against it.
func tellAccepted(results []publish.Result) {
	for _, r := range results {
		for i := range r.Moves {
			if r.Moves[i].Kept == "" {
				r.Moves[i].Despite = strings.Join(r.Accepted, "; ")
			}
		}
	}
}

// deployed records with GitHub what is live in an environment since now. It fails nothing.
func (s *session) deployed(ctx context.Context, results []publish.Result) {
	c, e := s.job.Config, s.job.Event
	d := github.Deployment{Commit: e.SHA, Environment: c.Environment, Description: "Promoted to " + c.To, LogURL: runURL(e)}
	if c.Rollback {
		d.Description = "Rolled back " + c.To
	}
	digests, commits := map[string]string{}, map[string]bool{}
	for _, r := range results {
		d.Failed = d.Failed || r.Err != nil
		for _, m := range r.Moves {
			if m.Kept == "" {
				digests[r.Plan.Name] = m.To
				commits[r.Candidate.Image.Revision] = true
			}
		}
	}
	if len(digests) == 0 || c.Environment == "" {
		return
	}
	for commit := range commits {
		if len(commits) == 1 && git.IsID(commit) {
			d.Commit = commit // which all of them are made of
		}
	}
	d.Payload = map[string]any{"tag": c.To, "digests": digests}
	api, err := github.New(e.APIURL, e.Repository, c.Token)
	if err == nil {
		err = api.RecordDeployment(ctx, d)
	}
	if err != nil {
		s.note(fmt.Sprintf("No deployment was recorded: %v.", err))
		return
	}
	s.log.Printf("recorded a deployment to %s", c.Environment)
}
