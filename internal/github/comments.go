package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"
)

// mostComments is how often a comment is written whose answer gets lost.
const mostComments = 4

// KeepComment has a pull request have one comment that begins with a marker, whose body is replaced where it is there. Where it is not it
// is made, if it may be. Comments of others stay as they are, whatever stands in them.
// https://docs.github.com/en/rest/issues/comments
func (c *Client) KeepComment(ctx context.Context, pull int, marker, body string, may bool) error {
	for n := 1; ; n++ {
		id, err := c.ownComment(ctx, pull, marker)
		switch {
		case err != nil:
			return err
		case id != 0:
			_, _, err = c.api.Issues.EditComment(ctx, c.owner, c.repo, id, &github.IssueComment{Body: &body})
			return explainComment("writing a comment", err)
		case !may:
			return nil
		}
		// Whether one whose answer got lost was made is seen before there is another.
		_, _, err = c.api.Issues.CreateComment(once(ctx), c.owner, c.repo, pull, &github.IssueComment{Body: &body})
		refused := Status(err)/100 == 4
		if err == nil || refused || n == mostComments || c.pause(ctx, time.Duration(n)*time.Second) != nil {
			return explainComment("writing a comment", err)
		}
	}
}

func explainComment(what string, err error) error { return orLacks("pull-requests: write", what, err) }

// ownComment finds this program's own comment that begins with a marker; 0 where there is none.
func (c *Client) ownComment(ctx context.Context, pull int, marker string) (int64, error) {
	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	me := ""
	for {
		page, answer, err := c.api.Issues.ListComments(ctx, c.owner, c.repo, pull, options)
		if err != nil {
			return 0, explainComment("looking for the comment of earlier runs", err)
		}
		for _, comment := range page {
			if !strings.HasPrefix(comment.GetBody(), marker) {
				continue
			}
			if me == "" {
				if me, err = c.viewer(ctx); err != nil {
					return 0, err
				}
			}
			if comment.GetUser().GetLogin() == me {
				return comment.GetID(), nil
			}
		}
		if answer.NextPage == 0 {
			return 0, nil
		}
		options.Page = answer.NextPage
	}
}

// viewer is the login of whoever the token speaks for: a person, or an app such as that of GitHub Actions, of which the REST API tells
// nothing. The address of GraphQL is beside that of REST, on GitHub Enterprise Server too.
// https://docs.github.com/en/graphql/reference/queries#viewer
// https://docs.github.com/en/enterprise-server/graphql/guides/forming-calls-with-graphql#the-graphql-endpoint
func (c *Client) viewer(ctx context.Context) (string, error) {
	request, err := c.api.NewRequest(http.MethodPost, "../graphql", map[string]string{"query": "{ viewer { login } }"})
	if err != nil {
		return "", err
	}
	var answer struct {
		Data   struct{ Viewer struct{ Login string } }
		Errors []struct{ Message string }
	}
	if _, err = c.api.Do(ctx, request, &answer); err == nil && answer.Data.Viewer.Login == "" {
		err = fmt.Errorf("GitHub answers %q", answer.Errors)
	}
	if err != nil {
		return "", fmt.Errorf("asking whose comments are the token's own: %w", err)
	}
	return answer.Data.Viewer.Login, nil
}
