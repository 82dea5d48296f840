package verdict

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/service"
)

var candidate, _ = name.NewDigest("ghcr.io/octo/backend@sha256:" + strings.Repeat("a", 64))

// sound is evidence that nothing speaks against.
func sound() Evidence {
	return Evidence{
		Candidate: candidate,
		Wanted:    []string{"linux/amd64", "linux/arm64"},
		Platforms: []Platform{
			{Platform: "linux/amd64", Compressed: 1000, Published: 1000, User: "65534"},
			{Platform: "linux/arm64", Compressed: 1000, Published: 1000, User: "65534"},
		},
		Probe: Probe{Platform: "linux/amd64", Healthy: true, Started: time.Second},
	}
}

func strict() service.Gates {
	g := service.DefaultGates()
	g.NonRoot, g.Size.Growth = true, 0.1
	return g
}

func TestJudge(t *testing.T) {
	t.Parallel()
	critical := Finding{ID: "CVE-1", Severity: "CRITICAL", Package: "p", Installed: "1", Fixed: "2"}
	cases := []struct {
		name   string
		change func(*Evidence, *service.Gates)
		want   string // part of the only reason; empty: approved
	}{
		{"nothing speaks against it", func(*Evidence, *service.Gates) {}, ""},
		{"a critical finding on one platform", func(e *Evidence, _ *service.Gates) { e.Platforms[1].Findings = []Finding{critical} }, "linux/arm64 has 1 finding of severity CRITICAL or worse: CVE-1 in p 1, fixed in 2"},
		{"a finding below the threshold", func(e *Evidence, _ *service.Gates) { e.Platforms[1].Findings = []Finding{{Severity: "HIGH"}} }, ""},
		{"a gate that only reports", func(e *Evidence, g *service.Gates) {
			e.Platforms[1].Findings, g.Vulnerabilities.FailOn = []Finding{critical}, service.FailOnNone
		}, ""},
		{"a platform that was not scanned", func(e *Evidence, _ *service.Gates) { e.Platforms[0].Unscanned = "no database" }, "could not be scanned: no database"},
		{"the same, let pass", func(e *Evidence, g *service.Gates) {
			e.Platforms[0].Unscanned, g.Vulnerabilities.OnUnavailable = "no database", service.OnUnavailableWarn
		}, ""},
		{"a missing platform", func(e *Evidence, _ *service.Gates) { e.Platforms = e.Platforms[:1] }, "linux/arm64 is missing"},
		{"no platform asked for", func(e *Evidence, _ *service.Gates) { e.Wanted = nil }, "no platform"},
		{"too large", func(e *Evidence, _ *service.Gates) { e.Platforms[0].Compressed, e.Platforms[0].Published = 2e9, 2e9 }, "is 2GB, more than 1GB"},
		{"grown", func(e *Evidence, _ *service.Gates) { e.Platforms[0].Compressed = 1101 }, "more than 10%"},
		{"grown a little", func(e *Evidence, _ *service.Gates) { e.Platforms[0].Compressed = 1100 }, ""},
		{"new, so nothing to grow from", func(e *Evidence, _ *service.Gates) { e.Platforms[0].Published = 0 }, ""},
		{"no HEALTHCHECK", func(e *Evidence, g *service.Gates) {
			g.Image.Healthcheck, e.Platforms[0].Config.Healthcheck = true, true
		}, "linux/arm64 has no HEALTHCHECK"},
		{"another port exposed", func(e *Evidence, g *service.Gates) {
			e.Port, g.Image.ExposedPort = 3001, true
			e.Platforms[0].Config.Exposed, e.Platforms[1].Config.Exposed = []string{"3001/tcp"}, []string{"80/tcp"}
		}, "linux/arm64 exposes 80/tcp, and the service's port is 3001"},
		{"made from latest", func(e *Evidence, g *service.Gates) {
			e.Latest, g.Image.Versioned = []string{"docker.io/library/busybox:latest"}, true
		}, "it is made from docker.io/library/busybox:latest, which is another image tomorrow"},
		{"a secret", func(e *Evidence, g *service.Gates) {
			e.Platforms[1].Config.Secrets, g.Image.NoSecrets = []string{"ENV API_TOKEN"}, true
		}, "linux/arm64 seems to hold secrets, which everybody reads who pulls it: ENV API_TOKEN"},
		{"a secret that nobody asks for", func(e *Evidence, _ *service.Gates) { e.Platforms[1].Config.Secrets = []string{"ENV API_TOKEN"} }, ""},
		{"large on disk", func(e *Evidence, g *service.Gates) { e.Probe.Unpacked, g.Size.Unpacked = 2e9, 1e9 }, "linux/amd64 takes 2GB on disk, more than 1GB"},
		{"runs as root", func(e *Evidence, _ *service.Gates) { e.Platforms[0].User = "0:0" }, "runs as root"},
		{"runs as root by another spelling", func(e *Evidence, _ *service.Gates) { e.Platforms[0].User = "00" }, "runs as root"},
		{"never tried out", func(e *Evidence, _ *service.Gates) { e.Probe = Probe{} }, "was not tried out"},
		{"not healthy", func(e *Evidence, _ *service.Gates) { e.Probe = Probe{Failure: "exited with code 1"} }, "exited with code 1"},
		{"slow", func(e *Evidence, _ *service.Gates) { e.Probe.Started = time.Minute }, "took 1m0s"},
		{"another platform fails", func(e *Evidence, _ *service.Gates) {
			e.Emulated = []Probe{{Platform: "linux/arm64", Failure: "api ended"}}
		}, "for linux/arm64, under emulation, api ended"},
		{"another platform is slow, which says nothing", func(e *Evidence, _ *service.Gates) {
			e.Emulated = []Probe{{Platform: "linux/arm64", Healthy: true, Started: time.Minute}}
		}, ""},
		{"no emulator", func(e *Evidence, _ *service.Gates) {
			e.Emulated = []Probe{{Platform: "linux/arm64", Unavailable: "no emulator"}}
		}, "could not be tried out for linux/arm64: no emulator"},
		{"only emulated platforms", func(e *Evidence, _ *service.Gates) {
			e.Probe, e.Emulated = Probe{Unavailable: "none runs here"}, []Probe{{Platform: "linux/arm64", Healthy: true}}
		}, ""},
		{"no engine", func(e *Evidence, _ *service.Gates) { e.Probe = Probe{Unavailable: "no socket"} }, "could not be tried out: no socket"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			evidence, gates := sound(), strict()
			c.change(&evidence, &gates)
			v := Judge(evidence, gates)
			got := strings.Join(v.Reasons, "\n")
			if v.Approved() != (c.want == "") || !strings.Contains(got, c.want) || len(v.Reasons) > 1 {
				t.Errorf("approved %v, reasons %q; want %q", v.Approved(), got, c.want)
			}
			approval, err := v.Approval()
			if (err == nil) != v.Approved() {
				t.Errorf("Approval() = %v for approved %v", err, v.Approved())
			}
			if ref, err := approval.Candidate(); (err == nil) != v.Approved() || (err == nil && ref != candidate) {
				t.Errorf("Candidate() = %v, %v", ref, err)
			}
		})
	}
}

func TestZeroValuesApproveNothing(t *testing.T) {
	t.Parallel()
	if _, err := (Verdict{}).Approval(); err == nil {
		t.Error("an unjudged verdict gave an approval")
	}
	if _, err := (Approval{}).Candidate(); err == nil {
		t.Error("the zero approval names a candidate")
	}
}

func TestNotesKeepWhatWasLetPass(t *testing.T) {
	t.Parallel()
	evidence, gates := sound(), strict()
	evidence.Probe, gates.Startup.OnUnavailable = Probe{Unavailable: "no socket"}, service.OnUnavailableWarn
	if v := Judge(evidence, gates); !v.Approved() || len(v.Notes) != 1 {
		t.Errorf("approved %v with notes %q; want approved with one", v.Approved(), v.Notes)
	}
}

func TestAPartGivesNoRightToTag(t *testing.T) {
	t.Parallel()
	evidence := sound()
	evidence.Part, evidence.Probe = true, Probe{Unavailable: "none of its platforms runs here"}
	v := Judge(evidence, strict())
	if _, err := v.Approval(); !v.Approved() || err == nil {
		t.Errorf("approved %v, and the right to tag: %v; reasons %q", v.Approved(), err, v.Reasons)
	}
	evidence.Probe = Probe{Platform: "linux/arm64", Unavailable: "no socket"}
	if v := Judge(evidence, strict()); v.Approved() {
		t.Error("a part whose platform runs here was approved though it was not tried out")
	}
}

func TestDecisive(t *testing.T) {
	t.Parallel()
	foreign := Probe{Unavailable: "it runs elsewhere"}
	quick := Probe{Platform: "linux/amd64", Healthy: true, Started: time.Second}
	slow := Probe{Platform: "linux/arm64", Healthy: true, Started: time.Minute}
	lacking := Probe{Platform: "linux/arm64", Unavailable: "no socket"}
	bad := Probe{Platform: "linux/arm64", Failure: "exited"}
	nameless := Probe{Failure: "exited"}
	for _, c := range []struct {
		probes []Probe
		want   Probe
	}{
		{nil, Probe{}},
		{[]Probe{foreign}, foreign},
		{[]Probe{quick, foreign, {}}, quick},
		{[]Probe{quick, slow, foreign}, slow},
		{[]Probe{slow, lacking, quick}, lacking},
		{[]Probe{lacking, bad, slow}, bad},
		{[]Probe{slow, nameless}, nameless},
	} {
		if got := Decisive(c.probes...); got.Platform != c.want.Platform || got.Failure != c.want.Failure || got.Unavailable != c.want.Unavailable || got.Started != c.want.Started {
			t.Errorf("of %+v, %+v decides", c.probes, got)
		}
	}
}

func TestAgeOfTheDatabase(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		database     Database
		policy       string
		refuse, note string
	}{
		{Database{}, service.OnUnavailableRefuse, "", ""}, // nothing was scanned
		{Database{Updated: made, Age: 72 * time.Hour}, service.OnUnavailableRefuse, "", ""},
		{Database{Updated: made, Age: 72 * time.Hour, Kept: "down"}, service.OnUnavailableRefuse, "", "of 2026-01-02 03:04 UTC, 72h0m0s old; no newer one could be fetched: down"},
		{Database{Updated: made, Age: 73 * time.Hour}, service.OnUnavailableRefuse, "too old to judge by: it is of 2026-01-02 03:04 UTC, 73h0m0s old, and max_age", ""},
		{Database{Updated: made, Age: 73 * time.Hour, Kept: "down"}, service.OnUnavailableRefuse, "no newer one could be fetched: down", ""},
		{Database{Updated: made, Age: 73 * time.Hour, Kept: "down"}, service.OnUnavailableWarn, "", "too old to judge by"},
	} {
		evidence, gates := sound(), strict()
		evidence.Database, gates.Vulnerabilities.OnUnavailable = c.database, c.policy
		v := Judge(evidence, gates)
		reasons, notes := strings.Join(v.Reasons, "\n"), strings.Join(v.Notes, "\n")
		if v.Approved() != (c.refuse == "") || !strings.Contains(reasons, c.refuse) || (notes != "") != (c.note != "") || !strings.Contains(notes, c.note) {
			t.Errorf("by %+v, %s: reasons %q, notes %q", c.database, c.policy, reasons, notes)
		}
	}
}

func TestOldest(t *testing.T) {
	t.Parallel()
	day := func(n int) Database {
		return Database{Updated: time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC), Age: time.Duration(10-n) * 24 * time.Hour}
	}
	for _, c := range [][3]Database{{{}, {}, {}}, {{}, day(2), day(2)}, {day(2), {}, day(2)}, {day(2), day(3), day(2)}, {day(3), day(2), day(2)}} {
		if got := Oldest(c[0], c[1]); got != c[2] {
			t.Errorf("Oldest(%v, %v) = %v", c[0], c[1], got)
		}
	}
}

func TestEachKindHasItsGate(t *testing.T) {
	t.Parallel()
	secret := Finding{Kind: service.Secret, ID: "github-pat", Severity: "CRITICAL", Package: "app/x", Known: true}
	for name, c := range map[string]struct {
		finding Finding
		change  func(*service.Gates)
		want    string
	}{
		"not looked for":   {secret, func(*service.Gates) {}, ""},
		"reported alone":   {secret, func(g *service.Gates) { g.Secrets.FailOn = service.FailOnNone }, ""},
		"refused":          {secret, func(g *service.Gates) { g.Secrets.FailOn = "HIGH" }, "linux/arm64 has 1 secret of severity HIGH or worse: github-pat in app/x"},
		"another's gate":   {secret, func(g *service.Gates) { g.Licences.FailOn, g.Misconfiguration.FailOn = "LOW", "LOW" }, ""},
		"not bad enough":   {Finding{Kind: service.Licence, Severity: "LOW"}, func(g *service.Gates) { g.Licences.FailOn = "HIGH" }, ""},
		"a licence":        {Finding{Kind: service.Licence, ID: "GPL-3.0-only", Package: "bash", Severity: "HIGH"}, func(g *service.Gates) { g.Licences.FailOn = "HIGH" }, "1 licence of severity HIGH or worse: GPL-3.0-only in bash"},
		"misconfiguration": {Finding{Kind: service.Misconfiguration, ID: "DS-0002", Package: "x", Severity: "HIGH"}, func(g *service.Gates) { g.Misconfiguration.FailOn = "HIGH" }, "1 misconfiguration of severity HIGH or worse: DS-0002 in x"},
		"vulnerabilities alone may be old, or without a fix": {secret, func(g *service.Gates) {
			g.Secrets.FailOn, g.Vulnerabilities.OnlyNew, g.Vulnerabilities.IgnoreUnfixed = "HIGH", true, true
		}, "1 secret of severity HIGH"},
	} {
		evidence, gates := sound(), strict()
		evidence.Platforms[1].Findings = []Finding{c.finding}
		c.change(&gates)
		v := Judge(evidence, gates)
		if reasons := strings.Join(v.Reasons, "\n"); v.Approved() != (c.want == "") || !strings.Contains(reasons, c.want) {
			t.Errorf("%s: approved %v, reasons %q", name, v.Approved(), reasons)
		}
	}
}

// TestTheStrictestGateDecides what becomes of an image that could not be scanned.
func TestTheStrictestGateDecides(t *testing.T) {
	t.Parallel()
	warn := service.FindingGate{FailOn: "HIGH", OnUnavailable: service.OnUnavailableWarn}
	strictest := service.FindingGate{FailOn: "HIGH", OnUnavailable: service.OnUnavailableRefuse}
	off := service.FindingGate{OnUnavailable: service.OnUnavailableRefuse}
	for _, c := range []struct {
		vulnerabilities string
		secrets         service.FindingGate
		want            bool
	}{
		{service.OnUnavailableWarn, off, true}, {service.OnUnavailableWarn, warn, true},
		{service.OnUnavailableWarn, strictest, false}, {service.OnUnavailableRefuse, warn, false},
	} {
		evidence, gates := sound(), strict()
		evidence.Platforms[0].Unscanned = "no database"
		gates.Vulnerabilities.OnUnavailable, gates.Secrets = c.vulnerabilities, c.secrets
		if v := Judge(evidence, gates); v.Approved() != c.want || len(v.Reasons)+len(v.Notes) != 1 {
			t.Errorf("%+v: approved %v, %q %q", c, v.Approved(), v.Reasons, v.Notes)
		}
	}
}

// TestFindingsAloneGiveNoRight judges what is live: by its findings, and so that nothing may be tagged for it.
func TestFindingsAloneGiveNoRight(t *testing.T) {
	t.Parallel()
	gates := service.DefaultGates()
	platform := func(findings ...Finding) Evidence {
		return Evidence{Wanted: []string{"linux/amd64"}, Platforms: []Platform{{Platform: "linux/amd64", User: "root", Compressed: 1 << 40, Findings: findings}}}
	}
	clean := JudgeFindings(platform(), gates)
	if _, err := clean.Approval(); !clean.Approved() || err == nil {
		t.Errorf("a clean image: %+v, right to tag: %v", clean, err == nil)
	}
	unscanned := platform()
	unscanned.Platforms[0].Unscanned = "no database"
	for name, e := range map[string]Evidence{"critical": platform(Finding{ID: "CVE-1", Severity: "CRITICAL"}), "not scanned": unscanned, "no platform": {}} {
		if JudgeFindings(e, gates).Approved() {
			t.Errorf("%s: it passes", name)
		}
	}
}
