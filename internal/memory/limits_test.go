package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func text(n int) json.RawMessage { return quote(strings.Repeat("x", n)) }

func TestLimits(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now, WithLimits(Limits{Name: 10, Entry: 100, Namespace: 1000}))
	mustPut(t, s, Entry{Namespace: strings.Repeat("n", 10), Key: strings.Repeat("k", 10), Value: text(98), Metadata: json.RawMessage(`{}`)})
	for want, e := range map[string]Entry{
		"the key has 11 bytes; 10 are allowed":       {Key: strings.Repeat("k", 11), Value: text(1)},
		"the namespace has 11 bytes; 10 are allowed": {Namespace: strings.Repeat("n", 11), Key: "k", Value: text(1)},
		"value and metadata have 101 bytes; 100 are": {Key: "k", Value: text(99), Metadata: json.RawMessage(`{}`)},
	} {
		if err := s.Put(t.Context(), e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Put() = %v, want %q", err, want)
		}
	}
}

// A namespace is full when all its entries together are too large, whoever wrote them; and not once some were deleted.
func TestNamespaceLimit(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := file(t)
	s := mustOpen(t, path, c.now, WithLimits(Limits{Namespace: 1000}))
	full := func(key string, n int) error { return s.Put(t.Context(), Entry{Key: key, Value: text(n)}) }
	mustPut(t, s, Entry{Key: "a", Value: text(499)}, Entry{Key: "b", Value: text(399), TTL: time.Second})
	mustExec(t, path, `INSERT INTO memory_entries (key, value) VALUES ('c', 'theirs')`)
	keys(t, s, "")
	if err := full("d", 93); err == nil || !strings.Contains(err.Error(), `the namespace "default" would have 1001 bytes; 1000 are allowed`) {
		t.Errorf("Put() = %v, want it refused", err)
	}
	mustPut(t, s, Entry{Namespace: "other", Key: "d", Value: text(93)}, Entry{Key: "a", Value: text(400)})
	if _, err := s.Delete(t.Context(), "", "a"); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	mustExec(t, path, `DELETE FROM memory_entries WHERE key = 'c'`)
	if _, err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := full("e", 999); err != nil {
		t.Errorf("in an empty namespace Put() = %v", err)
	}
	if wrong, err := s.Verify(t.Context()); err != nil || wrong != nil {
		t.Errorf("Verify() = %v, %v", wrong, err)
	}
}

func TestFileLimit(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := mustOpen(t, path, newClock().now, WithLimits(Limits{File: 200 << 10}))
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = s.Put(t.Context(), Entry{Key: fmt.Sprint(n), Value: text(10_000)})
	}
	if err == nil || !strings.Contains(err.Error(), "204800 are allowed") {
		t.Fatalf("after %d entries Put() = %v", n, err)
	}
	if _, err := s.Delete(t.Context(), "", "0"); err != nil {
		t.Errorf("nothing can be deleted: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, notice, err := OpenOrSetAside(t.Context(), path, newClock().now, WithLimits(Limits{File: 10 << 10}))
	if err != nil || !strings.Contains(notice, "more than the 20480 allowed") {
		t.Errorf("OpenOrSetAside() = %q, %v", notice, err)
	}
	_ = s.Close()
	if kept, err := os.ReadFile(fmt.Sprintf("%s.set-aside-%d", path, begin.Unix())); err != nil || string(kept) != string(content) {
		t.Errorf("what was too large was not kept (%v)", err)
	}
}

func TestSecretsAreRefused(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now, WithSecrets("hunter2!!", "short", "line"))
	letters := strings.Repeat("aB3", 15)
	for kind, secret := range map[string]string{
		"a secret of this run": "hunter2!!",
		"a GitHub token":       "ghs_" + letters[:36],
		"an AWS access key":    "AKIA" + strings.ToUpper(letters[:16]),
		"a private key":        "-----BEGIN EC PRIVATE KEY-----",
		"a Slack token":        "xoxb-" + letters[:12],
		"a GitLab token":       "glpat-" + letters[:20],
		"a Docker Hub token":   "dckr_pat_" + letters[:27],
		"an npm token":         "npm_" + letters[:36],
		"a PyPI token":         "pypi-AgE" + letters,
		"a Google key":         "AIza" + letters[:35],
		"an Anthropic key":     "sk-ant-" + letters[:30],
		"a Stripe key":         "sk_live_" + letters[:24],
		"a signed token":       "eyJ" + letters + ".eyJ" + letters + "." + letters,
		"a password in a URL":  "https://me:" + letters[:5] + "@host",
	} {
		escaped := fmt.Sprintf(`{"a":"\u%04x%s"}`, secret[0], secret[1:])
		for place, e := range map[string]Entry{
			"value":     {Key: "k", Value: quote("so it says: " + secret + " and more")},
			"an object": {Key: "k", Value: marshal(map[string]any{"a": []any{secret}})},
			"escaped":   {Key: "k", Value: json.RawMessage(escaped)},
			"metadata":  {Key: "k", Value: text(1), Metadata: marshal(map[string]any{"a": secret})},
			"key":       {Key: secret, Value: text(1)},
			"namespace": {Namespace: secret, Key: "k", Value: text(1)},
		} {
			err := s.Put(t.Context(), e)
			if !errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), kind) || strings.Contains(err.Error(), secret) {
				t.Errorf("%s in %s: Put() = %v", kind, place, err)
			}
			if _, err := s.CompareAndSet(t.Context(), e, nil); !errors.Is(err, ErrSecret) || strings.Contains(err.Error(), secret) {
				t.Errorf("%s in %s: CompareAndSet() = %v", kind, place, err)
			}
		}
	}
	if _, err := s.Add(t.Context(), "hunter2!!", "n", 1); !errors.Is(err, ErrSecret) || strings.Contains(err.Error(), "hunter2!!") {
		t.Errorf("Add() = %v", err)
	}
	m := Memory{Entries: []Record{{Key: "k", Value: json.RawMessage(`"hunter2!!"`), Stamp: begin.UnixMilli()}}}
	if got := mustApply(t, s, m); got != (Merged{Refused: 1}) {
		t.Errorf("Apply() = %+v", got)
	}
}

// TestSecretsOfOthersStay has another tool write secrets, which nobody could refuse: they go nowhere else.
func TestSecretsOfOthersStay(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := mustOpen(t, path, newClock().now, WithSecrets("hunter2-is-long"))
	mustExec(t, path, `INSERT INTO memory_entries (key, value, metadata) VALUES ('fine', '{"command":"ls"}', NULL),
  ('token', '{"command":"curl -H ghp_abcdefghijklmnopqrstuvwxyz012345"}', NULL), ('own', 'it is hunter2-is-long', NULL), ('beside', 'x', '{"a":"hunter2-is-long"}'), ('ghp_abcdefghijklmnopqrstuvwxyz012345', 'x', NULL)`)
	if m := mustDelta(t, s); len(m.Entries) != 1 || m.Entries[0].Key != "fine" {
		t.Errorf("what travels is %+v", m.Entries)
	}
}

func TestWordsAreNoSecrets(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, file(t), newClock().now, WithSecrets("", "main", "true"))
	for _, value := range []string{
		"sha256:" + strings.Repeat("0123456789abcdef", 4), "main", "the key ghp_ is short", "https://ghcr.io/org/app:1.2.3@sha256", "git@github.com:org/app.git",
		"http://[::1]:5000/x@y", "https://user@host/a:b@c", "BEGIN PUBLIC KEY", "eyJ.eyJ.x", "AKIAlower", "npm_config_registry", "docker-image://alpine:3.20@sha256:abc",
	} {
		if err := s.Put(t.Context(), Entry{Key: "k", Value: quote(value)}); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
}
