// Package verdict decides whether an image may be published. Evidence goes in, a Verdict comes
// out, and only an approved Verdict yields the Approval without which no tag can be written.
package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/service"
)

// A Finding is one vulnerability that a scan saw on one platform.
type Finding struct {
	Platform  string `json:"platform"`
	ID        string `json:"id"`       // "CVE-2023-0286"
	Severity  string `json:"severity"` // CRITICAL, HIGH, MEDIUM, LOW or UNKNOWN
	Package   string `json:"package"`
	Installed string `json:"installed"`
	Fixed     string `json:"fixed,omitempty"` // version that mends it; empty where there is none
	Title     string `json:"title,omitempty"`
	URL       string `json:"url,omitempty"`
	Target    string `json:"target,omitempty"` // what in the image it was found in
	Score     string `json:"score,omitempty"`  // CVSS base score, 0.0 to 10.0
}

// Rank orders severities: 4 for CRITICAL down to 0 for UNKNOWN and anything else.
func Rank(severity string) int {
	return 1 + slices.Index([]string{"LOW", "MEDIUM", "HIGH", "CRITICAL"}, severity)
}

// A Platform is what is known of one platform's image.
type Platform struct {
	Platform   string    `json:"platform"`            // "linux/arm64"
	Digest     string    `json:"digest"`              // of the platform's manifest
	Compressed int64     `json:"compressed"`          // bytes: configuration and layers, as pulled
	Published  int64     `json:"published,omitempty"` // the same of the image that is published now; 0 where there is none
	User       string    `json:"user"`                // the user it runs as
	Findings   []Finding `json:"findings"`
	Unscanned  string    `json:"unscanned,omitempty"` // why it could not be scanned; empty if it was
}

// A Probe is what starting the image showed.
type Probe struct {
	Platform    string        `json:"platform,omitempty"`    // empty where none of the image's platforms runs here
	Route       string        `json:"route,omitempty"`       // how the container was reached
	Healthy     bool          `json:"healthy"`               // it answered in time, or its HEALTHCHECK did
	Started     time.Duration `json:"started"`               // from start to the first healthy answer; nanoseconds in JSON
	PeakMemory  int64         `json:"peak_memory"`           // bytes, until healthy
	CPU         time.Duration `json:"cpu"`                   // processor time, until healthy; nanoseconds in JSON
	Unpacked    int64         `json:"unpacked"`              // bytes on disk
	Failure     string        `json:"failure,omitempty"`     // what went wrong, for a person
	Log         []string      `json:"log,omitempty"`         // the container's last lines
	Left        string        `json:"left,omitempty"`        // why something of the trial is still there
	Unavailable string        `json:"unavailable,omitempty"` // why it could not be started at all, for no fault of its own
}

// Evidence is all that a candidate is judged by. It is plain data: what was seen on one machine may be
// judged on another.
type Evidence struct {
	Candidate name.Digest `json:"-"`      // the image index
	Wanted    []string    `json:"wanted"` // platforms that were asked for
	Platforms []Platform  `json:"platforms"`
	Unsized   string      `json:"unsized,omitempty"` // why it is not known how large the published image is
	Probe     Probe       `json:"probe"`
	// Part says that the image has further platforms, which are looked at elsewhere. What only all of them
	// together tell is left open then, and no verdict gives a right to tag.
	Part bool `json:"part,omitempty"`
}

// A Verdict is the outcome of judging one candidate. The zero value is not approved.
type Verdict struct {
	candidate name.Digest
	judged    bool
	part      bool
	Reasons   []string // why it is refused; none if it is approved
	Notes     []string // what could not be checked and was let pass
}

// Approved reports whether the candidate was judged and nothing spoke against it.
func (v Verdict) Approved() bool { return v.judged && len(v.Reasons) == 0 }

// An Approval is the right to tag one digest.
type Approval struct{ candidate name.Digest }

// Approval returns the right to tag the candidate, or an error if the verdict does not give it.
func (v Verdict) Approval() (Approval, error) {
	if !v.Approved() {
		return Approval{}, fmt.Errorf("%s has no approved verdict", v.candidate)
	}
	if v.part {
		return Approval{}, fmt.Errorf("%s is a part of an image, and only the whole may be tagged", v.candidate)
	}
	return Approval{v.candidate}, nil
}

// Candidate returns the digest that may be tagged. The zero Approval has none.
func (a Approval) Candidate() (name.Digest, error) {
	if a.candidate == (name.Digest{}) {
		return name.Digest{}, errors.New("nothing was approved")
	}
	return a.candidate, nil
}

// Judge applies the gates to the evidence. A gate that cannot be evaluated refuses, unless its
// on_unavailable says warn.
func Judge(e Evidence, gates service.Gates) Verdict {
	v := Verdict{candidate: e.Candidate, judged: true, part: e.Part}
	v.judgeCompleteness(e)
	for _, p := range e.Platforms {
		v.judgeVulnerabilities(p, gates.Vulnerabilities)
		v.judgeSize(p, gates.Size)
		v.judgeUser(p, gates)
	}
	if gates.Size.Growth > 0 && e.Unsized != "" {
		v.unavailable(gates.Size.OnUnavailable, "its growth is not known, because the published image cannot be read: %s (`on_unavailable: warn` in gates.size lets it pass)", e.Unsized)
	}
	v.judgeProbe(e, gates.Startup)
	return v
}

func (v *Verdict) refuse(format string, args ...any) {
	v.Reasons = append(v.Reasons, fmt.Sprintf(format, args...))
}

// unavailable refuses or notes, as the gate says.
func (v *Verdict) unavailable(policy, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); policy == service.OnUnavailableWarn {
		v.Notes = append(v.Notes, text)
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
		}
	}
}

func (v *Verdict) judgeVulnerabilities(p Platform, gate service.VulnerabilityGate) {
	if p.Unscanned != "" {
		v.unavailable(gate.OnUnavailable, "%s could not be scanned: %s", p.Platform, p.Unscanned)
		return
	}
	if gate.FailOn == service.FailOnNone {
		return
	}
	var bad []string
	for _, f := range p.Findings {
		if gate.IgnoreUnfixed && f.Fixed == "" {
			continue
		}
		if Rank(f.Severity) >= Rank(gate.FailOn) {
			bad = append(bad, describe(f))
		}
	}
	if len(bad) > 0 {
		v.refuse("%s has %s of severity %s or worse: %s", p.Platform, count(len(bad), "finding"), gate.FailOn, shorten(bad, 3))
	}
}

func describe(f Finding) string {
	text := fmt.Sprintf("%s in %s %s", f.ID, f.Package, f.Installed)
	if f.Fixed != "" {
		return text + ", fixed in " + f.Fixed
	}
	return text + ", not fixed yet"
}

func count(n int, noun string) string {
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

func (v *Verdict) judgeSize(p Platform, gate service.SizeGate) {
	if gate.Max > 0 && p.Compressed > gate.Max {
		v.refuse("%s is %s, more than %s", p.Platform, units.HumanSize(float64(p.Compressed)), units.HumanSize(float64(gate.Max)))
	}
	if gate.Growth > 0 && p.Published > 0 && float64(p.Compressed) > float64(p.Published)*(1+gate.Growth) {
		v.refuse("%s grew from %s to %s, more than %.0f%%", p.Platform,
			units.HumanSize(float64(p.Published)), units.HumanSize(float64(p.Compressed)), gate.Growth*100)
	}
}

func (v *Verdict) judgeUser(p Platform, gates service.Gates) {
	user, _, _ := strings.Cut(p.User, ":")
	id, err := strconv.Atoi(user) // as the engine reads it: 00 is root too
	if gates.NonRoot && (user == "" || user == "root" || err == nil && id == 0) {
		v.refuse("%s runs as root; add a USER to the Dockerfile", p.Platform)
	}
}

func (v *Verdict) judgeProbe(e Evidence, gate service.StartupGate) {
	p := e.Probe
	if p.Left != "" {
		v.Notes = append(v.Notes, "the trial left something behind: "+p.Left)
	}
	switch {
	case e.Part && p.Platform == "" && p.Failure == "": // another part is tried out where its platform runs
	case p.Unavailable != "":
		v.unavailable(gate.OnUnavailable, "the image could not be tried out: %s", p.Unavailable)
	case p.Failure != "":
		v.refuse("%s", p.Failure)
	case !p.Healthy:
		v.refuse("the image was not tried out")
	case p.Started > gate.Within:
		v.refuse("it took %s to become healthy, more than %s", p.Started.Round(100*time.Millisecond), gate.Within)
	}
}

// Decisive picks, of the trials of an image's parts, the one that decides on the whole: one that failed or
// could not be made before any that went well, and of those the slowest. Parts of which no platform
// ran where they were looked at count only if there are no others.
func Decisive(probes ...Probe) Probe {
	if len(probes) == 0 {
		return Probe{}
	}
	return slices.MaxFunc(probes, func(a, b Probe) int {
		return cmp.Or(cmp.Compare(a.gravity(), b.gravity()), cmp.Compare(a.Started, b.Started))
	})
}

func (p Probe) gravity() int {
	switch {
	case p.Failure != "":
		return 3
	case p.Platform == "":
		return 0
	case p.Healthy:
		return 1
	default:
		return 2
	}
}
