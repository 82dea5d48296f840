package github

import (
	"fmt"
	"strings"
	"testing"

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
		person string
		may    bool
		want   []githubtest.Comment // and those that are there as they are
	}{
		"there is none":                     {nil, "", true, []githubtest.Comment{by(actions, marker+"new")}},
		"there is none, and needs be none":  {nil, "", false, nil},
		"there is one":                      {[]githubtest.Comment{by(actions, "old"+marker)}, "", true, []githubtest.Comment{by(actions, marker+"new")}},
		"there is one, and need be none":    {[]githubtest.Comment{by(actions, "old"+marker)}, "", false, []githubtest.Comment{by(actions, marker+"new")}},
		"there is one behind many":          {append(crowd, by(actions, marker)), "", true, append(crowd, by(actions, marker+"new"))},
		"it is of another configuration":    {[]githubtest.Comment{by(actions, "<!-- other -->")}, "", true, []githubtest.Comment{by(actions, "<!-- other -->"), by(actions, marker+"new")}},
		"it is on another pull request":     {[]githubtest.Comment{{On: 8, Author: actions, Body: marker}}, "", true, []githubtest.Comment{{On: 8, Author: actions, Body: marker}, by(actions, marker+"new")}},
		"somebody has the marker":           {[]githubtest.Comment{by("mallory", marker)}, "", true, []githubtest.Comment{by("mallory", marker), by(actions, marker+"new")}},
		"a person's token":                  {[]githubtest.Comment{by("mona", marker)}, "mona", true, []githubtest.Comment{by("mona", marker+"new")}},
		"somebody has it, beside a person":  {[]githubtest.Comment{by("mallory", marker), by("mona", marker)}, "mona", true, []githubtest.Comment{by("mallory", marker), by("mona", marker+"new")}},
		"somebody has it, instead of a one": {[]githubtest.Comment{by("mallory", marker)}, "mona", true, []githubtest.Comment{by("mallory", marker), by("mona", marker+"new")}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, s := startAPI(t)
			s.AddComments(c.there...)
			s.SpeakFor(c.person)
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
