// Package report tells what a run did: as JSON for programs, as Markdown for the step's summary and
// as lines for the log.
package report

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
)

// Schema is the JSON Schema that every report conforms to.
//
//go:embed schema.json
var Schema []byte

// Exit codes of a run.
const (
	ExitDone    = 0 // published, or nothing to do
	ExitFault   = 1 // something failed that is no fault of the images
	ExitConfig  = 2 // the configuration is wrong
	ExitRefused = 3 // a gate refused an image
)

// A Report is what a run did. Sizes are bytes, times seconds.
type Report struct {
	SchemaVersion int                `json:"schema_version"`
	Program       string             `json:"program"` // name and version
	Commit        string             `json:"commit"`
	Ref           string             `json:"ref"`
	Event         string             `json:"event"`
	RunURL        string             `json:"run_url,omitempty"`
	Row           string             `json:"row,omitempty"` // of the matrix, where the report is of a row alone
	StartedAt     time.Time          `json:"started_at"`
	Seconds       float64            `json:"seconds"`
	Outcome       string             `json:"outcome"` // published, kept, nothing-to-do, approved, refused, failed, mirrored or planned
	ExitCode      int                `json:"exit_code"`
	Database      *Scanned           `json:"vulnerability_database,omitempty"` // nil where nothing was scanned
	To            string             `json:"promoted_to,omitempty"`            // tag that images were promoted to, where somebody asked for that
	Services      []Service          `json:"services"`
	Timeline      []Span             `json:"timeline,omitempty"` // what was done when
	Mirrors       []Copy             `json:"mirrors,omitempty"`
	Notices       []string           `json:"notices"`
	MemoryStats   memory.Stats       `json:"memory_stats"`
	ReleaseURL    string             `json:"release_url,omitempty"` // of GitHub, where the run made or completed one
	Coordination  learn.Coordination `json:"coordination"`          // of this job, and those before that the memory knows of; no jobs where it is of a row, which hands its figures over
	Compose       *Composition       `json:"compose,omitempty"`     // nil where no Compose file was written
	Cleaning      *Cleaning          `json:"cleaning,omitempty"`    // nil where nothing was cleaned up afterwards
	// Severities are those that the summary shows; the report itself lists every finding.
	Severities []string `json:"-"`
}

// Scanned is the vulnerability database that images were scanned by.
type Scanned struct {
	Updated    time.Time `json:"updated_at"`
	AgeSeconds float64   `json:"age_seconds"`
	From       string    `json:"from,omitempty"` // repository that gave it; empty if an earlier run fetched it
	Kept       string    `json:"kept,omitempty"` // why no newer one could be fetched
}

// A Service is what became of one service.
type Service struct {
	Name            string                       `json:"name"`
	Image           string                       `json:"image"`
	Action          string                       `json:"action"`
	Reason          string                       `json:"reason"`
	Version         string                       `json:"version"`
	Digest          string                       `json:"digest"`
	Before          string                       `json:"published_before,omitempty"` // digest under the tag that the service follows
	Platforms       []Platform                   `json:"platforms"`
	Verdict         Verdict                      `json:"verdict"`
	Signature       *sign.Record                 `json:"signature,omitempty"`
	Moved           []Moved                      `json:"tags_moved"`
	Kept            []Kept                       `json:"tags_kept"`
	Healthy         bool                         `json:"healthy"`
	StartupSeconds  float64                      `json:"startup_seconds"`
	PeakMemoryBytes int64                        `json:"peak_memory_bytes"`
	CPUSeconds      float64                      `json:"cpu_seconds"`
	Processes       int64                        `json:"processes"`
	UnpackedBytes   int64                        `json:"unpacked_bytes"`
	Emulated        []Trial                      `json:"emulated,omitempty"` // of platforms that do not run by themselves
	Route           string                       `json:"route,omitempty"`    // how the started container was reached
	Compared        []Figure                     `json:"compared"`           // with the image that was published, and with what is usual
	Seconds         map[string]float64           `json:"seconds"`            // by part of the run
	Steps           []insight.Step               `json:"steps"`
	CacheHitRate    float64                      `json:"cache_hit_rate"`      // of the Dockerfile's instructions, 0 to 1
	Dependencies    int                          `json:"dependency_layers"`   // see insight.Account
	DependencyRate  float64                      `json:"dependency_hit_rate"` // 0 to 1
	ContextBytes    int64                        `json:"context_bytes"`       // sent to the builder
	PulledBytes     map[string]int64             `json:"pulled_bytes"`        // of layers that the builder fetched, by platform
	FirstMiss       *insight.Miss                `json:"first_miss,omitempty"`
	Advice          []insight.Advice             `json:"advice"`                   // what would have spared the build something
	Cache           *cache.Use                   `json:"cache,omitempty"`          // of other runs; nil where nothing was built
	Expected        *learn.Expectation           `json:"expected,omitempty"`       // of building and judging, before it began
	ExpectedSteps   map[string]learn.Expectation `json:"expected_steps,omitempty"` // of instructions that were worked on, by name
	Anomaly         *learn.Anomaly               `json:"anomaly,omitempty"`        // what was unusual about the build
	Health          *learn.Health                `json:"health,omitempty"`         // how the service's trials came out, this one and those before; nil where it was not tried out
	Log             []string                     `json:"log,omitempty"`            // last lines of a container that was not healthy
	Error           string                       `json:"error,omitempty"`
}

// A Platform is one platform's image.
type Platform struct {
	Platform        string            `json:"platform"`
	Digest          string            `json:"digest"`
	CompressedBytes int64             `json:"compressed_bytes"`
	Scanned         bool              `json:"scanned"`
	Counts          map[string]int    `json:"findings"` // by severity
	Findings        []verdict.Finding `json:"details"`
	Compared        bool              `json:"compared,omitempty"` // with those of the published image, by the same database
	Gone            []verdict.Finding `json:"gone,omitempty"`     // of the published image, that this one has not
	Harmless        []verdict.Finding `json:"harmless,omitempty"` // what VEX documents say does no harm; not counted
}

// A Verdict is what judging came to.
type Verdict struct {
	Outcome string   `json:"outcome"` // approved, refused, or none where nothing was judged
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes"`
	Next    []string `json:"next,omitempty"` // what a person does about those of the reasons that do not say it
}

// Moved is a tag that points elsewhere now; From is empty for a new one.
type Moved struct {
	Tag     string `json:"tag"`
	From    string `json:"from"`
	To      string `json:"to"`
	Despite string `json:"despite,omitempty"` // why it would have stayed, had nobody demanded the move
}

// Kept is a tag that was left where it was.
type Kept struct {
	Tag  string `json:"tag"`
	Why  string `json:"why"`
	Next string `json:"next,omitempty"` // what a person may do about it; empty where there is nothing to do
}

// A Trial is that of one platform.
type Trial struct {
	Platform       string  `json:"platform"`
	Healthy        bool    `json:"healthy"`
	StartupSeconds float64 `json:"startup_seconds"`
	Failure        string  `json:"failure,omitempty"`
}

// A Figure is one measured quantity beside what it was. Less is better.
type Figure struct {
	Name      string   `json:"name"`
	Unit      string   `json:"unit"` // seconds, bytes or count
	Now       float64  `json:"now"`
	Published *float64 `json:"published,omitempty"` // of the image that was published before; nil where that is not known
	Basis     string   `json:"basis,omitempty"`     // of what that is known from: this run measured it, or it is remembered from when the image was judged
	Usual     float64  `json:"usual,omitempty"`     // median of earlier runs
	Spread    float64  `json:"spread,omitempty"`    // how far they stray from it: a robust standard deviation
	Runs      int      `json:"runs,omitempty"`
	Change    float64  `json:"change"` // share of what it was by which it rose; 0 where it strays no further than usual
}

// Fill puts the results into the report and settles its outcome and exit code.
func (r *Report) Fill(results []publish.Result, promotes bool) {
	r.SchemaVersion = 1
	r.Services = []Service{}
	if d := Database(results); !d.Updated.IsZero() {
		r.Database = &Scanned{d.Updated, math.Round(d.Age.Seconds()), d.From, d.Kept}
	}
	for _, result := range results {
		r.Services = append(r.Services, newService(result))
	}
	if r.Notices == nil {
		r.Notices = []string{}
	}
	r.Outcome, r.ExitCode = outcome(results, promotes)
}

// Database is the oldest that any of the services was scanned by; the zero value where none was.
func Database(results []publish.Result) verdict.Database {
	var oldest verdict.Database
	for _, r := range results {
		oldest = verdict.Oldest(oldest, r.Evidence.Database)
	}
	return oldest
}

// outcome sums up: a fault outweighs a refusal, because it leaves open what the verdict would be.
func outcome(results []publish.Result, promotes bool) (string, int) {
	work, refused, moved := false, false, false
	for _, r := range results {
		switch {
		case r.Err != nil:
			return "failed", ExitFault
		case r.Plan.Action == plan.Skip:
		default:
			work, refused = true, refused || !r.Verdict.Approved()
			moved = moved || slices.ContainsFunc(r.Moves, func(m tags.Move) bool { return m.Kept == "" })
		}
	}
	switch {
	case refused:
		return "refused", ExitRefused
	case !work:
		return "nothing-to-do", ExitDone
	case !promotes:
		return "approved", ExitDone
	case !moved:
		return "kept", ExitDone
	default:
		return "published", ExitDone
	}
}

func newService(r publish.Result) Service {
	probe := r.Evidence.Probe
	s := Service{
		Name: r.Plan.Name, Image: r.Plan.Image, Action: string(r.Plan.Action), Reason: r.Plan.Reason, Version: r.Plan.Version, Before: r.Plan.Digest,
		Platforms: []Platform{}, Verdict: newVerdict(r), Moved: []Moved{}, Kept: []Kept{},
		Healthy: probe.Healthy, StartupSeconds: round(probe.Started.Seconds()), PeakMemoryBytes: probe.PeakMemory,
		CPUSeconds: round(probe.CPU.Seconds()), Processes: probe.Processes, UnpackedBytes: probe.Unpacked, Route: probe.Route,
		Seconds: map[string]float64{}, Steps: []insight.Step{}, Log: probe.Log, Expected: r.Plan.Expected,
	}
	if s.Digest = r.Candidate.Image.Ref.DigestStr(); r.Plan.Action == plan.Skip {
		s.Digest = r.Plan.Digest
	}
	for part, seconds := range r.Seconds {
		s.Seconds[part] = round(seconds)
	}
	for _, p := range r.Evidence.Platforms {
		s.Platforms = append(s.Platforms, newPlatform(p))
	}
	s.addAccount(r.Candidate.Account)
	if r.Candidate.Cache.Writes != "" {
		s.Cache = &r.Candidate.Cache
	}
	s.Compared = comparison(r)
	for _, p := range r.Evidence.Emulated {
		s.Emulated = append(s.Emulated, Trial{p.Platform, p.Healthy, round(p.Started.Seconds()), cmp.Or(p.Failure, p.Unavailable)})
	}
	if r.Signed.By() != "" {
		s.Signature = &r.Signed
	}
	s.addMoves(r)
	if r.Err != nil {
		s.Error = r.Err.Error()
	}
	return s
}

func (s *Service) addAccount(a insight.Account) {
	for _, step := range a.Steps {
		step.Seconds = round(step.Seconds)
		s.Steps = append(s.Steps, step)
	}
	s.CacheHitRate, s.Dependencies, s.DependencyRate = round(a.HitRate), a.Dependencies, round(a.DependencyHitRate)
	s.ContextBytes, s.PulledBytes, s.FirstMiss, s.Advice = a.ContextBytes, map[string]int64{}, a.FirstMiss, notNil(a.Advice)
	maps.Copy(s.PulledBytes, a.PulledBytes)
	for i := range s.Advice {
		s.Advice[i].Seconds = round(s.Advice[i].Seconds)
	}
}

func comparison(r publish.Result) []Figure {
	figures := []Figure{}
	for _, f := range verdict.Figures(r.Evidence) {
		var published *float64
		if f.Basis != "" {
			was := round(f.Published)
			published = &was
		}
		figures = append(figures, Figure{f.Name, f.Unit, round(f.Now), published, f.Basis, round(f.Usual.Median), round(f.Usual.Spread), f.Usual.Runs, round(f.Change())})
	}
	return figures
}

func (s *Service) addMoves(r publish.Result) {
	for _, m := range r.Moves {
		if m.Kept == "" {
			s.Moved = append(s.Moved, Moved{m.Tag, m.From, m.To, m.Despite})
		} else {
			s.Kept = append(s.Kept, Kept{m.Tag, m.Kept, afterMove(r, m)})
		}
	}
	// What a promotion that broke off did not come to is kept too.
	for _, tag := range r.Plan.TagSet.Names() {
		if !slices.ContainsFunc(r.Moves, func(m tags.Move) bool { return m.Tag == tag }) {
			s.Kept = append(s.Kept, Kept{tag, whyKept(r), afterHeld(r)})
		}
	}
}

func whyKept(r publish.Result) string {
	switch {
	case r.Plan.Action == plan.Skip:
		return "skipped: " + r.Plan.Reason
	case r.Err != nil:
		return "the service failed"
	case r.Held != "":
		return r.Held
	default:
		return "the image was refused"
	}
}

// afterMove is what a person may do about a tag that was looked at and stays.
func afterMove(r publish.Result, m tags.Move) string {
	i := slices.IndexFunc(r.Plan.TagSet.Tags, func(t tags.Tag) bool { return t.Name == m.Tag })
	switch {
	case m.From == m.To || i < 0:
		return ""
	case r.Plan.TagSet.Tags[i].Kind == tags.Version:
		return "Publish what is new as a new version."
	default:
		return "Nothing, unless it is to go back: `force-move: true` moves it all the same."
	}
}

// afterHeld is the same of a tag that nobody looked at.
func afterHeld(r publish.Result) string {
	if r.Held == publish.HeldBack {
		return "Nothing by itself: it moves once the others pass. With `promote: per-service` it would not wait for them."
	}
	return ""
}

func newVerdict(r publish.Result) Verdict {
	v := Verdict{Outcome: "none", Reasons: notNil(r.Verdict.Reasons), Notes: notNil(r.Verdict.Notes), Next: r.Verdict.Next}
	if r.Plan.Action == plan.Skip || r.Err != nil && !r.Verdict.Approved() && len(v.Reasons) == 0 {
		return v
	}
	v.Outcome = "refused"
	if r.Verdict.Approved() {
		v.Outcome = "approved"
	}
	return v
}

func newPlatform(p verdict.Platform) Platform {
	out := Platform{Platform: p.Platform, Digest: p.Digest, CompressedBytes: p.Compressed, Scanned: p.Unscanned == "",
		Counts: map[string]int{}, Findings: notNil(p.Findings), Harmless: p.Harmless, Compared: p.Before != nil, Gone: p.Gone}
	for _, severity := range service.Severities() {
		out.Counts[severity] = 0
	}
	for _, f := range p.Findings {
		out.Counts[f.Severity]++
	}
	return out
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return slices.Clone(s)
}

// round keeps milliseconds: more digits would be noise.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }

// JSON renders a value for people and programs: indented, with a newline at the end, and nothing that a runner obeys.
func JSON(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return actions.HarmlessJSON(out.Bytes()), nil
}
