package results

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/resultstest"
)

// A cache is either protocol's.
type cache interface {
	Find(ctx context.Context, prefix, version string) (Hit, error)
	Read(ctx context.Context, hit Hit, into io.Writer) error
	Save(ctx context.Context, key, version string, content io.ReaderAt, size int64) error
}

var protocols = map[string]func(address, token string) (cache, error){
	"v1": func(address, token string) (cache, error) {
		c, err := NewCacheV1(address, token)
		if err == nil {
			c.http = cacheClient(time.Millisecond)
		}
		return c, err
	},
	"v2": func(address, token string) (cache, error) {
		c, err := NewCacheV2(address, token)
		if err == nil {
			c.http = cacheClient(time.Millisecond)
		}
		return c, err
	},
}

// eachProtocol runs a test of a cache in both protocols. The function opens it for the run of a ref.
func eachProtocol(t *testing.T, test func(t *testing.T, server *resultstest.Server, open func(...resultstest.Permission) cache)) {
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := resultstest.Start()
			t.Cleanup(server.Close)
			test(t, server, func(permissions ...resultstest.Permission) cache {
				c, err := protocol(server.URL, server.CacheToken("run", "job", permissions...))
				if err != nil {
					t.Fatal(err)
				}
				return c
			})
			checkProblems(t, server)
		})
	}
}

const version = "0123"

var (
	onMain = resultstest.Permission{Scope: "refs/heads/main", Permission: 3}
	ofMain = resultstest.Permission{Scope: "refs/heads/main", Permission: 1}
	onPull = resultstest.Permission{Scope: "refs/pull/7/merge", Permission: 3}
)

func save(t *testing.T, c cache, key, content string) {
	t.Helper()
	if err := c.Save(t.Context(), key, version, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

// newest finds what is there and reads it.
func newest(t *testing.T, c cache, prefix string) (key, content string) {
	t.Helper()
	hit, err := c.Find(t.Context(), prefix, version)
	if err != nil || hit.Key == "" {
		return "", ""
	}
	var read bytes.Buffer
	if err := c.Read(t.Context(), hit, &read); err != nil {
		t.Fatal(err)
	}
	return hit.Key, read.String()
}

func TestTheNewestIsFound(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, _ *resultstest.Server, open func(...resultstest.Permission) cache) {
		main := open(onMain)
		if key, _ := newest(t, main, "memory-"); key != "" {
			t.Errorf("in an empty cache there is %q", key)
		}
		save(t, main, "memory-1", "first")
		save(t, main, "memory-2", "second")
		save(t, main, "other-3", "third")
		if key, content := newest(t, main, "memory-"); key != "memory-2" || content != "second" {
			t.Errorf("got %q: %q", key, content)
		}
		if hit, err := main.Find(t.Context(), "memory-", "4567"); err != nil || hit.Key != "" {
			t.Errorf("of another version there is %+v, %v", hit, err)
		}
		// A pull request reads the branch's, writes its own, and the branch does not see that.
		pull := open(onPull, ofMain)
		if key, _ := newest(t, pull, "memory-"); key != "memory-2" {
			t.Errorf("a pull request finds %q", key)
		}
		save(t, pull, "memory-9", "of a stranger")
		if _, content := newest(t, pull, "memory-"); content != "of a stranger" {
			t.Errorf("a pull request finds %q", content)
		}
		if key, _ := newest(t, main, "memory-"); key != "memory-2" {
			t.Errorf("the branch finds %q", key)
		}
	})
}

func TestLargeFilesAreWhole(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, _ *resultstest.Server, open func(...resultstest.Permission) cache) {
		large := strings.Repeat("0123456789abcdef", part/16) + "and some more"
		c := open(onMain)
		save(t, c, "large", large)
		if _, content := newest(t, c, "large"); content != large {
			t.Errorf("%d bytes came back of %d", len(content), len(large))
		}
	})
}

func TestSaveRefused(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, server *resultstest.Server, open func(...resultstest.Permission) cache) {
		keep := func(c cache, key string) error {
			return c.Save(t.Context(), key, version, strings.NewReader("content"), 7)
		}
		save(t, open(onMain), "taken", "content")
		if err := keep(open(onMain), "taken"); err == nil || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("under a key that is taken: %v", err)
		}
		if err := keep(open(ofMain), "new"); err == nil || !strings.Contains(err.Error(), "no writable scopes") {
			t.Errorf("with a token that may read: %v", err)
		}
		server.Quota(7)
		if err := keep(open(onMain), "new"); err == nil || !strings.Contains(err.Error(), "reached its cache storage limit") {
			t.Errorf("in a full cache: %v", err)
		}
	})
}

func TestTooManyRequestsEndIt(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, server *resultstest.Server, open func(...resultstest.Permission) cache) {
		c := open(onMain)
		later := http.Header{"Retry-After": {"3600"}}
		var refused *Error
		server.Fail(1, http.StatusTooManyRequests, later, "")
		if _, err := c.Find(t.Context(), "memory-", version); !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests {
			t.Errorf("looking: %v", err)
		}
		server.Fail(1, http.StatusTooManyRequests, later, "")
		if err := c.Save(t.Context(), "memory-1", version, strings.NewReader("x"), 1); !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests {
			t.Errorf("saving: %v", err)
		}
	})
}

// TestCacheFaults meets every fault at every call.
func TestCacheFaults(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, server *resultstest.Server, open func(...resultstest.Permission) cache) {
		c := open(onMain)
		save(t, c, "there", "content")
		there, err := c.Find(t.Context(), "there", version)
		if err != nil {
			t.Fatal(err)
		}
		calls := map[string]func() error{
			"find": func() error { _, err := c.Find(t.Context(), "there", version); return err },
			"read": func() error { return c.Read(t.Context(), there, io.Discard) },
			"save": func() error { return c.Save(t.Context(), "new", version, strings.NewReader("x"), 1) },
		}
		for name, f := range map[string]struct {
			status  int
			body    string
			allowed []string // calls that it is an answer to
		}{
			"forbidden":   {403, `{"code":"permission_denied","msg":"cache read denied"}`, nil},
			"down":        {503, "", nil},
			"not ok":      {200, `{"ok":false}`, []string{"find", "read"}},
			"no JSON":     {200, "<html>", []string{"read"}},
			"odd address": {200, `{"ok":true,"cacheId":0,"signed_upload_url":"http://127.0.0.1:1/?sig=s3cr3t-signature"}`, []string{"find", "read"}},
			"no address":  {200, `{"ok":true,"signed_upload_url":":"}`, []string{"find", "read"}},
		} {
			for call, do := range calls {
				server.Fail(5, f.status, nil, f.body)
				err := do()
				server.Forgive()
				if (err == nil) != slices.Contains(f.allowed, call) {
					t.Errorf("%s, %s: %v", call, name, err)
				}
				if err != nil && strings.Contains(err.Error(), resultstest.Signature) {
					t.Errorf("%s, %s tells a secret: %v", call, name, err)
				}
			}
		}
		server.Fail(2, 502, nil, "")
		save(t, c, "passing", "content")
		if _, content := newest(t, c, "passing"); content != "content" {
			t.Errorf("after faults that pass there is %q", content)
		}
	})
}

// TestHalfWrittenIsNotThere breaks an upload in the midst.
func TestHalfWrittenIsNotThere(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, server *resultstest.Server, open func(...resultstest.Permission) cache) {
		c := open(onMain)
		for _, path := range []string{"/blobs/", "FinalizeCacheEntryUpload", "/caches/"} {
			server.Break(path, http.StatusForbidden, nil, "")
		}
		if err := c.Save(t.Context(), "memory-1", version, strings.NewReader("content"), 7); err == nil {
			t.Error("it was saved")
		}
		server.Forgive()
		if key, _ := newest(t, c, "memory-"); key != "" {
			t.Errorf("there is %q", key)
		}
	})
}

func TestCachesWantAddresses(t *testing.T) {
	t.Parallel()
	for name, open := range protocols {
		for _, address := range []string{"", "cache.example", "ftp://cache.example", "://"} {
			if _, err := open(address, "token"); err == nil {
				t.Errorf("%s: %q was taken", name, address)
			}
		}
	}
}
