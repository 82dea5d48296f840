package plan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

// A clone is a true repository in a folder of the test's own.
type clone struct {
	t   testing.TB
	dir string
}

// environ is all that git gets: nothing of the machine's own configuration, and one fixed time.
func environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2024-05-01T12:00:00+02:00",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2024-05-01T12:00:00+02:00"}
}

func newClone(t testing.TB) clone {
	t.Helper()
	c := clone{t, t.TempDir()}
	c.git("init", "--quiet", "--initial-branch=main")
	return c
}

func (c clone) git(args ...string) string {
	c.t.Helper()
	out, err := run.OS(c.t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: c.dir, Env: environ()})
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (c clone) write(files map[string]string) {
	c.t.Helper()
	for file, content := range files {
		path := filepath.Join(c.dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
}

// commit writes files, commits everything there is and returns the commit.
func (c clone) commit(files map[string]string) string {
	c.t.Helper()
	c.write(files)
	c.git("add", "--all")
	c.git("commit", "--quiet", "--allow-empty", "--message=x")
	return c.head()
}

func (c clone) head() string { return c.git("rev-parse", "HEAD") }

func (c clone) repo() git.Repo { return git.Repo{Dir: c.dir, Run: run.OS, Env: environ()} }

// A world is a clone, what is published from it, and a planner between them.
type world struct {
	clone
	base    string // the first commit, which is published
	planner Planner
	images  map[string]registry.Image // by reference
	failing map[string]error          // by reference
}

// newWorld commits three services, of which api and web share a folder.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{clone: newClone(t), images: map[string]registry.Image{}, failing: map[string]error{}}
	w.base = w.commit(map[string]string{"api/Dockerfile": "FROM scratch\nCOPY . /", "api/main.go": "1", "web/Dockerfile": "FROM scratch\nCOPY . /",
		"web/app.js": "1", "shared/lib": "1", "docs/Dockerfile": "FROM scratch\nCOPY . /", "docs/index.md": "1", "README.md": "1"})
	rules, mistakes := tags.Parse(service.DefaultTags)
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	w.planner = Planner{Rules: rules, Repo: w.repo(), Pushes: true, Resolve: w.resolve, Read: w.read,
		Event: actions.Event{Name: "push", Ref: "refs/heads/main", SHA: w.base, DefaultBranch: "main", Repository: "octo/mono", ServerURL: "https://github.com"}}
	w.planner.Config.Services = []service.Service{
		{Name: "api", Image: "ghcr.io/octo/api", Context: ".", Dockerfile: "api/Dockerfile", Platforms: []string{"linux/amd64", "linux/arm64"},
			Paths: []string{"api/**", "shared/**"}, Port: 3001, HealthEndpoint: "/health"},
		{Name: "web", Image: "ghcr.io/octo/web", Context: ".", Dockerfile: "web/Dockerfile", Platforms: []string{"linux/amd64"}, Paths: []string{"web/**", "shared/**"}},
		{Name: "docs", Image: "ghcr.io/octo/docs", Context: "docs", Dockerfile: "docs/Dockerfile", Platforms: []string{"linux/amd64"}},
	}
	return w
}

func (w *world) resolve(_ context.Context, image, tag string) (registry.Image, bool, error) {
	ref := image + ":" + tag
	img, found := w.images[ref]
	return img, found, w.failing[ref]
}

func (w *world) read(_ context.Context, ref name.Digest) (registry.Image, error) {
	for _, img := range w.images {
		if img.Ref == ref {
			return img, w.failing[ref.String()]
		}
	}
	return registry.Image{}, fmt.Errorf("%s is not there", ref)
}

func (w *world) service(i int) *service.Service { return &w.planner.Config.Services[i] }

// make plans for the commit that is checked out.
func (w *world) make() Plan {
	w.t.Helper()
	w.planner.Event.SHA = w.head()
	made, err := w.planner.Make(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// publish does what a run does after its plan: every planned tag points to the image of this commit.
func (w *world) publish() {
	w.t.Helper()
	for _, s := range w.make().Services {
		img := registry.Image{Ref: digest(w.t, s.Image, s.Inputs+w.head()), Revision: s.Labels[registry.RevisionKey],
			Version: s.Version, Annotations: s.Annotations}
		for _, p := range s.Platforms {
			img.Platforms = append(img.Platforms, registry.Platform{Platform: p})
		}
		for _, tag := range s.Tags {
			w.images[tag] = img
		}
	}
}

// alter changes what is published under a tag, or under all tags of an image.
func (w *world) alter(prefix string, change func(*registry.Image)) {
	for ref, img := range w.images {
		if ref == prefix || strings.HasPrefix(ref, prefix+":") {
			change(&img)
			w.images[ref] = img
		}
	}
}

func digest(t testing.TB, image, seed string) name.Digest {
	t.Helper()
	ref, err := name.NewDigest(fmt.Sprintf("%s@sha256:%064x", image, hash(seed)))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func hash(text string) (sum uint64) {
	for _, b := range []byte(text) {
		sum = sum*31 + uint64(b)
	}
	return sum
}

// told renders a plan as lines; commits are written BASE and HEAD.
func (w *world) told(made Plan) string {
	var b strings.Builder
	for _, s := range made.Services {
		fmt.Fprintf(&b, "%s: %s, %s\n", s.Name, s.Action, s.Reason)
	}
	return strings.NewReplacer(git.Short(w.base), "BASE", git.Short(w.head()), "HEAD").Replace(b.String())
}
