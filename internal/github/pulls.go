package github

import (
	"context"
	"fmt"
)

// Merged returns the numbers of the pull requests by which a commit came into the repository.
// https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit
func (c *Client) Merged(ctx context.Context, commit string) ([]int, error) {
	list, _, err := c.api.PullRequests.ListPullRequestsWithCommit(ctx, c.owner, c.repo, commit, nil)
	if err != nil {
		return nil, fmt.Errorf("asking GitHub which pull requests commit %s came by: %w", commit, err)
	}
	var numbers []int
	for _, pull := range list {
		if pull.MergedAt != nil {
			numbers = append(numbers, pull.GetNumber())
		}
	}
	return numbers, nil
}
