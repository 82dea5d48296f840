package plan

import (
	"os"
	"slices"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/learn"
)

// weigh tells how long each service that is worked on is expected to take: what earlier runs tell, or else in
// proportion to what the builder gets. What is only judged again takes no time to speak of.
func (p Planner) weigh(services []Service, drafts []*draft, work *tree) {
	bytes := map[string]float64{}
	var seconds, size float64 // of those that are known
	for _, d := range drafts {
		i := indexOf(services, d.service.Name)
		if i < 0 || services[i].Action != Build {
			continue
		}
		s := &services[i]
		bytes[s.Name] = work.size(d)
		if s.Expected = p.expect(*s); s.Expected != nil {
			seconds, size = seconds+s.Expected.Seconds, size+bytes[s.Name]
		}
	}
	rate := 1.0 // seconds for each byte
	if seconds > 0 && size > 0 {
		rate = seconds / size
	}
	for i := range services {
		s := &services[i]
		if s.Action != Build {
			continue
		}
		if s.Weight = bytes[s.Name] * rate; s.Expected != nil {
			s.Weight = s.Expected.Seconds
		}
	}
}

// expect tells how long a service takes until its last platform is done; nil where nobody remembers.
func (p Planner) expect(s Service) *learn.Expectation {
	if p.Expect == nil {
		return nil
	}
	var longest *learn.Expectation
	for _, platforms := range p.apart(s) {
		if e := p.Expect(s, platforms, p.runner(platforms)); e.Known() && (longest == nil || e.Seconds > longest.Seconds) {
			longest = &e
		}
	}
	return longest
}

// apart are the platforms of a service as rows may have them.
func (p Planner) apart(s Service) [][]string {
	if p.Config.Split != "platform" {
		return [][]string{s.Platforms}
	}
	return slices.Collect(slices.Chunk(s.Platforms, 1))
}

// part is what a row that has some of a service's platforms takes of its weight.
func (p Planner) part(s Service, r Row, rows int) float64 {
	if rows > 1 && s.Expected != nil {
		return p.Expect(s, r.Platforms, r.Runner).Seconds
	}
	return s.Weight / float64(rows)
}

func indexOf(services []Service, name string) int {
	for i, s := range services {
		if s.Name == name {
			return i
		}
	}
	return -1
}

// sampled is of how many files of a service the size is looked at: enough to tell large from small.
const sampled = 1000

// size is about how many bytes the files hold that count for a service.
func (t *tree) size(d *draft) float64 {
	total := int64(0)
	for _, file := range d.sample {
		if info, err := os.Lstat(t.at(file)); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return float64(total) * float64(d.files) / float64(max(1, len(d.sample)))
}

// take remembers how many files count for a service, and some of them.
func (d *draft) take(files []git.File) {
	d.files = len(files)
	step := (len(files) + sampled - 1) / sampled
	for i := 0; i < len(files); i += step {
		d.sample = append(d.sample, files[i].Path)
	}
}
