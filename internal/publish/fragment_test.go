package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A jobs plays the three jobs of a run on a stage: rows, each on a machine of its own, and the one that finalizes.
type jobs struct {
	*stage
	made      plan.Plan
	fragments map[string]Fragment
}

// split is a plan of services whose platforms are built in rows of their own.
func split(names ...string) plan.Plan {
	made := built(names...)
	made.Commit = strings.Repeat("c", 40)
	for i := range made.Services {
		s := &made.Services[i]
		s.Inputs = "sha256:" + s.Name
		for _, platform := range s.Platforms {
			made.Matrix.Include = append(made.Matrix.Include, plan.Row{Row: s.Name + "@" + strings.ReplaceAll(platform, "/", "-"), Services: []string{s.Name}, Platforms: []string{platform}})
		}
	}
	return made
}

func newJobs(made plan.Plan) *jobs {
	j := &jobs{stage: newStage(), made: made, fragments: map[string]Fragment{}}
	j.Publisher.Index = j.index
	return j
}

// index plays the registry's: what the parts hold, under a digest of the whole.
func (j *jobs) index(_ context.Context, s plan.Service, digests []string) (registry.Image, error) {
	j.note("index %s of %d", s.Name, len(digests))
	return j.image(s, "d"), nil
}

// row does a row's work and hands over what it made.
func (j *jobs) row(t *testing.T, row plan.Row, attempt int) []Result {
	t.Helper()
	one := newStage()
	one.outcomes = j.outcomes
	one.NoPush, one.Native = j.NoPush, row.Platforms[0] // a native runner
	one.Publisher.Build = func(ctx context.Context, s plan.Service, _ map[string]Candidate) (Candidate, error) {
		c, err := one.build(ctx, s, nil)
		for i := range c.Image.Platforms {
			c.Image.Platforms[i].Digest = j.digestOf(s, c.Image.Platforms[i].Platform)
		}
		c.Cache = cache.Use{Policy: cache.Policy{Writes: "registry"}, Tiers: []cache.Gave{{Tier: "registry", Hits: 1, Seconds: 0.5}}}
		return c, err
	}
	var results []Result
	synctest.Test(t, func(t *testing.T) { results = one.Work(t.Context(), j.made.Share(row)) })
	j.events = append(j.events, one.events...)
	data, err := json.Marshal(NewFragment(row.Row, j.made.Commit, attempt, results, []memory.Entry{{Key: row.Row, Value: json.RawMessage("1")}}))
	if err != nil {
		t.Fatal(err)
	}
	if j.fragments[row.Row], err = ReadFragment(data); err != nil {
		t.Fatal(err)
	}
	return results
}

// digestOf is the digest of a platform's image, whichever row built it.
func (j *jobs) digestOf(s plan.Service, platform string) v1.Hash {
	for _, whole := range j.made.Services {
		if whole.Name == s.Name {
			i := slices.Index(whole.Platforms, platform)
			return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(fmt.Sprint(i), 64)}
		}
	}
	panic("no service " + s.Name)
}

func (j *jobs) rows(t *testing.T) {
	t.Helper()
	for _, row := range j.made.Matrix.Include {
		j.row(t, row, 1)
	}
}

func (j *jobs) finalize(t *testing.T) []Result {
	t.Helper()
	results := j.Join(t.Context(), j.made, j.fragments)
	j.Decide(t.Context(), results)
	return results
}

func TestRowsAreJoined(t *testing.T) {
	t.Parallel()
	j := newJobs(split("a", "b"))
	j.made.Services = append(j.made.Services, planned("idle", plan.Skip))
	for _, row := range j.made.Matrix.Include {
		for _, r := range j.row(t, row, 1) {
			if _, err := r.Verdict.Approval(); !r.Approved() || err == nil {
				t.Errorf("row %s: approved %v, and gives the right to tag a part: %v", row.Row, r.Approved(), err)
			}
		}
	}
	if moved := j.did("promote"); len(moved) > 0 {
		t.Errorf("rows promoted %q", moved)
	}
	results := j.finalize(t)
	want := "a: approved true, moved 1, held \"\", error <nil>\nb: approved true, moved 1, held \"\", error <nil>\nidle: approved false, moved 0, held \"\", error <nil>\n"
	if diff := cmp.Diff(want, told(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a of 2", "b of 2"}, j.did("index")); diff != "" {
		t.Errorf("joined (-want +got):\n%s", diff)
	}
	e := results[0].Evidence
	if len(e.Platforms) != 2 || e.Platforms[1].Platform != "linux/arm64" || !e.Probe.Healthy || e.Part || len(results[0].Candidate.Account.Steps) != 2 || results[0].Seconds["build"] != 1 {
		t.Errorf("evidence %+v, steps %v, seconds %v", e, results[0].Candidate.Account.Steps, results[0].Seconds)
	}
	if gave := results[0].Candidate.Cache.Tiers; len(gave) != 1 || gave[0].Hits != 2 || gave[0].Seconds != 1 {
		t.Errorf("layers of other runs: %+v", gave)
	}
	if learnt := j.fragments["a@linux-amd64"].Learnt; len(learnt) != 1 || learnt[0].Key != "a@linux-amd64" || string(learnt[0].Value) != "1" {
		t.Errorf("it learnt %+v", learnt)
	}
}

// TestEveryFaultOfARowHoldsTheSet does to one row what can happen to it, and demands that no tag moves.
func TestEveryFaultOfARowHoldsTheSet(t *testing.T) {
	t.Parallel()
	const bad = "a@linux-arm64"
	cases := []struct {
		name   string
		change func(j *jobs)
		want   string // part of what is said of service a
	}{
		{"it never handed anything over", func(j *jobs) { delete(j.fragments, bad) }, "nothing came of row a@linux-arm64"},
		{"it handed over nothing of the service", func(j *jobs) { j.alter(bad, func(f *Fragment) { f.Parts = nil }) }, "nothing came of row"},
		{"it is of an attempt before the plan was made", func(j *jobs) {
			j.made.Attempt = 2
			j.alter("a@linux-amd64", again)
			j.alter("b@linux-amd64", again)
			j.alter("b@linux-arm64", again)
		}, "nothing came of row a@linux-arm64"},
		{"it cannot be read", func(j *jobs) { j.fragments[bad] = Fragment{Unread: "no such artifact"} }, "what row a@linux-arm64 handed over cannot be read: no such artifact"},
		{"its build failed", func(j *jobs) { j.alter(bad, func(f *Fragment) { f.Parts[0].Error = "exit code 1" }) }, "row a@linux-arm64: exit code 1"},
		{"it was of another commit", func(j *jobs) { j.alter(bad, func(f *Fragment) { f.Commit = "other" }) }, "another commit"},
		{"it was made of other files", func(j *jobs) { j.alter(bad, func(f *Fragment) { f.Parts[0].Inputs = "other" }) }, "other files"},
		{"its image has a finding", func(j *jobs) {
			j.alter(bad, func(f *Fragment) {
				f.Parts[0].Evidence.Platforms[0].Findings = []verdict.Finding{{ID: "CVE-1", Severity: "CRITICAL"}}
			})
		}, "linux/arm64 has 1 finding"},
		{"its image could not be scanned", func(j *jobs) {
			j.alter(bad, func(f *Fragment) { f.Parts[0].Evidence.Platforms[0].Unscanned = "no database" })
		}, "could not be scanned: no database"},
		{"its image did not start", func(j *jobs) {
			j.alter(bad, func(f *Fragment) {
				f.Parts[0].Evidence.Probe = verdict.Probe{Platform: "linux/arm64", Failure: "exited with code 7"}
			})
		}, "exited with code 7"},
		{"it could not try its image out", func(j *jobs) {
			j.alter(bad, func(f *Fragment) {
				f.Parts[0].Evidence.Probe = verdict.Probe{Platform: "linux/arm64", Unavailable: "no socket"}
			})
		}, "could not be tried out: no socket"},
		{"it judged another image than it pushed", func(j *jobs) {
			j.alter(bad, func(f *Fragment) { f.Parts[0].Evidence.Platforms[0].Digest = "sha256:" + strings.Repeat("e", 64) })
		}, "which no row has judged"},
		{"it judged no platform", func(j *jobs) { j.alter(bad, func(f *Fragment) { f.Parts[0].Evidence.Platforms = nil }) }, "which no row has judged"},
		{"what it pushed is gone", func(j *jobs) {
			j.Publisher.Index = func(_ context.Context, s plan.Service, _ []string) (registry.Image, error) {
				if s.Name == "a" {
					return registry.Image{}, errors.New("no such image")
				}
				return j.image(s, "d"), nil
			}
		}, "no such image"},
		{"the plan has no row for it", func(j *jobs) { j.made.Matrix.Include = j.made.Matrix.Include[2:] }, "no row of the matrix is for it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newJobs(split("a", "b"))
			j.rows(t)
			c.change(j)
			results := j.finalize(t)
			said := fmt.Sprint(results[0].Err, results[0].Verdict.Reasons)
			if !strings.Contains(said, c.want) || len(j.did("promote")) > 0 || results[1].Held != HeldBack {
				t.Errorf("it says %s, and promoted %q; want %q and nothing", said, j.did("promote"), c.want)
			}
			j.PerService = true
			if j.finalize(t); !slices.Equal(j.did("promote"), []string{"b"}) {
				t.Errorf("by itself each, promoted %q", j.did("promote"))
			}
		})
	}
}

// again makes a fragment be of the second attempt.
func again(f *Fragment) { f.Attempt = 2 }

func (j *jobs) alter(row string, change func(*Fragment)) {
	f := j.fragments[row]
	change(&f)
	j.fragments[row] = f
}

// TestBegan asks of rows that were worked on in several attempts, one of them on a machine whose clock is ahead.
func TestBegan(t *testing.T) {
	t.Parallel()
	at := func(attempt int, seconds ...int64) Fragment {
		part := Part{Spans: []Span{{}}}
		for _, s := range seconds {
			part.Spans = append(part.Spans, Span{Began: time.Unix(s, 0)})
		}
		return Fragment{Attempt: attempt, Parts: []Part{{}, part}}
	}
	fragments := map[string]Fragment{"a": at(1, 5, 9), "b": at(2, 40, 30), "c": at(2, 20, 50), "d": at(2), "e": at(3, 120)}
	made := plan.Plan{Attempt: 1, StartedAt: time.Unix(2, 0)}
	for attempt, want := range map[int]int64{1: 2, 2: 20, 3: 99, 4: 99} {
		if got := Began(made, fragments, attempt, time.Unix(99, 0)); got.Unix() != want {
			t.Errorf("attempt %d began at %d, want %d", attempt, got.Unix(), want)
		}
	}
}

func TestARowThatWasRunAgainConverges(t *testing.T) {
	t.Parallel()
	j := newJobs(split("a"))
	j.outcomes["a"] = buildFails
	j.rows(t)
	if r := j.finalize(t)[0]; r.Err == nil {
		t.Error("a failed row was taken for none")
	}
	j.outcomes["a"] = good
	for _, row := range j.made.Matrix.Include {
		j.row(t, row, 2)
	}
	if r := j.finalize(t)[0]; !r.Approved() || len(j.did("promote")) != 1 {
		t.Errorf("after another attempt: %s", told([]Result{r}))
	}
}

// TestAPartThatRunsNowhereIsLeftToTheOthers builds for arm64 on a machine of another platform.
func TestAPartThatRunsNowhereIsLeftToTheOthers(t *testing.T) {
	t.Parallel()
	j := newJobs(split("a"))
	j.rows(t)
	foreign := verdict.Probe{Unavailable: "none of its platforms is linux/amd64, which runs here"}
	j.alter("a@linux-arm64", func(f *Fragment) { f.Parts[0].Evidence.Probe = foreign })
	if r := j.finalize(t)[0]; !r.Approved() {
		t.Errorf("refused: %q", r.Verdict.Reasons)
	}
	j.alter("a@linux-amd64", func(f *Fragment) { f.Parts[0].Evidence.Probe = foreign })
	if r := j.finalize(t)[0]; r.Approved() || !strings.Contains(fmt.Sprint(r.Verdict.Reasons), "could not be tried out") {
		t.Errorf("approved %v though nobody tried it out: %q", r.Approved(), r.Verdict.Reasons)
	}
}

func TestNothingIsJoinedThatIsNotPushed(t *testing.T) {
	t.Parallel()
	j := newJobs(split("a"))
	j.NoPush = true
	j.rows(t)
	if r := j.finalize(t)[0]; !r.Approved() || r.Held == "" || len(j.did("index")) > 0 {
		t.Errorf("%s, joined %q", told([]Result{r}), j.did("index"))
	}
}

// TestNoTagBeforeEveryRowIsApproved deals random fates to random rows.
func TestNoTagBeforeEveryRowIsApproved(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 0))
		j := newJobs(split("a", "b", "c"))
		sound := map[string]bool{"a": true, "b": true, "c": true}
		for _, row := range j.made.Matrix.Include {
			service := row.Services[0]
			j.outcomes[service] = good
			if dice.IntN(4) == 0 {
				j.outcomes[service] = []outcome{buildFails, vulnerable, unscanned, unhealthy, large}[dice.IntN(5)]
				sound[service] = false
			}
			if dice.IntN(10) == 0 {
				sound[service] = false
				continue // the runner was lost
			}
			j.row(t, row, 1)
		}
		clear(j.outcomes)
		j.PerService = dice.IntN(2) == 0
		j.finalize(t)
		var want []string
		for _, service := range []string{"a", "b", "c"} {
			if sound[service] && (j.PerService || sound["a"] && sound["b"] && sound["c"]) {
				want = append(want, service)
			}
		}
		if got := j.did("promote"); !slices.Equal(got, want) {
			t.Fatalf("seed %d: promoted %q, want %q", seed, got, want)
		}
	}
}

func TestReadFragmentRefuses(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "{", `{"schema_version":2}`, `{}`} {
		if _, err := ReadFragment([]byte(data)); err == nil {
			t.Errorf("%q was read", data)
		}
	}
}

// TestTheDayOfTheWholeCounts: what a row said of exceptions is said again, on the day on which the whole is judged.
func TestTheDayOfTheWholeCounts(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for now, approved := range map[time.Time]bool{until.Add(23 * time.Hour): true, until.Add(24 * time.Hour): false} {
		j := newJobs(split("a"))
		j.outcomes["a"] = vulnerable
		for _, row := range j.made.Matrix.Include {
			j.row(t, row, 0)
		}
		j.Gates.Exceptions = []service.Exception{{ID: "CVE-1", Until: until}}
		j.Now = func() time.Time { return now }
		r := j.Join(t.Context(), j.made, j.fragments)[0]
		if r.Err != nil || r.Approved() != approved || r.Evidence.Database != j.database() {
			t.Errorf("at %s: approved %v, %v, by a database of %s: %q", now, r.Approved(), r.Err, r.Evidence.Database, r.Verdict.Reasons)
		}
	}
}
