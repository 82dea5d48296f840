package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
)

// commits is how many commits of the synthetic monorepo BenchmarkPublish replays; with -short it is a fifth of them.
const commits = 30

// crew are the services of that monorepo; those that are true are made of shared code, too.
var crew = map[string]bool{"api": true, "mail": false, "web": false, "worker": true}

// BenchmarkPublish replays commits to a monorepo whose services have dependency layers that take seconds. Each commit is
// published in three ways, each by a machine that is new, as GitHub's are, and has nothing but the vulnerability database; layers
// come from the registry:
//
//   - "nothing reused": every service in order, with `docker buildx build --no-cache --push`;
//   - "as usual": what a changed-path filter finds, at the same time, with `docker buildx build --push` and a registry cache,
//     then Trivy for the machine's platform, then a container that is started until it answers;
//   - this program.
//
// It reports the seconds of each for all commits, and this program's share of the other two.
//
//	E2E=1 go test ./internal/e2e -run '^$' -bench 'BenchmarkPublish$' -benchtime 1x -timeout 3h
func BenchmarkPublish(b *testing.B) {
	for b.Loop() {
		w := newWorld(b)
		h := newHistory(w)
		nothing, usual, ours := &way{}, &way{}, &way{}
		for i := range h.order {
			h.commit(i)
			b.Logf("%-18s %5.1f s %5.1f s %5.1f s", h.order[i], h.time(nothing, h.everything), h.time(usual, h.asUsual), h.time(ours, h.publish))
		}
		b.Logf("%d commits: %s", len(h.order), h.kinds())
		for what, of := range map[string]*way{"nothing reused": nothing, "as usual": usual, "ghcr-publish": ours} {
			b.Logf("%-14s %6.0f s, %3d builds, %3.0f%% of unchanged dependency layers and %3.0f%% of all cached, %4.0f MB pushed", what, of.took.Seconds(), of.builds,
				percent(of.dependencies), percent(of.all), float64(of.pushed)/1e6)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ours.took.Seconds(), "s")
		b.ReportMetric(ours.took.Seconds()/nothing.took.Seconds(), "of-nothing-reused")
		b.ReportMetric(ours.took.Seconds()/usual.took.Seconds(), "of-usual")
		b.ReportMetric(percent(ours.dependencies), "%dependency-layers-cached")
	}
}

// A way is how commits are published, and what that took.
type way struct {
	mu           sync.Mutex
	took         time.Duration
	builds       int
	dependencies [2]int // layers that were cached, of how many that there was nothing new about
	all          [2]int
	pushed       int64 // bytes
}

func percent(share [2]int) float64 {
	if share[1] == 0 {
		return 100
	}
	return 100 * float64(share[0]) / float64(share[1])
}

// time has a new machine publish a commit in one way.
func (h *history) time(v *way, publish func(*way)) (seconds float64) {
	h.renew()
	before, begun := hub.received(), time.Now()
	publish(v)
	took := time.Since(begun)
	v.took += took
	v.pushed += hub.received() - before
	return took.Seconds()
}

// renew leaves no builder, no image of the owner's, and nothing that Trivy has seen, but for its database.
func (h *history) renew() {
	h.t.Helper()
	if err := removeBuilder(builder); err != nil {
		h.t.Fatal(err)
	}
	for _, image := range strings.Fields(h.do(nil, "docker", "image", "ls", "--quiet", "--filter", "reference="+hub.addr+"/"+h.owner+"/*")) {
		h.do(nil, "docker", "image", "rm", "--force", image)
	}
	h.do(nil, "trivy", "clean", "--quiet", "--scan-cache", "--cache-dir", trivyCache)
}

// count takes note of a build's instructions. What dependencies are made of may be new.
func (v *way) count(steps []buildx.Step, renewed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.builds++
	for _, s := range steps {
		if !s.Instruction() {
			continue
		}
		kinds := []*[2]int{&v.all}
		if strings.Contains(s.Name, "install") && !renewed {
			kinds = append(kinds, &v.dependencies)
		}
		for _, kind := range kinds {
			if kind[1]++; s.Cached {
				kind[0]++
			}
		}
	}
}

// A history is a monorepo and what becomes of it.
type history struct {
	*world
	order []string
	made  []string // kinds of commits
	login string
}

func newHistory(w *world) *history {
	h := &history{world: w, login: w.plainLogin(w.t)}
	files := map[string]string{"shared/lib.txt": "1\n", "docs/index.md": "1\n", ".dockerignore": "docs\n.git\n"}
	config := "tags: type=ref,event=branch\nmax_parallel: 4\nservices:\n" // one tag, as the other ways give, and all at the same time, too
	for service, shared := range crew {
		dir := "services/" + service
		copied := ""
		if shared {
			copied = "COPY shared ./shared\n"
		}
		files[dir+"/requirements.txt"], files[dir+"/src/main.txt"], files[dir+"/README.md"] = "one 1.0\n", "1\n", "1\n"
		files[dir+"/Dockerfile"] = fmt.Sprintf(`FROM %s/%s/base:1
WORKDIR /app
COPY %[3]s/requirements.txt ./
RUN : install && sleep 4 && seq 200000 >deps
%[4]sCOPY %[3]s/src ./src
RUN : compile && sleep 1 && cat src/* >app.txt && mkdir www && echo well >www/health
USER 65534:65534
EXPOSE 8080
STOPSIGNAL SIGKILL
CMD ["httpd", "-f", "-p", "8080", "-h", "/app/www"]
`, hub.addr, w.owner, dir, copied)
		config += fmt.Sprintf("  - {name: %[1]s, image: %[1]s, context: ., dockerfile: services/%[1]s/Dockerfile, port: 8080, health_endpoint: /health}\n", service)
	}
	files[".github/ghcr-publish.yml"] = config
	h.world.commit("a monorepo", files)
	random := random(w.t)
	for kind, n := range map[string]int{"one service": 15, "shared code": 4, "docs": 6, "dependencies": 4, "base image": 1} {
		h.order = append(h.order, slices.Repeat([]string{kind}, n)...)
	}
	slices.Sort(h.order)
	random.Shuffle(len(h.order), func(i, j int) { h.order[i], h.order[j] = h.order[j], h.order[i] })
	h.order = append([]string{"everything is new"}, h.order...)[:commits]
	if testing.Short() {
		h.order = h.order[:commits/5]
	}
	h.base(1)
	download := []string{"trivy", "image", "--quiet", "--download-db-only", "--cache-dir", trivyCache}
	for _, mirror := range parts.TrivyDB {
		download = append(download, "--db-repository", mirror)
	}
	h.do(nil, download...)
	return h
}

// base publishes a base image of the owner's.
func (h *history) base(version int) {
	h.t.Helper()
	from, err := name.NewTag(hub.addr + "/library/busybox:latest")
	if err != nil {
		h.t.Fatal(err)
	}
	to, err := name.NewTag(hub.addr + "/" + h.owner + "/base:1")
	if err != nil {
		h.t.Fatal(err)
	}
	index, err := remote.Index(from)
	if err != nil { // Docker Hub has it, and the registry need not
		index, err = remote.Index(name.MustParseReference("busybox"))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	changed := mutate.Annotations(index, map[string]string{"version": fmt.Sprint(version)})
	if err := remote.Push(to, changed.(remote.Taggable), h.basic()); err != nil {
		h.t.Fatal(err)
	}
}

// commit makes the next commit, of the kind that is its turn.
func (h *history) commit(n int) {
	random := rand.New(rand.NewPCG(*seed, uint64(n)))
	services := slices.Sorted(maps.Keys(crew))
	service, files := services[random.IntN(len(services))], map[string]string{}
	change := func(file string) { files[file] = h.read(file) + fmt.Sprintln(n) }
	switch h.order[n] {
	case "one service":
		change("services/" + service + "/src/main.txt")
	case "shared code":
		change("shared/lib.txt")
	case "docs": // of the whole, or of a service
		change([]string{"docs/index.md", "services/" + service + "/README.md"}[random.IntN(2)])
	case "dependencies":
		change("services/" + service + "/requirements.txt")
	case "base image":
		h.base(n)
	}
	h.world.commit(h.order[n], files)
	h.made = append(h.made, h.order[n])
}

// renewed reports whether the commit changes what dependencies are made of.
func (h *history) renewed() bool {
	kind := h.made[len(h.made)-1]
	return kind != "one service" && kind != "shared code"
}

// kinds tells how many commits there were of each kind.
func (h *history) kinds() string {
	counted := map[string]int{}
	for _, kind := range h.made {
		counted[kind]++
	}
	return strings.TrimPrefix(fmt.Sprint(counted), "map")
}

// changed is what a changed-path filter finds since the commit before.
func (h *history) changed() []string {
	out, err := h.repo.Git(h.t.Context(), "diff", "--name-only", "HEAD~1", "HEAD")
	if err != nil {
		h.t.Fatal(err)
	}
	var services []string
	for service, shared := range crew {
		if strings.Contains(out, "services/"+service+"/") || shared && strings.Contains(out, "shared/") || strings.Contains(out, ".github/") {
			services = append(services, service)
		}
	}
	return services
}

// everything builds all services in order, without a cache.
func (h *history) everything(v *way) {
	h.startPlain()
	for service := range crew {
		h.build(v, service, "nothing", "--no-cache")
	}
}

// asUsual builds what changed, with a cache in the registry, scans it and starts it.
func (h *history) asUsual(v *way) {
	changed := h.changed()
	if h.order[len(h.made)-1] == "everything is new" {
		changed = slices.Collect(maps.Keys(crew))
	}
	if len(changed) == 0 {
		return
	}
	h.startPlain()
	var group sync.WaitGroup
	for _, service := range changed {
		group.Go(func() {
			cache := h.reference(service, "usual-cache")
			h.build(v, service, "usual", "--cache-from", "type=registry,ref="+cache, "--cache-to", "type=registry,mode=max,ref="+cache)
			h.scan(h.reference(service, "usual"))
			h.start(h.reference(service, "usual"))
		})
	}
	group.Wait()
}

// publish runs this program.
func (h *history) publish(v *way) {
	o := h.mustPublish(report.ExitDone)
	for _, s := range o.Services {
		if s.Action != "build" {
			continue
		}
		var steps []buildx.Step
		for _, step := range s.Steps {
			steps = append(steps, buildx.Step{Name: step.Name, Cached: step.Cached})
		}
		v.count(steps, h.renewed())
	}
}

func (h *history) reference(service, tag string) string {
	return fmt.Sprintf("%s/%s/%s:%s", hub.addr, h.owner, service, tag)
}

func (h *history) environ() []string {
	return append(parts.Environ(os.Environ()), "DOCKER_CONFIG="+h.login, "TRIVY_USERNAME=octocat", "TRIVY_PASSWORD="+h.token)
}

// do runs a program as a workflow's step would.
func (h *history) do(stderr *buildx.Progress, argv ...string) string {
	h.t.Helper()
	command := run.Command{Argv: argv, Env: h.environ(), Dir: h.repo.Dir}
	if stderr != nil {
		command.Stderr = stderr
	}
	out, err := run.OS(h.t.Context(), command)
	if err != nil {
		h.t.Error(err)
	}
	return string(bytes.TrimSpace(out))
}

// startPlain makes a builder as the usual set-up step does: in the same network, with the same mirrors.
func (h *history) startPlain() {
	argv := []string{"buildx", "create", "--name", builder, "--driver", "docker-container", "--driver-opt", "network=host", "--bootstrap"}
	if parts.BuildkitConfig != "" {
		argv = append(argv, "--buildkitd-config", parts.BuildkitConfig)
	}
	if _, err := run.OS(h.t.Context(), run.Command{Argv: argv, Env: h.environ()}); err != nil && !strings.Contains(err.Error(), "existing instance") {
		h.t.Fatal(err)
	}
}

func (h *history) build(v *way, service, tag string, more ...string) {
	progress := &buildx.Progress{Tell: func(string) {}}
	argv := append([]string{"buildx", "build", "--builder", builder, "--progress", "rawjson", "--platform", "linux/amd64,linux/arm64", "--provenance", "mode=max",
		"--tag", h.reference(service, tag), "--push", "--file", "services/" + service + "/Dockerfile"}, more...)
	h.do(progress, append(argv, ".")...)
	v.count(progress.Steps(), h.renewed())
}

func (h *history) scan(image string) {
	argv := []string{"trivy", "image", "--quiet", "--cache-dir", trivyCache, "--skip-db-update", "--scanners", "vuln", "--platform", "linux/amd64", "--severity", "CRITICAL,HIGH", "--exit-code", "1", "--insecure", image}
	h.do(nil, argv...)
}

// start starts an image and asks for its health until it answers.
func (h *history) start(image string) {
	container := h.do(nil, "docker", "run", "--detach", image)
	defer h.do(nil, "docker", "rm", "--force", container)
	address := h.do(nil, "docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
	for range 300 {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+address+":8080/health", nil)
		if err != nil {
			h.t.Fatal(err)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	h.t.Errorf("%s does not answer", image)
}

// basic is the login of the owner.
func (h *history) basic() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: "octocat", Password: h.token})
}
