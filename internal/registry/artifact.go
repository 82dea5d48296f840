package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fileLimit is the size of a file in bytes beyond which it is not read.
const fileLimit = 64 << 20

// ErrNotKept tells that something is there which Keep has not stored.
var ErrNotKept = errors.New("that is nothing that is kept here")

// Keep stores a file beside an image, as an artifact without a tag, and returns its digest. One that Fetch would not read is not stored.
// https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
func (c *Client) Keep(ctx context.Context, image, mediaType string, data []byte) (name.Digest, error) {
	if len(data) > fileLimit {
		return name.Digest{}, fmt.Errorf("storing %s: it has %d bytes, and no more than %d are read back", mediaType, len(data), fileLimit)
	}
	artifact, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(mediaType)), static.NewLayer(data, types.MediaType(mediaType)))
	if err != nil {
		return name.Digest{}, fmt.Errorf("packing %s: %w", mediaType, err)
	}
	digest, err := artifact.Digest()
	if err != nil {
		return name.Digest{}, fmt.Errorf("packing %s: %w", mediaType, err)
	}
	ref, err := c.Digest(image, digest.String())
	if err != nil {
		return name.Digest{}, err
	}
	if err := c.again(func() error { return remote.Write(ref, artifact, c.writing(ctx, ref.Repository)...) }); err != nil {
		return name.Digest{}, fmt.Errorf("storing %s: %w", ref, err)
	}
	return ref, nil
}

// Fetch reads a file that was kept, by its reference "image@sha256:…".
func (c *Client) Fetch(ctx context.Context, reference, mediaType string) ([]byte, error) {
	return asked(c, func() ([]byte, error) { return c.fetch(ctx, reference, mediaType) })
}

func (c *Client) fetch(ctx context.Context, reference, mediaType string) ([]byte, error) {
	ref, err := name.NewDigest(reference, c.nameOptions()...)
	if err != nil {
		return nil, err
	}
	if !c.holds(ref.Repository) {
		return nil, fmt.Errorf("%s is not in %s", ref, c.Host)
	}
	artifact, err := remote.Image(ref, c.options(ctx, ref.Repository)...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	layers, err := artifact.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	if len(layers) != 1 {
		return nil, fmt.Errorf("%s holds %d files, not one: %w", ref, len(layers), ErrNotKept)
	}
	return readFile(ref, layers[0], mediaType)
}

func readFile(ref name.Digest, layer v1.Layer, mediaType string) ([]byte, error) {
	if is, err := layer.MediaType(); err != nil || string(is) != mediaType {
		return nil, fmt.Errorf("%s is %s and not %s: %w", ref, is, mediaType, ErrNotKept)
	}
	if size, err := layer.Size(); err != nil || size > fileLimit {
		return nil, fmt.Errorf("%s is larger than %d bytes: %w", ref, fileLimit, ErrNotKept)
	}
	file, err := layer.Compressed()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, fileLimit)) // its digest is proven while it is read
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	return data, nil
}
