package resultstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// oldCache serves the cache as GitHub Enterprise Server and act do, version 1: the same entries at other addresses. Keys are not told
// apart by the case of their letters. There is no description of it but GitHub's own client
// (https://github.com/actions/toolkit/blob/main/packages/cache/src/internal/cacheHttpClient.ts, before it spoke version 2).
func (s *Server) oldCache(mux *http.ServeMux) {
	const at = "/_apis/artifactcache/"
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, []Permission){
		"GET " + at + "cache": s.oldLookUp, "POST " + at + "caches": s.oldReserve, "PATCH " + at + "caches/{id}": s.oldUpload, "POST " + at + "caches/{id}": s.oldCommit,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			scopes, permissions := claimsOf(r)
			if scopes == "" || !strings.Contains(r.Header.Get("Accept"), "api-version=6.0-preview.1") {
				s.refuse(w, r, http.StatusUnauthorized, "unauthenticated", "there is no token, or no version of the interface")
				return
			}
			serve(w, r, permissions)
		})
	}
}

func (s *Server) oldLookUp(w http.ResponseWriter, r *http.Request, permissions []Permission) {
	keys := strings.Split(r.URL.Query().Get("keys"), ",")
	e := s.find(strings.ToLower(keys[0]), r.URL.Query().Get("version"), keys[1:], permissions)
	if e == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	reply(w, map[string]any{"result": "hit", "cacheKey": e.key, "archiveLocation": s.signed(e.blob, "r")})
}

func (s *Server) oldReserve(w http.ResponseWriter, r *http.Request, permissions []Permission) {
	var in struct {
		Key, Version string
		Size         int64 `json:"cacheSize"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Key == "" || in.Version == "" || in.Size <= 0 {
		s.refuse(w, r, http.StatusBadRequest, "malformed", fmt.Sprintf("key, version or size are not right: %v", err))
		return
	}
	switch scope := writable(permissions); {
	case scope == "":
		answer(w, http.StatusForbidden, "", "the token has no writable scopes")
	case s.entry(scope, strings.ToLower(in.Key), in.Version) != nil:
		answer(w, http.StatusConflict, "", "Cache already exists")
	case s.full():
		answer(w, http.StatusBadRequest, "", "the repository has reached its cache storage limit")
	default:
		s.enter(scope, strings.ToLower(in.Key), in.Version)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"cacheId": len(s.entries)})
	}
}

// oldEntry finds an entry that is being written, by its number.
func (s *Server) oldEntry(r *http.Request, permissions []Permission) *entry {
	n, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || n < 1 || n > len(s.entries) || s.entries[n-1].finalized || s.entries[n-1].scope != writable(permissions) {
		return nil
	}
	return s.entries[n-1]
}

func (s *Server) oldUpload(w http.ResponseWriter, r *http.Request, permissions []Permission) {
	var begin, end int
	data, err := io.ReadAll(r.Body)
	e := s.oldEntry(r, permissions)
	if n, _ := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/*", &begin, &end); n != 2 || err != nil || e == nil || end-begin+1 != len(data) {
		s.refuse(w, r, http.StatusBadRequest, "malformed", "there is no such upload, or its range is not right")
		return
	}
	blob := s.artifacts[e.blob]
	if grown := end + 1 - len(blob.archive); grown > 0 {
		blob.archive = slices.Concat(blob.archive, make([]byte, grown))
	}
	copy(blob.archive[begin:], data)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) oldCommit(w http.ResponseWriter, r *http.Request, permissions []Permission) {
	var in struct{ Size int }
	e := s.oldEntry(r, permissions)
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || e == nil || in.Size != len(s.artifacts[e.blob].archive) {
		s.refuse(w, r, http.StatusBadRequest, "malformed", "there is no such upload of so many bytes")
		return
	}
	e.finalized = true
	w.WriteHeader(http.StatusNoContent)
}
