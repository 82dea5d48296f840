package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v62/github"
)

// A Release is one of the repository's, as the API has it.
// https://docs.github.com/en/rest/releases/releases
type Release struct {
	ID         int64   `json:"id,omitempty"`
	Tag        string  `json:"tag_name"`
	Commit     string  `json:"target_commitish,omitempty"` // that the tag is made at where there is none
	Name       string  `json:"name"`
	Body       string  `json:"body"`
	Draft      bool    `json:"draft"` // nobody else sees it
	Prerelease bool    `json:"prerelease"`
	Latest     string  `json:"make_latest,omitempty"` // true, false, or legacy: by date and version; only asked for
	Immutable  bool    `json:"immutable,omitempty"`   // its assets are what they are for good
	Page       string  `json:"html_url,omitempty"`
	Upload     string  `json:"upload_url,omitempty"`
	Assets     []Asset `json:"assets,omitempty"`
}

// An Asset is a file of a release.
type Asset struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	State  string `json:"state"`  // uploaded, or open while it is on its way, or was when its upload broke off
	Digest string `json:"digest"` // sha256:…; empty where GitHub does not tell
	Size   int64  `json:"size"`   // bytes
}

// Uploaded reports whether an asset is there whole.
func (a Asset) Uploaded() bool { return a.State == "uploaded" }

// What another run may have done at the same moment.
var (
	// ErrExists is that a release has an asset of that name already, or the repository a release of that tag.
	ErrExists = errors.New("there is one already")
	// ErrImmutable is that a release keeps the assets that it was published with.
	ErrImmutable = errors.New("the release is immutable")
)

// Releases lists the releases, the newest first, and drafts where the token may write.
// https://docs.github.com/en/rest/releases/releases#list-releases
func (c *Client) Releases(ctx context.Context) ([]Release, error) {
	all, err := pages[Release](ctx, c, "")
	if err != nil {
		return nil, fmt.Errorf("listing the releases: %w", err)
	}
	return all, nil
}

// CreateRelease makes a release.
// https://docs.github.com/en/rest/releases/releases#create-a-release
func (c *Client) CreateRelease(ctx context.Context, r Release) (made Release, err error) {
	if err := c.release(ctx, http.MethodPost, "", r, &made); err != nil {
		return Release{}, fmt.Errorf("making the release of %s: %w", r.Tag, err)
	}
	return made, nil
}

// EditRelease makes a release say what this one does.
// https://docs.github.com/en/rest/releases/releases#update-a-release
func (c *Client) EditRelease(ctx context.Context, r Release) (made Release, err error) {
	if err := c.release(ctx, http.MethodPatch, fmt.Sprintf("/%d", r.ID), changesOf(r), &made); err != nil {
		return Release{}, fmt.Errorf("editing the release of %s: %w", r.Tag, err)
	}
	return made, nil
}

// changesOf leaves out what only GitHub says.
func changesOf(r Release) Release {
	return Release{Tag: r.Tag, Name: r.Name, Body: r.Body, Draft: r.Draft, Prerelease: r.Prerelease, Latest: r.Latest}
}

// DeleteRelease takes a release away, if it is still there.
// https://docs.github.com/en/rest/releases/releases#delete-a-release
func (c *Client) DeleteRelease(ctx context.Context, id int64) error {
	return gone(c.release(ctx, http.MethodDelete, fmt.Sprintf("/%d", id), nil, nil), "taking a release away")
}

// DeleteAsset takes an asset away, if it is still there.
// https://docs.github.com/en/rest/releases/assets#delete-a-release-asset
func (c *Client) DeleteAsset(ctx context.Context, id int64) error {
	return gone(c.release(ctx, http.MethodDelete, fmt.Sprintf("/assets/%d", id), nil, nil), "taking an asset away")
}

func gone(err error, what string) error {
	if err == nil || Status(err) == http.StatusNotFound {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Assets lists the assets of a release.
// https://docs.github.com/en/rest/releases/assets#list-release-assets
func (c *Client) Assets(ctx context.Context, release int64) ([]Asset, error) {
	all, err := pages[Asset](ctx, c, fmt.Sprintf("/%d/assets", release))
	if err != nil {
		return nil, fmt.Errorf("listing the assets of a release: %w", err)
	}
	return all, nil
}

// pages lists something of the releases, a hundred at a time.
func pages[T any](ctx context.Context, c *Client, of string) (all []T, err error) {
	for page := 1; ; page++ {
		var some []T
		if err := c.release(ctx, http.MethodGet, fmt.Sprintf("%s?per_page=100&page=%d", of, page), nil, &some); err != nil {
			return nil, err
		}
		if all = append(all, some...); len(some) < 100 {
			return all, nil
		}
	}
}

// ReadAsset reads an asset, of which GitHub's digest must be right and which must not be larger than so many bytes.
// https://docs.github.com/en/rest/releases/assets#get-a-release-asset
func (c *Client) ReadAsset(ctx context.Context, a Asset, most int64) ([]byte, error) {
	body, _, err := c.api.Repositories.DownloadReleaseAsset(ctx, c.owner, c.repo, a.ID, Patient())
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", a.Name, explainRelease(err))
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	sum := sha256.Sum256(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", a.Name, err)
	case int64(len(data)) > most:
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", a.Name, most)
	case a.Digest != "" && a.Digest != "sha256:"+hex.EncodeToString(sum[:]):
		return nil, fmt.Errorf("reading %s: it is not %s, as GitHub says", a.Name, a.Digest)
	}
	return data, nil
}

// A File is one to upload. Its content is read from the beginning, and again where an attempt failed.
type File struct {
	Name, MediaType string
	Content         io.ReadSeeker
}

// rewindable is what go-retryablehttp reads again instead of keeping it; whoever opened it closes it.
type rewindable struct{ io.ReadSeeker }

func (rewindable) Close() error { return nil }

// UploadAsset adds a file to a release, of which it needs Upload. ErrExists is that there is one of that name.
// https://docs.github.com/en/rest/releases/assets#upload-a-release-asset
func (c *Client) UploadAsset(ctx context.Context, r Release, f File) (made Asset, err error) {
	size, err := f.Content.Seek(0, io.SeekEnd)
	if err != nil {
		return made, fmt.Errorf("reading %s: %w", f.Name, err)
	}
	address, _, _ := strings.Cut(r.Upload, "{") // a template, whose only variables are name and label
	request, err := c.api.NewUploadRequest(address+"?name="+url.QueryEscape(f.Name), rewindable{f.Content}, size, f.MediaType)
	if err != nil {
		return made, fmt.Errorf("uploading %s: %w", f.Name, err)
	}
	_, err = c.api.Do(ctx, request, &made)
	if err := explainRelease(err); err != nil {
		return made, fmt.Errorf("uploading %s: %w", f.Name, err)
	}
	return made, nil
}

// ReleaseNotes has GitHub write notes of what came by pull requests since the release of another tag; since the last one where that is empty.
// https://docs.github.com/en/rest/releases/releases#generate-release-notes-content-for-a-release
func (c *Client) ReleaseNotes(ctx context.Context, tag, since, commit string) (string, error) {
	var notes struct{ Body string }
	asked := map[string]string{"tag_name": tag, "target_commitish": commit}
	if since != "" {
		asked["previous_tag_name"] = since
	}
	if err := c.release(ctx, http.MethodPost, "/generate-notes", asked, &notes); err != nil {
		return "", fmt.Errorf("having GitHub write the notes of %s: %w", tag, err)
	}
	return notes.Body, nil
}

// release asks for something of the repository's releases.
func (c *Client) release(ctx context.Context, method, of string, body, into any) error {
	request, err := c.api.NewRequest(method, fmt.Sprintf("repos/%s/%s/releases%s", c.owner, c.repo, of), body)
	if err != nil {
		return err
	}
	_, err = c.api.Do(ctx, request, into)
	return explainRelease(err)
}

func explainRelease(err error) error {
	var refused *github.ErrorResponse
	if !errors.As(err, &refused) {
		return err
	}
	switch {
	case refused.Response.StatusCode == http.StatusForbidden:
		return fmt.Errorf("the token lacks `contents: write`: %w", err)
	case refused.Response.StatusCode == http.StatusUnprocessableEntity && strings.Contains(refused.Error(), "already_exists"):
		return fmt.Errorf("%w: %w", ErrExists, err)
	case refused.Response.StatusCode == http.StatusUnprocessableEntity && strings.Contains(refused.Message, "immutable release"):
		return fmt.Errorf("%w: %w", ErrImmutable, err)
	default:
		return err
	}
}
