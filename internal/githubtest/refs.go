package githubtest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// SetBranches has the repository have these branches.
func (s *Server) SetBranches(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.branches = names
}

// https://docs.github.com/en/rest/branches/branches#list-branches
func (s *Server) listBranches(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []any{}
	for _, name := range s.branches {
		list = append(list, map[string]any{"name": name, "protected": false, "commit": map[string]any{"sha": strings.Repeat("0", 40), "url": s.URL + "/c"}})
	}
	s.writePage(w, r, list, 100)
}

// A Pull is a pull request.
type Pull struct {
	Number int
	Branch string // that it came from
	Open   bool
}

// SetPulls has the repository have these pull requests, and no others.
func (s *Server) SetPulls(pulls ...Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbered = pulls
}

// https://docs.github.com/en/rest/pulls/pulls#list-pull-requests
func (s *Server) listPulls(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []any{}
	for _, p := range s.numbered {
		if state := map[bool]string{true: "open", false: "closed"}[p.Open]; state == r.FormValue("state") {
			one := sample(pull)
			one["number"], one["state"] = p.Number, state
			head := one["head"].(map[string]any)
			head["ref"], head["repo"].(map[string]any)["full_name"] = p.Branch, repository(r)
			list = append(list, one)
		}
	}
	s.writePage(w, r, list, 100)
}

// writePage answers with the page of a list that a request asks for, which has so many at most.
func (s *Server) writePage(w http.ResponseWriter, r *http.Request, list []any, most int) {
	page, size := number(r, "page", 1), min(number(r, "per_page", 30), most)
	begin, end := min((page-1)*size, len(list)), min(page*size, len(list))
	if end < len(list) {
		w.Header().Set("Link", `<`+s.URL+r.URL.EscapedPath()[len(base):]+`?page=`+strconv.Itoa(page+1)+`>; rel="next"`)
	}
	writeJSON(w, http.StatusOK, list[begin:end])
}

// sample reads an answer that GitHub gives as an example.
func sample(text []byte) (one map[string]any) {
	if err := json.Unmarshal(text, &one); err != nil {
		panic("githubtest: reading an example: " + err.Error())
	}
	return one
}
