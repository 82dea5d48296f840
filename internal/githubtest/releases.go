package githubtest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// A Release is one of the repository's.
type Release struct {
	ID         int    `json:"id"`
	Tag        string `json:"tag_name"`
	Commit     string `json:"target_commitish"`
	Name       string `json:"name"`
	Body       string `json:"body"`
	Draft      bool   `json:"draft"`
	Prerelease bool   `json:"prerelease"`
	Latest     string `json:"make_latest"`
	Immutable  bool   `json:"-"`
	Assets     []ReleaseAsset
}

// A ReleaseAsset is a file of a release, whole or not.
type ReleaseAsset struct {
	ID    int
	Name  string
	Data  []byte
	Whole bool
}

// Releases returns all there are, the first that was made first.
func (s *Server) Releases() []Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.releases)
	for i := range all {
		all[i].Assets = slices.Clone(all[i].Assets)
	}
	return all
}

// AddRelease has a release be there, which somebody else made, and returns its id.
func (s *Server) AddRelease(r Release) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	r.ID = s.made
	s.releases = append(s.releases, r)
	return r.ID
}

// KeepReleases makes releases immutable that are published from now on.
func (s *Server) KeepReleases() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.immutable = true
}

// BreakUploads has the next uploads of assets break off half way.
func (s *Server) BreakUploads(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken += n
}

// listReleases answers with a page, the newest first.
// https://docs.github.com/en/rest/releases/releases#list-releases
func (s *Server) listReleases(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	listed := []any{}
	for _, one := range slices.Backward(s.releases) {
		listed = append(listed, s.release(one))
	}
	writePage(w, r, listed)
}

// writePage answers with the part of a list that is asked for.
func writePage(w http.ResponseWriter, r *http.Request, all []any) {
	page, _ := strconv.Atoi(cmp.Or(r.FormValue("page"), "1"))
	size, _ := strconv.Atoi(cmp.Or(r.FormValue("per_page"), "30"))
	begin, end := min((page-1)*size, len(all)), min(page*size, len(all))
	writeJSON(w, http.StatusOK, all[begin:end])
}

func (s *Server) createRelease(w http.ResponseWriter, r *http.Request) {
	made := Release{Latest: "true"}
	if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !made.Draft && s.isTaken(made) {
		writeExists(w, "Release", "tag_name")
		return
	}
	s.made++
	made.ID, made.Immutable = s.made, s.immutable && !made.Draft
	s.releases = append(s.releases, made)
	writeJSON(w, http.StatusCreated, s.release(made))
}

// isTaken reports whether another release of the tag is published.
func (s *Server) isTaken(r Release) bool {
	return slices.ContainsFunc(s.releases, func(o Release) bool { return o.ID != r.ID && o.Tag == r.Tag && !o.Draft })
}

// writeExists answers as GitHub does where a name is taken.
func writeExists(w http.ResponseWriter, resource, field string) {
	writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []any{map[string]string{"resource": resource, "code": "already_exists", "field": field}},
		"documentation_url": "https://docs.github.com/rest/releases/releases", "status": "422"})
}

// withRelease finds the release that a request names.
func (s *Server) withRelease(w http.ResponseWriter, r *http.Request, do func(*Release)) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.releases, func(o Release) bool { return o.ID == id })
	if i < 0 {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	do(&s.releases[i])
}

func (s *Server) editRelease(w http.ResponseWriter, r *http.Request) {
	s.withRelease(w, r, func(one *Release) {
		edited := *one
		edited.Latest = "" // which an edit need not say
		if err := json.NewDecoder(r.Body).Decode(&edited); err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		if !edited.Draft && s.isTaken(edited) {
			writeExists(w, "Release", "tag_name")
			return
		}
		if !edited.Draft && !edited.Prerelease && edited.Latest == "true" {
			for i := range s.releases {
				s.releases[i].Latest = "false" // there is one
			}
		}
		edited.Immutable = one.Immutable || s.immutable && one.Draft && !edited.Draft
		edited.Latest = cmp.Or(edited.Latest, one.Latest)
		*one = edited
		writeJSON(w, http.StatusOK, s.release(edited))
	})
}

func (s *Server) deleteRelease(w http.ResponseWriter, r *http.Request) {
	s.withRelease(w, r, func(one *Release) {
		s.releases = slices.DeleteFunc(s.releases, func(o Release) bool { return o.ID == one.ID })
		w.WriteHeader(http.StatusNoContent)
	})
}

// assetsOrOne tells the two apart that a mux takes for one: releases/1/assets and releases/assets/1.
func (s *Server) assetsOrOne(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.PathValue("of") == "assets":
		s.listAssets(w, r)
	case r.PathValue("id") == "assets":
		s.getAsset(w, r)
	default:
		s.unknown(w, r)
	}
}

func (s *Server) listAssets(w http.ResponseWriter, r *http.Request) {
	s.withRelease(w, r, func(one *Release) { writePage(w, r, s.assets(*one)) })
}

// uploadAsset is at an address of its own, which a release tells.
func (s *Server) uploadAsset(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	data, err := io.ReadAll(r.Body)
	if err != nil || name == "" || r.Header.Get("Content-Type") == "" {
		writeError(w, http.StatusBadRequest, "Bad Request")
		return
	}
	s.withRelease(w, r, func(one *Release) {
		switch {
		case one.Immutable:
			writeError(w, http.StatusUnprocessableEntity, "Cannot upload assets to an immutable release.")
			return
		case slices.ContainsFunc(one.Assets, func(a ReleaseAsset) bool { return a.Name == name }):
			writeExists(w, "ReleaseAsset", "name")
			return
		}
		s.made++
		asset := ReleaseAsset{ID: s.made, Name: name, Data: data, Whole: s.broken == 0}
		one.Assets = append(one.Assets, asset)
		if !asset.Whole {
			s.broken--
			writeError(w, http.StatusBadGateway, "Server Error")
			return
		}
		writeJSON(w, http.StatusCreated, s.asset(asset))
	})
}

// getAsset sends whoever wants an asset's content to where it is kept, which is another host.
// https://docs.github.com/en/rest/releases/assets#get-a-release-asset
func (s *Server) getAsset(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") != "application/octet-stream" {
		s.refuse(w, r, &refusal{http.StatusUnsupportedMediaType, "This server gives an asset's content alone"})
		return
	}
	at, _ := url.Parse(s.URL)
	w.Header().Set("Location", fmt.Sprintf("http://localhost:%s%s%s", at.Port(), storage, r.PathValue("of")))
	w.WriteHeader(http.StatusFound)
}

// storage is where assets are kept.
const storage = "/storage/assets/"

// serveAsset is that other host, which takes no token.
func (s *Server) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	if r.Header.Get("Authorization") != "" {
		s.refuse(w, r, &refusal{http.StatusBadRequest, "Only one auth mechanism allowed"})
		return
	}
	id, _ := strconv.Atoi(name)
	for _, release := range s.Releases() {
		if i := slices.IndexFunc(release.Assets, func(a ReleaseAsset) bool { return a.ID == id }); i >= 0 {
			_, _ = w.Write(release.Assets[i].Data)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func (s *Server) deleteAsset(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.releases {
		one := &s.releases[i]
		at := slices.IndexFunc(one.Assets, func(a ReleaseAsset) bool { return a.ID == id })
		switch {
		case at < 0:
			continue
		case one.Immutable:
			writeError(w, http.StatusUnprocessableEntity, "Cannot delete assets of an immutable release.")
			return
		}
		one.Assets = slices.Delete(one.Assets, at, at+1)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeError(w, http.StatusNotFound, "Not Found")
}

// generateNotes names what it was asked for.
// https://docs.github.com/en/rest/releases/releases#generate-release-notes-content-for-a-release
func (s *Server) generateNotes(w http.ResponseWriter, r *http.Request) {
	var asked map[string]string
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"name": asked["tag_name"], "body": fmt.Sprintf("**Full Changelog**: %s...%s", asked["previous_tag_name"], asked["tag_name"])})
}

// release is one as GitHub tells of it, with all that it must have.
func (s *Server) release(r Release) map[string]any {
	at := fmt.Sprintf("%s/repos/o/r/releases/%d", s.URL, r.ID)
	now := time.Now().UTC().Format(time.RFC3339)
	published := any(now)
	if r.Draft {
		published = nil
	}
	return map[string]any{"id": r.ID, "node_id": "RE_1", "tag_name": r.Tag, "target_commitish": r.Commit, "name": r.Name, "body": r.Body, "draft": r.Draft, "prerelease": r.Prerelease,
		"immutable": r.Immutable, "author": author(), "assets": s.assets(r), "created_at": now, "published_at": published, "url": at, "html_url": fmt.Sprintf("https://github.com/o/r/releases/%d", r.ID),
		"assets_url": at + "/assets", "upload_url": s.URL + fmt.Sprintf("/uploads/releases/%d/assets{?name,label}", r.ID), "tarball_url": nil, "zipball_url": nil}
}

func (s *Server) assets(r Release) []any {
	list := []any{}
	for _, a := range r.Assets {
		list = append(list, s.asset(a))
	}
	return list
}

func (s *Server) asset(a ReleaseAsset) map[string]any {
	at := fmt.Sprintf("%s/repos/o/r/releases/assets/%d", s.URL, a.ID)
	now := time.Now().UTC().Format(time.RFC3339)
	sum := sha256.Sum256(a.Data)
	state, digest := "uploaded", any("sha256:"+hex.EncodeToString(sum[:]))
	if !a.Whole {
		state, digest = "open", nil
	}
	return map[string]any{"id": a.ID, "node_id": "RA_1", "name": a.Name, "label": nil, "state": state, "digest": digest, "content_type": "text/plain", "size": len(a.Data),
		"download_count": 0, "uploader": nil, "url": at, "browser_download_url": at, "created_at": now, "updated_at": now}
}

// author is a user as GitHub tells of one.
func author() map[string]any {
	const at = "https://api.github.com/users/bot"
	return map[string]any{"login": "bot", "id": 1, "node_id": "U_1", "avatar_url": at, "gravatar_id": nil, "url": at, "html_url": at, "followers_url": at, "following_url": at, "gists_url": at,
		"starred_url": at, "subscriptions_url": at, "organizations_url": at, "repos_url": at, "events_url": at, "received_events_url": at, "type": "Bot", "site_admin": false}
}
