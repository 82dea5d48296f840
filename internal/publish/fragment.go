package publish

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Fragment is what one row of the matrix made, as it travels to the job that finalizes.
type Fragment struct {
	SchemaVersion int            `json:"schema_version"`
	Row           string         `json:"row"`
	Attempt       int            `json:"attempt"` // of the run
	Commit        string         `json:"commit"`
	Parts         []Part         `json:"parts"`
	Learnt        []memory.Entry `json:"learnt"` // insights for the memory
	Said          []memory.Entry `json:"said"`   // what the row's agent wrote into it, for those of other jobs
	Unread        string         `json:"-"`      // why it could not be read; empty if it was
}

// A Part is what a row made of one service: all of its platforms, or some.
type Part struct {
	Service   string             `json:"service"`
	Inputs    string             `json:"inputs"`              // digest of what it was made from
	Candidate string             `json:"candidate,omitempty"` // digest of what was pushed
	Anew      []string           `json:"anew,omitempty"`      // why it was built though a digest was to be used again
	Evidence  verdict.Evidence   `json:"evidence"`
	Account   insight.Account    `json:"account"` // of the build
	Cache     cache.Use          `json:"cache"`
	Seconds   map[string]float64 `json:"seconds"`
	Spans     []Span             `json:"spans,omitempty"`
	Error     string             `json:"error,omitempty"` // what kept it from being judged
}

// fragmentVersion is that of a fragment's JSON form.
const fragmentVersion = 1

// NewFragment packs what a row made.
func NewFragment(row, commit string, attempt int, results []Result, learnt []memory.Entry) Fragment {
	f := Fragment{SchemaVersion: fragmentVersion, Row: row, Attempt: attempt, Commit: commit, Learnt: learnt}
	for _, r := range results {
		f.Parts = append(f.Parts, Part{Service: r.Plan.Name, Inputs: r.Plan.Inputs, Candidate: r.Candidate.Image.Ref.DigestStr(), Anew: r.Anew,
			Evidence: r.Evidence, Account: r.Candidate.Account, Cache: r.Candidate.Cache, Seconds: r.Seconds, Spans: r.share(), Error: text(r.Err)})
	}
	return f
}

// share are the spans of what is done for a service in one row.
func (r Result) share() []Span {
	spans := slices.Clone(r.Spans)
	for i := range spans {
		if r.Plan.Part {
			spans[i].Platforms = r.Plan.Platforms
		}
	}
	return spans
}

// Began is when an attempt of the run began, as far as is known now: with the plan, where it made that, else with the first row that it
// worked on.
func Began(made plan.Plan, fragments map[string]Fragment, attempt int, now time.Time) time.Time {
	if made.Attempt == attempt {
		return made.StartedAt
	}
	first := now
	for _, f := range fragments {
		if f.Attempt != attempt {
			continue
		}
		for _, part := range f.Parts {
			for _, span := range part.Spans {
				if !span.Began.IsZero() && span.Began.Before(first) {
					first = span.Began
				}
			}
		}
	}
	return first
}

// ReadFragment reads a fragment's JSON form.
func ReadFragment(data []byte) (Fragment, error) {
	var f Fragment
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("reading a row's result: %w", err)
	}
	if f.SchemaVersion != fragmentVersion {
		return f, fmt.Errorf("the result of row %q has version %d, and this program reads %d", f.Row, f.SchemaVersion, fragmentVersion)
	}
	return f, nil
}

// Join puts together what the rows of the matrix made of each service, and judges the whole by the same
// gates. A row without a fragment is a fault of its services.
func (p Publisher) Join(ctx context.Context, made plan.Plan, fragments map[string]Fragment) []Result {
	results := make([]Result, len(made.Services))
	for i, s := range made.Services {
		results[i] = Result{Plan: s, Seconds: map[string]float64{}}
		if s.Action != plan.Skip {
			p.join(ctx, &results[i], made, fragments)
		}
	}
	return results
}

func (p Publisher) join(ctx context.Context, r *Result, made plan.Plan, fragments map[string]Fragment) {
	parts, err := partsOf(r.Plan, made, fragments)
	if err != nil {
		r.Err = err
		return
	}
	if len(parts) == 1 && parts[0].Anew != nil {
		r.Plan, r.Anew = r.Plan.Anew(parts[0].Anew), parts[0].Anew
	}
	r.Evidence.Wanted, r.Evidence.Port, r.Evidence.Latest = r.Plan.Platforms, r.Plan.Definition.Port, latestBases(r.Plan)
	var digests []string
	var probes []verdict.Probe
	for _, part := range parts {
		r.Evidence.Platforms = append(r.Evidence.Platforms, part.Evidence.Platforms...)
		r.Evidence.Database = verdict.Oldest(r.Evidence.Database, part.Evidence.Database)
		r.Evidence.Unsized = cmp.Or(r.Evidence.Unsized, part.Evidence.Unsized)
		r.Candidate.Account = r.Candidate.Account.With(part.Account)
		r.Candidate.Cache = r.Candidate.Cache.Join(part.Cache)
		probes, digests = append(probes, part.Evidence.Probe), append(digests, part.Candidate)
		r.Evidence.Emulated = append(r.Evidence.Emulated, part.Evidence.Emulated...)
		r.Spans = append(r.Spans, part.Spans...)
		for step, seconds := range part.Seconds {
			r.Seconds[step] = max(r.Seconds[step], seconds) // rows work at the same time
		}
	}
	r.Evidence.Probe, r.Evidence.Usual, r.Evidence.Remembered = verdict.Decisive(probes...), p.Usual[r.Plan.Name], p.remembered(r.Plan)
	for _, part := range parts {
		if b := part.Evidence.Before; b != nil && b.Platform == r.Evidence.Probe.Platform {
			r.Evidence.Before = b
		}
	}
	if !p.NoPush {
		if r.Candidate.Image, r.Err = p.Index(ctx, r.Plan, digests); r.Err == nil {
			r.Err = sameImages(r.Candidate.Image.Platforms, r.Evidence.Platforms)
		}
		if r.Err != nil {
			return
		}
		r.Evidence.Candidate = r.Candidate.Image.Ref
	}
	p.judge(r)
}

// partsOf collects the parts of a service, one from each of its rows.
func partsOf(s plan.Service, made plan.Plan, fragments map[string]Fragment) ([]Part, error) {
	var parts []Part
	var missing []string
	var failed []error
	for _, row := range made.Rows(s.Name) {
		f := fragments[row]
		if f.Attempt < made.Attempt {
			f.Parts = nil // of an attempt before the plan was made
		}
		i := slices.IndexFunc(f.Parts, func(part Part) bool { return part.Service == s.Name })
		switch {
		case f.Unread != "":
			failed = append(failed, fmt.Errorf("what row %s handed over cannot be read: %s", row, f.Unread))
		case i < 0:
			missing = append(missing, row)
		case f.Commit != made.Commit || f.Parts[i].Inputs != f.Parts[i].planned(s):
			failed = append(failed, fmt.Errorf("row %s worked on another commit, or on other files, than was planned", row))
		case f.Parts[i].Error != "":
			failed = append(failed, fmt.Errorf("row %s: %s", row, f.Parts[i].Error))
		default:
			parts = append(parts, f.Parts[i])
		}
	}
	if len(missing) > 0 {
		failed = append(failed, fmt.Errorf("nothing came of row %s: its job failed early, was cancelled or never ran; re-run the failed jobs", strings.Join(missing, ", ")))
	}
	if len(parts)+len(failed) == 0 {
		failed = append(failed, errors.New("no row of the matrix is for it"))
	}
	return parts, errors.Join(failed...)
}

// planned is the digest of what a part was to be made from.
func (p Part) planned(s plan.Service) string {
	if p.Anew != nil && s.Fresh != nil {
		return s.Fresh.Inputs
	}
	return s.Inputs
}

// sameImages proves that an index holds the images that were looked at, and no other.
func sameImages(has []registry.Platform, judged []verdict.Platform) error {
	digests := map[string]string{}
	for _, p := range judged {
		digests[p.Platform] = p.Digest
	}
	for _, p := range has {
		if digests[p.Platform] != p.Digest.String() {
			return fmt.Errorf("the index holds %s for %s, which no row has judged", p.Digest, p.Platform)
		}
	}
	if len(has) != len(judged) {
		return fmt.Errorf("the index holds %d images, and %d were judged", len(has), len(judged))
	}
	return nil
}
