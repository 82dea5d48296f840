package sign

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Run is the run that claims something.
type Run struct {
	Program    string    `json:"program"`              // name and version
	Repository string    `json:"repository,omitempty"` // its address
	Ref        string    `json:"ref"`
	Commit     string    `json:"commit"`
	Event      string    `json:"event"`
	Workflow   string    `json:"workflow,omitempty"` // owner/name/.github/workflows/x.yml@ref
	Address    string    `json:"url,omitempty"`
	Attempt    int       `json:"attempt"`
	Runner     string    `json:"-"` // github-hosted or self-hosted; empty where several kinds may have worked, or none
	Began      time.Time `json:"-"`
	Ended      time.Time `json:"ended"` // when the claim was made
}

// VerdictType is the type of a claim that says what an image was judged by, and with what result.
const VerdictType = "https://github.com/org/ghcr-publish/verdict/v1"

const approved = "approved"

// A Verdict is the predicate of such a claim. Only what was approved is ever signed.
type Verdict struct {
	Outcome   string           `json:"outcome"`
	Service   string           `json:"service"`
	Inputs    string           `json:"inputs"` // digest of all that decides the image's content
	Policy    service.Gates    `json:"policy"` // the gates in force, in the words of this program
	Platforms []Judged         `json:"platforms"`
	Database  verdict.Database `json:"database,omitzero"` // of vulnerabilities, that the platforms were scanned by
	Trial     Trial            `json:"trial"`
	Notes     []string         `json:"notes"` // what could not be checked and was let pass
	Run       Run              `json:"run"`
}

// Judged is what was seen of one platform's image.
type Judged struct {
	Platform   string         `json:"platform"`
	Digest     string         `json:"digest"`
	Compressed int64          `json:"compressed_bytes"`
	User       string         `json:"user"`
	Findings   map[string]int `json:"findings"`            // how many, by severity
	Unscanned  string         `json:"unscanned,omitempty"` // why there are none
}

// A Trial is what starting the image showed.
type Trial struct {
	Platform    string  `json:"platform,omitempty"`
	Healthy     bool    `json:"healthy"`
	Seconds     float64 `json:"startup_seconds"`
	Asked       string  `json:"asked,omitempty"`       // digest of what was demanded of it
	Unavailable string  `json:"unavailable,omitempty"` // why it was not started
}

// Judgement claims what an image was judged by. An earlier one by the same gates, of the same inputs, says as much.
func Judgement(name, inputs string, e verdict.Evidence, v verdict.Verdict, gates service.Gates, run Run) Claim {
	p := Verdict{Outcome: approved, Service: name, Inputs: inputs, Policy: gates, Run: run, Database: e.Database, Notes: append([]string{}, v.Notes...),
		Trial: Trial{Platform: e.Probe.Platform, Healthy: e.Probe.Healthy, Seconds: e.Probe.Started.Seconds(), Asked: e.Probe.Asked, Unavailable: e.Probe.Unavailable}}
	for _, platform := range e.Platforms {
		judged := Judged{Platform: platform.Platform, Digest: platform.Digest, Compressed: platform.Compressed, User: platform.User,
			Findings: map[string]int{}, Unscanned: platform.Unscanned}
		for _, f := range platform.Findings {
			judged.Findings[f.Severity]++
		}
		p.Platforms = append(p.Platforms, judged)
	}
	return Claim{Type: VerdictType, Predicate: p, Covers: func(before []byte) bool {
		var was Verdict
		return json.Unmarshal(before, &was) == nil && was.Inputs == inputs && was.Trial.Asked == e.Probe.Asked && sameJSON(was.Policy, gates)
	}}
}

// sameJSON compares values as they are written, where a time has no zone of this machine's.
func sameJSON(a, b any) bool {
	one, err := json.Marshal(a)
	other, wrong := json.Marshal(b)
	return err == nil && wrong == nil && bytes.Equal(one, other)
}
