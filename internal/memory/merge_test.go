package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// someMemory makes up a memory of few names, stamps and writers, so that two of them often disagree.
func someMemory(r *rand.Rand) Memory {
	var m Memory
	base := begin.UnixMilli()
	for range r.IntN(8) {
		key, writer, stamp := fmt.Sprint("k", r.IntN(3)), fmt.Sprint("w", r.IntN(3)), base+int64(r.IntN(5))
		switch r.IntN(4) {
		case 0:
			m.Deleted = append(m.Deleted, Deleted{"n", key, writer, stamp})
		case 1, 2:
			m.Counters = append(m.Counters, Counter{"n", key, writer, int64(r.IntN(9) - 4), stamp})
		default:
			m.Entries = append(m.Entries, Record{Namespace: "n", Key: key, Value: json.RawMessage(strconv.Itoa(r.IntN(3))), Writer: writer, Stamp: stamp,
				CreatedAt: base - base%1000, UpdatedAt: base - base%1000, ExpiresAt: []int64{0, 0, base/1000 - 1, base/1000 + 9}[r.IntN(4)]})
		}
	}
	return m
}

func TestMergeIsOfNoOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		a, b, c := someMemory(r), someMemory(r), someMemory(r)
		ab := Merge(a, b)
		for law, pair := range map[string][2]Memory{
			"commutative": {ab, Merge(b, a)},
			"associative": {Merge(ab, c), Merge(a, Merge(b, c))},
			"idempotent":  {Merge(ab, b), ab},
			"no change":   {Merge(ab, Memory{}), ab},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Fatalf("it is not %s for\n%+v\n%+v\n%+v\n%s", law, a, b, c, diff)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	entry := func(stamp int64, writer, value string) Memory {
		return Memory{Entries: []Record{{Namespace: "n", Key: "k", Value: json.RawMessage(value), Writer: writer, Stamp: stamp}}}
	}
	gone := func(stamp int64, writer string) Memory { return Memory{Deleted: []Deleted{{"n", "k", writer, stamp}}} }
	counted := func(stamp int64, writer string, sum int64) Memory {
		return Memory{Counters: []Counter{{"n", "k", writer, sum, stamp}}}
	}
	both := func(a, b Memory) Memory {
		return Memory{Entries: append(a.Entries, b.Entries...), Deleted: append(a.Deleted, b.Deleted...), Counters: append(a.Counters, b.Counters...)}
	}
	for title, test := range map[string]struct{ a, b, want Memory }{
		"the newer one":                   {entry(1, "z", `9`), entry(2, "a", `1`), entry(2, "a", `1`)},
		"the greater writer":              {entry(1, "a", `9`), entry(1, "b", `1`), entry(1, "b", `1`)},
		"the greater value":               {entry(1, "a", `1`), entry(1, "a", `2`), entry(1, "a", `2`)},
		"the default namespace":           {Memory{Entries: []Record{{Key: "k", Stamp: 1}}}, Memory{}, Memory{Entries: []Record{{Namespace: "default", Key: "k", Stamp: 1}}}},
		"deleted later":                   {entry(1, "a", `1`), gone(2, "a"), gone(2, "a")},
		"deleted at once":                 {entry(1, "a", `1`), gone(1, "a"), gone(1, "a")},
		"deleted earlier":                 {entry(3, "a", `1`), gone(2, "a"), entry(3, "a", `1`)},
		"two count":                       {counted(1, "a", 5), counted(1, "b", -7), both(counted(1, "a", 5), counted(1, "b", -7))},
		"one counts on":                   {counted(1, "a", 5), counted(2, "a", 3), counted(2, "a", 3)},
		"counted before it was written":   {counted(1, "a", 5), entry(2, "b", `3`), entry(2, "b", `3`)},
		"counted after it was written":    {counted(3, "a", 5), entry(2, "b", `3`), both(entry(2, "b", `3`), counted(3, "a", 5))},
		"counted before it was deleted":   {counted(1, "a", 5), gone(1, "b"), gone(1, "b")},
		"counted after it was deleted":    {counted(2, "a", 5), gone(1, "b"), both(gone(1, "b"), counted(2, "a", 5))},
		"one counter, before a write too": {both(counted(1, "a", 5), counted(3, "b", 1)), entry(2, "c", `4`), both(entry(2, "c", `4`), counted(3, "b", 1))},
	} {
		test.want.Version = 1
		if test.want.Entries == nil {
			test.want.Entries = []Record{}
		}
		if diff := cmp.Diff(test.want, Merge(test.a, test.b)); diff != "" {
			t.Errorf("%s: Merge() differs (-want +got):\n%s", title, diff)
		}
	}
}

// Two conflict where they wrote otherwise since the time that is asked for, and no other way.
func TestConflicts(t *testing.T) {
	t.Parallel()
	entry := func(seconds int64, writer, value string) Memory {
		return Memory{Entries: []Record{{Namespace: "n", Key: "k", Value: json.RawMessage(value), Writer: writer, Stamp: begin.UnixMilli() + seconds*1000}}}
	}
	gone := Memory{Deleted: []Deleted{{"n", "k", "b", begin.UnixMilli() + 2000}}}
	for title, test := range map[string]struct {
		a, b Memory
		want int
	}{
		"two wrote":           {entry(1, "a", `1`), entry(2, "b", `2`), 1},
		"both wrote the same": {entry(1, "a", `{"x":1}`), entry(2, "b", `{ "x": 1 }`), 0},
		"one wrote twice":     {entry(1, "a", `1`), entry(2, "a", `2`), 0},
		"one wrote before":    {entry(-1, "a", `1`), entry(2, "b", `2`), 0},
		"one deleted it":      {entry(1, "a", `1`), gone, 1},
		"one knows nothing":   {entry(1, "a", `1`), Memory{}, 0},
		"two add":             {Memory{Counters: []Counter{{"n", "k", "a", 1, begin.UnixMilli()}}}, Memory{Counters: []Counter{{"n", "k", "b", 2, begin.UnixMilli()}}}, 0},
	} {
		if got, turned := Conflicts(test.a, test.b, begin), Conflicts(test.b, test.a, begin); got != test.want || turned != test.want {
			t.Errorf("%s: %d and %d, want %d", title, got, turned, test.want)
		}
	}
}

func mustDelta(tb testing.TB, s *Store) Memory {
	tb.Helper()
	m, err := s.Delta(tb.Context(), time.Time{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func mustApply(tb testing.TB, s *Store, m Memory) Merged {
	tb.Helper()
	done, err := s.Apply(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	return done
}

// What a file is after memories were merged into it, in whatever order, is what Merge makes of them.
func TestApplyIsMerge(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 40 {
		parts := []Memory{someMemory(r), someMemory(r), someMemory(r), someMemory(r)}
		var want Memory
		for _, p := range parts {
			want = Merge(want, p)
		}
		var first Memory
		for round := range 2 {
			s := mustOpen(t, filepath.Join(t.TempDir(), "memory.db"), newClock().now)
			for _, i := range r.Perm(len(parts)) {
				mustApply(t, s, parts[i])
			}
			got := mustDelta(t, s)
			if diff := cmp.Diff(essence(want), essence(got)); diff != "" {
				t.Fatalf("%d: the file is not what the parts are (-want +got):\n%s\nparts: %+v", n, diff, parts)
			}
			if done := mustApply(t, s, want); done.Added+done.Replaced+done.Deleted != 0 {
				t.Errorf("%d: applied again it changes %+v", n, done)
			}
			if wrong, err := s.Verify(t.Context()); err != nil || wrong != nil {
				t.Errorf("%d: Verify() = %v, %v", n, wrong, err)
			}
			if round == 0 {
				first = got
			} else if diff := cmp.Diff(essence(first), essence(got)); diff != "" {
				t.Errorf("%d: another order makes another file:\n%s", n, diff)
			}
		}
	}
}

// essence leaves out the times that nothing depends on, and takes what has expired for deleted.
func essence(m Memory) Memory {
	all := states(m)
	t := &transaction{now: begin}
	for n, s := range all {
		s = t.expire(s)
		if s.last != nil {
			s.last.CreatedAt, s.last.UpdatedAt = 0, 0
		}
		all[n] = s
	}
	return travelling(all)
}

// Several memories that add, and hand one another what they know at random, agree on the sum in the end.
func TestCountersAreCountedOnce(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	c := newClock()
	var stores []*Store
	for i := range 4 {
		stores = append(stores, mustOpen(t, filepath.Join(t.TempDir(), "memory.db"), c.now, WithWriter(fmt.Sprint("job", i))))
	}
	want := int64(100)
	mustPut(t, stores[0], Entry{Key: "n", Value: json.RawMessage(`100`)})
	for _, s := range stores[1:] {
		mustApply(t, s, mustDelta(t, stores[0]))
	}
	for range 200 {
		c.pass(time.Duration(r.IntN(3)) * time.Millisecond)
		s := stores[r.IntN(len(stores))]
		if r.IntN(3) > 0 {
			n := int64(r.IntN(11) - 4)
			if _, err := s.Add(t.Context(), "", "n", n); err != nil {
				t.Fatal(err)
			}
			want += n
			continue
		}
		mustApply(t, s, mustDelta(t, stores[r.IntN(len(stores))]))
	}
	for range 2 {
		for _, s := range stores {
			for _, other := range stores {
				mustApply(t, s, mustDelta(t, other))
			}
		}
	}
	for i, s := range stores {
		if got := string(mustGet(t, s, "", "n").Value); got != fmt.Sprint(want) {
			t.Errorf("memory %d comes to %s, want %d", i, got, want)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now)
	now := begin.UnixMilli()
	for title, m := range map[string]Memory{
		"no key":            {Entries: []Record{{Value: json.RawMessage(`1`), Stamp: now}}},
		"no value":          {Entries: []Record{{Key: "k", Stamp: now}}},
		"no stamp":          {Entries: []Record{{Key: "k", Value: json.RawMessage(`1`)}}},
		"of next week":      {Entries: []Record{{Key: "k", Value: json.RawMessage(`1`), Stamp: now + 7*86400_000}}},
		"gone next week":    {Deleted: []Deleted{{"n", "k", "w", now + 7*86400_000}}},
		"counted next week": {Counters: []Counter{{"n", "k", "w", 1, now + 7*86400_000}}},
		"counts text":       {Entries: []Record{{Key: "k", Value: json.RawMessage(`"a"`), Stamp: now}}, Counters: []Counter{{"", "k", "w", 1, now + 1}}},
		"too much":          {Counters: []Counter{{"n", "k", "w", 1 << 62, now}, {"n", "k", "v", 1 << 62, now}}},
	} {
		if got := mustApply(t, s, m); got != (Merged{Refused: 1}) {
			t.Errorf("%s: Apply() = %+v, want it refused", title, got)
		}
	}
	if m := mustDelta(t, s); len(m.Entries)+len(m.Deleted)+len(m.Counters) > 0 {
		t.Errorf("what was refused left %+v", m)
	}
}

func TestExpiredStaysExpired(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := mustOpen(t, file(t), c.now)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`1`)})
	older := mustDelta(t, s)
	c.pass(time.Second)
	mustPut(t, s, Entry{Key: "k", Value: json.RawMessage(`2`), TTL: time.Second})
	c.pass(time.Minute)
	if n, err := s.Purge(t.Context()); err != nil || n != 1 {
		t.Fatalf("Purge() = %d, %v", n, err)
	}
	if got := mustApply(t, s, older); got != (Merged{Kept: 1}) {
		t.Errorf("an older value than one that has expired: %+v", got)
	}
	if got := keys(t, s, ""); got != nil {
		t.Errorf("there is %v again", got)
	}
}

// What was added long ago is one row, whoever added it, and is not counted again when it comes back.
func TestCountersAreFolded(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := file(t)
	add := func(n int64) (sum int64) {
		t.Helper()
		s := mustOpen(t, path, c.now)
		sum, err := s.Add(t.Context(), "", "n", n)
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	add(1)
	add(2)
	s := mustOpen(t, path, c.now)
	early := mustDelta(t, s)
	c.pass(100 * 24 * time.Hour)
	add(4)
	if _, err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := mustDelta(t, s)
	if len(m.Counters) != 1 || m.Counters[0].Sum != 4 || len(m.Entries) != 1 || string(m.Entries[0].Value) != "3" {
		t.Errorf("folded it is %+v", m)
	}
	if got := mustApply(t, s, early); got != (Merged{Kept: 1}) {
		t.Errorf("applied again, what was folded: %+v", got)
	}
	other := mustOpen(t, filepath.Join(t.TempDir(), "memory.db"), c.now)
	mustApply(t, other, early)
	mustApply(t, other, m)
	for _, s := range []*Store{s, other} {
		if got := string(mustGet(t, s, "", "n").Value); got != "7" {
			t.Errorf("it comes to %s, want 7", got)
		}
		checkSound(t, s)
	}
	if got := add(8); got != 15 {
		t.Errorf("it goes on with %d, want 15", got)
	}
}

// Who adds to what is text elsewhere keeps nobody from merging the rest.
func TestApplyRefusesSumsOfText(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now)
	mustPut(t, s, Entry{Namespace: "n", Key: "k", Value: json.RawMessage(`"text"`)})
	m := Memory{Counters: []Counter{{"n", "k", "w", 1, begin.UnixMilli() + 5}, {"n", "other", "w", 1, begin.UnixMilli()}}}
	if got := mustApply(t, s, m); got != (Merged{Added: 1, Refused: 1}) {
		t.Errorf("Apply() = %+v", got)
	}
	if got := string(mustGet(t, s, "n", "k").Value); got != `"text"` {
		t.Errorf("it is %s now", got)
	}
}

// TestTimesToComeAreNotBelieved has another tool write milliseconds where seconds belong. What is written over it counts for others.
func TestTimesToComeAreNotBelieved(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := file(t)
	s, other := mustOpen(t, path, c.now), mustOpen(t, file(t), c.now)
	mustExec(t, path, fmt.Sprintf(`INSERT INTO memory_entries (key, value, updated_at) VALUES ('k', 'theirs', %d)`, begin.UnixMilli()))
	for _, value := range []string{`"theirs"`, `"ours"`} {
		mustApply(t, other, mustDelta(t, s))
		if got := string(mustGet(t, other, "", "k").Value); got != value {
			t.Errorf("it is %s, want %s", got, value)
		}
		c.pass(time.Second)
		mustPut(t, s, Entry{Key: "k", Value: []byte(`"ours"`)})
	}
}
