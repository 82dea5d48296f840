// Package verdict decides whether an image may be published. Evidence goes in, a Verdict comes
// out, and only an approved Verdict yields the Approval without which no tag can be written.
package verdict

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/service"
)

// A Platform is what is known of one platform's image.
type Platform struct {
	Platform   string    `json:"platform"`            // "linux/arm64"
	Digest     string    `json:"digest"`              // of the platform's manifest
	Compressed int64     `json:"compressed"`          // bytes: configuration and layers, as pulled
	Published  int64     `json:"published,omitempty"` // the same of the image that is published now; 0 where there is none
	User       string    `json:"user"`                // the user it runs as
	Config     Config    `json:"config"`
	Unmet      []string  `json:"unmet,omitempty"` // what of the service's expectation it is not like
	Findings   []Finding `json:"findings"`
	Harmless   []Finding `json:"harmless,omitempty"`  // what VEX documents say does no harm
	Before     *int      `json:"before,omitempty"`    // how many findings the published image has by the same database; nil where nobody looked
	Gone       []Finding `json:"gone,omitempty"`      // those of them that this one has not
	Unscanned  string    `json:"unscanned,omitempty"` // why it could not be scanned; empty if it was
	// Uncompared is why it is not known which findings the published image has too; empty where nobody asked.
	Uncompared string `json:"uncompared,omitempty"`
}

// Evidence is all that a candidate is judged by. It is plain data: what was seen on one machine may be
// judged on another.
type Evidence struct {
	Candidate name.Digest `json:"-"`                // the image index
	Wanted    []string    `json:"wanted"`           // platforms that were asked for
	Port      int         `json:"port,omitempty"`   // where the service answers; 0 where it says nothing
	Latest    []string    `json:"latest,omitempty"` // base images under the tag latest
	Platforms []Platform  `json:"platforms"`
	Unsized   string      `json:"unsized,omitempty"` // why it is not known how large the published image is
	Database  Database    `json:"database,omitzero"` // that was scanned by; zero where nothing was
	Probe     Probe       `json:"probe"`
	// Emulated are trials of the image's other platforms, where they are asked for.
	Emulated []Probe `json:"emulated,omitempty"`
	// Before is the same trial of the image that is published now; nil where there is none, or nobody wants to compare.
	Before *Probe  `json:"before,omitempty"`
	Built  float64 `json:"built,omitempty"` // seconds that building it took; 0 where it was not built
	Usual  History `json:"usual,omitempty"` // what earlier runs saw
	// Remembered is how many findings the published image had when it was judged, as far as the memory knows; nil where it does not.
	Remembered *int `json:"remembered,omitempty"`
	// Part says that the image has further platforms, which are looked at elsewhere. What only all of them
	// together tell is left open then, and no verdict gives a right to tag.
	Part bool `json:"part,omitempty"`
}

// A Verdict is the outcome of judging one candidate. The zero value is not approved.
type Verdict struct {
	candidate name.Digest
	judged    bool
	part      bool
	platforms []name.Digest
	Reasons   []string // why it is refused; none if it is approved
	Notes     []string // what was let pass, and why
	Next      []string // what a person does about those of the reasons that do not say it themselves
}

// Approved reports whether the candidate was judged and nothing spoke against it.
func (v Verdict) Approved() bool { return v.judged && len(v.Reasons) == 0 }

// Despite is the verdict on an image that was live before, where somebody demands that it be live again although it is refused today:
// it is approved, and what speaks against it is noted. What was never judged, or is a part of an image, stays as it is.
func (v Verdict) Despite() Verdict {
	if !v.judged || v.part {
		return v
	}
	notes := slices.Clone(v.Notes)
	for _, reason := range v.Reasons {
		notes = append(notes, "it is refused today, and was demanded all the same: "+reason)
	}
	v.Reasons, v.Notes, v.Next = nil, notes, nil
	return v
}

// An Approval is the right to tag one digest, and to sign it and those of its platforms.
type Approval struct {
	candidate name.Digest
	platforms []name.Digest
}

// Approval returns the right to tag the candidate, or an error if the verdict does not give it.
func (v Verdict) Approval() (Approval, error) {
	if !v.Approved() {
		return Approval{}, fmt.Errorf("%s has no approved verdict", v.candidate)
	}
	if v.part {
		return Approval{}, fmt.Errorf("%s is a part of an image, and only the whole may be tagged", v.candidate)
	}
	return Approval{v.candidate, v.platforms}, nil
}

// Candidate returns the digest that may be tagged. The zero Approval has none.
func (a Approval) Candidate() (name.Digest, error) {
	if a.candidate == (name.Digest{}) {
		return name.Digest{}, errors.New("nothing was approved")
	}
	return a.candidate, nil
}

// Images returns the images that were approved: each platform's, and last the index that holds them, or none.
func (a Approval) Images() []name.Digest {
	if a.candidate == (name.Digest{}) {
		return nil
	}
	images := slices.DeleteFunc(slices.Clone(a.platforms), func(p name.Digest) bool { return p.DigestStr() == a.candidate.DigestStr() })
	return append(images, a.candidate)
}

// Judge applies the gates to the evidence. A gate that cannot be evaluated refuses, unless its
// on_unavailable says warn.
func Judge(e Evidence, gates service.Gates) Verdict {
	v := Verdict{candidate: e.Candidate, judged: true, part: e.Part}
	v.judgeCompleteness(e)
	v.judgeDatabase(e.Database, gates.Vulnerabilities)
	for _, p := range e.Platforms {
		v.platforms = append(v.platforms, e.Candidate.Digest(p.Digest))
		v.judgeFindings(p, gates)
		v.judgeSize(p, gates.Size)
		v.judgeUser(p, gates)
		v.judgeConfig(p, e.Port, gates.Image)
		v.judgeExpectation(p)
	}
	if gates.Size.Growth > 0 && e.Unsized != "" {
		v.unavailable(gates.Size.OnUnavailable, "its growth is not known, because the published image cannot be read: %s (`on_unavailable: warn` in gates.size lets it pass)", e.Unsized)
	}
	v.judgeBases(e.Latest, gates.Image)
	v.judgeProbe(e, gates.Startup)
	v.judgeEmulated(e, gates.Startup)
	v.judgeUnpacked(e.Probe, gates.Size)
	v.judgeRegression(e, gates.Regression)
	v.judgeBuildTime(e, gates.Regression.BuildTime)
	return v
}

func (v *Verdict) refuse(format string, args ...any) {
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

func (v *Verdict) note(format string, args ...any) {
	v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
}

// advise says what to do about a refusal. Of several platforms it is said once.
func (v *Verdict) advise(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(v.Next, text) {
		v.Next = append(v.Next, text)
	}
}

// unavailable refuses or notes, as the gate says.
func (v *Verdict) unavailable(policy, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); policy == service.OnUnavailableWarn {
		v.note("%s", text)
	} else {
		v.Reasons = append(v.Reasons, text)
	}
}

func (v *Verdict) judgeCompleteness(e Evidence) {
	if len(e.Wanted) == 0 {
		v.refuse("no platform was asked for")
	}
	for _, wanted := range e.Wanted {
		if !slices.ContainsFunc(e.Platforms, func(p Platform) bool { return p.Platform == wanted }) {
			v.refuse("%s is missing from the image index", wanted)
			v.advise("Build it for every platform of `platforms`, or take the platform out of that.")
		}
	}
}

// Quantity is a number of things, such as "1 finding" or "2 findings".
func Quantity(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shorten joins the first few items and counts the rest.
func shorten(items []string, most int) string {
	if len(items) <= most {
		return strings.Join(items, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(items[:most], "; "), len(items)-most)
}

// JudgeFindings judges an image that is live by what is found in it today, and by nothing else. Such a verdict gives no right to tag.
func JudgeFindings(e Evidence, gates service.Gates) Verdict {
	v := Verdict{candidate: e.Candidate, judged: true, part: true}
	v.judgeCompleteness(e)
	v.judgeDatabase(e.Database, gates.Vulnerabilities)
	for _, p := range e.Platforms {
		v.judgeFindings(p, gates)
	}
	return v
}
