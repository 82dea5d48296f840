package githubtest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// Publish has the package of an organization, or of one of the users, have a version with some tags. It returns the version's id.
func (s *Server) Publish(kind, owner, name string, tags ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := kind + "/" + owner + "/" + name
	if s.versions[key] == nil {
		s.versions[key] = map[int][]string{}
	}
	s.published++
	s.versions[key][s.published] = tags
	return s.published
}

// Versions are the ids of a package's versions.
func (s *Server) Versions(kind, owner, name string) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.versions[kind+"/"+owner+"/"+name]))
}

func (s *Server) ofKind(kind string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("kind", kind)
		serve(w, r)
	}
}

// https://docs.github.com/en/rest/packages/packages#list-package-versions-for-a-package-owned-by-an-organization
func (s *Server) listVersions(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := s.versions[r.PathValue("kind")+"/"+r.PathValue("owner")+"/"+r.PathValue("name")]
	if versions == nil {
		writeError(w, http.StatusNotFound, "Package not found.")
		return
	}
	ids := slices.Backward(slices.Sorted(maps.Keys(versions)))
	listed := []any{}
	for _, id := range ids {
		listed = append(listed, map[string]any{"id": id, "name": "sha256:" + strconv.Itoa(id), "url": "https://api.github.com/v", "package_html_url": "https://github.com/p",
			"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z", "metadata": map[string]any{"package_type": "container", "container": map[string]any{"tags": append([]string{}, versions[id]...)}}})
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	begin, end := min((page-1)*size, len(listed)), min(page*size, len(listed))
	if end < len(listed) {
		w.Header().Set("Link", `<`+s.URL+r.URL.Path[len(base):]+`?page=`+strconv.Itoa(page+1)+`>; rel="next"`)
	}
	writeJSON(w, http.StatusOK, listed[begin:end])
}

// https://docs.github.com/en/rest/packages/packages#delete-package-version-for-an-organization
func (s *Server) deleteVersion(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := s.versions[r.PathValue("kind")+"/"+r.PathValue("owner")+"/"+r.PathValue("name")]
	id, _ := strconv.Atoi(r.PathValue("id"))
	if _, there := versions[id]; !there {
		writeError(w, http.StatusNotFound, "Package not found.")
		return
	}
	delete(versions, id)
	w.WriteHeader(http.StatusNoContent)
}
