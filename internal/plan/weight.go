package plan

import (
	"os"

	"github.com/org/ghcr-publish/internal/git"
)

// weigh tells how long each service that is worked on is expected to take: as long as it took before, or else in
// proportion to what the builder gets. What is only judged again takes no time to speak of.
func (p Planner) weigh(services []Service, drafts []*draft, work *tree) {
	bytes := map[string]float64{}
	var seconds, size float64 // of those that are known
	for _, d := range drafts {
		name := d.service.Name
		if i := indexOf(services, name); i < 0 || services[i].Action != Build {
			continue
		}
		bytes[name] = work.size(d)
		if took, known := p.Took[name]; known {
			seconds, size = seconds+took, size+bytes[name]
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
		s.Choices = p.choices(*s)
		took, known := p.Took[s.Name]
		if s.Weight = bytes[s.Name] * rate; known {
			s.Weight, s.Expected = took, took
		}
	}
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
