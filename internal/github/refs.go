package github

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-github/v62/github"
)

// Branches lists the branches that there are.
// https://docs.github.com/en/rest/branches/branches#list-branches
func (c *Client) Branches(ctx context.Context) ([]string, error) {
	return everyone(func(page int) ([]string, int, error) {
		options := &github.BranchListOptions{ListOptions: github.ListOptions{Page: page, PerPage: 100}}
		list, response, err := c.api.Repositories.ListBranches(ctx, c.owner, c.repo, options)
		if err != nil {
			return nil, 0, fmt.Errorf("asking GitHub for the branches (`contents: read`): %w", err)
		}
		var names []string
		for _, b := range list {
			names = append(names, b.GetName())
		}
		return names, response.NextPage, nil
	})
}

// OpenPulls lists the numbers of the pull requests that are open.
// https://docs.github.com/en/rest/pulls/pulls#list-pull-requests
func (c *Client) OpenPulls(ctx context.Context) ([]int, error) {
	return everyone(func(page int) ([]int, int, error) {
		list, next, err := c.pulls(ctx, "open", page)
		var numbers []int
		for _, p := range list {
			numbers = append(numbers, p.GetNumber())
		}
		return numbers, next, err
	})
}

// everyone lists all of which somebody would believe that they are gone where they are left out. Where there are several pages they are read twice: one that
// goes meanwhile moves the others up, and the first of a page to the end of the one before it, which was read already.
func everyone[T comparable](read func(page int) (list []T, next int, err error)) (all []T, err error) {
	known := map[T]bool{}
	for range 2 {
		for page := 1; page != 0; {
			list, next, err := read(page)
			if err != nil {
				return nil, err
			}
			for _, one := range list {
				if !known[one] {
					known[one], all = true, append(all, one)
				}
			}
			if page == 1 && next == 0 {
				return all, nil
			}
			page = next
		}
	}
	return all, nil
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
