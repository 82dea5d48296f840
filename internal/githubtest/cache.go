package githubtest

import "net/http"

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
