package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/service"
)

func on(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestExceptionHoldsThroughItsLastDay(t *testing.T) {
	t.Parallel()
	exceptions := []service.Exception{{ID: "CVE-1", Until: on(t, "2027-01-31T00:00:00Z"), Reason: "not called", At: "f:3"}}
	for _, c := range []struct {
		now, refusal, note string
	}{
		{"2026-01-01T00:00:00Z", "", ""},
		{"2027-01-16T23:59:59Z", "", ""},
		{"2027-01-17T00:00:00Z", "", "the exception for CVE-1 in p (f:3) ends after 2027-01-31: mend it until then"},
		{"2027-01-31T00:00:00Z", "", "ends after 2027-01-31"},
		{"2027-01-31T23:59:59Z", "", "ends after 2027-01-31"},
		{"2027-02-01T05:00:00+06:00", "", "ends after 2027-01-31"}, // still January in UTC
		{"2027-01-31T20:00:00-06:00", "(its exception until 2027-01-31, at f:3, is over)", ""},
		{"2027-02-01T00:00:00Z", "linux/arm64 has 1 finding of severity CRITICAL or worse: CVE-1 in p 1, fixed in 2 (its exception until 2027-01-31, at f:3, is over)", ""},
		{"2037-02-01T00:00:00Z", "is over", ""},
	} {
		evidence := sound()
		for i := range evidence.Platforms {
			evidence.Platforms[i].Findings = []Finding{{ID: "CVE-1", Severity: "CRITICAL", Package: "p", Installed: "1", Fixed: "2"}}
		}
		evidence.Except("backend", exceptions, on(t, c.now))
		v := Judge(evidence, strict())
		if reasons := strings.Join(v.Reasons, "\n"); v.Approved() != (c.refusal == "") || !strings.Contains(reasons, c.refusal) {
			t.Errorf("at %s: approved %v, reasons %q", c.now, v.Approved(), reasons)
		}
		notes := strings.Join(v.Notes, "\n")
		if v.Approved() && !strings.Contains(notes, "linux/arm64 has 1 finding of severity CRITICAL or worse that may pass for now: CVE-1 in p 1, fixed in 2, until 2027-01-31 (not called)") {
			t.Errorf("at %s: notes %q", c.now, notes)
		}
		if soon := strings.Count(notes, "ends after"); !strings.Contains(notes, c.note) || soon > 1 || (soon == 1) != (c.note != "") {
			t.Errorf("at %s: notes %q, want one with %q", c.now, notes, c.note)
		}
	}
}

// TestWithoutADayNothingIsExcepted: what an earlier judgement said of exceptions does not count, nor what a row sent along.
func TestEarlierMarksDoNotCount(t *testing.T) {
	t.Parallel()
	evidence := sound()
	evidence.Platforms[0].Findings = []Finding{{ID: "CVE-1", Severity: "CRITICAL", Exception: &Exception{Until: "9999-12-31", DaysLeft: 1}}}
	evidence.Except("backend", nil, time.Time{})
	if Judge(evidence, strict()).Approved() {
		t.Error("an exception that nobody made holds")
	}
}

func TestWhatAnExceptionIsFor(t *testing.T) {
	t.Parallel()
	finding := Finding{ID: "CVE-1", Package: "openssl", Target: "usr/lib/x/METADATA", PURL: "pkg:deb/debian/openssl@3.0.7-1?arch=arm64&distro=debian-12.5"}
	for name, c := range map[string]struct {
		exception service.Exception
		want      bool
	}{
		"its ID":                 {service.Exception{ID: "CVE-1"}, true},
		"another ID":             {service.Exception{ID: "CVE-10"}, false},
		"its ID in other case":   {service.Exception{ID: "cve-1"}, false},
		"its kind":               {service.Exception{ID: "CVE-1", Kind: service.Vulnerability}, true},
		"another kind":           {service.Exception{ID: "CVE-1", Kind: "secret"}, false},
		"its service":            {service.Exception{ID: "CVE-1", Service: "backend"}, true},
		"another service":        {service.Exception{ID: "CVE-1", Service: "auth"}, false},
		"its package":            {service.Exception{ID: "CVE-1", Package: "openssl"}, true},
		"another package":        {service.Exception{ID: "CVE-1", Package: "libssl"}, false},
		"its path":               {service.Exception{ID: "CVE-1", Paths: []string{"opt/**", "usr/**/METADATA"}}, true},
		"another path":           {service.Exception{ID: "CVE-1", Paths: []string{"usr/*"}}, false},
		"its package URL":        {service.Exception{ID: "CVE-1", PURLs: []string{"pkg:deb/debian/openssl"}}, true},
		"with version":           {service.Exception{ID: "CVE-1", PURLs: []string{"pkg:deb/debian/openssl@3.0.7-1?arch=arm64"}}, true},
		"another version":        {service.Exception{ID: "CVE-1", PURLs: []string{"pkg:deb/debian/openssl@3.0.8-1"}}, false},
		"another architecture":   {service.Exception{ID: "CVE-1", PURLs: []string{"pkg:deb/debian/openssl?arch=amd64"}}, false},
		"another distribution":   {service.Exception{ID: "CVE-1", PURLs: []string{"pkg:deb/ubuntu/openssl"}}, false},
		"all right but the path": {service.Exception{ID: "CVE-1", Package: "openssl", Paths: []string{"opt/**"}, PURLs: []string{"pkg:deb/debian/openssl"}}, false},
	} {
		if got := finding.falls("backend", c.exception); got != c.want {
			t.Errorf("an exception for %s: %v", name, got)
		}
	}
	if (Finding{ID: "CVE-1"}).falls("a", service.Exception{ID: "CVE-1", PURLs: []string{"pkg:npm/x"}}) {
		t.Error("a package that is not known falls under an exception for one")
	}
}

func TestTheLongestExceptionCounts(t *testing.T) {
	t.Parallel()
	over, holds := service.Exception{ID: "a", Until: on(t, "2026-01-01T00:00:00Z")}, service.Exception{ID: "a", Until: on(t, "2027-01-01T00:00:00Z")}
	for _, exceptions := range [][]service.Exception{{over, holds}, {holds, over}} {
		e := Finding{ID: "a"}.except("s", exceptions, on(t, "2026-06-01T00:00:00Z"))
		if !e.Holds() || e.Until != "2027-01-01" {
			t.Errorf("of %v, %+v counts", exceptions, e)
		}
	}
}
