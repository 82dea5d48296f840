package memory

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// A Memory is what travels: a whole memory, or what changed in one. Merge joins two.
type Memory struct {
	Version int       `json:"version"` // 1
	Entries []Record  `json:"entries"`
	Deleted []Deleted `json:"deleted,omitempty"`
	// Counters are the entries that add. What an entry was before somebody added to it is among the entries.
	Counters []Counter `json:"counters,omitempty"`
}

// version of the form in which a memory travels.
const version = 1

// A Record is an entry with what orders its writes: of two under one name the one with the greater stamp is kept, then with the greater
// writer and the greater value, so that everybody keeps the same.
type Record struct {
	Namespace string          `json:"namespace"`
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	CreatedAt int64           `json:"created_at"`           // milliseconds
	UpdatedAt int64           `json:"updated_at"`           // milliseconds
	ExpiresAt int64           `json:"expires_at,omitempty"` // seconds; 0 is never
	Writer    string          `json:"writer"`               // empty where another tool wrote
	Stamp     int64           `json:"stamp"`                // milliseconds of a clock that is never behind what it has seen of the name
}

// A Deleted says that an entry is gone, so that no older one comes back.
type Deleted struct {
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	Writer    string `json:"writer"`
	Stamp     int64  `json:"stamp"`
}

// A Counter is what one writer has added to an entry in all. Nobody else changes it, so of two the later one counts, and once.
type Counter struct {
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	Writer    string `json:"writer"`
	Sum       int64  `json:"sum"`
	Stamp     int64  `json:"stamp"`
}

// Merge joins two memories: for each name the last write or deletion, and what each writer has added since. Whatever the order in which
// memories are merged, and however often, the result is the same. It is sorted by namespace and key.
func Merge(a, b Memory) Memory {
	all := states(a)
	for n, s := range states(b) {
		all[n] = join(all[n], s)
	}
	return travelling(all)
}

// Conflicts counts the entries that two writers have written otherwise since a time, in memories that did not know of one another: of each Merge keeps one,
// and the other is lost.
func Conflicts(a, b Memory, since time.Time) (n int) {
	ours := states(a)
	for at, theirs := range states(b) {
		if x, y := ours[at].last, theirs.last; x != nil && y != nil && min(x.Stamp, y.Stamp) >= since.UnixMilli() && x.Writer != y.Writer && !x.says(*y) {
			n++
		}
	}
	return n
}

func (e event) says(o event) bool {
	return e.deleted == o.deleted && (e.deleted || same(e.Value, o.Value))
}

type name struct{ namespace, key string }

func (n name) compare(o name) int {
	return cmp.Or(cmp.Compare(n.namespace, o.namespace), cmp.Compare(n.key, o.key))
}

// A state is all that is known under a name.
type state struct {
	last     *event
	counters map[string]Counter // by writer, each later than the last write
}

// An event is the last that happened to a name but for additions: an entry, or its deletion.
type event struct {
	Record
	deleted bool
}

func states(m Memory) map[name]state {
	all := make(map[name]state, len(m.Entries))
	add := func(namespace, key string, s state) {
		n := name{orDefault(namespace), key}
		all[n] = join(all[n], s)
	}
	for _, r := range m.Entries {
		r.Namespace = orDefault(r.Namespace)
		add(r.Namespace, r.Key, state{last: &event{Record: r}})
	}
	for _, d := range m.Deleted {
		gone := Record{Namespace: orDefault(d.Namespace), Key: d.Key, Stamp: d.Stamp, Writer: d.Writer}
		add(d.Namespace, d.Key, state{last: &event{Record: gone, deleted: true}})
	}
	for _, c := range m.Counters {
		c.Namespace = orDefault(c.Namespace)
		add(c.Namespace, c.Key, state{counters: map[string]Counter{c.Writer: c}})
	}
	return all
}

func join(a, b state) state {
	last := a.last
	if last == nil || b.last != nil && compareEvents(*b.last, *last) > 0 {
		last = b.last
	}
	return state{last, joinCounters(a.counters, b.counters, last)}
}

// joinCounters keeps of each writer what it said last, if that is later than the last write, which holds the rest.
func joinCounters(a, b map[string]Counter, last *event) map[string]Counter {
	if len(a)+len(b) == 0 {
		return nil
	}
	all := maps.Clone(a)
	if all == nil {
		all = map[string]Counter{}
	}
	for writer, c := range b {
		if mine, ok := all[writer]; !ok || compareCounters(c, mine) > 0 {
			all[writer] = c
		}
	}
	if last != nil {
		maps.DeleteFunc(all, func(_ string, c Counter) bool { return c.Stamp <= last.Stamp })
	}
	return all
}

func compareCounters(a, b Counter) int {
	return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Sum, b.Sum))
}

// compareEvents orders all that may happen to a name. A deletion beats what it may have deleted.
func compareEvents(a, b event) int {
	return cmp.Or(compareEssence(a, b), cmp.Compare(a.UpdatedAt, b.UpdatedAt), cmp.Compare(a.CreatedAt, b.CreatedAt))
}

// compareEssence leaves out what a file rounds.
func compareEssence(a, b event) int {
	return cmp.Or(
		cmp.Compare(a.Stamp, b.Stamp),
		cmp.Compare(a.Writer, b.Writer),
		cmp.Compare(asInt(a.deleted), asInt(b.deleted)),
		bytes.Compare(a.Value, b.Value),
		bytes.Compare(a.Metadata, b.Metadata),
		cmp.Compare(a.ExpiresAt, b.ExpiresAt),
	)
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// travelling puts states into the form in which they travel.
func travelling(all map[name]state) Memory {
	m := Memory{Version: version, Entries: make([]Record, 0, len(all))}
	for _, n := range slices.SortedFunc(maps.Keys(all), name.compare) {
		s := all[n]
		switch {
		case s.last == nil:
		case s.last.deleted:
			m.Deleted = append(m.Deleted, Deleted{n.namespace, n.key, s.last.Writer, s.last.Stamp})
		default:
			m.Entries = append(m.Entries, s.last.Record)
		}
		for _, writer := range slices.Sorted(maps.Keys(s.counters)) {
			m.Counters = append(m.Counters, s.counters[writer])
		}
	}
	return m
}
