package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A Version is what an entry was at a time.
type Version struct {
	Value   json.RawMessage `json:"value,omitempty"` // none where it was deleted
	At      time.Time       `json:"at"`
	Writer  string          `json:"writer"` // empty where another tool wrote
	Deleted bool            `json:"deleted,omitempty"`
}

// Delete deletes an entry, and tells whether there was one that had not expired. That it is gone is remembered, so that no
// older one comes back when memories are merged.
func (s *Store) Delete(ctx context.Context, namespace, key string) (found bool, err error) {
	err = s.transact(ctx, func(t *transaction) error {
		old, err := t.lookup(orDefault(namespace), key)
		if err != nil || old.id == 0 {
			found = false
			return err
		}
		found = old.alive(t.now)
		return t.remove(old, t.stampAfter(old.Stamp), t.s.writer)
	})
	if err != nil {
		return false, fmt.Errorf("deleting %s: %w", s.entry(namespace, key), err)
	}
	return found, nil
}

// CompareAndSet writes the entry if its value is still old, or with no old value if there is none or it has expired, and tells
// whether it did.
func (s *Store) CompareAndSet(ctx context.Context, e Entry, old json.RawMessage) (set bool, err error) {
	c, err := s.checkEntry(e)
	if err != nil {
		return false, err
	}
	err = s.transact(ctx, func(t *transaction) error {
		now, err := t.lookup(c.Namespace, c.Key)
		if err != nil {
			return err
		}
		set = now.alive(t.now) == (old != nil) && (old == nil || json.Valid(old) && same(old, now.Value))
		if !set {
			return nil
		}
		return t.put(now, c)
	})
	if err != nil {
		return false, fmt.Errorf("setting %s: %w", s.entry(e.Namespace, e.Key), err)
	}
	return set, nil
}

// same compares the meaning of two valid JSON texts.
func same(a, b json.RawMessage) bool { return string(marshal(parse(a))) == string(marshal(parse(b))) }

const history = `SELECT value, stamp, writer, digest FROM ghcrp_versions WHERE namespace = ? AND key = ? ORDER BY stamp DESC, rowid DESC LIMIT ?`

// History returns what an entry was, the newest first and at most 20: as it is or that it was deleted, and what was written before. What another
// tool wrote and wrote over itself is not known. Of a counter only the sum is.
func (s *Store) History(ctx context.Context, namespace, key string) (all []Version, err error) {
	err = s.transact(ctx, func(t *transaction) error {
		now, err := t.lookup(orDefault(namespace), key)
		if err != nil {
			return err
		}
		all = now.version()
		older, err := t.older(now)
		all = append(all, older...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what %s was: %w", s.entry(namespace, key), err)
	}
	return all[:min(len(all), versions)], nil
}

func (r row) version() []Version {
	switch {
	case r.broken:
		return nil
	case r.id != 0:
		return []Version{{Value: r.Value, At: time.UnixMilli(r.Stamp).UTC(), Writer: r.Writer}}
	case r.dead:
		return []Version{{At: time.UnixMilli(r.diedAt).UTC(), Writer: r.killer, Deleted: true}}
	}
	return nil
}

func (t *transaction) older(r row) ([]Version, error) {
	rows, err := t.tx.QueryContext(t.ctx, history, r.Namespace, r.Key, versions)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []Version
	for rows.Next() {
		was := Record{Namespace: r.Namespace, Key: r.Key}
		var text *string
		var digest int64
		if err := rows.Scan(&text, &was.Stamp, &was.Writer, &digest); err != nil {
			return nil, err
		}
		if digest != digestOfVersion(was, text) {
			continue // it is not what was written
		}
		v := Version{At: time.UnixMilli(was.Stamp).UTC(), Writer: was.Writer, Deleted: text == nil}
		if text != nil {
			v.Value = decode(*text)
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
