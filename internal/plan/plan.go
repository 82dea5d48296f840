// Package plan decides what a run does: which services it builds, which published digests it
// uses again and which it leaves alone, each with its reason; under which tags; and in which
// matrix. Deciding changes nothing.
package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
	"golang.org/x/sync/errgroup"
)

// InputsKey annotates an image index with the digest of what it was built from.
const InputsKey = "io.github.ghcr-publish.inputs"

// Dirty ends the revision of an image that was built from more than its commit holds.
const Dirty = "-dirty"

// An Action is what a run does with a service.
type Action string

const (
	Build Action = "build" // its inputs changed, or nothing is published yet
	Reuse Action = "reuse" // its published digest is judged again and gets the tags it lacks
	Skip  Action = "skip"  // every tag is where it belongs
)

// A Base is the commit a service is compared with, and why that one.
type Base struct {
	SHA string `json:"sha"`
	Why string `json:"why"`
}

// A Service is what the plan says about one service. Its JSON form is part of the program's interface.
type Service struct {
	Name        string            `json:"name"`
	Image       string            `json:"image"`
	From        string            `json:"from"` // where it is defined
	Action      Action            `json:"action"`
	Reason      string            `json:"reason"`
	Base        Base              `json:"base"`
	Changed     []string          `json:"changed,omitempty"` // files that count and differ from the base, the first of them
	Inputs      string            `json:"inputs"`            // sha256:… over everything that decides the image
	Bases       []BaseImage       `json:"bases,omitempty"`   // images it is made from
	Needs       map[string]string `json:"needs,omitempty"`   // inputs of the services that it needs, by name
	Platforms   []string          `json:"platforms"`
	Tags        []string          `json:"tags"` // full references
	Version     string            `json:"version"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// Digest is what is published under the tracked tag, which the image is compared with.
	Digest string   `json:"digest,omitempty"`
	Reused string   `json:"reused,omitempty"` // digest that Reuse uses
	Proof  *Proof   `json:"proof,omitempty"`  // why it may be used; nil where nothing is signed
	Fresh  *Fresh   `json:"fresh,omitempty"`  // what is built where the digest that would be used is refused
	Unread string   `json:"unread,omitempty"` // why it is not known what is published; empty if it is
	TagSet tags.Set `json:"tag_set"`
	// Weight is how long the service is expected to take: seconds, where earlier runs tell, or else in proportion to them.
	Weight float64 `json:"weight"`
	// Expected is how long building and judging the service is expected to take, by earlier runs; nil where nobody remembers, or nothing is built.
	// Of one whose platforms have rows of their own it is the longest of them.
	Expected *learn.Expectation `json:"expected,omitempty"`
	// Choices tell where it is built for each platform; none where nothing is built.
	Choices []Choice `json:"choices,omitempty"`

	Definition service.Service `json:"-"`
	Stale      bool            `json:"-"` // what is published is made from other inputs than there are now
	Part       bool            `json:"-"` // Platforms are only some of the image's; see Plan.Share
}

// A Plan is what a run will do. Its JSON form travels from job to job.
type Plan struct {
	SchemaVersion int       `json:"schema_version"`
	Commit        string    `json:"commit"`
	Ref           string    `json:"ref"`
	StartedAt     time.Time `json:"started_at"`        // when planning began
	Seconds       float64   `json:"seconds,omitempty"` // that it took
	Attempt       int       `json:"attempt"`           // of the run
	Pushes        bool      `json:"pushes"`            // whether it may move tags
	Services      []Service `json:"services"`
	Matrix        Matrix    `json:"matrix"`
	Notices       []string  `json:"notices,omitempty"` // what somebody should know about the plan as a whole
	// Said is what the agent of the job that planned wrote into the memory, for those of other jobs.
	Said []memory.Entry `json:"said,omitempty"`
}

// Work lists the services that something is done for.
func (p Plan) Work() []Service { return p.doing(Build, Reuse) }

// Builds lists the services that are built.
func (p Plan) Builds() []Service { return p.doing(Build) }

func (p Plan) doing(actions ...Action) []Service {
	var list []Service
	for _, s := range p.Services {
		if slices.Contains(actions, s.Action) {
			list = append(list, s)
		}
	}
	return list
}

// A Planner has what a plan is made from.
type Planner struct {
	Config service.Config
	Event  actions.Event
	Rules  tags.Rules
	Repo   git.Repo
	Pushes bool // whether the run may move tags
	Now    time.Time
	// Resolve reads what a tag of an image points to, and Read an image whole; see registry.Client.
	Resolve func(ctx context.Context, image, tag string) (registry.Image, bool, error)
	Read    func(ctx context.Context, ref name.Digest) (registry.Image, error)
	Digest  func(image, digest string) (name.Digest, error)
	// Base reads what a base image's reference stands for; see registry.Client.Base. Nil leaves base images to their names.
	Base func(ctx context.Context, ref string, look bool) (registry.Base, error)
	// Proven looks for signed verdicts on images; nil where nobody could have signed any. MustProve demands one of each image
	// that is used again; otherwise a service's own image is judged again without.
	Proven    Prover
	MustProve bool
	// Made has the digests that earlier runs have made of a service, by name and inputs: hints, of which each is to be proven.
	Made map[string]map[string][]string
	// Merged asks for the numbers of the pull requests that this commit came by.
	Merged func(ctx context.Context) ([]int, error)
	// Expect tells how long building and judging some of a service's platforms will take, on the runner of that name; nil where nobody remembers.
	Expect func(s Service, platforms []string, runner string) learn.Expectation
	// Costs are what building services for platforms took before, by service and platform; Native is the platform of this machine.
	Costs  map[string]map[string]learn.Cost
	Native string
}

// Make decides. An error means that the clone could not be read, or that services are made from each other; a registry
// that cannot be read makes services be built, and their reasons say so.
func (p Planner) Make(ctx context.Context) (Plan, error) {
	p = p.remembering()
	work, err := p.readTree(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("planning: %w", err)
	}
	made := Plan{SchemaVersion: schemaVersion, Commit: p.Event.SHA, Ref: p.Event.Ref, StartedAt: p.Now.UTC().Truncate(time.Second), Attempt: p.Event.Attempt, Pushes: p.Pushes}
	looked := make(chan error, 1)
	go func() { looked <- work.look(ctx) }() // while registries are asked
	asked := p.asked(ctx)
	made.Notices = append(asked.notices, p.detached(ctx)...)
	drafts := p.drafts(ctx, work, asked)
	met := p.meet(ctx, drafts, work)
	if err := errors.Join(<-looked, met); err != nil {
		return Plan{}, fmt.Errorf("planning: %w", err)
	}
	planned, err := p.decideAll(ctx, drafts, work, asked)
	if err != nil {
		return Plan{}, err
	}
	made.Services = []Service{}
	for _, d := range drafts {
		made.Services = append(made.Services, planned[d.service.Name])
	}
	settle(made.Services)
	if notice := work.uncommitted(drafts, made.Services); notice != "" {
		made.Notices = append(made.Notices, notice)
	}
	p.weigh(made.Services, drafts, work)
	made.Matrix = p.matrix(made.Work())
	for i, s := range made.Services {
		if s.Action == Build {
			made.Services[i].Choices = p.choices(s, made.Matrix.Include)
		}
	}
	return made, nil
}

// decideAll decides about services, each after those that it needs; those that do not need each other at the same time.
func (p Planner) decideAll(ctx context.Context, drafts []*draft, work *tree, asked asked) (map[string]Service, error) {
	levels, err := inOrder(drafts)
	if err != nil {
		return nil, err
	}
	planned := map[string]Service{}
	for _, level := range levels {
		made := make([]Service, len(level))
		var group errgroup.Group
		group.SetLimit(lookUps)
		for i, d := range level {
			group.Go(func() (err error) {
				if made[i], err = p.service(ctx, d, work, asked, planned); err != nil {
					err = fmt.Errorf("planning %s: %w", d.service.Name, err)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for _, s := range made {
			planned[s.Name] = s
		}
	}
	return planned, nil
}

// service plans one service; those that it needs are planned already.
func (p Planner) service(ctx context.Context, d *draft, work *tree, asked asked, others map[string]Service) (Service, error) {
	s, set := d.service, d.set
	planned := Service{Name: s.Name, Image: s.Image, From: s.At, Platforms: s.Platforms, Definition: s,
		TagSet: set, Version: set.Version, Tags: []string{}, Bases: d.bases}
	for _, tag := range set.Names() {
		planned.Tags = append(planned.Tags, s.Image+":"+tag)
	}
	content, files, err := work.content(d.scope)
	if err != nil {
		return Service{}, err
	}
	d.take(files)
	if len(d.needs) > 0 {
		planned.Needs = map[string]string{}
	}
	for _, name := range d.needs {
		planned.Needs[name] = others[name].Inputs
	}
	planned.Inputs = inputs(content, planned.Bases, planned.Needs)
	c := comparison{planner: p, work: work, draft: d, content: content, others: others, asked: asked}
	if err := c.decide(ctx, &planned); err != nil {
		return Service{}, err
	}
	planned.Labels, planned.Annotations = p.labels(d, planned, work)
	if fresh := planned.Fresh; fresh != nil {
		anew := planned
		anew.Bases, anew.Inputs = fresh.Bases, fresh.Inputs
		_, fresh.Annotations = p.labels(d, anew, work)
	}
	return planned, nil
}

// Released tells which service the run's git tag releases alone, and as which version; both are empty where it does not.
func (p Planner) Released() (service, version string) {
	names := make([]string, len(p.Config.Services))
	for i, s := range p.Config.Services {
		names[i] = s.Name
	}
	return tags.Releases(p.Event.Ref, names)
}

// elsewhere says which other service the run's git tag releases alone; empty if there is none.
func (p Planner) elsewhere(s service.Service) string {
	alone, _ := p.Released()
	if alone == "" || alone == s.Name {
		return ""
	}
	return fmt.Sprintf("the git tag %s releases %s alone", strings.TrimPrefix(p.Event.Ref, "refs/tags/"), alone)
}

// tagSet is what the rules give a service; nothing, where the git tag is another's.
func (p Planner) tagSet(s service.Service, work *tree) tags.Set {
	if p.elsewhere(s) != "" {
		return tags.Set{Tags: []tags.Tag{}, Silent: []string{}}
	}
	set := p.Rules.Render(p.tagEvent(work))
	if p.Config.Tag != "" {
		set.Ask(p.Config.Tag)
	}
	return set
}

// detached says of a clone in which no branch is checked out how to plan for a git tag, which git does not keep in mind.
func (p Planner) detached(ctx context.Context) []string {
	if p.Event.Name != "local" || p.Event.Ref != "" {
		return nil
	}
	return []string{fmt.Sprintf("HEAD is detached, so there is no ref: set GITHUB_REF=refs/tags/%s to plan a release.", cmp.Or(p.Repo.TagHere(ctx), "v1.2.3"))}
}

func (p Planner) tagEvent(work *tree) tags.Event {
	e := p.Event
	_, version := p.Released()
	return tags.Event{Name: e.Name, Ref: e.Ref, SHA: cmp.Or(e.HeadSHA, e.SHA), ShortSHA: e.ShortSHA, DefaultBranch: e.DefaultBranch, BaseRef: e.BaseRef,
		Released: version, Now: p.Now, Committed: work.time}
}

// labels are the labels of an image and the annotations of its index: those of the OCI image specification, and over
// them the configuration's own. They are docker/metadata-action's, but for the time, which is the commit's and not now:
// the same commit gives the same image.
// https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys
func (p Planner) labels(d *draft, planned Service, work *tree) (labels, annotations map[string]string) {
	e, s := p.Event, d.service
	all := map[string]string{"title": s.Name, "created": work.time.UTC().Format(time.RFC3339)}
	if e.Repository != "" {
		source := e.ServerURL + "/" + e.Repository
		_, all["title"], _ = strings.Cut(e.Repository, "/")
		all["source"], all["url"] = source, source
	}
	for key, value := range map[string]string{"version": planned.Version, "description": e.Description, "licenses": e.License} {
		if value != "" {
			all[key] = value
		}
	}
	labels = map[string]string{registry.RevisionKey: work.revision(d, cmp.Or(e.HeadSHA, work.commit))}
	for key, value := range all {
		labels["org.opencontainers.image."+key] = value
	}
	annotations = maps.Clone(labels)
	for key, value := range s.Labels {
		labels[key] = p.tagEvent(work).Expand(value)
	}
	for key, value := range s.Annotations {
		annotations[key] = p.tagEvent(work).Expand(value)
	}
	annotations[InputsKey] = planned.Inputs
	if bases := record(planned.Bases); bases != "" {
		annotations[BasesKey] = bases
	}
	return labels, annotations
}

// revision names the commit that an image is built from. With uncommitted files there is none, and
// the name says so: no later run will take it for a commit.
func (t *tree) revision(d *draft, commit string) string {
	for _, part := range d.parts {
		if len(t.dirtyIn(part.scope)) > 0 {
			return commit + Dirty
		}
	}
	return commit
}

// uncommitted says that something is built which no commit has; empty where nothing is. The services are those of the drafts.
func (t *tree) uncommitted(drafts []*draft, services []Service) string {
	var files []string
	for i, d := range drafts {
		for _, part := range d.parts {
			if services[i].Action == Build {
				files = append(files, t.dirtyIn(part.scope)...)
			}
		}
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if len(files) == 0 {
		return ""
	}
	return fmt.Sprintf("the working tree differs from %s in %s; it is built as it lies there: %s", git.Short(t.commit), verdict.Quantity(len(files), "file"), list(files))
}

// Origin tells how many services there are and what defines them: "3 from docker-bake.hcl".
func (p Plan) Origin() string {
	var files []string
	for _, s := range p.Services {
		file, _, _ := strings.Cut(s.From, ":")
		if strings.HasPrefix(file, "input ") {
			file = "the " + file
		}
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	if len(files) > 3 {
		files = append(files[:2], fmt.Sprintf("%d other files", len(files)-2))
	}
	origin := fmt.Sprint(len(p.Services))
	if len(files) > 0 {
		origin += " from " + strings.Join(files, ", ")
	}
	return origin
}
