package results

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// A Hit is an entry of the cache that was found.
type Hit struct {
	Key     string
	address string // signed, so it is nobody else's business
}

// errNotTaken is what a service means that says no without a word.
var errNotTaken = errors.New("the service did not take it")

// cacheClient repeats what may succeed the next time, but for what comes too often: that takes minutes, and what is cached is not
// worth them.
// https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching#usage-limits-and-eviction-policy
func cacheClient(wait time.Duration) *http.Client {
	return repeating(wait, func(ctx context.Context, response *http.Response, err error) (bool, error) {
		if response != nil && response.StatusCode == http.StatusTooManyRequests {
			return false, nil
		}
		return retryablehttp.DefaultRetryPolicy(ctx, response, err)
	})
}

// A body is sent from its beginning each time that a request is repeated.
type body struct{ *io.SectionReader }

func (body) Close() error { return nil }

func send(ctx context.Context, method, address string, content io.ReaderAt, size int64) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, body{io.NewSectionReader(content, 0, size)})
	if err != nil {
		return nil, errors.New("the service gave no address to write to")
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/octet-stream")
	return request, nil
}

// Read writes what an entry holds. What it wrote before it failed is of no use.
func (c *caller) Read(ctx context.Context, hit Hit, into io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, hit.address, nil)
	if err != nil {
		return errors.New("the service gave no address to read from")
	}
	return c.read(request, func(answer io.Reader) error {
		_, err := io.Copy(into, answer)
		return err
	}, http.StatusOK)
}
