package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
)

// TestLive finds services under the nearest of their tags.
func TestLive(t *testing.T) {
	t.Parallel()
	const gone = "nothing is published of "
	for _, c := range []struct {
		name, ref, tag string
		published      string // tags of every service
		want           string // the tag, or part of the error
	}{
		{"the branch's", "refs/heads/main", "", "main latest 1.0.0", "main"},
		{"another branch's own", "refs/heads/next", "", "main next", "next"},
		{"another branch's, which has none", "refs/heads/next", "", "main latest", "main"},
		{"the version's", "refs/tags/v1.2.0", "", "1.2.0 1.2 latest main", "1.2.0"},
		{"a version's that is not there yet", "refs/tags/v1.2.0", "", "1.1.0 1.2 main", "main"},
		{"the last release's", "refs/heads/next", "", "latest 1.1.0", "latest"},
		{"what was asked for", "refs/heads/main", "1.1.0", "main 1.1.0", "1.1.0"},
		{"what was asked for, and is not there", "refs/heads/main", "1.1.0", "main latest", gone + "api, under none of 1.1.0\n" + gone + "web, under none of 1.1.0\n" + gone + "docs, under none of 1.1.0"},
		{"none", "refs/heads/main", "", "sha-1234567", gone + "api, under none of main, latest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.planner.Event.Ref, w.planner.Config.Tag = c.ref, c.tag
			for _, s := range w.planner.Config.Services {
				for tag := range strings.FieldsSeq(c.published) {
					w.images[s.Image+":"+tag] = registry.Image{Ref: digest(t, s.Image, tag)}
				}
			}
			live, err := w.planner.Live(t.Context(), w.planner.Config.Services)
			if strings.HasPrefix(c.want, gone) {
				if err == nil || !strings.HasPrefix(err.Error(), c.want) {
					t.Fatalf("%v, want %s", err, c.want)
				}
				return
			}
			if err != nil || len(live) != 3 {
				t.Fatalf("%v, %v", live, err)
			}
			for _, l := range live {
				if want := w.images[l.Service.Image+":"+c.want].Ref.DigestStr(); l.Tag != c.want || l.Digest != want {
					t.Errorf("%s is %s under %s, want %s under %s", l.Service.Name, l.Digest, l.Tag, want, c.want)
				}
			}
		})
	}
}

// TestLiveTellsWhatCannotBeRead: that is not the same as nothing.
func TestLiveTellsWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	down := errors.New("the registry is down")
	w.failing["ghcr.io/octo/web:main"] = down
	if _, err := w.planner.Live(t.Context(), []service.Service{*w.service(1)}); !errors.Is(err, down) {
		t.Errorf("%v", err)
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	c := clone{t, filepath.Join(t.TempDir(), "ws")}
	c.write(map[string]string{"api/Dockerfile": "", "api/.dockerignore": "*.yaml\n!keep.yaml\n", "web/Dockerfile": "", "lib/x": "", "api/sub/x": ""})
	c.must(os.Symlink("lib", filepath.Join(c.dir, "linked")))
	services := []service.Service{{Name: "api", Context: "api", Dockerfile: "api/Dockerfile"},
		{Name: "web", Context: "web", Dockerfile: "web/Dockerfile", Options: service.Options{Contexts: map[string]string{"lib": "linked"}}}}
	for file, want := range map[string]string{"compose.yaml": "", "deploy/compose.yaml": "", "api/compose.yaml": "", "api/keep.yaml": "api", "api/.env.example": "api", "api/sub/compose.yaml": "api",
		"web/compose.yaml": "web", "lib/compose.yaml": "web", "webs/compose.yaml": ""} {
		if got := Takes(c.dir, services, file); got != want {
			t.Errorf("%s is taken by %q, want %q", file, got, want)
		}
	}
	if got := Takes(c.dir, []service.Service{{Name: "all", Context: "."}}, "deploy/compose.yaml"); got != "all" {
		t.Errorf("the root is taken by %q", got)
	}
}
