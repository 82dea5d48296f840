package memory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// v3Tables are those of 3.43 that hold entries; it makes the others itself.
const v3Tables = `
CREATE TABLE IF NOT EXISTS memory_entries (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, namespace TEXT DEFAULT 'default', content TEXT NOT NULL,
  type TEXT DEFAULT 'semantic' CHECK(type IN ('semantic', 'episodic', 'procedural', 'working', 'pattern')),
  embedding TEXT, embedding_model TEXT DEFAULT 'local', embedding_dimensions INTEGER, tags TEXT, metadata TEXT, owner_id TEXT,
  provenance_type TEXT DEFAULT 'unknown' CHECK(provenance_type IN ('user_claim', 'agent_output', 'system_observation', 'tool_result', 'unknown')),
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now') * 1000), updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now') * 1000),
  expires_at INTEGER, last_accessed_at INTEGER, access_count INTEGER DEFAULT 0,
  status TEXT DEFAULT 'active' CHECK(status IN ('active', 'archived', 'deleted')), UNIQUE(namespace, key));
CREATE INDEX IF NOT EXISTS idx_memory_namespace ON memory_entries(namespace);
CREATE INDEX IF NOT EXISTS idx_memory_key ON memory_entries(key);
CREATE INDEX IF NOT EXISTS idx_memory_type ON memory_entries(type);
CREATE INDEX IF NOT EXISTS idx_memory_status ON memory_entries(status);
CREATE INDEX IF NOT EXISTS idx_memory_created ON memory_entries(created_at);
CREATE INDEX IF NOT EXISTS idx_memory_accessed ON memory_entries(last_accessed_at);
CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at INTEGER DEFAULT (strftime('%s', 'now') * 1000));
INSERT OR IGNORE INTO metadata (key, value) VALUES ('schema_version', '3.0.0');`

const selectV3 = `SELECT coalesce(CAST(namespace AS TEXT), ''), CAST(key AS TEXT), CAST(content AS TEXT), metadata,
  coalesce(CAST(created_at AS INTEGER), 0), coalesce(CAST(updated_at AS INTEGER), 0), coalesce(CAST(expires_at AS INTEGER), 0), coalesce(CAST(status AS TEXT), 'active')
FROM memory_entries`

// readV3 leaves out what is archived. Its times are milliseconds throughout.
func readV3(ctx context.Context, db *sql.DB) (m Memory, err error) {
	err = retry(ctx, func() error {
		rows, err := db.QueryContext(ctx, selectV3)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		m = Memory{}
		for rows.Next() {
			if err := m.addV3(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return m, err
}

func (m *Memory) addV3(rows *sql.Rows) error {
	var r Record
	var text, status string
	var metadata []byte
	if err := rows.Scan(&r.Namespace, &r.Key, &text, &metadata, &r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt, &status); err != nil {
		return err
	}
	r.Namespace, r.Stamp = orDefault(r.Namespace), max(r.UpdatedAt, 1)
	switch status {
	case "active":
		r.Value, r.Metadata, r.ExpiresAt = decode(text), decodeMetadata(metadata), (r.ExpiresAt+999)/1000
		m.Entries = append(m.Entries, r)
	case "deleted":
		m.Deleted = append(m.Deleted, Deleted{Namespace: r.Namespace, Key: r.Key, Stamp: r.Stamp})
	}
	return nil
}

// The embedding belongs to the text before. Older versions lack provenance_type, which has a default.
const (
	writeV3Entry = `INSERT INTO memory_entries (id, key, namespace, content, metadata, created_at, updated_at, expires_at, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'active')
ON CONFLICT (namespace, key) DO UPDATE SET content = excluded.content, metadata = excluded.metadata, updated_at = excluded.updated_at,
  expires_at = excluded.expires_at, status = 'active', embedding = NULL, embedding_dimensions = NULL
WHERE excluded.updated_at > updated_at OR excluded.updated_at = updated_at AND content <> excluded.content AND status = 'active'`
	deleteV3Entry = `UPDATE memory_entries SET status = 'deleted', updated_at = ? WHERE namespace = ? AND key = ? AND status = 'active' AND updated_at <= ?`
)

func writeV3(tx *sql.Tx, m Memory) error {
	if err := refuseGuarded(tx); err != nil {
		return err
	}
	for _, r := range m.Entries {
		text, err := encode(r.Value)
		if err != nil {
			return err
		}
		metadata, err := encodeMetadata(r.Metadata)
		if err != nil {
			return err
		}
		var expires any
		if r.ExpiresAt != 0 {
			expires = r.ExpiresAt * 1000
		}
		id := fmt.Sprintf("entry_%d_%s", r.CreatedAt, idOf(r.Namespace, r.Key)[:16])
		if _, err := tx.Exec(writeV3Entry, id, r.Key, r.Namespace, text, nullable(metadata), r.CreatedAt, r.Stamp, expires); err != nil {
			return err
		}
	}
	for _, d := range m.Deleted {
		if _, err := tx.Exec(deleteV3Entry, d.Stamp, d.Namespace, d.Key, d.Stamp); err != nil {
			return err
		}
	}
	return nil
}

// refuseGuarded leaves a file alone in which writing would do more than it says.
func refuseGuarded(tx *sql.Tx) error {
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM sqlite_master WHERE type IN ('view', 'trigger') AND tbl_name = 'memory_entries' COLLATE NOCASE`).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return errors.New("it has views or triggers where its entries should be")
	}
	return nil
}
