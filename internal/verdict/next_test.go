package verdict

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

// TestNext demands that what is refused for what a person can mend is told with how.
func TestNext(t *testing.T) {
	t.Parallel()
	finding := func(kind, pkg, fixed string) Finding {
		return Finding{Kind: kind, ID: "X-1", Severity: "CRITICAL", Package: pkg, Installed: "1", Fixed: fixed}
	}
	cases := map[string]struct {
		change func(*Evidence, *service.Gates)
		want   []string
	}{
		"all is well": {func(*Evidence, *service.Gates) {}, nil},
		"fixed, on both platforms": {func(e *Evidence, _ *service.Gates) {
			e.Platforms[0].Findings = []Finding{finding("", "zlib", "1.3, 2.1"), finding("", "openssl", "3")}
			e.Platforms[1].Findings = e.Platforms[0].Findings
		}, []string{"Update zlib to 1.3 or 2.1; openssl to 3, in the Dockerfile or by a newer base image."}},
		"not fixed": {func(e *Evidence, _ *service.Gates) { e.Platforms[0].Findings = []Finding{finding("", "zlib", "")} },
			[]string{"Nothing mends it yet: take another package or base image, or let it pass until a day, by an entry of `exceptions` in gates.vulnerabilities."}},
		"a secret": {func(e *Evidence, g *service.Gates) {
			g.Secrets.FailOn, e.Platforms[0].Findings = "HIGH", []Finding{finding(service.Secret, "/key", "")}
		}, []string{"Take it out of the image, or let it pass until a day, by an entry in `.trivyignore.yaml`."}},
		"not scanned": {func(e *Evidence, _ *service.Gates) { e.Platforms[0].Unscanned = "no database" },
			[]string{"Run it again once the scanner works, or let it pass with `on_unavailable: warn` in gates.vulnerabilities."}},
		"not scanned, and let pass": {func(e *Evidence, g *service.Gates) {
			e.Platforms[0].Unscanned, g.Vulnerabilities.OnUnavailable = "no database", service.OnUnavailableWarn
		}, nil},
		"it does not start": {func(e *Evidence, _ *service.Gates) {
			e.Probe = Probe{Platform: "linux/amd64", Failure: "it ended", Log: []string{"no such file"}}
		},
			[]string{"Read the container's last lines, in the report or the details of the run's summary."}},
		"it does not start, and says nothing": {func(e *Evidence, _ *service.Gates) { e.Probe = Probe{Platform: "linux/amd64", Failure: "it ended"} },
			[]string{"The container wrote nothing: start the image by hand, and see what its command does."}},
		"it is slow": {func(e *Evidence, _ *service.Gates) { e.Probe.Started = time.Hour },
			[]string{"Have it start faster, or give it longer with `within` in gates.startup."}},
		"no engine": {func(e *Evidence, _ *service.Gates) { e.Probe = Probe{Unavailable: "no engine"} },
			[]string{"Give the job a Docker Engine that starts it, or let it pass with `on_unavailable: warn` in gates.startup."}},
		"it is large":           {func(_ *Evidence, g *service.Gates) { g.Size.Max = 1 }, []string{smaller}},
		"it grew":               {func(e *Evidence, g *service.Gates) { e.Platforms[0].Published, g.Size.Growth = 1, 0.1 }, []string{smaller}},
		"a platform is missing": {func(e *Evidence, _ *service.Gates) { e.Wanted = append(e.Wanted, "linux/s390x") }, []string{"Build it for every platform of `platforms`, or take the platform out of that."}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gates := service.DefaultGates()
			gates.Size.Max = 0
			e := Evidence{Wanted: []string{"linux/amd64", "linux/arm64"}, Probe: Probe{Platform: "linux/amd64", Healthy: true, Started: time.Second},
				Platforms: []Platform{{Platform: "linux/amd64", Compressed: 100, User: "app"}, {Platform: "linux/arm64", Compressed: 100, User: "app"}}}
			c.change(&e, &gates)
			v := Judge(e, gates)
			if diff := cmp.Diff(c.want, v.Next); diff != "" {
				t.Errorf("next, of %q (-want +got):\n%s", v.Reasons, diff)
			}
			if d := v.Despite(); d.Next != nil {
				t.Errorf("what was demanded all the same has %q", d.Next)
			}
		})
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	old := []Finding{{ID: "A", Package: "x", Installed: "1"}, {ID: "B", Package: "x"}, {ID: "A", Package: "y"}, {ID: "C", Package: "x", Harmless: &Statement{}}}
	now := []Finding{{ID: "A", Package: "x", Installed: "2"}, {ID: "D", Package: "x"}}
	if diff := cmp.Diff([]Finding{{ID: "B", Package: "x"}, {ID: "A", Package: "y"}}, Gone(old, now)); diff != "" {
		t.Errorf("gone (-want +got):\n%s", diff)
	}
}
