package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Layout is a form in which a version of claude-flow keeps its memory.
type Layout string

// The layouts. A file may hold those of 2 and of 2.7 at once.
const (
	LayoutEntries  Layout = "v2"   // memory_entries of the hooks and MCP tools of 2.x: what a Store works on
	LayoutPatterns Layout = "v2.7" // patterns of the command `memory` of 2.7
	LayoutV3       Layout = "v3"   // memory_entries of 3.x, with other columns
	LayoutJSON     Layout = "json" // memory/memory-store.json of the command `memory` of 2.0 to 2.5
)

// Layouts names all of them.
func Layouts() []Layout { return []Layout{LayoutEntries, LayoutPatterns, LayoutV3, LayoutJSON} }

// Read reads what the file at path holds, whichever layouts it has, and leaves it as it is. Apply takes it in. What was written
// by nobody of ours counts as written when it says.
func Read(ctx context.Context, path string, now func() time.Time) (Memory, error) {
	m, err := readFile(ctx, path, now)
	if err != nil {
		return Memory{}, fmt.Errorf("reading the memory %s: %w", path, err)
	}
	return Merge(m, Memory{}), nil
}

func readFile(ctx context.Context, path string, now func() time.Time) (Memory, error) {
	begin, err := beginning(path)
	if err != nil {
		return Memory{}, err
	}
	if isJSONFile(begin) {
		return readJSON(path)
	}
	if err := checkHeader(path, 2*usualLimits().File); err != nil {
		return Memory{}, err
	}
	db, err := connectTo(path, "&mode=rw&_query_only=1")
	if err != nil {
		return Memory{}, err
	}
	defer func() { _ = db.Close() }()
	return readTables(ctx, db, now)
}

// beginning returns the first bytes of a file.
func beginning(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	begin := make([]byte, 16)
	n, err := f.Read(begin)
	if n == 0 && err != nil {
		return nil, errors.New("the file is empty")
	}
	return begin[:n], nil
}

func isJSONFile(begin []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(begin, " \t\r\n"), []byte("{"))
}

func readTables(ctx context.Context, db *sql.DB, now func() time.Time) (m Memory, err error) {
	has, err := layoutsOf(ctx, db)
	if err != nil {
		return m, damage(err)
	}
	if len(has) == 0 {
		return m, errors.New("it is no memory of a known layout")
	}
	for layout, read := range map[Layout]func() (Memory, error){
		LayoutEntries:  func() (Memory, error) { return readCopy(ctx, db, now) },
		LayoutPatterns: func() (Memory, error) { return readPatterns(ctx, db) },
		LayoutV3:       func() (Memory, error) { return readV3(ctx, db) },
	} {
		if !has[layout] {
			continue
		}
		one, err := read()
		if err != nil {
			return m, damage(err)
		}
		m = Merge(m, one)
	}
	return m, nil
}

// layoutsOf tells the layouts of a database by columns that no two have in common.
func layoutsOf(ctx context.Context, db *sql.DB) (map[Layout]bool, error) {
	has := map[Layout]bool{}
	err := retry(ctx, func() error {
		for layout, probe := range map[Layout]string{
			LayoutEntries:  `SELECT count(*) FROM pragma_table_info('memory_entries') WHERE name = 'value'`,
			LayoutV3:       `SELECT count(*) FROM pragma_table_info('memory_entries') WHERE name = 'content'`,
			LayoutPatterns: `SELECT count(*) FROM pragma_table_info('patterns') WHERE name = 'pattern_data'`,
		} {
			var n int
			if err := db.QueryRowContext(ctx, probe).Scan(&n); err != nil {
				return err
			}
			if n == 1 {
				has[layout] = true
			}
		}
		return nil
	})
	return has, err
}

// readCopy reads entries from a copy, in which what other tools wrote can be noted.
func readCopy(ctx context.Context, db *sql.DB, now func() time.Time) (Memory, error) {
	dir, err := os.MkdirTemp("", "ghcr-publish-memory-")
	if err != nil {
		return Memory{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "memory.db")
	for _, statement := range []string{`PRAGMA query_only = OFF`, fmt.Sprintf(`VACUUM INTO '%s'`, strings.ReplaceAll(path, "'", "''"))} {
		if err := retry(ctx, func() error { _, err := db.ExecContext(ctx, statement); return err }); err != nil {
			return Memory{}, err
		}
	}
	s, err := Open(ctx, path, now)
	if err != nil {
		return Memory{}, err
	}
	defer func() { _ = s.Close() }()
	return s.Delta(ctx, time.Time{})
}

// Export writes all entries that have not expired into the file at path, beside what it holds: nothing of another's is removed or overwritten that is
// newer. What was deleted here and has been exported before is deleted there, but for JSON, which knows of no deletions. A file that has another layout is left as it is.
func (s *Store) Export(ctx context.Context, path string, layout Layout) error {
	err := s.export(ctx, path, layout)
	if err != nil {
		return fmt.Errorf("exporting the swarm memory to %s: %w", path, err)
	}
	return nil
}

func (s *Store) export(ctx context.Context, path string, layout Layout) error {
	if here, err := os.Stat(path); err == nil {
		if own, err := os.Stat(s.path); err == nil && os.SameFile(here, own) && layout != LayoutPatterns {
			return errors.New("it is the memory itself")
		}
	}
	m, err := s.Delta(ctx, time.Time{})
	if err != nil {
		return err
	}
	switch layout {
	case LayoutEntries:
		return s.exportEntries(ctx, path, m)
	case LayoutPatterns:
		return exportTables(ctx, path, m.seen(s.now()), patternsTables, writePatterns)
	case LayoutV3:
		return exportTables(ctx, path, m.seen(s.now()), v3Tables, writeV3)
	case LayoutJSON:
		return exportJSON(path, m.seen(s.now()))
	}
	return fmt.Errorf("there is no layout %q; there are %q", layout, Layouts())
}

func (s *Store) exportEntries(ctx context.Context, path string, m Memory) error {
	other, err := Open(ctx, path, s.now, WithLimits(s.limits))
	if err != nil {
		return err
	}
	_, err = other.Apply(ctx, m)
	return errors.Join(err, other.Close())
}

// seen is what of a memory other layouts know: entries that have not expired, each with its sum, and what was deleted.
func (m Memory) seen(now time.Time) Memory {
	all := states(m)
	t := &transaction{now: now}
	for n, s := range all {
		s = t.expire(s)
		if total, err := s.total(); len(s.counters) > 0 && err == nil {
			s = state{last: s.summed(n, total)}
		}
		all[n] = s
	}
	return travelling(all)
}

// summed is the entry that a counter comes to.
func (s state) summed(n name, total int64) *event {
	r := Record{Namespace: n.namespace, Key: n.key, Value: number(total)}
	if s.last != nil {
		r.CreatedAt, r.Metadata, r.ExpiresAt = s.last.CreatedAt, s.last.Metadata, s.last.ExpiresAt
	}
	for _, c := range s.counters {
		r.Stamp = max(r.Stamp, c.Stamp)
	}
	r.UpdatedAt = r.Stamp
	if r.CreatedAt == 0 {
		r.CreatedAt = r.Stamp
	}
	return &event{Record: r}
}

// exportTables writes into the tables of a layout, which are made if they are missing.
func exportTables(ctx context.Context, path string, m Memory, tables string, write func(*sql.Tx, Memory) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := checkHeader(path, 2*usualLimits().File); err != nil {
		return err
	}
	db, err := connectTo(path, "")
	if err != nil {
		return err
	}
	err = retry(ctx, func() error {
		if err := useLog(ctx, db); err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, tables); err != nil {
			return fmt.Errorf("it has another layout: %w", err)
		}
		if err := write(tx, m); err != nil {
			return err
		}
		return tx.Commit()
	})
	return errors.Join(damage(err), db.Close(), makeReadable(path))
}

// idOf names what we export for ever by the same name, so that it is written over and not beside.
func idOf(namespace, key string) string {
	sum := sha256.Sum256([]byte("ghcr-publish\x00" + namespace + "\x00" + key))
	return hex.EncodeToString(sum[:16])
}

// writeBeside writes a file whole or not at all.
func writeBeside(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func readIfThere(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
