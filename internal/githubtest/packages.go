package githubtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A version is one manifest of a package.
type version struct {
	id               int
	digest           string
	tags             []string
	created, updated time.Time
	deleted, popular bool
	// What the registry had of it, to be put back.
	path, mediaType string
	manifest        []byte
}

// A store is one container package.
type store struct {
	versions map[int]*version
	listed   []listing // as it was after each change
}

// A listing is the list of a package's versions from a time on.
type listing struct {
	versions []any
	since    time.Time
}

// packages are all there are.
type packages struct {
	stores   map[string]*store // by "orgs/owner/name"
	made     int               // versions
	lag      int               // changes that lists do not know of
	page     int               // versions that a page of a list has at most
	clock    func() time.Time
	registry http.Handler
}

// longAgo is when versions are made, unless Clock says otherwise.
func longAgo() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// Clock has versions be made when it says.
func (s *Server) Clock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packages.clock = now
}

// settled is how old a change is that every list knows of.
const settled = time.Hour

// Lag has lists of versions be so many changes old, as GitHub's are, but none that is older than an hour.
func (s *Server) Lag(changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packages.lag = changes
}

// Pages has the lists of versions that are asked for from now on come in pages of no more than so many.
func (s *Server) Pages(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packages.page = size
}

// Publish has the package of an organization, or of one of the users, have one more version with some tags. It returns the version's id.
func (s *Server) Publish(kind, owner, name string, tags ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := kind + "/" + owner + "/" + name
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(key+strconv.Itoa(s.packages.made))))
	v := s.packages.version(key, digest)
	v.tags = tags
	s.packages.changed(key)
	return v.id
}

// Popular has the version with a digest be one that was downloaded too often to be deleted.
func (s *Server) Popular(kind, owner, name, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packages.version(kind+"/"+owner+"/"+name, digest).popular = true
}

// Remove deletes the version with a digest, as a person does on GitHub's pages.
func (s *Server) Remove(kind, owner, name, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := kind + "/" + owner + "/" + name
	s.packages.remove(s.packages.version(key, digest))
	s.packages.changed(key)
}

// Versions are the ids of a package's versions.
func (s *Server) Versions(kind, owner, name string) (ids []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.packages.of(kind + "/" + owner + "/" + name) {
		if !v.deleted {
			ids = append(ids, v.id)
		}
	}
	return ids
}

// of are all versions of a package that there are or were, the oldest first.
func (p *packages) of(key string) (all []*version) {
	if p.stores[key] == nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(p.stores[key].versions)) {
		all = append(all, p.stores[key].versions[id])
	}
	return all
}

// version is the one of a digest, which is made if it is not there.
func (p *packages) version(key, digest string) *version {
	for _, v := range p.of(key) {
		if v.digest == digest && !v.deleted {
			return v
		}
	}
	if p.stores[key] == nil {
		p.stores[key] = &store{versions: map[int]*version{}}
	}
	p.made++
	v := &version{id: p.made, digest: digest, created: p.clock(), updated: p.clock()}
	p.stores[key].versions[v.id] = v
	return v
}

// changed notes how a package is now.
func (p *packages) changed(key string) {
	list := []any{}
	for _, v := range slices.Backward(p.of(key)) {
		if !v.deleted {
			list = append(list, v.json())
		}
	}
	s := p.stores[key]
	s.listed = append(s.listed, listing{list, p.clock()})
	s.listed = s.listed[max(0, len(s.listed)-1-p.lag):]
}

// list is what a list has now.
func (p *packages) list(key string) []any {
	all := p.stores[key].listed
	i := max(0, len(all)-1-p.lag)
	for i+1 < len(all) && p.clock().Sub(all[i+1].since) > settled {
		i++
	}
	return all[i].versions
}

// json is a version as GitHub tells of it.
func (v *version) json() map[string]any {
	return map[string]any{"id": v.id, "name": v.digest, "url": "https://api.github.com/v", "package_html_url": "https://github.com/p",
		"created_at": v.created.UTC().Format(time.RFC3339), "updated_at": v.updated.UTC().Format(time.RFC3339),
		"metadata": map[string]any{"package_type": "container", "container": map[string]any{"tags": append([]string{}, v.tags...)}}}
}

// Registry is a registry as GitHub's is: each manifest is a version of a package of organizations, or of users; a tag is of one version; and nothing is
// deleted through it. All else is next's affair.
func (s *Server) Registry(kind string, next http.Handler) http.Handler {
	s.packages.registry = next
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, reference, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
		switch {
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusMethodNotAllowed)
			fmt.Fprintln(w, `{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}`)
		case ok && r.Method == http.MethodPut:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.packages.put(w, r, kind+"/"+path, reference)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (p *packages) put(w http.ResponseWriter, r *http.Request, key, reference string) {
	manifest, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(manifest))
	kept := httptest.NewRecorder()
	p.registry.ServeHTTP(kept, r)
	if kept.Code == http.StatusCreated {
		v := p.version(key, fmt.Sprintf("sha256:%x", sha256.Sum256(manifest)))
		v.path, v.mediaType, v.manifest = strings.TrimSuffix(r.URL.Path, reference), r.Header.Get("Content-Type"), manifest
		p.tag(key, reference, v)
		p.changed(key)
	}
	maps.Copy(w.Header(), kept.Header())
	w.WriteHeader(kept.Code)
	_, _ = w.Write(kept.Body.Bytes())
}

// tag takes a tag from the version that has it. That changes neither's times.
func (p *packages) tag(key, tag string, to *version) {
	if strings.Contains(tag, ":") {
		return // a digest
	}
	for _, v := range p.of(key) {
		v.tags = slices.DeleteFunc(v.tags, func(t string) bool { return t == tag })
	}
	to.tags = append(to.tags, tag)
}

func (s *Server) ofKind(kind string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.SetPathValue("key", kind+"/"+r.PathValue("owner")+"/"+r.PathValue("name"))
		if s.packages.stores[r.PathValue("key")] == nil {
			writeError(w, http.StatusNotFound, "Package not found.")
			return
		}
		serve(w, r)
	}
}

// https://docs.github.com/en/rest/packages/packages#list-package-versions-for-a-package-owned-by-an-organization
func (s *Server) listVersions(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	listed := s.packages.list(key)
	if r.FormValue("state") == "deleted" {
		listed = []any{}
		for _, v := range s.packages.of(key) {
			if v.deleted {
				listed = append(listed, v.json())
			}
		}
	}
	s.writePage(w, r, listed, s.packages.page)
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
		return n
	}
	return otherwise
}

// asked is the version that a request names, if it is there or, where that is asked for, deleted.
func (s *Server) askedVersion(w http.ResponseWriter, r *http.Request, deleted bool) *version {
	id, _ := strconv.Atoi(r.PathValue("id"))
	v := s.packages.stores[r.PathValue("key")].versions[id]
	if v == nil || v.deleted != deleted {
		writeError(w, http.StatusNotFound, "Package not found.")
		return nil
	}
	return v
}

// https://docs.github.com/en/rest/packages/packages#get-a-package-version-for-an-organization
func (s *Server) getVersion(w http.ResponseWriter, r *http.Request) {
	if v := s.askedVersion(w, r, false); v != nil {
		writeJSON(w, http.StatusOK, v.json())
	}
}

// https://docs.github.com/en/rest/packages/packages#delete-package-version-for-an-organization
func (s *Server) deleteVersion(w http.ResponseWriter, r *http.Request) {
	v := s.askedVersion(w, r, false)
	if v == nil {
		return
	}
	others, tagged := 0, 0
	for _, other := range s.packages.of(r.PathValue("key")) {
		if other != v && !other.deleted {
			others++
			tagged += min(1, len(other.tags))
		}
	}
	switch {
	case others == 0:
		writeError(w, http.StatusBadRequest, "You cannot delete the last version of a package. You must delete the package instead.")
	case tagged == 0 && len(v.tags) > 0:
		writeError(w, http.StatusBadRequest, "You cannot delete the last tagged version of a package. You must delete the package instead.")
	case v.popular:
		writeError(w, http.StatusBadRequest, "Publicly visible package versions with more than 5000 downloads cannot be deleted. Contact GitHub support for further assistance.")
	default:
		s.packages.remove(v)
		s.packages.changed(r.PathValue("key"))
		w.WriteHeader(http.StatusNoContent)
	}
}

// remove takes a version from the registry, too, with its tags.
func (p *packages) remove(v *version) {
	if p.registry != nil {
		for _, reference := range append(v.tags, v.digest) {
			p.registry.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodDelete, v.path+reference, nil))
		}
	}
	v.deleted, v.tags = true, nil
}

// restoreVersion brings a version back, without its tags.
// https://docs.github.com/en/rest/packages/packages#restore-package-version-for-an-organization
func (s *Server) restoreVersion(w http.ResponseWriter, r *http.Request) {
	v := s.askedVersion(w, r, true)
	if v == nil {
		return
	}
	if s.packages.registry != nil {
		put := httptest.NewRequest(http.MethodPut, v.path+v.digest, bytes.NewReader(v.manifest))
		put.Header.Set("Content-Type", v.mediaType)
		kept := httptest.NewRecorder()
		if s.packages.registry.ServeHTTP(kept, put); kept.Code != http.StatusCreated {
			writeError(w, http.StatusConflict, kept.Body.String())
			return
		}
	}
	v.deleted, v.updated = false, s.packages.clock()
	s.packages.changed(r.PathValue("key"))
	w.WriteHeader(http.StatusNoContent)
}
