package action

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/plan"
)

// checkTime bounds the checks of one Dockerfile: they are for information alone.
const checkTime = 30 * time.Second

// check tells what BuildKit finds in the Dockerfile of a service that was built, at its lines. It is asked while the image is judged, so that it costs no time,
// and nothing depends on it. A Dockerfile that stands in the configuration has no lines of its own, and of a service whose platforms are built in several jobs
// one job tells.
func (s *session) check(ctx context.Context, service plan.Service, request buildx.Build) {
	d := service.Definition
	if d.Inline != "" || !slices.Contains(request.Platforms, d.Platforms[0]) {
		return
	}
	s.checking.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, checkTime)
		defer cancel()
		checks, err := s.buildx.Checks(ctx, request)
		if err != nil {
			s.log.Printf("%s: no build checks: %v", service.Name, err)
		}
		for _, c := range checks {
			if s.news(fmt.Sprintf("%s:%d %s %s", d.Dockerfile, c.Line, c.Rule, c.Text)) {
				s.log.Notice(actions.Annotation{Title: "Build check " + c.Rule, File: d.Dockerfile, Line: c.Line, Message: c.Text + " " + c.URL})
			}
		}
	})
}

// news reports whether something was not told yet: services may share a Dockerfile.
func (s *session) news(told string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.checked, told) {
		return false
	}
	s.checked = append(s.checked, told)
	return true
}
