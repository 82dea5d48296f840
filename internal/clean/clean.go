// Package clean says which versions of container packages go and which stay, and deletes those that go. What stays is found first,
// with all that it needs; only the rest can go. Deciding is pure, and Survey, which looks, and Executor, which deletes, work with
// the functions they are given.
package clean

import (
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
)

// A Package is all that is known of one image's package before anything is decided.
type Package struct {
	Image    string           // name, with the registry
	Versions []github.Version // with the tags that either GitHub or the registry knows
	// Manifests are those of all versions, and of all that is needed by them, by digest.
	Manifests map[string]Manifest
	// Missing are digests that manifests or tags refer to and the registry does not have.
	Missing map[string]bool
	// Unlisted are tags of the registry whose digests GitHub does not list yet, by digest.
	Unlisted map[string][]string
	// Lost are versions that earlier runs have deleted, or restored without the tags that list what refers to something. They stay no
	// longer by themselves; what needs one of them that stays has it restored.
	Lost []Record
	// Journal is the digest of what says so; empty where nothing does. Written is all that it says.
	Journal string
	Written []Record
	// Seen says when earlier runs first saw a tag where it is, by tag.
	Seen map[string]insight.Sighting
}

// A Plan is what becomes of a package.
type Plan struct {
	Image string `json:"image"`
	// Gone are the versions to delete, in that order; one comes after all that need it.
	Gone []Item `json:"gone"`
	Kept []Item `json:"kept"`
	// Restored are versions to bring back, which an earlier run deleted; what others need comes first.
	Restored []Item `json:"restored"`
	// Idle are tags that nothing keeps, and that stay because their version does: GitHub deletes no tag by itself.
	Idle []Idle `json:"idle_tags"`
	// Broken says what is missing of images that stay.
	Broken []string `json:"broken"`
	Bytes  int64    `json:"bytes"` // that no version needs which stays
	// Refused says why nothing is deleted although something should be; empty where nothing stands against it.
	Refused string `json:"refused,omitempty"`

	sightings []insight.Sighting
	missing   []string
}

// An Item is what becomes of one version.
type Item struct {
	github.Version
	Why     string   `json:"why"`
	After   []string `json:"-"`                 // digests that must be gone before it may go
	Outcome string   `json:"outcome,omitempty"` // what came of it; empty as long as nothing was tried
	Note    string   `json:"note,omitempty"`    // why it was not deleted

	forever bool // GitHub deletes it for nobody, or something that it deletes for nobody needs it
}

// An Idle tag has outlived what it was made for.
type Idle struct {
	Tag string `json:"tag"`
	Why string `json:"why"`
}

// Missing are the digests of manifests that images list which stay, and that are not there.
func (p Plan) Missing() []string { return p.missing }

// Sightings are the tags of which nobody but a memory knows how old they are, with the time they have been seen since.
func (p Plan) Sightings() []insight.Sighting { return p.sightings }
