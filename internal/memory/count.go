package memory

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Add adds n to the entry, which is a whole number or not there yet, and returns the sum. What each writer added is kept apart, so
// that memories in which several have added are merged without counting anything twice. An entry that counts does not expire
// anew: its time to live stays what Put gave it.
func (s *Store) Add(ctx context.Context, namespace, key string, n int64) (sum int64, err error) {
	err = s.transact(ctx, func(t *transaction) error {
		old, err := t.lookup(orDefault(namespace), key)
		if err != nil {
			return err
		}
		sum, err = t.add(old, n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("adding to %s: %w", s.entry(namespace, key), err)
	}
	return sum, nil
}

func (t *transaction) add(old row, n int64) (int64, error) {
	before, err := t.base(old)
	if err != nil {
		return 0, err
	}
	c := before.counters[t.s.writer]
	c = Counter{Namespace: old.Namespace, Key: old.Key, Writer: t.s.writer, Sum: c.Sum, Stamp: t.stampAfter(max(old.Stamp, old.diedAt))}
	if c.Sum, err = plus(c.Sum, n); err != nil {
		return 0, err
	}
	before.counters[t.s.writer] = c
	total, err := before.total()
	if err != nil {
		return 0, err
	}
	return total, t.settle(old, before)
}

// base is the state of a name to which something is added.
func (t *transaction) base(old row) (state, error) {
	before, err := t.stateOf(old)
	if err != nil {
		return state{}, err
	}
	if before.counters == nil {
		before.counters = map[string]Counter{}
	}
	if old.id != 0 && old.expired(t.now) {
		gone := Record{Namespace: old.Namespace, Key: old.Key, Stamp: old.Stamp, Writer: old.Writer}
		return state{last: &event{Record: gone, deleted: true}, counters: map[string]Counter{}}, nil
	}
	return before, nil
}

// total is what an entry that counts comes to.
func (s state) total() (total int64, err error) {
	if s.last != nil && !s.last.deleted {
		if total, err = strconv.ParseInt(string(s.last.Value), 10, 64); err != nil {
			return 0, errors.New("the entry is no whole number")
		}
	}
	for _, c := range s.counters {
		if total, err = plus(total, c.Sum); err != nil {
			return 0, err
		}
	}
	return total, nil
}

func plus(a, b int64) (int64, error) {
	if b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b {
		return 0, errors.New("the sum is beyond 64 bits")
	}
	return a + b, nil
}

// stateOf reads all that is known under a name.
func (t *transaction) stateOf(old row) (state, error) {
	var s state
	if old.id != 0 && !old.broken && !(old.counter && old.noted) {
		return state{last: &event{Record: old.Record}}, nil // whatever was there before it
	}
	if old.dead {
		gone := Record{Namespace: old.Namespace, Key: old.Key, Stamp: old.diedAt, Writer: old.killer}
		s.last = &event{Record: gone, deleted: true}
	}
	if err := t.readCounters(old, &s); err != nil || old.id == 0 || old.broken {
		return s, err
	}
	if total, err := s.total(); err != nil || string(number(total)) != old.text {
		return state{last: &event{Record: old.Record}}, nil // what was added is not to be trusted
	}
	return s, nil
}

func (t *transaction) readCounters(old row, s *state) error {
	rows, err := t.tx.QueryContext(t.ctx, `SELECT base, writer, sum, stamp FROM ghcrp_counters WHERE namespace = ? AND key = ?`, old.Namespace, old.Key)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	s.counters = map[string]Counter{}
	for rows.Next() {
		c := Counter{Namespace: old.Namespace, Key: old.Key}
		var base bool
		if err := rows.Scan(&base, &c.Writer, &c.Sum, &c.Stamp); err != nil {
			return err
		}
		if !base {
			s.counters[c.Writer] = c
			continue
		}
		r := old.Record
		r.Value, r.Stamp, r.Writer = number(c.Sum), c.Stamp, c.Writer
		s.last = &event{Record: r}
	}
	return rows.Err()
}

// settle makes the file say of a name what the state does.
func (t *transaction) settle(old row, now state) error {
	if len(now.counters) > 0 {
		return t.settleCounter(old, now)
	}
	if now.last.deleted {
		return t.remove(old, now.last.Stamp, now.last.Writer)
	}
	c, err := t.s.check(now.last.Record)
	if err != nil {
		return err
	}
	return t.replace(old, c)
}

func (t *transaction) settleCounter(old row, now state) error {
	total, err := now.total()
	if err != nil {
		return err
	}
	r := Record{Namespace: old.Namespace, Key: old.Key, CreatedAt: old.CreatedAt, Metadata: old.Metadata}
	if now.last != nil && !now.last.deleted {
		r = now.last.Record
	}
	r.Value = number(total)
	for _, c := range now.counters {
		if c.Stamp > r.Stamp {
			r.Stamp, r.Writer = c.Stamp, c.Writer
		}
	}
	r.UpdatedAt = r.Stamp
	if r.CreatedAt == 0 {
		r.CreatedAt = r.Stamp
	}
	c, err := t.s.check(r)
	if err != nil {
		return err
	}
	return errors.Join(t.writeCounters(old, now), t.store(old, c))
}

func (t *transaction) writeCounters(old row, now state) error {
	const insert = `INSERT INTO ghcrp_counters (namespace, key, base, writer, sum, stamp) VALUES (?, ?, ?, ?, ?, ?)`
	err := errors.Join(
		t.exec(`DELETE FROM ghcrp_counters WHERE namespace = ? AND key = ?`, old.Namespace, old.Key),
		t.exec(`DELETE FROM ghcrp_deleted WHERE namespace = ? AND key = ?`, old.Namespace, old.Key))
	switch {
	case now.last == nil:
	case now.last.deleted:
		err = errors.Join(err, t.exec(`INSERT INTO ghcrp_deleted (namespace, key, stamp, writer) VALUES (?, ?, ?, ?)`,
			old.Namespace, old.Key, now.last.Stamp, now.last.Writer))
	default:
		err = errors.Join(err, t.exec(insert, old.Namespace, old.Key, 1, now.last.Writer, string(now.last.Value), now.last.Stamp))
	}
	for _, c := range now.counters {
		err = errors.Join(err, t.exec(insert, old.Namespace, old.Key, 0, c.Writer, c.Sum, c.Stamp))
	}
	return err
}
