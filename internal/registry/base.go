package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// A Base is an image that others are made from.
type Base struct {
	Digest  string
	OnBuild bool // it has instructions for whatever is made from it
}

// A Mirror is a registry that may have another one's images.
type Mirror struct {
	Host      string // with a path, where it has one
	PlainHTTP bool
}

// Base reads what a reference stands for, and with look also whether it has instructions for what is made from it. The
// first mirror that answers is believed, or else the reference's own registry.
func (c *Client) Base(ctx context.Context, ref string, look bool, mirrors []Mirror) (Base, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return Base{}, fmt.Errorf("reading base image %q: %w", ref, err)
	}
	for _, m := range mirrors {
		if found, err := c.mirrored(ctx, m, parsed, look); err == nil {
			return found, nil
		}
	}
	return c.base(ctx, parsed, look)
}

// mirrorTime bounds the question to one mirror, so that the others and the registry itself are still asked.
const mirrorTime = 5 * time.Second

func (c *Client) mirrored(ctx context.Context, m Mirror, ref name.Reference, look bool) (Base, error) {
	at, err := m.place(ref)
	if err != nil {
		return Base{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, mirrorTime)
	defer cancel()
	return c.base(ctx, at, look)
}

// place is where a mirror has an image.
func (m Mirror) place(ref name.Reference) (name.Reference, error) {
	separator := ":"
	if _, pinned := ref.(name.Digest); pinned {
		separator = "@"
	}
	var options []name.Option
	if m.PlainHTTP {
		options = append(options, name.Insecure)
	}
	return name.ParseReference(m.Host+"/"+ref.Context().RepositoryStr()+separator+ref.Identifier(), options...)
}

func (c *Client) base(ctx context.Context, ref name.Reference, look bool) (Base, error) {
	if c.PlainHTTP && c.holds(ref.Context()) {
		insecure, err := name.ParseReference(ref.Name(), name.Insecure)
		if err != nil {
			return Base{}, err
		}
		ref = insecure
	}
	options := c.options(ctx, ref.Context())
	if !look {
		desc, err := remote.Head(ref, options...)
		if err != nil {
			return Base{}, fmt.Errorf("reading base image %s: %w", ref, err)
		}
		return Base{Digest: desc.Digest.String()}, nil
	}
	desc, err := remote.Get(ref, options...)
	if err != nil {
		return Base{}, fmt.Errorf("reading base image %s: %w", ref, err)
	}
	found := Base{Digest: desc.Digest.String()}
	image, err := anyImage(desc)
	if err != nil {
		return Base{}, fmt.Errorf("reading base image %s: %w", ref, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return Base{}, fmt.Errorf("reading base image %s: %w", ref, err)
	}
	found.OnBuild = len(config.Config.OnBuild) > 0
	return found, nil
}

// anyImage is an image that stands alone, or the first of an index.
func anyImage(desc *remote.Descriptor) (v1.Image, error) {
	if !desc.MediaType.IsIndex() {
		return desc.Image()
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, child := range manifest.Manifests {
		if child.Platform != nil && child.Platform.OS != "unknown" {
			return index.Image(child.Digest)
		}
	}
	return nil, errors.New("it holds no image")
}
