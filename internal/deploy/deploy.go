// Package deploy brings a Compose project up on a Docker host, waits until all of it is well, and goes back by itself to what ran
// before where that fails. What ran before is written down on the host, so whoever comes next can go back to it, from any machine.
package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
)

// A Host is where a project runs.
type Host struct {
	Engine  *engine.Engine
	Program Program
	Project string        // in the letters that Compose allows
	By      string        // who deploys, for others to know
	Wait    time.Duration // how long it may take from when it is started until all of it is well
	Every   time.Duration // between two looks at the containers
	Tell    func(format string, args ...any)
}

// A Version is what a project is made of.
type Version struct {
	Number   int               // of those that were well, which are written down on the host; 0 of one that is not
	File     string            // a Compose file's text, in which nothing is filled in
	Over     string            // a second one over it; empty for none
	Profiles []string          // of the file, whose services are brought up
	Images   map[string]string // of its services, as REPOSITORY@sha256:…
	Weight   int               // percent of the requests that its colours get of services that are switched; 0 means all
	Commit   string            // that it was made at
	By       string            // who deployed it
	left     []string          // services that nobody wrote down and that were not well: they stay as they are when it is brought up
}

func (v Version) is(other Version) bool {
	return v.File == other.File && v.Over == other.Over && v.Weight == other.Weight && slices.Equal(v.Profiles, other.Profiles) && maps.Equal(v.Images, other.Images)
}

// without is a version but for some services.
func (v Version) without(services []string) Version {
	v.Images = maps.Clone(v.Images)
	maps.DeleteFunc(v.Images, func(name, _ string) bool { return slices.Contains(services, name) })
	return v
}

// What became of what a deployment that failed had begun.
const (
	Untouched = ""           // nothing had begun, or there is nothing else to go back to
	Restored  = "restored"   // what ran before runs again, and is well
	Partly    = "partly"     // so do its images, but not all of what nobody had written down could be restored
	Removed   = "removed"    // nothing ran before, and nothing does now; volumes are kept
	Stranded  = "unrestored" // going back failed too
	Left      = "left"       // as it is: the lock was lost, and another may be at it
)

// A Result is what became of a deployment.
type Result struct {
	Troubles []Trouble // services that are not well, for which it was refused
	Err      error     // another reason for which it failed
	After    string    // what became of what it had begun
	Astray   error     // why going back failed
	Unnoted  error     // why the host was not told what runs by now, where all else is as it says here
}

// Good reports whether all of it is well.
func (r Result) Good() bool { return r.Err == nil && len(r.Troubles) == 0 }

// Deploy brings a version up, in place of what runs, for as long as the lock is held. Its history is that of the host.
func (l *Lock) Deploy(ctx context.Context, v Version, past History) Result {
	working, done := l.during(ctx)
	defer done()
	noted := past
	before, err := l.host.Engine.Project(working, l.host.Project)
	if err == nil {
		past, err = l.host.abandon(working, v, past)
	}
	if err != nil {
		return Result{Err: cmp.Or(l.lost(), err)}
	}
	r, begun := l.attempt(working, v, past, before)
	switch lost := l.lost(); {
	case lost != nil && begun:
		return Result{Err: lost, After: Left}
	case lost != nil:
		return Result{Err: lost}
	case r.Good():
		r.Unnoted = l.atLast(ctx, func(ctx context.Context) error { return l.host.write(ctx, v, past) })
		return r
	case !begun && !past.Interrupted:
		return r // and nothing was touched
	}
	r.After, r.Astray = l.goBack(ctx, v, past.behind(v, before), len(before) == 0)
	if r.After == Restored && l.lacks(ctx, v, noted, before) {
		r.After = Partly
	}
	switch lost := l.lost(); {
	case lost != nil:
		return Result{Troubles: r.Troubles, Err: lost, After: Left}
	case r.Astray == nil && (r.After != Untouched || !past.Interrupted): // what was left before nobody has set right
		r.Unnoted = l.atLast(ctx, l.host.end)
	}
	return r
}

// lacks reports whether going back from a version did not bring everything back, as far as anybody can tell.
func (l *Lock) lacks(ctx context.Context, v Version, past History, before []engine.Instance) bool {
	var lacks []Trouble
	err := l.atLast(ctx, func(ctx context.Context) (err error) {
		lacks, err = l.host.Lacks(ctx, v, past, before)
		return err
	})
	return err != nil || len(lacks) > 0
}

// attempt brings a version up, and reports whether that was begun.
func (l *Lock) attempt(ctx context.Context, v Version, past History, before []engine.Instance) (r Result, begun bool) {
	if r.Err = l.host.Program.Pull(ctx, v); r.Err == nil {
		r.Err = l.host.begin(ctx, v, past)
	}
	if r.Err != nil {
		return r, false
	}
	r.Troubles, r.Err = l.start(ctx, v, before)
	return r, true
}

// start brings a version up, waits until all of it is well, and then has people be sent to it. Services that were not well are what it
// failed for where there are any.
func (l *Lock) start(ctx context.Context, v Version, before []engine.Instance) ([]Trouble, error) {
	h, begun := l.host, time.Now()
	starting, cancel := context.WithTimeoutCause(ctx, h.Wait, errLate)
	defer cancel()
	w := newWatch(h, v, before)
	err := l.bringUp(starting, v, w)
	if err == nil {
		h.Tell("all of it is well after %s", time.Since(begun).Round(100*time.Millisecond))
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("deploying %s: %w", h.Project, context.Cause(ctx))
	}
	last, done := aside(ctx, settling)
	defer done()
	troubles, unknown := w.troubles(last, errors.Is(context.Cause(starting), errLate))
	if len(troubles) > 0 {
		return troubles, nil
	}
	return nil, errors.Join(err, unknown)
}

// bringUp does not touch what people are sent to until all else is well.
func (l *Lock) bringUp(ctx context.Context, v Version, w *watch) error {
	h := l.host
	running, err := h.Engine.Project(ctx, h.Project)
	if err != nil {
		return err
	}
	pairs, err := h.survey(ctx, v, running)
	if err != nil {
		return err
	}
	if err := l.settle(ctx, pairs, running); err != nil {
		return err
	}
	if err := h.clear(ctx, v, running); err != nil {
		return err
	}
	kept := slices.Concat(untouched(pairs), v.left)
	if last := replaced(pairs, running); len(last) > 0 {
		w.keep(v, slices.Concat(kept, last))
		if err := w.up(ctx); err != nil {
			return err
		}
	}
	if err := h.wipe(ctx, pairs, running, kept); err != nil {
		return err
	}
	w.keep(v, kept)
	if err := w.up(ctx); err != nil {
		return err
	}
	return l.turnAll(ctx, v, pairs)
}

// clear takes away what runs of services that are none of a version's. Compose would leave those that are in the file, but in none of the profiles.
func (h Host) clear(ctx context.Context, v Version, running []engine.Instance) error {
	for _, i := range running {
		if _, wanted := v.Images[i.Service]; wanted || slices.Contains(v.left, i.Service) {
			continue
		}
		h.Tell("  taking %s away", i.Service)
		if err := h.Engine.TakeAway(ctx, i.ID); err != nil {
			return err
		}
	}
	return nil
}

// settling is for what is asked once the outcome is known.
const settling = 20 * time.Second

// aside is a context that outlives the run's own.
func aside(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), most)
}

// closing is for what is still done under the lock once the run may be over: less than the margin, so that it has ended before another may have the lock.
const closing = 10 * time.Second

// atLast does what is left to be done under the lock, also where the run itself has been cancelled, and nothing once the lock is lost: what
// another has done since is not to be undone.
func (l *Lock) atLast(ctx context.Context, what func(context.Context) error) error {
	if lost := l.lost(); lost != nil {
		return lost
	}
	ctx, cancel := aside(ctx, closing)
	defer cancel()
	ctx, done := l.during(ctx)
	defer done()
	return what(ctx)
}

// goBack has run what ran before, nil for nothing that is known to be well, and takes a first version down. It does so also where the run itself has
// been cancelled, but not without the lock.
func (l *Lock) goBack(ctx context.Context, failed Version, back *Version, first bool) (after string, err error) {
	h := l.host
	ctx, cancel := aside(ctx, 2*h.Wait)
	defer cancel()
	ctx, done := l.during(ctx)
	defer done()
	switch after = Restored; {
	case back == nil && !first:
		h.Tell("nothing that ran before was well: what runs stays as it is")
		return Untouched, nil
	case back == nil:
		h.Tell("nothing ran before: taking it down, but for its volumes")
		after, err = Removed, h.Program.Down(ctx, failed)
	case back.is(failed):
		return Untouched, nil
	default:
		h.Tell("going back to %s", *back)
		err = l.restore(ctx, *back)
	}
	if err != nil {
		after = Stranded
	}
	return after, err
}

// restore brings a version up that was well.
func (l *Lock) restore(ctx context.Context, v Version) error {
	h := l.host
	before, err := h.Engine.Project(ctx, h.Project)
	if err != nil {
		return err
	}
	if err := h.Program.Pull(ctx, v); err != nil {
		return err
	}
	troubles, err := l.start(ctx, v, before)
	for _, t := range troubles {
		err = errors.Join(err, fmt.Errorf("%s %s", t.Service, t.What))
	}
	return err
}

func (v Version) String() string {
	if v.Number == 0 {
		return "the images that ran before"
	}
	return fmt.Sprintf("deployment %d", v.Number)
}

// Lacks are services that run and that nobody wrote down, of which going back from a version would not bring everything back, with the reason.
func (h Host) Lacks(ctx context.Context, v Version, past History, running []engine.Instance) (lacks []Trouble, err error) {
	back, hashes := past.behind(v, running), map[string]string{}
	if back == nil {
		back = &Version{}
	} else if back.Number == 0 {
		if hashes, err = h.Program.hashes(ctx, *back); err != nil {
			return nil, err
		}
	}
	for _, i := range running {
		_, stays := v.Images[i.Service]
		_, comes := back.Images[i.Service]
		what := ""
		switch {
		case !comes && !stays, !comes && back.Number > 0 && !past.Interrupted: // else the one that was killed may have begun it
			what = "is taken away, and not brought back"
		case back.Number == 0:
			what = lack(i, hashes[i.Service])
		}
		if what != "" {
			lacks = append(lacks, Trouble{Service: i.Service, What: what})
		}
	}
	return lacks, nil
}

// lack is what is not brought back of a container that nobody wrote down, of a service with a hash; empty for nothing.
func lack(i engine.Instance, hash string) string {
	switch what := judge(i); {
	case what != "":
		return what + ", so it is not gone back to, and stays as this deployment leaves it"
	case i.Hash != hash:
		return "was not started as the Compose file says, so only its image is gone back to"
	default:
		return ""
	}
}

// adopted is what runs and nobody wrote down: a file with the images of the containers that are well; nil where none is.
func adopted(v Version, before []engine.Instance) *Version {
	images, services, left := map[string]string{}, map[string]any{}, []string(nil)
	for _, i := range before {
		if _, known := v.Images[i.Service]; known && judge(i) == "" {
			images[i.Service] = i.Image
			services[i.Service] = map[string]string{"image": i.Image}
		}
	}
	for _, i := range before {
		if _, well := images[i.Service]; !well {
			left = append(left, i.Service)
		}
	}
	over, err := json.Marshal(map[string]any{"services": services}) // which is YAML as well
	if err != nil || len(images) == 0 {
		return nil
	}
	return &Version{File: v.File, Over: string(over), Profiles: v.Profiles, Images: images, left: left}
}

// Changes lists services whose image is another in a version than in what runs, sorted, and those that are in one of the two alone.
func Changes(running []engine.Instance, v Version) []Change {
	now := map[string]string{}
	for _, i := range running {
		now[i.Service] = i.Image
	}
	var all []Change
	for _, service := range slices.Sorted(maps.Keys(union(now, v.Images))) {
		all = append(all, Change{service, now[service], v.Images[service]})
	}
	return all
}

// A Change is what a service runs, and what it is to run; empty for nothing.
type Change struct{ Service, From, To string }

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
