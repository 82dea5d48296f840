package trivy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/run"
)

// A Supply is where databases come from, and how old one may be.
type Supply struct {
	Repositories []string
	MaxAge       time.Duration
	Now          func() time.Time
}

func (s Supply) stale(d Database) bool { return s.Now().Sub(d.UpdatedAt) > s.MaxAge }

// due reports whether a newer database is to be looked for. As Trivy does, nobody looks again within an hour for what its
// maker is late with.
func (s Supply) due(d Database) bool {
	now := s.Now()
	return s.stale(d) || !now.Before(d.NextUpdate) && !now.Before(d.DownloadedAt.Add(time.Hour))
}

// Fetch brings the vulnerability database, where that is due: from the first repository whose own is not stale, nor older than the
// one that is held. Where each is, the newest is held in the end, and the error says why none of them was enough. It
// returns the repository that the database came from, empty where that was in an earlier run.
func (c *Client) Fetch(ctx context.Context, supply Supply) (string, error) {
	held, err := c.Database()
	if err == nil && !supply.due(held) {
		return "", nil
	}
	from, failures := "", []error(nil)
	for _, repository := range supply.Repositories {
		got, err := c.fetch(ctx, repository, held)
		older := got.UpdatedAt.Before(held.UpdatedAt)
		switch {
		case err != nil:
		case older || supply.stale(got):
			err = fmt.Errorf("its database is of %s", got.UpdatedAt.UTC().Format("2006-01-02 15:04 UTC"))
		default:
			return repository, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", repository, err))
		if !older && got != (Database{}) {
			held, from = got, repository
		}
		if ctx.Err() != nil {
			break
		}
	}
	if failures == nil {
		failures = append(failures, errors.New("no repository is given"))
	}
	return from, fmt.Errorf("fetching the vulnerability database: %w", errors.Join(failures...))
}

// fetch brings a repository's database, and puts it into the place of the one that is held unless it is older.
func (c *Client) fetch(ctx context.Context, repository string, held Database) (Database, error) {
	if err := os.MkdirAll(c.CacheDir, 0o755); err != nil {
		return Database{}, err
	}
	c.sweep()
	beside := *c
	var err error
	// Trivy would leave the one that is held there, or replace it by an older one.
	if beside.CacheDir, err = os.MkdirTemp(c.CacheDir, besides); err != nil {
		return Database{}, err
	}
	defer os.RemoveAll(beside.CacheDir)
	args := beside.common("image", "--download-db-only", "--db-repository", repository)
	if _, err := c.Run(ctx, run.Command{Argv: args, Dir: c.Dir, Env: c.Env}); err != nil {
		return Database{}, err
	}
	got, err := beside.Database()
	if err != nil || got.UpdatedAt.Before(held.UpdatedAt) {
		return got, err
	}
	if err := c.take(beside.CacheDir); err != nil {
		return Database{}, err
	}
	c.share()
	return got, nil
}

// besides is what the names of folders begin with that databases are fetched into.
const besides = "fetching-"

// sweep removes what killed runs were fetching. Where that fails it only takes room.
func (c *Client) sweep() {
	entries, _ := os.ReadDir(c.CacheDir)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && strings.HasPrefix(entry.Name(), besides) && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(filepath.Join(c.CacheDir, entry.Name()))
		}
	}
}

// take moves a database here from another cache directory: what tells of it last, so that a database is never taken to be newer than
// it is.
func (c *Client) take(from string) error {
	if err := os.MkdirAll(filepath.Join(c.CacheDir, "db"), 0o755); err != nil {
		return err
	}
	for _, file := range [...]string{databaseFile, metadataFile} {
		if err := os.Rename(filepath.Join(from, "db", file), filepath.Join(c.CacheDir, "db", file)); err != nil {
			return err
		}
	}
	return nil
}
