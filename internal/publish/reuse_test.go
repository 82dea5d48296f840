package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/verdict"
)

// usedAgain is a plan that uses a digest again, and says what is built where that is refused.
func usedAgain(part bool) plan.Plan {
	s := planned("a", plan.Reuse)
	s.Reused, s.Part = "sha256:"+strings.Repeat("b", 64), part
	s.Fresh = &plan.Fresh{Inputs: "sha256:fresh", Annotations: map[string]string{plan.InputsKey: "sha256:fresh"}}
	return plan.Plan{Services: []plan.Service{s}}
}

// TestOutdatedDigestIsBuiltOnce builds what is refused for its findings alone, and nothing else.
func TestOutdatedDigestIsBuiltOnce(t *testing.T) {
	t.Parallel()
	for bad, c := range map[outcome]struct{ built, part bool }{
		good: {}, vulnerable: {built: true}, unscanned: {}, unhealthy: {}, large: {}, buildFails: {}, incomplete: {},
	} {
		s := newStage()
		s.outcomes["a"] = bad
		r := s.run(t, usedAgain(false))[0]
		if built := len(s.did("build")) == 1; built != c.built || (r.Anew != nil) != c.built || (r.Plan.Action == plan.Build) != c.built {
			t.Errorf("%s: built %q, because %q", bad, s.did("build"), r.Anew)
		}
		if c.built && (r.Plan.Inputs != "sha256:fresh" || r.Plan.Reused != "" || !*r.Plan.Definition.NoCache || !strings.Contains(r.Plan.Reason, "is refused: linux/amd64 has 1 finding")) {
			t.Errorf("%s: built as %+v", bad, r.Plan)
		}
		if r.Approved() != (bad == good) {
			t.Errorf("%s: approved %v", bad, r.Approved())
		}
	}
	broken := newStage()
	broken.outcomes["a"] = vulnerable
	broken.Publisher.Build = func(context.Context, plan.Service, map[string]Candidate) (Candidate, error) {
		return Candidate{}, errors.New("no builder")
	}
	if r := broken.run(t, usedAgain(false))[0]; r.Err != nil || r.Approved() || r.Plan.Action != plan.Reuse || !slices.Contains(r.Verdict.Notes, "it could not be built anew: no builder") {
		t.Errorf("what cannot be built anew is %s, %v, notes %q; want it refused", r.Plan.Action, r.Err, r.Verdict.Notes)
	}
	s := newStage()
	s.outcomes["a"] = vulnerable
	if r := s.run(t, usedAgain(true))[0]; r.Anew != nil || len(s.did("build")) > 0 {
		t.Error("a part of an image is built anew by itself")
	}
}

// TestBuiltAnewFromWhatIsAnew has services that are made from one another. What was built from an image that is refused is as bad as that, and so is what is
// made from it: each is built once more, from what took the other's place.
func TestBuiltAnewFromWhatIsAnew(t *testing.T) {
	t.Parallel()
	s := newStage()
	from := func(p plan.Service, digit string) Candidate {
		made := s.image(p, digit)
		for i := range made.Platforms {
			made.Platforms[i].Digest.Hex = strings.Repeat(digit, 63) + fmt.Sprint(i)
		}
		return Candidate{Image: made}
	}
	s.Publisher.Reuse = func(_ context.Context, p plan.Service, _ map[string]Candidate) (Candidate, error) {
		return from(p, "b"), nil
	}
	s.Publisher.Build = func(_ context.Context, p plan.Service, bases map[string]Candidate) (Candidate, error) {
		digit, of := "a", ""
		for _, b := range p.Bases {
			of = b.Digest
			if made, here := bases[b.Service]; here {
				of = made.Image.Ref.DigestStr()
			}
			if !strings.HasPrefix(of, "sha256:a") {
				digit = "c"
			}
		}
		s.note("build %s from %.8s", p.Name, of)
		return from(p, digit), nil
	}
	s.Publisher.Scan = func(_ context.Context, target scan.Target) ([]verdict.Finding, error) {
		if strings.Contains(target.Image, "sha256:a") {
			return nil, nil
		}
		return []verdict.Finding{{ID: "CVE-1", Severity: "CRITICAL"}}, nil
	}
	base, used, built, stranger := usedAgain(false).Services[0], usedAgain(false).Services[0], planned("built", plan.Build), planned("stranger", plan.Build)
	used.Name, used.Image = "used", "ghcr.io/octo/used"
	published := "sha256:" + strings.Repeat("b", 64)
	used.Fresh.Bases = []plan.BaseImage{{Name: "base", Service: "a"}}
	used.Bases = []plan.BaseImage{{Name: "base", Service: "a", Digest: published}}
	built.Bases = []plan.BaseImage{{Name: "base", Service: "used", Digest: published}}
	stranger.Bases = []plan.BaseImage{{Name: "base", Digest: published}}
	results := s.run(t, plan.Plan{Services: []plan.Service{stranger, built, used, base}})
	want := []string{"a from ", "built from sha256:a", "built from sha256:b", "stranger from sha256:b", "used from sha256:a"}
	if got := s.did("build"); !slices.Equal(got, want) {
		t.Errorf("built are %q, want %q", got, want)
	}
	for _, r := range results {
		if r.Err != nil || r.Approved() != (r.Plan.Name != "stranger") {
			t.Errorf("%s: approved %v, %v, %q", r.Plan.Name, r.Approved(), r.Err, r.Verdict.Notes)
		}
	}
}

// TestTriedBefore starts no image again that a signed verdict says to have been started, and all others.
func TestTriedBefore(t *testing.T) {
	t.Parallel()
	definition := planned("a", plan.Reuse).Definition
	asked := definition.Trial(newStage().Gates.Startup)
	for name, c := range map[string]struct {
		change func(*stage, *plan.Service)
		probed bool
	}{
		"as it was":                   {func(*stage, *plan.Service) {}, false},
		"without a verdict":           {func(_ *stage, s *plan.Service) { s.Proof = nil }, true},
		"of another platform":         {func(_ *stage, s *plan.Service) { s.Proof.Platform = "linux/arm64" }, true},
		"that was not started":        {func(_ *stage, s *plan.Service) { s.Proof.Platform, s.Proof.Asked = "", "" }, true},
		"of which more is demanded":   {func(_ *stage, s *plan.Service) { s.Definition.Smoke = [][]string{{"true"}} }, true},
		"of which less is demanded":   {func(g *stage, _ *plan.Service) { g.Gates.Startup.Within *= 2 }, true},
		"with values that are secret": {func(_ *stage, s *plan.Service) { s.Definition.Env = map[string]string{"A": "b"} }, true},
		"whose size on disk counts":   {func(g *stage, _ *plan.Service) { g.Gates.Size.Unpacked = 1 << 40 }, true},
		"in another line of the file": {func(_ *stage, s *plan.Service) { s.Definition.At = "elsewhere:7:1" }, false},
	} {
		s := newStage()
		one := usedAgain(false).Services[0]
		one.Proof = &plan.Proof{Platform: "linux/amd64", Asked: asked, Run: "https://github.com/o/r/actions/runs/1"}
		c.change(s, &one)
		r := s.run(t, plan.Plan{Services: []plan.Service{one}})[0]
		if probed := len(s.did("probe")) == 1; probed != c.probed {
			t.Errorf("%s: started %v, want %v", name, probed, c.probed)
		}
		if !c.probed && (!r.Approved() || !strings.Contains(r.Evidence.Probe.Route, "runs/1 has tried it out")) {
			t.Errorf("%s: %+v, reasons %q", name, r.Evidence.Probe, r.Verdict.Reasons)
		}
	}
}

// TestRowBuildsAnew has a row hand over what it built though a digest was to be used again.
func TestRowBuildsAnew(t *testing.T) {
	t.Parallel()
	made := usedAgain(false)
	made.Commit = strings.Repeat("c", 40)
	made.Services[0].Inputs = "sha256:before"
	row := plan.Row{Row: "a", Services: []string{"a"}, Platforms: made.Services[0].Platforms}
	made.Matrix.Include = []plan.Row{row}
	j := newJobs(made)
	j.outcomes["a"] = vulnerable
	j.row(t, row, 1)
	if f := j.fragments["a"]; f.Parts[0].Inputs != "sha256:fresh" || len(f.Parts[0].Anew) != 2 {
		t.Errorf("handed over %+v", f.Parts[0])
	}
	results := j.Join(t.Context(), made, j.fragments)
	if r := results[0]; r.Plan.Action != plan.Build || r.Plan.Inputs != "sha256:fresh" || r.Err != nil {
		t.Errorf("joined as %s of %s, %v", r.Plan.Action, r.Plan.Inputs, r.Err)
	}
	// A row that worked on what nobody planned is refused, whatever it says.
	f := j.fragments["a"]
	f.Parts = slices.Clone(f.Parts)
	f.Parts[0].Inputs = "sha256:other"
	if r := j.Join(t.Context(), made, map[string]Fragment{"a": f})[0]; r.Err == nil || !strings.Contains(r.Err.Error(), "other files, than was planned") {
		t.Errorf("joined what nobody planned: %v", r.Err)
	}
}
