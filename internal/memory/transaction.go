package memory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"time"
)

// A transaction changes entries together with what is kept of them beside. It lives as long as the call that began it.
type transaction struct {
	ctx    context.Context // is never over: the transaction itself ends with the caller's, and waiting for it at each statement would cost more than the statement
	tx     *sql.Tx
	now    time.Time
	s      *Store
	began  int64             // the number of the last change before
	change int64             // the number of the last change
	seen   bool              // whether no other tool had written when it began
	grown  map[string]growth // by namespace
}

// transact does all of it or nothing. It may be done several times, as long as others write.
func (s *Store) transact(ctx context.Context, do func(*transaction) error) error {
	return retry(ctx, func() error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		t := &transaction{ctx: context.WithoutCancel(ctx), tx: tx, s: s, now: s.now(), grown: map[string]growth{}}
		for _, step := range []func() error{t.begin, func() error { return do(t) }, t.countGrowth, t.end, tx.Commit} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

const sequence = `coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'memory_entries'), 0)`

func (t *transaction) begin() error {
	err := t.tx.QueryRowContext(t.ctx, `SELECT change, sequence = `+sequence+` FROM ghcrp_state`).Scan(&t.began, &t.seen)
	t.change = t.began
	return err
}

// end takes what this transaction did to the sequence for seen, and leaves unseen what was.
func (t *transaction) end() error {
	if t.change == t.began {
		return nil
	}
	return t.exec(`UPDATE ghcrp_state SET change = ?, sequence = CASE WHEN ? THEN `+sequence+` ELSE sequence END`, t.change, t.seen)
}

func (t *transaction) exec(statement string, args ...any) error {
	_, err := t.tx.ExecContext(t.ctx, statement, args...)
	return err
}

// A row is what the file knows under a name.
type row struct {
	Record       // Stamp is that of the entry, or of its deletion
	id     int64 // 0 where there is no entry
	stored
	dead    bool   // whether a deletion is remembered
	diedAt  int64  // its stamp
	killer  string // its writer
	counter bool   // whether somebody added to it
	noted   bool   // whether the row is what was noted of it
	broken  bool   // whether it is not, though nobody wrote it
	counted bool   // whether its size is in the sums
	size    int64  // of key and value, as counted
}

func (r row) expired(now time.Time) bool { return r.ExpiresAt != 0 && r.ExpiresAt <= now.Unix() }

// alive tells whether there is an entry to be seen.
func (r row) alive(now time.Time) bool { return r.id != 0 && !r.broken && !r.expired(now) }

// A stored entry is in the words of the file.
type stored struct{ text, metadata string }

// digest tells whether an entry is what was written. Nobody gains by finding another of the same digest.
func (e stored) digest(namespace, key string, second, expires int64) int64 {
	h := fnv.New64a()
	for _, part := range [...]string{namespace, key, e.text, e.metadata} {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	_, _ = h.Write(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(second)), uint64(expires)))
	return int64(h.Sum64())
}

const lookup = `SELECT coalesce(e.id, 0), coalesce(CAST(e.value AS TEXT), ''), e.metadata, ` + rowTimes + `,
  r.stamp, r.writer, r.digest, r.second, coalesce(r.size, 0), d.stamp, d.writer,
  EXISTS (SELECT 1 FROM ghcrp_counters c WHERE c.namespace = q.namespace AND c.key = q.key)
FROM (SELECT ?1 AS namespace, ?2 AS key) q
LEFT JOIN memory_entries e ON e.key = q.key AND e.namespace = q.namespace
LEFT JOIN ghcrp_rows r ON r.entry = e.id
LEFT JOIN ghcrp_deleted d ON d.namespace = q.namespace AND d.key = q.key`

const rowTimes = `coalesce(CAST(e.created_at AS INTEGER), 0), coalesce(CAST(e.updated_at AS INTEGER), 0), coalesce(CAST(e.expires_at AS INTEGER), 0)`

// lookup reads what there is under a name. What another tool wrote counts as written when it says, and later than
// what it replaced.
func (t *transaction) lookup(namespace, key string) (row, error) {
	r := row{Record: Record{Namespace: namespace, Key: key}}
	var metadata []byte
	var stamp, digest, second, died sql.NullInt64
	var writer, killer sql.NullString
	err := t.tx.QueryRowContext(t.ctx, lookup, namespace, key).Scan(&r.id, &r.text, &metadata, &r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt,
		&stamp, &writer, &digest, &second, &r.size, &died, &killer, &r.counter)
	if err != nil {
		return row{}, err
	}
	r.Stamp, r.Writer = stamp.Int64, writer.String
	r.dead, r.diedAt, r.killer = died.Valid, died.Int64, killer.String
	if r.id == 0 {
		r.Stamp, r.Writer = r.diedAt, r.killer
		return r, nil
	}
	r.counted = stamp.Valid
	r.stored.metadata = string(metadata)
	r.noted = stamp.Valid && digest.Int64 == r.digest(namespace, key, r.UpdatedAt, r.ExpiresAt)
	r.broken = stamp.Valid && !r.noted && t.seen && second.Int64 == r.UpdatedAt
	if !r.noted && !r.broken {
		r.Stamp, r.Writer = t.foreignStamp(r.UpdatedAt, max(stamp.Int64, died.Int64)), ""
	}
	r.CreatedAt, r.UpdatedAt = r.CreatedAt*1000, r.UpdatedAt*1000
	r.Value, r.Metadata = decode(r.text), decodeMetadata(metadata)
	return r, nil
}

// foreignStamp is that of what another tool wrote at a second, over what has the stamp before. A time to come, such as milliseconds where
// seconds belong, is not believed: others would refuse it, and all that is written over it.
func (t *transaction) foreignStamp(second, before int64) int64 {
	stamp := t.now.UnixMilli()
	if second <= t.now.Add(ahead).Unix() {
		stamp = second * 1000
	}
	if before == 0 {
		return stamp
	}
	return max(stamp, before+1)
}

// stampAfter is the hybrid clock: the time, yet never behind what was seen.
func (t *transaction) stampAfter(seen int64) int64 { return max(t.now.UnixMilli(), seen+1) }

// replace writes an entry over what there was under its name.
func (t *transaction) replace(old row, c checked) error {
	if err := t.forget(old); err != nil {
		return err
	}
	return t.store(old, c)
}

// forget moves what there was into the history, but for the entry itself.
func (t *transaction) forget(old row) error {
	var err error
	if old.id != 0 && !old.counter && !old.broken {
		err = t.keepVersion(old.Record, &old.text)
	}
	if old.dead {
		err = errors.Join(err,
			t.keepVersion(Record{Namespace: old.Namespace, Key: old.Key, Stamp: old.diedAt, Writer: old.killer}, nil),
			t.exec(`DELETE FROM ghcrp_deleted WHERE namespace = ? AND key = ?`, old.Namespace, old.Key))
	}
	if old.counter {
		err = errors.Join(err, t.exec(`DELETE FROM ghcrp_counters WHERE namespace = ? AND key = ?`, old.Namespace, old.Key))
	}
	return err
}

// versions is how many of a key are kept, the one in force among them.
const versions = 20

// keepVersion keeps what an entry was, or without a text that it was deleted.
func (t *transaction) keepVersion(r Record, text *string) error {
	return errors.Join(
		t.exec(`INSERT INTO ghcrp_versions (namespace, key, stamp, writer, value, digest) VALUES (?, ?, ?, ?, ?, ?)`, r.Namespace, r.Key, r.Stamp, r.Writer, text, digestOfVersion(r, text)),
		t.exec(`DELETE FROM ghcrp_versions WHERE rowid IN (SELECT rowid FROM ghcrp_versions WHERE namespace = ? AND key = ?
ORDER BY stamp DESC, rowid DESC LIMIT -1 OFFSET ?)`, r.Namespace, r.Key, versions-1))
}

func digestOfVersion(r Record, text *string) int64 {
	if text == nil {
		return stored{}.digest(r.Namespace, r.Key, r.Stamp, 1)
	}
	return stored{*text, r.Writer}.digest(r.Namespace, r.Key, r.Stamp, 0)
}

const (
	insertEntry = `INSERT INTO memory_entries
  (key, value, namespace, metadata, created_at, updated_at, accessed_at, access_count, ttl, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`
	updateEntry = `UPDATE memory_entries SET value = ?, metadata = ?, created_at = ?, updated_at = ?, ttl = ?, expires_at = ?,
  access_count = access_count + 1 WHERE id = ?`
)

// store writes the entry, over the row that there was.
func (t *transaction) store(old row, c checked) error {
	created, updated := c.CreatedAt/1000, c.UpdatedAt/1000
	var ttl, expires any
	if c.ExpiresAt != 0 {
		ttl, expires = c.ExpiresAt-updated, c.ExpiresAt
	}
	if old.id != 0 {
		err := t.exec(updateEntry, c.text, nullable(c.stored.metadata), created, updated, ttl, expires, old.id)
		return errors.Join(err, t.note(old, old.id, c.Record, c.stored))
	}
	result, err := t.tx.ExecContext(t.ctx, insertEntry, c.Key, c.text, c.Namespace, nullable(c.stored.metadata), created, updated, updated, ttl, expires)
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	return errors.Join(err, t.note(old, id, c.Record, c.stored))
}

// note remembers what a row of memory_entries is now.
func (t *transaction) note(old row, id int64, r Record, e stored) error {
	t.change++
	size := int64(len(r.Key) + len(e.text))
	t.grow(r.Namespace, growth{int64(1 - asInt(old.counted)), size - old.size})
	return t.exec(`INSERT OR REPLACE INTO ghcrp_rows (entry, space, second, digest, size, stamp, writer, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		id, r.Namespace, r.UpdatedAt/1000, e.digest(r.Namespace, r.Key, r.UpdatedAt/1000, r.ExpiresAt), size, r.Stamp, r.Writer, t.change)
}

// remove deletes an entry and remembers that it is gone, and since when.
func (t *transaction) remove(old row, stamp int64, writer string) error {
	t.grow(old.Namespace, growth{int64(-asInt(old.counted)), -old.size})
	return errors.Join(t.forget(old),
		t.exec(`DELETE FROM memory_entries WHERE id = ?`, old.id),
		t.exec(`DELETE FROM ghcrp_rows WHERE entry = ?`, old.id),
		t.exec(`INSERT OR REPLACE INTO ghcrp_deleted (namespace, key, stamp, writer) VALUES (?, ?, ?, ?)`, old.Namespace, old.Key, stamp, writer))
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}
