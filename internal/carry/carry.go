// Package carry brings the memory from run to run: by the cache of GitHub Actions, where it is what steps with actions/cache of the
// same path would keep, and may be read and written by such steps, too; and by a repository of a registry, for other branches and
// repositories, and for those who work at the same time. Whatever goes wrong costs insights and nothing else, so its errors are for a
// person to know and no reason to fail.
package carry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/results"
)

// Prefix is what the keys of kept memories begin with.
const Prefix = "swarm-memory-v1-"

// A Cache keeps files for later runs.
type Cache interface {
	// Find looks for the newest entry of a version whose key begins so. A Hit without a key is none.
	Find(ctx context.Context, prefix, version string) (results.Hit, error)
	Read(ctx context.Context, hit results.Hit, into io.Writer) error
	Save(ctx context.Context, key, version string, content io.ReaderAt, size int64) error
}

// A Carrier carries one memory, for one run.
type Carrier struct {
	Cache     Cache
	Workspace string
	Path      string // of the memory, relative to the workspace, as a step of actions/cache would have it
	Temp      string // folder for what is on its way
	Now       func() time.Time
	// List returns what the cache has under keys that begin so, of all refs, the newest first; nil where nobody may know.
	List func(ctx context.Context, prefix string) ([]github.Cache, error)
	// Since is when the run began. What it and others have written otherwise from then on are Conflicts.
	Since     time.Time
	Conflicts int

	has []string // keys of what is in the memory already
}

const (
	// mode lets later steps of a job, which run as another user, read the memory.
	mode = 0o644

	fetchTime = 30 * time.Second
	keepTime  = time.Minute
)

// Fetch brings the newest memory that this run may read to its place, merges into it what others kept beside that, and returns their
// keys, the newest first; none where there is no memory. With keys, an error is about what was kept beside it.
func (c *Carrier) Fetch(ctx context.Context) (keys []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTime, fmt.Errorf("it took longer than %s", fetchTime))
	defer cancel()
	found, err := c.newest(ctx)
	if err != nil || found.Key == "" {
		return nil, cause(ctx, err)
	}
	if err := c.bring(ctx, found); err != nil {
		return nil, fmt.Errorf("reading %s from the cache: %w", found.Key, cause(ctx, err))
	}
	c.has, keys = append(c.has, found.Key), []string{found.Key}
	others, err := c.beside(ctx, found)
	for _, other := range others {
		if err := c.absorb(ctx, other); err != nil {
			return keys, cause(ctx, err)
		}
		keys = append(keys, other.Key)
	}
	return keys, cause(ctx, err)
}

// A kept memory is one that the cache has.
type kept struct {
	results.Hit
	compression string
}

// newest prefers what is compressed as this package does it: the rest was kept by runners that could not.
func (c *Carrier) newest(ctx context.Context) (kept, error) {
	for _, compression := range []string{byZstd, byGzip} {
		hit, err := c.Cache.Find(ctx, Prefix, version(c.Path, compression))
		if err != nil || hit.Key != "" {
			return kept{hit, compression}, err
		}
	}
	return kept{}, nil
}

// bring puts a kept memory into its place. Nothing outside the workspace is written to.
func (c *Carrier) bring(ctx context.Context, found kept) error {
	root, err := os.OpenRoot(c.Workspace)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(c.Path), 0o755); err != nil {
		return err
	}
	beside := filepath.Join(filepath.Dir(c.Path), ".new-"+filepath.Base(c.Path)+"."+rand.Text()) // where nobody else writes, and no commit can have put a link
	file, err := root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = errors.Join(c.read(ctx, found, file), file.Close())
	if err == nil {
		for _, left := range []string{"-wal", "-shm", "-journal"} { // of another memory, into this one they would be played
			_ = root.Remove(c.Path + left)
		}
		err = root.Rename(beside, c.Path)
	}
	if err != nil {
		_ = root.Remove(beside)
	}
	return err
}

// read unpacks a kept memory.
func (c *Carrier) read(ctx context.Context, found kept, to io.Writer) error {
	return c.onTheWay(func(packed *os.File) error {
		if err := c.Cache.Read(ctx, found.Hit, &capped{packed, largest}); err != nil {
			return err
		}
		if _, err := packed.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := unpack(packed, found.compression, filepath.ToSlash(c.Path), to); err != nil {
			return &unfit{err}
		}
		return nil
	})
}

// Keep saves the memory for later runs under a key that begins with Prefix and was never used. What other runs have kept since this one
// began is merged into it before: the next run reads the newest alone.
func (c *Carrier) Keep(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, keepTime, fmt.Errorf("it took longer than %s", keepTime))
	defer cancel()
	if err := c.catchUp(ctx); err != nil {
		return cause(ctx, err)
	}
	return cause(ctx, c.save(ctx, key))
}

// catchUp merges the newest kept memory into this one. What cannot be read for good is hidden by what is saved; what may be
// readable the next time must not be.
func (c *Carrier) catchUp(ctx context.Context) error {
	found, err := c.newest(ctx)
	var refused *results.Error
	if errors.As(err, &refused) && refused.Status == http.StatusForbidden {
		return nil // who may write may not be allowed to read
	}
	if err != nil || found.Key == "" || slices.Contains(c.has, found.Key) {
		return err
	}
	err = c.absorb(ctx, found)
	var unfit *unfit
	if errors.As(err, &unfit) {
		return nil
	}
	return err
}

func (c *Carrier) save(ctx context.Context, key string) error {
	root, err := os.OpenRoot(c.Workspace)
	if err != nil {
		return err
	}
	defer root.Close()
	memory, err := root.Open(c.Path)
	if err != nil {
		return err
	}
	defer memory.Close()
	return c.onTheWay(func(packed *os.File) error {
		if err := pack(memory, filepath.ToSlash(c.Path), packed); err != nil {
			return fmt.Errorf("packing %s: %w", c.Path, err)
		}
		size, err := packed.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		return c.Cache.Save(ctx, key, version(c.Path, byZstd), packed, size)
	})
}

// An unfit memory is none that can be read, now or later.
type unfit struct{ error }

func (u *unfit) Unwrap() error { return u.error }

// onTheWay has something done with a file that is gone afterwards.
func (c *Carrier) onTheWay(do func(*os.File) error) error {
	file, err := os.CreateTemp(c.Temp, "ghcr-publish-memory-")
	if err != nil {
		return err
	}
	err = do(file)
	return errors.Join(err, file.Close(), os.Remove(file.Name()))
}

// cause says of what took too long that it did.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
