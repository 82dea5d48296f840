package engine

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/org/ghcr-publish/internal/enginetest"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	run(t, e, f, enginetest.Behaviour{}, Spec{})
	run(t, e, f, enginetest.Behaviour{Exits: true}, Spec{})
	// Somebody else's container, however old, is none of ours.
	if err := e.Pull(t.Context(), "busybox:1", "", Credentials{}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{Image: "busybox:1"}}); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Sweep(t.Context(), time.Now().Add(abandoned-time.Minute)); n != 0 || err != nil {
		t.Errorf("Sweep() = %d, %v while another run may use them", n, err)
	}
	f.instead = fail(http.MethodDelete, "/containers/")
	if n, err := e.Sweep(t.Context(), time.Now().Add(abandoned+time.Minute)); n != 0 || err == nil {
		t.Errorf("Sweep() = %d, %v where nothing can be removed", n, err)
	}
	f.instead = nil
	if n, err := e.Sweep(t.Context(), time.Now().Add(abandoned+time.Minute)); n != 2 || err != nil {
		t.Errorf("Sweep() = %d, %v; want 2", n, err)
	}
	if diff := cmp.Diff([]string{"busybox:1"}, f.Running()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for _, list := range []string{"/containers/json", "/networks"} {
		f.instead = fail(http.MethodGet, list)
		if _, err := e.Sweep(t.Context(), time.Now()); err == nil {
			t.Errorf("a sweep without %s succeeds", list)
		}
	}
}

func TestSweepTakesWhatGoneRunsLeft(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	for owner, ref := range map[string]string{"dead": "octo/dead:1", "alive": "octo/alive:1"} {
		e.Owner = owner
		if err := e.Pull(t.Context(), ref, "", Credentials{}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Start(t.Context(), Spec{Image: ref}); err != nil {
			t.Fatal(err)
		}
	}
	e.Gone = func(owner string) bool { return owner == "dead" }
	if n, err := e.Sweep(t.Context(), time.Now()); n != 1 || err != nil {
		t.Errorf("Sweep() = %d, %v; want 1, however young", n, err)
	}
	if diff := cmp.Diff([]string{"octo/alive:1"}, f.Running()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// A network of a run that is gone goes with whatever is still in it; those of others stay.
func TestSweepTakesNetworks(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	network := func(owner string) string {
		e.Owner = owner
		n, err := e.NewNetwork(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return n.Name
	}
	dead, alive := network("dead"), network("alive")
	if _, err := e.api.NetworkCreate(t.Context(), "somebody's", client.NetworkCreateOptions{}); err != nil {
		t.Fatal(err)
	}
	run(t, e, f, enginetest.Behaviour{}, Spec{Networks: []Attachment{{Network: alive}, {Network: dead}}})
	e.Gone = func(owner string) bool { return owner == "dead" }
	f.instead = fail(http.MethodDelete, "/networks/")
	if n, err := e.Sweep(t.Context(), time.Now()); n != 0 || err == nil {
		t.Errorf("Sweep() = %d, %v where the network cannot be removed", n, err)
	}
	f.instead = nil
	if n, err := e.Sweep(t.Context(), time.Now()); n != 1 || err != nil {
		t.Errorf("Sweep() = %d, %v; want the network", n, err)
	}
	if diff := cmp.Diff([]string{"somebody's", alive}, f.Networks()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// What a run made goes when the container does in which the run was.
func TestSweepTakesWhatEndedContainersLeft(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	self := run(t, e, f, enginetest.Behaviour{}, Spec{})
	e.Self = self.ID
	if _, err := e.NewNetwork(t.Context(), e.Self); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Sweep(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("Sweep() = %d, %v while its container runs", n, err)
	}
	if _, err := e.Stop(t.Context(), self.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Sweep(t.Context(), time.Now()); n != 1 || err != nil || f.Networks() != nil {
		t.Errorf("Sweep() = %d, %v and there are the networks %q", n, err, f.Networks())
	}
}
