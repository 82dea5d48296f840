package memory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/mattn/go-sqlite3"
)

// layout is the other tools' own, and not ours to change: what we may need beside it belongs
// in tables of our own.
const layout = `
CREATE TABLE IF NOT EXISTS memory_entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, value TEXT NOT NULL, namespace TEXT NOT NULL DEFAULT 'default', metadata TEXT,
  created_at INTEGER DEFAULT (strftime('%s','now')), updated_at INTEGER DEFAULT (strftime('%s','now')), accessed_at INTEGER DEFAULT (strftime('%s','now')),
  access_count INTEGER DEFAULT 0, ttl INTEGER, expires_at INTEGER, UNIQUE(key, namespace));
CREATE INDEX IF NOT EXISTS idx_memory_namespace ON memory_entries(namespace);
CREATE INDEX IF NOT EXISTS idx_memory_expires ON memory_entries(expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_memory_accessed ON memory_entries(accessed_at);`

// checkedWhole is the largest file whose every page and index is looked at when it is opened (about three
// milliseconds per megabyte). A larger one is believed: opening must stay quick.
const checkedWhole = 8 << 20

// headerSize is how much of the first page describes the file.
const headerSize = 100

// An unfit error says that a file is no memory of ours and never will be.
type unfit struct {
	reason string
	err    error
}

func (u *unfit) Error() string {
	if u.err == nil {
		return u.reason
	}
	return fmt.Sprintf("%s: %v", u.reason, u.err)
}

func (u *unfit) Unwrap() error { return u.err }

// checkHeader refuses what SQLite would not notice, or only when it writes: a file that ends
// within a page, one of a format to come, and one that is too large.
func checkHeader(path string, limit int64) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	if info.Size() > limit {
		return &unfit{reason: fmt.Sprintf("has %d bytes, more than the %d allowed", info.Size(), limit)}
	}
	header := make([]byte, headerSize)
	_, err = io.ReadFull(f, header)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &unfit{reason: "is cut short"}
	}
	if err != nil {
		return err
	}
	return checkSizes(header, info.Size())
}

// checkSizes knows where https://sqlite.org/fileformat.html puts the size of a page and the
// version a program must know to write the file.
func checkSizes(header []byte, size int64) error {
	page := int64(binary.BigEndian.Uint16(header[16:]))
	if page == 1 {
		page = 1 << 16
	}
	if page > 0 && size%page != 0 {
		return &unfit{reason: "is cut short"}
	}
	if header[18] > 2 {
		return &unfit{reason: "has a format that cannot be written"}
	}
	return nil
}

// connectTo returns a database of one connection: goroutines then queue fairly instead of
// contending for the file's lock.
func connectTo(path, options string) (*sql.DB, error) {
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_busy_timeout=50&_txlock=immediate&_synchronous=NORMAL&_stmt_cache_size=32&_cache_size=-16000" + options
	db, err := sql.Open("sqlite3", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// prepare makes the file ready for use. A file that is unfit is left as it is.
func (s *Store) prepare(ctx context.Context) error {
	for _, step := range []func(context.Context, *sql.DB) error{
		inspect,
		s.checkPages,
		useLog,
		create,
	} {
		if err := retry(ctx, func() error { return step(ctx, s.db) }); err != nil {
			return damage(err)
		}
	}
	return nil
}

// theirWrite is how the tool that the layout comes from writes an entry.
const theirWrite = `INSERT INTO memory_entries
  (key, value, namespace, metadata, created_at, updated_at, accessed_at, access_count, ttl, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5, 0, ?6, ?7)
ON CONFLICT(key, namespace) DO UPDATE SET
  value = excluded.value, metadata = excluded.metadata, ttl = excluded.ttl, expires_at = excluded.expires_at,
  updated_at = excluded.updated_at, access_count = memory_entries.access_count + 1`

// inspect refuses a file whose memory_entries is not the layout's, by asking whether an entry
// could be written to it. Triggers are no part of the layout and could do anything.
func inspect(ctx context.Context, db *sql.DB) error {
	var tables, others int
	row := db.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE type = 'table'), count(*) FILTER (WHERE type IN ('view', 'trigger'))
FROM sqlite_master WHERE tbl_name = 'memory_entries' COLLATE NOCASE OR tbl_name LIKE 'ghcrp\_%' ESCAPE '\' AND type IN ('view', 'trigger')`)
	if err := row.Scan(&tables, &others); err != nil {
		return unreadable(err)
	}
	if others > 0 {
		return &unfit{reason: "has views or triggers where its entries should be"}
	}
	if tables == 0 {
		return nil
	}
	statement, err := db.PrepareContext(ctx, theirWrite)
	if code(err) == sqlite3.ErrError {
		return otherLayout(ctx, db, err)
	}
	if err != nil {
		return err
	}
	return statement.Close()
}

// errV3 is that a file has the layout of a later generation.
var errV3 = errors.New("has the layout v3")

// otherLayout says of a file into which no entry could be written why that is.
func otherLayout(ctx context.Context, db *sql.DB, why error) error {
	has, err := layoutsOf(ctx, db)
	if err != nil {
		return err
	}
	if has[LayoutV3] && !has[LayoutEntries] {
		return errV3
	}
	return &unfit{"has another layout", why}
}

// unreadable tells a file of a format SQLite does not know from other faults.
func unreadable(err error) error {
	if code(err) == sqlite3.ErrError {
		return &unfit{"cannot be read", err}
	}
	return err
}

func (s *Store) checkPages(ctx context.Context, db *sql.DB) error {
	info, err := os.Stat(s.path)
	if err != nil || info.Size() > checkedWhole {
		return err
	}
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return &unfit{"is damaged", errors.New(verdict)}
	}
	return nil
}

// useLog switches the file to a write-ahead log, in which readers and a writer do not wait for each other.
func useLog(ctx context.Context, db *sql.DB) error {
	var journal string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&journal); err != nil {
		return err
	}
	if journal != "wal" {
		return fmt.Errorf("keeping a write-ahead log: the file stays in mode %q", journal)
	}
	return nil
}

func create(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, layout); err != nil {
		return err
	}
	if err := migrate(ctx, tx); code(err) == sqlite3.ErrError || code(err) == sqlite3.ErrConstraint {
		return &unfit{"is damaged", err}
	} else if err != nil {
		return err
	}
	return tx.Commit()
}

// damage marks the errors that only a broken file gives.
func damage(err error) error {
	switch code(err) {
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return &unfit{"is damaged", err}
	}
	return err
}

// code returns SQLite's code for err, 0 if it has none.
func code(err error) sqlite3.ErrNo {
	var fault sqlite3.Error
	if !errors.As(err, &fault) {
		return 0
	}
	return fault.Code
}

// How long to wait for another process that writes, and how long between two tries.
const (
	patience = 40 * time.Second
	pause    = 2 * time.Millisecond
)

// retry does again what failed because another process was writing. SQLite's own waiting
// does not end with a context, so it is kept short and repeated here.
func retry(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if ctx.Err() != nil && err != nil {
			return context.Cause(ctx)
		}
		if code(err) != sqlite3.ErrBusy || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
