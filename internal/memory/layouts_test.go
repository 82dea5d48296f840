package memory

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// values are a memory's entries in short: namespace/key=value.
func values(m Memory) map[string]string {
	all := map[string]string{}
	for _, e := range m.Entries {
		all[e.Namespace+"/"+e.Key] = string(e.Value)
	}
	return all
}

func mustRead(tb testing.TB, path string) Memory {
	tb.Helper()
	m, err := Read(tb.Context(), path, newClock().now)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func mustExport(tb testing.TB, s *Store, path string, layout Layout) {
	tb.Helper()
	if err := s.Export(tb.Context(), path, layout); err != nil {
		tb.Fatal(err)
	}
}

const (
	theirPattern = `INSERT INTO patterns (id, type, pattern_data, created_at) VALUES (%q, 'reasoning_memory', '{"title":"k","content":"%s","domain":"n","original_key":"k","original_value":"%[2]s","namespace":"n"}', '2026-03-04 05:0%[3]d:00')`
	theirV3      = `INSERT INTO memory_entries (id, key, namespace, content, metadata, created_at, updated_at, expires_at, status) VALUES ('entry_%s', '%[1]s', 'n', '%s', '{"a":1}', 1000, %d, %s, '%s')`
)

// Each layout is told by what it holds, read with its own rules, and not touched.
func TestReadLayouts(t *testing.T) {
	t.Parallel()
	ms := begin.UnixMilli()
	dir := t.TempDir()
	database := func(name string, statements ...string) string {
		path := filepath.Join(dir, name)
		mustExec(t, path, statements...)
		return path
	}
	pattern := func(id, value string, minute int) string { return fmt.Sprintf(theirPattern, id, value, minute) }
	v3 := func(key, content, expires, status string) string {
		return fmt.Sprintf(theirV3, key, content, ms, expires, status)
	}
	jsonFile := filepath.Join(dir, "store.json")
	if err := os.WriteFile(jsonFile, []byte(` {"n":[{"key":"k","value":"v","namespace":"n","timestamp":5},{"key":"o","value":{"a":1},"namespace":"n","timestamp":6},{"key":"t","value":"{\"b\":2}","namespace":"n","timestamp":7},{"key":"none","namespace":"n","timestamp":8}],"empty":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	row := `INSERT INTO memory_entries (key, value, namespace) VALUES ('k', '%s', 'n')`
	for title, test := range map[string]struct {
		path string
		want map[string]string
	}{
		"entries":      {database("a.db", append(theirs[:len(theirs):len(theirs)], fmt.Sprintf(row, `{"a": 1}`))...), map[string]string{"n/k": `{"a":1}`}},
		"patterns":     {database("b.db", patternsTables, pattern("1", "old", 1), pattern("2", "new", 3), pattern("3", "older", 0), `INSERT INTO patterns (id, type, pattern_data) VALUES ('x', 'reasoning_memory', 'no json')`), map[string]string{"n/k": `"new"`}},
		"both":         {database("ab.db", theirs[0], patternsTables, pattern("1", "pattern", 1), `INSERT INTO memory_entries (key, value) VALUES ('e', '7')`), map[string]string{"n/k": `"pattern"`, "default/e": `7`}},
		"v3":           {database("c.db", v3Tables, v3("k", "[1, 2]", "NULL", "active"), v3("gone", "1", "NULL", "deleted"), v3("old", "1", "NULL", "archived"), v3("late", "x", "9e12", "active")), map[string]string{"n/k": `[1,2]`, "n/late": `"x"`}},
		"older v3":     {database("d.db", later, v3("k", "text", "NULL", "active")), map[string]string{"n/k": `"text"`}},
		"a JSON store": {jsonFile, map[string]string{"n/k": `"v"`, "n/o": `{"a":1}`, "n/t": `{"b":2}`}},
	} {
		before, err := os.ReadFile(test.path)
		if err != nil {
			t.Fatal(err)
		}
		m := mustRead(t, test.path)
		if diff := cmp.Diff(test.want, values(m)); diff != "" {
			t.Errorf("%s: it reads otherwise (-want +got):\n%s", title, diff)
		}
		for _, e := range m.Entries {
			if e.Stamp <= 0 || e.Writer != "" {
				t.Errorf("%s: written at %d by %q", title, e.Stamp, e.Writer)
			}
		}
		if after, err := os.ReadFile(test.path); err != nil || string(after) != string(before) {
			t.Errorf("%s: reading changed the file (%v)", title, err)
		}
		if left, _ := filepath.Glob(test.path + "-*"); left != nil {
			t.Errorf("%s: reading left %v", title, left)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	mustExec(t, other, `CREATE TABLE t (a)`)
	for name, content := range map[string]string{"empty": "", "text": strings.Repeat("no database ", 99), "list.json": `[]`, "other.json": `{"a":1}`, "cut.json": `{"a":[`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if m, err := Read(t.Context(), filepath.Join(dir, name), time.Now); err == nil {
			t.Errorf("%s reads as %+v", name, m)
		}
	}
	for _, path := range []string{other, filepath.Join(dir, "none"), dir} {
		if m, err := Read(t.Context(), path, time.Now); err == nil {
			t.Errorf("%s reads as %+v", path, m)
		}
	}
}

// What is exported into a layout reads back the same; exported again it is written over, what is newer there and what is another's stay.
func TestExport(t *testing.T) {
	t.Parallel()
	for _, layout := range Layouts() {
		t.Run(string(layout), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s := mustOpen(t, file(t), c.now)
			path := filepath.Join(t.TempDir(), "deep", "out")
			if layout == LayoutJSON {
				path = filepath.Join(t.TempDir(), "out")
			}
			mustPut(t, s, Entry{Namespace: "n", Key: "text", Value: json.RawMessage(`"hello"`)}, Entry{Namespace: "n", Key: "object", Value: json.RawMessage(`{"a":"é"}`)},
				Entry{Key: "number", Value: json.RawMessage(`"12"`)}, Entry{Key: "gone", Value: json.RawMessage(`1`), TTL: time.Second}, Entry{Key: "deleted", Value: json.RawMessage(`1`)})
			if _, err := s.Add(t.Context(), "", "sum", 3); err != nil {
				t.Fatal(err)
			}
			c.pass(time.Minute)
			if _, err := s.Add(t.Context(), "", "sum", 4); err != nil {
				t.Fatal(err)
			}
			mustExport(t, s, path, layout)
			want := map[string]string{"n/text": `"hello"`, "n/object": `{"a":"é"}`, "default/number": `"12"`, "default/sum": `7`, "default/deleted": `1`}
			check := func(when string) {
				t.Helper()
				got := values(mustRead(t, path))
				if layout == LayoutEntries { // where the sum is apart
					got["default/sum"] = want["default/sum"]
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s it reads otherwise (-want +got):\n%s", when, diff)
				}
			}
			check("at first")
			c.pass(time.Minute)
			mustPut(t, s, Entry{Namespace: "n", Key: "text", Value: json.RawMessage(`"again"`)})
			if _, err := s.Delete(t.Context(), "", "deleted"); err != nil {
				t.Fatal(err)
			}
			mustExport(t, s, path, layout)
			want["n/text"] = `"again"`
			if layout != LayoutJSON {
				delete(want, "default/deleted")
			}
			check("again")
			older := mustOpen(t, file(t), newClock().now)
			mustPut(t, older, Entry{Namespace: "n", Key: "more", Value: json.RawMessage(`1`)}, Entry{Namespace: "n", Key: "text", Value: json.RawMessage(`"older"`)})
			mustExport(t, older, path, layout)
			want["n/more"] = `1`
			if layout != LayoutPatterns { // which is written to by one memory
				check("from another")
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("its mode is %v, %v", info.Mode(), err)
			}
		})
	}
}

// The command that reads a JSON store fails for a whole namespace in which one value is no text.
func TestExportJSONWritesTexts(t *testing.T) {
	t.Parallel()
	s, path := mustOpen(t, file(t), newClock().now), filepath.Join(t.TempDir(), "store.json")
	mustPut(t, s, Entry{Key: "text", Value: json.RawMessage(`"hello"`)}, Entry{Key: "object", Value: json.RawMessage(`{"a":1}`)}, Entry{Key: "number in text", Value: json.RawMessage(`"12"`)})
	mustExport(t, s, path, LayoutJSON)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]struct{ Key, Value string }
	if err := json.Unmarshal(content, &all); err != nil || len(all["default"]) != 3 {
		t.Errorf("%v: %s", err, content)
	}
}

// An export leaves a file alone that is of another layout, or the memory itself.
func TestExportRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := filepath.Join(dir, "own.db")
	s := mustOpen(t, own, newClock().now)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`)})
	a, c, guarded, text := filepath.Join(dir, "a.db"), filepath.Join(dir, "c.db"), filepath.Join(dir, "g.db"), filepath.Join(dir, "text")
	mustExec(t, a, theirs...)
	mustExec(t, c, v3Tables)
	mustExec(t, guarded, v3Tables, `CREATE TRIGGER t AFTER INSERT ON memory_entries BEGIN DELETE FROM memory_entries; END`)
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 99)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path   string
		layout Layout
	}{{a, LayoutV3}, {guarded, LayoutV3}, {text, LayoutV3}, {text, LayoutPatterns}, {text, LayoutEntries}, {text, LayoutJSON}, {own, LayoutEntries}, {own, LayoutV3}, {own, LayoutJSON}, {a, "v9"}, {c, LayoutJSON}} {
		before, err := os.ReadFile(test.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Export(t.Context(), test.path, test.layout); err == nil {
			t.Errorf("Export(%s, %s) succeeds", test.path, test.layout)
		}
		if after, err := os.ReadFile(test.path); test.path != own && (err != nil || entriesOf(t, test.path, before) != entriesOf(t, test.path, after)) {
			t.Errorf("Export(%s, %s) changed the file (%v)", test.path, test.layout, err)
		}
	}
}

// entriesOf compares a file without what SQLite keeps of its journal in its header.
func entriesOf(tb testing.TB, path string, content []byte) string {
	tb.Helper()
	return string(content[min(len(content), headerSize):])
}

// The vector is, bit for bit, the one that agentic-flow 1.10.2 makes of the text in Node.
func TestEmbedding(t *testing.T) {
	t.Parallel()
	const want = "28bee216df8c817db05563d1bddf6ffbf5eb3ea27e8b15f582c972e8f843b57d"
	if got := fmt.Sprintf("%x", sha256.Sum256(embedding("hello world"))); got != want {
		t.Errorf("the vector has the digest %s, want %s", got, want)
	}
}

// A file of the layout v3 stays where it is: it is read and written with the rules of its own.
func TestWorksBesideV3(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := file(t)
	mustExec(t, path, v3Tables, fmt.Sprintf(theirV3, "theirs", "hello", begin.UnixMilli(), "NULL", "active"), fmt.Sprintf(theirV3, "gone", "1", begin.UnixMilli(), "NULL", "active"))
	s, notice, err := OpenOrSetAside(t.Context(), path, c.now)
	if err != nil || notice != "" {
		t.Fatalf("OpenOrSetAside() = %q, %v", notice, err)
	}
	if got := string(mustGet(t, s, "n", "theirs").Value); got != `"hello"` {
		t.Errorf("what was there reads %s", got)
	}
	c.pass(time.Second)
	mustPut(t, s, Entry{Namespace: "n", Key: "ours", Value: json.RawMessage(`{"a":1}`), TTL: time.Hour})
	if _, err := s.Delete(t.Context(), "n", "gone"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	got := texts(t, db, `SELECT key||' '||content||' '||status||' '||coalesce(expires_at,'')||' '||updated_at FROM memory_entries ORDER BY key`)
	later := begin.Add(time.Second)
	want := []string{fmt.Sprintf("gone 1 deleted %d", later.UnixMilli()), fmt.Sprintf(`ours {"a":1} active %d %d`, (later.Unix()+3600)*1000, later.UnixMilli()),
		fmt.Sprintf("theirs hello active %d", begin.UnixMilli())}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it holds something else (-want +got):\n%s", diff)
	}
	mustExec(t, path, fmt.Sprintf(`UPDATE memory_entries SET content = 'changed', updated_at = %d WHERE key = 'ours'`, begin.Add(time.Minute).UnixMilli()))
	c.pass(time.Hour / 2)
	if got := string(mustGet(t, mustOpen(t, path, c.now), "n", "ours").Value); got != `"changed"` {
		t.Errorf("what was changed there reads %s", got)
	}
}
