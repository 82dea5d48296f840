package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/ghcr-publish/internal/memory"
)

// remembered opens a memory of ours that is beside the original's.
func (o *original) remembered(entries ...memory.Entry) *memory.Store {
	o.t.Helper()
	s, err := memory.Open(o.t.Context(), filepath.Join(o.dir, "ours.db"), time.Now)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = s.Close() })
	put(o.t, s, entries...)
	return s
}

func export(t *testing.T, s *memory.Store, path string, layout memory.Layout) {
	t.Helper()
	if err := s.Export(t.Context(), path, layout); err != nil {
		t.Fatal(err)
	}
}

// take reads another file and merges it into ours.
func take(t *testing.T, s *memory.Store, path string) {
	t.Helper()
	m, err := memory.Read(t.Context(), path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if merged, err := s.Apply(t.Context(), m); err != nil || merged.Refused > 0 {
		t.Fatalf("merging %s: %+v, %v", path, merged, err)
	}
}

func entry(namespace, key, value string) memory.Entry {
	return memory.Entry{Namespace: namespace, Key: key, Value: json.RawMessage(value)}
}

// shared are entries of ours that are exported for others.
func shared() []memory.Entry {
	lasting := entry("ns", "object", `{"a":[1,"é"]}`)
	lasting.TTL = time.Hour
	return []memory.Entry{entry("ns", "text", `"hello wörld"`), lasting, entry("ns", "number in text", `"123"`), entry("ns", "gone", `1`)}
}

// TestMemoryOf3 shares a memory with claude-flow 3, whose file has a layout of its own.
func TestMemoryOf3(t *testing.T) {
	o := newOriginal(t, "3.43.0")
	s := o.remembered(shared()...)
	export(t, s, o.memory(), memory.LayoutV3)

	want := map[string]string{"text": "hello wörld", "object": `{"a":[1,"é"]}`, "number in text": `"123"`}
	for key, value := range want {
		if got := o.run("memory", "retrieve", "--key", key, "--namespace", "ns", "--value-only"); !strings.HasSuffix(got, value) {
			t.Errorf("it reads %s as %q, want %s", key, got, value)
		}
	}
	if got := o.run("memory", "search", "--query", "hello wörld"); !strings.Contains(got, "text") {
		t.Errorf("it does not find the text:\n%s", got)
	}

	o.run("memory", "store", "--key", "theirs", "--namespace", "ns", "--value", `{"b":2}`, "--ttl", "3600", "--tags", "a,b")
	o.run("memory", "store", "--key", "text", "--namespace", "ns", "--value", "changed by them")
	o.run("memory", "delete", "--key", "gone", "--namespace", "ns", "--force")
	take(t, s, o.memory())
	compareValues(t, map[string]string{"text": `"changed by them"`, "object": `{"a":[1,"é"]}`, "number in text": `"123"`, "theirs": `{"b":2}`}, list(t, s, "ns"))
	for _, key := range []string{"object", "theirs"} {
		if e, ok, err := s.Get(t.Context(), "ns", key); err != nil || !ok || e.TTL < 59*time.Minute || e.TTL > time.Hour+time.Second { // it counts in milliseconds
			t.Errorf("%s is to live for %s, %v, %v; want an hour", key, e.TTL, ok, err)
		}
	}

	put(t, s, entry("ns", "theirs", `"changed by us"`))
	if deleted, err := s.Delete(t.Context(), "ns", "text"); err != nil || !deleted {
		t.Errorf("Delete() = %v, %v", deleted, err)
	}
	export(t, s, o.memory(), memory.LayoutV3)
	if got := o.run("memory", "retrieve", "--key", "theirs", "--namespace", "ns", "--value-only"); !strings.HasSuffix(got, "changed by us") {
		t.Errorf("it reads what we wrote over its entry as %q", got)
	}
	var listed []struct{ Key string }
	out := o.run("memory", "list", "--namespace", "ns", "--format", "json")
	if err := json.Unmarshal([]byte(out[max(strings.Index(out, "["), 0):]), &listed); err != nil || len(listed) != 3 {
		t.Errorf("it lists %v, %v; want three entries:\n%s", listed, err, out)
	}
	o.checkWhole()
}

// TestBesideMemoryOf3 works where claude-flow 3 keeps its memory, which stays as it is but for the entries.
func TestBesideMemoryOf3(t *testing.T) {
	o := newOriginal(t, "3.43.0")
	o.run("memory", "init")
	o.run("memory", "store", "--key", "theirs", "--namespace", "ns", "--value", "a value")
	tables := o.query("SELECT name FROM sqlite_master ORDER BY name")
	for round, want := range []string{`"a value"`, `"another value"`} {
		s := o.store(time.Now)
		if got := list(t, s, "ns")["theirs"]; got != want {
			t.Errorf("we read %s, want %s", got, want)
		}
		put(t, s, entry("ns", fmt.Sprint("ours", round), `{"a":1}`), entry("ns", "theirs", `"ours"`))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{fmt.Sprint("ours", round): `{"a":1}`, "theirs": "ours"} {
			if got := o.run("memory", "retrieve", "--key", key, "--namespace", "ns", "--value-only"); !strings.HasSuffix(got, want) {
				t.Errorf("it reads %s as %q, want %s", key, got, want)
			}
		}
		o.run("memory", "store", "--key", "theirs", "--namespace", "ns", "--value", "another value")
	}
	if diff := cmp.Diff(tables, o.query("SELECT name FROM sqlite_master ORDER BY name")); diff != "" {
		t.Errorf("its file has other tables than before (-before +after):\n%s", diff)
	}
	o.checkWhole()
}

// TestWritingAtOnceWith3 writes through this program and claude-flow 3 at the same time, to a file of the latter's.
func TestWritingAtOnceWith3(t *testing.T) {
	const writers, theirs, rounds = 3, 3, 6
	o := newOriginal(t, "3.43.0")
	o.run("memory", "init")
	var g sync.WaitGroup
	for n := range theirs {
		g.Go(func() {
			key := fmt.Sprint("theirs", n)
			if log, err := attempt(t.Context(), o.theirs("memory", "store", "--key", key, "--namespace", "ns", "--value", key)); err != nil {
				t.Errorf("%v\n%s", err, log)
			}
		})
	}
	for w := range writers {
		g.Go(func() {
			for i := range rounds {
				if log, err := attempt(t.Context(), o.ours("store", fmt.Sprint("ours", w, "-", i), "a value", "--namespace", "ns")); err != nil {
					t.Errorf("%v\n%s", err, log)
				}
			}
		})
	}
	g.Wait()
	if got, want := o.query("SELECT count(*) FROM memory_entries WHERE namespace = 'ns' AND status = 'active'")[0], fmt.Sprint(theirs+writers*rounds); got != want {
		t.Errorf("there are %s entries in the file, want %s", got, want)
	}
	if got, want := len(list(t, o.store(time.Now), "ns")), theirs+writers*rounds; got != want {
		t.Errorf("we read %d entries, want %d", got, want)
	}
	o.checkWhole()
}

// TestLayoutIsThatOf3 compares the tables of a file that claude-flow 3 began with those of one that we exported.
func TestLayoutIsThatOf3(t *testing.T) {
	began := newOriginal(t, "3.43.0")
	began.run("memory", "init")
	ours := newOriginal(t, "3.43.0")
	export(t, ours.remembered(shared()...), ours.memory(), memory.LayoutV3)
	for _, statement := range []string{
		"SELECT json_array(cid, name, type, \"notnull\", dflt_value, pk) FROM pragma_table_info('memory_entries')",
		"SELECT json_array(cid, name, type, \"notnull\", dflt_value, pk) FROM pragma_table_info('metadata')",
		"SELECT value FROM metadata WHERE key = 'schema_version'",
	} {
		if diff := cmp.Diff(began.query(statement), ours.query(statement)); diff != "" {
			t.Errorf("%s differs (-claude-flow +this program):\n%s", statement, diff)
		}
	}
	// What we write goes into a file of its own making, too.
	export(t, ours.remembered(), began.memory(), memory.LayoutV3)
	if got := began.query("SELECT count(*) FROM memory_entries WHERE namespace = 'ns'"); !slices.Equal(got, []string{"4"}) {
		t.Errorf("there are %s of our entries in its file", got)
	}
	began.checkWhole()
}

// TestOurFileAlteredBy3 lets claude-flow 3 at a file of ours, to which it adds a column before it fails. We, and claude-flow 2, go on with it.
func TestOurFileAlteredBy3(t *testing.T) {
	o := newOriginal(t, "3.43.0")
	s := o.store(time.Now)
	put(t, s, shared()...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := o.query("SELECT count(*) FROM pragma_table_info('memory_entries')")
	for _, args := range [][]string{{"list"}, {"store", "--key", "k", "--namespace", "ns", "--value", "v"}} {
		_, _ = attempt(t.Context(), o.theirs(append([]string{"memory"}, args...)...)) // it fails, or says that it did
	}
	if after := o.query("SELECT count(*) FROM pragma_table_info('memory_entries')"); slices.Equal(before, after) {
		t.Errorf("it altered nothing, so this shows nothing: %s columns", after)
	}
	second := newOriginal(t, "2.0.0-alpha.88")
	second.dir = o.dir
	second.run("hooks", "notify", "--message", "still here")

	s = o.store(time.Now)
	if got := list(t, s, "ns"); len(got) < 4 || got["text"] != `"hello wörld"` {
		t.Errorf("we read %v", got)
	}
	if got := list(t, s, "hooks:notify"); len(got) != 1 {
		t.Errorf("claude-flow 2 left %v", got)
	}
	put(t, s, entry("ns", "text", `"once more"`))
	if got := list(t, s, "ns")["text"]; got != `"once more"` {
		t.Errorf("we read %s", got)
	}
	o.checkWhole()
}

// TestMemoryOf27 shares a memory with the command `memory` of claude-flow 2.7, which keeps it in tables of its own in the same file.
func TestMemoryOf27(t *testing.T) {
	o := newOriginal(t, "2.7.47")
	s := o.store(time.Now)
	put(t, s, append(shared(), entry("alone", "k", `"hello there"`))...)
	export(t, s, o.memory(), memory.LayoutPatterns)
	if got := o.run("memory", "list", "--namespace", "ns"); !strings.Contains(got, "text") || !strings.Contains(got, "hello wörld") {
		t.Errorf("it lists no text of ours:\n%s", got)
	}
	// It shows the three that it takes for the nearest, which depends on whether it has a model.
	if got := o.run("memory", "query", "hello there", "--namespace", "alone"); !strings.Contains(got, "Value: hello there") {
		t.Errorf("it finds no text of ours:\n%s", got)
	}

	o.run("memory", "store", "theirs", "a value", "--namespace", "ns")
	o.run("memory", "store", "theirs", "a newer value", "--namespace", "ns")
	o.run("hooks", "notify", "--message", "still here")
	take(t, s, o.memory())
	got := list(t, s, "ns")
	if len(got) != 5 || got["theirs"] != `"a newer value"` || got["text"] != `"hello wörld"` {
		t.Errorf("we read %v", got)
	}
	put(t, s, entry("ns", "text", `"changed by us"`))
	export(t, s, o.memory(), memory.LayoutPatterns)
	if got := o.run("memory", "list", "--namespace", "ns"); !strings.Contains(got, "changed by us") || strings.Contains(got, "hello wörld") {
		t.Errorf("it lists what was written over:\n%s", got)
	}
	if got := list(t, s, "hooks:notify"); len(got) != 1 {
		t.Errorf("its hooks left %v", got)
	}
	o.checkWhole()
}

// TestMemoryOf20 shares a memory with the command `memory` of claude-flow 2.0, which keeps it as JSON.
func TestMemoryOf20(t *testing.T) {
	o := newOriginal(t, "2.0.0-alpha.88")
	s := o.remembered(shared()...)
	file := filepath.Join(o.dir, "memory", "memory-store.json")
	o.run("memory", "store", "theirs", "a value", "--namespace", "ns")
	export(t, s, file, memory.LayoutJSON)
	if got := o.run("memory", "query", "wörld", "--namespace", "ns"); !strings.Contains(got, "Found 1 results") || !strings.Contains(got, "Value: hello wörld") {
		t.Errorf("it finds no text of ours:\n%s", got)
	}
	if got := o.run("memory", "stats"); !strings.Contains(got, "Total Entries: 5") || !strings.Contains(got, "Namespaces: 1") {
		t.Errorf("it counts otherwise:\n%s", got)
	}
	o.run("memory", "store", "theirs too", "another value", "--namespace", "ns")
	take(t, s, file)
	got := list(t, s, "ns")
	if len(got) != 6 || got["theirs"] != `"a value"` || got["theirs too"] != `"another value"` || got["object"] != `{"a":[1,"é"]}` {
		t.Errorf("we read %v", got)
	}
}
