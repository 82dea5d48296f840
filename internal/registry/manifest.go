package registry

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// Manifest reads what is stored under a digest, as it stands; false where nothing is.
func (c *Client) Manifest(ctx context.Context, image, digest string) (data []byte, found bool, err error) {
	ref, err := c.Digest(image, digest)
	if err != nil {
		return nil, false, err
	}
	desc, err := asked(c, func() (*remote.Descriptor, error) { return remote.Get(ref, c.options(ctx, ref.Repository)...) })
	if IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", ref, err)
	}
	return desc.Manifest, true, nil
}

// atOnce is how many tags are looked at at the same time.
const atOnce = 3

// Tagged tells the digest under each of an image's tags, whatever they are for.
func (c *Client) Tagged(ctx context.Context, image string) (map[string]string, error) {
	tags, err := asked(c, func() ([]string, error) { return c.allTags(ctx, image) })
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	at := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, tag := range tags {
		group.Go(func() error {
			digest, err := c.at(ctx, image, tag)
			mu.Lock()
			defer mu.Unlock()
			if digest != "" {
				at[tag] = digest
			}
			return err
		})
	}
	return at, group.Wait()
}

// at is the digest under a tag; empty where it has been taken away.
func (c *Client) at(ctx context.Context, image, tag string) (string, error) {
	ref, err := name.NewTag(image+":"+tag, c.nameOptions()...)
	if err != nil {
		return "", err
	}
	digest, err := asked(c, func() (string, error) {
		desc, err := remote.Head(ref, c.options(ctx, ref.Repository)...)
		if err != nil {
			return "", err
		}
		return desc.Digest.String(), nil
	})
	if IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking at %s: %w", ref, err)
	}
	return digest, nil
}
