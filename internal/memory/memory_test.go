package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var begin = time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)

// A clock is moved by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: begin} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func mustOpen(tb testing.TB, path string, now func() time.Time, options ...Option) *Store {
	tb.Helper()
	s, err := Open(context.Background(), path, now, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil && !strings.Contains(err.Error(), "closed") {
			tb.Error(err)
		}
	})
	return s
}

func mustPut(tb testing.TB, s *Store, entries ...Entry) {
	tb.Helper()
	if err := s.Put(tb.Context(), entries...); err != nil {
		tb.Fatal(err)
	}
}

func mustGet(tb testing.TB, s *Store, namespace, key string) Entry {
	tb.Helper()
	e, ok, err := s.Get(tb.Context(), namespace, key)
	if err != nil || !ok {
		tb.Fatalf("Get(%q, %q) = %v, %v, %v; want an entry", namespace, key, e, ok, err)
	}
	return e
}

func file(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "deep", ".swarm", "memory.db")
}

func TestPutGet(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now)
	mustPut(t, s, Entry{Namespace: "builds", Key: "api::linux/amd64\n2", Value: json.RawMessage(`{"success": true}`),
		Metadata: json.RawMessage(` {"by": "test"}`), TTL: time.Hour})
	got := mustGet(t, s, "builds", "api::linux/amd64\n2")
	want := Entry{Namespace: "builds", Key: "api::linux/amd64\n2", Value: json.RawMessage(`{"success":true}`),
		Metadata: json.RawMessage(`{"by":"test"}`), TTL: time.Hour,
		CreatedAt: begin.Truncate(time.Second), UpdatedAt: begin.Truncate(time.Second), AccessCount: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entry differs (-want +got):\n%s", diff)
	}
	if _, ok, err := s.Get(t.Context(), "scans", "api::linux/amd64\n2"); ok || err != nil {
		t.Errorf("Get() in another namespace = %v, %v; want nothing", ok, err)
	}
}

func TestGetCountsAccesses(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`)})
	mustGet(t, s, "default", "k")
	c.pass(time.Minute)
	if got := mustGet(t, s, "", "k").AccessCount; got != 2 {
		t.Errorf("after two reads the count is %d", got)
	}
	want := "1|" + fmt.Sprint(begin.Unix()) + "|" + fmt.Sprint(begin.Unix()) + "|" + fmt.Sprint(begin.Unix()+60) + "|2"
	if got := rowText(t, s, "k"); got != want {
		t.Errorf("id|created|updated|accessed|count = %s, want %s", got, want)
	}
}

func rowText(tb testing.TB, s *Store, key string) string {
	tb.Helper()
	var text string
	err := s.db.QueryRowContext(tb.Context(), `SELECT id||'|'||created_at||'|'||updated_at||'|'||accessed_at||'|'||access_count
FROM memory_entries WHERE key = ?`, key).Scan(&text)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestPutAgain(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`), Metadata: json.RawMessage(`{"a":1}`), TTL: time.Minute},
		Entry{Key: "later", Value: json.RawMessage(`1`)})
	c.pass(10 * time.Second)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`2`)})

	then := begin.Unix()
	if got, want := rowText(t, s, "k"), fmt.Sprintf("1|%d|%d|%d|1", then, then+10, then); got != want {
		t.Errorf("id|created|updated|accessed|count = %s, want %s", got, want)
	}
	c.pass(time.Hour)
	got := mustGet(t, s, "default", "k")
	if string(got.Value) != "2" || got.Metadata != nil || got.TTL != 0 {
		t.Errorf("after a write without a time to live the entry is %+v", got)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	mustPut(t, s, Entry{Key: "short", Value: json.RawMessage(`1`), TTL: 5 * time.Second}, Entry{Key: "ever", Value: json.RawMessage(`1`)})
	c.pass(4 * time.Second)
	mustGet(t, s, "", "short")
	c.pass(time.Second)
	if _, ok, err := s.Get(t.Context(), "", "short"); ok || err != nil {
		t.Errorf("in the second it expires Get() = %v, %v; want nothing", ok, err)
	}
	if got := keys(t, s, ""); !slices.Equal(got, []string{"ever"}) {
		t.Errorf("listed %v, want the one that lives", got)
	}
	for _, want := range []int{1, 0} {
		if got, err := s.Purge(t.Context()); err != nil || got != want {
			t.Errorf("Purge() = %d, %v; want %d", got, err, want)
		}
	}
}

func keys(tb testing.TB, s *Store, namespace string) []string {
	tb.Helper()
	entries, err := s.List(tb.Context(), namespace, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestListNewestFirst(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	one := json.RawMessage(`1`)
	mustPut(t, s, Entry{Namespace: "n", Key: "a", Value: one}, Entry{Namespace: "n", Key: "b", Value: one}, Entry{Key: "other", Value: one})
	c.pass(time.Second)
	mustPut(t, s, Entry{Namespace: "n", Key: "c", Value: one})
	if got, want := keys(t, s, "n"), []string{"c", "b", "a"}; !slices.Equal(got, want) {
		t.Errorf("List() = %v, want %v", got, want)
	}
	first, err := s.List(t.Context(), "n", 1)
	if err != nil || len(first) != 1 || first[0].Key != "c" || first[0].AccessCount != 0 {
		t.Errorf("List(1) = %v, %v; want c, not counted", first, err)
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now)
	one := json.RawMessage(`1`)
	for name, e := range map[string]Entry{
		"empty key":          {Value: one},
		"key not UTF-8":      {Key: "a\xff", Value: one},
		"key with NUL":       {Key: "a\x00b", Value: one},
		"namespace with NUL": {Namespace: "\x00", Key: "k", Value: one},
		"no value":           {Key: "k"},
		"value not JSON":     {Key: "k", Value: json.RawMessage(`{`)},
		"metadata not JSON":  {Key: "k", Value: one, Metadata: json.RawMessage(`{"a"`)},
		"metadata a list":    {Key: "k", Value: one, Metadata: json.RawMessage(`[]`)},
		"empty metadata":     {Key: "k", Value: one, Metadata: json.RawMessage{}},
		"negative TTL":       {Key: "k", Value: one, TTL: -time.Second},
		"fraction of TTL":    {Key: "k", Value: one, TTL: 1500 * time.Millisecond},
		"a type marker":      {Key: "k", Value: json.RawMessage(`[{"a":{"__type__":"__Function__","source":"x"}}]`)},
		"an escaped marker":  {Key: "k", Value: json.RawMessage(`{"\u005f_type__":"__Date__"}`)},
	} {
		if err := s.Put(t.Context(), Entry{Key: "good", Value: one}, e); err == nil {
			t.Errorf("%s: Put() accepts it", name)
		}
	}
	if got := keys(t, s, ""); got != nil {
		t.Errorf("refused batches left %v", got)
	}
}

func TestCloseLeavesOneFile(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := mustOpen(t, path, newClock().now)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`)})
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(got) != 1 || got[0].Name() != "memory.db" {
		t.Fatalf("the directory holds %v, %v; want the file alone", got, err)
	}
	if info, err := got[0].Info(); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("its mode is %v, %v; want 0644", info.Mode(), err)
	}
	if got := mustGet(t, mustOpen(t, path, newClock().now), "", "k"); string(got.Value) != "1" {
		t.Errorf("opened again it holds %s", got.Value)
	}
}

func TestStrangePath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a?b#c%41 d", "m?mode=memory.db")
	mustPut(t, mustOpen(t, path, newClock().now), Entry{Key: "k", Value: json.RawMessage(`1`)})
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// What a careless writer leaves in a row must not keep the others from being read.
func TestBearsWithOddRows(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now)
	for _, values := range []string{
		`('a', x'ff00', 'n', 'not json', 'never', NULL, NULL, NULL, 'long', NULL)`,
		`('b', 7, 'n', x'7b7d', 1.5, 1.5, 1.5, -1, 1e300, 9e18)`,
		`('c', '', 'n', '[1]', 1, 1, 1, 1, -5, NULL)`,
	} {
		_, err := s.db.ExecContext(t.Context(), `INSERT INTO memory_entries
(key, value, namespace, metadata, created_at, updated_at, accessed_at, access_count, ttl, expires_at) VALUES `+values)
		if err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	entries, err := s.List(t.Context(), "n", 0)
	for _, e := range entries {
		got[e.Key] = fmt.Sprintf("%s %s %s", e.Value, e.Metadata, e.TTL)
	}
	want := map[string]string{"a": `"�\u0000"  0s`, "b": `7 {} 2562047h47m16.854775807s`, "c": `""  0s`}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("List() fails with %v or differs (-want +got):\n%s", err, diff)
	}
}

func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 40
	path := file(t)
	var g sync.WaitGroup
	errs := make(chan error, 2*workers*each)
	for n := range 2 {
		// Opened here, at the same time, since beginning a file is a race of its own.
		g.Go(func() {
			s, err := Open(t.Context(), path, time.Now)
			if err != nil {
				errs <- err
				return
			}
			defer func() { errs <- s.Close() }()
			errs <- hammer(t.Context(), s, n, workers, each)
		})
	}
	g.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	s := mustOpen(t, path, time.Now)
	if got := len(keys(t, s, "n")); got != 2*workers*each+1 {
		t.Errorf("%d entries are left, want %d", got, 2*workers*each+1)
	}
	// Each write after the first and each read of the shared entry counts once.
	if got, want := mustGet(t, s, "n", "shared").AccessCount, 2*2*workers*each; got != want {
		t.Errorf("the shared entry counts %d accesses, want %d", got, want)
	}
}

func hammer(ctx context.Context, s *Store, n, workers, each int) error {
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			var err error
			for i := range each {
				own := Entry{Namespace: "n", Key: fmt.Sprint(n, w, i), Value: json.RawMessage(`1`)}
				shared := Entry{Namespace: "n", Key: "shared", Value: json.RawMessage(`1`)}
				put := s.Put(ctx, own, shared)
				_, _, got := s.Get(ctx, "n", "shared")
				err = errors.Join(err, put, got)
			}
			errs <- err
		}()
	}
	var err error
	for range workers {
		err = errors.Join(err, <-errs)
	}
	return err
}

func TestContextEndsWaiting(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, other := mustOpen(t, path, time.Now), mustOpen(t, path, time.Now)
	tx, err := other.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()

	why := errors.New("the step was cancelled")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, why)
	defer cancel()
	start := time.Now()
	if err := s.Put(ctx, Entry{Key: "k", Value: json.RawMessage(`1`)}); !errors.Is(err, why) {
		t.Errorf("Put() = %v, want the context's cause", err)
	}
	if _, _, err := s.Get(ctx, "", "k"); !errors.Is(err, why) {
		t.Errorf("Get() = %v, want the context's cause", err)
	}
	if _, err := Open(ctx, path, time.Now); !errors.Is(err, why) {
		t.Errorf("Open() = %v, want the context's cause", err)
	}
	if waited := time.Since(start); waited > patience/2 {
		t.Errorf("they waited for %s after the context's end", waited)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	builds := func(values ...string) (entries []Entry) {
		for i, v := range values {
			entries = append(entries, Entry{Namespace: "builds", Key: fmt.Sprint("b", i), Value: json.RawMessage(v)})
		}
		return entries
	}
	steps := []struct {
		put  []Entry
		want Stats
	}{
		{nil, Stats{0, 0, 0, "100%"}},
		// {"swarm":[{"key":"k1","value":"hello world","namespace":"swarm","timestamp":1772600767000}]}
		{[]Entry{{Namespace: "swarm", Key: "k1", Value: json.RawMessage(`"hello world"`)}}, Stats{1, 1, 0.09, "100%"}},
		{[]Entry{{Namespace: "swarm", Key: "gone", Value: json.RawMessage(`"x"`), TTL: time.Second}}, Stats{1, 1, 0.09, "100%"}},
		{builds(`{"success":true}`, `"text"`, `{"success":"yes"}`, `{}`, `[true]`), Stats{6, 2, 0.48, "100%"}},
		{builds(`{"success":true}`, `{"success":false}`), Stats{6, 2, 0.49, "50%"}},
		{builds(`{"success":true}`, `{"success":false}`, `{"success":true}`), Stats{6, 2, 0.49, "66.7%"}},
		{[]Entry{{Namespace: "scans", Key: "<é>", Value: quote(strings.Repeat("é", 512))}}, Stats{7, 3, 1.57, "66.7%"}},
	}
	for i, step := range steps {
		mustPut(t, s, step.put...)
		c.pass(time.Second)
		got, err := s.Stats(t.Context())
		if diff := cmp.Diff(step.want, got); err != nil || diff != "" {
			t.Errorf("step %d: Stats() fails with %v or differs (-want +got):\n%s", i, err, diff)
		}
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		part, whole int
		want        string
	}{{0, 0, "100%"}, {3, 3, "100%"}, {0, 3, "0%"}, {1, 2, "50%"}, {2, 3, "66.7%"}, {9999, 10000, "99.9%"}} {
		if got := percent(test.part, test.whole); got != test.want {
			t.Errorf("percent(%d, %d) = %s, want %s", test.part, test.whole, got, test.want)
		}
	}
}

// TestWriters names who writes: this machine where nobody says.
func TestWriters(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": thisMachine(), "octo/cards/1-1/all": "octo/cards/1-1/all"} {
		s := mustOpen(t, file(t), newClock().now, WithWriter(name))
		mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`)})
		if got := mustDelta(t, s).Entries[0].Writer; !strings.HasPrefix(got, want+"#") {
			t.Errorf("the writer %q is %q", name, got)
		}
	}
}

// TestIfThere makes nothing where nothing is, and works on what there is.
func TestIfThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "memory.db")
	if _, err := Open(t.Context(), path, time.Now, IfThere()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open() = %v, want that there is none", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("a folder was made")
	}
	mustPut(t, mustOpen(t, path, time.Now), Entry{Key: "k", Value: json.RawMessage(`1`)})
	s := mustOpen(t, path, time.Now, IfThere())
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`2`)})
	if got := string(mustGet(t, s, "", "k").Value); got != `2` {
		t.Errorf("it is %s", got)
	}
}
