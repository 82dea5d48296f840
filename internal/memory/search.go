package memory

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// A Query asks for a page of entries that have not expired.
type Query struct {
	Namespace string // "" is all of them
	// Text holds words that must all be in the key or the value, in any order and in whatever case; a word may end in * for all that begin
	// so. "" lists everything.
	Text   string
	Prefix string // of keys
	Limit  int    // 0 is no limit
	Offset int    // how many to leave out before
}

// Page returns the entries that a query asks for: the last written first. It is not counted as an access.
func (s *Store) Page(ctx context.Context, q Query) ([]Entry, error) {
	found, err := s.page(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("searching the swarm memory: %w", err)
	}
	return found, nil
}

func (s *Store) page(ctx context.Context, q Query) ([]Entry, error) {
	if err := s.lookAround(ctx); err != nil {
		return nil, err
	}
	if q.Text == "" {
		statement, args := q.list(s.now().Unix())
		return s.query(ctx, statement, args...)
	}
	match := q.match()
	if match == "" {
		return nil, nil // no word at all
	}
	if err := s.index(ctx); err != nil {
		return nil, err
	}
	statement, args := q.search(s.now().Unix(), match)
	return s.query(ctx, statement, args...)
}

// list walks along the index of stamps, so that a page costs as much as it shows.
func (q Query) list(now int64) (string, []any) {
	where, args := q.where(now)
	return `SELECT ` + columns + ` FROM ghcrp_rows r CROSS JOIN memory_entries e ON e.id = r.entry WHERE ` + where +
		` ORDER BY r.stamp DESC, r.entry DESC LIMIT ? OFFSET ?`, append(args, q.limit(), q.Offset)
}

// search walks along the documents, the last first.
func (q Query) search(now int64, match string) (string, []any) {
	where, args := q.where(now)
	return `SELECT ` + columns + ` FROM ghcrp_fts CROSS JOIN ghcrp_rows r ON r.change = ghcrp_fts.docid CROSS JOIN memory_entries e ON e.id = r.entry
WHERE ` + where + ` AND ghcrp_fts MATCH ? ORDER BY ghcrp_fts.docid DESC LIMIT ? OFFSET ?`, append(args, match, q.limit(), q.Offset)
}

func (q Query) where(now int64) (string, []any) {
	where, args := alive, []any{now}
	if q.Namespace != "" {
		where, args = where+` AND r.space = ?`, append(args, q.Namespace)
	}
	if q.Prefix != "" {
		where, args = where+` AND e.key >= ? AND e.key < ?`, append(args, q.Prefix, q.Prefix+string(unicode.MaxRune))
	}
	return where, args
}

func (q Query) limit() int {
	if q.Limit <= 0 {
		return -1
	}
	return q.Limit
}

// match turns the words into https://sqlite.org/fts3.html#full_text_index_queries: phrases, all of which must be there. What is in quotes
// cannot be an operator. A query without a letter or digit matches nothing.
func (q Query) match() string {
	var phrases []string
	for word := range strings.FieldsSeq(q.Text) {
		word = strings.ToValidUTF8(strings.NewReplacer(`"`, " ", "\x00", " ").Replace(word), " ")
		if strings.ContainsFunc(word, isTokenRune) {
			phrases = append(phrases, quotePhrase(word))
		}
	}
	if len(phrases) > 0 && q.Namespace != "" {
		phrases = append(phrases, `"`+namespaceToken(q.Namespace)+`"`)
	}
	return strings.Join(phrases, " ")
}

func isTokenRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// quotePhrase lets only a last star mean something.
func quotePhrase(word string) string {
	body, prefix := strings.CutSuffix(word, "*")
	body = strings.Join(strings.FieldsFunc(body, func(r rune) bool { return !isTokenRune(r) }), " ")
	if prefix {
		body += "*"
	}
	return `"` + body + `"`
}

// namespaceToken is one word for a namespace, whatever its name is.
func namespaceToken(namespace string) string {
	return "ghcrpns" + hex.EncodeToString([]byte(namespace))
}

// indexed is how many entries one transaction puts into the index: other writers wait for it.
const indexed = 2000

// index brings the full-text index up to date. Writing does not, so that only who searches pays for it.
func (s *Store) index(ctx context.Context) error {
	for {
		var done bool
		err := s.transact(ctx, func(t *transaction) (err error) {
			done, err = t.index()
			return err
		})
		if err != nil || done {
			return err
		}
	}
}

const unindexed = `SELECT r.change, e.namespace, e.key, CAST(e.value AS TEXT) FROM ghcrp_rows r CROSS JOIN memory_entries e ON e.id = r.entry
WHERE r.change > (SELECT indexed FROM ghcrp_state) ORDER BY r.change LIMIT ?`

func (t *transaction) index() (done bool, err error) {
	documents, err := documents(t.tx.QueryContext(t.ctx, unindexed, indexed))
	if err != nil {
		return false, err
	}
	upTo := t.change
	for _, d := range documents {
		if err := t.exec(`INSERT INTO ghcrp_fts (docid, text) VALUES (?, ?)`, d.id, d.text); err != nil {
			return false, err
		}
	}
	if done = len(documents) < indexed; !done {
		upTo = documents[len(documents)-1].id
	}
	return done, t.exec(`UPDATE ghcrp_state SET indexed = ?`, upTo)
}

type document struct {
	id   int64
	text string
}

func documents(rows *sql.Rows, err error) ([]document, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []document
	for rows.Next() {
		var d document
		var namespace, key, value string
		if err := rows.Scan(&d.id, &namespace, &key, &value); err != nil {
			return nil, err
		}
		d.text = namespaceToken(namespace) + " " + key + " " + words(value)
		all = append(all, d)
	}
	return all, rows.Err()
}

// words is the text of a value. JSON with escapes is taken apart: the n of \n would begin the next word.
func words(text string) string {
	if !strings.Contains(text, `\`) && !strings.HasPrefix(text, compressed) {
		return text
	}
	var b strings.Builder
	d := json.NewDecoder(bytes.NewReader(decode(text)))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil { // the end
			return b.String()
		}
		if _, punctuation := token.(json.Delim); !punctuation {
			fmt.Fprint(&b, token, " ")
		}
	}
}
