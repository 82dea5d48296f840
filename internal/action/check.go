package action

import (
	"fmt"
	"slices"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/service"
)

// tellChecks tells what BuildKit found in the Dockerfile of a service while it built that, at its lines. A Dockerfile that stands in the configuration has no
// lines of its own, and of a service whose platforms are built in several jobs one job tells.
func (s *session) tellChecks(d service.Service, request buildx.Build, checks []buildx.Check) {
	if d.Inline != "" || !slices.Contains(request.Platforms, d.Platforms[0]) {
		return
	}
	for _, c := range checks {
		if s.news(fmt.Sprintf("%s:%d %s %s", d.Dockerfile, c.Line, c.Rule, c.Text)) {
			s.log.Notice(actions.Annotation{Title: "Build check " + c.Rule, File: d.Dockerfile, Line: c.Line, Message: c.Text + " " + c.URL})
		}
	}
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
