package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/githubtest"
)

func TestRecordDeployment(t *testing.T) {
	t.Parallel()
	c, s := startAPI(t)
	commit := strings.Repeat("a", 40)
	for _, failed := range []bool{false, true} {
		d := Deployment{Commit: commit, Environment: "production", Description: "Promoted", Payload: map[string]string{"tag": "production"}, LogURL: "https://github.com/octo/cards/actions/runs/1", Failed: failed}
		if err := c.RecordDeployment(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	payload := []byte(`{"tag":"production"}`)
	want := []githubtest.Deployment{{Ref: commit, Environment: "production", Payload: payload, States: []string{"success"}, Said: []string{"Promoted"}}, {Ref: commit, Environment: "production", Payload: payload, States: []string{"failure"}, Said: []string{"Promoted"}}}
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

// TestDeploymentGoesOn records one that begins, ends, and is looked at later on.
func TestDeploymentGoesOn(t *testing.T) {
	t.Parallel()
	c, s := startAPI(t)
	d := Deployment{Commit: strings.Repeat("a", 40), Environment: "production", Payload: map[string]string{}}
	if found, err := c.JudgeDeployment(t.Context(), d); found || err != nil {
		t.Errorf("before there is any: %v, %v", found, err)
	}
	for _, failed := range []bool{true, false} {
		id, err := c.BeginDeployment(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, unwell := range []bool{false, true, false} { // which it does not end by
			d.Failed = unwell
			judge(t, c, d)
		}
		d.Failed = failed
		if err := c.EndDeployment(t.Context(), id, d); err != nil {
			t.Fatal(err)
		}
		for _, unwell := range []bool{false, true, true, false} {
			d.Failed = unwell
			judge(t, c, d)
		}
	}
	var states []string
	for _, d := range s.Deployments() {
		states = append(states, strings.Join(d.States, " "))
	}
	if diff := cmp.Diff([]string{"in_progress failure failure", "in_progress failure success failure success"}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if problems := s.Problems(); problems != nil {
		t.Error(problems)
	}
	s.WithholdDeployments()
	for _, err := range []error{second(c.BeginDeployment(t.Context(), d)), second(c.JudgeDeployment(t.Context(), d))} {
		if err == nil || !strings.Contains(err.Error(), "the token lacks `deployments: write`") {
			t.Errorf("without the right: %v", err)
		}
	}
}

// judge says of the newest deployment what somebody does who has looked how it is.
func judge(t *testing.T, c *Client, d Deployment) {
	t.Helper()
	d.Description = "All is well"
	if d.Failed {
		d.Description = NotWell + "cards"
	}
	if found, err := c.JudgeDeployment(t.Context(), d); !found || err != nil {
		t.Errorf("judging: %v, %v", found, err)
	}
}

// TestDeployments lists those of all environments, with what programs want to know of them, and how they are.
func TestDeployments(t *testing.T) {
	t.Parallel()
	c, s := startAPI(t)
	for i := range 101 {
		d := Deployment{Commit: strings.Repeat("a", 40), Environment: fmt.Sprintf("preview-%d", i), Payload: map[string]int{"n": i}, Failed: i == 100}
		if err := c.RecordDeployment(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	all, more, err := c.Deployments(t.Context())
	if err != nil || len(all) != 101 || more {
		t.Fatalf("%d deployments, %v, %v", len(all), more, err)
	}
	if newest := all[0]; newest.Environment != "preview-100" || string(newest.Payload) != `{"n":100}` {
		t.Errorf("the newest is of %s, with %s", newest.Environment, newest.Payload)
	}
	for i, want := range []string{"failure", "success"} {
		if state, err := c.DeploymentState(t.Context(), all[i].ID); state != want || err != nil {
			t.Errorf("%d is %q, %v, not %s", i, state, err, want)
		}
	}
	if problems := s.Problems(); problems != nil {
		t.Error(problems)
	}
	for _, n := range []int{899, 1} {
		s.AddDeployments(n)
		if all, more, err := c.Deployments(t.Context()); len(all) != 1000 || more != (n == 1) || err != nil {
			t.Errorf("%d deployments, %v, %v", len(all), more, err)
		}
	}
	s.WithholdDeployments()
	if _, _, err := c.Deployments(t.Context()); !errors.Is(err, ErrHidden) {
		t.Errorf("without the right: %v", err)
	}
	if _, err := c.DeploymentState(t.Context(), 4711); err == nil || errors.Is(err, ErrHidden) {
		t.Errorf("of none: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
