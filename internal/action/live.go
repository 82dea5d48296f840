package action

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
)

// liveEvery is how often a run tells what it is at.
const liveEvery = 15 * time.Second

// A live run knows what is done with each service, for those who wait.
type live struct {
	mu       sync.Mutex
	doing    []*doing // in the order of the plan
	parallel int      // how many are worked on at the same time
}

// A doing is what is done with a service.
type doing struct {
	service  string
	phase    publish.Phase
	since    time.Time
	begun    time.Time                    // when its work began; zero before that
	expected *learn.Expectation           // until it is judged; nil where nobody knows
	reused   bool                         // it is not built, which takes no time to speak of
	steps    map[string]learn.Expectation // of its build, by name
	progress *buildx.Progress             // of its build, once that has begun
}

// enter notes what is done with a service from now on.
func (l *live) enter(service string, phase publish.Phase) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.of(service)
	d.phase, d.since = phase, time.Now()
	if d.begun.IsZero() {
		d.begun = d.since
	}
}

// expect notes how long services are expected to take, so many of which are worked on at the same time.
func (l *live) expect(services []plan.Service, parallel int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parallel = parallel
	for _, s := range services {
		d := l.of(s.Name)
		d.expected, d.reused = s.Expected, s.Action == plan.Reuse
	}
}

// watch notes where a service's build tells how far it is, and what its instructions are expected to take, by name.
func (l *live) watch(service string, p *buildx.Progress, steps map[string]learn.Expectation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.of(service)
	d.progress, d.steps = p, steps
}

func (l *live) of(service string) *doing {
	for _, d := range l.doing {
		if d.service == service {
			return d
		}
	}
	d := &doing{service: service}
	l.doing = append(l.doing, d)
	return d
}

// line tells what is going on; empty where nothing is.
func (l *live) line() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var told []string
	for _, d := range l.doing {
		if d.phase != publish.Over {
			told = append(told, d.String())
		}
	}
	if left, known := l.left(); known && len(told) > 0 {
		return fmt.Sprintf("about %s left: %s", left, strings.Join(told, "; "))
	}
	return strings.Join(told, "; ")
}

// left is how long it is likely to take until all is done; false where nobody can tell of some of it.
func (l *live) left() (string, bool) {
	var left []float64
	for _, d := range l.doing {
		if d.reused || d.over() {
			continue
		}
		seconds, known := d.left()
		if !known {
			return "", false
		}
		left = append(left, seconds)
	}
	return coarse(learn.Makespan(left, l.parallel)), len(left) > 0
}

func (d *doing) over() bool { return d.phase == publish.Over && !d.begun.IsZero() }

// left is how many seconds it is likely to take until the service is judged.
func (d *doing) left() (float64, bool) {
	switch {
	case d.expected == nil:
		return 0, false
	case d.begun.IsZero():
		return d.expected.Seconds, true
	default:
		return d.expected.Left(time.Since(d.begun).Seconds())
	}
}

func (d *doing) String() string {
	text := fmt.Sprintf("%s: %s for %s", d.service, d.phase, seconds(time.Since(d.since)))
	if left, known := d.left(); known && d.phase != publish.Over {
		text += fmt.Sprintf(", about %s left", coarse(left))
	} else if d.expected != nil {
		text += fmt.Sprintf(", longer than nearly all before (%s to %s)", learn.Text(d.expected.Low), learn.Text(d.expected.High))
	}
	if d.progress == nil || d.phase != publish.Making {
		return text
	}
	if step, since, ok := d.progress.Current(); ok {
		text += fmt.Sprintf(", at %s since %s", cmp.Or(briefly(step), "a step"), seconds(time.Since(since)))
		if e := d.steps[step]; e.Known() && e.Seconds >= 1 {
			text += " of about " + learn.Text(e.Seconds)
		}
	}
	return text
}

// coarse is a time as nearly as anybody can tell what is to come.
func coarse(left float64) string {
	grain := 5 * time.Second
	if left > 60 {
		grain = 30 * time.Second
	}
	return max(time.Duration(left*float64(time.Second)).Round(grain), grain).String()
}

// seconds is a time to the second.
func seconds(d time.Duration) string { return max(d.Round(time.Second), time.Second).String() }

// tell tells again and again what is going on, until it is stopped.
func (l *live) tell(print func(format string, args ...any)) (stop func()) {
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		ticker := time.NewTicker(liveEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if line := l.line(); line != "" {
					print("… %s", line)
				}
			}
		}
	})
	return func() {
		close(done)
		telling.Wait()
	}
}

// output is where the lines of a service's build go. Those of the only one come as they are; of several each comes in one piece, when it ends.
func (s *session) output(service string) (tell func(line string), end func(error)) {
	title, begun := "Build of "+service, time.Now()
	if s.alone {
		leave := s.log.Group(title)
		return func(line string) { s.log.Printf("%s", line) }, func(error) { leave() }
	}
	part := s.log.Part(service)
	return part.Print, func(err error) {
		how := "took"
		if err != nil {
			how = "failed after"
		}
		part.End(fmt.Sprintf("%s, which %s %s", title, how, time.Since(begun).Round(100*time.Millisecond)))
	}
}
