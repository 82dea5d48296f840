package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"
)

// container is the kind of package that images are.
const container = "container"

// A Version is one manifest of a container package: a digest, with all tags that point to it.
type Version struct {
	ID      int64     `json:"id"`
	Digest  string    `json:"digest"`
	Tags    []string  `json:"tags"`
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

// A Package is a container package of an organization or of a user. The token needs `packages: write` to delete of it, and the
// repository the role Admin in the package's settings, as that one has which published it first.
// https://docs.github.com/en/rest/packages/packages
type Package struct {
	api         packages
	owner, name string // the name as the library takes it
	left        int    // requests of the hour's budget; -1 where GitHub has not told
}

// packages are those of organizations, or of users.
type packages struct {
	list    func(ctx context.Context, owner, kind, name string, options *github.PackageListOptions) ([]*github.PackageVersion, *github.Response, error)
	get     func(ctx context.Context, owner, kind, name string, id int64) (*github.PackageVersion, *github.Response, error)
	delete  func(ctx context.Context, owner, kind, name string, id int64) (*github.Response, error)
	restore func(ctx context.Context, owner, kind, name string, id int64) (*github.Response, error)
}

// Package finds a package, by the owner and the name that follow the registry in an image's name.
func (c *Client) Package(ctx context.Context, owner, name string) (*Package, error) {
	o, u := c.api.Organizations, c.api.Users
	p := &Package{api: packages{o.PackageGetAllVersions, o.PackageGetVersion, o.PackageDeleteVersion, o.PackageRestoreVersion}, owner: owner, name: name, left: -1}
	err := p.ask(ctx)
	if Status(err) == http.StatusNotFound { // which an owner is who is no organization
		// The library escapes the names of organizations' packages alone.
		p.api, p.name = packages{u.PackageGetAllVersions, u.PackageGetVersion, u.PackageDeleteVersion, u.PackageRestoreVersion}, url.PathEscape(name)
		err = p.ask(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the package %s of %s: %w", name, owner, explainPackage(err))
	}
	return p, nil
}

func (p *Package) ask(ctx context.Context) error {
	_, _, err := p.page(ctx, "active", github.ListOptions{PerPage: 1})
	return err
}

// Status is that of GitHub's refusal; 0 where an error is none.
func Status(err error) int {
	var refused *github.ErrorResponse
	if !errors.As(err, &refused) {
		return 0
	}
	return refused.Response.StatusCode
}

// Reasons why GitHub does not do something with a package that it does with others, or not now.
var (
	// ErrNoPackage tells that there is no such package, or that the token may not know of it.
	ErrNoPackage = errors.New("GitHub has no such package, or does not show it to this token")
	// ErrSpent tells that the hour's budget of requests is used up, or nearly: others need some of it.
	ErrSpent = errors.New("GitHub's budget of requests is spent")
	// ErrUndeletable tells that GitHub deletes the version for nobody: it is the last that has a tag, or was downloaded too often.
	// https://docs.github.com/en/packages/learn-github-packages/deleting-and-restoring-a-package
	ErrUndeletable = errors.New("GitHub does not delete it")
	// ErrAbsent tells that GitHub does not find the version, or does not show it to this token.
	ErrAbsent = errors.New("GitHub does not find it")
	// ErrWithheld tells that GitHub shows the version and does not find it when it is to be deleted, which is how it refuses some tokens.
	ErrWithheld = errors.New("GitHub shows it, and does not find it when it is to be deleted: " + needsAdmin)
)

const needsAdmin = "the token needs `packages: write`, and the repository the role Admin under \"Manage Actions access\" in the package's settings"

// reserve is how many requests of the hour's budget are left to others.
const reserve = 50

func explainPackage(err error) error {
	var limited *github.RateLimitError
	var abused *github.AbuseRateLimitError
	switch {
	case errors.As(err, &limited):
		return fmt.Errorf("%w until %s", ErrSpent, limited.Rate.Reset.UTC().Format("15:04 MST"))
	case errors.As(err, &abused) || Status(err) == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", ErrSpent, err)
	case Status(err) == http.StatusForbidden:
		return fmt.Errorf("%s: %w", needsAdmin, err)
	case Status(err) == http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNoPackage, err)
	default:
		return err
	}
}

// Versions lists the versions that there are, or those that were deleted in the last thirty days. The list may be some seconds old.
func (p *Package) Versions(ctx context.Context, deleted bool) ([]Version, error) {
	state := "active"
	if deleted {
		state = "deleted"
	}
	var all []Version
	for options := (github.ListOptions{Page: 1, PerPage: 100}); options.Page != 0; {
		if err := p.afford(); err != nil {
			return nil, err
		}
		found, next, err := p.page(ctx, state, options)
		if err != nil {
			return nil, fmt.Errorf("listing the versions of the package %s: %w", p.name, explainPackage(err))
		}
		all = append(all, found...)
		options.Page = next
	}
	return all, nil
}

func (p *Package) page(ctx context.Context, state string, options github.ListOptions) (found []Version, next int, err error) {
	versions, response, err := p.api.list(ctx, p.owner, container, p.name, &github.PackageListOptions{State: &state, ListOptions: options})
	p.note(response)
	if err != nil {
		return nil, 0, err
	}
	for _, v := range versions {
		found = append(found, versionOf(v))
	}
	return found, response.NextPage, nil
}

func versionOf(v *github.PackageVersion) Version {
	of := Version{ID: v.GetID(), Digest: v.GetName(), Tags: []string{}, Created: v.GetCreatedAt().Time, Updated: v.GetUpdatedAt().Time}
	if v.Metadata != nil && v.Metadata.Container != nil {
		of.Tags = append(of.Tags, v.Metadata.Container.Tags...)
		slices.Sort(of.Tags)
	}
	return of
}

func (p *Package) note(response *github.Response) {
	if response != nil && response.Rate.Limit > 0 {
		p.left = response.Rate.Remaining
	}
}

func (p *Package) afford() error {
	if p.left >= 0 && p.left < reserve {
		return fmt.Errorf("%w: %d requests are left to other jobs", ErrSpent, p.left)
	}
	return nil
}

// Version reads one; false where it is not there, or not any more.
func (p *Package) Version(ctx context.Context, id int64) (v Version, found bool, err error) {
	if err := p.afford(); err != nil {
		return v, false, err
	}
	got, response, err := p.api.get(ctx, p.owner, container, p.name, id)
	p.note(response)
	if Status(err) == http.StatusNotFound {
		return v, false, nil
	}
	if err != nil {
		return v, false, fmt.Errorf("looking at version %d of the package %s: %w", id, p.name, explainPackage(err))
	}
	return versionOf(got), true, nil
}

// Delete deletes a version with all its tags. GitHub keeps it for thirty days.
func (p *Package) Delete(ctx context.Context, id int64) error {
	response, err := p.api.delete(ctx, p.owner, container, p.name, id)
	p.note(response)
	var refused *github.ErrorResponse
	switch {
	case err == nil:
		return nil
	case Status(err) == http.StatusNotFound:
		return ErrAbsent
	case errors.As(err, &refused) && refused.Response.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w: %s", ErrUndeletable, refused.Message)
	default:
		return fmt.Errorf("deleting version %d of the package %s: %w", id, p.name, explainPackage(err))
	}
}

// Restore brings a version back that was deleted in the last thirty days.
func (p *Package) Restore(ctx context.Context, id int64) error {
	response, err := p.api.restore(ctx, p.owner, container, p.name, id)
	p.note(response)
	if err != nil {
		return fmt.Errorf("restoring version %d of the package %s: %w", id, p.name, explainPackage(err))
	}
	return nil
}

// DeleteTagged deletes the versions of a container package that have none but these tags.
func (c *Client) DeleteTagged(ctx context.Context, owner, name string, tags []string) error {
	err := c.deleteTagged(ctx, owner, name, tags)
	if err != nil {
		return fmt.Errorf("deleting versions of the package %s of %s: %w", name, owner, err)
	}
	return nil
}

func (c *Client) deleteTagged(ctx context.Context, owner, name string, tags []string) error {
	p, err := c.Package(ctx, owner, name)
	if err != nil {
		return err
	}
	versions, err := p.Versions(ctx, false)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if len(v.Tags) == 0 || slices.ContainsFunc(v.Tags, func(tag string) bool { return !slices.Contains(tags, tag) }) {
			continue
		}
		err := p.Delete(ctx, v.ID)
		if errors.Is(err, ErrAbsent) {
			err = p.withheld(ctx, v.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// withheld is ErrWithheld where a version is there that GitHub did not find when it was to be deleted.
func (p *Package) withheld(ctx context.Context, id int64) error {
	_, there, err := p.Version(ctx, id)
	if err == nil && there {
		err = ErrWithheld
	}
	return err
}

// PackageOf splits an image's name into the owner of its package and the package's name.
func PackageOf(image string) (owner, name string) {
	_, path, _ := strings.Cut(image, "/")
	owner, name, _ = strings.Cut(path, "/")
	return owner, name
}
