// Package memory keeps the swarm memory: small JSON entries in a SQLite file that other
// tools of the swarm read and write too, so its tables are theirs to the letter. Several
// processes may hold the file open; no write of theirs is lost. No other package knows SQL.
package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
)

// An Entry is one thing remembered.
type Entry struct {
	// Namespace keeps kinds apart; empty means "default". Key is unique within it.
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	// Value is JSON text. The file's format keeps strings without quotes.
	Value json.RawMessage `json:"value"`
	// Metadata is a JSON object, or nil.
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// TTL is how long the entry lives after it was written, in whole seconds (nanoseconds in JSON); 0 means for ever.
	TTL time.Duration `json:"ttl"`

	// What the store knows of the entry; Put ignores these.
	CreatedAt   time.Time `json:"-"`
	UpdatedAt   time.Time `json:"-"`
	AccessCount int       `json:"-"`
}

// A Store is an open memory file. It may be used by several goroutines at once.
type Store struct {
	db      *sql.DB
	path    string
	v3      string // of the file beside which this one is kept, if any
	now     func() time.Time
	writer  string
	limits  Limits
	secrets []string
	there   bool // it must be there already
}

// mode lets later steps of a job, which run as another user, read what a container's root wrote.
const mode = 0o644

// An Option says how a memory file is used.
type Option func(*Store)

// WithWriter names who writes, such as owner/repository/RUN-ATTEMPT/ROW; by default it is this machine. Each opening of a file is a
// writer of its own: something is added to the name.
func WithWriter(name string) Option { return func(s *Store) { s.writer = cmp.Or(name, s.writer) } }

// IfThere makes no file where there is none: opening it is then an fs.ErrNotExist.
func IfThere() Option { return func(s *Store) { s.there = true } }

// Open opens the memory file at path, with its directories if they are missing.
// Times are taken from now, once per call.
func Open(ctx context.Context, path string, now func() time.Time, options ...Option) (*Store, error) {
	s, err := open(ctx, path, now, options)
	if err != nil {
		return nil, fmt.Errorf("opening the swarm memory %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, now func() time.Time, options []Option) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, now: now, writer: thisMachine(), limits: usualLimits()}
	for _, option := range options {
		option(s)
	}
	if s.there {
		_, err = os.Stat(path)
	} else {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err != nil {
		return nil, err
	}
	s.writer += "#" + strings.ToLower(rand.Text()[:8])
	if err := checkHeader(path, 2*s.limits.File); err != nil {
		return nil, err
	}
	err = s.connect(ctx)
	if errors.Is(err, errV3) {
		return s, s.openBeside(ctx)
	}
	return s, err
}

func (s *Store) connect(ctx context.Context) (err error) {
	options := ""
	if s.there && s.v3 == "" {
		options = "&mode=rw"
	}
	if s.db, err = connectTo(s.path, options); err != nil {
		return err
	}
	err = s.prepare(ctx)
	if s.there && moved(err) {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = s.db.Close()
	}
	return err
}

// moved reports whether a file was there a moment ago and is not any more.
func moved(err error) bool {
	var fault sqlite3.Error
	return errors.As(err, &fault) && (fault.Code == sqlite3.ErrCantOpen || fault.SystemErrno == syscall.ENOENT)
}

// openBeside works on a file beside one of the layout v3, from which it takes what is new, and to which Close hands it. There
// the tool whose layout it is finds everything.
func (s *Store) openBeside(ctx context.Context) error {
	s.v3 = s.path
	s.path += ".v2"
	m, err := Read(ctx, s.v3, s.now)
	if err != nil {
		return err
	}
	// Where it is set aside, all but the history is in the other file.
	if _, err := orSetAside(s.path, s.now, func() error { return s.connect(ctx) }); err != nil {
		return err
	}
	if _, err := s.Apply(ctx, m); err != nil {
		_ = s.db.Close()
		return err
	}
	return nil
}

func thisMachine() string {
	host, _ := os.Hostname() // one of no name is local all the same
	return "local/" + host
}

// Close folds the write-ahead log into the file, so that the file alone is the whole memory
// and may be copied, unless another process still has it open.
func (s *Store) Close() error {
	var handed error
	if s.v3 != "" {
		handed = s.Export(context.Background(), s.v3, LayoutV3)
	}
	_, err := s.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := errors.Join(handed, err, s.db.Close(), makeReadable(s.path)); err != nil {
		return fmt.Errorf("closing the swarm memory %s: %w", s.path, err)
	}
	return nil
}

// makeReadable lets others read a file. A run may have moved it meanwhile, who sees to that.
func makeReadable(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm() != mode {
		err = os.Chmod(path, mode)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Put writes the entries, all or none. One that exists keeps its age and count of accesses;
// its value, metadata and time to live are replaced.
func (s *Store) Put(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	all := make([]checked, len(entries))
	for i, e := range entries {
		var err error
		if all[i], err = s.checkEntry(e); err != nil {
			return err
		}
	}
	err := s.transact(ctx, func(t *transaction) error { return t.putAll(all) })
	if err != nil {
		return fmt.Errorf("writing %d entries to the swarm memory: %w", len(entries), err)
	}
	return nil
}

func (t *transaction) putAll(all []checked) error {
	for _, c := range all {
		old, err := t.lookup(c.Namespace, c.Key)
		if err != nil {
			return err
		}
		if err := t.put(old, c); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) put(old row, c checked) error {
	c.Stamp, c.Writer = t.stampAfter(max(old.Stamp, old.diedAt)), t.s.writer
	if old.id != 0 {
		c.CreatedAt = old.CreatedAt
	}
	return t.replace(old, c)
}

// A checked record may be written.
type checked struct {
	Record
	stored
}

func (s *Store) checkEntry(e Entry) (checked, error) {
	now := s.now().Unix()
	expires, err := expiry(e.TTL, now)
	if err != nil {
		return checked{}, fmt.Errorf("writing %s: %w", s.entry(e.Namespace, e.Key), err)
	}
	return s.check(Record{Namespace: orDefault(e.Namespace), Key: e.Key, Value: e.Value, Metadata: e.Metadata,
		CreatedAt: now * 1000, UpdatedAt: now * 1000, ExpiresAt: expires})
}

// check refuses what may not be written.
func (s *Store) check(r Record) (checked, error) {
	c, err := s.checkRecord(r)
	if err != nil {
		return checked{}, fmt.Errorf("writing %s: %w", s.entry(r.Namespace, r.Key), &Refused{err})
	}
	return c, nil
}

func (s *Store) checkRecord(r Record) (c checked, err error) {
	c.Record = r
	if err := errors.Join(s.checkName("namespace", r.Namespace), s.checkName("key", r.Key)); err != nil {
		return c, err
	}
	if c.text, err = encode(r.Value); err != nil {
		return c, err
	}
	if c.stored.metadata, err = encodeMetadata(r.Metadata); err != nil {
		return c, err
	}
	return c, errors.Join(s.checkSize(c), s.checkSecrets(c))
}

func orDefault(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}

// expiry returns the second at which an entry expires that lives so long, 0 for one that never does.
func expiry(ttl time.Duration, now int64) (int64, error) {
	if ttl == 0 {
		return 0, nil
	}
	if ttl < 0 || ttl%time.Second != 0 {
		return 0, fmt.Errorf("the time to live %s is not a positive number of whole seconds", ttl)
	}
	return now + int64(ttl/time.Second), nil
}

// columns are read by scan. The casts bear with what a careless writer left in them.
const columns = `namespace, key, CAST(value AS TEXT), metadata, coalesce(CAST(ttl AS REAL), 0),
  coalesce(CAST(created_at AS INTEGER), 0), coalesce(CAST(updated_at AS INTEGER), 0), coalesce(CAST(access_count AS INTEGER), 0),
  coalesce(CAST(expires_at AS INTEGER), 0), (SELECT digest FROM ghcrp_rows WHERE entry = id)`

// alive selects the entries that have not expired at ?1.
const alive = `(expires_at IS NULL OR expires_at > ?1)`

const get = `UPDATE memory_entries SET accessed_at = ?1, access_count = access_count + 1
WHERE namespace = ?2 AND key = ?3 AND ` + alive + ` RETURNING ` + columns

// Get returns an entry, if there is one that has not expired, and counts the access.
func (s *Store) Get(ctx context.Context, namespace, key string) (Entry, bool, error) {
	found, err := s.query(ctx, get, s.now().Unix(), orDefault(namespace), key)
	if err != nil {
		return Entry{}, false, fmt.Errorf("reading %s: %w", s.entry(namespace, key), err)
	}
	if len(found) == 0 {
		return Entry{}, false, nil
	}
	return found[0], true, nil
}

// List returns at most limit entries of a namespace that have not expired, the newest first.
// A limit of 0 means all. Listing is not counted as an access.
func (s *Store) List(ctx context.Context, namespace string, limit int) ([]Entry, error) {
	found, err := s.page(ctx, Query{Namespace: orDefault(namespace), Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("listing namespace %q of the swarm memory: %w", namespace, err)
	}
	return found, nil
}

// query runs a statement that yields entries. It reads to the end, which is what commits
// a statement that changes rows. What is not what was written is left out, unless another tool has just written it.
func (s *Store) query(ctx context.Context, statement string, args ...any) ([]Entry, error) {
	found, whole, err := s.sound(ctx, statement, args...)
	if err != nil || whole {
		return found, err
	}
	if err := s.lookAround(ctx); err != nil {
		return nil, err
	}
	found, _, err = s.sound(ctx, statement, args...)
	return found, err
}

func (s *Store) sound(ctx context.Context, statement string, args ...any) (found []Entry, whole bool, err error) {
	err = retry(ctx, func() error {
		found, whole = nil, true
		return s.each(ctx, func(e Entry, sound bool) {
			if sound {
				found = append(found, e)
			}
			whole = whole && sound
		}, statement, args...)
	})
	return found, whole, err
}

func (s *Store) each(ctx context.Context, visit func(e Entry, sound bool), statement string, args ...any) error {
	rows, err := s.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		e, sound, err := scan(rows)
		if err != nil {
			return err
		}
		visit(e, sound)
	}
	return rows.Err()
}

// scan tells also whether an entry is what was written.
func scan(rows *sql.Rows) (e Entry, sound bool, err error) {
	var value string
	var metadata []byte
	var ttl float64
	var created, updated, expires int64
	var digest sql.NullInt64
	if err := rows.Scan(&e.Namespace, &e.Key, &value, &metadata, &ttl, &created, &updated, &e.AccessCount, &expires, &digest); err != nil {
		return Entry{}, false, err
	}
	sound = !digest.Valid || digest.Int64 == stored{value, string(metadata)}.digest(e.Namespace, e.Key, updated, expires)
	e.Value, e.Metadata = decode(value), decodeMetadata(metadata)
	e.TTL = seconds(ttl)
	e.CreatedAt, e.UpdatedAt = time.Unix(created, 0).UTC(), time.Unix(updated, 0).UTC()
	return e, sound, nil
}

// seconds turns a number of seconds into a duration, the longest there is when it is too large.
func seconds(n float64) time.Duration {
	const longest = time.Duration(1<<63 - 1)
	if n >= longest.Seconds() {
		return longest
	}
	return time.Duration(max(n, 0) * float64(time.Second))
}
