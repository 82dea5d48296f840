package memory

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func page(tb testing.TB, s *Store, q Query) []string {
	tb.Helper()
	entries, err := s.Page(tb.Context(), q)
	if err != nil {
		tb.Fatalf("Page(%+v): %v", q, err)
	}
	keys := []string{}
	for _, e := range entries {
		keys = append(keys, e.Namespace+"/"+e.Key)
	}
	return keys
}

func TestPage(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	put := func(namespace, key, value string) {
		mustPut(t, s, Entry{Namespace: namespace, Key: key, Value: json.RawMessage(value)})
		c.pass(time.Millisecond)
	}
	put("builds", "backend", `{"reason":"package-lock.json changed","who":"Zoë"}`)
	put("builds", "frontend", `"cached"`)
	put("scans", "backend", `{"text":"line one\nnothing here","n":12345}`)
	put("100%", "a_b", `"100% AND \"or\" NOT NEAR"`)
	mustPut(t, s, Entry{Namespace: "builds", Key: "old", Value: json.RawMessage(`"cached"`), TTL: time.Second})
	c.pass(time.Minute)
	for _, test := range []struct {
		Query
		want []string
	}{
		{Query{}, []string{"100%/a_b", "scans/backend", "builds/frontend", "builds/backend"}},
		{Query{Namespace: "builds"}, []string{"builds/frontend", "builds/backend"}},
		{Query{Limit: 2}, []string{"100%/a_b", "scans/backend"}},
		{Query{Limit: 2, Offset: 1}, []string{"scans/backend", "builds/frontend"}},
		{Query{Offset: 9}, []string{}},
		{Query{Prefix: "back"}, []string{"scans/backend", "builds/backend"}},
		{Query{Prefix: "a_"}, []string{"100%/a_b"}},
		{Query{Prefix: "%"}, []string{}},
		{Query{Text: "BACKEND"}, []string{"scans/backend", "builds/backend"}},
		{Query{Text: "backend", Limit: 1, Offset: 1}, []string{"builds/backend"}},
		{Query{Text: "backend", Namespace: "builds"}, []string{"builds/backend"}},
		{Query{Text: "cached", Prefix: "front"}, []string{"builds/frontend"}},
		{Query{Text: "package-lock.json"}, []string{"builds/backend"}},
		{Query{Text: "lock-package"}, []string{}},
		{Query{Text: "changed zoe"}, []string{"builds/backend"}},
		{Query{Text: "chan*"}, []string{"builds/backend"}},
		{Query{Text: "chan"}, []string{}},
		{Query{Text: "nothing"}, []string{"scans/backend"}},
		{Query{Text: "nnothing"}, []string{}},
		{Query{Text: "12345"}, []string{"scans/backend"}},
		{Query{Text: "cached"}, []string{"builds/frontend"}},
		{Query{Text: `AND`}, []string{"100%/a_b"}},
		{Query{Text: `"or"`}, []string{"100%/a_b"}},
		{Query{Text: `backend OR cached`}, []string{}},
		{Query{Text: `%`}, []string{}},
		{Query{Text: `" * ( ) - ^ text:`}, []string{"scans/backend"}},
		{Query{Text: "a\x00b \xff"}, []string{"100%/a_b"}},
		{Query{Text: strings.Repeat("(", 500) + "x"}, []string{}},
		{Query{Namespace: "%"}, []string{}},
	} {
		if diff := cmp.Diff(test.want, page(t, s, test.Query)); diff != "" {
			t.Errorf("Page(%+v) differs (-want +got):\n%s", test.Query, diff)
		}
	}
}

// What is written anew is found by its new words alone; what another tool wrote is found, too.
func TestSearchFollowsWrites(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := file(t)
	s := mustOpen(t, path, c.now)
	mustPut(t, s, Entry{Key: "ours", Value: json.RawMessage(`"apple"`)}, Entry{Key: "gone", Value: json.RawMessage(`"apple"`)})
	check := func(when, text string, want ...string) {
		t.Helper()
		if got := page(t, s, Query{Text: text}); !slices.Equal(got, want) {
			t.Errorf("%s, %q finds %v, want %v", when, text, got, want)
		}
	}
	check("first", "apple", "default/gone", "default/ours")
	mustPut(t, s, Entry{Key: "ours", Value: json.RawMessage(`"pear"`)})
	check("written anew", "apple", "default/gone")
	check("written anew", "pear", "default/ours")

	now := begin.Unix()
	upsert := strings.NewReplacer("?1", "'%s'", "?2", "'%s'", "?3", "'default'", "?4", "NULL", "?5", fmt.Sprint(now), "?6", "NULL", "?7", "NULL").Replace(theirWrite)
	mustExec(t, path, fmt.Sprintf(upsert, "theirs", "cherry"), fmt.Sprintf(upsert, "ours", "cherry"), `DELETE FROM memory_entries WHERE key = 'gone'`)
	check("after theirs", "cherry", "default/theirs", "default/ours")
	check("after theirs", "apple")
	check("after theirs", "pear")
	got, err := s.History(t.Context(), "", "ours")
	want := []Version{{Value: json.RawMessage(`"cherry"`), At: begin.Add(2 * time.Millisecond)}, {Value: json.RawMessage(`"apple"`), At: begin, Writer: s.writer}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("History() fails with %v or differs (-want +got):\n%s", err, diff)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("compacted", "cherry", "default/theirs", "default/ours")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now, WithWriter("org/repo/7-1/api"))
	if got, err := s.History(t.Context(), "", "k"); err != nil || got != nil {
		t.Errorf("of nothing History() = %v, %v", got, err)
	}
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`)})
	c.pass(time.Second)
	if found, err := s.Delete(t.Context(), "", "k"); err != nil || !found {
		t.Errorf("Delete() = %v, %v", found, err)
	}
	deleted := []Version{{At: begin.Add(time.Second), Writer: s.writer, Deleted: true}, {Value: json.RawMessage(`1`), At: begin, Writer: s.writer}}
	got, err := s.History(t.Context(), "", "k")
	if diff := cmp.Diff(deleted, got); err != nil || diff != "" {
		t.Errorf("History() fails with %v or differs (-want +got):\n%s", err, diff)
	}
	if !strings.HasPrefix(s.writer, "org/repo/7-1/api#") {
		t.Errorf("the writer is %s", s.writer)
	}
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`2`)}) // at the same time
	want := append([]Version{{Value: json.RawMessage(`2`), At: begin.Add(time.Second + time.Millisecond), Writer: s.writer}}, deleted...)
	got, err = s.History(t.Context(), "", "k")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("History() fails with %v or differs (-want +got):\n%s", err, diff)
	}
	for i := range 30 {
		mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(fmt.Sprint(100 + i))})
	}
	got, err = s.History(t.Context(), "", "k")
	if err != nil || len(got) != 20 || string(got[0].Value) != "129" || string(got[19].Value) != "110" {
		t.Errorf("History() = %v, %v; want the last 20", got, err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`)}, Entry{Key: "short", Value: json.RawMessage(`1`), TTL: time.Second})
	older := mustDelta(t, s)
	c.pass(time.Minute)
	for _, test := range []struct {
		key  string
		want bool
	}{{"k", true}, {"k", false}, {"short", false}, {"none", false}} {
		if got, err := s.Delete(t.Context(), "default", test.key); err != nil || got != test.want {
			t.Errorf("Delete(%s) = %v, %v; want %v", test.key, got, err, test.want)
		}
	}
	if got := mustApply(t, s, older); got != (Merged{Kept: 2}) {
		t.Errorf("what was deleted: %+v", got)
	}
	if got := keys(t, s, ""); got != nil {
		t.Errorf("there is %v again", got)
	}
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`2`)})
	if got := mustDelta(t, s); len(got.Entries) != 1 || len(got.Deleted) != 1 {
		t.Errorf("written again, the memory is %+v", got)
	}
}

func TestCompareAndSet(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	for i, step := range []struct {
		old, value string
		want       bool
	}{
		{`1`, `2`, false},
		{``, `{"a":1,"b":2}`, true},
		{``, `2`, false},
		{`{"b":2}`, `3`, false},
		{`{`, `3`, false},
		{`{ "b": 2, "a": 1 }`, `4`, true},
		{`null`, `5`, false},
		{`4`, `"x"`, true},
	} {
		var old json.RawMessage
		if step.old != "" {
			old = json.RawMessage(step.old)
		}
		got, err := s.CompareAndSet(t.Context(), Entry{Key: "k", Value: json.RawMessage(step.value), TTL: time.Minute}, old)
		if err != nil || got != step.want {
			t.Errorf("step %d: CompareAndSet(%s, %s) = %v, %v; want %v", i, step.value, step.old, got, err, step.want)
		}
	}
	c.pass(time.Hour)
	e := Entry{Key: "k", Value: json.RawMessage(`6`)}
	if got, err := s.CompareAndSet(t.Context(), e, json.RawMessage(`"x"`)); err != nil || got {
		t.Errorf("against what has expired it is %v, %v", got, err)
	}
	if got, err := s.CompareAndSet(t.Context(), e, nil); err != nil || !got {
		t.Errorf("over what has expired it is %v, %v", got, err)
	}
	if _, err := s.CompareAndSet(t.Context(), Entry{Key: "k"}, nil); err == nil {
		t.Error("it takes no value at all")
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	add := func(key string, n, want int64) {
		t.Helper()
		if got, err := s.Add(t.Context(), "", key, n); err != nil || got != want {
			t.Errorf("Add(%s, %d) = %d, %v; want %d", key, n, got, err, want)
		}
		if got := string(mustGet(t, s, "", key).Value); got != fmt.Sprint(want) {
			t.Errorf("after Add(%s, %d) the entry is %s, want %d", key, n, got, want)
		}
	}
	add("new", 2, 2)
	add("new", -5, -3)
	mustPut(t, s, Entry{Key: "put", Value: json.RawMessage(`40`), Metadata: json.RawMessage(`{"a":1}`), TTL: time.Minute}, Entry{Key: "text", Value: json.RawMessage(`"x"`)})
	add("put", 2, 42)
	if got := mustGet(t, s, "", "put"); got.TTL == 0 || string(got.Metadata) != `{"a":1}` {
		t.Errorf("the entry that counts is %+v", got)
	}
	c.pass(time.Hour)
	add("put", 1, 1)
	mustPut(t, s, Entry{Key: "put", Value: json.RawMessage(`7`)})
	add("put", 1, 8)
	if _, err := s.Delete(t.Context(), "", "put"); err != nil {
		t.Fatal(err)
	}
	add("put", 3, 3)
	for key, n := range map[string]int64{"text": 1, "new": math.MinInt64} {
		if got, err := s.Add(t.Context(), "", key, n); err == nil {
			t.Errorf("Add(%s, %d) = %d", key, n, got)
		}
	}
	if wrong, err := s.Verify(t.Context()); err != nil || wrong != nil {
		t.Errorf("Verify() = %v, %v", wrong, err)
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	mustPut(t, s, Entry{Namespace: "b", Key: "k", Value: json.RawMessage(`"é"`)}, Entry{Namespace: "a", Key: "gone", Value: json.RawMessage(`1`), TTL: time.Second})
	c.pass(time.Minute)
	mustPut(t, s, Entry{Namespace: "b", Key: "kk", Value: json.RawMessage(`1`)})
	want := []NamespaceStats{{Namespace: "b", Entries: 2, Bytes: 6, Newest: begin.Add(time.Minute)}}
	got, err := s.Namespaces(t.Context())
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(time.Second)); err != nil || diff != "" {
		t.Errorf("Namespaces() fails with %v or differs (-want +got):\n%s", err, diff)
	}
}

func TestDelta(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := file(t)
	s := mustOpen(t, path, c.now)
	mustPut(t, s, Entry{Key: "before", Value: json.RawMessage(`1`)}, Entry{Key: "deleted", Value: json.RawMessage(`1`)})
	c.pass(10 * time.Second)
	since := c.now()
	c.pass(time.Millisecond)
	mustExec(t, path, fmt.Sprintf(`INSERT INTO memory_entries (key, value, updated_at) VALUES ('theirs', '1', %d)`, c.now().Unix()))
	mustPut(t, s, Entry{Key: "after", Value: json.RawMessage(`1`)})
	if _, err := s.Delete(t.Context(), "", "deleted"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), "", "n", 5); err != nil {
		t.Fatal(err)
	}
	m, err := s.Delta(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range m.Entries {
		got = append(got, e.Key)
	}
	if !slices.Equal(got, []string{"after", "theirs"}) || len(m.Deleted) != 1 || len(m.Counters) != 1 {
		t.Errorf("Delta() = %+v", m)
	}
	text, err := json.Marshal(m)
	var back Memory
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, back); err != nil || diff != "" {
		t.Errorf("it does not travel (%v):\n%s", err, diff)
	}
	other := mustOpen(t, file(t), c.now)
	if got := mustApply(t, other, back); got != (Merged{Added: 3, Deleted: 1}) {
		t.Errorf("Apply() = %+v", got)
	}
	mustGet(t, other, "", "theirs")
}

// What is not what was written is not shown, kept or handed on; and may be written over. What another tool wrote is no such thing.
func TestAlteredEntries(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := file(t)
	s := mustOpen(t, path, c.now)
	for i, alter := range []string{`value = '{"a":2}'`, `key = 'other'`, `namespace = 'other'`, `expires_at = expires_at + 1`, `metadata = '{"b":1}'`} {
		namespace := fmt.Sprint("n", i)
		mustPut(t, s, Entry{Namespace: namespace, Key: "k", Value: json.RawMessage(`{"a":1}`), TTL: time.Hour}, Entry{Namespace: namespace, Key: "good", Value: json.RawMessage(`1`)})
		mustExec(t, path, `UPDATE memory_entries SET `+alter+` WHERE key = 'k' AND namespace = '`+namespace+`'`)
		for _, name := range [][2]string{{namespace, "k"}, {namespace, "other"}, {"other", "k"}} {
			if e, ok, err := s.Get(t.Context(), name[0], name[1]); ok || err != nil {
				t.Errorf("%s: Get(%q) = %s, %v", alter, name, e.Value, err)
			}
		}
		if got := append(page(t, s, Query{Namespace: namespace}), page(t, s, Query{Namespace: "other"})...); !slices.Equal(got, []string{namespace + "/good"}) {
			t.Errorf("%s: Page() = %v", alter, got)
		}
		if wrong, err := s.Verify(t.Context()); err != nil || len(wrong) != 1 {
			t.Errorf("%s: Verify() = %v, %v", alter, wrong, err)
		}
		for _, e := range mustDelta(t, s).Entries {
			if e.Namespace == namespace && e.Key != "good" {
				t.Errorf("%s: Delta() hands on %+v", alter, e)
			}
		}
		if i != 1 && i != 2 { // where it is found under its name
			if ok, err := s.CompareAndSet(t.Context(), Entry{Namespace: namespace, Key: "k", Value: json.RawMessage(`3`)}, nil); err != nil || !ok {
				t.Errorf("%s: CompareAndSet() = %v, %v", alter, ok, err)
			}
			if got, err := s.History(t.Context(), namespace, "k"); err != nil || len(got) != 1 {
				t.Errorf("%s: History() = %v, %v", alter, got, err)
			}
		}
		mustExec(t, path, `DELETE FROM memory_entries`)
		if _, err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
