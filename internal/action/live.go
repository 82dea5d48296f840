package action

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
)

// liveEvery is how often a run tells what it is at.
const liveEvery = 15 * time.Second

// A live run knows what is done with each service, for those who wait.
type live struct {
	mu    sync.Mutex
	doing []*doing // in the order in which they began
}

// A doing is what is done with a service.
type doing struct {
	service  string
	phase    publish.Phase
	since    time.Time
	expected time.Duration    // until it is judged; 0 where nobody knows
	progress *buildx.Progress // of its build, once that has begun
}

// enter notes what is done with a service from now on.
func (l *live) enter(service string, phase publish.Phase) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.of(service)
	d.phase, d.since = phase, time.Now()
}

// expect notes how long services took lately.
func (l *live) expect(services []plan.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range services {
		l.of(s.Name).expected = time.Duration(s.Expected * float64(time.Second))
	}
}

// watch notes where a service's build tells how far it is.
func (l *live) watch(service string, p *buildx.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(service).progress = p
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
	return strings.Join(told, "; ")
}

func (d *doing) String() string {
	text := fmt.Sprintf("%s: %s for %s", d.service, d.phase, seconds(time.Since(d.since)))
	if d.expected > 0 && d.phase == publish.Making {
		text += fmt.Sprintf(" of about %s", seconds(d.expected))
	}
	if d.progress == nil || d.phase != publish.Making {
		return text
	}
	if step, since, ok := d.progress.Current(); ok {
		text += fmt.Sprintf(", at %s since %s", cmp.Or(shortened(step), "a step"), seconds(time.Since(since)))
	}
	return text
}

// seconds is a time to the second.
func seconds(d time.Duration) string { return max(d.Round(time.Second), time.Second).String() }

// longestStep is how much of a step's name is told.
const longestStep = 80

func shortened(step string) string {
	if letters := []rune(step); len(letters) > longestStep {
		return string(letters[:longestStep]) + "…"
	}
	return step
}

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
