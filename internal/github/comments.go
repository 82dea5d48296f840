package github

import (
	"context"
	"strings"

	"github.com/google/go-github/v62/github"
)

// KeepComment has a pull request have one comment with a marker in it, whose body is replaced where it is there. Where it is not it is
// made, if it may be. Comments of others stay as they are, whatever stands in them.
// https://docs.github.com/en/rest/issues/comments
func (c *Client) KeepComment(ctx context.Context, pull int, marker, body string, may bool) error {
	id, err := c.ownComment(ctx, pull, marker)
	switch {
	case err != nil:
		return orLacks("pull-requests: write", "looking for the comment of earlier runs", err)
	case id != 0:
		_, _, err = c.api.Issues.EditComment(ctx, c.owner, c.repo, id, &github.IssueComment{Body: &body})
	case may:
		_, _, err = c.api.Issues.CreateComment(ctx, c.owner, c.repo, pull, &github.IssueComment{Body: &body})
	}
	return orLacks("pull-requests: write", "writing a comment", err)
}

// ownComment finds this program's own comment with a marker; 0 where there is none.
func (c *Client) ownComment(ctx context.Context, pull int, marker string) (int64, error) {
	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for {
		page, answer, err := c.api.Issues.ListComments(ctx, c.owner, c.repo, pull, options)
		if err != nil {
			return 0, err
		}
		for _, comment := range page {
			if strings.Contains(comment.GetBody(), marker) && c.isOwn(ctx, comment) {
				return comment.GetID(), nil
			}
		}
		if answer.NextPage == 0 {
			return 0, nil
		}
		options.Page = answer.NextPage
	}
}

// isOwn reports whether a comment is by whoever the token is of. Those of apps, such as the one of GitHub Actions, may not ask who they
// are: theirs are by a bot. The others may.
// https://docs.github.com/en/rest/users/users#get-the-authenticated-user
func (c *Client) isOwn(ctx context.Context, comment *github.IssueComment) bool {
	if comment.GetUser().GetType() == "Bot" {
		return true
	}
	me, _, err := c.api.Users.Get(ctx, "")
	return err == nil && me.GetLogin() != "" && me.GetLogin() == comment.GetUser().GetLogin()
}
