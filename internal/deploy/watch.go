package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/traffic"
)

// A Trouble is a service that is not well.
type Trouble struct {
	Service string   `json:"service"`
	What    string   `json:"what"`
	Health  string   `json:"health,omitempty"` // what its health check said last
	Log     []string `json:"log,omitempty"`    // the last of what it wrote
}

const (
	logLines = 15
	// steady is how long a container must run that nobody can ask how it is.
	steady = 3 * time.Second
	// mostEnds is how often a container may end and be started again until it is taken for one that does nothing else: what it needs
	// may not be there at once.
	mostEnds = 5
)

var (
	errLate = errors.New("the time is up")
	errLost = errors.New("services are not well")
)

// A watch follows the containers of a version that is starting.
type watch struct {
	host    Host
	version Version
	before  map[string]engine.Instance // by id
	seen    map[string]time.Time       // when a container was seen first in this run of it
	lost    map[string]string          // what was wrong with those that will not be well, by id; a moment later they may look better
	told    time.Time
	kept    []string // services that are left as they are, and not looked at
}

func newWatch(h Host, v Version, before []engine.Instance) *watch {
	w := &watch{host: h, version: v, before: map[string]engine.Instance{}, seen: map[string]time.Time{}, lost: map[string]string{}, told: time.Now()}
	for _, i := range before {
		w.before[i.ID] = i
	}
	return w
}

// keep has services of a version be left as they are, and not be looked at.
func (w *watch) keep(v Version, services []string) { w.kept, w.version = services, v.without(services) }

// up brings the version up, and waits until all of it is well.
func (w *watch) up(ctx context.Context) error {
	if err := w.host.Program.Up(ctx, w.version); err != nil {
		return err
	}
	return w.untilWell(ctx)
}

// untilWell looks again and again until all services are well, one cannot become so, or the time is up.
func (w *watch) untilWell(ctx context.Context) error {
	ticker := time.NewTicker(w.host.Every)
	defer ticker.Stop()
	for {
		running, err := w.host.Engine.Project(ctx, w.host.Project)
		if err != nil {
			return err
		}
		waiting := w.look(running)
		switch {
		case len(w.lost) > 0:
			return errLost
		case len(waiting) == 0:
			return nil
		}
		w.tell(waiting)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// silence is how long nothing is said of what is waited for.
const silence = 15 * time.Second

func (w *watch) tell(waiting []string) {
	if time.Since(w.told) > silence {
		w.told = time.Now()
		w.host.Tell("  waiting for %s", strings.Join(waiting, ", "))
	}
}

// look returns services that are not well yet, and notes those that will not be.
func (w *watch) look(running []engine.Instance) (waiting []string) {
	there := map[string]bool{}
	for _, i := range running {
		if slices.Contains(w.kept, i.Service) {
			continue
		}
		there[i.Service] = true
		switch what := judge(i); {
		case w.endsAgain(i):
			w.lost[i.ID] = fmt.Sprintf("ended %d times, and was started again each time", i.Restarts)
		case w.isLost(i):
			w.lost[i.ID] = what
		case what != "" || !w.isSteady(i):
			waiting = append(waiting, i.Service)
		}
	}
	for service := range w.version.Images {
		if !there[service] {
			waiting = append(waiting, service)
		}
	}
	slices.Sort(waiting)
	return slices.Compact(waiting)
}

// endsAgain reports whether a container does nothing but end and be started again.
func (w *watch) endsAgain(i engine.Instance) bool {
	return i.Restarts-w.before[i.ID].Restarts >= mostEnds
}

// isLost reports whether a container will not become well. One that ran before may: what it needs is being replaced. So may a proxy, behind which
// nobody answers yet, and one that is being started again, which the engine calls unhealthy meanwhile.
func (w *watch) isLost(i engine.Instance) bool {
	_, old := w.before[i.ID]
	switch {
	case old, i.Labels[traffic.ProxyLabel] != "":
		return false
	case i.Status == "running":
		return i.Health == "unhealthy"
	default:
		return i.Status == "dead" || i.Status == "exited" && i.ExitCode != 0 && !i.Stays
	}
}

// isSteady reports whether a container that cannot be asked how it is has run for a while.
func (w *watch) isSteady(i engine.Instance) bool {
	if i.Health != "" || !i.Running {
		return true
	}
	if was, old := w.before[i.ID]; old && was.Since.Equal(i.Since) {
		return true
	}
	run := i.ID + i.Since.String()
	if w.seen[run].IsZero() {
		w.seen[run] = time.Now()
	}
	return time.Since(w.seen[run]) >= steady
}

// judge says what is wrong with a container at this moment; empty where nothing is.
func judge(i engine.Instance) string {
	switch {
	case i.OOMKilled && !i.Running:
		return "ran out of memory"
	case i.Status == "restarting":
		return fmt.Sprintf("ended with exit code %d, and is started again", i.ExitCode)
	case i.Running && (i.Health == "" || i.Health == "healthy"):
		return ""
	case i.Running:
		return "is " + i.Health
	case i.Status == "exited" && i.ExitCode == 0 && !i.Stays:
		return "" // it has done its work
	case i.Status == "exited":
		return fmt.Sprintf("ended with exit code %d", i.ExitCode)
	default:
		return "is " + i.Status
	}
}

// troubles tells of the services that are not well, with what they said. Unless the time is up, one that is only starting is none.
func (w *watch) troubles(ctx context.Context, late bool) ([]Trouble, error) {
	running, err := w.host.Engine.Project(ctx, w.host.Project)
	if err != nil {
		return nil, err
	}
	w.look(running)
	var found []Trouble
	missing := maps.Clone(w.version.Images)
	for _, i := range running {
		if slices.Contains(w.kept, i.Service) {
			continue
		}
		delete(missing, i.Service)
		what := judge(i)
		if lost := w.lost[i.ID]; lost != "" || i.Status == "running" && i.Health == "unhealthy" || late && what != "" {
			found = append(found, w.host.trouble(ctx, i, cmp.Or(lost, what)))
		}
	}
	if late {
		for _, service := range slices.Sorted(maps.Keys(missing)) {
			found = append(found, Trouble{Service: service, What: "was not started"})
		}
		for n := range found {
			found[n].What += fmt.Sprintf(" after %s", w.host.Wait)
		}
	}
	return found, nil
}

// trouble is what is known of a container that is not well.
func (h Host) trouble(ctx context.Context, i engine.Instance, what string) Trouble {
	t := Trouble{Service: i.Service, What: what, Health: cut(strings.Join(strings.Fields(i.HealthSaid), " "))}
	log, _ := h.Engine.Said(ctx, i.ID, logLines)
	for _, line := range log {
		t.Log = append(t.Log, cut(strings.TrimRight(line, "\r")))
	}
	return t
}
