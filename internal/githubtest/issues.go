package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// An Issue is one of the repository's.
type Issue struct {
	Number             int
	Title, Body, State string
	Labels             []string
}

// Issues returns all there are, the first that was opened first.
func (s *Server) Issues() []Issue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.issues)
}

// NoteIssue has somebody write before and after what stands in an issue.
func (s *Server) NoteIssue(number int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := &s.issues[number-1]
	i.Body = text + "\n" + i.Body + "\n" + text
}

// listIssues answers with those of a state that have a label, all on one page.
// https://docs.github.com/en/rest/issues/issues#list-repository-issues
func (s *Server) listIssues(w http.ResponseWriter, r *http.Request) {
	found := []map[string]any{}
	for _, i := range s.Issues() {
		if i.State == r.FormValue("state") && slices.Contains(i.Labels, r.FormValue("labels")) {
			found = append(found, s.issue(i))
		}
	}
	writeJSON(w, http.StatusOK, found)
}

func (s *Server) openIssue(w http.ResponseWriter, r *http.Request) {
	var opened Issue
	if err := json.NewDecoder(r.Body).Decode(&opened); err != nil {
		s.refuse(w, r, &refusal{http.StatusBadRequest, err.Error()})
		return
	}
	s.mu.Lock()
	opened.Number, opened.State = len(s.issues)+1, "open"
	s.issues = append(s.issues, opened)
	s.mu.Unlock()
	writeJSON(w, http.StatusCreated, s.issue(opened))
}

func (s *Server) editIssue(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("number"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if number < 1 || number > len(s.issues) {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	edited := &s.issues[number-1]
	if err := json.NewDecoder(r.Body).Decode(edited); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, s.issue(*edited))
}

// issue is one as GitHub tells of it, with all that it must have.
func (s *Server) issue(i Issue) map[string]any {
	at := fmt.Sprintf("%s/repos/o/r/issues/%d", s.URL, i.Number)
	now := time.Now().UTC().Format(time.RFC3339)
	return map[string]any{"id": i.Number, "node_id": "I_1", "number": i.Number, "title": i.Title, "body": i.Body, "state": i.State, "locked": false, "comments": 0,
		"labels": []any{}, "user": nil, "assignee": nil, "milestone": nil, "created_at": now, "updated_at": now, "closed_at": nil,
		"url": at, "html_url": at, "repository_url": s.URL + "/repos/o/r", "comments_url": at + "/comments", "events_url": at + "/events", "labels_url": at + "/labels{/name}"}
}
