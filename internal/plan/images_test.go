package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/registry"
)

// onAPI makes web be built on api's image.
func onAPI(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.service(0).Paths, w.service(0).Context = nil, "api"
	w.service(1).Paths, w.service(1).Context = nil, "web"
	w.service(1).Contexts = map[string]string{"base": "service:api"}
	w.commit(map[string]string{"web/Dockerfile": "FROM base\nCOPY . /\n"})
	w.publish()
	return w
}

// bases tells what a service is made from: a service that is made in this run, or a published digest.
func (s Service) made() string {
	var all []string
	for _, b := range s.Bases {
		all = append(all, fmt.Sprintf("%s=%s%.12s", b.Name, b.Service, b.Digest))
	}
	return strings.Join(all, " ")
}

// TestWhatIsLeftOutIsStillWhatItWasPlannedWith: an image is never built on another of a service than its inputs tell.
func TestWhatIsLeftOutIsStillWhatItWasPlannedWith(t *testing.T) {
	t.Parallel()
	for name, leaveOut := range map[string]func(w *world){
		"by an input":  func(w *world) { w.planner.Config.Skip = []string{"api"} },
		"by a git tag": func(w *world) { w.planner.Event.Ref = "refs/tags/web/v1.0.0" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := onAPI(t)
			w.commit(map[string]string{"web/app.js": "2"})
			leaveOut(w)
			services := w.make().Services
			if api, web := services[0], services[1]; api.Action != Skip || web.Action != Build || web.made() != "base=apisha256:00000" {
				t.Errorf("with what is published: api %s, web %s on %s", api.Action, web.Action, web.made())
			}
			w.commit(map[string]string{"api/main.go": "2"})
			made := w.make()
			api, web := made.Services[0], made.Services[1]
			if api.Action != Build || len(api.Tags)+len(api.TagSet.Tags) != 0 || !strings.Contains(api.Reason, "it gets no tag") {
				t.Errorf("changed since: api %s, %s, with tags %q", api.Action, api.Reason, api.Tags)
			}
			if web.made() != "base=api" || web.Needs["api"] != api.Inputs {
				t.Errorf("web is made from %s, and needs %v", web.made(), web.Needs)
			}
			if rows := made.Matrix.Include; rows[0].Row != "api+1" {
				t.Errorf("rows %+v", rows)
			}
			w.planner.Config.Only = []string{"docs"}
			if again := w.make().Services; len(again) != 1 || again[0].Name != "docs" {
				t.Errorf("for docs alone: %+v", again)
			}
		})
	}
}

// TestAnOlderReleaseIsABaseLikeAnyOther: only what follows this run's publishing is a service's own image.
func TestAnOlderReleaseIsABaseLikeAnyOther(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{"": "ghcr.io/octo/api=apisha256:00000", ":latest": "ghcr.io/octo/api:latest=apisha256:00000", ":main": "ghcr.io/octo/api:main=apisha256:00000",
		":1.0.0": "ghcr.io/octo/api:1.0.0=", "@sha256:" + strings.Repeat("a", 64): "ghcr.io/octo/api@sha256:" + strings.Repeat("a", 64) + "="} {
		w := newWorld(t)
		w.commit(map[string]string{"docs/Dockerfile": "FROM ghcr.io/octo/api" + tag + "\nCOPY . /\n"})
		w.publish()
		if got := w.make().Services[2].made(); got != want {
			t.Errorf("FROM …%s is made from %s, want %s", tag, got, want)
		}
	}
}

// TestBaseImagesAreAskedForOnce and what cannot be read is taken for what is published.
func TestBaseImagesAreAskedForOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit(map[string]string{"api/Dockerfile": "FROM busybox\nCOPY . /\n", "web/Dockerfile": "FROM busybox\nCOPY . /\n", "docs/Dockerfile": "FROM ghcr.io/other/base:1\nCOPY index.md /\n", "docs/other": "1"})
	digest, asked := "sha256:1", make(chan string, 100)
	var broken error
	w.planner.Base = func(_ context.Context, ref string, look bool) (registry.Base, error) {
		asked <- fmt.Sprint(ref, " ", look)
		return registry.Base{Digest: digest}, broken
	}
	w.publish()
	if len(asked) != 2 {
		t.Errorf("%d questions for two images", len(asked))
	}
	broken = errors.New("too many requests")
	services := w.make().Services
	if api := services[0]; api.Action != Skip || api.Bases[0].Digest != "sha256:1" || api.Bases[0].Unread == "" {
		t.Errorf("unread: %s, %s, from %+v", api.Action, api.Reason, api.Bases)
	}
	// Of an image that nobody could look into, nobody knows what it takes.
	if docs := services[2]; docs.Action != Build {
		t.Errorf("unread and strange: %s, %s", docs.Action, docs.Reason)
	}
	broken, digest = nil, "sha256:2"
	if api := w.make().Services[0]; api.Action != Build || api.Reason != "its base image docker.io/library/busybox:latest moved from sha256:1 to sha256:2" {
		t.Errorf("moved: %s, %s", api.Action, api.Reason)
	}
}

func TestPack(t *testing.T) {
	t.Parallel()
	rows := []Row{{Row: "a+2", Services: []string{"a", "b", "c"}, Platforms: []string{"linux/amd64"}}}
	for i := range 300 {
		rows = append(rows, Row{Row: fmt.Sprint("s", i), Services: []string{fmt.Sprint("s", i)}, Platforms: []string{"linux/amd64"}})
	}
	packed := atMost(256, rows)
	seen := map[string]bool{}
	for _, r := range packed {
		if len(r.Services) > 3 || r.Row == "" {
			t.Errorf("%+v", r)
		}
		for _, s := range r.Services {
			seen[s] = true
		}
	}
	if len(packed) > 256 || len(seen) != 303 {
		t.Errorf("%d rows of %d services", len(packed), len(seen))
	}
}
