package clean

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/registry"
)

// A Manifest is what one digest stands for.
type Manifest struct {
	// Image is set for what can be pulled and run: one platform's image, or an index of some. All else is said of images, or kept
	// beside them: attestations, signatures, layers of builds, what runs tell one another.
	Image    bool             `json:"image,omitempty"`
	Children []string         `json:"children,omitempty"` // digests of the manifests that it lists
	Subject  string           `json:"subject,omitempty"`  // digest of what it refers to; empty for none
	Sizes    map[string]int64 `json:"-"`                  // bytes of the blobs that it names, by digest
	// Revision and Version are what its annotations say: the commit it was made of, and the tag it was made for.
	Revision string `json:"revision,omitempty"`
	Version  string `json:"version,omitempty"`
}

// A descriptor is as in the OCI image specification.
// https://github.com/opencontainers/image-spec/blob/main/descriptor.md
type descriptor struct {
	MediaType    types.MediaType `json:"mediaType"`
	ArtifactType types.MediaType `json:"artifactType"`
	Digest       string          `json:"digest"`
	Size         int64           `json:"size"`
	Platform     *struct {
		OS string `json:"os"`
	} `json:"platform"`
}

// document is a manifest or an index. Docker's older forms have the same fields.
// https://github.com/opencontainers/image-spec/blob/main/manifest.md
type document struct {
	MediaType    types.MediaType   `json:"mediaType"`
	ArtifactType types.MediaType   `json:"artifactType"`
	Config       *descriptor       `json:"config"`
	Layers       []descriptor      `json:"layers"`
	Manifests    []descriptor      `json:"manifests"`
	Subject      *descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// ReadManifest reads a manifest or an index. What is neither is an error: nobody can tell what it needs.
func ReadManifest(data []byte) (Manifest, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return Manifest{}, fmt.Errorf("reading a manifest: %w", err)
	}
	m := Manifest{Sizes: map[string]int64{}, Revision: d.Annotations[registry.RevisionKey], Version: d.Annotations[registry.VersionKey]}
	if d.Subject != nil {
		m.Subject = d.Subject.Digest
	}
	switch {
	case d.Config != nil && d.Manifests == nil:
		m.hold(d)
	case d.Config == nil && d.Manifests != nil:
		m.list(d)
	default:
		return Manifest{}, fmt.Errorf("reading a manifest: %q is neither one nor an index", d.MediaType)
	}
	return m, m.prove()
}

// hold reads what has layers of its own.
func (m *Manifest) hold(d document) {
	for _, blob := range append(d.Layers, *d.Config) {
		m.Sizes[blob.Digest] = blob.Size
	}
	files := slices.ContainsFunc(d.Layers, func(l descriptor) bool { return !l.MediaType.IsLayer() }) // such as attestations
	m.Image = d.Config.MediaType.IsConfig() && !files && m.Subject == "" && isImage(d.ArtifactType)
}

// list reads an index. BuildKit's older caches list layers, which are no manifests.
func (m *Manifest) list(d document) {
	for _, c := range d.Manifests {
		if !c.MediaType.IsImage() && !c.MediaType.IsIndex() {
			m.Sizes[c.Digest] = c.Size
			continue
		}
		m.Children = append(m.Children, c.Digest)
		runs := c.MediaType.IsIndex() || c.Platform != nil && c.Platform.OS != "unknown"
		m.Image = m.Image || runs && m.Subject == "" && isImage(d.ArtifactType)
	}
}

// isImage reports whether a type of artifact is that of an image: none, or its configuration's, which some write.
func isImage(artifact types.MediaType) bool { return artifact == "" || artifact.IsConfig() }

var digest = regexp.MustCompile(`^[a-z0-9]+:[0-9a-f]{32,}$`)

func (m *Manifest) prove() error {
	for _, d := range append(slices.Collect(maps.Keys(m.Sizes)), append(m.Children, m.Subject)...) {
		if d != "" && !digest.MatchString(d) {
			return fmt.Errorf("reading a manifest: %q is no digest", d)
		}
	}
	return nil
}
