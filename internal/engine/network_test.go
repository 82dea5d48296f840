package engine

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/org/ghcr-publish/internal/enginetest"
)

func TestPlace(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	id := func(digit string) string { return strings.Repeat(digit, 12) }
	networks := map[string]string{id("a"): `{"bridge": {}}`, id("b"): `{"github_network_x": {}}`, id("c"): `{"bridge": {}, "other": {}}`, id("e"): `{"bridge": {}, "zz-ghcr-publish-abc": {}}`}
	f.instead = func(w http.ResponseWriter, r *http.Request) bool {
		for container, names := range networks {
			if strings.HasSuffix(r.URL.Path, "/containers/"+container+"/json") {
				fmt.Fprintf(w, `{"Id": "%s", "NetworkSettings": {"Networks": %s}}`, container, names)
				return true
			}
		}
		return false
	}
	for hostname, want := range map[string]Place{id("a"): {id("a"), ""}, id("b"): {id("b"), "github_network_x"}, id("c"): {id("c"), "other"}, id("e"): {id("e"), ""},
		id("d"): {}, "laptop": {}, "": {}} {
		if got, err := e.Place(t.Context(), hostname); got != want || err != nil {
			t.Errorf("Place(%q) = %+v, %v; want %+v", hostname, got, err, want)
		}
	}
	if asked := strings.Join(f.Requests(), "\n"); strings.Contains(asked, "laptop") {
		t.Errorf("a machine's name was taken for a container's:\n%s", asked)
	}
}

// A private network has this program's own container in it, and what is started there, and leaves nothing behind.
func TestNewNetwork(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	e.Owner = "this run"
	e.Self = run(t, e, f, enginetest.Behaviour{}, Spec{}).ID
	n, err := e.NewNetwork(t.Context(), e.Self)
	if err != nil {
		t.Fatal(err)
	}
	if made := f.sent("networks/create"); !strings.Contains(made, `"ghcr-publish.run":"this run"`) || !strings.Contains(made, `"Driver":"bridge"`) || !strings.Contains(made, e.Self) {
		t.Errorf("the network was made by %s", made)
	}
	// A container's default route goes by its networks' names.
	for _, other := range []string{"bridge", "github_network_0f3c", "project_default"} {
		if n.Name < other {
			t.Errorf("%q takes this program's default route from %q", n.Name, other)
		}
	}
	if _, err := e.api.NetworkCreate(t.Context(), "job", client.NetworkCreateOptions{}); err != nil {
		t.Fatal(err)
	}
	inside := run(t, e, f, enginetest.Behaviour{}, Spec{Networks: []Attachment{{Network: n.Name, Aliases: []string{"first"}}, {Network: "job", Aliases: []string{"second"}}}})
	if job, err := e.api.NetworkInspect(t.Context(), "job", client.NetworkInspectOptions{}); err != nil || len(job.Network.Containers) != 1 {
		t.Errorf("in the job's network are %v, %v; want what was started", job.Network.Containers, err)
	}
	got, err := e.api.NetworkInspect(t.Context(), n.Name, client.NetworkInspectOptions{})
	if err != nil || len(got.Network.Containers) != 2 {
		t.Errorf("in the network are %v, %v; want this program and what it started", got.Network.Containers, err)
	}
	if first, second := f.sent("containers/create"), f.sent("networks/job/connect"); !strings.Contains(first, `"Aliases":["first"]`) || !strings.Contains(second, `"Aliases":["second"]`) {
		t.Errorf("its names were asked for by %s and %s", first, second)
	}
	if err := inside.Remove(); err != nil {
		t.Error(err)
	}
	if err := n.Remove(); err != nil || !slices.Equal(f.Networks(), []string{"job"}) {
		t.Errorf("Remove() = %v and there are the networks %q", err, f.Networks())
	}
	if err := n.Remove(); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

func TestNewNetworkLeavesNothingBehindWhenItFails(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	e.Self = run(t, e, f, enginetest.Behaviour{}, Spec{}).ID
	f.instead = fail(http.MethodPost, "/connect")
	if _, err := e.NewNetwork(t.Context(), e.Self); err == nil || !strings.HasPrefix(err.Error(), `joining network "zz-ghcr-publish-`) || f.Networks() != nil {
		t.Errorf("NewNetwork() = %v and there are the networks %q", err, f.Networks())
	}
	f.instead = nil
	f.ExhaustNetworks()
	if _, err := e.NewNetwork(t.Context(), e.Self); err == nil || !strings.Contains(err.Error(), "making a private network: ") {
		t.Errorf("NewNetwork() = %v where no address is left", err)
	}
}
