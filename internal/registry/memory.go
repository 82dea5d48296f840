package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// memoryTag begins the tags of what runs remember. None holds an image, and none is a tag that anybody pulls.
const memoryTag = "ghcr-publish-memory-"

const memoryType = "application/vnd.ghcr-publish.memory.v1+zstd"

// MemoryTag is the tag of what is kept under a name.
func MemoryTag(name string) string { return memoryTag + name }

// KeepMemory stores what a run remembers under a name of letters, digits and dashes that nothing else has.
func (c *Client) KeepMemory(ctx context.Context, repository, name string, data []byte) error {
	return c.again(func() error {
		_, err := c.keepAs(ctx, repository, memoryTag+name, memoryType, data)
		return err
	})
}

// Memories lists the names of what runs remember; none where there is no such repository yet.
func (c *Client) Memories(ctx context.Context, repository string) ([]string, error) {
	tags, err := asked(c, func() ([]string, error) { return c.allTags(ctx, repository) })
	var names []string
	for _, tag := range tags {
		if name, ours := strings.CutPrefix(tag, memoryTag); ours {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// ReadMemory reads what is kept under a name; false where nothing is any more.
func (c *Client) ReadMemory(ctx context.Context, repository, name string) ([]byte, bool, error) {
	at, found, err := c.Resolve(ctx, repository, memoryTag+name)
	if err != nil || !found {
		return nil, false, err
	}
	data, err := c.Fetch(ctx, at.Ref.Name(), memoryType)
	if IsNotFound(err) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// ForgetMemory deletes what is kept under a name. Not all registries take that.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#deleting-manifests
func (c *Client) ForgetMemory(ctx context.Context, repository, named string) error {
	at, found, err := c.Resolve(ctx, repository, memoryTag+named)
	if err != nil || !found {
		return err
	}
	return c.again(func() error {
		if err := remote.Delete(at.Ref, c.options(ctx, at.Ref.Repository)...); err != nil && !IsNotFound(err) {
			return fmt.Errorf("deleting %s of %s: %w", memoryTag+named, repository, err)
		}
		return nil
	})
}

// keepAs stores a file as an artifact with a tag, which must be none that people pull by, and returns its digest.
func (c *Client) keepAs(ctx context.Context, image, tag, mediaType string, data []byte) (digest string, err error) {
	ref, err := c.Keep(ctx, image, mediaType, data)
	if err != nil {
		return "", err
	}
	options := c.options(ctx, ref.Repository)
	desc, err := remote.Get(ref, options...)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", ref, err)
	}
	to, err := name.NewTag(image+":"+tag, c.nameOptions()...)
	if err != nil {
		return "", err
	}
	if err := remote.Tag(to, desc, options...); err != nil {
		return "", fmt.Errorf("writing %s: %w", to, err)
	}
	return ref.DigestStr(), nil
}
