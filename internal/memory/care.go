package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// purged is how many entries one transaction deletes: other writers wait for it.
const purged = 20_000

// remembers is for how long it is remembered what was deleted, and what entries were before. A memory that was away for longer brings
// back what it holds.
const remembers = 90 * 24 * time.Hour

// Purge deletes the entries that have expired and returns how many they were. That they did is remembered.
func (s *Store) Purge(ctx context.Context) (int, error) {
	n, err := s.purge(ctx)
	if err != nil {
		return n, fmt.Errorf("purging the swarm memory: %w", err)
	}
	return n, nil
}

func (s *Store) purge(ctx context.Context) (int, error) {
	now := s.now()
	ids, err := s.expired(ctx, now)
	if err != nil {
		return 0, err
	}
	slices.Sort(ids)
	total := 0
	for some := range slices.Chunk(ids, purged) {
		n := 0
		err := s.transact(ctx, func(t *transaction) (err error) {
			n, err = t.purge(some[0], some[len(some)-1], now.Unix())
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, s.transact(ctx, func(t *transaction) error {
		before := now.Add(-remembers).UnixMilli()
		return errors.Join(t.dropOrphans(), t.fold(before), t.exec(`DELETE FROM ghcrp_deleted WHERE stamp < ?`, before), t.exec(`DELETE FROM ghcrp_versions WHERE stamp < ?`, before))
	})
}

// fold puts what was added to counters long ago into what they began with: each writer had its own row until then. Of
// memories that fold differently the one that folded up to the later time is believed, so it is the beginning of a day.
func (t *transaction) fold(before int64) error {
	before -= before % (24 * time.Hour).Milliseconds()
	found, err := names(t.tx.QueryContext(t.ctx, `SELECT DISTINCT namespace, key FROM ghcrp_counters WHERE base = 0 AND stamp <= ?`, before))
	if err != nil {
		return err
	}
	for _, n := range found {
		old, err := t.lookup(n.namespace, n.key)
		if err != nil {
			return err
		}
		now, err := t.stateOf(old)
		if err != nil {
			return err
		}
		if old.id == 0 || len(now.counters) == 0 {
			continue // another tool has deleted or overwritten it
		}
		if now, err = now.fold(old, before); err != nil {
			return err
		}
		if err := t.settle(old, now); err != nil {
			return err
		}
	}
	return nil
}

func (s state) fold(old row, before int64) (state, error) {
	early := state{s.last, maps.Clone(s.counters)}
	maps.DeleteFunc(early.counters, func(_ string, c Counter) bool { return c.Stamp > before })
	sum, err := early.total()
	if err != nil {
		return s, err
	}
	r := old.Record
	r.Value, r.Stamp = number(sum), before
	last := &event{Record: r}
	return state{last, joinCounters(s.counters, nil, last)}, nil
}

const expired = `expires_at IS NOT NULL AND expires_at <= ?1`

func (s *Store) expired(ctx context.Context, now time.Time) (ids []int64, err error) {
	err = retry(ctx, func() error {
		rows, err := s.db.QueryContext(ctx, `SELECT id FROM memory_entries WHERE `+expired, now.Unix())
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		ids = nil
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}

// purge deletes those that have expired of a range of rows.
func (t *transaction) purge(first, last, now int64) (int, error) {
	const these = `(SELECT id FROM memory_entries WHERE id BETWEEN ?2 AND ?3 AND ` + expired + `)`
	err := errors.Join(
		t.exec(`INSERT OR REPLACE INTO ghcrp_deleted (namespace, key, stamp, writer)
SELECT e.namespace, e.key, coalesce(r.stamp, CAST(e.updated_at AS INTEGER) * 1000, 0), coalesce(r.writer, '')
FROM memory_entries e LEFT JOIN ghcrp_rows r ON r.entry = e.id WHERE id BETWEEN ?2 AND ?3 AND `+expired, now, first, last),
		t.exec(`DELETE FROM ghcrp_counters WHERE EXISTS (SELECT 1 FROM memory_entries e
WHERE e.key = ghcrp_counters.key AND e.namespace = ghcrp_counters.namespace AND id BETWEEN ?2 AND ?3 AND `+expired+`)`, now, first, last),
		t.dropRows(`entry BETWEEN ?2 AND ?3 AND entry IN `+these, now, first, last))
	if err != nil {
		return 0, err
	}
	result, err := t.tx.ExecContext(t.ctx, `DELETE FROM memory_entries WHERE id BETWEEN ?2 AND ?3 AND `+expired, now, first, last)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// NamespaceStats sums up one namespace's entries that have not expired.
type NamespaceStats struct {
	Namespace string    `json:"namespace"`
	Entries   int       `json:"entries"`
	Bytes     int64     `json:"bytes"` // of keys and values, as the file has them
	Newest    time.Time `json:"newest"`
}

const namespaces = `SELECT namespace, count(*), sum(length(CAST(key AS BLOB)) + length(CAST(value AS BLOB))), max(coalesce(CAST(updated_at AS INTEGER), 0))
FROM memory_entries WHERE ` + alive + ` GROUP BY namespace ORDER BY namespace`

// Namespaces sums up each namespace, in the order of their names. It reads the whole memory.
func (s *Store) Namespaces(ctx context.Context) (all []NamespaceStats, err error) {
	err = retry(ctx, func() error {
		rows, err := s.db.QueryContext(ctx, namespaces, s.now().Unix())
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		all = nil
		for rows.Next() {
			var n NamespaceStats
			var newest int64
			if err := rows.Scan(&n.Namespace, &n.Entries, &n.Bytes, &newest); err != nil {
				return err
			}
			n.Newest = time.Unix(newest, 0).UTC()
			all = append(all, n)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("summing up the namespaces of the swarm memory: %w", err)
	}
	return all, nil
}

// Verify looks at every page and row of the file and returns what is wrong, a sentence each.
func (s *Store) Verify(ctx context.Context) (wrong []string, err error) {
	if err := s.lookAround(ctx); err != nil {
		return nil, fmt.Errorf("verifying the swarm memory: %w", err)
	}
	for _, check := range []struct{ query, complaint string }{
		{`SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`, "The file is damaged: %s."},
		{`SELECT key FROM memory_entries WHERE metadata IS NOT NULL AND NOT json_valid(metadata) LIMIT 20`, "The metadata of the entry %q is no JSON."},
		{`SELECT e.key FROM memory_entries e LEFT JOIN ghcrp_rows r ON r.entry = e.id WHERE r.entry IS NULL LIMIT 20`, "Nothing is noted of the entry %q."},
		{wrongSpaces, "The size of the namespace %q is not the sum of its entries'."},
		{sums, "The entry %q is not the sum of what was added to it."},
	} {
		found, err := s.strings(ctx, check.query)
		if err != nil {
			return nil, fmt.Errorf("verifying the swarm memory: %w", err)
		}
		for _, f := range found {
			wrong = append(wrong, fmt.Sprintf(check.complaint, f))
		}
	}
	return s.checkDigests(ctx, wrong)
}

func (s *Store) checkDigests(ctx context.Context, wrong []string) ([]string, error) {
	var broken []string
	err := retry(ctx, func() error {
		broken = nil
		return s.each(ctx, func(e Entry, sound bool) {
			if !sound && len(broken) < 20 {
				broken = append(broken, fmt.Sprintf("The entry %q is not what was written.", e.Key))
			}
		}, everything, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("verifying the swarm memory: %w", err)
	}
	return append(wrong, broken...), nil
}

const sums = `SELECT e.key FROM memory_entries e JOIN ghcrp_counters c ON c.key = e.key AND c.namespace = e.namespace
GROUP BY e.id HAVING sum(c.sum) <> CAST(e.value AS INTEGER) LIMIT 20`

const wrongSpaces = `SELECT s.space FROM ghcrp_spaces s LEFT JOIN (SELECT space, count(*) AS n, sum(size) AS size FROM ghcrp_rows GROUP BY space) r ON r.space = s.space
WHERE s.entries <> coalesce(r.n, 0) OR s.bytes <> coalesce(r.size, 0) LIMIT 20`

func (s *Store) strings(ctx context.Context, query string) (found []string, err error) {
	err = retry(ctx, func() error {
		rows, err := s.db.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		found = nil
		for rows.Next() {
			var f string
			if err := rows.Scan(&f); err != nil {
				return err
			}
			found = append(found, strings.ToValidUTF8(f, "\uFFFD"))
		}
		return rows.Err()
	})
	return found, err
}

// Compact gives back the space of what was deleted and of texts that were overwritten. It rewrites the file, for which no other
// process may be writing.
func (s *Store) Compact(ctx context.Context) error {
	err := s.lookAround(ctx)
	if err == nil {
		err = s.transact(ctx, (*transaction).dropIndex)
	}
	if err == nil {
		err = retry(ctx, func() error { _, err := s.db.ExecContext(ctx, `VACUUM`); return err })
	}
	if err != nil {
		return fmt.Errorf("compacting the swarm memory: %w", err)
	}
	return nil
}

// dropIndex empties the full-text index, which is made anew for the next search.
func (t *transaction) dropIndex() error {
	return errors.Join(t.exec(`DROP TABLE ghcrp_fts`), t.exec(ftsTable), t.exec(`UPDATE ghcrp_state SET indexed = 0`))
}
