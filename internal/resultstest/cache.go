package resultstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An entry of the cache. It never changes once it is finalized.
type entry struct {
	scope, key, version string
	blob                string // name of what it holds
	finalized           bool
	made                time.Time
}

const (
	mayRead  = 1
	mayWrite = 2
)

// Quota has the cache take no new entry once it holds so many bytes; 0 means no limit.
func (s *Server) Quota(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota = bytes
}

// Cached lists the keys of the cache's entries that are finalized, by ref.
func (s *Server) Cached(scope string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, e := range s.entries {
		if e.scope == scope && e.finalized {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// An Entry is one of the cache's that is finalized.
type Entry struct {
	Ref, Key, Version string
	Made              time.Time
}

// Entries lists what the cache holds for all refs, the newest first.
func (s *Server) Entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Entry
	for _, e := range slices.Backward(s.entries) {
		if e.finalized {
			all = append(all, Entry{e.scope, e.key, e.version, e.made})
		}
	}
	return all
}

// Evict has the cache forget the entries whose keys begin so.
func (s *Server) Evict(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = slices.DeleteFunc(s.entries, func(e *entry) bool { return strings.HasPrefix(e.key, prefix) })
}

// cacheCall answers as the cache service does, version 2, of which there is no description but GitHub's own client
// (https://github.com/actions/toolkit/blob/main/packages/cache/src/generated/results/api/v1/cache.ts).
func (s *Server) cacheCall(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Key         string      `json:"key"`
		Version     string      `json:"version"`
		RestoreKeys []string    `json:"restore_keys"`
		Size        json.Number `json:"size_bytes"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	scopes, permissions := claimsOf(r)
	switch err := decoder.Decode(&in); {
	case err != nil || in.Key == "" || in.Version == "" || len(in.Key) > 512 || len(in.RestoreKeys) > 10 || strings.Contains(in.Key, ","):
		s.refuse(w, r, http.StatusBadRequest, "malformed", fmt.Sprintf("key or version are not right: %v", err))
	case scopes == "":
		s.refuse(w, r, http.StatusUnauthorized, "unauthenticated", "there is no token")
	case r.PathValue("method") == "CreateCacheEntry":
		s.reserve(w, in.Key, in.Version, permissions)
	case r.PathValue("method") == "FinalizeCacheEntryUpload":
		s.commit(w, r, in.Key, in.Version, in.Size.String(), permissions)
	case r.PathValue("method") == "GetCacheEntryDownloadURL":
		if e := s.find(in.Key, in.Version, in.RestoreKeys, permissions); e != nil {
			reply(w, map[string]any{"ok": true, "signed_download_url": s.signed(e.blob, "r"), "matched_key": e.key})
			return
		}
		reply(w, map[string]any{"ok": false})
	default:
		s.refuse(w, r, http.StatusNotFound, "bad_route", "no such call")
	}
}

// writable is the ref that a token may write for; empty for none.
func writable(permissions []Permission) string {
	for _, p := range permissions {
		if p.Permission&mayWrite != 0 {
			return p.Scope
		}
	}
	return ""
}

func (s *Server) reserve(w http.ResponseWriter, key, version string, permissions []Permission) {
	switch scope := writable(permissions); {
	case scope == "":
		reply(w, map[string]any{"ok": false, "message": "cache write denied: token has no writable scopes"})
	case s.entry(scope, key, version) != nil:
		// One that was reserved and never finalized too: it burns the key.
		answer(w, http.StatusConflict, "already_exists", "cache entry with the same key, version, and scope already exists")
	case s.full():
		reply(w, map[string]any{"ok": false, "message": "cache write denied: the repository has reached its cache storage limit"})
	default:
		reply(w, map[string]any{"ok": true, "signed_upload_url": s.signed(s.enter(scope, key, version).blob, "w")})
	}
}

// full reports whether the cache holds as much as it may.
func (s *Server) full() bool {
	held := 0
	for _, e := range s.entries {
		held += len(s.artifacts[e.blob].archive)
	}
	return s.quota > 0 && held >= s.quota
}

func (s *Server) enter(scope, key, version string) *entry {
	e := &entry{scope: scope, key: key, version: version, blob: fmt.Sprintf("cache-%d", len(s.artifacts)), made: time.Now()}
	s.entries = append(s.entries, e)
	s.artifacts[e.blob] = &artifact{blocks: map[string][]byte{}}
	return e
}

func (s *Server) entry(scope, key, version string) *entry {
	i := slices.IndexFunc(s.entries, func(e *entry) bool { return e.scope == scope && e.key == key && e.version == version })
	if i < 0 {
		return nil
	}
	return s.entries[i]
}

func (s *Server) commit(w http.ResponseWriter, r *http.Request, key, version, size string, permissions []Permission) {
	e := s.entry(writable(permissions), key, version)
	if e == nil || size == "0" || size != fmt.Sprint(len(s.artifacts[e.blob].archive)) {
		s.refuse(w, r, http.StatusNotFound, "not_found", "there is no such upload of "+size+" bytes")
		return
	}
	e.finalized = true
	reply(w, map[string]any{"ok": true, "entry_id": "1"})
}

// find searches the refs that a token may read, in order: for the key itself and then, the newest first, for what begins like it
// or like one of the others.
func (s *Server) find(key, version string, others []string, permissions []Permission) *entry {
	for _, p := range permissions {
		if p.Permission&mayRead == 0 {
			continue
		}
		if e := s.entry(p.Scope, key, version); e != nil && e.finalized {
			return e
		}
		for _, prefix := range append([]string{key}, others...) {
			for _, e := range slices.Backward(s.entries) {
				if e.finalized && e.scope == p.Scope && e.version == version && strings.HasPrefix(e.key, prefix) {
					return e
				}
			}
		}
	}
	return nil
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
