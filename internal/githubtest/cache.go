package githubtest

import (
	"net/http"
	"strings"
	"time"
)

// A Cache is an entry of the cache of GitHub Actions.
type Cache struct {
	Ref, Key, Version string
	Made              time.Time
}

// ListCaches has the API list these entries, the newest first. Until then the token may not know of them.
func (s *Server) ListCaches(list func() []Cache) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caches = list
}

// https://docs.github.com/en/rest/actions/cache#list-github-actions-caches-for-a-repository
func (s *Server) listCaches(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	list := s.caches
	s.mu.Unlock()
	query := r.URL.Query()
	if list == nil {
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	if query.Get("sort") != "created_at" || query.Get("direction") != "desc" || query.Get("per_page") != "100" {
		s.refuse(w, r, &refusal{http.StatusBadRequest, "this server knows of one order and one size of a page"})
		return
	}
	listed := []any{}
	for i, c := range list() {
		if strings.HasPrefix(c.Key, query.Get("key")) {
			listed = append(listed, map[string]any{"id": i + 1, "ref": c.Ref, "key": c.Key, "version": c.Version, "last_accessed_at": c.Made, "created_at": c.Made, "size_in_bytes": 1})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"total_count": len(listed), "actions_caches": listed})
}

// FillCache has the repository's cache of GitHub Actions hold some bytes, of so many gigabytes; of 0 the token may not know.
func (s *Server) FillCache(bytes int64, gigabytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cached, s.cacheLimit = bytes, gigabytes
}

// WithholdCacheUsage has the token lack the right to know how full the cache is.
func (s *Server) WithholdCacheUsage() { s.FillCache(-1, 0) }

// https://docs.github.com/en/rest/actions/cache#get-github-actions-cache-usage-for-a-repository
func (s *Server) cacheUsage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	held := s.cached
	s.mu.Unlock()
	if held < 0 {
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"full_name": r.PathValue("owner") + "/" + r.PathValue("repo"), "active_caches_size_in_bytes": held, "active_caches_count": 1})
}

func (s *Server) storageLimit(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	limit := s.cacheLimit
	s.mu.Unlock()
	if limit == 0 {
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"max_cache_size_gb": limit})
}
