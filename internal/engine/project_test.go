package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/org/ghcr-publish/internal/enginetest"
)

func openFake(t *testing.T, s *enginetest.Server) *Engine {
	t.Helper()
	e, err := Open(func(name string) string { return map[string]string{"DOCKER_HOST": s.Host()}[name] })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNotes(t *testing.T) {
	t.Parallel()
	s := enginetest.Start()
	t.Cleanup(s.Close)
	e := openFake(t, s)
	for _, n := range []Note{{"b", map[string]string{"of": "x", "text": "two\nlines"}}, {"a", map[string]string{"of": "x"}}, {"c", map[string]string{"of": "y"}}} {
		if err := e.WriteNote(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	got, err := e.Notes(t.Context(), map[string]string{"of": "x"})
	if diff := cmp.Diff([]Note{{"a", map[string]string{"of": "x"}}, {"b", map[string]string{"of": "x", "text": "two\nlines"}}}, got); diff != "" || err != nil {
		t.Errorf("%v, notes (-want +got):\n%s", err, diff)
	}
	for _, name := range []string{"a", "a", "b"} { // what is not there is gone
		if err := e.RemoveNote(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if left, err := e.Notes(t.Context(), nil); len(left) != 1 || err != nil {
		t.Errorf("%v, %v", left, err)
	}
	if err := e.WriteNote(t.Context(), Note{Name: "../x"}); err == nil {
		t.Error("a note is written under any name")
	}
	s.Pass(time.Hour)
	if at, err := e.Clock(t.Context()); err != nil || time.Until(at) < 59*time.Minute {
		t.Errorf("the clock says %s, %v", at, err)
	}
}

// TestProject lists the containers of a project's services, and no others.
func TestProject(t *testing.T) {
	t.Parallel()
	s := enginetest.Start()
	t.Cleanup(s.Close)
	const image = "127.0.0.1:5000/org/api@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	s.Behave("org/api", enginetest.Behaviour{HealthCheck: true})
	e := openFake(t, s)
	if err := e.Pull(t.Context(), image, "", Credentials{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ project, service, oneOff, restart string }{{"cards", "b", "False", "unless-stopped"}, {"cards", "a", "False", "no"}, {"cards", "a", "True", ""}, {"others", "a", "False", ""}} {
		made, err := e.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Config:     &container.Config{Image: image, Labels: map[string]string{projectLabel: c.project, serviceLabel: c.service, oneOffLabel: c.oneOff}},
			HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(c.restart)}}})
		if err != nil {
			t.Fatal(err)
		}
		if c.service == "b" {
			if _, err := e.api.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := e.Project(t.Context(), "cards")
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if a := got[0]; a.Service != "a" || a.Status != "created" || a.Running || a.Stays || a.Image != image {
		t.Errorf("%+v", a)
	}
	if b := got[1]; b.Service != "b" || b.Status != "running" || b.Health != "healthy" || !b.Stays || time.Since(b.Since) > time.Minute {
		t.Errorf("%+v", b)
	}
	for range 2 { // the second time it is gone already
		if err := e.TakeAway(t.Context(), got[0].ID); err != nil {
			t.Error(err)
		}
	}
	if left, err := e.Project(t.Context(), "cards"); err != nil || len(left) != 1 || left[0].ID != got[1].ID {
		t.Errorf("%+v are left, %v", left, err)
	}
	if said, err := e.Said(t.Context(), got[1].ID, 3); err != nil || len(said) != 0 {
		t.Errorf("it said %q, %v", said, err)
	}
}
