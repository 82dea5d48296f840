package githubtest

import (
	_ "embed"
	"net/http"
)

// pull is the pull request of GitHub's own example, of the description that testdata/prune.jq names, without teams, people and labels.
//
//go:embed testdata/pull.json
var pull []byte

// Merge has a commit have come by a pull request; one that is not merged only holds it.
func (s *Server) Merge(commit string, number int, merged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := sample(pull)
	p["number"], p["state"] = number, "closed"
	if !merged {
		p["state"], p["merged_at"] = "open", nil
	}
	s.pulls[commit] = append(s.pulls[commit], p)
}

// commitPulls lists the pull requests that a commit came by.
// https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit
func (s *Server) commitPulls(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	list := append([]map[string]any{}, s.pulls[r.PathValue("sha")]...)
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, list)
}
