package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/registry"
)

func (w *world) inputs() string {
	w.t.Helper()
	return w.make().Services[0].Inputs
}

func TestInputsAreTheSameInEveryClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.inputs()
	if !strings.HasPrefix(want, "sha256:") || len(want) != len("sha256:")+64 {
		t.Fatalf("inputs %q are no digest", want)
	}
	other := clone{t, filepath.Join(t.TempDir(), "clone")}
	w.git("clone", "--quiet", w.dir, other.dir)
	w.clone, w.planner.Repo = other, other.repo()
	if got := w.inputs(); got != want {
		t.Errorf("inputs in a second clone %s, want %s", got, want)
	}
}

func TestInputsCount(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		change  func(w *world)
		changes bool
	}{
		{"content", func(w *world) { w.commit(map[string]string{"api/main.go": "2"}) }, true},
		{"a new file", func(w *world) { w.commit(map[string]string{"api/new": ""}) }, true},
		{"mode", func(w *world) {
			w.must(os.Chmod(filepath.Join(w.dir, "api/main.go"), 0o755))
			w.commit(nil)
		}, true},
		{"a mode that the work tree has not", func(w *world) {
			w.git("update-index", "--chmod=+x", "api/main.go")
			w.git("commit", "--quiet", "--message=x")
		}, false},
		{"a dependency", func(w *world) { w.service(0).DependsOn = []string{"docs"} }, true},
		{"a file that git changes as it checks it out", func(w *world) {
			w.commit(map[string]string{".gitattributes": "api/*.go filter=up\n", "api/x.go": "quiet"})
			before := w.inputs()
			w.git("config", "filter.up.clean", "tr A-Z a-z")
			w.write(map[string]string{"api/x.go": "QUIET"})
			if made := w.make().Services[0]; made.Inputs == before || made.Labels[registry.RevisionKey] != w.head() {
				w.t.Errorf("inputs %s of %s, and before %s", made.Inputs, made.Labels[registry.RevisionKey], before)
			}
			w.must(os.Remove(filepath.Join(w.dir, "api/x.go")))
			w.must(os.Remove(filepath.Join(w.dir, ".gitattributes")))
			w.commit(nil)
		}, false},
		{"a file that git ignores", func(w *world) {
			w.commit(map[string]string{".gitignore": "made/\n*.log\n"})
			w.write(map[string]string{"api/made/deep/file": "1"})
		}, true},
		{"a file that git and the paths leave out", func(w *world) {
			w.commit(map[string]string{".gitignore": "made/\n*.log\n"})
			w.write(map[string]string{"made/file": "1", "x.log": "1"})
		}, false},
		{"the same content, committed and not", func(w *world) {
			w.write(map[string]string{"api/main.go": "2"})
			before := w.inputs()
			w.commit(nil)
			if after := w.inputs(); after != before {
				w.t.Errorf("inputs are %s before the commit and %s after it", before, after)
			}
			w.commit(map[string]string{"api/main.go": "1"})
		}, false},
		{"a name", func(w *world) { w.git("mv", "api/main.go", "api/man.go"); w.commit(nil) }, true},
		{"a file in place of a link to it", func(w *world) {
			w.must(os.Remove(filepath.Join(w.dir, "api/main.go")))
			w.must(os.Symlink("1", filepath.Join(w.dir, "api/main.go")))
			w.commit(nil)
		}, true},
		{"uncommitted content", func(w *world) { w.write(map[string]string{"api/main.go": "2"}) }, true},
		{"a build argument", func(w *world) { w.service(0).BuildArgs = map[string]string{"A": "1"} }, true},
		{"a platform", func(w *world) { w.service(0).Platforms = w.service(0).Platforms[:1] }, true},
		{"the target", func(w *world) { w.service(0).Target = "debug" }, true},
		{"a label", func(w *world) { w.service(0).Labels = map[string]string{"a": "b"} }, true},
		{"the context's ignore file, which the paths leave out", func(w *world) { w.commit(map[string]string{".dockerignore": "x"}) }, true},
		{"the Dockerfile's own ignore file", func(w *world) { w.commit(map[string]string{"api/Dockerfile.dockerignore": "x"}) }, true},
		{"the Dockerfile's place", func(w *world) { w.service(0).Dockerfile = "web/Dockerfile" }, true},
		{"the watched paths", func(w *world) { w.service(0).Paths = []string{"api/**"} }, true},
		{"a file that is not watched", func(w *world) { w.commit(map[string]string{"README.md": "2", "web/app.js": "2", "apiary": ""}) }, false},
		{"an uncommitted file that is not watched", func(w *world) { w.write(map[string]string{"README.md": "2"}) }, false},
		{"another commit of the same files", func(w *world) { w.commit(nil) }, false},
		{"port and smoke", func(w *world) { w.service(0).Port, w.service(0).Smoke = 1, [][]string{{"x"}} }, false},
		{"the event", func(w *world) { w.planner.Event.Ref, w.planner.Event.Name = "refs/tags/v1.0.0", "push" }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before := w.inputs()
			c.change(w)
			if after := w.inputs(); (after != before) != c.changes {
				t.Errorf("inputs changed: %v, want %v", after != before, c.changes)
			}
		})
	}
}

func (c clone) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// TestInputsAreTheWatchedFiles draws trees from few names and contents, so that equal ones recur:
// the digests of two trees are equal just when their watched parts are.
func TestInputsAreTheWatchedFiles(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t)
	w.service(0).Paths = []string{"api/**", "!*.md"}
	seen := map[string]string{} // inputs by the watched part
	for round := range 24 {
		files := randomTree(r)
		w.replace(files)
		if round%3 > 0 {
			w.commit(nil)
		}
		made := w.make()
		watched := maps.Clone(files)
		maps.DeleteFunc(watched, func(file, _ string) bool { return !strings.HasPrefix(file, "api/") || strings.HasSuffix(file, ".md") })
		key := fmt.Sprint(watched)
		if round%3 == 0 {
			if made.Services[0].Action != Build {
				t.Fatalf("with uncommitted files and nothing published: %s", made.Services[0].Action)
			}
			continue // counted by what is on disk, on top of the commit
		}
		got := made.Services[0].Inputs
		if before, known := seen[key]; known && before != got {
			t.Errorf("the same watched files %s gave %s and %s", key, before, got)
		}
		for other, digest := range seen {
			if digest == got && other != key {
				t.Errorf("different watched files gave one digest:\n%s\n%s", key, other)
			}
		}
		seen[key] = got
	}
	if len(seen) < 4 || len(seen) > 15 {
		t.Errorf("%d distinct trees of 16: the drawing tests nothing", len(seen))
	}
}

func randomTree(r *rand.Rand) map[string]string {
	files := map[string]string{"README.md": "1"}
	for _, file := range []string{"api/a", "api/b", "api/x.md", "web/a"} {
		if n := r.IntN(3); n > 0 {
			files[file] = fmt.Sprint(n)
		}
	}
	return files
}

// replace makes the work tree hold just these files.
func (c clone) replace(files map[string]string) {
	c.t.Helper()
	entries, err := os.ReadDir(c.dir)
	c.must(err)
	for _, e := range entries {
		if e.Name() != ".git" {
			c.must(os.RemoveAll(filepath.Join(c.dir, e.Name())))
		}
	}
	c.write(files)
}

// TestInputsAreOfWhatLinksLeadTo, where a context is a link: a folder, or an image layout, whatever its name has in it.
func TestInputsAreOfWhatLinksLeadTo(t *testing.T) {
	t.Parallel()
	for at, leads := range map[string]string{"o": "shared", "oci-layout://o": "oci-layout://shared", "oci-layout://o:tag": "oci-layout://shared:tag"} {
		w := newWorld(t)
		w.must(os.Symlink("shared", filepath.Join(w.dir, "o")))
		w.commit(map[string]string{"shared/x": "1"})
		w.service(0).Paths = nil
		w.service(0).Context, w.service(0).Contexts = "api", map[string]string{"more": at}
		before := w.inputs()
		w.commit(map[string]string{"shared/x": "2"})
		if w.inputs() == before {
			t.Errorf("context %s: a change of what it leads to changes nothing", at)
		}
		if got := followLinks(w.dir, *w.service(0)).Contexts["more"]; got != leads {
			t.Errorf("context %s is read as %s, want %s", at, got, leads)
		}
	}
}
