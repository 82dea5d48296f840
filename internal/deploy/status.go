package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/traffic"
)

// A Status is how a project is at this moment.
type Status struct {
	Running  []engine.Instance
	Version  Version // that was deployed last
	Troubles []Trouble
	// Shares are the percentages of the requests that colours of services get which are switched.
	Shares map[string]int
	Busy   string // who deploys right now; empty for nobody
	// Interrupted says that one after it had begun and did not come to an end.
	Interrupted bool
}

// Status looks at all containers of the project, and compares them with what was deployed last.
func (h Host) Status(ctx context.Context) (s Status, err error) {
	past, err := h.Read(ctx)
	if err != nil {
		return s, err
	}
	if s.Running, err = h.Engine.Project(ctx, h.Project); err != nil {
		return s, err
	}
	live, _, err := h.locks(ctx, "")
	if err != nil {
		return s, err
	}
	if len(live) > 0 {
		s.Busy = live[0].Labels[byKey]
	}
	s.Interrupted = past.Interrupted
	s.Version, _ = past.Last()
	if s.Shares, err = h.shares(ctx, s.Running); err != nil {
		return s, err
	}
	missing := maps.Clone(s.Version.Images)
	for _, i := range s.Running {
		delete(missing, i.Service)
		colour := i.Labels[traffic.ColourLabel]
		if share, switched := s.Shares[colour]; switched && share == 0 {
			continue
		}
		what, wanted := judge(i), s.Version.Images[i.Service]
		if what == "" && wanted != "" && wanted != i.Image && colour == "" {
			what = fmt.Sprintf("runs %s, and %s has %s", i.Image, s.Version, wanted)
		}
		if what != "" {
			s.Troubles = append(s.Troubles, h.trouble(ctx, i, what))
		}
	}
	for _, service := range slices.Sorted(maps.Keys(missing)) {
		s.Troubles = append(s.Troubles, Trouble{Service: service, What: "is not there"})
	}
	if len(s.Running)+len(s.Version.Images) == 0 {
		s.Troubles = append(s.Troubles, Trouble{Service: h.Project, What: "is not deployed there"})
	}
	return s, nil
}
