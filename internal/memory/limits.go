package memory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits bound what the memory takes, in bytes. What is over them is refused, and what there is already stays.
type Limits struct {
	Name      int   // of a namespace's name, and of a key
	Entry     int   // of a value with its metadata
	Namespace int64 // of all keys and values of a namespace
	File      int64 // of the file, whatever is in it; one of twice as many is set aside
}

// usualLimits leave room for a million entries of a kilobyte, and keep a runaway writer from filling the disk.
func usualLimits() Limits {
	return Limits{Name: 1 << 10, Entry: 1 << 20, Namespace: 2 << 30, File: 4 << 30}
}

// WithLimits replaces the usual limits, those that are not 0.
func WithLimits(l Limits) Option {
	return func(s *Store) {
		or(&s.limits.Name, l.Name)
		or(&s.limits.Entry, l.Entry)
		or(&s.limits.Namespace, l.Namespace)
		or(&s.limits.File, l.File)
	}
}

// entry calls an entry by its name, unless that is a secret.
func (s *Store) entry(namespace, key string) string {
	if s.secretIn(namespace) != "" || s.secretIn(key) != "" {
		return "an entry whose name is a secret"
	}
	return fmt.Sprintf("entry %.99q of namespace %.99q", key, orDefault(namespace))
}

func or[T int | int64](limit *T, given T) {
	if given > 0 {
		*limit = given
	}
}

// checkName refuses what two programs could read as two different keys.
func (s *Store) checkName(kind, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the %s is empty", kind)
	case len(name) > s.limits.Name:
		return fmt.Errorf("the %s has %d bytes; %d are allowed", kind, len(name), s.limits.Name)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return fmt.Errorf("the %s %q is not text", kind, name)
	}
	return nil
}

func (s *Store) checkSize(c checked) error {
	if size := len(c.text) + len(c.stored.metadata); size > s.limits.Entry {
		return fmt.Errorf("value and metadata have %d bytes; %d are allowed", size, s.limits.Entry)
	}
	return nil
}

// A growth is by how much a namespace grew.
type growth struct{ entries, bytes int64 }

func (t *transaction) grow(namespace string, by growth) {
	g := t.grown[namespace]
	t.grown[namespace] = growth{g.entries + by.entries, g.bytes + by.bytes}
}

const addGrowth = `INSERT INTO ghcrp_spaces (space, entries, bytes) VALUES (?, ?, ?)
ON CONFLICT (space) DO UPDATE SET entries = entries + excluded.entries, bytes = bytes + excluded.bytes RETURNING bytes`

// countGrowth keeps the sums of the namespaces, and refuses what makes one too large, or the file.
func (t *transaction) countGrowth() error {
	grown := int64(0)
	for _, namespace := range slices.Sorted(maps.Keys(t.grown)) {
		var bytes int64
		g := t.grown[namespace]
		if err := t.tx.QueryRowContext(t.ctx, addGrowth, namespace, g.entries, g.bytes).Scan(&bytes); err != nil {
			return err
		}
		grown += g.bytes
		if g.bytes > 0 && bytes > t.s.limits.Namespace {
			return fmt.Errorf("the namespace %q would have %d bytes; %d are allowed: delete some of it, or what has expired", namespace, bytes, t.s.limits.Namespace)
		}
	}
	if grown <= 0 {
		return nil
	}
	return t.checkFile()
}

func (t *transaction) checkFile() error {
	var size int64
	if err := t.tx.QueryRowContext(t.ctx, fileSize).Scan(&size); err != nil {
		return err
	}
	if size > t.s.limits.File {
		return fmt.Errorf("the file would have %d bytes in use; %d are allowed: delete some of it, or what has expired", size, t.s.limits.File)
	}
	return nil
}

const fileSize = `SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`

// A Refused error is of an entry that is never written: it is too large, holds a secret, or is none at all.
type Refused struct{ error }

func (r *Refused) Unwrap() error { return r.error }

// ErrSecret is that something is not written for it holds a secret.
var ErrSecret = errors.New("the memory keeps no secrets")
