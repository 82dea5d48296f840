package action

import (
	"slices"
	"testing"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// TestBadGoesBySeverity, whatever the place is called that a finding is in.
func TestBadGoesBySeverity(t *testing.T) {
	t.Parallel()
	s := &session{job: job{Config: service.Config{Gates: service.Gates{Vulnerabilities: service.VulnerabilityGate{FailOn: "HIGH"}}}}}
	var all []string
	for _, f := range []verdict.Finding{{ID: "CVE-1", Package: "curl", Severity: "HIGH"}, {ID: "key", Package: "app/(shop)/page.js", Severity: "CRITICAL"},
		{ID: "key", Package: "app/(CRITICAL)/page.js", Severity: "LOW"}, {ID: "CVE-2", Package: "zlib", Severity: "MEDIUM"}} {
		all = append(all, liveName(f))
	}
	if got, want := s.bad(all), all[:2]; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
