package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-github/v62/github"
)

// usualLimit is how many bytes GitHub keeps of a repository's caches unless somebody has said otherwise.
// https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching#usage-limits-and-eviction-policy
const usualLimit = 10 << 30

// CacheUsage returns how many bytes the repository's cache of GitHub Actions holds, and how many it may hold. The token needs
// `actions: read`. Who may not ask for the limit is told the usual one.
// https://docs.github.com/en/rest/actions/cache
func (c *Client) CacheUsage(ctx context.Context) (used, limit int64, err error) {
	usage, _, err := c.api.Actions.GetCacheUsageForRepo(ctx, c.owner, c.repo)
	if err != nil {
		var refused *github.ErrorResponse
		if errors.As(err, &refused) && refused.Response.StatusCode == http.StatusForbidden {
			err = errors.New("the token lacks `actions: read`")
		}
		return 0, 0, fmt.Errorf("asking GitHub how full the cache is: %w", err)
	}
	request, err := c.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/actions/cache/storage-limit", c.owner, c.repo), nil)
	if err != nil {
		return 0, 0, fmt.Errorf("asking GitHub how full the cache may be: %w", err)
	}
	var said struct {
		Gigabytes int64 `json:"max_cache_size_gb"`
	}
	limit = usualLimit
	if _, err := c.api.Do(ctx, request, &said); err == nil && said.Gigabytes > 0 {
		limit = said.Gigabytes << 30
	}
	return usage.ActiveCachesSizeInBytes, limit, nil
}
