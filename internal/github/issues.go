package github

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v62/github"
)

// issueLabel marks the issues that this program keeps, so that they are found among many.
const issueLabel = "ghcr-publish"

// An Issue is one that is open.
type Issue struct {
	Number int
	Body   string
}

// FindIssue returns the open issue that has a marker in its body, among those with this program's label; false where there is none.
// https://docs.github.com/en/rest/issues/issues#list-repository-issues
func (c *Client) FindIssue(ctx context.Context, marker string) (Issue, bool, error) {
	options := &github.IssueListByRepoOptions{State: "open", Labels: []string{issueLabel}, ListOptions: github.ListOptions{PerPage: 100}}
	for {
		page, answer, err := c.api.Issues.ListByRepo(ctx, c.owner, c.repo, options)
		if err != nil {
			return Issue{}, false, explainIssue("looking for an issue", err)
		}
		i := slices.IndexFunc(page, func(i *github.Issue) bool { return !i.IsPullRequest() && strings.Contains(i.GetBody(), marker) })
		if i >= 0 {
			return Issue{page[i].GetNumber(), page[i].GetBody()}, true, nil
		}
		if answer.NextPage == 0 {
			return Issue{}, false, nil
		}
		options.Page = answer.NextPage
	}
}

// OpenIssue opens an issue.
// https://docs.github.com/en/rest/issues/issues#create-an-issue
func (c *Client) OpenIssue(ctx context.Context, title, body string) error {
	_, _, err := c.api.Issues.Create(once(ctx), c.owner, c.repo, &github.IssueRequest{Title: &title, Body: &body, Labels: &[]string{issueLabel}})
	return explainIssue("opening an issue", err)
}

// EditIssue gives an issue another body, and closes it where nothing is left to do.
// https://docs.github.com/en/rest/issues/issues#update-an-issue
func (c *Client) EditIssue(ctx context.Context, number int, body string, closed bool) error {
	request := &github.IssueRequest{Body: &body}
	if closed {
		request.State, request.StateReason = github.String("closed"), github.String("completed")
	}
	_, _, err := c.api.Issues.Edit(ctx, c.owner, c.repo, number, request)
	return explainIssue(fmt.Sprintf("editing issue %d", number), err)
}

func explainIssue(what string, err error) error {
	if Status(err) == http.StatusGone {
		return fmt.Errorf("%s: the repository has no issues", what)
	}
	return orLacks("issues: write", what, err)
}

// orLacks says which right a token lacks, where that is why something was refused.
func orLacks(right, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case Status(err) == http.StatusForbidden:
		return fmt.Errorf("%s: the token lacks `%s`", what, right)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
