package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

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
		return 0, 0, fmt.Errorf("asking GitHub how full the cache is: %w", lacking(err))
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

// A Cache is an entry of the cache of GitHub Actions.
type Cache struct {
	Key, Version, Ref string
	CreatedAt         time.Time
}

// mostCaches is how many entries are listed: as many as one request yields.
const mostCaches = 100

// Caches lists the newest entries of all refs whose keys begin so. The token needs `actions: read`.
// https://docs.github.com/en/rest/actions/cache#list-github-actions-caches-for-a-repository
func (c *Client) Caches(ctx context.Context, prefix string) ([]Cache, error) {
	sort, direction := "created_at", "desc"
	listed, _, err := c.api.Actions.ListCaches(ctx, c.owner, c.repo, &github.ActionsCacheListOptions{
		ListOptions: github.ListOptions{PerPage: mostCaches}, Key: &prefix, Sort: &sort, Direction: &direction})
	if err != nil {
		return nil, fmt.Errorf("listing the cache's entries: %w", lacking(err))
	}
	caches := make([]Cache, len(listed.ActionsCaches))
	for i, entry := range listed.ActionsCaches {
		caches[i] = Cache{entry.GetKey(), entry.GetVersion(), entry.GetRef(), entry.GetCreatedAt().Time}
	}
	return caches, nil
}

// lacking says of a refusal what right the token lacks.
func lacking(err error) error {
	if Status(err) == http.StatusForbidden {
		return errors.New("the token lacks `actions: read`")
	}
	return err
}
