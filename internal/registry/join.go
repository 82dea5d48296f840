package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Join makes one index of images that are in the repository by their digests, and pushes it by its own. What
// the parts list beside their images, such as attestations, is listed by the whole too. A part by itself is
// the whole already. Alone annotates what the index says of parts that are no index themselves.
func (c *Client) Join(ctx context.Context, image string, digests []string, annotations, alone map[string]string) (name.Digest, error) {
	return asked(c, func() (name.Digest, error) { return c.join(ctx, image, digests, annotations, alone) })
}

func (c *Client) join(ctx context.Context, image string, digests []string, annotations, alone map[string]string) (name.Digest, error) {
	if len(digests) == 1 {
		return c.Digest(image, digests[0])
	}
	whole := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: annotations}
	for _, digest := range digests {
		listed, err := c.listed(ctx, image, digest, alone)
		if err != nil {
			return name.Digest{}, err
		}
		for _, one := range listed {
			if !slices.ContainsFunc(whole.Manifests, func(has v1.Descriptor) bool { return has.Digest == one.Digest }) {
				whole.Manifests = append(whole.Manifests, one)
			}
		}
	}
	data, err := json.Marshal(whole)
	if err != nil {
		return name.Digest{}, fmt.Errorf("joining %s: %w", image, err)
	}
	digest, _, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		return name.Digest{}, fmt.Errorf("joining %s: %w", image, err)
	}
	ref, err := c.Digest(image, digest.String())
	if err != nil {
		return name.Digest{}, err
	}
	if err := remote.Put(ref, manifest{data, whole.MediaType}, c.options(ctx, ref.Repository)...); err != nil {
		return name.Digest{}, fmt.Errorf("pushing the index of %s: %w", image, err)
	}
	return ref, nil
}

// listed is what an index lists, or an image that stands alone as an index would list it, with annotations.
func (c *Client) listed(ctx context.Context, image, digest string, annotations map[string]string) ([]v1.Descriptor, error) {
	ref, err := c.Digest(image, digest)
	if err != nil {
		return nil, err
	}
	desc, err := remote.Get(ref, c.options(ctx, ref.Repository)...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	if desc.MediaType.IsIndex() {
		index, err := v1.ParseIndexManifest(bytes.NewReader(desc.Manifest))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", ref, err)
		}
		return index.Manifests, nil
	}
	one, err := desc.Image()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	config, err := one.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	as, err := partial.Descriptor(one)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	as.Platform, as.Annotations = config.Platform(), annotations
	return []v1.Descriptor{*as}, nil
}

// A manifest is pushed as it stands.
type manifest struct {
	data      []byte
	mediaType types.MediaType
}

func (m manifest) RawManifest() ([]byte, error)        { return m.data, nil }
func (m manifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }
