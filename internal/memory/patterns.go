package memory

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"math"
	"time"
	"unicode/utf16"
)

// patternsTables are those that the command needs to list and to search; it makes the others itself.
const patternsTables = `
CREATE TABLE IF NOT EXISTS patterns (id TEXT PRIMARY KEY, type TEXT NOT NULL, pattern_data TEXT NOT NULL, confidence REAL NOT NULL DEFAULT 0.5,
  usage_count INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, last_used TEXT);
CREATE TABLE IF NOT EXISTS pattern_embeddings (id TEXT PRIMARY KEY, model TEXT NOT NULL, dims INTEGER NOT NULL, vector BLOB NOT NULL,
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, FOREIGN KEY(id) REFERENCES patterns(id) ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS idx_patterns_type ON patterns(type);
CREATE INDEX IF NOT EXISTS idx_patterns_confidence ON patterns(confidence DESC);
CREATE INDEX IF NOT EXISTS idx_patterns_created_at ON patterns(created_at DESC);`

// patternTime is how the layout writes times, in UTC.
const patternTime = "2006-01-02 15:04:05"

// A pattern is what the layout keeps of an entry, as JSON.
type pattern struct {
	Title         string          `json:"title"`
	Content       string          `json:"content"`
	Domain        string          `json:"domain"`
	Agent         string          `json:"agent"`
	TaskType      string          `json:"task_type"`
	OriginalKey   string          `json:"original_key"`
	OriginalValue json.RawMessage `json:"original_value"`
	Namespace     string          `json:"namespace"`
}

// readPatterns takes the last of those that have the same key: the layout keeps all that were ever stored.
func readPatterns(ctx context.Context, db *sql.DB) (m Memory, err error) {
	err = retry(ctx, func() error {
		rows, err := db.QueryContext(ctx, `SELECT CAST(pattern_data AS TEXT), CAST(created_at AS TEXT) FROM patterns WHERE type = 'reasoning_memory' ORDER BY created_at, rowid`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		m = Memory{}
		stamps := map[name]int64{}
		for rows.Next() {
			var data string
			var created sql.NullString
			if err := rows.Scan(&data, &created); err != nil {
				return err
			}
			if r, ok := recordOfPattern(data, created.String); ok {
				n := name{r.Namespace, r.Key}
				r.Stamp = max(r.Stamp, stamps[n]+1)
				stamps[n] = r.Stamp
				m.Entries = append(m.Entries, r)
			}
		}
		return rows.Err()
	})
	return m, err
}

func recordOfPattern(data, created string) (Record, bool) {
	var p pattern
	if json.Unmarshal([]byte(data), &p) != nil {
		return Record{}, false
	}
	at, _ := time.Parse(patternTime, created) // one that is no time is the oldest
	r := Record{Namespace: orDefault(p.Namespace), Key: p.OriginalKey, Stamp: max(at.UnixMilli(), 1)}
	if p.Namespace == "" {
		r.Namespace = orDefault(p.Domain)
	}
	if r.Key == "" {
		r.Key = p.Title
	}
	r.CreatedAt, r.UpdatedAt = r.Stamp, r.Stamp
	r.Value = valueOfText(p.OriginalValue)
	if r.Value == nil {
		r.Value = decode(p.Content)
	}
	return r, r.Key != ""
}

func writePatterns(tx *sql.Tx, m Memory) error {
	for _, r := range m.Entries {
		if err := writePattern(tx, r); err != nil {
			return err
		}
	}
	for _, d := range m.Deleted {
		for _, table := range []string{"pattern_embeddings", "patterns"} {
			if _, err := tx.Exec(`DELETE FROM `+table+` WHERE id = ?`, uuid(d.Namespace, d.Key)); err != nil {
				return err
			}
		}
	}
	return nil
}

func writePattern(tx *sql.Tx, r Record) error {
	text, err := encode(r.Value)
	if err != nil {
		return err
	}
	data := marshal(pattern{r.Key, text, r.Namespace, "memory-agent", "fact", r.Key, quote(text), r.Namespace})
	at, id := time.UnixMilli(r.Stamp).UTC().Format(patternTime), uuid(r.Namespace, r.Key)
	if _, err := tx.Exec(`INSERT INTO patterns (id, type, pattern_data, confidence, usage_count, created_at) VALUES (?, 'reasoning_memory', ?, 0.8, 0, ?)
ON CONFLICT (id) DO UPDATE SET pattern_data = excluded.pattern_data, created_at = excluded.created_at WHERE pattern_data <> excluded.pattern_data`, id, string(data), at); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO pattern_embeddings (id, model, dims, vector, created_at) VALUES (?, 'text-embedding-3-small', ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET vector = excluded.vector, created_at = excluded.created_at WHERE vector <> excluded.vector`, id, dimensions, embedding(text), at)
	return err
}

func uuid(namespace, key string) string {
	h := idOf(namespace, key)
	return h[:8] + "-" + h[8:12] + "-5" + h[13:16] + "-8" + h[17:20] + "-" + h[20:]
}

const dimensions = 384

// embedding is the vector that agentic-flow's reasoningbank gives a text where it has no model, in its
// bytes (dist/reasoningbank/utils/embeddings.js): what is searched there finds nothing without one.
func embedding(text string) []byte {
	var hash int32
	for _, unit := range utf16.Encode([]rune(text)) {
		hash = hash<<5 - hash + int32(unit)
	}
	h := math.Abs(float64(hash))
	vector, sum := make([]float32, dimensions), 0.0
	for i := range vector {
		vector[i] = float32(math.Sin(h*float64(i+1)*0.01) + math.Cos(h*float64(i)*0.02))
		sum += float64(vector[i]) * float64(vector[i])
	}
	bytes := make([]byte, 0, 4*dimensions)
	for _, v := range vector {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(float32(float64(v)/math.Sqrt(sum))))
	}
	return bytes
}
