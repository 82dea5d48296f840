package carry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/memory"
)

// absorb merges a kept memory into the one in the workspace.
func (c *Carrier) absorb(ctx context.Context, found kept) error {
	if err := c.merge(ctx, found); err != nil {
		return fmt.Errorf("merging %s from the cache: %w", found.Key, err)
	}
	c.has = append(c.has, found.Key)
	return nil
}

func (c *Carrier) merge(ctx context.Context, found kept) error {
	dir, err := os.MkdirTemp(c.Temp, "ghcr-publish-memory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "memory.db")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(c.read(ctx, found, file), file.Close()); err != nil {
		return err
	}
	theirs, err := c.all(ctx, path)
	if err != nil {
		return &unfit{err}
	}
	ours, err := memory.Open(ctx, filepath.Join(c.Workspace, c.Path), c.Now)
	if err != nil {
		return err
	}
	changed, err := ours.Delta(ctx, c.Since)
	if err == nil {
		c.Conflicts += memory.Conflicts(changed, theirs, c.Since)
		_, err = ours.Apply(ctx, theirs)
	}
	return errors.Join(err, ours.Close())
}

// all reads what a file remembers.
func (c *Carrier) all(ctx context.Context, path string) (memory.Memory, error) {
	store, err := memory.Open(ctx, path, c.Now)
	if err != nil {
		return memory.Memory{}, err
	}
	whole, err := store.Delta(ctx, time.Time{})
	return whole, errors.Join(err, store.Close())
}

// ErrUnlisted tells that nobody knows what was kept beside the newest memory, or not of all.
var ErrUnlisted = errors.New("what other jobs kept beside it was not looked for")

// beside finds what other jobs kept that the newest memory cannot know of.
func (c *Carrier) beside(ctx context.Context, newest kept) ([]kept, error) {
	if c.List == nil {
		return nil, nil
	}
	listed, err := c.List(ctx, Prefix)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	var others []kept
	all := near(listed, newest.Key)
	for _, entry := range all[:min(len(all), mostBeside)] {
		for _, compression := range []string{byZstd, byGzip} {
			if entry.Version != version(c.Path, compression) {
				continue
			}
			hit, err := c.Cache.Find(ctx, entry.Key, entry.Version)
			if err != nil {
				return others, err
			}
			if hit.Key == entry.Key {
				others = append(others, kept{hit, compression})
			}
		}
	}
	if left := len(all) - mostBeside; left > 0 {
		return others, fmt.Errorf("%w: the oldest %d of %d", ErrUnlisted, left, len(all))
	}
	return others, nil
}

const (
	// together is how long before the newest another memory may have been kept by a run that went on at the same time.
	together = time.Hour
	// mostBeside is how many are merged at most: more jobs than a matrix has, as a rule.
	mostBeside = 32
)

// near picks, of what the cache lists, what the newest memory may lack: what its own run's other jobs have kept, and what was kept
// shortly before, of the same ref.
func near(listed []github.Cache, newest string) []github.Cache {
	i := slices.IndexFunc(listed, func(c github.Cache) bool { return c.Key == newest })
	if i < 0 {
		return nil
	}
	last := listed[i]
	return slices.DeleteFunc(slices.Clone(listed), func(c github.Cache) bool {
		return c.Key == newest || c.Ref != last.Ref || runOf(c.Key) != runOf(newest) && last.CreatedAt.Sub(c.CreatedAt) > together
	})
}

// runOf is the run that a key names.
func runOf(key string) string {
	run, _, _ := strings.Cut(strings.TrimPrefix(key, Prefix), "-")
	return run
}
