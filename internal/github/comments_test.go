package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/githubtest"
)

const marker = "<!-- mine -->"

func TestKeepComment(t *testing.T) {
	t.Parallel()
	const actions = "github-actions[bot]"
	by := func(author, body string) githubtest.Comment {
		return githubtest.Comment{On: 7, Author: author, Body: body}
	}
	var crowd []githubtest.Comment
	for i := range 150 {
		crowd = append(crowd, by("mona", fmt.Sprint(i)))
	}
	cases := map[string]struct {
		there  []githubtest.Comment
		speaks string // who the token speaks for; empty of a job's
		may    bool
		want   []githubtest.Comment // and those that are there as they are
	}{
		"there is none":                     {nil, "", true, []githubtest.Comment{by(actions, marker+"new")}},
		"there is none, and needs be none":  {nil, "", false, nil},
		"there is one":                      {[]githubtest.Comment{by(actions, marker+"old")}, "", true, []githubtest.Comment{by(actions, marker+"new")}},
		"there is one, and need be none":    {[]githubtest.Comment{by(actions, marker+"old")}, "", false, []githubtest.Comment{by(actions, marker+"new")}},
		"there is one behind many":          {append(crowd, by(actions, marker)), "", true, append(crowd, by(actions, marker+"new"))},
		"it is of another configuration":    {[]githubtest.Comment{by(actions, "<!-- other -->")}, "", true, []githubtest.Comment{by(actions, "<!-- other -->"), by(actions, marker+"new")}},
		"it is on another pull request":     {[]githubtest.Comment{{On: 8, Author: actions, Body: marker}}, "", true, []githubtest.Comment{{On: 8, Author: actions, Body: marker}, by(actions, marker+"new")}},
		"somebody has the marker":           {[]githubtest.Comment{by("mallory", marker)}, "", true, []githubtest.Comment{by("mallory", marker), by(actions, marker+"new")}},
		"a person's token":                  {[]githubtest.Comment{by("mona", marker)}, "mona", true, []githubtest.Comment{by("mona", marker+"new")}},
		"somebody has it, beside a person":  {[]githubtest.Comment{by("mallory", marker), by("mona", marker)}, "mona", true, []githubtest.Comment{by("mallory", marker), by("mona", marker+"new")}},
		"an app's token":                    {[]githubtest.Comment{by(actions, marker), by("cards[bot]", marker)}, "cards[bot]", true, []githubtest.Comment{by(actions, marker), by("cards[bot]", marker+"new")}},
		"another app has the marker":        {[]githubtest.Comment{by("other[bot]", marker)}, "", true, []githubtest.Comment{by("other[bot]", marker), by(actions, marker+"new")}},
		"it is quoted in another":           {[]githubtest.Comment{by(actions, "> "+marker)}, "", true, []githubtest.Comment{by(actions, "> "+marker), by(actions, marker+"new")}},
		"somebody has it, instead of a one": {[]githubtest.Comment{by("mallory", marker)}, "mona", true, []githubtest.Comment{by("mallory", marker), by("mona", marker+"new")}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, s := startAPI(t)
			s.AddComments(c.there...)
			s.SpeakFor(c.speaks)
			if err := api.KeepComment(t.Context(), 7, marker, marker+"new", c.may); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Comments()); diff != "" {
				t.Errorf("comments (-want +got):\n%s", diff)
			}
			if problems := s.Problems(); problems != nil {
				t.Error(problems)
			}
		})
	}
}

// TestKeepCommentOnce has comments be made of which GitHub says that they are not.
func TestKeepCommentOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 500, 502, 503} {
		api, s := startAPI(t)
		api.pause = func(context.Context, time.Duration) error { return nil }
		s.LoseAnswers(1, status)
		err := api.KeepComment(t.Context(), 7, marker, marker+"new", true)
		if got := s.Comments(); err != nil || len(got) != 1 {
			t.Errorf("after an answer of %d: %v, comments %v", status, err, got)
		}
	}
}

// TestKeepCommentAgain has GitHub be out of order while a comment is to be made.
func TestKeepCommentAgain(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]int{1: 1, mostComments - 1: 1, mostComments: 0} {
		api, s := startAPI(t)
		api.pause = func(context.Context, time.Duration) error { return nil }
		s.Watch(func(r *http.Request) {
			if r.Method == http.MethodPost && failures > 0 {
				failures--
				s.Fail(1, http.StatusBadGateway, nil, "")
			}
		})
		err := api.KeepComment(t.Context(), 7, marker, marker+"new", true)
		if got := s.Comments(); len(got) != want || (err == nil) != (want == 1) || failures != 0 {
			t.Errorf("comments %v, want %d: %v; %d failures are left", got, want, err, failures)
		}
	}
}

// TestKeepCommentOfNobody writes nothing where it is not known whose the comments are.
func TestKeepCommentOfNobody(t *testing.T) {
	t.Parallel()
	for answer, status := range map[string]int{`{"message":"none of your business"}`: 403, `{"message":"bad"}`: 400, `{"data":null,"errors":[{"message":"too much"}]}`: 200} {
		api, s := startAPI(t)
		s.AddComments(githubtest.Comment{On: 7, Author: "mona", Body: marker})
		s.Watch(func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/graphql") {
				s.Fail(1, status, nil, answer)
			}
		})
		err := api.KeepComment(t.Context(), 7, marker, marker+"new", true)
		if got := s.Comments(); err == nil || !strings.Contains(err.Error(), "asking whose comments are the token's own: ") || len(got) != 1 || got[0].Body != marker {
			t.Errorf("%s gives %v, comments %v", answer, err, got)
		}
	}
}

func TestKeepCommentWithoutTheRight(t *testing.T) {
	t.Parallel()
	api, s := startAPI(t)
	s.WithholdComments(true)
	if err := api.KeepComment(t.Context(), 7, marker, "new", true); err == nil || !strings.Contains(err.Error(), "writing a comment: the token lacks `pull-requests: write`") {
		t.Errorf("without the right: %v", err)
	}
	s.Fail(1, 403, nil, "")
	if err := api.KeepComment(t.Context(), 7, marker, "new", true); err == nil || !strings.Contains(err.Error(), "looking for the comment of earlier runs: the token lacks") {
		t.Errorf("without the right to look: %v", err)
	}
	s.Fail(1, 404, nil, "")
	if err := api.KeepComment(t.Context(), 7, marker, "new", true); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("of what is not there: %v", err)
	}
	if got := s.Comments(); got != nil {
		t.Errorf("comments %v", got)
	}
}
