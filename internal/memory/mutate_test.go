package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// whole makes a memory in which every table holds something, and returns the file and what may be read of it.
func whole(t *testing.T) (content []byte, right map[string]bool) {
	path, c := file(t), newClock()
	s := mustOpen(t, path, c.now)
	right = map[string]bool{}
	put := func(namespace, key, value string, ttl time.Duration) {
		right[namespace+"/"+key+"="+value] = true
		mustPut(t, s, Entry{Namespace: namespace, Key: key, Value: json.RawMessage(value), Metadata: json.RawMessage(`{"by":"test"}`), TTL: ttl})
		c.pass(time.Second)
	}
	for i := range 60 {
		put("builds", fmt.Sprint("build", i), fmt.Sprintf(`{"seconds":%d,"text":"%s"}`, i, strings.Repeat("word ", i*3)), time.Hour*time.Duration(i%2))
		put("scans", fmt.Sprint("scan", i%7), fmt.Sprintf(`"%d"`, i+100), 0)
	}
	for n := range 5 {
		sum, err := s.Add(t.Context(), "n", "sum", int64(n))
		if err != nil {
			t.Fatal(err)
		}
		right[fmt.Sprint("n/sum=", sum)] = true
	}
	if _, err := s.Delete(t.Context(), "scans", "scan3"); err != nil {
		t.Fatal(err)
	}
	mustExec(t, path, `INSERT INTO memory_entries (key, value) VALUES ('theirs', 'of another tool')`)
	right[`default/theirs="of another tool"`] = true
	page(t, s, Query{Text: "word"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content, right
}

// mutate alters a file as broken disks, cut transfers and malice do.
func mutate(r *rand.Rand, content []byte) []byte {
	m := append([]byte{}, content...)
	at := func() int { return r.IntN(len(m)) }
	switch r.IntN(6) {
	case 0: // a few bits
		for range 1 + r.IntN(4) {
			m[at()] ^= 1 << r.IntN(8)
		}
	case 1: // a stretch of noise
		from := at()
		for i := from; i < min(from+1+r.IntN(300), len(m)); i++ {
			m[i] = byte(r.IntN(256))
		}
	case 2: // a page instead of another
		pages := len(m) / 4096
		copy(m[r.IntN(pages)*4096:][:4096], content[r.IntN(pages)*4096:])
	case 3: // a page of nothing
		clear(m[at()/4096*4096:][:4096])
	case 4: // the end is missing
		m = m[:at()/4096*4096]
	default: // the structures at the beginning of a page
		from := at() / 4096 * 4096
		for range 3 {
			m[from+r.IntN(60)] = byte(r.IntN(256))
		}
	}
	return m
}

// TestMutatedFiles uses files that were altered in every way: each serves or is set aside, in good time, and nothing is read from
// it that nobody wrote.
func TestMutatedFiles(t *testing.T) {
	t.Parallel()
	n := 100
	if full() {
		n = 1000
	}
	content, right := whole(t)
	r := rand.New(rand.NewPCG(9, 10))
	dir := t.TempDir()
	aside := 0
	for i := range n {
		path := filepath.Join(dir, fmt.Sprint(i, ".db"))
		if err := os.WriteFile(path, mutate(r, content), 0o644); err != nil {
			t.Fatal(err)
		}
		notice := useMutated(t, path, right)
		if t.Failed() {
			t.Fatalf("file %d (%s)", i, notice)
		}
		aside += asInt(notice != "")
	}
	t.Logf("of %d files %d were set aside", n, aside)
	if aside == 0 || aside == n {
		t.Errorf("of %d files %d were set aside", n, aside)
	}
}

// useMutated does all that can be done with a file.
func useMutated(t *testing.T, path string, right map[string]bool) (notice string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := newClock()
	c.pass(2 * time.Minute)
	s, notice, err := OpenOrSetAside(ctx, path, c.now)
	if err != nil {
		t.Errorf("OpenOrSetAside(): %v", err)
		return notice
	}
	defer func() { _ = s.Close() }()
	note := func(err error) {
		if err != nil {
			t.Errorf("it is not set aside, and fails: %v", err)
		}
	}
	check := func(how, namespace, key string, value json.RawMessage) {
		if got := namespace + "/" + key + "=" + string(value); !right[got] {
			t.Errorf("%s reads %.200q, which nobody wrote", how, got)
		}
	}
	for _, q := range []Query{{}, {Namespace: "builds"}, {Text: "word"}, {Prefix: "scan"}} {
		entries, err := s.Page(ctx, q)
		note(err)
		for _, e := range entries {
			check(fmt.Sprintf("Page(%+v)", q), e.Namespace, e.Key, e.Value)
		}
	}
	for _, name := range [][2]string{{"scans", "scan1"}, {"scans", "scan3"}, {"n", "sum"}, {"builds", "build8"}} {
		e, ok, err := s.Get(ctx, name[0], name[1])
		note(err)
		if ok {
			check("Get()", e.Namespace, e.Key, e.Value)
		}
		history, err := s.History(ctx, name[0], name[1])
		note(err)
		for _, v := range history {
			if !v.Deleted {
				check("History()", name[0], name[1], v.Value)
			}
		}
	}
	m, err := s.Delta(ctx, time.Time{})
	note(err)
	for _, e := range m.Entries {
		check("Delta()", e.Namespace, e.Key, e.Value)
	}
	sum, err := s.Add(ctx, "n", "sum", 1)
	if note(err); !right[fmt.Sprint("n/sum=", sum-1)] && sum != 1 {
		t.Errorf("Add() comes to %d", sum)
	}
	_, err = s.Namespaces(ctx)
	note(err)
	_, err = s.Stats(ctx)
	note(err)
	_, err = s.Verify(ctx)
	note(err)
	note(s.Put(ctx, Entry{Namespace: "scans", Key: "scan1", Value: json.RawMessage(`"101"`)}, Entry{Namespace: "scans", Key: "new", Value: json.RawMessage(`1`)}))
	if e, ok, err := s.Get(ctx, "scans", "new"); err != nil || !ok || string(e.Value) != "1" {
		t.Errorf("what was just written reads %s, %v, %v", e.Value, ok, err)
	}
	c.pass(2 * time.Hour)
	_, err = s.Purge(ctx)
	note(err)
	note(s.Compact(ctx))
	return notice
}
