package memory

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// adopted is how many rows one transaction takes in: other writers wait for it.
const adopted = 2000

// skew is by how many seconds the clocks of those who write may differ.
const skew = 60

// lookAround takes notice of what other tools wrote. Where none has, which one look at a counter tells, it costs nothing.
func (s *Store) lookAround(ctx context.Context) error {
	var sequenceNow, seen, since int64
	err := retry(ctx, func() error {
		return s.db.QueryRowContext(ctx, `SELECT `+sequence+`, sequence, looked_at FROM ghcrp_state`).Scan(&sequenceNow, &seen, &since)
	})
	if err != nil || sequenceNow == seen {
		return err
	}
	began := s.now().Unix()
	found, err := s.unnoticed(ctx, since-skew)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(found, adopted) {
		if err := s.transact(ctx, func(t *transaction) error { return t.adopt(some) }); err != nil {
			return err
		}
	}
	return s.transact(ctx, func(t *transaction) error {
		if err := t.dropOrphans(); err != nil {
			return err
		}
		return t.exec(`UPDATE ghcrp_state SET sequence = ?, looked_at = ?`, sequenceNow, began)
	})
}

// unnoticed finds the names of rows that may not be what was noted of them. A row of the same second may have been written twice.
const unnoticed = `SELECT e.namespace, e.key FROM memory_entries e LEFT JOIN ghcrp_rows r ON r.entry = e.id
WHERE r.entry IS NULL OR r.second IS NOT coalesce(CAST(e.updated_at AS INTEGER), 0) OR r.second >= ?`

func (s *Store) unnoticed(ctx context.Context, since int64) ([]name, error) {
	var found []name
	err := retry(ctx, func() (err error) {
		found, err = names(s.db.QueryContext(ctx, unnoticed, since))
		return err
	})
	return found, err
}

func names(rows *sql.Rows, err error) ([]name, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []name
	for rows.Next() {
		var n name
		if err := rows.Scan(&n.namespace, &n.key); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// adopt notes rows as they are.
func (t *transaction) adopt(found []name) error {
	for _, n := range found {
		r, err := t.lookup(n.namespace, n.key)
		if err != nil {
			return err
		}
		if r.id == 0 || r.noted || r.broken {
			continue
		}
		if err := t.adoptRow(r); err != nil {
			return err
		}
	}
	return nil
}

// adoptRow notes a row that another tool wrote. It wrote over whatever was counted or deleted before.
func (t *transaction) adoptRow(r row) error {
	before := r
	before.id = 0 // its value before is not known
	if err := t.forget(before); err != nil {
		return err
	}
	return t.note(r, r.id, r.Record, r.stored)
}

// dropOrphans forgets the rows that another tool deleted.
func (t *transaction) dropOrphans() error {
	return t.dropRows(`entry NOT IN (SELECT id FROM memory_entries)`)
}

// dropRows forgets some rows, and takes them from the sums.
func (t *transaction) dropRows(which string, args ...any) error {
	sums, err := t.tx.QueryContext(t.ctx, `SELECT space, count(*), sum(size) FROM ghcrp_rows WHERE `+which+` GROUP BY space`, args...)
	if err != nil {
		return err
	}
	defer func() { _ = sums.Close() }()
	for sums.Next() {
		var space string
		var g growth
		if err := sums.Scan(&space, &g.entries, &g.bytes); err != nil {
			return err
		}
		t.grow(space, growth{-g.entries, -g.bytes})
	}
	return errors.Join(sums.Err(), t.exec(`DELETE FROM ghcrp_rows WHERE `+which, args...))
}
