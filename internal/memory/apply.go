package memory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Delta returns what changed since a time, by whom ever; all there is for the zero time. Entries that have expired are among it, since they say that
// older ones are no more; what holds a secret, which another tool alone can have written, is not.
func (s *Store) Delta(ctx context.Context, since time.Time) (Memory, error) {
	m, err := s.delta(ctx, since)
	if err != nil {
		return Memory{}, fmt.Errorf("reading what changed in the swarm memory: %w", err)
	}
	return m, nil
}

// Other tools write the second alone, so all of the first one is taken. Times before 1970 are all times.
func (s *Store) delta(ctx context.Context, since time.Time) (Memory, error) {
	if err := s.lookAround(ctx); err != nil {
		return Memory{}, err
	}
	from := max(since.Unix(), 0) * 1000
	var m Memory
	err := retry(ctx, func() error {
		connection, err := s.db.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = connection.Close() }()
		// Not as a transaction of database/sql, for which others that write would have to wait.
		if _, err := connection.ExecContext(ctx, `BEGIN`); err != nil {
			return err
		}
		m, err = readDelta(ctx, connection, from)
		_, end := connection.ExecContext(context.WithoutCancel(ctx), `COMMIT`)
		return errors.Join(err, end)
	})
	m.Entries = slices.DeleteFunc(m.Entries, func(r Record) bool { return r.Value == nil || r.Writer == "" && s.holdsSecret(r) })
	return Merge(m, Memory{}), err
}

const (
	changedEntries = `SELECT e.namespace, e.key, CAST(e.value AS TEXT), e.metadata, ` + rowTimes + `, r.stamp, r.writer, r.digest
FROM ghcrp_rows r CROSS JOIN memory_entries e ON e.id = r.entry WHERE r.stamp >= ?1
AND NOT EXISTS (SELECT 1 FROM ghcrp_counters c WHERE c.namespace = e.namespace AND c.key = e.key)
UNION ALL SELECT c.namespace, c.key, CAST(c.sum AS TEXT), e.metadata, ` + rowTimes + `, c.stamp, c.writer, NULL
FROM ghcrp_counters c LEFT JOIN memory_entries e ON e.key = c.key AND e.namespace = c.namespace WHERE c.base = 1 AND c.stamp >= ?1`
	changedDeleted  = `SELECT namespace, key, writer, stamp FROM ghcrp_deleted WHERE stamp >= ?`
	changedCounters = `SELECT namespace, key, writer, sum, stamp FROM ghcrp_counters WHERE base = 0 AND stamp >= ?`
)

func readDelta(ctx context.Context, tx *sql.Conn, from int64) (m Memory, err error) {
	m.Entries, err = read(ctx, tx, changedEntries, from, scanRecord)
	if err != nil {
		return m, err
	}
	m.Deleted, err = read(ctx, tx, changedDeleted, from, func(rows *sql.Rows) (d Deleted, err error) {
		return d, rows.Scan(&d.Namespace, &d.Key, &d.Writer, &d.Stamp)
	})
	if err != nil {
		return m, err
	}
	m.Counters, err = read(ctx, tx, changedCounters, from, func(rows *sql.Rows) (c Counter, err error) {
		return c, rows.Scan(&c.Namespace, &c.Key, &c.Writer, &c.Sum, &c.Stamp)
	})
	return m, err
}

// scanRecord returns a record without a value for an entry that is not what was written.
func scanRecord(rows *sql.Rows) (r Record, err error) {
	var e stored
	var metadata []byte
	var digest sql.NullInt64
	err = rows.Scan(&r.Namespace, &r.Key, &e.text, &metadata, &r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt, &r.Stamp, &r.Writer, &digest)
	e.metadata = string(metadata)
	if digest.Valid && digest.Int64 != e.digest(r.Namespace, r.Key, r.UpdatedAt, r.ExpiresAt) {
		return r, err
	}
	r.CreatedAt, r.UpdatedAt = r.CreatedAt*1000, r.UpdatedAt*1000
	r.Value, r.Metadata = decode(e.text), decodeMetadata(metadata)
	return r, err
}

func read[T any](ctx context.Context, tx *sql.Conn, statement string, from int64, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := tx.QueryContext(ctx, statement, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// Merged counts what became of the names of a memory that was merged into another.
type Merged struct {
	Added, Replaced, Deleted int
	Kept                     int // what the file knew already, or knows better
	Refused                  int // what is over the limits, holds a secret, is no entry at all or of a time to come
}

// applied is how many names one transaction merges: other writers wait for it.
const applied = 2000

// Apply merges a memory into the file. What the file knows better stays; nothing that was deleted or has expired comes back. It
// may be broken off and done again.
func (s *Store) Apply(ctx context.Context, m Memory) (Merged, error) {
	all := states(m)
	var done Merged
	for some := range slices.Chunk(slices.SortedFunc(maps.Keys(all), name.compare), applied) {
		var now Merged
		err := s.transact(ctx, func(t *transaction) error {
			now = Merged{}
			return t.apply(all, some, &now)
		})
		if err != nil {
			return done, fmt.Errorf("merging into the swarm memory: %w", err)
		}
		done.add(now)
	}
	return done, nil
}

func (m *Merged) add(o Merged) {
	m.Added, m.Replaced, m.Deleted, m.Kept, m.Refused = m.Added+o.Added, m.Replaced+o.Replaced, m.Deleted+o.Deleted, m.Kept+o.Kept, m.Refused+o.Refused
}

func (t *transaction) apply(all map[name]state, some []name, done *Merged) error {
	for _, n := range some {
		if !t.acceptable(n, all[n]) {
			done.Refused++
			continue
		}
		old, err := t.lookup(n.namespace, n.key)
		if err != nil {
			return err
		}
		if err := t.applyState(old, all[n], done); err != nil {
			return err
		}
	}
	return nil
}

// ahead is how far the clock of another writer may be ahead: what is of a time to come would win for ever.
const ahead = 24 * time.Hour

func (t *transaction) acceptable(n name, their state) bool {
	latest := t.now.Add(ahead).UnixMilli()
	for _, c := range their.counters {
		if c.Stamp > latest || c.Stamp <= 0 {
			return false
		}
	}
	if _, err := their.total(); len(their.counters) > 0 && err != nil {
		return false
	}
	last := their.last
	if last == nil || last.deleted {
		_, err := t.s.check(Record{Namespace: n.namespace, Key: n.key, Value: []byte("0")})
		return err == nil && (last == nil || last.Stamp <= latest && last.Stamp > 0)
	}
	_, err := t.s.check(last.Record)
	return err == nil && last.Stamp <= latest && last.Stamp > 0 && last.ExpiresAt >= 0
}

func (t *transaction) applyState(old row, their state, done *Merged) error {
	ours, err := t.stateOf(old)
	if err != nil {
		return err
	}
	now := join(ours, t.expire(their))
	_, noSum := now.total()
	switch {
	case now.equal(ours):
		done.Kept++
		return nil
	case len(now.counters) > 0 && noSum != nil: // they add to what is no number here
		done.Refused++
		return nil
	case now.last != nil && now.last.deleted && len(now.counters) == 0:
		done.Deleted++
	case old.id == 0:
		done.Added++
	default:
		done.Replaced++
	}
	return t.settle(old, now)
}

// expire turns an entry that has expired into its deletion, of the same time: it hides what is older.
func (t *transaction) expire(s state) state {
	if s.last == nil || s.last.deleted || s.last.ExpiresAt == 0 || s.last.ExpiresAt > t.now.Unix() {
		return s
	}
	gone := Record{Namespace: s.last.Namespace, Key: s.last.Key, Stamp: s.last.Stamp, Writer: s.last.Writer}
	return state{&event{Record: gone, deleted: true}, s.counters}
}

func (s state) equal(o state) bool {
	if (s.last == nil) != (o.last == nil) || s.last != nil && compareEssence(*s.last, *o.last) != 0 {
		return false
	}
	return maps.Equal(s.counters, o.counters)
}
