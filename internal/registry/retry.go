package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/hashicorp/go-retryablehttp"
)

// What may be different the next time, whoever it is asked of.
var passing = []int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, 499, // which proxies say of a client that gave up
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

const (
	repeats     = 5 // with the pauses between them about ten seconds
	firstPause  = 300 * time.Millisecond
	longest     = 15 * time.Second
	mostRefused = 3 // how often a refusal is asked about again that may be the registry's own mistake

	// patience is how long an answer may take of which little is expected.
	patience = 30 * time.Second
	// slowest is how many bytes of a body are sent in a second at least.
	slowest = 256 << 10
	// little is how many bytes of an answer are read at once and proven, so that a broken one is asked for again.
	little = 8 << 20
)

// A patient transport repeats what may succeed the next time. What it hands on of small answers is whole, and is what its
// digest says.
type patient struct {
	base http.RoundTripper
}

func (p patient) RoundTrip(request *http.Request) (*http.Response, error) {
	request, err := rewound(request)
	if err != nil {
		return nil, err
	}
	if isUpload(request) { // which begins anew as a whole, and is too large to be kept for another time
		return proving{p.base, patience}.RoundTrip(request)
	}
	one := &attempt{request: request}
	client := &retryablehttp.Client{
		HTTPClient: &http.Client{Transport: proving{p.base, patience}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		RetryMax:   repeats, RetryWaitMin: firstPause, RetryWaitMax: longest, CheckRetry: one.again, Backoff: backoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return (&retryablehttp.RoundTripper{Client: client}).RoundTrip(request)
}

// rewound is a request with its body from the beginning: a token that has expired makes the library send it once more as it is.
func rewound(request *http.Request) (*http.Request, error) {
	if request.GetBody == nil {
		return request, nil
	}
	body, err := request.GetBody()
	if err != nil {
		return nil, fmt.Errorf("sending a body again: %w", err)
	}
	_ = request.Body.Close() // which nobody reads then
	request = request.Clone(request.Context())
	request.Body = body
	return request, nil
}

// backoff waits as the registry asks, as long as that is not for ever.
func backoff(least, most time.Duration, n int, answer *http.Response) time.Duration {
	return min(retryablehttp.DefaultBackoff(least, most, n, answer), 2*most)
}

// An attempt is one request with its repetitions.
type attempt struct {
	request *http.Request
	refused int
}

// again reports whether a request is repeated.
func (a *attempt) again(ctx context.Context, answer *http.Response, err error) (bool, error) {
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil && (isNobodyThere(err) || strings.Contains(err.Error(), http.ErrSchemeMismatch.Error())):
		return false, nil
	case err != nil:
		return retryablehttp.DefaultRetryPolicy(ctx, nil, err)
	case slices.Contains(passing, answer.StatusCode):
		return true, nil
	case answer.StatusCode == http.StatusForbidden && a.mayBeMistaken(answer):
		a.refused++
		return a.refused <= mostRefused, nil
	}
	return false, nil
}

// isNobodyThere reports whether a connection was refused, or its host is not known: that does not pass in seconds.
func isNobodyThere(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && (failed.Op == "dial" || failed.Op == "proxyconnect") && !failed.Timeout()
}

// isUpload reports whether a request sends a part of a blob: the registry keeps count of what has come.
func isUpload(r *http.Request) bool {
	return (r.Method == http.MethodPatch || r.Method == http.MethodPut) && strings.Contains(r.URL.Path, "/blobs/uploads/")
}

// mayBeMistaken reports whether a refusal is of the kind that ghcr.io is known to give by mistake: of a token, or of an
// upload without a word why.
func (a *attempt) mayBeMistaken(answer *http.Response) bool {
	if !strings.HasPrefix(a.request.URL.Path, "/v2/") {
		return true
	}
	if !strings.Contains(a.request.URL.Path, "/blobs/uploads/") {
		return false
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	answer.Body = io.NopCloser(io.MultiReader(bytes.NewReader(said), answer.Body))
	var refusal transport.Error
	return json.Unmarshal(said, &refusal) != nil || len(refusal.Errors) == 0
}

// A proving transport bounds the time until an answer begins, and reads a small one to its end: it must be whole, and be what
// its digest says. Larger ones are proven by whoever reads them.
type proving struct {
	base     http.RoundTripper
	patience time.Duration
}

var errSlow = errors.New("no answer in time")

func (p proving) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	most := p.patience + time.Duration(max(request.ContentLength, 0)/slowest)*time.Second
	timer := time.AfterFunc(most, func() { cancel(fmt.Errorf("%w (%s)", errSlow, most)) })
	answer, err := p.base.RoundTrip(request.WithContext(ctx))
	large := false
	if err == nil {
		large, err = isLarge(request, answer)
	}
	if large {
		timer.Stop()
		answer.Body = closing{answer.Body, cancel}
		return answer, nil
	}
	if err == nil {
		err = prove(request, answer)
	}
	timer.Stop()
	if slow := context.Cause(ctx); err != nil && errors.Is(slow, errSlow) {
		err = slow
	}
	cancel(nil)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// isLarge reports whether an answer is too large to be read ahead. A blob whose length the registry does not tell is read so far that it is known.
func isLarge(request *http.Request, answer *http.Response) (bool, error) {
	switch {
	case request.Method == http.MethodHead:
		return false, nil
	case answer.ContentLength >= 0 || !blob.MatchString(request.URL.Path):
		return answer.ContentLength > little, nil
	}
	begin, err := io.ReadAll(io.LimitReader(answer.Body, little+1))
	answer.Body = ahead{io.MultiReader(bytes.NewReader(begin), answer.Body), answer.Body}
	if err != nil {
		return false, errors.Join(fmt.Errorf("reading the answer: %w", err), answer.Body.Close())
	}
	return len(begin) > little, nil
}

var blob = regexp.MustCompile(`/blobs/sha256:[0-9a-f]{64}$`)

// An ahead reader begins with what was read already.
type ahead struct {
	io.Reader
	io.Closer
}

// closing ends a request's context with its answer.
type closing struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (c closing) Close() error {
	defer c.cancel(nil)
	return c.ReadCloser.Close()
}

// named finds the digest that a path ends with.
var named = regexp.MustCompile(`/(?:manifests|blobs)/(sha256:[0-9a-f]{64})$`)

// prove reads an answer's body and compares it with the digest that was asked for, or that the registry names.
func prove(request *http.Request, answer *http.Response) error {
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, fileLimit+1))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > fileLimit {
		return fmt.Errorf("the answer is larger than %d bytes", fileLimit)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	want := ""
	if m := named.FindStringSubmatch(request.URL.Path); m != nil {
		want = m[1]
	} else if strings.Contains(request.URL.Path, "/manifests/") {
		want = answer.Header.Get("Docker-Content-Digest")
	}
	if want == "" || request.Method != http.MethodGet || answer.StatusCode != http.StatusOK {
		return nil
	}
	if got, _, err := v1.SHA256(bytes.NewReader(body)); err != nil || got.String() != want && strings.HasPrefix(want, "sha256:") {
		return fmt.Errorf("the answer is %s and not %s", got, want)
	}
	return nil
}

// carrier carries all requests of the client.
func (c *Client) carrier() http.RoundTripper { return patient{c.wire()} }

// once carries requests that must not be repeated without a new look at what they change.
func (c *Client) once() http.RoundTripper { return whole{proving{c.wire(), patience}} }

// A whole transport sends bodies from the beginning.
type whole struct{ base http.RoundTripper }

func (w whole) RoundTrip(request *http.Request) (*http.Response, error) {
	request, err := rewound(request)
	if err != nil {
		return nil, err
	}
	return w.base.RoundTrip(request)
}

func (c *Client) wire() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return remote.DefaultTransport
}

// again does something once more where a token was refused, as long as the login is good: the library asks for one new token in
// each request, and that may have expired as well.
func (c *Client) again(do func() error) error {
	err := do()
	var refused *transport.Error
	for try := 0; c.Password != "" && errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized && try < mostRefused; try++ {
		err = do()
	}
	return err
}

// asked asks for something, and once more where a token was refused.
func asked[T any](c *Client, ask func() (T, error)) (got T, err error) {
	err = c.again(func() error {
		got, err = ask()
		return err
	})
	return got, err
}

// writing is how blobs are sent: an upload is not repeated in parts, so as a whole it is more often.
func (c *Client) writing(ctx context.Context, repo name.Repository) []remote.Option {
	return append(c.options(ctx, repo), remote.WithRetryBackoff(remote.Backoff{Duration: firstPause, Factor: 2, Jitter: 0.1, Steps: 8}))
}

func never(error) bool { return false }

// MayPass reports whether a request that failed may succeed the next time.
func MayPass(err error) bool {
	var refused *transport.Error
	if errors.As(err, &refused) {
		return slices.Contains(passing, refused.StatusCode)
	}
	return !errors.Is(err, context.Canceled) && !isNobodyThere(err)
}
