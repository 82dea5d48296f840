// Package doctor finds what keeps a configuration from doing what it is meant to: each check looks at facts that were gathered
// once, and says what it found, where, and the lines or the page that mend it. It asks nobody and changes nothing.
package doctor

import (
	"cmp"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/service"
)

// A State is what a check came to.
type State string

// States there are, the most pressing first. Unknown is what nobody here can tell: the finding says why, and how a person finds out.
const (
	Problem State = "problem"
	Unknown State = "unknown"
	Advice  State = "advice"
	Fine    State = "fine"
)

// states are in the order in which findings are told.
var states = [...]State{Problem, Unknown, Advice, Fine}

// A Finding is what one check saw.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	Found string `json:"found"`
	Where string `json:"where,omitempty"` // file:line, setting or address
	Fix   string `json:"fix,omitempty"`   // lines to write, page to open or command to give; empty where all is fine
}

// An Answer is what came of asking somebody.
type Answer struct {
	Asked bool
	Err   error
}

// Asked is the answer of who was asked.
func Asked(err error) Answer { return Answer{true, err} }

// An Image is what the registry tells of a service's image.
type Image struct {
	Name   string // full repository name, registry included
	Write  Answer // whether the login may push
	Listed Answer // of its tags
	Tag    string // one that it has; empty of an image that is not published
	Public bool   // everybody may pull the tag
	Seen   Answer // whether Public could be found out
	// Versions is whether GitHub lists those of its package, which it does for who may delete them.
	Versions Answer
}

// A Copy is what a service's image is called at a mirror.
type Copy struct {
	Name, At string // At is where the mirror is defined
	Write    Answer // whether its login may push
}

// A Source is a repository that the vulnerability database is fetched from.
type Source struct {
	Answer
	Name string
}

// A Program is one that is started.
type Program struct {
	Name, Version string // "0.69.3"
	Err           error
}

// A Disk is a place that files are written to.
type Disk struct {
	At   string
	Free int64 // bytes
}

// A Builder is what came of starting one.
type Builder struct {
	Answer
	Name      string
	Adopted   bool // it was there, under the name that the configuration gives
	New       bool // it was made just now
	Platforms []string
}

// Facts are what is known of a run and its surroundings. What was not asked is at its zero value.
type Facts struct {
	Config   service.Config
	Mistakes service.Problems // in it
	Event    actions.Event
	OnRunner bool
	Pushes   bool // the run publishes
	// Publishing are the events whose runs publish by themselves.
	Publishing []string
	Workflow   Workflow

	Unlogged bool // there is a token that the registry does not get, and no other for it
	Identity bool // the job may ask for a token of its identity
	Key      bool // there is a key to sign with

	Contents   Answer // of GitHub's API, whether the token may read the repository
	Scanning   Answer // whether code scanning takes findings
	CacheUsage Answer // how full the cache is

	Images  []Image
	Mirrors []Copy
	Sources []Source
	Lacking []string // variables that builds are to have secrets from, and that are not set

	Cache     cache.Run
	CacheMode string // what the workflow leaves of the cache of GitHub Actions

	Engine     error // why no Docker Engine is within reach
	Kubernetes bool  // this runs in a pod
	Builder    Builder
	Wanted     []string // platforms that are built for
	Programs   []Program
	Disks      []Disk
	Clock      Answer
	Ahead      time.Duration // of the registry's clock

	Shallow    bool   // the clone lacks history
	Origin     Answer // whether what it lacks can be fetched
	Credential bool   // the clone's own configuration holds one
}

// A look is one check. It returns nothing where the configuration does nothing that it is about.
type look struct {
	name  string
	quick bool // it costs nothing, so each run takes it
	at    func(Facts) []Finding
}

// Examine takes every look, and tells the most pressing findings first.
func Examine(f Facts) []Finding {
	var found []Finding
	for _, l := range looks() {
		found = append(found, l.take(f)...)
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Compare(slices.Index(states[:], a.State), slices.Index(states[:], b.State))
	})
	return found
}

// Quick takes the looks that cost nothing, and tells problems alone.
func Quick(f Facts) []Finding {
	var found []Finding
	for _, l := range looks() {
		if l.quick {
			found = append(found, l.take(f)...)
		}
	}
	return slices.DeleteFunc(found, func(f Finding) bool { return f.State != Problem })
}

func (l look) take(f Facts) []Finding {
	found := l.at(f)
	for i := range found {
		found[i].Check = l.name
	}
	return found
}

func looks() []look {
	return []look{
		{"configuration", false, configuration},
		{"event", false, event},
		{"dependabot", false, dependabot},
		{"server", false, server},
		{"registry", false, reach},
		{"token", false, token},
		{"contents: read", false, contents},
		{"packages: write", false, writing},
		{"clean-up", false, cleaning},
		{"mirrors", false, mirrors},
		{"visibility", false, visibility},
		{"vulnerability database", false, database},
		{"secrets", false, secrets},
		{"names", false, names},
		{"id-token: write", false, identity},
		{"code scanning", false, scanning},
		{"permissions", true, permissions},
		{"concurrency", false, concurrency},
		{"jobs", true, jobs},
		{"runner", false, runner},
		{"history", false, history},
		{"credentials", false, credentials},
		{"cache", false, layers},
		{"cache space", false, space},
		{"engine", false, engine},
		{"builder", false, builder},
		{"platforms", false, platforms},
		{"programs", false, programs},
		{"disk", true, disk},
		{"clock", true, clock},
	}
}

func one(state State, where, found, fix string) []Finding {
	return []Finding{{State: state, Where: where, Found: found, Fix: fix}}
}

func fine(found string) []Finding { return one(Fine, "", found, "") }
