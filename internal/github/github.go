// Package github speaks to the GitHub API.
package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"
	"github.com/hashicorp/go-retryablehttp"
)

// A Client speaks to one repository's API.
type Client struct {
	api         *github.Client
	owner, repo string
	// pause waits; tests do not.
	pause func(context.Context, time.Duration) error
}

// New returns a client for repository "owner/name" at apiURL, which is GITHUB_API_URL.
func New(apiURL, repository, token string) (*Client, error) {
	owner, repo, ok := strings.Cut(repository, "/")
	if !ok || owner == "" || repo == "" {
		return nil, fmt.Errorf("%q is no repository of the form owner/name", repository)
	}
	api, err := client(apiURL, token)
	if err != nil {
		return nil, err
	}
	return &Client{api: api, owner: owner, repo: repo, pause: pause}, nil
}

func client(apiURL, token string) (*github.Client, error) {
	base, err := url.Parse(strings.TrimSuffix(apiURL, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("reading the API's address: %w", err)
	}
	api := github.NewClient(Patient()).WithAuthToken(token)
	api.BaseURL, api.UserAgent = base, "ghcr-publish"
	return api, nil
}

// Patient repeats what may succeed the next time: broken connections, 5xx, and what came too often, after as long as GitHub says.
// What would have to wait longer than the request may take is not waited for.
// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
func Patient() *http.Client {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = 4
	client.RetryWaitMax = 30 * time.Second
	client.CheckRetry, client.Backoff = worthWaiting, backoff
	// The last answer says more than "giving up after 5 attempts".
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return client.StandardClient()
}

// longestWait is how long is waited for GitHub's budget where the request itself has no end.
const longestWait = time.Minute

// onceKey marks requests that are not to be repeated where nobody knows whether GitHub did what they ask for.
type onceKey struct{}

// once has what is asked for by a context be such a request.
func once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

func worthWaiting(ctx context.Context, response *http.Response, err error) (bool, error) {
	wait, told := demandedWait(response)
	if ctx.Value(onceKey{}) != nil && (response == nil || response.StatusCode >= http.StatusInternalServerError) {
		return false, ctx.Err()
	}
	if !told {
		return retryablehttp.DefaultRetryPolicy(ctx, response, err)
	}
	most := longestWait
	if end, bounded := ctx.Deadline(); bounded {
		most = time.Until(end)
	}
	return ctx.Err() == nil && wait < most, ctx.Err()
}

func backoff(least, most time.Duration, attempt int, response *http.Response) time.Duration {
	if wait, told := demandedWait(response); told {
		return wait
	}
	return retryablehttp.DefaultBackoff(least, most, attempt, response)
}

// demandedWait reads from a refusal how long to wait: Retry-After, or until the hour's budget begins anew.
func demandedWait(response *http.Response) (time.Duration, bool) {
	if response == nil || response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusTooManyRequests {
		return 0, false
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second, true
	}
	reset, err := strconv.ParseInt(response.Header.Get("X-Ratelimit-Reset"), 10, 64)
	if err != nil || response.Header.Get("X-Ratelimit-Remaining") != "0" {
		return 0, false
	}
	return max(time.Until(time.Unix(reset, 0)), 0) + time.Second, true
}

// Tip returns the commit that a ref, "refs/heads/main", is at now.
// https://docs.github.com/en/rest/commits/commits#get-a-commit
func (c *Client) Tip(ctx context.Context, ref string) (string, error) {
	sha, _, err := c.api.Repositories.GetCommitSHA1(ctx, c.owner, c.repo, strings.TrimPrefix(ref, "refs/"), "")
	if err != nil {
		return "", fmt.Errorf("asking GitHub for the commit of %s: %w", ref, err)
	}
	return sha, nil
}
