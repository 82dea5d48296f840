package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
)

// An outcome is what becomes of a service in a test.
type outcome string

const (
	good         outcome = "good"
	buildFails   outcome = "build fails"
	vulnerable   outcome = "vulnerable"
	unscanned    outcome = "not scanned"
	unhealthy    outcome = "unhealthy"
	large        outcome = "large"
	incomplete   outcome = "incomplete"
	signFails    outcome = "sign fails"
	promoteFails outcome = "promote fails"
)

var outcomes = []outcome{good, buildFails, vulnerable, unscanned, unhealthy, large, incomplete, signFails, promoteFails}

// A stage plays the steps of a run and writes down in which order they came.
type stage struct {
	Publisher
	outcomes map[string]outcome // by service; good where nothing is said

	mu      sync.Mutex
	events  []string
	running int
	most    int // steps of Build that ran at the same time
}

func newStage() *stage {
	s := &stage{outcomes: map[string]outcome{}}
	s.Publisher = Publisher{Build: s.build, Reuse: s.reuse, Scan: s.scan, Database: s.database, Probe: s.probe, Published: s.published, Sign: s.sign, Promote: s.promote,
		Tell: s.tell, Now: time.Now, Gates: service.DefaultGates(), Native: "linux/amd64", MaxParallel: 3}
	return s
}

func (s *stage) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf(format, args...))
}

// tell takes verdicts from the log: they are told the moment they are given.
func (s *stage) tell(format string, args ...any) { s.note("told "+format, args...) }

// of returns the service that an image belongs to.
func (s *stage) of(image string) string {
	_, rest, _ := strings.Cut(image, "octo/")
	name, _, _ := strings.Cut(rest, "@")
	return name
}

func (s *stage) build(ctx context.Context, p plan.Service, _ map[string]Candidate) (Candidate, error) {
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	time.Sleep(time.Second) // of a false clock
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	s.note("build %s", p.Name)
	account := insight.Account{Steps: []insight.Step{{Name: "[1/1] RUN x"}}}
	if s.outcomes[p.Name] == buildFails {
		return Candidate{Account: account}, errors.New("exit code 1")
	}
	return Candidate{Image: s.image(p, "a"), Account: account}, ctx.Err()
}

func (s *stage) reuse(_ context.Context, p plan.Service, _ map[string]Candidate) (Candidate, error) {
	s.note("reuse %s", p.Name)
	if s.outcomes[p.Name] == buildFails {
		return Candidate{}, errors.New("no such image")
	}
	return Candidate{Image: s.image(p, "b")}, nil
}

func (s *stage) image(p plan.Service, digit string) registry.Image {
	img := registry.Image{Ref: digest(p.Image, digit)}
	for i, platform := range p.Platforms {
		if s.outcomes[p.Name] == incomplete && i > 0 {
			break
		}
		hash := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(fmt.Sprint(i), 64)}
		size := int64(1000)
		if s.outcomes[p.Name] == large {
			size = 2e9
		}
		img.Platforms = append(img.Platforms, registry.Platform{Platform: platform, Digest: hash, Compressed: size, User: "app"})
	}
	return img
}

func digest(image, digit string) name.Digest {
	ref, err := name.NewDigest(image + "@sha256:" + strings.Repeat(digit, 64))
	if err != nil {
		panic(err)
	}
	return ref
}

func (s *stage) scan(_ context.Context, t scan.Target) ([]verdict.Finding, error) {
	s.note("scan %s %s%s", t.Platform, t.Image, t.Layout)
	switch s.outcomes[s.of(t.Image)] {
	case vulnerable:
		return []verdict.Finding{{ID: "CVE-1", Severity: "CRITICAL"}}, nil
	case unscanned:
		return nil, errors.New("no database")
	}
	return nil, nil
}

func (s *stage) database() verdict.Database {
	return verdict.Database{Updated: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Age: time.Hour}
}

func (s *stage) probe(_ context.Context, image, platform string, d service.Service, gate service.StartupGate) verdict.Probe {
	s.note("probe %s %s within %s", platform, image, gate.Within)
	if s.outcomes[d.Name] == unhealthy {
		return verdict.Probe{Failure: "exited"}
	}
	return verdict.Probe{Platform: platform, Healthy: true, Started: time.Second}
}

func (s *stage) published(_ context.Context, image, digest string) (registry.Image, error) {
	s.note("published %s@%s", image, digest)
	return registry.Image{Platforms: []registry.Platform{{Platform: "linux/amd64", Compressed: 1000}, {Platform: "linux/arm64", Compressed: 100}}}, nil
}

func (s *stage) promote(_ context.Context, p plan.Service, approval verdict.Approval) ([]tags.Move, error) {
	s.note("promote %s", p.Name)
	ref, err := approval.Candidate()
	if err != nil {
		return nil, err
	}
	moves := []tags.Move{{Tag: p.TagSet.Names()[0], To: ref.DigestStr()}}
	if s.outcomes[p.Name] == promoteFails {
		return moves, errors.New("registry down")
	}
	return moves, nil
}

func (s *stage) sign(_ context.Context, r Result, approval verdict.Approval) (sign.Record, error) {
	if _, err := approval.Candidate(); err != nil {
		return sign.Record{}, err
	}
	if s.outcomes[r.Plan.Name] == signFails {
		return sign.Record{}, errors.New("no certificate")
	}
	s.note("sign %s", r.Plan.Name)
	return sign.Record{Identity: "me"}, nil
}

// did lists the events that begin with a word, without it.
func (s *stage) did(word string) []string {
	var did []string
	for _, e := range s.events {
		if rest, ok := strings.CutPrefix(e, word+" "); ok {
			did = append(did, rest)
		}
	}
	slices.Sort(did)
	return did
}

func planned(name string, action plan.Action) plan.Service {
	return plan.Service{Name: name, Image: "ghcr.io/octo/" + name, Action: action, Platforms: []string{"linux/amd64", "linux/arm64"},
		Definition: service.Service{Name: name}, TagSet: tags.Set{Tags: []tags.Tag{{Name: "main", Kind: tags.Branch}}}}
}

func built(names ...string) plan.Plan {
	var made plan.Plan
	for _, name := range names {
		made.Services = append(made.Services, planned(name, plan.Build))
	}
	return made
}

// run runs the stage on a false clock, on which no time passes but that of the steps.
func (s *stage) run(t *testing.T, made plan.Plan) []Result {
	t.Helper()
	var results []Result
	synctest.Test(t, func(t *testing.T) {
		results = s.Work(t.Context(), made.Services)
		s.Decide(t.Context(), results)
	})
	return results
}

// told renders results as lines.
func told(results []Result) string {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%s: approved %v, moved %d, held %q, error %v\n", r.Plan.Name, r.Approved(), len(r.Moves), r.Held, r.Err)
	}
	return b.String()
}

func TestRun(t *testing.T) {
	t.Parallel()
	held := HeldBack
	cases := []struct {
		name    string
		change  func(*stage)
		want    string
		promote string
	}{
		{"all good", func(*stage) {},
			"a: approved true, moved 1, held \"\", error <nil>\nb: approved true, moved 1, held \"\", error <nil>\n", "a b"},
		{"a failed build holds the others", func(s *stage) { s.outcomes["b"] = buildFails },
			"a: approved true, moved 0, held \"" + held + "\", error <nil>\nb: approved false, moved 0, held \"\", error exit code 1\n", ""},
		{"a failed build stops no other that goes by itself", func(s *stage) { s.outcomes["b"], s.PerService = buildFails, true },
			"a: approved true, moved 1, held \"\", error <nil>\nb: approved false, moved 0, held \"\", error exit code 1\n", "a"},
		{"a refusal holds the others", func(s *stage) { s.outcomes["b"] = vulnerable },
			"a: approved true, moved 0, held \"" + held + "\", error <nil>\nb: approved false, moved 0, held \"\", error <nil>\n", ""},
		{"a refusal stops no other that goes by itself", func(s *stage) { s.outcomes["b"], s.PerService = vulnerable, true },
			"a: approved true, moved 1, held \"\", error <nil>\nb: approved false, moved 0, held \"\", error <nil>\n", "a"},
		{"a run that pushes nothing", func(s *stage) { s.NoPush = true },
			"a: approved true, moved 0, held \"this run pushes nothing\", error <nil>\nb: approved true, moved 0, held \"this run pushes nothing\", error <nil>\n", ""},
		{"a run that pushes nothing, by service", func(s *stage) { s.NoPush, s.PerService = true, true },
			"a: approved true, moved 0, held \"this run pushes nothing\", error <nil>\nb: approved true, moved 0, held \"this run pushes nothing\", error <nil>\n", ""},
		{"what cannot be signed holds the set", func(s *stage) { s.outcomes["a"] = signFails },
			"a: approved false, moved 0, held \"\", error no certificate\nb: approved true, moved 0, held \"another service of the release set was not approved\", error <nil>\n", ""},
		{"what cannot be signed, by service", func(s *stage) { s.outcomes["a"], s.PerService = signFails, true },
			"a: approved false, moved 0, held \"\", error no certificate\nb: approved true, moved 1, held \"\", error <nil>\n", "b"},
		{"a promotion that breaks off keeps its moves", func(s *stage) { s.outcomes["a"] = promoteFails },
			"a: approved false, moved 1, held \"\", error registry down\nb: approved true, moved 1, held \"\", error <nil>\n", "a b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage()
			c.change(s)
			if diff := cmp.Diff(c.want, told(s.run(t, built("a", "b")))); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if got := strings.Join(s.did("promote"), " "); got != c.promote {
				t.Errorf("promoted %q, want %q", got, c.promote)
			}
		})
	}
}

func TestEveryRefusalRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range outcomes[1:] {
		if bad == promoteFails {
			continue
		}
		t.Run(string(bad), func(t *testing.T) {
			t.Parallel()
			s := newStage()
			s.outcomes["a"] = bad
			r := s.run(t, built("a"))[0]
			if r.Approved() || len(s.did("promote")) > 0 || r.Err == nil && len(r.Verdict.Reasons) == 0 {
				t.Errorf("approved %v, reasons %q, error %v", r.Approved(), r.Verdict.Reasons, r.Err)
			}
		})
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	s := newStage()
	made := built("a")
	made.Services[0].Digest = "sha256:" + strings.Repeat("c", 64)
	r := s.run(t, made)[0]
	first, second := "ghcr.io/octo/a@sha256:"+strings.Repeat("0", 64), "ghcr.io/octo/a@sha256:"+strings.Repeat("1", 64)
	if diff := cmp.Diff([]string{"linux/amd64 " + first, "linux/arm64 " + second}, s.did("scan")); diff != "" {
		t.Errorf("scanned (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"linux/amd64 " + first + " within 30s"}, s.did("probe")); diff != "" {
		t.Errorf("probed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ghcr.io/octo/a@" + made.Services[0].Digest}, s.did("published")); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	want := verdict.Evidence{Database: s.database(), Candidate: digest("ghcr.io/octo/a", "a"), Wanted: []string{"linux/amd64", "linux/arm64"}, Platforms: []verdict.Platform{
		{Platform: "linux/amd64", Digest: "sha256:" + strings.Repeat("0", 64), Compressed: 1000, Published: 1000, User: "app"},
		{Platform: "linux/arm64", Digest: "sha256:" + strings.Repeat("1", 64), Compressed: 1000, Published: 100, User: "app"},
	}, Probe: verdict.Probe{Platform: "linux/amd64", Healthy: true, Started: time.Second, Asked: made.Services[0].Definition.Trial(s.Gates.Startup)}, Built: 1}
	if diff := cmp.Diff(want, r.Evidence, cmp.Comparer(func(a, b name.Digest) bool { return a == b })); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	if r.Seconds["build"] != 1 || len(r.Seconds) != 4 || len(r.Candidate.Account.Steps) != 1 {
		t.Errorf("seconds %v, steps %v", r.Seconds, r.Candidate.Account.Steps)
	}
}

func TestGrowthIsJudgedAgainstWhatIsPublished(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.Gates.Size.Growth = 0.1
	made := built("a", "new")
	made.Services[0].Digest = "sha256:" + strings.Repeat("c", 64)
	results := s.run(t, made)
	if results[0].Approved() || !strings.Contains(strings.Join(results[0].Verdict.Reasons, ""), "linux/arm64 grew") || !results[1].Approved() {
		t.Errorf("reasons %q and %q", results[0].Verdict.Reasons, results[1].Verdict.Reasons)
	}
	s.Published = func(context.Context, string, string) (registry.Image, error) {
		return registry.Image{}, errors.New("gone")
	}
	const unknown = "its growth is not known, because the published image cannot be read: gone"
	if r := s.run(t, made)[0]; r.Approved() || !strings.Contains(strings.Join(r.Verdict.Reasons, ""), unknown) {
		t.Errorf("published sizes that cannot be read: approved %v, %q", r.Approved(), r.Verdict.Reasons)
	}
	unread := built("a")
	unread.Services[0].Unread = "denied"
	if r := s.run(t, unread)[0]; r.Approved() || !strings.Contains(strings.Join(r.Verdict.Reasons, ""), "cannot be read: denied") {
		t.Errorf("an image that planning could not read: approved %v, %q", r.Approved(), r.Verdict.Reasons)
	}
	s.Gates.Size.OnUnavailable = service.OnUnavailableWarn
	if r := s.run(t, made)[0]; !r.Approved() || !strings.Contains(strings.Join(r.Verdict.Notes, ""), unknown) {
		t.Errorf("with a warning: approved %v, notes %q", r.Approved(), r.Verdict.Notes)
	}
	s.Gates.Size.Growth = 0
	if r := s.run(t, made)[0]; !r.Approved() || r.Verdict.Notes != nil {
		t.Errorf("without a limit on growth: approved %v, notes %q", r.Approved(), r.Verdict.Notes)
	}
}

// TestOnlyNewFindingsRefuse compares with the published image of the same platform, and with no other.
func TestOnlyNewFindingsRefuse(t *testing.T) {
	t.Parallel()
	old, fresh := verdict.Finding{ID: "CVE-1", Package: "p", Installed: "1", Severity: "CRITICAL"}, verdict.Finding{ID: "CVE-1", Package: "q", Severity: "CRITICAL"}
	unread := errors.New("registry down")
	cases := []struct {
		name      string
		published []verdict.Finding // on each platform
		missing   bool              // the published image has no arm64
		err       error
		found     verdict.Finding
		never     bool // the service was never published
		same      bool // what was built is what is published
		scans     int
		want      string // part of the reasons; empty: approved
	}{
		{"the published image has it too", []verdict.Finding{old}, false, nil, verdict.Finding{ID: "CVE-1", Package: "p", Installed: "2", Severity: "CRITICAL"}, false, false, 4, ""},
		{"in another package", []verdict.Finding{old}, false, nil, fresh, false, false, 4, "linux/amd64 has 1 finding"},
		{"the published image is sound", nil, false, nil, old, false, false, 4, "linux/amd64 has 1 finding"},
		{"the published image lacks the platform", []verdict.Finding{old}, true, nil, old, false, false, 3, "linux/arm64 has 1 finding"},
		{"the published image cannot be read", []verdict.Finding{old}, false, unread, old, false, false, 2, "linux/amd64 has 1 finding"},
		{"nothing is published", nil, false, nil, old, true, false, 2, "linux/amd64 has 1 finding"},
		{"it is the published image", nil, false, nil, old, false, true, 2, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage()
			s.Gates.Vulnerabilities.OnlyNew = true
			planned := planned("a", plan.Build)
			if planned.Digest = "sha256:" + strings.Repeat("c", 64); c.never {
				planned.Digest = ""
			}
			s.Publisher.Published = func(context.Context, string, string) (registry.Image, error) {
				image := s.image(planned, "c")
				for i := range image.Platforms {
					if !c.same {
						image.Platforms[i].Digest.Hex = strings.Repeat(fmt.Sprint(8+i), 64)
					}
				}
				if c.missing {
					image.Platforms = image.Platforms[:1]
				}
				return image, c.err
			}
			s.Publisher.Scan = func(_ context.Context, target scan.Target) ([]verdict.Finding, error) {
				s.note("scan %s", target.Image)
				if strings.Contains(target.Image, "8888") || strings.Contains(target.Image, "9999") {
					return slices.Clone(c.published), nil
				}
				return []verdict.Finding{c.found}, nil
			}
			r := s.Work(t.Context(), []plan.Service{planned})[0]
			reasons := strings.Join(r.Verdict.Reasons, "\n")
			if r.Approved() != (c.want == "") || !strings.Contains(reasons, c.want) || len(s.did("scan")) != c.scans {
				t.Errorf("approved %v after the scans %q: %s", r.Approved(), s.did("scan"), reasons)
			}
			notes := strings.Join(r.Verdict.Notes, "\n")
			if uncompared := c.missing || c.err != nil; uncompared != strings.Contains(notes, "counts as new") {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

func TestReuseIsJudgedAgain(t *testing.T) {
	t.Parallel()
	for _, bad := range []outcome{good, vulnerable, buildFails} {
		s := newStage()
		s.outcomes["a"] = bad
		r := s.run(t, plan.Plan{Services: []plan.Service{planned("a", plan.Reuse)}})[0]
		if len(s.did("build")) > 0 || len(s.did("reuse")) != 1 {
			t.Errorf("%s: built %q, read %q; want it read", bad, s.did("build"), s.did("reuse"))
		}
		if judged := len(s.did("scan")) == 2 && len(s.did("probe")) == 1; judged != (bad != buildFails) {
			t.Errorf("%s: judged %v", bad, judged)
		}
		if promoted := len(s.did("promote")) == 1; promoted != (bad == good) || r.Approved() != promoted {
			t.Errorf("%s: approved %v, promoted %v", bad, r.Approved(), promoted)
		}
	}
}

func TestSkipAsksNothing(t *testing.T) {
	t.Parallel()
	s := newStage()
	results := s.run(t, plan.Plan{Services: []plan.Service{planned("a", plan.Skip), planned("b", plan.Build), planned("c", plan.Skip)}})
	for _, e := range s.events {
		if !strings.Contains(e, "b") {
			t.Errorf("a service that is skipped: %s", e)
		}
	}
	if len(results) != 3 || results[0].Plan.Name != "a" || results[2].Plan.Name != "c" || len(results[1].Moves) != 1 {
		t.Errorf("results:\n%s", told(results))
	}
}

func TestLayoutsOfWhatIsNotPushed(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.NoPush = true
	s.Publisher.Build = func(_ context.Context, p plan.Service, _ map[string]Candidate) (Candidate, error) {
		c := Candidate{Image: s.image(p, "a"), Layouts: map[string]string{"linux/amd64": "/l/amd64", "linux/arm64": "/l/arm64"}, Loaded: "a:candidate"}
		c.Image.Ref = name.Digest{}
		return c, nil
	}
	r := s.run(t, built("a"))[0]
	if diff := cmp.Diff([]string{"linux/amd64 /l/amd64", "linux/arm64 /l/arm64"}, s.did("scan")); diff != "" {
		t.Errorf("scanned (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"linux/amd64 a:candidate within 30s"}, s.did("probe")); diff != "" {
		t.Errorf("probed (-want +got):\n%s", diff)
	}
	if !r.Approved() || r.Held == "" {
		t.Errorf("approved %v, held %q", r.Approved(), r.Held)
	}
}

func TestWithoutATrialTheGateDecides(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(*stage)
		want   string
	}{
		{"no engine", func(s *stage) { s.NoEngine = errors.New("no socket") }, "no socket"},
		{"the engine's platform is missing", func(s *stage) { s.Native = "linux/s390x" }, "none of its platforms is linux/s390x, which runs here"},
	}
	for _, c := range cases {
		for _, policy := range []string{service.OnUnavailableRefuse, service.OnUnavailableWarn} {
			t.Run(c.name+", "+policy, func(t *testing.T) {
				t.Parallel()
				s := newStage()
				c.change(s)
				s.Gates.Startup.OnUnavailable = policy
				r := s.run(t, built("a"))[0]
				said := strings.Join(slices.Concat(r.Verdict.Reasons, r.Verdict.Notes), "")
				if r.Evidence.Probe.Unavailable == "" || !strings.Contains(said, c.want) || r.Approved() != (policy == service.OnUnavailableWarn) || len(s.did("probe")) > 0 {
					t.Errorf("approved %v, said %q, probed %q", r.Approved(), said, s.did("probe"))
				}
			})
		}
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	names := strings.Fields("a b c d e f g h")
	for _, limit := range []int{1, 3, 20} {
		s := newStage()
		s.MaxParallel = limit
		results := s.run(t, built(names...))
		if want := min(limit, len(names)); s.most != want {
			t.Errorf("%d services were built at the same time, want %d", s.most, want)
		}
		for i, r := range results {
			if r.Plan.Name != names[i] || !r.Approved() {
				t.Errorf("result %d is %s, approved %v; want the plan's order", i, r.Plan.Name, r.Approved())
			}
		}
	}
}

// TestTheNextIsBuiltWhileOneIsJudged and no more are judged at the same time than are built.
func TestTheNextIsBuiltWhileOneIsJudged(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]time.Duration{1: 5 * time.Second, 2: 3 * time.Second, 4: 2 * time.Second} {
		s := newStage()
		s.MaxParallel = limit
		var judged, most int
		s.Publisher.Probe = func(ctx context.Context, image, platform string, d service.Service, gate service.StartupGate) verdict.Probe {
			s.mu.Lock()
			judged++
			most = max(most, judged)
			s.mu.Unlock()
			time.Sleep(time.Second) // of a false clock, as long as a build
			s.mu.Lock()
			judged--
			s.mu.Unlock()
			return s.probe(ctx, image, platform, d, gate)
		}
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			s.Work(t.Context(), built("a", "b", "c", "d").Services)
			if took := time.Since(begun); took != want || most > limit || s.most > limit {
				t.Errorf("%d at a time: took %s, want %s; %d were built and %d judged at once", limit, took, want, s.most, most)
			}
		})
	}
}

// TestPhases tells of each service what is done with it.
func TestPhases(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.outcomes["b"] = buildFails
	phases := map[string][]Phase{}
	s.Publisher.Enter = func(service string, phase Phase) {
		s.mu.Lock()
		defer s.mu.Unlock()
		phases[service] = append(phases[service], phase)
	}
	made := built("a", "b", "c")
	made.Services[2].Action = plan.Skip
	s.run(t, made)
	want := map[string][]Phase{"a": {Making, Waiting, Judging, Over}, "b": {Making, Over}}
	if diff := cmp.Diff(want, phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestCancelledRunPromotesNothing(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped by hand")
	// cancelAt says at which event the run is stopped.
	for _, cancelAt := range []string{"", "build b", "scan linux/arm64", "probe", "told a: approved", "told b: approved", "promote a"} {
		for _, perService := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q, by service %v", cancelAt, perService), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStage()
					s.PerService = perService
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					if cancelAt == "" {
						cancel(stopped)
					}
					done := make(chan struct{})
					go func() { // a person at the log
						for ctx.Err() == nil {
							s.mu.Lock()
							if slices.ContainsFunc(s.events, func(e string) bool { return strings.HasPrefix(e, cancelAt) }) {
								cancel(stopped)
							}
							s.mu.Unlock()
							select {
							case <-done:
								return
							case <-time.After(time.Millisecond):
							}
						}
					}()
					s.Publisher.Scan = func(ctx context.Context, target scan.Target) ([]verdict.Finding, error) {
						time.Sleep(time.Second)
						return s.scan(ctx, target)
					}
					s.Publisher.Tell = func(format string, args ...any) { s.tell(format, args...); time.Sleep(2 * time.Millisecond) }
					s.Publisher.Promote = func(ctx context.Context, p plan.Service, approval verdict.Approval) ([]tags.Move, error) {
						if ctx.Err() != nil {
							t.Errorf("%s was promoted after the end", p.Name)
						}
						defer time.Sleep(2 * time.Millisecond)
						return s.promote(ctx, p, approval)
					}
					results := s.Work(ctx, built("a", "b").Services)
					s.Decide(ctx, results)
					close(done)
					if promoted := s.did("promote"); cancelAt == "promote a" && len(promoted) != 1 || cancelAt != "promote a" && len(promoted) > 0 {
						t.Errorf("promoted %q; events %q", promoted, s.events)
					}
					if !slices.ContainsFunc(results, func(r Result) bool { return errors.Is(r.Err, stopped) || errors.Is(r.Err, context.Canceled) }) {
						t.Errorf("no result says why:\n%s", told(results))
					}
				})
			})
		}
	}
}

// TestNoTagWithoutAVerdict draws runs and looks for a tag that moved though it must not.
func TestNoTagWithoutAVerdict(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		s := newStage()
		s.PerService, s.NoPush, s.MaxParallel = r.IntN(2) == 0, r.IntN(8) == 0, 1+r.IntN(4)
		var made plan.Plan
		for i := range 1 + r.IntN(6) {
			name := string(rune('a' + i))
			made.Services = append(made.Services, planned(name, []plan.Action{plan.Build, plan.Build, plan.Reuse, plan.Skip}[r.IntN(4)]))
			s.outcomes[name] = good
			if r.IntN(4) == 0 {
				s.outcomes[name] = outcomes[r.IntN(len(outcomes))]
			}
		}
		if problem := check(s, made, s.run(t, made)); problem != "" {
			t.Fatalf("%s\nby service %v, no push %v, outcomes %v\nevents %q", problem, s.PerService, s.NoPush, s.outcomes, s.events)
		}
	}
}

// signedFirst reports whether a service was signed before any tag moved.
func (s *stage) signedFirst(service string) bool {
	first := slices.IndexFunc(s.events, func(e string) bool { return strings.HasPrefix(e, "promote ") })
	return slices.Contains(s.events[:first], "sign "+service)
}

// check holds a run against the promises that stand whatever happens.
func check(s *stage, made plan.Plan, results []Result) string {
	bad := func(name string) bool { return s.outcomes[name] != good && s.outcomes[name] != promoteFails }
	allGood := !slices.ContainsFunc(made.Work(), func(w plan.Service) bool { return bad(w.Name) })
	promoted := s.did("promote")
	for i, r := range results {
		work, did := r.Plan.Action != plan.Skip, slices.Contains(promoted, r.Plan.Name)
		may := work && !bad(r.Plan.Name) && !s.NoPush && (s.PerService || allGood)
		switch {
		case r.Plan.Name != made.Services[i].Name:
			return "results are not in the plan's order"
		case did && !may:
			return r.Plan.Name + " was promoted"
		case did && (r.Signed.Identity == "" || !s.signedFirst(r.Plan.Name)):
			return r.Plan.Name + " was promoted before all was signed"
		case may && !did:
			return r.Plan.Name + " was not promoted"
		case work && !did && r.Approved() && r.Held == "":
			return r.Plan.Name + " was left without a reason"
		}
	}
	first := slices.IndexFunc(s.events, func(e string) bool { return strings.HasPrefix(e, "promote ") })
	if first < 0 {
		return ""
	}
	for _, e := range s.events[first:] {
		if !strings.HasPrefix(e, "promote ") {
			return "a tag moved before " + e
		}
	}
	return ""
}

// TestAnImageIsBuiltAfterWhatItIsMadeFrom and gets that very candidate; where there is none, it is not built at all.
func TestAnImageIsBuiltAfterWhatItIsMadeFrom(t *testing.T) {
	t.Parallel()
	services := func() plan.Plan {
		made := built("app", "tool", "base")
		list := made.Services
		list[0].Bases = []plan.BaseImage{{Name: "octo/tool", Service: "tool"}, {Name: "octo/gone", Service: "elsewhere"}, {Name: "busybox"}}
		list[1].Bases = []plan.BaseImage{{Name: "octo/base", Service: "base"}, {Name: "octo/tool", Service: "tool"}}
		return made
	}
	for _, parallel := range []int{1, 3} {
		s := newStage()
		s.MaxParallel = parallel
		build := s.Publisher.Build
		s.Publisher.Build = func(ctx context.Context, p plan.Service, bases map[string]Candidate) (Candidate, error) {
			for name, c := range bases {
				s.note("%s gets %s of %s", p.Name, c.Image.Ref.Context().RepositoryStr(), name)
			}
			return build(ctx, p, bases)
		}
		s.run(t, services())
		order := slices.DeleteFunc(slices.Clone(s.events), func(e string) bool { return !strings.HasPrefix(e, "build ") })
		if diff := cmp.Diff([]string{"build base", "build tool", "build app"}, order); diff != "" {
			t.Errorf("%d at a time (-want +got):\n%s", parallel, diff)
		}
		for _, want := range []string{"tool gets octo/base of base", "app gets octo/tool of tool"} {
			if !slices.Contains(s.events, want) {
				t.Errorf("%q lacks %q", s.events, want)
			}
		}
	}
	s := newStage()
	s.outcomes["tool"] = buildFails
	results := s.run(t, services())
	if err := results[0].Err; err == nil || !strings.Contains(err.Error(), "made from the image of tool, which was not built") {
		t.Errorf("app: %v", err)
	}
	if !results[2].Approved() {
		t.Errorf("base: %v", results[2].Err)
	}
}

// TestWhatIsToMoveIsWrittenDownBefore strikes it only when all has moved, and moves nothing where it cannot be written.
func TestWhatIsToMoveIsWrittenDownBefore(t *testing.T) {
	t.Parallel()
	services := []plan.Service{planned("a", plan.Build), planned("b", plan.Build), planned("c", plan.Skip)}
	cases := map[string]struct {
		b     outcome
		begin error
		want  []string
	}{
		"all is well":        {good, nil, []string{"begin a b", "promote a", "promote b", "end"}},
		"one breaks off":     {promoteFails, nil, []string{"begin a b", "promote a", "promote b"}},
		"one is refused":     {vulnerable, nil, nil},
		"nobody writes down": {good, errors.New("registry down"), []string{"begin a b"}},
	}
	for name, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			s.Sign = nil
			s.outcomes["b"] = c.b
			s.Begin = func(_ context.Context, set []*Result) error {
				names := ""
				for _, r := range set {
					names += " " + r.Plan.Name
				}
				s.note("begin%s", names)
				return c.begin
			}
			s.End = func(context.Context) error { s.note("end"); return nil }
			results := s.Work(t.Context(), services)
			s.events = nil
			s.Decide(t.Context(), results)
			if diff := cmp.Diff(c.want, s.events); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if c.begin != nil && (results[0].Err == nil || results[1].Err == nil) {
				t.Errorf("%s: the errors are %v and %v", name, results[0].Err, results[1].Err)
			}
		})
	}
}

// TestEverythingIsNewBesideAnImageThatCannotBeScanned, and a note says so.
func TestEverythingIsNewBesideAnImageThatCannotBeScanned(t *testing.T) {
	t.Parallel()
	s := newStage()
	s.Gates.Vulnerabilities.OnlyNew = true
	planned := planned("a", plan.Reuse)
	planned.Digest = "sha256:" + strings.Repeat("c", 64)
	s.Publisher.Published = func(context.Context, string, string) (registry.Image, error) {
		image := s.image(planned, "c")
		for i := range image.Platforms {
			image.Platforms[i].Digest.Hex = strings.Repeat("9", 64)
		}
		return image, nil
	}
	s.Publisher.Scan = func(_ context.Context, target scan.Target) ([]verdict.Finding, error) {
		if strings.Contains(target.Image, "9999") {
			return nil, errors.New("manifest unknown")
		}
		return []verdict.Finding{{ID: "CVE-1", Package: "p", Severity: "CRITICAL"}}, nil
	}
	r := s.Work(t.Context(), []plan.Service{planned})[0]
	if notes := strings.Join(r.Verdict.Notes, "\n"); r.Approved() || !strings.Contains(notes, "every finding on linux/arm64 counts as new, because there is nothing to compare with: manifest unknown") {
		t.Errorf("approved %v, reasons %q, notes %q", r.Approved(), r.Verdict.Reasons, notes)
	}
}

// TestEmulatedPlatforms tries out every platform where that is asked for, with more time for those that do not run by themselves.
func TestEmulatedPlatforms(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			s.Gates.Startup.Emulated = all
			r := s.Work(t.Context(), []plan.Service{planned("a", plan.Build)})[0]
			if tried := len(s.did("probe linux/arm64")); (tried == 1) != all || len(r.Evidence.Emulated) != tried || len(s.did("probe linux/amd64")) != 1 {
				t.Errorf("all %v: %q", all, s.did("probe"))
			}
			if all && !strings.HasSuffix(s.did("probe linux/arm64")[0], "within 2m30s") {
				t.Errorf("an emulated platform is tried %q", s.did("probe linux/arm64"))
			}
		})
	}
	foreign := unlessForeign(verdict.Probe{Failure: "api ended with exit code 1", Log: []string{"exec /server: exec format error"}})
	if own := unlessForeign(verdict.Probe{Failure: "api ended"}); foreign.Unavailable == "" || foreign.Failure != "" || own.Failure == "" {
		t.Errorf("%+v, %+v", foreign, own)
	}
}
