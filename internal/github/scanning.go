package github

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"
)

// ErrUnavailable marks code scanning that this run cannot use: switched off, or the token may not.
// It is no fault of the images.
var ErrUnavailable = errors.New("code scanning is not available to this run")

// UploadSARIF hands a SARIF file to code scanning for a commit of a ref, and returns the upload's id.
// https://docs.github.com/en/rest/code-scanning/code-scanning#upload-an-analysis-as-sarif-data
func (c *Client) UploadSARIF(ctx context.Context, sha, ref string, sarif []byte) (string, error) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(sarif); err != nil {
		return "", fmt.Errorf("packing the SARIF file: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("packing the SARIF file: %w", err)
	}
	taken, _, err := c.api.CodeScanning.UploadSarif(ctx, c.owner, c.repo, &github.SarifAnalysis{
		CommitSHA: &sha, Ref: &ref, ToolName: github.String("ghcr-publish"),
		Sarif: github.String(base64.StdEncoding.EncodeToString(zipped.Bytes())),
	})
	return taken.GetID(), explain("uploading to code scanning", err)
}

// ScanningEnabled asks whether the repository has code scanning. The error is ErrUnavailable where it has none, or where the token
// may not know.
// https://docs.github.com/en/rest/code-scanning/code-scanning#list-code-scanning-alerts-for-a-repository
func (c *Client) ScanningEnabled(ctx context.Context) error {
	request, err := c.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/code-scanning/alerts?per_page=1", c.owner, c.repo), nil)
	if err == nil {
		_, err = c.api.Do(ctx, request, nil)
	}
	var refused *github.ErrorResponse
	if Status(err) == http.StatusNotFound && errors.As(err, &refused) && strings.Contains(refused.Message, "no analysis found") {
		return nil // enabled, and nothing was uploaded yet
	}
	return explain("asking code scanning", err)
}

// polls is how often an upload is asked after again, with twice the pause each time from firstPause on, as GitHub's own action does:
// https://github.com/github/codeql-action/blob/main/src/upload-lib.ts
const (
	polls      = 5
	firstPause = 5 * time.Second
)

// What becomes of an upload that GitHub has taken, other than that it is shown.
var (
	ErrPending  = errors.New("GitHub has not processed them yet")
	ErrUnknown  = errors.New("GitHub does not tell what became of them")
	ErrRejected = errors.New("GitHub could not process them")
)

// Processed waits until GitHub has processed an upload. The error is ErrRejected, with what GitHub found wrong; ErrPending where that
// does not come to an end in time; or ErrUnknown where GitHub cannot be asked. After the latter two the findings may show up all the same.
// https://docs.github.com/en/rest/code-scanning/code-scanning#get-information-about-a-sarif-upload
func (c *Client) Processed(ctx context.Context, id string) error {
	status, err := c.status(ctx, id)
	for again, wait := 0, firstPause; err == nil && !status.ended() && again < polls; again, wait = again+1, 2*wait {
		if err = c.pause(ctx, wait); err == nil {
			status, err = c.status(ctx, id)
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrPending, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	case status.Status == "failed":
		return fmt.Errorf("%w; GitHub says: %s", ErrRejected, cmp.Or(strings.Join(status.Errors, "; "), "no reason"))
	case !status.ended():
		return ErrPending
	}
	return nil
}

type processing struct {
	Status string   `json:"processing_status"`
	Errors []string `json:"errors"`
}

func (p processing) ended() bool { return p.Status == "complete" || p.Status == "failed" }

func (c *Client) status(ctx context.Context, id string) (processing, error) {
	var status processing
	request, err := c.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/code-scanning/sarifs/%s", c.owner, c.repo, id), nil)
	if err == nil {
		_, err = c.api.Do(ctx, request, &status)
	}
	return status, explain("asking code scanning", err)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// explain turns GitHub's refusals into what a person can act on.
func explain(doing string, err error) error {
	var refused *github.ErrorResponse
	var spent *github.RateLimitError
	var often *github.AbuseRateLimitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &spent):
		return fmt.Errorf("%w: the token's requests of this hour are used up until %s; re-run the job then", ErrUnavailable, spent.Rate.Reset.UTC().Format("15:04 MST"))
	case errors.As(err, &often):
		return tooOften(often.Message)
	case !errors.As(err, &refused):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return explainRefusal(doing, refused.Response.StatusCode, refused.Message)
}

func tooOften(message string) error {
	return fmt.Errorf("%w: GitHub is asked too often (%s); re-run the job later", ErrUnavailable, message)
}

func explainRefusal(doing string, status int, message string) error {
	switch {
	case status == http.StatusTooManyRequests:
		return tooOften(message)
	case status != http.StatusForbidden && status != http.StatusNotFound:
		return fmt.Errorf("%s: GitHub answered %d: %s", doing, status, message)
	case strings.Contains(message, "not accessible by integration"):
		return fmt.Errorf("%w: the token lacks `security-events: write`; give it to the job under `permissions`, in a private repository with `actions: read`", ErrUnavailable)
	case strings.Contains(message, "enabled"):
		return fmt.Errorf("%w: %s Switch it on in the repository's settings, under Advanced Security, or set `code-scanning: off`", ErrUnavailable, message)
	default:
		return fmt.Errorf("%w: %s", ErrUnavailable, message)
	}
}
