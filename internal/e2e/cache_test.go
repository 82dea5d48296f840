package e2e

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/carry"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/resultstest"
	"github.com/org/ghcr-publish/internal/sample"
)

// A tiered world builds one service, each time with a builder that has no layers of its own.
type tiered struct {
	*world
	results *resultstest.Server
	n       int
}

func newTiered(t *testing.T) *tiered {
	w := &tiered{world: newWorld(t), results: resultstest.Start()}
	t.Cleanup(w.results.Close)
	w.grant(resultstest.Permission{Scope: "refs/heads/main", Permission: 3})
	return w
}

// grant gives the runner's token these rights.
func (w *tiered) grant(permissions ...resultstest.Permission) {
	token := w.results.CacheToken("run", "job", permissions...)
	w.env = []string{"ACTIONS_RESULTS_URL=" + w.results.URL, "ACTIONS_RUNTIME_TOKEN=" + token}
	w.secrets = []string{strings.Split(token, ".")[1], resultstest.Signature}
}

// change builds auth once more, changed where its dependencies are not, with a new builder.
func (w *tiered) change(more ...string) report.Service {
	w.t.Helper()
	fresh := fmt.Sprintf("%s-cache-%d", builder, w.n)
	defer w.remove(fresh)
	return w.changeWith(fresh, more...)
}

func (w *tiered) remove(builder string) {
	if err := removeBuilder(builder); err != nil {
		w.t.Error(err)
	}
}

// changeWith does the same with a builder that may have layers.
func (w *tiered) changeWith(builder string, more ...string) report.Service {
	w.t.Helper()
	w.n++
	w.commit("change", map[string]string{"auth/www/auth/n": fmt.Sprint(w.n)})
	o := w.mustPublish(report.ExitDone, append([]string{"--only", "auth", "--builder", builder}, more...)...)
	for line := range strings.Lines(o.log) {
		if !strings.HasPrefix(line, "::add-mask::") && w.leaks([]byte(line)) {
			w.t.Errorf("the log holds a token: %s", line)
		}
	}
	s := o.Services[0]
	if s.Cache != nil && slices.Contains(s.Cache.Reads, "gha") {
		w.checkForgotten(builder)
	}
	if w.tags("auth")["main"] != s.Digest || s.Digest == "" {
		w.t.Errorf("main is not %s\n%s", s.Digest, o.log)
	}
	if s.Cache == nil {
		w.t.Fatalf("nothing is told of the cache\n%s", o.log)
	}
	w.t.Logf("%s; notices %q", s.Cache, o.Notices)
	s.Verdict.Notes = o.Notices
	return s
}

// checkForgotten looks for builds in a builder's history, which would tell the runner's token.
func (w *tiered) checkForgotten(builder string) {
	w.t.Helper()
	if _, err := runBuildx(w.t.Context(), "create", "--name", builder, "--driver", "docker-container"); err != nil && !strings.Contains(err.Error(), "existing instance") {
		w.t.Fatal(err)
	}
	out, err := runBuildx(w.t.Context(), "history", "ls", "--builder", builder, "--format", "{{.Ref}}")
	if err != nil || strings.TrimSpace(string(out)) != "" {
		w.t.Errorf("the builder remembers %s, %v", out, err)
	}
}

// TestAdoptedBuilderIsShared has others build all the while with the builder that the run adopts and has forget its builds: theirs it remembers.
func TestAdoptedBuilderIsShared(t *testing.T) {
	w := newTiered(t)
	shared := builder + "-shared"
	defer w.remove(shared)
	if _, err := runBuildx(t.Context(), buildx.Builder{Name: shared, Config: parts.BuildkitConfig, HostNet: true}.CreateArgs()...); err != nil {
		t.Fatal(err)
	}
	dir, n := t.TempDir(), 0
	stop, others := make(chan struct{}), make(chan error, 1)
	go func() {
		others <- repeat(stop, func() error {
			n++
			if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), fmt.Appendf(nil, "FROM scratch\nLABEL n=%d\n", n), 0o644); err != nil {
				return err
			}
			_, err := runBuildx(t.Context(), "build", "--builder", shared, "--output", "type=cacheonly", dir)
			return err
		})
	}()
	w.commit("change", map[string]string{"auth/www/auth/n": "shared"})
	o := w.mustPublish(report.ExitDone, "--only", "auth", "--builder", shared, "--cache", "gha")
	close(stop)
	if err := <-others; err != nil {
		t.Fatal(err)
	}
	if s := o.Services[0]; s.Cache == nil || s.Cache.Writes != "gha" {
		t.Errorf("the cache is %+v", s.Cache)
	}
	out, err := runBuildx(t.Context(), "history", "ls", "--builder", shared, "--format", "{{.Ref}}")
	if got := len(strings.Fields(string(out))); got != n || n < 2 || err != nil {
		t.Errorf("of %d builds of others the builder remembers %d, %v\n%s", n, got, err, o.log)
	}
}

// repeat does the same again and again, once a second, until it is stopped or fails.
func repeat(stop <-chan struct{}, do func() error) error {
	for {
		if err := do(); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-time.After(time.Second): // a builder remembers few dozens
		}
	}
}

// cachedDependencies counts the platforms whose dependencies were not built anew.
func cachedDependencies(s report.Service) (n int) {
	for _, step := range s.Steps {
		if strings.Contains(step.Name, "RUN set -e; while read") && step.Cached {
			n++
		}
	}
	return n
}

// TestTiersGiveLayersToANewBuilder keeps layers in each tier, with BuildKit itself as its client, takes the builder away with all it has,
// and finds the layers in the tier.
func TestTiersGiveLayersToANewBuilder(t *testing.T) {
	for _, tier := range []string{"gha", "registry", "local"} {
		t.Run(tier, func(t *testing.T) {
			w := newTiered(t)
			watch := watchArguments(w.world)
			arguments := []string{"--cache", tier, "--cache-dir", filepath.Join(t.TempDir(), "layers")}
			first := w.change(arguments...)
			if n := cachedDependencies(first); n != 0 || first.Cache.Writes != tier || first.Cache.Tiers[0].Written == 0 || first.Cache.Tiers[0].Hits != 0 {
				t.Errorf("first: %d of its dependencies were cached, %+v", n, first.Cache)
			}
			second := w.change(arguments...)
			gave := second.Cache.Tiers[0]
			if n := cachedDependencies(second); n != len(platforms) || gave.Hits < len(platforms) || gave.Bytes == 0 || gave.Seconds <= 0 || gave.Lost != "" {
				t.Errorf("second: %d of its dependencies were cached, %+v", n, second.Cache)
			}
			if len(second.Verdict.Notes) > 1 { // one says that nothing is signed
				t.Errorf("notices %q", second.Verdict.Notes)
			}
			if third := w.change("--cache", "off"); cachedDependencies(third) != 0 || len(third.Cache.Tiers) != 0 {
				t.Errorf("off: %+v", third.Cache)
			}
			if seen := watch(); seen != "" {
				t.Errorf("a token was among the arguments of %s", seen)
			}
			w.searchFiles(w.temp)
			w.searchRegistry()
			if problems := w.results.Problems(); len(problems) > 0 {
				t.Errorf("the results service refused %q", problems)
			}
			if at := w.tags("auth"); len(at) != 4 { // main and one for each commit
				t.Errorf("tags %v", at)
			}
			layers := slices.DeleteFunc(w.results.Cached("refs/heads/main"), func(key string) bool { return strings.HasPrefix(key, carry.Prefix) })
			if (len(layers) > 0) != (tier == "gha") {
				t.Errorf("the cache of GitHub Actions holds %q", layers)
			}
		})
	}
}

// TestPullRequestReadsTheCacheAlone has a pull request find the default branch's layers, in both tiers, and keep none.
func TestPullRequestReadsTheCacheAlone(t *testing.T) {
	for _, tier := range []string{"gha", "registry"} {
		t.Run(tier, func(t *testing.T) {
			w := newTiered(t)
			w.change("--cache", tier)
			before := w.results.Cached("refs/pull/7/merge")
			written := len(hub.of(w.owner))
			w.grant(resultstest.Permission{Scope: "refs/pull/7/merge", Permission: 3}, resultstest.Permission{Scope: "refs/heads/main", Permission: 1})
			s := w.pullRequest("--cache", tier)
			if n := cachedDependencies(s); n != len(platforms) || s.Cache.Writes != "off" || s.Cache.Tiers[0].Hits == 0 {
				t.Errorf("%d of its dependencies were cached, %+v", n, s.Cache)
			}
			if after := w.results.Cached("refs/pull/7/merge"); len(before)+len(after) > 0 {
				t.Errorf("it kept %q", after)
			}
			for _, q := range hub.of(w.owner)[written:] {
				if q.method != http.MethodGet && q.method != http.MethodHead {
					t.Errorf("the registry was written to: %+v", q)
				}
			}
		})
	}
}

// TestMemoryKeepsTheTierThatPays has dependencies that take seconds, with new builders, which the registry spares them; and one
// builder that has them itself, beside which the registry is of no use.
func TestMemoryKeepsTheTierThatPays(t *testing.T) {
	const builds = 6
	t.Run("new builders", func(t *testing.T) {
		w := newTiered(t)
		w.commit("slow dependencies", map[string]string{"auth/Dockerfile": strings.Replace(w.read("auth/Dockerfile"), "RUN set -e; while", "RUN sleep 3; set -e; while", 1)})
		var last report.Service
		for range 1 + builds { // for the first there was nothing yet
			last = w.change()
		}
		if last.Cache.Writes != "registry" || !strings.Contains(last.Cache.Reason, "registry pays: in 5 builds it took ") {
			t.Errorf("%+v", last.Cache.Policy)
		}
	})
	t.Run("one builder", func(t *testing.T) {
		w := newTiered(t)
		kept := builder + "-kept"
		defer w.remove(kept)
		w.changeWith(kept, "--cache", "off") // the first build of a builder has nothing
		var last report.Service
		for range builds {
			last = w.changeWith(kept)
		}
		if last.Cache.Writes != "off" || !strings.Contains(last.Cache.Reason, "registry does not pay: in 5 builds it took ") {
			t.Errorf("%+v", last.Cache.Policy)
		}
		if byHand := w.changeWith(kept, "--cache", "registry"); byHand.Cache.Writes != "registry" {
			t.Errorf("by hand: %+v", byHand.Cache.Policy)
		}
	})
}

// TestBrokenActionsCache breaks the results service in each way that it breaks, and publishes all the same.
func TestBrokenActionsCache(t *testing.T) {
	const calls, blobs = "CacheService", "/blobs/"
	cases := []struct {
		name string
		do   func(w *tiered)
		lost string // part of a notice; empty where nothing is lost that was not known beforehand
	}{
		{"errors", func(w *tiered) { w.results.Break(calls, 500, nil, "") }, "it could not be read: "},
		{"errors where layers are written", func(w *tiered) { w.results.Break("CreateCacheEntry", 500, nil, "") }, "nothing was written: "},
		{"too many requests", func(w *tiered) { w.results.Break("CreateCacheEntry", 429, http.Header{"Retry-After": {"600"}}, "") }, "429"},
		{"too many requests for a moment", func(w *tiered) { w.results.Fail(2, 429, http.Header{"Retry-After": {"1"}}, "") }, ""},
		{"quota exceeded", func(w *tiered) { w.results.Quota(1) }, "the repository has reached its cache storage limit"},
		{"quota exceeded where blobs are written", func(w *tiered) {
			w.results.Break(blobs, 403, nil, "<?xml version=\"1.0\"?><Error><Code>InsufficientAccountPermissions</Code></Error>")
		}, "the cache in gha was of no use"},
		{"a token that may only read", func(w *tiered) { w.grant(resultstest.Permission{Scope: "refs/heads/main", Permission: 1}) }, ""},
		{"layers that were evicted", func(w *tiered) { w.results.Evict("buildkit-blob-") }, ""},
		{"unreachable", func(w *tiered) { w.results.Close() }, "connection refused"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newTiered(t)
			w.change("--cache", "gha")
			c.do(w)
			begun := time.Now()
			s := w.change("--cache", "gha")
			t.Logf("it took %.1f s", time.Since(begun).Seconds())
			notices := strings.Join(s.Verdict.Notes, "\n")
			if lost := strings.Contains(notices, "the cache in gha was of no use"); lost != (c.lost != "") || !strings.Contains(notices, c.lost) {
				t.Errorf("notices %q", notices)
			}
			if c.name != "layers that were evicted" && c.lost == "" && cachedDependencies(s) != len(platforms) {
				t.Errorf("nothing was read: %+v", s.Cache)
			}
		})
	}
}

// TestStuckActionsCache has a store of blobs fail for good: BuildKit goes on trying, and the build goes on without it.
func TestStuckActionsCache(t *testing.T) {
	if os.Getenv("E2E") != "full" {
		t.Skip("set E2E=full to wait for a build that is stuck, for five minutes")
	}
	w := newTiered(t)
	w.results.Break("/blobs/", 500, nil, "")
	begun := time.Now()
	s := w.change("--cache", "gha")
	t.Logf("it took %.0f s", time.Since(begun).Seconds())
	if notices := strings.Join(s.Verdict.Notes, "\n"); !strings.Contains(notices, "no layer was written for other runs for 5m0s") {
		t.Errorf("notices %q", notices)
	}
}

// damage changes the files of a folder that are of a size, between the one and the other number of bytes.
func damage(t *testing.T, folder string, least, most int64, how func(path string) error) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, "/blobs/sha256/") || !entry.Type().IsRegular() {
			return err
		}
		if info, err := entry.Info(); err != nil || info.Size() < least || info.Size() > most {
			return err
		}
		n++
		return how(path)
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files were damaged: %v", n, err)
	}
}

// TestBrokenLocalCache has layers that are listed and not there, cut short, or others, or a folder that is none. What is damaged is
// replaced, so that it is of use the next time.
func TestBrokenLocalCache(t *testing.T) {
	const all, dependencies = 1 << 30, 200_000
	cases := map[string]func(t *testing.T, dir string){
		"gone": func(t *testing.T, dir string) { damage(t, dir, 10_000, all, os.Remove) },
		"cut short": func(t *testing.T, dir string) {
			damage(t, dir, 10_000, all, func(path string) error { return os.Truncate(path, 5000) })
		},
		"altered": func(t *testing.T, dir string) {
			damage(t, dir, 10_000, dependencies, func(path string) error {
				info, err := os.Stat(path)
				if err != nil {
					return err
				}
				return os.WriteFile(path, make([]byte, info.Size()), 0o644)
			})
		},
		"no folder": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			w := newTiered(t)
			dir := filepath.Join(t.TempDir(), "layers")
			w.change("--cache", "local", "--cache-dir", dir)
			spoil(t, dir)
			s := w.change("--cache", "local", "--cache-dir", dir)
			// BuildKit itself builds anew what is not what its digest says.
			if notices := strings.Join(s.Verdict.Notes, "\n"); strings.Contains(notices, "the cache in local was of no use") == (name == "altered") {
				t.Errorf("notices %q", notices)
			}
			if again := w.change("--cache", "local", "--cache-dir", dir); (name == "gone" || name == "cut short") && cachedDependencies(again) != len(platforms) {
				t.Errorf("it is of no use for good: %+v", again.Cache)
			}
		})
	}
}

// TestBrokenRegistryCache has the registry refuse what concerns layers alone: where they are written, and where they are read.
func TestBrokenRegistryCache(t *testing.T) {
	cases := []struct {
		name    string
		status  int
		methods []string
		lost    string
	}{
		{"errors", 500, []string{http.MethodPut}, "nothing was written: "},
		{"too many requests", 429, []string{http.MethodPut}, "nothing was written: "},
		{"quota exceeded", 403, []string{http.MethodPut}, "nothing was written: "},
		{"errors where layers are read", 500, []string{http.MethodGet, http.MethodHead}, "it could not be read: "},
		{"too many requests where layers are read", 429, []string{http.MethodGet, http.MethodHead}, "it could not be read: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newTiered(t)
			w.registry = newRefusing(t, "http://"+hub.addr, func(r *http.Request) int {
				if strings.Contains(r.URL.Path, "/manifests/ghcr-publish-cache-") && slices.Contains(c.methods, r.Method) {
					return c.status
				}
				return 0
			})
			s := w.change("--cache", "registry")
			if notices := strings.Join(s.Verdict.Notes, "\n"); !strings.Contains(notices, "the cache in registry was of no use: "+c.lost) {
				t.Errorf("notices %q", notices)
			}
		})
	}
}

// newRefusing stands before a registry and answers with a status what it is to refuse. It returns its host.
func newRefusing(t *testing.T, behind string, refused func(*http.Request) int) string {
	t.Helper()
	target, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := refused(r); status != 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(status)
			fmt.Fprintln(w, `{"errors":[{"code":"DENIED","message":"not now"}]}`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pullRequest builds auth for a pull request from this repository, with a new builder.
func (w *tiered) pullRequest(more ...string) report.Service {
	w.t.Helper()
	w.n++
	fresh := fmt.Sprintf("%s-cache-%d", builder, w.n)
	defer w.remove(fresh)
	w.commit("change", map[string]string{"auth/www/auth/n": "of a pull request"})
	o := w.publish(sample.Job{Event: "pull_request", Ref: "refs/pull/7/merge"}, append([]string{"--only", "auth", "--builder", fresh}, more...)...)
	if o.code != report.ExitDone || o.Services[0].Cache == nil {
		w.t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	return o.Services[0]
}

// TestRunnerKeepsLayers has the action, as a runner starts it and without being told where to, keep layers in the cache of GitHub
// Actions, and find them on another runner, which has no builder yet.
func TestRunnerKeepsLayers(t *testing.T) {
	j := newFlow(t)
	token := "ACTIONS_RUNTIME_TOKEN=" + j.results.CacheToken("run", "all", resultstest.Permission{Scope: "refs/heads/main", Permission: 3})
	run := func() report.Service {
		j.do("all", "INPUT_SERVICES=auth", token)
		s := j.report().Services[0]
		if s.Cache == nil || s.Cache.Writes != "gha" || s.Cache.Tiers[0].Lost != "" {
			t.Fatalf("%+v", s.Cache)
		}
		t.Log(s.Cache)
		return s
	}
	if n := cachedDependencies(run()); n != 0 {
		t.Errorf("at first %d of the dependencies were cached", n)
	}
	dropBuilder(t, j.state("builder"))
	j.commit("change", map[string]string{"auth/www/auth/n": "1"})
	j.handOver()
	if s := run(); cachedDependencies(s) != len(platforms) || s.Cache.Tiers[0].Bytes == 0 {
		t.Errorf("%+v", s.Cache)
	}
	if problems := j.results.Problems(); len(problems) > 0 {
		t.Errorf("the results service refused %q", problems)
	}
}
