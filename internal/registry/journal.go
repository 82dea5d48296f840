package registry

import (
	"context"
	"regexp"
	"strings"

	"github.com/org/ghcr-publish/internal/cache"
)

// JournalTag names the artifact that says which tags are about to move. It stands beside an image, holds none, and is no tag
// that anybody pulls.
const JournalTag = "ghcr-publish-journal"

// IsUserTag reports whether a tag is one that people pull by: not the journal's, not one of a memory's or of a build's cached layers, and
// not one that lists what refers to an image.
func IsUserTag(tag string) bool {
	return !IsOwnTag(tag) && !cache.IsTag(tag) && SubjectOf(tag) == ""
}

// IsOwnTag reports whether runs tell one another something under a tag: what is about to move, or what they remember.
func IsOwnTag(tag string) bool { return tag == JournalTag || strings.HasPrefix(tag, memoryTag) }

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

const journalType = "application/vnd.ghcr-publish.journal.v1+json"

// ReadJournal returns what was written beside an image last; nil where nothing was.
func (c *Client) ReadJournal(ctx context.Context, image string) ([]byte, error) {
	at, found, err := c.Resolve(ctx, image, JournalTag)
	if err != nil || !found {
		return nil, err
	}
	return c.Fetch(ctx, at.Ref.Name(), journalType)
}

// WriteJournal replaces what is written beside an image.
func (c *Client) WriteJournal(ctx context.Context, image string, data []byte) error {
	return c.again(func() error { return c.keepAs(ctx, image, JournalTag, journalType, data) })
}
