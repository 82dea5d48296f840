package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// actions is who the token of a job speaks for.
const actions = "github-actions[bot]"

// mostCommented is how many characters a comment may have.
const mostCommented = 65536

// A Comment is one on a pull request, or an issue. Authors whose names end in [bot] are bots.
type Comment struct {
	On     int // number of the pull request
	Author string
	Body   string
}

// Comments returns all there are, the first that was written first.
func (s *Server) Comments() []Comment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.comments)
}

// AddComments has somebody write comments.
func (s *Server) AddComments(comments ...Comment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comments = append(s.comments, comments...)
}

// WithholdComments takes the right to write any from the token, or gives it back.
func (s *Server) WithholdComments(withheld bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noComments = withheld
}

// LoseAnswers has the next n comments be made, and GitHub answer with a status all the same; 0 breaks the connection.
func (s *Server) LoseAnswers(n, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.lost = append(s.lost, status)
	}
}

// SpeakFor has the token be a person's, or an app's.
func (s *Server) SpeakFor(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person = login
}

// graphQL tells a token whose it is, and answers nothing else.
// https://docs.github.com/en/graphql/reference/queries#viewer
func (s *Server) graphQL(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Query string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || strings.Join(strings.Fields(asked.Query), "") != "{viewer{login}}" {
		s.refuse(w, r, &refusal{http.StatusBadRequest, "Problems parsing JSON, or a query that this server does not know"})
		return
	}
	s.mu.Lock()
	me := s.author()
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{"viewer": map[string]string{"login": me}}})
}

// listComments answers with those on a pull request, page by page.
// https://docs.github.com/en/rest/issues/comments#list-issue-comments
func (s *Server) listComments(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("number"))
	on := []map[string]any{}
	for i, c := range s.Comments() {
		if c.On == number {
			on = append(on, s.comment(i, c))
		}
	}
	size, page := 30, max(1, atoi(r.FormValue("page")))
	if n := atoi(r.FormValue("per_page")); n > 0 {
		size = min(n, 100)
	}
	if page*size < len(on) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?per_page=%d&page=%d>; rel="next"`, strings.TrimSuffix(s.URL, base), r.URL.Path, size, page+1))
	}
	writeJSON(w, http.StatusOK, on[min((page-1)*size, len(on)):min(page*size, len(on))])
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// createComment takes a comment in.
// https://docs.github.com/en/rest/issues/comments#create-an-issue-comment
func (s *Server) createComment(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("number"))
	body, ok := s.commented(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	written := Comment{number, s.author(), body}
	s.comments = append(s.comments, written)
	i := len(s.comments) - 1
	lost := s.lost
	if len(lost) > 0 {
		s.lost = lost[1:]
	}
	s.mu.Unlock()
	switch {
	case len(lost) == 0:
		writeJSON(w, http.StatusCreated, s.comment(i, written))
	case lost[0] == 0:
		panic(http.ErrAbortHandler)
	default:
		writeError(w, lost[0], http.StatusText(lost[0]))
	}
}

// editComment replaces a comment's body. The real API lets whoever may write edit those of others; this one refuses that.
// https://docs.github.com/en/rest/issues/comments#update-an-issue-comment
func (s *Server) editComment(w http.ResponseWriter, r *http.Request) {
	i := atoi(r.PathValue("id")) - 1
	body, ok := s.commented(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	known := i >= 0 && i < len(s.comments)
	own := known && s.comments[i].Author == s.author()
	if own {
		s.comments[i].Body = body
	}
	s.mu.Unlock()
	switch {
	case !known:
		s.unknown(w, r)
	case !own:
		s.refuse(w, r, &refusal{http.StatusForbidden, "This comment is somebody else's"})
	default:
		writeJSON(w, http.StatusOK, s.comment(i, s.Comments()[i]))
	}
}

// commented reads what is to be written, if it may be.
func (s *Server) commented(w http.ResponseWriter, r *http.Request) (body string, ok bool) {
	var c struct{ Body string }
	err := json.NewDecoder(r.Body).Decode(&c)
	s.mu.Lock()
	withheld := s.noComments
	s.mu.Unlock()
	switch {
	case withheld:
		writeError(w, http.StatusForbidden, "Resource not accessible by integration")
	case err != nil:
		s.refuse(w, r, &refusal{http.StatusBadRequest, err.Error()})
	case utf8.RuneCountInString(c.Body) > mostCommented:
		s.refuse(w, r, &refusal{http.StatusUnprocessableEntity, "Body is too long (maximum is 65536 characters)"})
	default:
		return c.Body, true
	}
	return "", false
}

// author is who the token speaks for; the caller holds the lock.
func (s *Server) author() string {
	if s.person != "" {
		return s.person
	}
	return actions
}

// comment is one as GitHub tells of it, with all that it must have.
func (s *Server) comment(i int, c Comment) map[string]any {
	at, now := fmt.Sprintf("%s/repos/o/r/issues", s.URL), longAgo().Format(time.RFC3339)
	return map[string]any{"id": i + 1, "node_id": "IC_1", "body": c.Body, "user": s.user(c.Author), "created_at": now, "updated_at": now, "author_association": "NONE",
		"url": fmt.Sprintf("%s/comments/%d", at, i+1), "html_url": fmt.Sprintf("%s/comments/%d", at, i+1), "issue_url": fmt.Sprintf("%s/%d", at, c.On)}
}

// user is somebody as GitHub tells of them, with all that it must have.
func (s *Server) user(login string) map[string]any {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	user := map[string]any{"login": login, "id": 1, "node_id": "U_1", "type": kind, "site_admin": false, "gravatar_id": ""}
	for _, of := range []string{"avatar", "events", "followers", "following", "gists", "html", "organizations", "received_events", "repos", "starred", "subscriptions"} {
		user[of+"_url"] = s.URL + "/" + of
	}
	user["url"] = s.URL + "/users"
	return user
}
