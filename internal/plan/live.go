package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"golang.org/x/sync/errgroup"
)

// Live is what a tag of a service points to.
type Live struct {
	Service     service.Service
	Tag, Digest string
}

// Live finds what is published of services: under the tag that was asked for, or else the first that there is of this ref's version, the tags that
// follow its branch or the default branch, and the last release's.
func (p Planner) Live(ctx context.Context, services []service.Service) ([]Live, error) {
	work, err := p.readTree(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for what is published: %w", err)
	}
	live, failed := make([]Live, len(services)), make([]error, len(services))
	var group errgroup.Group
	group.SetLimit(lookUps)
	for i, s := range services {
		group.Go(func() error {
			live[i], failed[i] = p.live(ctx, s, work)
			return nil // all that is missing is told at once
		})
	}
	_ = group.Wait()
	return live, errors.Join(failed...)
}

func (p Planner) live(ctx context.Context, s service.Service, work *tree) (Live, error) {
	names := p.follows(p.tagSet(s, work), work)
	for _, tag := range names {
		image, found, err := p.Resolve(ctx, s.Image, tag)
		if err != nil {
			return Live{}, err
		}
		if found {
			return Live{s, tag, image.Ref.DigestStr()}, nil
		}
	}
	return Live{}, fmt.Errorf("nothing is published of %s, under none of %s", s.Name, strings.Join(names, ", "))
}

// follows lists the tags under which a service is looked for, the nearest first.
func (p Planner) follows(set tags.Set, work *tree) []string {
	if p.Config.Tag != "" {
		return []string{p.Config.Tag}
	}
	var names []string
	for _, t := range set.Tags {
		if t.Kind == tags.Version {
			names = append(names, t.Name)
		}
	}
	for _, name := range append(p.tracked(set, work), "latest") {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
