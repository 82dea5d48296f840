package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/mirror"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/telemetry"
)

// mirrorMode copies what is live to the mirrors: each image that a tag points to, whole, and then the tags.
func mirrorMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	begun := p.Now()
	if len(j.Config.Mirrors) == 0 {
		var problems service.Problems
		problems.Add(j.Config.ConfigFile, "name some under `mirrors:`, such as `- image: docker.io/owner/{{name}}`", "there are no mirrors to copy to")
		return 0, problems
	}
	s, err := open(ctx, p, j, log, begun)
	if err != nil {
		return 0, err
	}
	images, err := s.allLive(ctx)
	if err != nil {
		return 0, errors.Join(err, notices(s.Close()))
	}
	s.copyTo(ctx, images, !j.pushes())
	for _, r := range s.mirrored {
		if r.Err != nil {
			log.Error(actions.Annotation{Title: r.Name + " was not mirrored", Message: r.Err.Error()})
		}
	}
	told := s.conclude(ctx, begun, nil, nil)
	told.SettleMirrors(!j.pushes())
	return s.record(ctx, told, nil, nil)
}

// allLive lists the tags of the services that are considered.
func (s *session) allLive(ctx context.Context) ([]mirror.Image, error) {
	var images []mirror.Image
	for _, d := range s.job.Config.Considered() {
		names, err := s.registry.Tags(ctx, d.Image)
		if err != nil {
			return nil, err
		}
		images = append(images, mirror.Image{Service: d.Name, Name: d.Image, Tags: names, Whole: true})
	}
	return images, nil
}

// mirror has the mirrors follow what the run has published. What was left as it is they are asked for by its tags alone.
func (s *session) mirror(ctx context.Context, results []publish.Result) {
	if len(s.job.Config.Mirrors) == 0 || !s.job.pushes() {
		return
	}
	var images []mirror.Image
	for _, r := range results {
		if names := slices.DeleteFunc(r.Plan.TagSet.Names(), func(tag string) bool { return !registry.IsUserTag(tag) }); len(names) > 0 {
			images = append(images, mirror.Image{Service: r.Plan.Name, Name: r.Plan.Image, Tags: names, Whole: r.Plan.Action != plan.Skip})
		}
	}
	s.copyTo(ctx, images, false)
	for _, r := range s.mirrored {
		if r.Err != nil {
			s.note(fmt.Sprintf("%s is not what is published: %v. The next run makes up for it, or one with `mode: mirror`.", r.Name, r.Err))
		}
	}
}

// copyTo copies images to the mirrors, or only looks what they lack.
func (s *session) copyTo(ctx context.Context, images []mirror.Image, look bool) {
	defer s.log.Group(fmt.Sprintf("Mirrors: %d", len(s.job.Config.Mirrors)))()
	ctx, end := telemetry.Start(ctx, "mirror")
	var errs []error
	defer func() { end(errors.Join(errs...)) }()
	copier := mirror.Copier{From: s.registry, Parallel: s.job.Config.MaxParallel, Look: look, Tell: s.log.Printf}
	s.mirrored = copier.Copy(ctx, s.mirrors(), images)
	for i := range s.mirrored {
		s.mirrored[i].Err = mirrorHint(s.mirrored[i].Err)
		errs = append(errs, s.mirrored[i].Err)
	}
}

// mirrorHint adds what to do about a refusal.
func mirrorHint(err error) error {
	if err != nil && (strings.Contains(err.Error(), "UNAUTHORIZED") || strings.Contains(err.Error(), "DENIED") || strings.Contains(err.Error(), "401 Unauthorized")) {
		return fmt.Errorf("%w\ngive it a `username` and a `password` under `mirrors:` that may write there, by a variable that this job has, and make the repository first where that registry does not do so by itself", err)
	}
	return err
}

func (s *session) mirrors() []mirror.Mirror {
	var mirrors []mirror.Mirror
	for _, m := range s.job.Config.Mirrors {
		one := mirror.Mirror{Name: m.Image, Names: map[string]string{}, Registry: mirrorClient(m)}
		for _, d := range s.job.Config.Services {
			one.Names[d.Name] = m.Of(d)
		}
		mirrors = append(mirrors, one)
	}
	return mirrors
}

func mirrorClient(m service.Mirror) *registry.Client {
	return &registry.Client{Host: m.Host(), Username: m.Username, Password: m.Password, PlainHTTP: m.PlainHTTP || isLoopback(m.Host())}
}
