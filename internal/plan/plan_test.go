package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/tags"
)

const (
	inPlace = "unchanged since BASE, and every tag is in place"
	reused  = "unchanged since BASE: sha256:0000000 is judged again and tagged sha-HEAD; its version label stays as it is"
)

// lines writes what is expected of api, web and docs, in the form of told.
func lines(api, web, docs string) string {
	return "api: " + api + "\nweb: " + web + "\ndocs: " + docs + "\n"
}

func TestMake(t *testing.T) {
	t.Parallel()
	const apiImage = "ghcr.io/octo/api"
	skip, reuse := "skip, "+inPlace, "reuse, "+reused
	cases := []struct {
		name   string
		change func(w *world)
		want   string
	}{
		{"nothing is published", func(w *world) { clear(w.images) },
			lines("build, nothing is published yet", "build, nothing is published yet", "build, nothing is published yet")},
		{"nothing changed and every tag is in place", func(*world) {}, lines(skip, skip, skip)},
		{"a commit that touches no service", func(w *world) { w.commit(map[string]string{"README.md": "2"}) }, lines(reuse, reuse, reuse)},
		{"a tag that points elsewhere is lacking", func(w *world) {
			w.alter("ghcr.io/octo/api:sha-"+git.Short(w.base), func(i *registry.Image) { *i = registry.Image{Ref: digest(w.t, apiImage, "other")} })
		}, lines("reuse, "+strings.ReplaceAll(reused, "HEAD", "BASE"), skip, skip)},
		{"a changed file", func(w *world) { w.commit(map[string]string{"api/main.go": "2"}) },
			lines("build, changed since BASE: api/main.go", reuse, reuse)},
		{"a deleted file", func(w *world) { w.git("rm", "--quiet", "api/main.go"); w.commit(nil) },
			lines("build, changed since BASE: api/main.go", reuse, reuse)},
		{"a renamed file counts by both names", func(w *world) { w.git("mv", "api/main.go", "web/main.go"); w.commit(nil) },
			lines("build, changed since BASE: api/main.go", "build, changed since BASE: web/main.go", reuse)},
		{"many changed files", func(w *world) {
			w.commit(map[string]string{"docs/a": "", "docs/b": "", "docs/c": "", "docs/d": "", "docs/e": ""})
		},
			lines(reuse, reuse, "build, changed since BASE: docs/a, docs/b, docs/c and 2 more")},
		{"a file whose name git would quote", func(w *world) { w.commit(map[string]string{"docs/ü \"x\"": ""}) },
			lines(reuse, reuse, "build, changed since BASE: docs/ü \"x\"")},
		{"a shared folder", func(w *world) { w.commit(map[string]string{"shared/lib": "2"}) },
			lines("build, changed since BASE: shared/lib", "build, changed since BASE: shared/lib", reuse)},
		{"a change and its reversal", func(w *world) {
			w.commit(map[string]string{"api/main.go": "2"})
			w.commit(map[string]string{"api/main.go": "1"})
		},
			lines(reuse, reuse, reuse)},
		{"configuration alone", func(w *world) { w.service(0).BuildArgs = map[string]string{"A": "1"} },
			lines("build, its configuration changed since BASE", skip, skip)},
		{"an image without an inputs digest", func(w *world) { w.alter(apiImage, func(i *registry.Image) { i.Annotations = nil }) },
			lines("build, the published image does not say what it was built from", skip, skip)},
		{"a file that is not committed", func(w *world) { w.write(map[string]string{"api/main.go": "2"}) },
			lines("build, not committed: api/main.go", skip, skip)},
		{"a context in another clone", func(w *world) {
			w.write(map[string]string{"other/sub/Dockerfile": "FROM scratch\nCOPY . /"})
			w.git("init", "--quiet", "other")
			w.git("-C", "other", "add", "--all")
			w.git("-C", "other", "commit", "--quiet", "--message=x")
			w.service(2).Context, w.service(2).Dockerfile = "other/sub", "other/sub/Dockerfile"
			w.publish()
		}, strings.TrimSuffix(lines(skip, skip, "build, the published image names no commit it was built from ("), "\n")},
		{"a new file that is not committed", func(w *world) { w.write(map[string]string{"web/new": ""}) },
			lines(skip, "build, not committed: web/new", skip)},
		{"a file deleted and not committed", func(w *world) { _ = os.Remove(filepath.Join(w.dir, "docs/index.md")) },
			lines(skip, skip, "build, not committed: docs/index.md")},
		{"the memory is no change of a context that holds it", func(w *world) {
			w.service(0).Paths = nil
			w.commit(map[string]string{".dockerignore": ".git"})
			w.publish()
			w.base = w.head()
			w.write(map[string]string{".swarm/memory.db": "1"})
		}, lines(skip, skip, skip)},
		{"a context that holds the clone", func(w *world) {
			w.service(0).Paths = nil
			w.publish()
		}, lines("build, the builder gets .git, of which no two checkouts have the same; add **/.git to .dockerignore", skip, skip)},
		{"a revision that is not in the clone", func(w *world) {
			w.alter(apiImage, func(i *registry.Image) { i.Revision = strings.Repeat("ab", 20) })
		},
			lines("build, commit abababa, which is published, is not in this clone; check out with fetch-depth: 0", skip, skip)},
		{"a revision that is no ancestor", func(w *world) {
			w.git("checkout", "--quiet", "-b", "side")
			side := w.commit(nil)
			w.git("checkout", "--quiet", "main")
			w.git("commit", "--quiet", "--allow-empty", "--message=y")
			w.alter(apiImage, func(i *registry.Image) { i.Revision = side })
			w.base = side
		}, "api: build, commit BASE, which is published, is not part of this history\n"},
		{"a revision that is no commit", func(w *world) { w.alter(apiImage, func(i *registry.Image) { i.Revision = "v1.0" }) },
			lines(`build, the published image names no commit it was built from ("v1.0")`, skip, skip)},
		{"a revision that would be an option", func(w *world) { w.alter(apiImage, func(i *registry.Image) { i.Revision = "--output=x" }) },
			lines(`build, the published image names no commit it was built from ("--output=x")`, skip, skip)},
		{"an image that names no revision", func(w *world) { w.alter(apiImage, func(i *registry.Image) { i.Revision = "" }) },
			lines(`build, the published image names no commit it was built from ("")`, skip, skip)},
		{"a registry that cannot be read", func(w *world) { w.failing[apiImage+":main"] = errors.New("denied") },
			lines("build, the published image cannot be read: denied", skip, skip)},
		{"a registry that fails half way", func(w *world) { w.failing["ghcr.io/octo/api:sha-"+git.Short(w.base)] = errors.New("denied") },
			lines("build, the published image cannot be read: denied", skip, skip)},
		{"force", func(w *world) { w.planner.Config.Force = true },
			lines("build, building was forced", "build, building was forced", "build, building was forced")},
		{"a base that was asked for", func(w *world) {
			w.commit(map[string]string{"api/main.go": "2"})
			w.publish()
			w.commit(map[string]string{"web/app.js": "2"})
			w.planner.Config.Base = w.base
		}, lines("build, changed since BASE: api/main.go", "build, changed since BASE: web/app.js", reuse)},
		{"a base that hides a change is not believed", func(w *world) {
			w.commit(map[string]string{"api/main.go": "2"})
			w.planner.Config.Base, w.base = w.head(), w.head()
		}, lines("build, its configuration changed since BASE",
			"reuse, "+strings.ReplaceAll(reused, "HEAD", "BASE"), "reuse, "+strings.ReplaceAll(reused, "HEAD", "BASE"))},
		{"no rule gives a tag", func(w *world) {
			w.planner.Rules, _ = tags.Parse("type=semver,pattern={{version}}")
			w.commit(map[string]string{"api/main.go": "2"})
		}, lines("skip, no rule gives a tag for this event", "skip, no rule gives a tag for this event", "skip, no rule gives a tag for this event")},
		{"no rule gives a tag, and none is asked for", func(w *world) {
			w.planner.Rules, _ = tags.Parse("type=semver,pattern={{version}}")
			w.planner.Pushes = false
			clear(w.images)
		}, "api: build, nothing is published yet\n"},
		{"an image that lacks a platform is not used again", func(w *world) {
			w.alter(apiImage, func(i *registry.Image) { i.Platforms = i.Platforms[:1] })
			w.commit(map[string]string{"README.md": "2"})
		}, "api: build, the published image cannot be read: linux/arm64 is missing from ghcr.io/octo/api@"},
		{"an image that cannot be read whole is not used again", func(w *world) {
			w.failing[w.images[apiImage+":main"].Ref.String()] = errors.New("linux/arm64: gone")
			w.commit(map[string]string{"README.md": "2"})
		}, "api: build, the published image cannot be read: linux/arm64: gone\nweb: reuse"},
		{"a context whose name is a pattern", func(w *world) {
			w.service(2).Context, w.service(2).Dockerfile = "docs [a]{b}", "docs [a]{b}/Dockerfile"
			w.commit(map[string]string{"docs [a]{b}/Dockerfile": "FROM scratch\nCOPY . /", "docs [a]{b}/x": "1"})
			w.publish()
			w.base = w.head()
			w.commit(map[string]string{"docs [a]{b}/x": "2"})
		}, lines(reuse, reuse, "build, changed since BASE: docs [a]{b}/x")},
		{"a submodule that a path reaches into", func(w *world) {
			w.service(0).Paths = []string{"lib/*/src/**"}
			w.publish()
			w.base = w.head()
			w.git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",lib/x")
			w.git("commit", "--quiet", "--message=x")
			w.must(os.MkdirAll(filepath.Join(w.dir, "lib/x"), 0o755))
		}, lines("build, changed since BASE: lib/x", reuse, reuse)},
		{"a base that is not in the clone", func(w *world) {
			w.planner.Config.Base, w.planner.Config.Only = strings.Repeat("ab", 20), []string{"api"}
		},
			"api: build, commit abababa, which was asked for, is not in this clone; check out with fetch-depth: 0\n"},
		{"only some services", func(w *world) { w.planner.Config.Only = []string{"docs", "api"} }, "api: " + skip + "\ndocs: " + skip + "\n"},
		{"a run that pushes nothing", func(w *world) { w.commit(map[string]string{"README.md": "2"}); w.planner.Pushes = false },
			lines("skip, unchanged since BASE, and this run pushes nothing", "skip, unchanged since BASE, and this run pushes nothing", "skip, unchanged since BASE, and this run pushes nothing")},
		{"dependencies, through others", func(w *world) {
			w.service(1).DependsOn, w.service(2).DependsOn = []string{"docs"}, []string{"api"}
			w.alter(apiImage, func(i *registry.Image) { i.Revision = "" })
		}, lines(`build, the published image names no commit it was built from ("")`, "build, depends on docs, which is built", "build, depends on api, which is built")},
		{"a dependency that changed", func(w *world) {
			w.service(1).DependsOn, w.service(2).DependsOn = []string{"docs"}, []string{"api"}
			w.commit(map[string]string{"api/main.go": "2"})
		}, lines("build, changed since BASE: api/main.go", "build, depends on api, which changed since BASE: api/main.go", "build, depends on api, which changed since BASE: api/main.go")},
		{"a dependency that was published when this one failed", func(w *world) {
			w.service(2).DependsOn = []string{"api"}
			w.commit(map[string]string{"api/main.go": "2"})
			before := w.images["ghcr.io/octo/docs:main"]
			w.publish()
			w.images["ghcr.io/octo/docs:main"] = before
			delete(w.images, "ghcr.io/octo/docs:sha-"+git.Short(w.head()))
			w.planner.Config.Only = []string{"docs"}
		}, "api: skip, unchanged since HEAD, and every tag is in place\ndocs: build, depends on api, which changed since BASE: api/main.go\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish()
			c.change(w)
			if got := w.told(w.make()); !strings.HasPrefix(got, c.want) {
				t.Errorf("the plan (-want +got):\n%s", gocmp.Diff(c.want, got))
			}
		})
	}
}

func TestBaseIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.alter("ghcr.io/octo/docs", func(i *registry.Image) { i.Revision = w.base + Dirty })
	delete(w.images, "ghcr.io/octo/web:main")
	delete(w.images, "ghcr.io/octo/web:sha-"+git.Short(w.base))
	var got []Base
	for _, s := range w.make().Services {
		got = append(got, s.Base)
	}
	want := []Base{{w.base, "it is the revision that is published"}, {"", "nothing is published yet"}, {"", "the published image names no commit"}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("bases (-want +got):\n%s", diff)
	}
}

func TestFeatureBranchFallsBackToTheDefaultBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.git("checkout", "--quiet", "-b", "feat")
	w.planner.Event.Ref = "refs/heads/feat"
	w.planner.Config.Only = []string{"api"}
	if got, want := w.told(w.make()), "api: reuse, unchanged since BASE: sha256:0000000 is judged again and tagged feat; its version label stays as it is\n"; got != want {
		t.Errorf("a new branch: got %q, want %q", got, want)
	}
	w.commit(map[string]string{"api/main.go": "2"})
	w.publish()
	if got := w.make().Services[0]; got.Action != Skip || got.Base.SHA != w.head() {
		t.Errorf("the branch's own image: %s against %s; want it compared with its own tag", got.Action, got.Base.SHA)
	}
}

func TestReleaseTagIsComparedWithTheDefaultBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.planner.Event.Ref = "refs/tags/v1.2.3"
	w.planner.Config.Only = []string{"api"}
	got := w.make().Services[0]
	if want := "unchanged since " + git.Short(w.base) + ": sha256:0000000 is judged again and tagged 1.2.3, 1.2, latest; its version label stays as it is"; got.Action != Reuse || got.Reason != want {
		t.Errorf("%s, %s; want it used again", got.Action, got.Reason)
	}
	want := []string{"ghcr.io/octo/api:1.2.3", "ghcr.io/octo/api:1.2", "ghcr.io/octo/api:sha-" + git.Short(w.base), "ghcr.io/octo/api:latest"}
	if diff := gocmp.Diff(want, got.Tags); diff != "" || got.Version != "1.2.3" || got.Digest == "" {
		t.Errorf("version %s, digest %q, tags (-want +got):\n%s", got.Version, got.Digest, diff)
	}
}

func TestGitTagOfOneService(t *testing.T) {
	t.Parallel()
	others := func(tag string) string {
		return "skip, the git tag " + tag + " releases api alone"
	}
	const reuse = "reuse, unchanged since BASE: sha256:0000000 is judged again and tagged "
	cases := []struct {
		name, ref string
		change    func(w *world)
		want      string
	}{
		{"its own is released", "api/v1.2.3", func(*world) {},
			lines(reuse+"1.2.3, 1.2, latest; its version label stays as it is", others("api/v1.2.3"), others("api/v1.2.3"))},
		{"what depends on it stays", "api@1.2.3", func(w *world) {
			w.service(1).DependsOn = []string{"api"}
			w.commit(map[string]string{"api/main.go": "2", "web/app.js": "2"})
		}, lines("build, changed since BASE: api/main.go", others("api@1.2.3"), others("api@1.2.3"))},
		{"so do the others of a trial", "api@v1.2.3", func(w *world) { w.planner.Pushes = false; w.planner.Config.Force = true },
			lines("build, building was forced", others("api@v1.2.3"), others("api@v1.2.3"))},
		{"a tag that is asked for is its alone", "api/v1.2.3", func(w *world) { w.planner.Config.Tag = "rc" },
			lines(reuse+"1.2.3, 1.2, latest, rc; its version label stays as it is", others("api/v1.2.3"), others("api/v1.2.3"))},
		{"one that is not considered", "api/v1.2.3", func(w *world) { w.planner.Config.Only = []string{"web"} }, "web: " + others("api/v1.2.3") + "\n"},
		{"a name that is no service's", "apis/v1.2.3", func(*world) {}, lines("skip, "+inPlace, "skip, "+inPlace, "skip, "+inPlace)},
		{"no version", "api/next", func(*world) {}, lines("skip, "+inPlace, "skip, "+inPlace, "skip, "+inPlace)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish()
			w.planner.Event.Ref = "refs/tags/" + c.ref
			c.change(w)
			made := w.make()
			if diff := gocmp.Diff(c.want, w.told(made)); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
			for _, s := range made.Services {
				if apart := strings.HasSuffix(s.Reason, "alone"); apart && (len(s.Tags) > 0 || s.Version != "" || s.Inputs == "") {
					t.Errorf("%s: tags %q, version %q, inputs %q", s.Name, s.Tags, s.Version, s.Inputs)
				}
			}
		})
	}
}

func TestShallowCloneIsDeepened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.commit(map[string]string{"api/main.go": "2"})
	shallow := clone{t, filepath.Join(t.TempDir(), "clone")}
	w.git("clone", "--quiet", "--depth=1", "file://"+w.dir, shallow.dir)
	w.clone, w.planner.Repo = shallow, shallow.repo()
	if got, want := w.told(w.make()), lines("build, changed since BASE: api/main.go", "reuse, "+reused, "reuse, "+reused); got != want {
		t.Errorf("the plan (-want +got):\n%s", gocmp.Diff(want, got))
	}
}

func TestUncommittedFilesNameNoRevision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service(2).DependsOn = []string{"api"}
	w.write(map[string]string{"api/main.go": "2", ".swarm/memory.db": "1", "coverage.txt": "made by an earlier step"})
	want := map[string]string{"api": w.base + Dirty, "web": w.base, "docs": w.base + Dirty}
	made := w.make()
	for _, s := range made.Services {
		if got := s.Labels[registry.RevisionKey]; got != want[s.Name] {
			t.Errorf("%s: revision %q, want %q", s.Name, got, want[s.Name])
		}
	}
	if want := []string{"the working tree differs from " + git.Short(w.base) + " in 1 file; it is built as it lies there: api/main.go"}; !slices.Equal(made.Notices, want) {
		t.Errorf("notices %q, want %q", made.Notices, want)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.planner.Event.Description, w.planner.Event.License = "All in one", "MIT"
	w.service(0).Labels = map[string]string{"org.opencontainers.image.title": "API", "team": "a on {{branch}}"}
	w.service(0).Annotations = map[string]string{"org.opencontainers.image.description": "{{sha}}"}
	got := w.make().Services[0]
	made := map[string]string{
		"org.opencontainers.image.title": "mono", registry.RevisionKey: w.base, registry.VersionKey: "main",
		"org.opencontainers.image.created": "2024-05-01T10:00:00Z", "org.opencontainers.image.description": "All in one", "org.opencontainers.image.licenses": "MIT",
		"org.opencontainers.image.source": "https://github.com/octo/mono", "org.opencontainers.image.url": "https://github.com/octo/mono",
	}
	labels, annotations := maps.Clone(made), maps.Clone(made)
	labels["org.opencontainers.image.title"], labels["team"] = "API", "a on main"
	annotations["org.opencontainers.image.description"], annotations[InputsKey] = git.Short(w.base), got.Inputs
	if diff := gocmp.Diff(labels, got.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(annotations, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestPullRequestNamesItsHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	head := strings.Repeat("cd", 20)
	w.planner.Event.HeadSHA, w.planner.Event.ShortSHA = head, 10
	w.write(map[string]string{"api/main.go": "2"})
	for i, want := range []string{head + Dirty, head} {
		if got := w.make().Services[i]; got.Labels[registry.RevisionKey] != want || got.TagSet.Names()[1] != "sha-cdcdcdcdcd" {
			t.Errorf("revision %q, tags %q; want %q", got.Labels[registry.RevisionKey], got.Tags, want)
		}
	}
}

func TestJSONIsTheInterface(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service := []string{"action", "annotations", "base", "from", "image", "inputs", "labels", "name", "platforms", "reason", "tag_set", "tags", "version", "weight"}
	first := decoded(t, w.make())
	checkKeys(t, first, "attempt", "commit", "matrix", "pushes", "ref", "schema_version", "services", "started_at")
	checkKeys(t, first["services"].([]any)[0], append(service, "choices")...)
	checkKeys(t, first["services"].([]any)[0].(map[string]any)["base"], "sha", "why")
	checkKeys(t, first["matrix"], "include")
	row := first["matrix"].(map[string]any)["include"].([]any)[0]
	want := map[string]any{"row": "api", "services": []any{"api"}, "name": "api", "image": "ghcr.io/octo/api", "platforms": []any{"linux/amd64", "linux/arm64"},
		"port": 3001.0, "health_endpoint": "/health", "runner": "ubuntu-latest"}
	if diff := gocmp.Diff(any(want), row); diff != "" {
		t.Errorf("matrix row (-want +got):\n%s", diff)
	}
	w.publish()
	second := decoded(t, w.make())
	checkKeys(t, second["services"].([]any)[0], append(service, "digest")...)
	if diff := gocmp.Diff(map[string]any{"include": []any{}}, second["matrix"]); diff != "" {
		t.Errorf("an empty matrix (-want +got):\n%s", diff)
	}
}

func decoded(t *testing.T, made Plan) map[string]any {
	t.Helper()
	data, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func checkKeys(t *testing.T, object any, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := gocmp.Diff(want, slices.Sorted(maps.Keys(object.(map[string]any)))); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// TestReleaseIsComparedWithTheLast where no tag follows a branch.
func TestReleaseIsComparedWithTheLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.planner.Rules, _ = tags.Parse("type=semver,pattern={{version}}")
	w.planner.Event.Ref = "refs/tags/v1.0.0"
	w.publish()
	w.commit(map[string]string{"api/main.go": "2"})
	w.planner.Event.Ref = "refs/tags/v1.1.0"
	services := w.make().Services
	if api, web := services[0], services[1]; api.Action != Build || api.Digest == "" || !strings.Contains(api.Reason, "changed since") || web.Action != Reuse {
		t.Errorf("api: %s, %s (%s); web: %s, %s", api.Action, api.Reason, api.Digest, web.Action, web.Reason)
	}
}

func TestPlanSaysWhatItCouldNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.failing["ghcr.io/octo/api:main"] = errors.New("denied")
	w.commit(map[string]string{"README.md": "2"})
	if services := w.make().Services; services[0].Unread != "denied" || services[1].Unread != "" {
		t.Errorf("unread %q and %q", services[0].Unread, services[1].Unread)
	}
}

func TestPlanNamesTheChangedFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	files := map[string]string{"web/app.js": "2", "other": "2"}
	for i := range 60 {
		files[fmt.Sprintf("api/%02d", i)] = "1"
	}
	w.commit(files)
	services := w.make().Services
	if got := services[0].Changed; len(got) != mostChanged || got[0] != "api/00" {
		t.Errorf("api: %q", got)
	}
	if got := services[1].Changed; !slices.Equal(got, []string{"web/app.js"}) {
		t.Errorf("web: %q", got)
	}
	if got := services[2].Changed; got != nil {
		t.Errorf("docs: %q", got)
	}
}

func TestMatrixHoldsTheWorkAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.write(map[string]string{"web/app.js": "2"})
	made := w.make()
	if work := made.Work(); len(work) != 1 || work[0].Name != "web" || len(made.Matrix.Include) != 1 || made.Matrix.Include[0].Name != "web" {
		t.Errorf("work %v, matrix %v; want web alone", work, made.Matrix)
	}
	w.planner.Config.Services = nil
	if made := w.make(); made.Services == nil || made.Matrix.Include == nil {
		t.Error("a plan without services has null in its JSON")
	}
}

func TestUnreadableClone(t *testing.T) {
	t.Parallel()
	for _, question := range []string{"show", "ls-files", "status", "cat-file", "rev-list", "diff-tree"} {
		t.Run(question, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish()
			broken := errors.New("disk on fire")
			w.planner.Repo.Run = func(ctx context.Context, c run.Command) ([]byte, error) {
				if slices.Contains(c.Argv, question) {
					return nil, broken
				}
				return run.OS(ctx, c)
			}
			w.commit(nil)
			w.planner.Event.SHA = w.head()
			if _, err := w.planner.Make(t.Context()); !errors.Is(err, broken) {
				t.Errorf("Make() = %v, want git's failure", err)
			}
		})
	}
}

func TestFailedComparisonIsTold(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	work := &tree{repo: git.Repo{Run: func(context.Context, run.Command) ([]byte, error) { return nil, broken }}}
	for range 2 {
		if files, err := work.changedSince(t.Context(), "base"); !errors.Is(err, broken) {
			t.Errorf("changedSince() = %v, %v; want git's failure each time", files, err)
		}
	}
}

func TestOneDiffForAllServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.commit(map[string]string{"README.md": "2"})
	asked := map[string]int{}
	var mu sync.Mutex
	w.planner.Repo.Run = func(ctx context.Context, c run.Command) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		asked[cmp.Or(c.Argv[5], "?")]++ // git -c … -c … question
		return run.OS(ctx, c)
	}
	w.make()
	for _, question := range []string{"diff-tree", "rev-list", "cat-file", "ls-files", "status", "show"} {
		if asked[question] != 1 {
			t.Errorf("git was asked %d times for %s, want once for all services", asked[question], question)
		}
	}
}

// TestGitIsAskedAFixedNumberOfTimes however many services there are, and commits that they were published from.
func TestGitIsAskedAFixedNumberOfTimes(t *testing.T) {
	t.Parallel()
	asked := func(services int) (n int) {
		w := newWorld(t)
		template := *w.service(2)
		w.planner.Config.Services = nil
		for i := range services {
			s := template
			s.Name = fmt.Sprintf("s%d", i)
			s.Image = "ghcr.io/octo/" + s.Name
			w.planner.Config.Services = append(w.planner.Config.Services, s)
		}
		for i := range services {
			w.commit(map[string]string{"README.md": fmt.Sprint(i)})
			all := w.planner.Config.Services
			w.planner.Config.Services = all[i : i+1]
			w.publish()
			w.planner.Config.Services = all
		}
		w.commit(map[string]string{"docs/index.md": "2"})
		var mu sync.Mutex
		w.planner.Repo.Run = func(ctx context.Context, c run.Command) ([]byte, error) {
			mu.Lock()
			n++
			mu.Unlock()
			return run.OS(ctx, c)
		}
		if made := w.make(); len(made.Builds()) != services {
			t.Errorf("%d of %d services are built", len(made.Builds()), services)
		}
		return n
	}
	if few, many := asked(2), asked(12); few != many {
		t.Errorf("git is asked %d times for 2 services, and %d times for 12", few, many)
	}
}

// A release that ran already finds its own image, although its branch has gone on since.
func TestReleaseAgainFindsItsOwnImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.planner.Config.Only = []string{"api"}
	w.planner.Event.Ref = "refs/tags/v1.0.0"
	w.publish()
	w.commit(map[string]string{"api/main.go": "2"})
	w.planner.Event.Ref = "refs/heads/main"
	w.publish()
	w.git("checkout", "--quiet", w.base)
	w.planner.Event.Ref = "refs/tags/v1.0.0"
	if got, want := w.told(w.make()), "api: skip, "+inPlace+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Its twin: under the version's tag is something else.
	w.alter("ghcr.io/octo/api", func(i *registry.Image) { i.Annotations = nil })
	if got := w.make().Services[0]; got.Action != Build {
		t.Errorf("%s, %s; want it built", got.Action, got.Reason)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for want, from := range map[string][]string{
		"2 from docker-bake.hcl":                           {"docker-bake.hcl: target a", "docker-bake.hcl: target b"},
		"1 from compose.yaml, compose.override.yaml":       {"compose.yaml, compose.override.yaml: service a"},
		"2 from .github/ghcr-publish.yml":                  {".github/ghcr-publish.yml:2:5", ".github/ghcr-publish.yml:3:5"},
		"1 from the input services":                        {"input services:1:3"},
		"2 from Dockerfile, api/Dockerfile":                {"Dockerfile", "api/Dockerfile"},
		"4 from a/Dockerfile, b/Dockerfile, 2 other files": {"a/Dockerfile", "b/Dockerfile", "c/Dockerfile", "d/Dockerfile"},
		"0": {},
	} {
		var made Plan
		for _, at := range from {
			made.Services = append(made.Services, Service{From: at})
		}
		if got := made.Origin(); got != want {
			t.Errorf("of %q: %q, want %q", from, got, want)
		}
	}
}

func TestInputsAtAnotherCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const bake, config = "docker-bake.hcl", ".github/ghcr-publish.yml"
	w.planner.Config.From = []string{config, bake}
	w.commit(map[string]string{bake: "1"})
	first, service := w.head(), w.make().Services[0]
	changed := w.commit(map[string]string{"api/main.go": "2"})
	other := w.make().Services[0]
	redefined := w.commit(map[string]string{bake: "2"})
	w.git("checkout", "--quiet", changed)
	configured := w.commit(map[string]string{config: "1"})
	w.git("checkout", "--quiet", changed)
	w.make()
	if got, err := w.planner.InputsAt(t.Context(), other, first); err != nil || got != service.Inputs || got == other.Inputs {
		t.Errorf("InputsAt(first) = %s, %v; want %s", got, err, service.Inputs)
	}
	if got, err := w.planner.InputsAt(t.Context(), service, changed); err != nil || got != other.Inputs {
		t.Errorf("InputsAt(changed) = %s, %v; want %s", got, err, other.Inputs)
	}
	for _, commit := range []string{redefined, configured, strings.Repeat("ab", 20)} {
		if got, err := w.planner.InputsAt(t.Context(), service, commit); err == nil {
			t.Errorf("InputsAt(%s) = %s; want an error", commit, got)
		}
	}
}
