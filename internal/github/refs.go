package github

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-github/v62/github"
)

// Branches lists the branches that there are.
// https://docs.github.com/en/rest/branches/branches#list-branches
func (c *Client) Branches(ctx context.Context) (names []string, err error) {
	options := &github.BranchListOptions{ListOptions: github.ListOptions{Page: 1, PerPage: 100}}
	for options.Page != 0 {
		page, response, err := c.api.Repositories.ListBranches(ctx, c.owner, c.repo, options)
		if err != nil {
			return nil, fmt.Errorf("asking GitHub for the branches (`contents: read`): %w", err)
		}
		for _, b := range page {
			names = append(names, b.GetName())
		}
		options.Page = response.NextPage
	}
	return names, nil
}

// OpenPulls lists the numbers of the pull requests that are open.
// https://docs.github.com/en/rest/pulls/pulls#list-pull-requests
func (c *Client) OpenPulls(ctx context.Context) (numbers []int, err error) {
	for page := 1; page != 0; {
		list, next, err := c.pulls(ctx, "open", page)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			numbers = append(numbers, p.GetNumber())
		}
		page = next
	}
	return numbers, nil
}

// lately is how many pages of closed pull requests are looked at.
const lately = 10

// LeftBranches lists the branches of this repository that the pull requests came from which changed last of those that are closed. Some may still
// be there.
func (c *Client) LeftBranches(ctx context.Context) (names []string, err error) {
	for page := 1; page != 0 && page <= lately; {
		list, next, err := c.pulls(ctx, "closed", page)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			if strings.EqualFold(p.GetHead().GetRepo().GetFullName(), c.owner+"/"+c.repo) {
				names = append(names, p.GetHead().GetRef())
			}
		}
		page = next
	}
	return names, nil
}

func (c *Client) pulls(ctx context.Context, state string, page int) ([]*github.PullRequest, int, error) {
	options := &github.PullRequestListOptions{State: state, Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{Page: page, PerPage: 100}}
	list, response, err := c.api.PullRequests.List(ctx, c.owner, c.repo, options)
	if err != nil {
		return nil, 0, fmt.Errorf("asking GitHub for the pull requests that are %s (`pull-requests: read`): %w", state, err)
	}
	return list, response.NextPage, nil
}
