// Package github speaks to the GitHub API.
package github

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"
	"github.com/hashicorp/go-retryablehttp"
)

// A Client speaks to one repository's API.
type Client struct {
	api         *github.Client
	owner, repo string
}

// New returns a client for repository "owner/name" at apiURL, which is GITHUB_API_URL.
func New(apiURL, repository, token string) (*Client, error) {
	owner, repo, ok := strings.Cut(repository, "/")
	if !ok || owner == "" || repo == "" {
		return nil, fmt.Errorf("%q is no repository of the form owner/name", repository)
	}
	base, err := url.Parse(strings.TrimSuffix(apiURL, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("reading the API's address: %w", err)
	}
	api := github.NewClient(Patient()).WithAuthToken(token)
	api.BaseURL, api.UserAgent = base, "ghcr-publish"
	return &Client{api: api, owner: owner, repo: repo}, nil
}

// Patient repeats what may succeed the next time: broken connections, 429 (after Retry-After) and 5xx.
func Patient() *http.Client {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = 4
	client.RetryWaitMax = 30 * time.Second
	// The last answer says more than "giving up after 5 attempts".
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return client.StandardClient()
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

// ErrUnavailable marks code scanning that this run cannot use: switched off, or the token may not.
// It is no fault of the images.
var ErrUnavailable = errors.New("code scanning is not available to this run")

// UploadSARIF hands a SARIF file to code scanning for a commit of a ref.
// https://docs.github.com/en/rest/code-scanning/code-scanning#upload-an-analysis-as-sarif-data
func (c *Client) UploadSARIF(ctx context.Context, sha, ref string, sarif []byte) error {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(sarif); err != nil {
		return fmt.Errorf("packing the SARIF file: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("packing the SARIF file: %w", err)
	}
	_, _, err := c.api.CodeScanning.UploadSarif(ctx, c.owner, c.repo, &github.SarifAnalysis{
		CommitSHA: &sha, Ref: &ref, ToolName: github.String("ghcr-publish"),
		Sarif: github.String(base64.StdEncoding.EncodeToString(zipped.Bytes())),
	})
	return explain(err)
}

// explain turns GitHub's refusals into what a person can act on.
func explain(err error) error {
	var refused *github.ErrorResponse
	if !errors.As(err, &refused) {
		if err != nil {
			return fmt.Errorf("uploading to code scanning: %w", err)
		}
		return nil
	}
	message := refused.Message
	switch status := refused.Response.StatusCode; {
	case status == http.StatusForbidden && strings.Contains(message, "not accessible by integration"):
		return fmt.Errorf("%w: the token lacks `security-events: write`", ErrUnavailable)
	case status == http.StatusForbidden || status == http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrUnavailable, message)
	default:
		return fmt.Errorf("uploading to code scanning: GitHub answered %d: %s", status, message)
	}
}
