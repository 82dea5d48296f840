package sign

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// ProvenanceType is the type of a claim that says how an image was built.
// https://slsa.dev/spec/v1.0/provenance
const ProvenanceType = "https://slsa.dev/provenance/v1"

// A Build is how an image was built.
type Build struct {
	Service    string            `json:"service"`
	Dockerfile string            `json:"dockerfile"`
	Context    string            `json:"context"`
	Target     string            `json:"target,omitempty"`
	Platforms  []string          `json:"platforms"`
	Workflow   string            `json:"workflow,omitempty"`
	Inputs     string            `json:"-"` // digest of all that decides the image's content
	Bases      map[string]string `json:"-"` // digests of the images that it was made from, by reference
}

// The predicate of a provenance, as far as it is in use here.
type (
	provenance struct {
		Definition definition `json:"buildDefinition"`
		Details    details    `json:"runDetails"`
	}
	definition struct {
		BuildType    string            `json:"buildType"`
		External     Build             `json:"externalParameters"`
		Internal     map[string]string `json:"internalParameters"`
		Dependencies []dependency      `json:"resolvedDependencies"`
	}
	dependency struct {
		URI    string            `json:"uri"`
		Digest map[string]string `json:"digest"`
	}
	details struct {
		Builder  builder  `json:"builder"`
		Metadata metadata `json:"metadata"`
	}
	builder struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version"`
	}
	metadata struct {
		Invocation string    `json:"invocationId,omitempty"`
		Started    time.Time `json:"startedOn"`
		Finished   time.Time `json:"finishedOn"`
	}
)

// buildType says what the parameters of a build mean.
const buildType = "https://github.com/org/ghcr-publish/build/v1"

// Provenance claims how an image was built.
func Provenance(b Build, run Run) Claim {
	b.Workflow = run.Workflow
	from := []dependency{{fmt.Sprintf("git+%s@%s", run.Repository, run.Ref), map[string]string{"gitCommit": run.Commit}}}
	for _, ref := range slices.Sorted(maps.Keys(b.Bases)) {
		from = append(from, dependency{"docker-image://" + ref, digestSet(b.Bases[ref])})
	}
	return Claim{Type: ProvenanceType, Predicate: provenance{
		Definition: definition{buildType, b, map[string]string{"event": run.Event, "inputs": b.Inputs}, from},
		Details: details{builder{run.builder(), map[string]string{"ghcr-publish": run.Program}},
			metadata{run.invocation(), run.Began, run.Ended}},
	}}
}

// builder names who is to be trusted that an image was built as is claimed. A step of a job is no builder that others
// could not have changed, so that is the runner, and no SLSA level that needs isolation is claimed.
func (r Run) builder() string {
	switch {
	case r.Address == "":
		return "https://github.com/org/ghcr-publish" // on somebody's machine
	case r.Runner == "":
		return "https://github.com/actions/runner"
	default:
		return "https://github.com/actions/runner/" + r.Runner
	}
}

func (r Run) invocation() string {
	if r.Address == "" {
		return ""
	}
	return fmt.Sprintf("%s/attempts/%d", r.Address, r.Attempt)
}
