package github

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/githubtest"
)

func TestRecordDeployment(t *testing.T) {
	t.Parallel()
	s := githubtest.Start("token")
	defer s.Close()
	c, err := New(s.URL, "octo/cards", "token")
	if err != nil {
		t.Fatal(err)
	}
	commit := strings.Repeat("a", 40)
	for _, failed := range []bool{false, true} {
		d := Deployment{Commit: commit, Environment: "production", Description: "Promoted", Payload: map[string]string{"tag": "production"}, LogURL: "https://github.com/octo/cards/actions/runs/1", Failed: failed}
		if err := c.RecordDeployment(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	payload := []byte(`{"tag":"production"}`)
	want := []githubtest.Deployment{{Ref: commit, Environment: "production", Payload: payload, States: []string{"success"}}, {Ref: commit, Environment: "production", Payload: payload, States: []string{"failure"}}}
	if diff := cmp.Diff(want, s.Deployments()); diff != "" {
		t.Errorf("deployments (-want +got):\n%s", diff)
	}
	if problems := s.Problems(); problems != nil {
		t.Error(problems)
	}
	s.WithholdDeployments()
	if err := c.RecordDeployment(t.Context(), Deployment{Commit: commit, Environment: "production"}); err == nil || !strings.Contains(err.Error(), "the token lacks `deployments: write`") {
		t.Errorf("without the right: %v", err)
	}
	s.Fail(1, http.StatusUnprocessableEntity, nil, `{"message":"No ref found for: x"}`)
	if err := c.RecordDeployment(t.Context(), Deployment{Commit: "x", Environment: "production"}); err == nil || !strings.Contains(err.Error(), "recording a deployment to production: ") || !strings.Contains(err.Error(), "No ref found") {
		t.Errorf("of no commit: %v", err)
	}
}
