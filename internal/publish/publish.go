// Package publish is the order of one run: build or reuse, judge, decide, promote. The compiler
// holds the order that matters: a tag needs an approval, an approval a verdict, a verdict a candidate.
package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/telemetry"
	"github.com/org/ghcr-publish/internal/verdict"
	"golang.org/x/sync/errgroup"
)

// A Candidate is an image that has a digest and no tag.
type Candidate struct {
	Image registry.Image
	// Layouts hold a candidate that is not pushed: an OCI image layout's path by platform.
	Layouts map[string]string
	Loaded  string // name under which the engine holds such a candidate's native platform
	Account insight.Account
	Cache   cache.Use
}

// A Publisher has the steps of a run; each is one call.
type Publisher struct {
	// Build and Reuse get the candidates of this run that the service is made from, by service.
	Build func(context.Context, plan.Service, map[string]Candidate) (Candidate, error)
	Reuse func(context.Context, plan.Service, map[string]Candidate) (Candidate, error)
	Scan  func(context.Context, scan.Target) ([]verdict.Finding, error)
	// Database tells what the scans have been made by.
	Database func() verdict.Database
	Probe    func(ctx context.Context, image, platform string, s service.Service, gate service.StartupGate) verdict.Probe
	// Published reads the image that is published now, to compare with.
	Published func(ctx context.Context, image, digest string) (registry.Image, error)
	// Index makes one index of what rows have pushed, by their digests, and reads it whole.
	Index func(ctx context.Context, s plan.Service, digests []string) (registry.Image, error)
	// Sign signs what is about to be promoted; nil where nothing is signed.
	Sign    func(ctx context.Context, r Result, approval verdict.Approval) (sign.Record, error)
	Promote func(ctx context.Context, s plan.Service, approval verdict.Approval) ([]tags.Move, error)
	// Begin writes down which tags are about to move, and End that all of them have; nil where nobody needs to know.
	Begin func(context.Context, []*Result) error
	End   func(context.Context) error
	Tell  func(format string, args ...any)
	// Enter is told what is done with a service from now on; nil where nobody asks.
	Enter func(service string, phase Phase)
	Now   func() time.Time // which says what exceptions hold

	Gates       service.Gates
	Usual       map[string]verdict.History // by service
	Found       map[string]map[string]int  // how many findings earlier runs saw, by service and digest
	Native      string                     // the engine's own platform, which is tried out
	NoEngine    error                      // why there is no engine; nil if there is
	MaxParallel int                        // services that are built at the same time, and that are judged
	PerService  bool                       // promote each service by itself
	NoPush      bool                       // promote nothing
}

// A Phase is what is done with a service.
type Phase string

const (
	Making  Phase = "building" // or reading it
	Waiting Phase = "waiting to be judged"
	Judging Phase = "judging"
	Over    Phase = "" // nothing any more
)

func (p Publisher) enter(service string, phase Phase) {
	if p.Enter != nil {
		p.Enter(service, phase)
	}
}

// A Result is what became of one service.
type Result struct {
	Plan      plan.Service
	Candidate Candidate
	Evidence  verdict.Evidence
	Verdict   verdict.Verdict
	Signed    sign.Record
	Moves     []tags.Move
	Accepted  []string // why it was refused, where somebody demanded it all the same; else nil
	Anew      []string // why the digest that was to be used again was refused, where the service was then built; else nil
	Err       error    // what kept the service from being judged or promoted
	Held      string   // why an approved service was not promoted
	Seconds   map[string]float64
	Spans     []Span // in the order in which they ended
}

// A Span is when something was done with a service.
type Span struct {
	Part      string    `json:"part"` // as in Seconds
	Began     time.Time `json:"began"`
	Seconds   float64   `json:"seconds"`
	Platforms []string  `json:"platforms,omitempty"` // that it was done for, where that is not all of them
}

// step begins a step of a trace that is about the service, and returns what ends it with the result's error.
func (r *Result) step(ctx context.Context, part string) (context.Context, func()) {
	ctx, end := telemetry.Start(ctx, part+" "+r.Plan.Name, telemetry.Service(r.Plan.Name))
	return ctx, func() { end(r.Err) }
}

// took notes how long something took that is over now.
func (r *Result) took(part string, began time.Time) {
	seconds := time.Since(began).Seconds()
	r.Seconds[part] += seconds
	r.Spans = append(r.Spans, Span{Part: part, Began: began, Seconds: seconds})
}

// Approved reports whether the service was judged and may be published.
func (r Result) Approved() bool { return r.Err == nil && r.Verdict.Approved() }

// Work builds and judges services, and moves no tag. A service that is made from another's image waits for that one; all
// others work at the same time, as far as there are turns. One service's failure does not stop those that do not need it.
func (p Publisher) Work(ctx context.Context, services []plan.Service) []Result {
	results := make([]Result, len(services))
	w := work{Publisher: p, made: map[string]*made{}, builds: make(turns, p.MaxParallel), trials: make(turns, p.MaxParallel)}
	for i, s := range services {
		results[i] = Result{Plan: s, Seconds: map[string]float64{}}
		if s.Action != plan.Skip {
			w.made[s.Name] = newMade()
		}
	}
	var group sync.WaitGroup
	for _, i := range longestFirst(services) {
		s := services[i]
		wait := waits(s, w.made)
		if !wait {
			w.builds.take() // in this order
		}
		group.Go(func() {
			defer w.made[s.Name].end()
			bases, err := awaited(ctx, s, w.made)
			if wait {
				w.builds.take()
			}
			if results[i].Err = err; err == nil {
				w.make(ctx, &results[i], bases)
			}
			w.builds.give()
			w.judged(ctx, &results[i], bases)
			w.enter(s.Name, Over)
		})
	}
	group.Wait()
	return results
}

// A work is one call of Work. Building and judging take turns of their own, so that while one service is judged, the next is built.
type work struct {
	Publisher
	made           map[string]*made
	builds, trials turns
}

// turns bound how much is done at the same time.
type turns chan struct{}

func (t turns) take() { t <- struct{}{} }
func (t turns) give() { <-t }

// longestFirst orders the services that something is done for, so that no long one begins when the others are done.
func longestFirst(services []plan.Service) []int {
	var order []int
	for i, s := range services {
		if s.Action != plan.Skip {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(services[b].Weight, services[a].Weight) })
	return order
}

// A made is the candidate of a service that others may wait for.
type made struct {
	Candidate
	ok   bool
	once sync.Once
	done chan struct{}

	anew *Candidate // what was built in its place and approved; read once over is closed
	over chan struct{}
}

func newMade() *made { return &made{done: make(chan struct{}), over: make(chan struct{})} }

func (m *made) close() { m.once.Do(func() { close(m.done) }) }

// end tells those that wait for the service that nothing more is done with it.
func (m *made) end() {
	m.close()
	close(m.over)
}

// waits reports whether a service is made from the image of another one that is made in this run.
func waits(s plan.Service, all map[string]*made) bool {
	return slices.ContainsFunc(s.Bases, func(b plan.BaseImage) bool { return isAwaited(b, s, all) })
}

func isAwaited(b plan.BaseImage, s plan.Service, all map[string]*made) bool {
	return b.Digest == "" && b.Service != s.Name && all[b.Service] != nil
}

// awaited waits for the services of this run whose images one is made from, and returns their candidates by name.
func awaited(ctx context.Context, s plan.Service, all map[string]*made) (map[string]Candidate, error) {
	bases := map[string]Candidate{}
	for _, b := range s.Bases {
		if !isAwaited(b, s, all) {
			continue
		}
		other := all[b.Service]
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !other.ok {
			return nil, fmt.Errorf("it is made from the image of %s, which was not built", b.Service)
		}
		bases[b.Service] = other.Candidate
	}
	return bases, nil
}

// judged tells those that wait for a service's candidate, and judges it. Where it is refused for its findings, and was to be used again, or is made from an
// image that is built anew for such, it is built once more.
func (w work) judged(ctx context.Context, r *Result, bases map[string]Candidate) {
	done := w.made[r.Plan.Name]
	done.Candidate, done.ok = r.Candidate, r.Err == nil
	done.close()
	w.examine(ctx, r)
	if !w.isOutdated(*r) {
		return
	}
	bases, renewed := w.renewed(ctx, *r, bases)
	if r.Plan.Fresh == nil && !renewed {
		return
	}
	refused := *r
	if r.Plan.Fresh != nil {
		r.Plan, r.Anew = r.Plan.Anew(r.Verdict.Reasons), r.Verdict.Reasons
		w.Tell("%s: %s", r.Plan.Name, r.Plan.Reason)
	}
	w.builds.take()
	w.make(ctx, r, bases)
	w.builds.give()
	if w.examine(ctx, r); r.Err != nil && ctx.Err() == nil { // the refusal stands
		refused.Verdict.Notes = append(refused.Verdict.Notes, fmt.Sprintf("it could not be built anew: %v", r.Err))
		refused.Spans = r.Spans
		*r = refused
	}
	if r.Approved() {
		made := r.Candidate
		done.anew = &made
	}
}

// renewed are the candidates that a service is made from, by name, with those that were built anew in this run, and whether there are such: what refuses it
// may have come from them.
func (w work) renewed(ctx context.Context, r Result, bases map[string]Candidate) (_ map[string]Candidate, any bool) {
	bases = maps.Clone(bases)
	for _, b := range r.Plan.Bases {
		other := w.made[b.Service]
		if other == nil || b.Service == r.Plan.Name {
			continue
		}
		select {
		case <-other.over:
		case <-ctx.Done():
			return bases, false // and nothing is built any more
		}
		if other.anew != nil {
			bases[b.Service], any = *other.anew, true
		}
	}
	return bases, any
}

// make builds a service's candidate, or reads the one that is used again.
func (p Publisher) make(ctx context.Context, r *Result, bases map[string]Candidate) {
	s := r.Plan
	make, verb := p.Build, "building"
	if s.Action == plan.Reuse {
		make, verb = p.Reuse, "reading"
	}
	p.enter(s.Name, Making)
	p.Tell("%s: %s for %s", s.Name, verb, strings.Join(s.Platforms, ", "))
	ctx, end := r.step(ctx, string(s.Action))
	defer end()
	begun := time.Now()
	r.Candidate, r.Err = make(ctx, s, bases)
	r.took(string(s.Action), begun)
	if r.Err != nil {
		p.Tell("%s: %v", s.Name, r.Err)
	}
}

// examine gathers evidence on a candidate, and judges it.
func (w work) examine(ctx context.Context, r *Result) {
	if r.Err != nil {
		return
	}
	w.enter(r.Plan.Name, Waiting)
	w.trials.take()
	defer w.trials.give()
	w.enter(r.Plan.Name, Judging)
	ctx, end := r.step(ctx, "judge")
	defer end()
	begun := time.Now()
	r.Evidence = w.gather(ctx, r.Plan, r.Candidate)
	r.took("judge", begun)
	if ctx.Err() != nil {
		r.Err = context.Cause(ctx)
		return
	}
	w.judge(r)
}

// isOutdated reports whether an image is refused for its findings alone, which a build from today's
// packages may not have. Parts of an image are no whole that could be built anew.
func (p Publisher) isOutdated(r Result) bool {
	if r.Plan.Part || r.Err != nil || r.Verdict.Approved() {
		return false
	}
	without := r.Evidence
	without.Platforms = slices.Clone(without.Platforms)
	for i := range without.Platforms {
		without.Platforms[i].Findings = nil
	}
	return verdict.Judge(without, p.Gates).Approved()
}

// judge gives the verdict of today.
func (p Publisher) judge(r *Result) {
	r.Evidence.Built = r.Seconds[string(plan.Build)]
	r.Evidence.Except(r.Plan.Name, p.Gates.Exceptions, p.Now())
	r.Verdict = verdict.Judge(r.Evidence, p.Gates)
	p.Tell("%s: %s", r.Plan.Name, summary(r.Verdict))
}

func summary(v verdict.Verdict) string {
	if v.Approved() {
		return "approved"
	}
	return "refused"
}

// gather collects all evidence on a candidate at the same time: each platform's findings and size,
// and how it starts.
func (p Publisher) gather(ctx context.Context, s plan.Service, c Candidate) verdict.Evidence {
	evidence := verdict.Evidence{Candidate: c.Image.Ref, Wanted: s.Platforms, Port: s.Definition.Port, Latest: latestBases(s), Part: s.Part, Usual: p.Usual[s.Name]}
	evidence.Remembered = p.remembered(s)
	published, err := p.published(ctx, s)
	evidence.Unsized = text(err)
	evidence.Platforms = make([]verdict.Platform, len(c.Image.Platforms))
	var group sync.WaitGroup
	for i, platform := range c.Image.Platforms {
		group.Go(func() {
			e := verdict.Platform{Platform: platform.Platform, Digest: platform.Digest.String(),
				Compressed: platform.Compressed, Published: published[platform.Platform].Compressed, User: platform.User, Config: platform.Config,
				Unmet: verdict.Unmet(s.Definition.Expect, platform.Settings)}
			var before scan.Target
			before, e.Uncompared = p.counterpart(s, platform.Platform, published, evidence.Unsized)
			p.scan(ctx, &e, scan.Target{Image: platformRef(c, platform), Layout: c.Layouts[platform.Platform], Platform: platform.Platform, Service: s.Definition}, before)
			evidence.Platforms[i] = e
		})
	}
	group.Go(func() {
		evidence.Probe = p.probe(ctx, s, c)
		evidence.Emulated = p.emulated(ctx, s, c)
		// One after the other, so that neither slows the other down.
		if evidence.Probe.Healthy && p.Gates.Regression.Set() {
			evidence.Before = p.before(ctx, s, c, published, evidence.Unsized)
		}
	})
	group.Wait()
	evidence.Database = p.Database()
	return evidence
}

// latestBases are the images that a service is made from under the tag latest, but for those of the same configuration.
func latestBases(s plan.Service) []string {
	var latest []string
	for _, b := range s.Bases {
		if b.Service == "" && strings.HasSuffix(b.Ref, ":latest") {
			latest = append(latest, b.Ref)
		}
	}
	return latest
}

// remembered is how many findings an earlier run saw in what is published of a service now; nil where none tells.
func (p Publisher) remembered(s plan.Service) *int {
	if found, known := p.Found[s.Name][s.Digest]; known {
		return &found
	}
	return nil
}

// published reads by platform what is published of a service now; nothing where there is none.
func (p Publisher) published(ctx context.Context, s plan.Service) (map[string]registry.Platform, error) {
	if s.Digest == "" {
		if s.Unread != "" {
			return nil, errors.New(s.Unread)
		}
		return nil, nil
	}
	image, err := p.Published(ctx, s.Image, s.Digest)
	platforms := map[string]registry.Platform{}
	for _, platform := range image.Platforms {
		platforms[platform.Platform] = platform
	}
	return platforms, err
}

// text is what an error says; empty for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func platformRef(c Candidate, platform registry.Platform) string {
	if c.Image.Ref == (name.Digest{}) {
		return ""
	}
	return c.Image.Ref.Context().Digest(platform.Digest.String()).Name()
}

// probe tries out the platform that runs here without emulation.
func (p Publisher) probe(ctx context.Context, s plan.Service, c Candidate) verdict.Probe {
	asked := s.Definition.Trial(p.Gates.Startup)
	if known, ok := p.triedBefore(s, asked); ok {
		return known
	}
	for _, platform := range c.Image.Platforms {
		if platform.Platform != p.Native {
			continue
		}
		if p.NoEngine != nil {
			return verdict.Probe{Platform: platform.Platform, Unavailable: p.NoEngine.Error()}
		}
		image := c.Loaded
		if image == "" {
			image = platformRef(c, platform)
		}
		probe := p.tryOut(ctx, image, platform.Platform, s.Definition, p.Gates.Startup)
		probe.Asked = asked
		return probe
	}
	return verdict.Probe{Unavailable: fmt.Sprintf("none of its platforms is %s, which runs here", p.Native)}
}

// tryOut is a probe, as a step of a trace.
func (p Publisher) tryOut(ctx context.Context, image, platform string, s service.Service, gate service.StartupGate) verdict.Probe {
	ctx, end := telemetry.Start(ctx, "try out "+s.Name, telemetry.Service(s.Name), telemetry.Platform(platform))
	probe := p.Probe(ctx, image, platform, s, gate)
	var err error
	if why := cmp.Or(probe.Failure, probe.Unavailable); !probe.Healthy && why != "" {
		err = errors.New(why)
	}
	end(err)
	return probe
}

// triedBefore is what a signed verdict says of starting the image, where nothing else is demanded of it now, and no gate wants
// figures that only a trial gives.
func (p Publisher) triedBefore(s plan.Service, asked string) (verdict.Probe, bool) {
	proof := s.Proof
	if proof == nil || asked == "" || proof.Asked != asked || proof.Platform != p.Native ||
		p.Gates.Regression.Set() || p.Gates.Size.Unpacked > 0 || p.Gates.Startup.Emulated {
		return verdict.Probe{}, false
	}
	return verdict.Probe{Platform: p.Native, Healthy: true, Asked: asked, Route: "as " + cmp.Or(proof.Run, proof.Ref) + " has tried it out"}, true
}

// slowness is how much more time an emulated platform gets.
const slowness = 5

// emulated tries out the platforms that do not run here by themselves, one after the other.
func (p Publisher) emulated(ctx context.Context, s plan.Service, c Candidate) []verdict.Probe {
	if !p.Gates.Startup.Emulated {
		return nil
	}
	gate := p.Gates.Startup
	gate.Within *= slowness
	var probes []verdict.Probe
	for _, platform := range c.Image.Platforms {
		switch image := platformRef(c, platform); {
		case platform.Platform == p.Native:
		case p.NoEngine != nil:
			probes = append(probes, verdict.Probe{Platform: platform.Platform, Unavailable: p.NoEngine.Error()})
		case image == "":
			probes = append(probes, verdict.Probe{Platform: platform.Platform, Unavailable: "what is not pushed is in the engine for " + p.Native + " alone"})
		default:
			probes = append(probes, unlessForeign(p.tryOut(ctx, image, platform.Platform, s.Definition, gate)))
		}
	}
	return probes
}

// unlessForeign tells an image that fails from a machine that cannot run it.
func unlessForeign(p verdict.Probe) verdict.Probe {
	if said := strings.Join(append(p.Log, p.Failure), " "); !p.Healthy && strings.Contains(said, "exec format error") {
		p.Failure, p.Unavailable = "", "no emulator runs that platform here; a build with `emulation: auto` registers one"
	}
	return p
}

// before tries out what is published, as the candidate was. Where that is the same image, or there is none, nothing is compared.
func (p Publisher) before(ctx context.Context, s plan.Service, c Candidate, published map[string]registry.Platform, unread string) *verdict.Probe {
	now, found := published[p.Native]
	switch {
	case unread != "":
		return &verdict.Probe{Platform: p.Native, Unavailable: unread}
	case !found || s.Digest == c.Image.Ref.DigestStr():
		return nil
	}
	before := p.tryOut(ctx, s.Image+"@"+now.Digest.String(), p.Native, s.Definition, p.Gates.Startup)
	return &before
}

// HeldBack is why approved services wait for the rest of their release set.
const HeldBack = "another service of the release set was not approved"

// Decide decides for the whole release set and then moves tags: none before every service of the set has its verdict.
func (p Publisher) Decide(ctx context.Context, results []Result) {
	if !p.NoPush && p.Sign != nil && (p.PerService || isComplete(results)) {
		p.sign(ctx, results) // what cannot be signed is approved no more
	}
	complete := isComplete(results)
	var set []*Result // to promote
	for i := range results {
		r := &results[i]
		switch {
		case r.Plan.Action == plan.Skip || !r.Approved():
		case p.NoPush:
			r.Held = "this run pushes nothing"
		case !complete && !p.PerService:
			r.Held = HeldBack
		default:
			set = append(set, r)
		}
	}
	p.promoteSet(ctx, set)
}

// promoteSet moves the tags of approved services. What is about to move is written down before the first does, and struck when the
// last has: what a killed run leaves is finished by the next one.
func (p Publisher) promoteSet(ctx context.Context, set []*Result) {
	if err := p.begin(ctx, set); err != nil {
		for _, r := range set {
			r.Err = err
		}
		return
	}
	whole := true
	for _, r := range set {
		p.promote(ctx, r)
		whole = whole && r.Err == nil
	}
	if whole && p.End != nil && len(set) > 0 {
		if err := p.End(ctx); err != nil {
			p.Tell("%v; the next run does", err)
		}
	}
}

func (p Publisher) begin(ctx context.Context, set []*Result) error {
	if p.Begin == nil || len(set) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.Begin(ctx, set)
}

// isComplete reports whether every service of the release set is approved.
func isComplete(results []Result) bool {
	return !slices.ContainsFunc(results, func(r Result) bool { return r.Plan.Action != plan.Skip && !r.Approved() })
}

// sign signs every approved service before any tag moves.
func (p Publisher) sign(ctx context.Context, results []Result) {
	var group errgroup.Group
	group.SetLimit(p.MaxParallel)
	for i := range results {
		r := &results[i]
		if r.Plan.Action == plan.Skip || !r.Approved() {
			continue
		}
		group.Go(func() error {
			ctx, end := r.step(ctx, "sign")
			defer end()
			begun := time.Now()
			approval, err := r.Verdict.Approval()
			if err == nil {
				r.Signed, err = p.Sign(ctx, *r, approval)
			}
			if r.Err = err; r.Signed.By() != "" {
				r.took("sign", begun)
			}
			return nil
		})
	}
	_ = group.Wait() // each keeps its own error
}

func (p Publisher) promote(ctx context.Context, r *Result) {
	ctx, end := r.step(ctx, "promote")
	defer end()
	begun := time.Now()
	approval, err := r.Verdict.Approval()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		r.Moves, err = p.Promote(ctx, r.Plan, approval)
	}
	r.took("promote", begun)
	r.Err = err
}
