package dashboard

import (
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/insight"
)

// A Run is how one packed the work of several services or platforms. Its efficiency is defined by learn.Schedule.
type Run struct {
	Run        string    `json:"run"`
	RunURL     string    `json:"run_url,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Ref        string    `json:"ref,omitempty"`
	At         time.Time `json:"at"`
	Parallel   int       `json:"parallel"`      // that may be at work at a time
	Seconds    float64   `json:"seconds"`       // from when the first began to be built or judged until the last was
	Work       float64   `json:"work_seconds"`  // one after the other
	Least      float64   `json:"least_seconds"` // that the same work takes in any order
	Efficiency float64   `json:"schedule_efficiency"`
}

// A Packing sums up how runs packed their work: together, so that a long run counts for more than a short one.
type Packing struct {
	Repository string  `json:"-"` // empty of all that are shown
	Runs       int     `json:"runs"`
	Seconds    float64 `json:"seconds"`
	Least      float64 `json:"least_seconds"`
	Efficiency float64 `json:"schedule_efficiency"` // the runs' least times over what they took
}

// packed are the runs of which it is remembered how they packed their work.
func (s Source) packed() []Run {
	links, runs := links{server: s.Server}, []Run{}
	for _, r := range s.Known.Packed(s.Repository) {
		if !s.shows(r.Repository) {
			continue
		}
		told := Run{Run: r.ID, RunURL: links.run(insight.Past{Repository: r.Repository, Run: r.ID}), Repository: r.Repository, Ref: r.Ref, At: r.EndedAt.UTC(),
			Parallel: r.Schedule.Parallel, Seconds: round(r.Schedule.Seconds), Work: round(r.Schedule.Work), Least: round(r.Schedule.Least), Efficiency: round(r.Schedule.Efficiency())}
		if told.Seconds > 0 {
			runs = append(runs, told)
		}
	}
	return runs
}

// pack sums up how runs packed their work; nil of none.
func pack(repository string, runs []Run) *Packing {
	p := Packing{Repository: repository, Runs: len(runs)}
	for _, r := range runs {
		p.Seconds, p.Least = p.Seconds+r.Seconds, p.Least+r.Least
	}
	if p.Runs == 0 {
		return nil
	}
	p.Efficiency, p.Seconds, p.Least = round(p.Least/p.Seconds), round(p.Seconds), round(p.Least)
	return &p
}

// packings are those of each repository.
func packings(runs []Run) []Packing {
	by := map[string][]Run{}
	var all []Packing
	for _, r := range runs {
		by[r.Repository] = append(by[r.Repository], r)
	}
	for repository, of := range by {
		all = append(all, *pack(repository, of))
	}
	return all
}

// A Rescan is a look at all live images of a service. Unlike a build it tells of what was published before, by what is known of vulnerabilities now.
type Rescan struct {
	Service    string         `json:"service"`
	Repository string         `json:"repository,omitempty"`
	Run        string         `json:"run"`
	RunURL     string         `json:"run_url,omitempty"`
	At         time.Time      `json:"at"`
	Images     int            `json:"images"`
	Findings   map[string]int `json:"findings"` // by severity, in all of them together, on each platform once
}

func (r Rescan) identity() identity { return identity{r.Repository, r.Service} }

// rescans are those that are remembered, the oldest first.
func (s Source) rescans() []Rescan {
	links, all := links{server: s.Server}, []Rescan{}
	for _, r := range s.Known.Rescans(s.Repository) {
		if s.shows(r.Repository) {
			all = append(all, Rescan{Service: r.Service, Repository: r.Repository, Run: r.Run, RunURL: links.run(insight.Past{Repository: r.Repository, Run: r.Run}), At: r.At.UTC(), Images: r.Images, Findings: r.Findings})
		}
	}
	return all
}

// A Work is what somebody has claimed, and is not done with.
type Work struct {
	Name       string    `json:"work"`              // a service, one of its parts as in NAME@PLATFORM, or whatever an agent calls it
	Service    string    `json:"service,omitempty"` // where it is one that is known
	Agent      string    `json:"agent"`
	Run        string    `json:"run"` // or another session
	RunURL     string    `json:"run_url,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"expected_until,omitzero"`
}

// Late reports whether it was expected to be done before.
func (w Work) Late(at time.Time) bool { return !w.Until.IsZero() && at.After(w.Until) }

// Late are what is underway that was expected to be done before. It may have been killed, which nobody has written down.
func (f Figures) Late(at time.Time) int {
	n := 0
	for _, w := range f.Underway {
		if w.Late(at) {
			n++
		}
	}
	return n
}

// tellWork completes what is underway by what is known of services.
func (f *Figures) tellWork(s Source) {
	links := links{server: s.Server}
	for _, w := range s.Underway {
		w.Since, w.RunURL = w.Since.UTC(), links.run(insight.Past{Repository: w.Repository, Run: w.Run})
		name, _, _ := strings.Cut(w.Name, "@")
		if i := slices.IndexFunc(f.Services, func(of Service) bool { return of.identity() == identity{w.Repository, name} }); i >= 0 {
			w.Service = name
			if next := f.Services[i].Next; next != nil {
				w.Until = w.Since.Add(time.Duration(next.Seconds * float64(time.Second))).Truncate(time.Second)
			}
		}
		f.Underway = append(f.Underway, w)
	}
	slices.SortStableFunc(f.Underway, func(a, b Work) int { return a.Since.Compare(b.Since) })
}
