package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-github/v62/github"
)

// container is the kind of package that images are.
const container = "container"

// DeleteTagged deletes the versions of a container package that have none but these tags. The token needs `packages: write`, and the
// repository the role Admin in the package's settings, as that one has which published it first.
// https://docs.github.com/en/rest/packages/packages
func (c *Client) DeleteTagged(ctx context.Context, owner, name string, tags []string) error {
	kept := packages{c.api.Organizations.PackageGetAllVersions, c.api.Organizations.PackageDeleteVersion}
	err := kept.deleteTagged(ctx, owner, name, tags)
	if isMissing(err) { // which an owner is who is no organization
		kept = packages{c.api.Users.PackageGetAllVersions, c.api.Users.PackageDeleteVersion}
		err = kept.deleteTagged(ctx, owner, name, tags)
	}
	if err != nil {
		return fmt.Errorf("deleting versions of the package %s of %s: %w", name, owner, err)
	}
	return nil
}

func isMissing(err error) bool { return Status(err) == http.StatusNotFound }

// Status is that of GitHub's refusal; 0 where an error is none.
func Status(err error) int {
	var refused *github.ErrorResponse
	if !errors.As(err, &refused) {
		return 0
	}
	return refused.Response.StatusCode
}

// packages are those of organizations, or of users.
type packages struct {
	list   func(ctx context.Context, owner, kind, name string, options *github.PackageListOptions) ([]*github.PackageVersion, *github.Response, error)
	delete func(ctx context.Context, owner, kind, name string, id int64) (*github.Response, error)
}

func (p packages) deleteTagged(ctx context.Context, owner, name string, tags []string) error {
	var found []int64
	state := "active"
	options := &github.PackageListOptions{State: &state, ListOptions: github.ListOptions{Page: 1, PerPage: 100}}
	for options.Page != 0 {
		versions, response, err := p.list(ctx, owner, container, name, options)
		if err != nil {
			return err
		}
		for _, v := range versions {
			if onlyTagged(v, tags) {
				found = append(found, v.GetID())
			}
		}
		options.Page = response.NextPage
	}
	for _, id := range found {
		if _, err := p.delete(ctx, owner, container, name, id); err != nil {
			return err
		}
	}
	return nil
}

func onlyTagged(v *github.PackageVersion, tags []string) bool {
	if v.Metadata == nil || v.Metadata.Container == nil || len(v.Metadata.Container.Tags) == 0 {
		return false
	}
	return !slices.ContainsFunc(v.Metadata.Container.Tags, func(tag string) bool { return !slices.Contains(tags, tag) })
}
