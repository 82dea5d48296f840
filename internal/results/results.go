// Package results speaks to the results service of GitHub Actions, which keeps the artifacts of a run and a cache for the next.
// The service has no published description; what is said here of it is what GitHub's own client does
// (https://github.com/actions/toolkit/tree/main/packages/artifact).
package results

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// A Client keeps and reads artifacts of one run.
type Client struct {
	caller
	run, job string // as the service knows them
}

// A caller calls one service.
type caller struct {
	service string // address of the calls
	token   string
	http    *http.Client
}

// New returns a client for the service at address, which is ACTIONS_RESULTS_URL. The token, ACTIONS_RUNTIME_TOKEN,
// says which run and job it is for.
func New(address, token string) (*Client, error) {
	service, err := twirp(address, "ArtifactService")
	if err != nil {
		return nil, err
	}
	c := &Client{caller: caller{service, token, retrying(time.Second)}}
	if c.run, c.job, err = scope(token); err != nil {
		return nil, fmt.Errorf("ACTIONS_RUNTIME_TOKEN: %w", err)
	}
	return c, nil
}

// twirp is where a service is called whose address, ACTIONS_RESULTS_URL, may have a path of no meaning.
func twirp(address, service string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("ACTIONS_RESULTS_URL is no address")
	}
	return u.Scheme + "://" + u.Host + "/twirp/github.actions.results.api.v1." + service + "/", nil
}

// retrying repeats what may succeed the next time: broken connections, 429 (after Retry-After) and 5xx.
func retrying(wait time.Duration) *http.Client {
	return repeating(wait, retryablehttp.DefaultRetryPolicy)
}

func repeating(wait time.Duration, worth retryablehttp.CheckRetry) *http.Client {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax = 4
	client.RetryWaitMin, client.RetryWaitMax = wait, 30*wait
	client.CheckRetry = worth
	// The last answer says more than "giving up after 5 attempts".
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return client.StandardClient()
}

// scope reads from a token, which is the runner's own and needs no proof here, what it is for: among the
// scopes in its claim scp is one of the form Actions.Results:RUN:JOB.
func scope(token string) (run, job string, err error) {
	var claims struct {
		Scopes string `json:"scp"`
	}
	if err := readClaims(token, &claims); err != nil {
		return "", "", err
	}
	for _, s := range strings.Fields(claims.Scopes) {
		if fields := strings.Split(s, ":"); len(fields) == 3 && fields[0] == "Actions.Results" && fields[1] != "" && fields[2] != "" {
			return fields[1], fields[2], nil
		}
	}
	return "", "", errors.New("it gives no access to the results of a run")
}

// readClaims reads what a JSON web token claims.
func readClaims(token string, into any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("it is no JSON web token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(payload, into) != nil {
		return errors.New("it is no JSON web token")
	}
	return nil
}

// An Artifact is one file that is kept with a run.
type Artifact struct {
	Name     string
	run, job string
	digest   string // of the archive; empty where the service does not say
}

// ids are what every call names.
func (c *Client) ids(more map[string]any) map[string]any {
	if more["workflow_run_backend_id"] == nil {
		more["workflow_run_backend_id"], more["workflow_job_run_backend_id"] = c.run, c.job
	}
	return more
}

// Upload keeps data as a file in an artifact. One of the same name, which an earlier try of this job left, is replaced.
func (c *Client) Upload(ctx context.Context, name, file string, data []byte) error {
	if err := c.upload(ctx, name, file, data); err != nil {
		return fmt.Errorf("keeping artifact %s: %w", name, err)
	}
	return nil
}

func (c *Client) upload(ctx context.Context, name, file string, data []byte) error {
	if name == "" || strings.ContainsAny(name, "\":<>|*?\r\n\\/") {
		return errors.New("the name has characters that none may have")
	}
	archive, err := pack(file, data)
	if err != nil {
		return err
	}
	var made struct {
		OK        bool   `json:"ok"`
		Address   string `json:"signed_upload_url"`
		AddressJS string `json:"signedUploadUrl"` // the other way to write it in JSON
	}
	create := func() error {
		return c.call(ctx, "CreateArtifact", c.ids(map[string]any{"name": name, "version": 4}), &made)
	}
	err = create()
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusConflict {
		if err = c.call(ctx, "DeleteArtifact", c.ids(map[string]any{"name": name}), nil); err == nil {
			err = create()
		}
	}
	if err == nil && !made.OK {
		err = errors.New("the service did not take it")
	}
	if err != nil {
		return err
	}
	if err := c.put(ctx, made.Address+made.AddressJS, archive); err != nil {
		return err
	}
	sum := sha256.Sum256(archive)
	var done struct {
		OK bool `json:"ok"`
	}
	err = c.call(ctx, "FinalizeArtifact", c.ids(map[string]any{"name": name, "size": fmt.Sprint(len(archive)), "hash": "sha256:" + hex.EncodeToString(sum[:])}), &done)
	if err == nil && !done.OK {
		err = errors.New("the service did not take it")
	}
	return err
}

func pack(file string, data []byte) ([]byte, error) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	entry, err := w.Create(file)
	if err == nil {
		_, err = entry.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	return archive.Bytes(), err
}

// put writes a blob in one block, and then the list of its blocks.
// https://learn.microsoft.com/en-us/rest/api/storageservices/put-block
func (c *Client) put(ctx context.Context, signed string, data []byte) error {
	block := base64.StdEncoding.EncodeToString([]byte("00000000"))
	if err := c.blob(ctx, signed, "&comp=block&blockid="+url.QueryEscape(block), data); err != nil {
		return err
	}
	list := `<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>` + block + `</Latest></BlockList>`
	return c.blob(ctx, signed, "&comp=blocklist", []byte(list))
}

func (c *Client) blob(ctx context.Context, signed, query string, data []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, signed+query, bytes.NewReader(data))
	if err != nil {
		return errors.New("the service gave no address to write to")
	}
	request.Header.Set("x-ms-version", "2020-10-02")
	_, err = c.do(request, http.StatusCreated)
	return err
}

// List returns the artifacts of the run, of all its attempts.
func (c *Client) List(ctx context.Context) ([]Artifact, error) {
	var listed struct {
		Artifacts []struct {
			Name   string `json:"name"`
			Run    string `json:"workflow_run_backend_id"`
			RunJS  string `json:"workflowRunBackendId"`
			Job    string `json:"workflow_job_run_backend_id"`
			JobJS  string `json:"workflowJobRunBackendId"`
			Digest string `json:"digest"`
		} `json:"artifacts"`
	}
	if err := c.call(ctx, "ListArtifacts", c.ids(map[string]any{}), &listed); err != nil {
		return nil, fmt.Errorf("listing the run's artifacts: %w", err)
	}
	artifacts := make([]Artifact, len(listed.Artifacts))
	for i, a := range listed.Artifacts {
		artifacts[i] = Artifact{Name: a.Name, run: a.Run + a.RunJS, job: a.Job + a.JobJS, digest: a.Digest}
	}
	return artifacts, nil
}

// Download reads the file that an artifact holds.
func (c *Client) Download(ctx context.Context, a Artifact) ([]byte, error) {
	data, err := c.download(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("reading artifact %s: %w", a.Name, err)
	}
	return data, nil
}

func (c *Client) download(ctx context.Context, a Artifact) ([]byte, error) {
	var at struct {
		Address   string `json:"signed_url"`
		AddressJS string `json:"signedUrl"`
	}
	if err := c.call(ctx, "GetSignedArtifactURL", map[string]any{"workflow_run_backend_id": a.run, "workflow_job_run_backend_id": a.job, "name": a.Name}, &at); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Address+at.AddressJS, nil)
	if err != nil {
		return nil, errors.New("the service gave no address to read from")
	}
	archive, err := c.do(request, http.StatusOK)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(archive)
	if is := "sha256:" + hex.EncodeToString(sum[:]); a.digest != "" && a.digest != is {
		return nil, fmt.Errorf("its digest is %s, not %s", is, a.digest)
	}
	return unpack(archive)
}

// limit is the size in bytes beyond which no answer and no file is read.
const limit = 64 << 20

// unpack reads the only file of an archive.
func unpack(archive []byte) ([]byte, error) {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	if len(r.File) != 1 {
		return nil, fmt.Errorf("it holds %d files, not one", len(r.File))
	}
	f, err := r.File[0].Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return data, err
}

// call makes one call of the service (https://twitchtv.github.io/twirp/docs/spec_v7.html).
func (c *caller) call(ctx context.Context, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.service+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.do(request, http.StatusOK)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading the service's answer to %s: %w", method, err)
	}
	return nil
}

// An Error is an answer other than the one that was hoped for.
type Error struct {
	Status  int
	Message string // the service's own
}

func (e *Error) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("the service answered %d %s: %s", e.Status, http.StatusText(e.Status), e.Message), ": ")
}

// do returns the answer to a request, if its status is one of those that are wanted.
func (c *caller) do(request *http.Request, want ...int) (data []byte, err error) {
	err = c.read(request, func(answer io.Reader) error {
		data, err = readAll(answer)
		return err
	}, want...)
	return data, err
}

// read has an answer read, if its status is one of those that are wanted.
func (c *caller) read(request *http.Request, read func(io.Reader) error, want ...int) error {
	request.Header.Set("User-Agent", "ghcr-publish")
	response, err := c.http.Do(request)
	if err != nil {
		return withoutAddress(err)
	}
	defer response.Body.Close()
	if slices.Contains(want, response.StatusCode) {
		return withoutAddress(read(response.Body))
	}
	data, err := readAll(response.Body)
	if err != nil {
		return withoutAddress(err)
	}
	var said struct {
		Msg     string `json:"msg"`
		Message string `json:"message"` // of services that do not speak Twirp
	}
	_ = json.Unmarshal(data, &said) // a proxy in between says nothing of use
	return &Error{response.StatusCode, said.Msg + said.Message}
}

// withoutAddress takes the address out of an error: whoever has a signed one needs no token.
func withoutAddress(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
