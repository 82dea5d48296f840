package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/registry"
)

// A Proof is what a signed verdict tells of an image, and where it was signed.
type Proof struct {
	Service string `json:"service"`
	Inputs  string `json:"inputs"` // digest of what it was built from
	Ref     string `json:"ref"`    // that was published when it was signed
	Event   string `json:"event"`  // that started that run
	Run     string `json:"run,omitempty"`
	// Platform is the one that was started, and found healthy, and Asked the digest of what was demanded of it; both are
	// empty where none was.
	Platform string `json:"platform,omitempty"`
	Asked    string `json:"asked,omitempty"`
}

// by says who has signed, for a person.
func (p Proof) by() string {
	if p.Run == "" {
		return p.Ref
	}
	return fmt.Sprintf("%s of %s", p.Run, p.Ref)
}

// trust is how much may depend on what a run has signed.
type trust int

const (
	trustNobody  trust = iota
	trustPull          // whoever may open a pull request may have changed what ran
	trustBranch        // whoever may push
	trustTrunk         // what the owners stand by
	trustNothing       // more than there is
)

// strange are events that run with what somebody else has written, whichever ref they name.
// https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
var strange = []string{"pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment", "issue_comment", "workflow_run"}

// trusted says how much may depend on a run of an event on a ref. This run's own ref may be protected; of others nobody knows.
func (p Planner) trusted(ref, event string) trust {
	e := p.Event
	switch {
	case slices.Contains(strange, event) || strings.HasPrefix(ref, "refs/pull/"):
		return trustPull
	case e.DefaultBranch != "" && ref == "refs/heads/"+e.DefaultBranch, ref == e.Ref && (e.Protected || strings.HasPrefix(ref, "refs/tags/")):
		return trustTrunk
	case strings.HasPrefix(ref, "refs/heads/"), strings.HasPrefix(ref, "refs/tags/"):
		return trustBranch
	}
	return trustNobody
}

// demanded is how far a run must be trusted for this one to use what it has signed: as far as this one is.
func (p Planner) demanded() trust {
	if p.Config.ReuseFrom == "pull_request" {
		return trustPull
	}
	if own := p.trusted(p.Event.Ref, ""); own != trustNobody { // whatever started it
		return own
	}
	return trustNothing
}

// proven looks for a signed verdict that an image may be used for. An error says why there is none.
func (p Planner) proven(ctx context.Context, s Service, image registry.Image) (*Proof, error) {
	proofs, err := p.Proven(ctx, image.Ref)
	if err != nil {
		return nil, fmt.Errorf("looking for signed verdicts on it: %w", err)
	}
	err = errors.New("no verdict on it is signed by a job of this repository, or by its key")
	for _, found := range proofs {
		switch {
		case found.Service != s.Name || found.Inputs != image.Annotations[InputsKey]:
			err = fmt.Errorf("the verdict on it that %s has signed is of something else than it says to be made of", found.by())
		case p.trusted(found.Ref, found.Event) < p.demanded():
			err = fmt.Errorf("the verdict on it is signed by %s, on %s, which is trusted less than %s", found.by(), found.Event, p.Event.Ref)
		default:
			return &found, nil
		}
	}
	return nil, err
}

// Prove looks for a signed verdict that a service's image may be used for; nil where there is none, and it is judged as if it were new.
func (p Planner) Prove(ctx context.Context, s Service, image registry.Image) *Proof {
	if p.Proven == nil {
		return nil
	}
	proof, err := p.proven(ctx, s, image)
	if err != nil {
		return nil
	}
	return proof
}

// ErrUnsigned is why there are no proofs where this repository's runs sign nothing.
var ErrUnsigned = errors.New("nothing is signed here")

// A Prover finds the proven verdicts on an image.
type Prover func(ctx context.Context, image name.Digest) ([]Proof, error)
