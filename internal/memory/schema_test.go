package memory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The other tools' statements, as they stand in the files they make.
var theirs = []string{
	`CREATE TABLE memory_entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, value TEXT NOT NULL, namespace TEXT NOT NULL DEFAULT 'default', metadata TEXT,
  created_at INTEGER DEFAULT (strftime('%s','now')), updated_at INTEGER DEFAULT (strftime('%s','now')), accessed_at INTEGER DEFAULT (strftime('%s','now')),
  access_count INTEGER DEFAULT 0, ttl INTEGER, expires_at INTEGER, UNIQUE(key, namespace))`,
	`CREATE INDEX idx_memory_namespace ON memory_entries(namespace)`,
	`CREATE INDEX idx_memory_expires ON memory_entries(expires_at) WHERE expires_at IS NOT NULL`,
	`CREATE INDEX idx_memory_accessed ON memory_entries(accessed_at)`,
}

// later is the layout of a later generation of those tools: the same table, other columns.
const later = `CREATE TABLE memory_entries (id TEXT PRIMARY KEY, key TEXT NOT NULL, namespace TEXT DEFAULT 'default', content TEXT NOT NULL,
  type TEXT DEFAULT 'semantic', metadata TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, expires_at INTEGER,
  last_accessed_at INTEGER, access_count INTEGER DEFAULT 0, status TEXT DEFAULT 'active', UNIQUE(namespace, key))`

// mustExec runs statements on the file at path as another program would.
func mustExec(tb testing.TB, path string, statements ...string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		if _, err := db.ExecContext(tb.Context(), s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

func texts(tb testing.TB, db *sql.DB, query string) []string {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			tb.Fatal(err)
		}
		all = append(all, strings.Join(strings.Fields(s), " "))
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestLayoutIsTheirs(t *testing.T) {
	t.Parallel()
	other := file(t)
	mustExec(t, other, theirs...)
	reference, err := sql.Open("sqlite3", other)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reference.Close() }()
	s := mustOpen(t, file(t), time.Now)
	for _, query := range []string{
		`SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'ghcrp%' ORDER BY name`,
		`SELECT name FROM sqlite_master WHERE tbl_name NOT LIKE 'ghcrp%' ORDER BY name`,
		`SELECT cid||'|'||name||'|'||type||'|'||"notnull"||'|'||coalesce(dflt_value,'')||'|'||pk FROM pragma_table_info('memory_entries')`,
		`SELECT user_version FROM pragma_user_version`,
		`SELECT application_id FROM pragma_application_id`,
		`SELECT page_size FROM pragma_page_size`,
		`SELECT auto_vacuum FROM pragma_auto_vacuum`,
		`SELECT encoding FROM pragma_encoding`,
	} {
		want, got := texts(t, reference, query), texts(t, s.db, query)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-theirs +ours):\n%s", query, diff)
		}
	}
	if got := texts(t, s.db, "PRAGMA journal_mode"); got[0] != "wal" {
		t.Errorf("the journal mode is %s, want wal", got[0])
	}
}

// A file another tool made, or altered without harm, or shares with tables of its own, is used as it is.
func TestOpensTheirs(t *testing.T) {
	t.Parallel()
	row := `INSERT INTO memory_entries (key, value, namespace) VALUES ('k', 'hello', 'swarm')`
	for name, statements := range map[string][]string{
		"theirs":       append(theirs[:len(theirs):len(theirs)], row),
		"in a journal": {"PRAGMA journal_mode=DELETE", theirs[0], row},
		"altered":      {theirs[0], `ALTER TABLE memory_entries ADD COLUMN provenance_type TEXT DEFAULT 'unknown'`, row},
		"shared":       {theirs[0], `CREATE TABLE patterns (id TEXT PRIMARY KEY)`, row},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t)
			mustExec(t, path, statements...)
			s := mustOpen(t, path, time.Now)
			if got := mustGet(t, s, "swarm", "k"); string(got.Value) != `"hello"` {
				t.Errorf("read %s", got.Value)
			}
			mustPut(t, s, Entry{Namespace: "swarm", Key: "k", Value: json.RawMessage(`{}`)})
		})
	}
}

func TestOpenRefusesUnfit(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"another layout":  {`CREATE TABLE memory_entries (key TEXT, data TEXT)`},
		"not unique":      {strings.Replace(theirs[0], ", UNIQUE(key, namespace)", "", 1)},
		"in other case":   {`CREATE TABLE Memory_Entries (key TEXT, data TEXT)`},
		"a view":          {`CREATE VIEW memory_entries AS SELECT 1 AS key`},
		"with a trigger":  {theirs[0], `CREATE TRIGGER t AFTER INSERT ON memory_entries BEGIN DELETE FROM memory_entries; END`},
		"a page is wrong": {theirs[0], `PRAGMA writable_schema=ON`, `UPDATE sqlite_master SET rootpage = 77 WHERE name = 'memory_entries'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t)
			mustExec(t, path, statements...)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var why *unfit
			if _, err := Open(t.Context(), path, time.Now); !errors.As(err, &why) {
				t.Errorf("Open() = %v, want it unfit", err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("Open() changed the file (%v)", err)
			}
			checkSetAside(t, path, before)
		})
	}
}

// checkSetAside opens the unfit file at path, and sees that it was kept and that a fresh one works.
func checkSetAside(t *testing.T, path string, content []byte) {
	t.Helper()
	s, notice, err := OpenOrSetAside(t.Context(), path, newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	mustPut(t, s, Entry{Key: "fresh", Value: json.RawMessage(`1`)})
	mustGet(t, s, "", "fresh")
	aside := fmt.Sprintf("%s.set-aside-%d", path, begin.Unix())
	if kept, err := os.ReadFile(aside); err != nil || string(kept) != string(content) {
		t.Errorf("the file set aside is not what it was (%v)", err)
	}
	if !strings.Contains(notice, aside) || strings.Count(notice, ". ") != 0 || !strings.HasSuffix(notice, ".") {
		t.Errorf("the notice %q is not a sentence that names %s", notice, aside)
	}
}

func filled(tb testing.TB) []byte {
	tb.Helper()
	path := file(tb)
	s := mustOpen(tb, path, newClock().now)
	for i := range 20 {
		mustPut(tb, s, Entry{Key: fmt.Sprint(i), Value: quote(strings.Repeat("long ", 500))})
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

func write(tb testing.TB, content []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "memory.db")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestSetsDamagedAside(t *testing.T) {
	t.Parallel()
	whole := filled(t)
	scribbled := append([]byte{}, whole...)
	copy(scribbled[len(whole)/2:], strings.Repeat("scribble", 512))
	for name, content := range map[string][]byte{
		"text":                     []byte(strings.Repeat("this is no database\n", 100)),
		"a few bytes":              []byte("SQLite"),
		"the header alone":         whole[:100],
		"cut in the first page":    whole[:1000],
		"cut after the first page": whole[:4096],
		"cut in the middle":        whole[:len(whole)/2+100],
		"cut at the end":           whole[:len(whole)-1],
		"scribbled over":           scribbled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkSetAside(t, write(t, content), content)
		})
	}
}

// Whatever a header byte is, the file either serves or is set aside.
func TestAnyHeaderByte(t *testing.T) {
	t.Parallel()
	whole := filled(t)
	dir := t.TempDir()
	for i := range 100 {
		for _, b := range []byte{0, 0xff} {
			content := append([]byte{}, whole...)
			content[i] = b
			path := filepath.Join(dir, fmt.Sprintf("%d-%d.db", i, b))
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			s, notice, err := OpenOrSetAside(t.Context(), path, time.Now)
			if err != nil {
				t.Errorf("byte %d as %#x: %v", i, b, err)
				continue
			}
			if err := s.Put(t.Context(), Entry{Key: "k", Value: json.RawMessage(`1`)}); err != nil {
				t.Errorf("byte %d as %#x (%q): %v", i, b, notice, err)
			}
			_ = s.Close()
		}
	}
}

func TestSetAsideTakesTheLog(t *testing.T) {
	t.Parallel()
	path := write(t, []byte(strings.Repeat("no database ", 100)))
	if err := os.WriteFile(path+"-wal", []byte("a log"), 0o644); err != nil {
		t.Fatal(err)
	}
	away := func() (string, error) {
		found, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return setAside(path, found, begin)
	}
	aside, err := away()
	if err != nil {
		t.Fatal(err)
	}
	again := write(t, nil)
	if err := os.Rename(again, path); err != nil {
		t.Fatal(err)
	}
	second, err := away()
	if err != nil || second == aside {
		t.Errorf("set aside twice in a second as %s, %v; the first would be lost", second, err)
	}
	if got, err := os.ReadFile(aside + "-wal"); err != nil || string(got) != "a log" {
		t.Errorf("the log is %q, %v", got, err)
	}
}

func TestOtherFaultsAreErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		path string
	}{
		"a directory":         {t.Context(), dir},
		"under a file":        {t.Context(), filepath.Join(write(t, nil), "memory.db")},
		"the context is over": {ended, filepath.Join(dir, "memory.db")},
	} {
		if _, notice, err := OpenOrSetAside(test.ctx, test.path, time.Now); err == nil || notice != "" {
			t.Errorf("%s: OpenOrSetAside() = %q, %v; want an error", name, notice, err)
		}
	}
}

func TestEmptyFileIsFresh(t *testing.T) {
	t.Parallel()
	s, notice, err := OpenOrSetAside(t.Context(), write(t, nil), time.Now)
	if err != nil || notice != "" {
		t.Fatalf("OpenOrSetAside() = %q, %v; want a fresh memory", notice, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestSetAsideByManyAtOnce has several find the file damaged at the same time. None sets aside what another has begun meanwhile.
func TestSetAsideByManyAtOnce(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := write(t, []byte(strings.Repeat("nonsense", 1000)))
		const many = 8
		var working sync.WaitGroup
		for n := range many {
			working.Go(func() {
				s, _, err := OpenOrSetAside(t.Context(), path, time.Now)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Put(t.Context(), Entry{Key: fmt.Sprint(n), Value: []byte(`1`)}); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		working.Wait()
		s := mustOpen(t, path, time.Now)
		if got := keys(t, s, ""); len(got) != many {
			t.Fatalf("of %d entries there are %q", many, got)
		}
		if aside, err := filepath.Glob(path + ".set-aside-*"); err != nil || len(aside) != 1 {
			t.Fatalf("set aside was %q, %v", aside, err)
		}
	}
}
