// Package plan decides what a run does: which services it builds, which published digests it
// uses again and which it leaves alone, each with its reason; under which tags; and in which
// matrix. Deciding changes nothing.
package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
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
	Platforms   []string          `json:"platforms"`
	Tags        []string          `json:"tags"` // full references
	Version     string            `json:"version"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// Digest is what is published under the tracked tag: what Reuse uses, and what sizes are compared with.
	Digest string   `json:"digest,omitempty"`
	Unread string   `json:"unread,omitempty"` // why it is not known what is published; empty if it is
	TagSet tags.Set `json:"tag_set"`

	Definition service.Service `json:"-"`
	Part       bool            `json:"-"` // Platforms are only some of the image's; see Plan.Share
}

// A Plan is what a run will do. Its JSON form travels from job to job.
type Plan struct {
	SchemaVersion int       `json:"schema_version"`
	Commit        string    `json:"commit"`
	Ref           string    `json:"ref"`
	StartedAt     time.Time `json:"started_at"` // when planning began
	Attempt       int       `json:"attempt"`    // of the run
	Pushes        bool      `json:"pushes"`     // whether it may move tags
	Services      []Service `json:"services"`
	Matrix        Matrix    `json:"matrix"`
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
}

// Make decides. An error means that the clone could not be read; a registry that cannot be read
// makes services be built, and their reasons say so.
func (p Planner) Make(ctx context.Context) (Plan, error) {
	work, err := p.readTree(ctx)
	if err != nil {
		return Plan{}, fmt.Errorf("planning: %w", err)
	}
	made := Plan{SchemaVersion: schemaVersion, Commit: p.Event.SHA, Ref: p.Event.Ref, StartedAt: p.Now.UTC().Truncate(time.Second), Attempt: p.Event.Attempt, Pushes: p.Pushes, Services: []Service{}}
	for _, s := range p.Config.Services {
		if len(p.Config.Only) > 0 && !slices.Contains(p.Config.Only, s.Name) {
			continue
		}
		planned, err := p.service(ctx, s, work)
		if err != nil {
			return Plan{}, fmt.Errorf("planning %s: %w", s.Name, err)
		}
		made.Services = append(made.Services, planned)
	}
	fanOut(made.Services)
	made.Matrix = p.matrix(made.Work())
	return made, nil
}

// service plans one service by itself; what depends on others comes after.
func (p Planner) service(ctx context.Context, s service.Service, work *tree) (Service, error) {
	set := p.Rules.Render(p.tagEvent(work))
	if p.Config.Tag != "" {
		set.Ask(p.Config.Tag)
	}
	planned := Service{Name: s.Name, Image: s.Image, From: s.At, Platforms: s.Platforms, Definition: s,
		TagSet: set, Version: set.Version, Tags: []string{}}
	for _, tag := range set.Names() {
		planned.Tags = append(planned.Tags, s.Image+":"+tag)
	}
	inputs, err := work.inputs(s)
	if err != nil {
		return Service{}, err
	}
	planned.Inputs = inputs
	planned.Labels, planned.Annotations = p.labels(s, set.Version, work)
	planned.Annotations[InputsKey] = inputs
	if p.Pushes && len(set.Tags) == 0 {
		planned.Action, planned.Reason = Skip, "no rule gives a tag for this event"
		return planned, nil
	}
	published, found, err := p.published(ctx, planned, work)
	if found {
		planned.Digest = published.Ref.DigestStr()
	}
	if err != nil {
		planned.Unread = err.Error()
	}
	planned.Base, planned.Reason = p.base(ctx, published, found, err, work)
	if planned.Reason == "" {
		planned.Reason, planned.Changed, err = p.changes(ctx, s, planned, published, work)
		if err != nil {
			return Service{}, err
		}
	}
	if planned.Reason != "" {
		planned.Action = Build
		return planned, nil
	}
	return p.unchanged(ctx, planned, published), nil
}

func (p Planner) tagEvent(work *tree) tags.Event {
	e := p.Event
	return tags.Event{Name: e.Name, Ref: e.Ref, SHA: e.SHA, DefaultBranch: e.DefaultBranch, BaseRef: e.BaseRef, Now: p.Now, Committed: work.time}
}

// unchanged chooses between skipping a service and giving its digest the tags it lacks.
func (p Planner) unchanged(ctx context.Context, planned Service, published registry.Image) Service {
	short := shortSHA(planned.Base.SHA)
	if !p.Pushes {
		planned.Action, planned.Reason = Skip, fmt.Sprintf("unchanged since %s, and this run pushes nothing", short)
		return planned
	}
	var lacking []string
	for _, tag := range planned.TagSet.Names() {
		at, found, err := p.Resolve(ctx, planned.Image, tag)
		if err != nil {
			planned.Action, planned.Reason = Build, unreadable(err)
			return planned
		}
		if !found || at.Ref.DigestStr() != planned.Digest {
			lacking = append(lacking, tag)
		}
	}
	if len(lacking) == 0 {
		planned.Action, planned.Reason = Skip, fmt.Sprintf("unchanged since %s, and every tag is in place", short)
		return planned
	}
	if err := p.whole(ctx, planned, published); err != nil {
		planned.Action, planned.Reason = Build, unreadable(err)
		return planned
	}
	planned.Action = Reuse
	planned.Reason = fmt.Sprintf("unchanged since %s: its published digest is judged again and tagged %s; its version label stays as it is", short, strings.Join(lacking, ", "))
	return planned
}

// whole proves that a published image has all platforms, and all of them can be read.
func (p Planner) whole(ctx context.Context, planned Service, published registry.Image) error {
	image, err := p.Read(ctx, published.Ref)
	if err != nil {
		return err
	}
	for _, wanted := range planned.Platforms {
		if !slices.ContainsFunc(image.Platforms, func(has registry.Platform) bool { return has.Platform == wanted }) {
			return fmt.Errorf("%s is missing from %s", wanted, published.Ref)
		}
	}
	return nil
}

// fanOut makes services be built that depend on ones that are.
func fanOut(services []Service) {
	for again := true; again; {
		again = false
		for i := range services {
			s := &services[i]
			for _, other := range services {
				if s.Action != Build && other.Action == Build && slices.Contains(s.Definition.DependsOn, other.Name) {
					s.Action, s.Reason, again = Build, fmt.Sprintf("depends on %s, which is built", other.Name), true
				}
			}
		}
	}
}

// labels are the labels of an image and the annotations of its index: those of the OCI image specification, and over
// them the configuration's own. They are docker/metadata-action's, but for the time, which is the commit's and not now:
// the same commit gives the same image.
// https://github.com/opencontainers/image-spec/blob/main/annotations.md#pre-defined-annotation-keys
func (p Planner) labels(s service.Service, version string, work *tree) (labels, annotations map[string]string) {
	e := p.Event
	all := map[string]string{"title": s.Name, "created": work.time.UTC().Format(time.RFC3339)}
	if e.Repository != "" {
		source := e.ServerURL + "/" + e.Repository
		_, all["title"], _ = strings.Cut(e.Repository, "/")
		all["source"], all["url"] = source, source
	}
	for key, value := range map[string]string{"version": version, "description": e.Description, "licenses": e.License} {
		if value != "" {
			all[key] = value
		}
	}
	labels = map[string]string{registry.RevisionKey: p.revision(s, work)}
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
	return labels, annotations
}

// revision names the commit that an image is built from. With uncommitted files there is none, and
// the name says so: no later run will take it for a commit.
func (p Planner) revision(s service.Service, work *tree) string {
	for _, part := range append(p.needed(s), s) {
		if len(work.matching(part, work.dirty)) > 0 {
			return work.commit + Dirty
		}
	}
	return work.commit
}

func shortSHA(sha string) string { return sha[:min(7, len(sha))] }

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
