package clean

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/registry"
)

// A Record is a version that a run is about to delete, and what nobody can read of it any more once that is done. Runs write them down
// in the registry before they delete anything, so that the next run can mend what a killed one has left.
type Record struct {
	github.Version
	Manifest Manifest  `json:"manifest"`
	Since    time.Time `json:"since"` // when it was written down
}

// journal is how records are written.
type journal struct {
	Records []Record `json:"records"`
}

// restorable is how long GitHub keeps what was deleted.
// https://docs.github.com/en/packages/learn-github-packages/deleting-and-restoring-a-package
const restorable = 30 * 24 * time.Hour

// longestRun is how long a run may be at work that wrote something down.
// https://docs.github.com/en/actions/reference/limits
const longestRun = 6 * time.Hour

// besideOthers reports whether the run that wrote the journal may still be at work.
func (e Executor) besideOthers() bool {
	return slices.ContainsFunc(e.Package.Written, func(r Record) bool { return e.Rules.Now.Sub(r.Since) < longestRun })
}

// records are what a plan is about to delete, what other runs may be about to, and what runs before have deleted and may be needed again.
func (e Executor) records(plan Plan) (all []Record) {
	for _, r := range e.Package.Written {
		lost := slices.ContainsFunc(e.Package.Lost, func(l Record) bool { return l.ID == r.ID })
		goes := slices.ContainsFunc(plan.Gone, func(i Item) bool { return i.ID == r.ID })
		if age := e.Rules.Now.Sub(r.Since); !goes && (age < longestRun || lost && age < restorable) {
			all = append(all, r)
		}
	}
	for _, item := range plan.Gone {
		all = append(all, Record{Version: item.Version, Manifest: e.Package.Manifests[item.Digest], Since: e.Rules.Now})
	}
	return all
}

// begin writes down what is about to be deleted.
func (e Executor) begin(ctx context.Context, plan Plan) (digest string, err error) {
	data, err := json.Marshal(journal{e.records(plan)})
	if err != nil {
		return "", fmt.Errorf("writing down what is to be deleted: %w", err)
	}
	return e.Write(ctx, data)
}

// recorded is what runs have written down; none where there is no journal.
func (s Survey) recorded(ctx context.Context, tags map[string]string) ([]Record, error) {
	if tags[registry.CleaningTag] == "" {
		return nil, nil
	}
	data, err := s.Journal(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what an earlier run was about to delete: %w", err)
	}
	var j journal
	if json.Unmarshal(data, &j) != nil {
		return nil, nil
	}
	return j.Records, nil
}

// addLost adds what is not there any more of what runs have written down: versions, and tags that list what refers to one.
func (p *Package) addLost(records []Record, tags map[string]string) {
	for _, r := range records {
		if _, there := p.Manifests[r.Digest]; !there {
			p.Lost, p.Manifests[r.Digest] = append(p.Lost, r), r.Manifest
			delete(p.Missing, r.Digest)
		} else if p.untagged(r, tags) {
			p.Lost = append(p.Lost, r)
		}
	}
}

// untagged gives a version that was restored, and not yet its tags, those that list what refers to something. False tells that it has them.
func (p *Package) untagged(r Record, tags map[string]string) (any bool) {
	i := slices.IndexFunc(p.Versions, func(v github.Version) bool { return v.Digest == r.Digest })
	for _, tag := range r.Tags {
		if i >= 0 && registry.SubjectOf(tag) != "" && tags[tag] == "" && !slices.Contains(p.Versions[i].Tags, tag) {
			p.Versions[i].Tags = append(p.Versions[i].Tags, tag)
			any = true
		}
	}
	return any
}
