package results

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A CacheV2 is the cache of GitHub Actions as github.com keeps it. An entry never changes; it has a key, a version, which those who
// look for it must know, and belongs to the ref whose run has made it.
// https://github.com/actions/toolkit/blob/main/packages/cache/src/cache.ts
type CacheV2 struct{ caller }

// NewCacheV2 returns the cache at an address, which is ACTIONS_RESULTS_URL, for a job's ACTIONS_RUNTIME_TOKEN.
func NewCacheV2(address, token string) (*CacheV2, error) {
	service, err := twirp(address, "CacheService")
	if err != nil {
		return nil, err
	}
	return &CacheV2{caller{service, token, cacheClient(time.Second)}}, nil
}

// Find looks for the newest entry whose key begins so: among those of the run's own ref, then of the branch that a pull request is
// for, then of the default branch. A Hit without a key is none.
func (c *CacheV2) Find(ctx context.Context, prefix, version string) (Hit, error) {
	var found struct {
		OK        bool   `json:"ok"`
		Address   string `json:"signed_download_url"`
		AddressJS string `json:"signedDownloadUrl"`
		Key       string `json:"matched_key"`
		KeyJS     string `json:"matchedKey"`
	}
	asked := map[string]any{"key": prefix, "restore_keys": []string{prefix}, "version": version}
	if err := c.call(ctx, "GetCacheEntryDownloadURL", asked, &found); err != nil {
		return Hit{}, fmt.Errorf("looking into the cache: %w", err)
	}
	if !found.OK {
		return Hit{}, nil
	}
	return Hit{cmp.Or(found.Key, found.KeyJS), cmp.Or(found.Address, found.AddressJS)}, nil
}

// Save keeps so many bytes under a key that nothing else has.
func (c *CacheV2) Save(ctx context.Context, key, version string, content io.ReaderAt, size int64) error {
	if err := c.save(ctx, map[string]any{"key": key, "version": version}, content, size); err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	return nil
}

func (c *CacheV2) save(ctx context.Context, entry map[string]any, content io.ReaderAt, size int64) error {
	var made struct {
		said
		Address   string `json:"signed_upload_url"`
		AddressJS string `json:"signedUploadUrl"`
	}
	if err := c.call(ctx, "CreateCacheEntry", entry, &made); err != nil {
		return err
	}
	if err := made.err(); err != nil {
		return err
	}
	request, err := send(ctx, http.MethodPut, cmp.Or(made.Address, made.AddressJS), content, size)
	if err != nil {
		return err
	}
	// https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob
	request.Header.Set("x-ms-blob-type", "BlockBlob")
	request.Header.Set("x-ms-version", "2020-10-02")
	if _, err := c.do(request, http.StatusCreated); err != nil {
		return err
	}
	entry["size_bytes"] = fmt.Sprint(size)
	var done said
	if err := c.call(ctx, "FinalizeCacheEntryUpload", entry, &done); err != nil {
		return err
	}
	return done.err()
}

// said is whether the service took something, and if not, why.
type said struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

func (s said) err() error {
	switch {
	case s.OK:
		return nil
	case s.Message == "":
		return errNotTaken
	default:
		return errors.New(s.Message)
	}
}
