package service

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Gates are the checks an image must pass before it gets a tag.
type Gates struct {
	Vulnerabilities VulnerabilityGate
	// What else an image is scanned for, where it is.
	Secrets, Misconfiguration, Licences FindingGate
	Startup                             StartupGate
	Size                                SizeGate
	Regression                          RegressionGate
	Image                               ImageGate
	NonRoot                             bool // refuse an image whose user is root
	Exceptions                          []Exception
	IgnoreFile                          string // where some of the exceptions are kept; empty if there is no such file
}

// A VulnerabilityGate refuses an image with findings of FailOn or worse.
type VulnerabilityGate struct {
	Severity      []string      // severities that are reported, upper case
	FailOn        string        // least severity that refuses; "NONE" never refuses
	IgnoreUnfixed bool          // leave out findings that have no fixed version
	VEX           []string      // documents, by their paths in the workspace
	OnlyNew       bool          // leave out findings that the published image has too
	MaxAge        time.Duration // of the database that is scanned by
	OnUnavailable string        // OnUnavailableRefuse or OnUnavailableWarn
}

// A FindingGate refuses an image with findings of FailOn or worse. Without FailOn nobody looks for any.
type FindingGate struct {
	FailOn        string // severity, or "NONE" to report them alone
	OnUnavailable string
}

// Of returns the gate for a kind of findings.
func (g Gates) Of(kind string) FindingGate {
	switch kind {
	case Secret:
		return g.Secrets
	case Misconfiguration:
		return g.Misconfiguration
	case Licence:
		return g.Licences
	default:
		return FindingGate{g.Vulnerabilities.FailOn, g.Vulnerabilities.OnUnavailable}
	}
}

// A StartupGate refuses an image that is not healthy in time.
type StartupGate struct {
	Within        time.Duration
	StableFor     time.Duration // how long it must stay healthy, then
	Emulated      bool          // the platforms that do not run here by themselves are tried out too
	OnUnavailable string
}

// A SizeGate refuses an image that is too large.
type SizeGate struct {
	Max int64 // compressed bytes per platform; 0 means no limit
	// Unpacked is how many bytes the image may take on disk, on the platform that is tried out; 0 means no limit.
	Unpacked int64
	// Growth is how much larger a platform may be than the published one: 0.1 is a tenth. 0 means no limit.
	Growth        float64
	OnUnavailable string
}

// An ImageGate refuses an image for what it says of itself.
type ImageGate struct {
	Healthcheck bool // it must have one
	ExposedPort bool // it must expose the service's port
	Versioned   bool // it must be made from no image under the tag latest
	NoSecrets   bool // nothing in its environment and history may look like a secret
}

// A RegressionGate refuses an image that starts slower than the published one, or takes more memory until it is healthy. It
// warns of one that took longer to build than is usual.
type RegressionGate struct {
	Startup, PeakMemory, BuildTime Slack
	OnUnavailable                  string
}

// Set reports whether anything is compared with the published image.
func (g RegressionGate) Set() bool { return g.Startup.Set() || g.PeakMemory.Set() }

// A Slack is by how much a figure may rise; the zero value sets no limit.
type Slack struct {
	Share float64 // of what it was: 0.1 is a tenth
	Auto  bool    // as much as it strayed in earlier runs, instead
}

// Set reports whether there is a limit.
func (s Slack) Set() bool { return s.Auto || s.Share > 0 }

// What a gate does when it cannot be evaluated: refuse, or let pass with a note in the verdict.
const (
	OnUnavailableRefuse = "refuse"
	OnUnavailableWarn   = "warn"
)

// FailOnNone is the FailOn of a gate that reports and never refuses.
const FailOnNone = "NONE"

// Severities in falling order, as scanners name them.
// Severities are those that findings have, in falling order.
func Severities() []string { return slices.Clone(severities) }

var severities = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"}

// DefaultGates apply where the configuration is silent.
func DefaultGates() Gates {
	off := FindingGate{OnUnavailable: OnUnavailableRefuse}
	return Gates{
		Secrets: off, Misconfiguration: off, Licences: off,
		Vulnerabilities: VulnerabilityGate{Severity: []string{"CRITICAL", "HIGH"}, FailOn: "CRITICAL", MaxAge: 72 * time.Hour, OnUnavailable: OnUnavailableRefuse},
		Startup:         StartupGate{Within: 30 * time.Second, OnUnavailable: OnUnavailableRefuse},
		Size:            SizeGate{Max: 1_000_000_000, OnUnavailable: OnUnavailableRefuse},
		Regression:      RegressionGate{OnUnavailable: OnUnavailableRefuse},
	}
}

func (r reader) gates(n *yaml.Node, g *Gates) {
	failOn := func(into *string) field { return r.enum(into, append([]string{FailOnNone}, severities...)...) }
	unavailable := func(into *string) field { return r.enum(into, OnUnavailableRefuse, OnUnavailableWarn) }
	findings := func(into *FindingGate) field {
		return func(n *yaml.Node) {
			r.mapping(n, map[string]field{"fail_on": failOn(&into.FailOn), "on_unavailable": unavailable(&into.OnUnavailable)})
		}
	}
	r.mapping(n, map[string]field{
		"secrets": findings(&g.Secrets), "misconfiguration": findings(&g.Misconfiguration), "licences": findings(&g.Licences),
		"vulnerabilities": func(n *yaml.Node) {
			v := &g.Vulnerabilities
			r.mapping(n, map[string]field{
				"severity": r.severities(&v.Severity), "fail_on": failOn(&v.FailOn),
				"ignore_unfixed": r.boolean(&v.IgnoreUnfixed), "only_new": r.boolean(&v.OnlyNew), "on_unavailable": unavailable(&v.OnUnavailable),
				"exceptions": r.ownExceptions(&g.Exceptions), "ignore_file": r.path(&g.IgnoreFile), "vex": r.paths(&v.VEX), "max_age": r.duration(&v.MaxAge),
			})
		},
		"startup": func(n *yaml.Node) {
			r.mapping(n, map[string]field{"within": r.duration(&g.Startup.Within), "stable_for": r.duration(&g.Startup.StableFor), "platforms": r.demandOr(&g.Startup.Emulated, "all", "native"), "on_unavailable": unavailable(&g.Startup.OnUnavailable)})
		},
		"size": func(n *yaml.Node) {
			r.mapping(n, map[string]field{"max": r.size(&g.Size.Max), "unpacked": r.size(&g.Size.Unpacked), "growth": r.percent(&g.Size.Growth), "on_unavailable": unavailable(&g.Size.OnUnavailable)})
		},
		"regression": func(n *yaml.Node) {
			g := &g.Regression
			r.mapping(n, map[string]field{"startup": r.slack(&g.Startup), "peak_memory": r.slack(&g.PeakMemory), "build_time": r.slack(&g.BuildTime), "on_unavailable": unavailable(&g.OnUnavailable)})
		},
		"image": func(n *yaml.Node) {
			i := &g.Image
			r.mapping(n, map[string]field{"healthcheck": r.demand(&i.Healthcheck, "required"), "exposed_port": r.demand(&i.ExposedPort, "match"), "base": r.demand(&i.Versioned, "versioned"), "secrets": r.demand(&i.NoSecrets, "refuse")})
		},
		"user": func(n *yaml.Node) {
			var who string
			r.enum(&who, "non-root", "any")(n)
			g.NonRoot = who == "non-root"
		},
	})
}

// demand reads the word that demands something, or any.
func (r reader) demand(into *bool, word string) field { return r.demandOr(into, word, "any") }

// demandOr reads the word that demands something, or the other one.
func (r reader) demandOr(into *bool, word, other string) field {
	return func(n *yaml.Node) {
		var said string
		r.enum(&said, word, other)(n)
		*into = said == word
	}
}

// slack reads a percentage, or auto.
func (r reader) slack(into *Slack) field {
	return r.parsed(func(v string) (err error) {
		if *into = (Slack{Auto: v == "auto"}); !into.Auto {
			into.Share, err = share(v)
		}
		return err
	}, "write it as 10%, or auto")
}

func (r reader) severities(into *[]string) field {
	return func(n *yaml.Node) {
		if r.texts(into)(n); n.Kind != yaml.SequenceNode {
			return
		}
		for i, s := range *into {
			if !slices.Contains(severities, s) {
				r.add(n.Content[i], "", "%q is none of %s%s", s, strings.Join(severities, ", "), Suggestion(s, severities))
			}
		}
	}
}
