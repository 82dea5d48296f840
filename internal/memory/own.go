package memory

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// ftsTable is the full-text index. It keeps no text, so nothing in it is ever changed: a row that is written anew is a new document.
const ftsTable = `CREATE VIRTUAL TABLE ghcrp_fts USING fts4(content="", matchinfo=fts3, order=desc, tokenize=unicode61, text)`

// ownTables stand beside the layout's, under a prefix of their own, and nothing in the layout's tables refers to them: other
// tools never look at them. Each step is carried out once and recorded; a step that was released is never edited.
func ownTables() []string {
	return []string{`
-- What was last seen of the whole file. sequence is that of memory_entries: every write of another tool advances it.
CREATE TABLE ghcrp_state (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL, looked_at INTEGER NOT NULL,
  change INTEGER NOT NULL, indexed INTEGER NOT NULL);
INSERT INTO ghcrp_state VALUES (1, 0, 0, 0, 0);
-- What was last seen of each row of memory_entries. change numbers all writes, and is the row's document in ghcrp_fts.
CREATE TABLE ghcrp_rows (entry INTEGER PRIMARY KEY, space TEXT NOT NULL, second INTEGER NOT NULL, digest INTEGER NOT NULL,
  size INTEGER NOT NULL, stamp INTEGER NOT NULL, writer TEXT NOT NULL, change INTEGER NOT NULL);
CREATE INDEX ghcrp_rows_space ON ghcrp_rows(space, stamp);
CREATE INDEX ghcrp_rows_stamp ON ghcrp_rows(stamp);
CREATE UNIQUE INDEX ghcrp_rows_change ON ghcrp_rows(change);
-- The sums of what is noted of each namespace.
CREATE TABLE ghcrp_spaces (space TEXT PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
-- What entries were before. The value is missing where the entry was deleted.
CREATE TABLE ghcrp_versions (namespace TEXT NOT NULL, key TEXT NOT NULL, stamp INTEGER NOT NULL, writer TEXT NOT NULL, value TEXT, digest INTEGER NOT NULL);
CREATE INDEX ghcrp_versions_key ON ghcrp_versions(namespace, key, stamp);
CREATE TABLE ghcrp_deleted (namespace TEXT NOT NULL, key TEXT NOT NULL, stamp INTEGER NOT NULL, writer TEXT NOT NULL,
  PRIMARY KEY (namespace, key)) WITHOUT ROWID;
-- What each writer added to a counter; base is 1 for what the entry was before somebody added.
CREATE TABLE ghcrp_counters (namespace TEXT NOT NULL, key TEXT NOT NULL, base INTEGER NOT NULL, writer TEXT NOT NULL,
  sum INTEGER NOT NULL, stamp INTEGER NOT NULL, PRIMARY KEY (namespace, key, base, writer)) WITHOUT ROWID;
` + ftsTable,
	}
}

// migrate carries out the steps that the file lacks.
func migrate(ctx context.Context, tx *sql.Tx) error {
	const table = `CREATE TABLE IF NOT EXISTS ghcrp_migrations (step INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)`
	if _, err := tx.ExecContext(ctx, table); err != nil {
		return err
	}
	const sensible = `SELECT count(*), coalesce(max(step), 0) = count(*) AND coalesce(min(typeof(applied_at) = 'integer'), 1) FROM ghcrp_migrations`
	var done int
	var ours bool
	if err := tx.QueryRowContext(ctx, sensible).Scan(&done, &ours); err != nil {
		return err
	}
	if !ours {
		return &unfit{reason: "is damaged"}
	}
	steps := ownTables()
	if done > len(steps) {
		return fmt.Errorf("a newer version of ghcr-publish has written it (step %d of %d); use that one", done, len(steps))
	}
	for i, step := range steps[done:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO ghcrp_migrations VALUES (?, ?)`, done+i+1, time.Now().Unix()); err != nil {
			return err
		}
	}
	return fits(ctx, tx)
}

// fits refuses tables of ours that are not what they should be.
func fits(ctx context.Context, tx *sql.Tx) error {
	for _, statement := range []string{lookup, unindexed, history, addGrowth, changedEntries, changedDeleted, changedCounters,
		`SELECT entry, space, second, digest, size, stamp, writer, change FROM ghcrp_rows`,
		`SELECT change, sequence, looked_at, indexed, one FROM ghcrp_state`,
		`INSERT INTO ghcrp_fts (docid, text) VALUES (?, ?)`,
	} {
		prepared, err := tx.PrepareContext(ctx, statement)
		if err != nil {
			return err
		}
		if err := prepared.Close(); err != nil {
			return err
		}
	}
	var states int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM ghcrp_state`).Scan(&states); err != nil {
		return err
	}
	if states != 1 {
		return &unfit{reason: "is damaged"}
	}
	return nil
}
