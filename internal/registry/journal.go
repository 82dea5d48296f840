package registry

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/cache"
)

// JournalTag names the artifact that says which tags are about to move. It stands beside an image, holds none, and is no tag
// that anybody pulls.
const JournalTag = "ghcr-publish-journal"

// CleaningTag names the artifact that says what a run is about to delete.
const CleaningTag = "ghcr-publish-cleaning"

// IsUserTag reports whether a tag is one that people pull by: not the journal's, not one of a memory's or of a build's cached layers, and
// not one that lists what refers to an image.
func IsUserTag(tag string) bool {
	return !IsOwnTag(tag) && !cache.IsTag(tag) && SubjectOf(tag) == ""
}

// IsOwnTag reports whether runs tell one another something under a tag: what is about to move or to go, or what they remember.
func IsOwnTag(tag string) bool {
	return tag == JournalTag || tag == CleaningTag || strings.HasPrefix(tag, memoryTag)
}

// SubjectOf is the digest that a tag lists what refers to; empty for all other tags. Older tags of cosign's end with what they hold.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
func SubjectOf(tag string) string {
	found := referring.FindStringSubmatch(tag)
	if found == nil {
		return ""
	}
	return strings.Replace(found[1], "-", ":", 1)
}

var referring = regexp.MustCompile(`^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\.[A-Za-z0-9-]+)?$`)

const (
	journalType  = "application/vnd.ghcr-publish.journal.v1+json"
	cleaningType = "application/vnd.ghcr-publish.cleaning.v1+json"
)

// ReadJournal returns what was written beside an image last; nil where nothing was.
func (c *Client) ReadJournal(ctx context.Context, image string) ([]byte, error) {
	return c.readAt(ctx, image, JournalTag, journalType)
}

// readAt reads a file that was kept under a tag; nil where none was.
func (c *Client) readAt(ctx context.Context, image, tag, mediaType string) ([]byte, error) {
	at, found, err := c.Resolve(ctx, image, tag)
	if err != nil || !found {
		return nil, err
	}
	return c.Fetch(ctx, at.Ref.Name(), mediaType)
}

// WriteJournal replaces what is written beside an image.
func (c *Client) WriteJournal(ctx context.Context, image string, data []byte) error {
	return c.again(func() error {
		_, err := c.keepAs(ctx, image, JournalTag, journalType, data)
		return err
	})
}

// ReadCleaning returns what a run was about to delete of an image's package; nil where none says so. What stands under its tag and is
// something else is an error.
func (c *Client) ReadCleaning(ctx context.Context, image string) ([]byte, error) {
	return c.readAt(ctx, image, CleaningTag, cleaningType)
}

// WriteCleaning says what a run is about to delete, in place of what was said before, and returns the digest of that.
func (c *Client) WriteCleaning(ctx context.Context, image string, data []byte) (digest string, err error) {
	return asked(c, func() (string, error) { return c.keepAs(ctx, image, CleaningTag, cleaningType, data) })
}

// Relist has a tag that lists what refers to an image list what a digest does, which may have been there before: it points to that where
// it is not there, and else lists both.
func (c *Client) Relist(ctx context.Context, image, digest, tag string) error {
	return c.again(func() error { return c.relist(ctx, image, digest, tag) })
}

func (c *Client) relist(ctx context.Context, image, digest, tag string) error {
	ref, err := c.Digest(image, digest)
	if err != nil {
		return err
	}
	subject := SubjectOf(tag)
	if subject == "" {
		return fmt.Errorf("tagging %s: %q is no tag that lists what refers to an image", ref, tag)
	}
	switch at, err := c.at(ctx, image, tag); {
	case err != nil || at == digest:
		return err
	case at == "":
		return c.point(ctx, ref, tag, "")
	}
	desc, err := remote.Get(ref, c.options(ctx, ref.Repository)...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", ref, err)
	}
	of := ref.Digest(subject)
	if !desc.MediaType.IsIndex() || referrersTag(of).TagStr() != tag {
		return nil // of an older form, whose newest stands alone
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(desc.Manifest))
	if err != nil {
		return fmt.Errorf("reading %s: %w", ref, err)
	}
	return c.list(ctx, of, index.Manifests)
}
