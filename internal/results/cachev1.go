package results

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A CacheV1 is the cache as GitHub Enterprise Server and act keep it. Its entries are as those of CacheV2.
// https://github.com/actions/toolkit/blob/main/packages/cache/src/internal/cacheHttpClient.ts
type CacheV1 struct{ caller }

// NewCacheV1 returns the cache at an address, which is ACTIONS_CACHE_URL, for a job's ACTIONS_RUNTIME_TOKEN.
func NewCacheV1(address, token string) (*CacheV1, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("ACTIONS_CACHE_URL is no address")
	}
	return &CacheV1{caller{strings.TrimSuffix(address, "/") + "/_apis/artifactcache/", token, cacheClient(time.Second)}}, nil
}

// Find is as CacheV2's.
func (c *CacheV1) Find(ctx context.Context, prefix, version string) (Hit, error) {
	query := url.Values{"keys": {prefix}, "version": {version}}
	var found struct {
		Key     string `json:"cacheKey"`
		Address string `json:"archiveLocation"`
	}
	if err := c.ask(ctx, http.MethodGet, "cache?"+query.Encode(), nil, &found); err != nil {
		return Hit{}, fmt.Errorf("looking into the cache: %w", err)
	}
	return Hit{found.Key, found.Address}, nil
}

// Save is as CacheV2's.
func (c *CacheV1) Save(ctx context.Context, key, version string, content io.ReaderAt, size int64) error {
	if err := c.save(ctx, map[string]any{"key": key, "version": version, "cacheSize": size}, content, size); err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	return nil
}

// part is how many bytes are sent at once, as GitHub's own client does.
const part = 32 << 20

func (c *CacheV1) save(ctx context.Context, entry map[string]any, content io.ReaderAt, size int64) error {
	var made struct {
		ID int64 `json:"cacheId"`
	}
	if err := c.ask(ctx, http.MethodPost, "caches", entry, &made); err != nil {
		return err
	}
	if made.ID == 0 {
		return errNotTaken
	}
	at := fmt.Sprintf("caches/%d", made.ID)
	for begin := int64(0); begin < size; begin += part {
		end := min(begin+part, size)
		request, err := send(ctx, http.MethodPatch, c.service+at, io.NewSectionReader(content, begin, end-begin), end-begin)
		if err != nil {
			return err
		}
		request.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", begin, end-1))
		if _, err := c.authorized(request); err != nil {
			return err
		}
	}
	return c.ask(ctx, http.MethodPost, at, map[string]any{"size": size}, nil)
}

// ask calls the service. Without content in its answer, out stays as it is.
func (c *CacheV1) ask(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.service+path, &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.authorized(request)
	if err != nil || out == nil || len(answer) == 0 {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading the service's answer: %w", err)
	}
	return nil
}

func (c *CacheV1) authorized(request *http.Request) ([]byte, error) {
	request.Header.Set("Accept", "application/json;api-version=6.0-preview.1")
	request.Header.Set("Authorization", "Bearer "+c.token)
	return c.do(request, http.StatusOK, http.StatusCreated, http.StatusNoContent)
}
