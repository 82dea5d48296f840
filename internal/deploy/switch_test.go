package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/enginetest"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/traffic"
)

// A crossing is a ground on which a service "web" is switched: its containers are those of the engine, its Compose and its proxy are made up.
type crossing struct {
	*ground
	t     *testing.T
	api   *client.Client
	proxy *enginetest.Proxy
	first traffic.Split     // by which a proxy begins
	like  string            // what its container is like
	sick  string            // a release that is not well
	seen  []string          // what was started
	runs  map[string]string // the release of each colour
	paths map[string]string // by which releases say that they are well, where it is not the usual one
	port  int               // at which releases listen
	turns func()            // is called when the proxy has been told anything
}

const usualPath = "/a$b"

func imageOf(name string) string { return "octo/" + name + "@sha256:" + strings.Repeat("0", 64) }

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	x := &crossing{ground: newGround(t), t: t, proxy: enginetest.NewProxy(traffic.First(web)), first: traffic.First(web), like: "p", runs: map[string]string{}, paths: map[string]string{}, port: web.Port, turns: func() {}}
	x.Wait = time.Minute
	var err error
	if x.api, err = client.New(client.WithHost(x.server.Host())); err != nil {
		t.Fatal(err)
	}
	x.Program.Run = x.compose
	return x
}

func (x *crossing) path(release string) string {
	if path := x.paths[release]; path != "" {
		return path
	}
	return usualPath
}

// ask stands for what is run in the proxy's container. Who gets most requests knows no path but its own.
func (x *crossing) ask(argv []string) (exitCode int, output string) {
	exitCode, output = x.proxy.Exec(argv)
	if slices.Equal(argv, traffic.Named("").Switch(argv[len(argv)-1])) {
		x.turns()
	}
	at, asked := strings.CutPrefix(argv[len(argv)-1], "http://127.0.0.1:9180")
	most := slices.MaxFunc(x.proxy.Split().Backends, func(a, b traffic.Backend) int { return a.Weight - b.Weight })
	if asked && at != x.path(x.runs[most.Host]) {
		return 1, strings.Replace(output, "200 OK", "404 Not Found", 1)
	}
	return exitCode, output
}

var web = service.Service{Name: "web", Port: 8080, HealthEndpoint: "/"}

// release is a version of which "web" is another one.
func release(name string, weight int) Version {
	image := imageOf(name)
	return Version{File: traffic.ProxyLabel + " " + name, Weight: weight, Commit: name, Images: map[string]string{"web": imageOf("proxy"), "web-blue": image, "web-green": image}}
}

// bare is the release in which "web" is not switched.
const bare = "bare"

func bareRelease() Version {
	return Version{File: "services " + bare, Commit: bare, Images: map[string]string{"web": imageOf(bare)}}
}

// definition is by what Compose tells one proxy from another: also by what it does at first.
func (x *crossing) definition() string {
	switch {
	case x.first.Sticky:
		return x.like + "-sticky"
	case x.first.Port != web.Port:
		return fmt.Sprintf("%s-%d", x.like, x.first.Port)
	}
	return x.like
}

// compose stands for Docker Compose.
func (x *crossing) compose(_ context.Context, c run.Command) ([]byte, error) {
	text := strings.Join(c.Argv, " ")
	name := x.read(c)
	v := release(name, 0)
	if name == bare {
		v = bareRelease()
	}
	switch {
	case strings.Contains(text, "--format json"):
		first, err := traffic.Named("").Write(x.first)
		if err != nil {
			return nil, err
		}
		services := map[string]configured{"web": {Image: imageOf("proxy"), Labels: map[string]string{traffic.ProxyLabel: "nginx", traffic.ContainerLabel: x.like}, Environment: map[string]string{traffic.Variable: strings.ReplaceAll(first, "$", "$$")}}}
		for _, colour := range service.Colours("web") {
			services[colour] = configured{Image: v.Images[colour], Labels: map[string]string{traffic.ColourLabel: colour, traffic.HealthLabel: strings.ReplaceAll(x.path(name), "$", "$$")}}
		}
		return json.Marshal(map[string]any{"services": services})
	case strings.Contains(text, "--hash"):
		return []byte("web " + x.definition() + "\nweb-blue " + name + "\nweb-green " + name + "\n"), nil
	case slices.Contains(c.Argv, "up"):
		return nil, x.start(v, c.Argv[slices.Index(c.Argv, "--no-deps")+1:])
	case slices.Contains(c.Argv, "down"):
		return nil, x.down()
	default:
		return nil, nil
	}
}

// read is the release that a command is about.
func (x *crossing) read(c run.Command) string {
	text, err := os.ReadFile(c.Argv[slices.Index(c.Argv, "--file")+1])
	if err != nil {
		x.t.Fatal(err)
	}
	_, name, _ := strings.Cut(string(text), " ")
	return name
}

// start replaces those containers that are of another release, of the services that are named, and of none that these need.
func (x *crossing) start(v Version, services []string) error {
	ctx := x.t.Context()
	running, err := x.Engine.Project(ctx, x.Project)
	if err != nil {
		return err
	}
	for _, name := range services {
		hash := v.Commit
		labels := map[string]string{"com.docker.compose.project": x.Project, "com.docker.compose.service": name, traffic.ColourLabel: name, traffic.HealthLabel: x.path(hash)}
		switch {
		case v.Commit == bare:
		case name == "web":
			hash = x.definition()
			labels[traffic.ProxyLabel], labels[traffic.ContainerLabel] = "nginx", x.like
		default:
			x.runs[name] = v.Commit
		}
		labels["com.docker.compose.config-hash"] = hash
		same := false
		for _, i := range running {
			if i.Service == name && i.Hash == hash {
				same = true
			} else if i.Service == name {
				_, err = x.api.ContainerRemove(ctx, i.ID, client.ContainerRemoveOptions{Force: true})
			}
		}
		if same || err != nil {
			continue
		}
		x.seen = append(x.seen, name+"="+hash)
		sick := v.Commit == x.sick && name != "web"
		if labels[traffic.ProxyLabel] != "" {
			sick = x.astray()
		}
		err = errors.Join(err, x.begin(v.Images[name], labels, sick))
	}
	return err
}

// astray has a proxy begin, with what is in its volume or else with what it does at first, and reports whether nobody listens where it sends people.
func (x *crossing) astray() bool {
	if volume := "cards_web-traffic"; !slices.Contains(x.server.Volumes(), volume) {
		if err := x.Engine.WriteNote(x.t.Context(), engine.Note{Name: volume}); err != nil {
			x.t.Fatal(err)
		}
		x.proxy.Leave(x.first)
	}
	x.proxy.Exec(traffic.Named("").Reload())
	return !slices.ContainsFunc(x.proxy.Split().Backends, func(b traffic.Backend) bool { return b.Weight > 0 && b.Port == x.port })
}

// down takes all containers away, and no volume.
func (x *crossing) down() error {
	running, err := x.Engine.Project(x.t.Context(), x.Project)
	for _, i := range running {
		err = errors.Join(err, x.Engine.TakeAway(x.t.Context(), i.ID))
	}
	return err
}

func (x *crossing) begin(image string, labels map[string]string, sick bool) error {
	ctx := x.t.Context()
	b := enginetest.Behaviour{}
	if sick {
		b.Status = 500
	}
	name := "proxy"
	if labels[traffic.ProxyLabel] == "" {
		name = labels["com.docker.compose.config-hash"]
	} else {
		b.Exec = x.ask
	}
	x.server.Behave("octo/"+name, b)
	progress, err := x.api.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		err = progress.Wait(ctx)
	}
	if err != nil {
		return err
	}
	made, err := x.api.ContainerCreate(ctx, client.ContainerCreateOptions{Config: &container.Config{Image: image, Labels: labels,
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Millisecond, Retries: 1}}})
	if err == nil {
		_, err = x.api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	}
	return err
}

// shared is what share of the requests each release gets.
func (x *crossing) shared() string {
	x.t.Helper()
	running, err := x.Engine.Project(x.t.Context(), x.Project)
	if err != nil {
		x.t.Fatal(err)
	}
	shares := []string{}
	for _, i := range running {
		if weight := x.proxy.Split().Of(i.Service).Weight; weight > 0 {
			if !i.Running {
				x.t.Errorf("people are sent to %s, which does not run", i.Service)
			}
			shares = append(shares, fmt.Sprintf("%s=%d", i.Hash, weight))
		}
	}
	slices.Sort(shares)
	return strings.Join(shares, " ")
}

// TestTurns goes through releases one after another: who gets the requests in the end, what was started for it, and what is remembered.
func TestTurns(t *testing.T) {
	t.Parallel()
	x := newCrossing(t)
	x.sick = "bad"
	for _, step := range []struct {
		release  string
		weight   int
		shared   string
		started  string
		remember string
	}{
		{"one", 10, "one=100", "web=p web-blue=one web-green=one", "one"},
		{"one", 20, "one=100", "", "one"},
		{"two", 0, "two=100", "web-green=two", "one two"},
		{"bad", 0, "two=100", "web-blue=bad", "one two"},
		{"three", 10, "three=10 two=90", "web-blue=three", "one two three"},
		{"three", 50, "three=50 two=50", "", "one two three"},
		{"bad", 0, "three=50 two=50", "web-blue=bad web-blue=three", "one two three"},
		{"four", 20, "four=20 two=80", "web-blue=four", "one two four"},
		{"four", 0, "four=100", "", "one two four"},
		{"two", 0, "two=100", "", "one two four two"},
		{"two", 30, "two=100", "", "one two four two"},
	} {
		x.seen = nil
		r := x.deploy(t, release(step.release, step.weight))
		if r.Good() == (step.release == "bad") || r.Astray != nil {
			t.Fatalf("%+v: %+v", step, r)
		}
		if got := x.shared(); got != step.shared {
			t.Errorf("%s with %d: shared as %s, want %s", step.release, step.weight, got, step.shared)
		}
		if diff := cmp.Diff(step.started, strings.Join(x.seen, " ")); diff != "" {
			t.Errorf("%s with %d: started (-want +got):\n%s", step.release, step.weight, diff)
		}
		if got := strings.Join(x.commits(t), " "); got != step.remember {
			t.Errorf("%s with %d: remembered are %s, want %s", step.release, step.weight, got, step.remember)
		}
		s, err := x.Status(t.Context())
		if err != nil || len(s.Troubles) > 0 || s.Shares["web-blue"]+s.Shares["web-green"] != 100 {
			t.Errorf("%s with %d: %+v, %v", step.release, step.weight, s, err)
		}
	}
}

// TestPaths: versions that are asked by different paths how they are take turns, and share requests.
func TestPaths(t *testing.T) {
	t.Parallel()
	x := newCrossing(t)
	x.paths = map[string]string{"two": "/ready", "three": "/ready"}
	for _, step := range []struct {
		release string
		weight  int
		shared  string
		health  string
	}{
		{"one", 0, "one=100", usualPath},
		{"two", 10, "one=90 two=10", ""},
		{"three", 20, "one=80 three=20", ""},
		{"three", 0, "three=100", "/ready"},
		{"two", 50, "three=50 two=50", "/ready"},
	} {
		if r := x.deploy(t, release(step.release, step.weight)); !r.Good() {
			t.Fatalf("%+v: %+v", step, r)
		}
		if got := x.shared(); got != step.shared || x.proxy.Split().Health != step.health {
			t.Errorf("%+v: shared as %s, asked for %q", step, got, x.proxy.Split().Health)
		}
	}
}

// TestTurnsThatFail leave people where they were.
func TestTurnsThatFail(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*crossing){
		"asking the proxy of web: nginx: configuration file test failed": func(x *crossing) { x.proxy.Refuse() },
		`the proxy goes by "web-blue:8080=100", not by "web-green:`:      func(x *crossing) { x.proxy.Ignore() },
		"the file was not written by ghcr-publish":                       func(x *crossing) { x.proxy.Write("server {}") },
	} {
		x := newCrossing(t)
		if r := x.deploy(t, release("one", 0)); !r.Good() {
			t.Fatal(r.Err)
		}
		spoil(x)
		r := x.deploy(t, release("two", 0))
		if r.Err == nil || !strings.Contains(r.Err.Error(), want) {
			t.Errorf("%s: %v", want, r.Err)
		}
		if got := x.shared(); got != "one=100" {
			t.Errorf("%s: shared as %s", want, got)
		}
	}
}

// TestTurnWithoutTheLock: who has lost the lock does not tell the proxy what it did before, since another may have told it something else.
func TestTurnWithoutTheLock(t *testing.T) {
	t.Parallel()
	x := newCrossing(t)
	x.mustDeploy(release("one", 0))
	x.proxy.Ignore()
	past, err := x.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held, lose := context.WithCancelCause(t.Context())
	lost, turns := errors.New("somebody else has it"), 0
	x.turns = func() { turns++; lose(lost) }
	l := &Lock{host: x.Host, held: held}
	if r := l.Deploy(t.Context(), release("two", 0), past); !errors.Is(r.Err, lost) || r.After != Left || turns != 1 {
		t.Errorf("%+v, and the proxy was told something %d times", r, turns)
	}
}

// TestKilledTurn: a proxy that does not what its file says is told so before anything is replaced.
func TestKilledTurn(t *testing.T) {
	t.Parallel()
	x := newCrossing(t)
	for _, name := range []string{"one", "two"} {
		if r := x.deploy(t, release(name, 0)); !r.Good() {
			t.Fatal(r.Err)
		}
	}
	x.proxy.Leave(traffic.First(web)) // and it goes by the second
	if r := x.deploy(t, release("three", 0)); !r.Good() || x.shared() != "three=100" || x.proxy.Split().Health != usualPath {
		t.Errorf("%+v, shared as %s, by %+v", r, x.shared(), x.proxy.Split())
	}
	if x.seen[len(x.seen)-1] != "web-green=three" {
		t.Errorf("started %q", x.seen)
	}
}

// TestProxyStays: a proxy is told what else it is to do, and its container is replaced only where it has to be another one, once all else is well.
func TestProxyStays(t *testing.T) {
	t.Parallel()
	x := newCrossing(t)
	x.sick = "bad"
	older := func() { // the file is another release's of this program, which writes the same in another way
		text := x.file()
		_, rest, _ := strings.Cut(strings.TrimPrefix(text, "# Written by ghcr-publish: "), " ")
		rest += "# more\n"
		sum := sha256.Sum256([]byte(rest))
		x.proxy.Write(fmt.Sprintf("# Written by ghcr-publish: %x %s", sum[:8], rest))
	}
	for _, step := range []struct {
		title   string
		release string
		before  func()
		started string
		gap     string
	}{
		{"the first", "one", func() {}, "web=p web-blue=one web-green=one", ""},
		{"with a cookie", "two", func() { x.first.Sticky = true }, "web-green=two", ""},
		{"an older file", "two", older, "", ""},
		{"without a cookie", "two", func() { x.first.Sticky = false }, "", ""},
		{"another image of the proxy", "three", func() { x.like = "q" }, "web-blue=three web=q", "its container is replaced by a new proxy"},
		{"a bad one with another image", "bad", func() { x.like = "r" }, "web-green=bad web=r", "its container is replaced by a new proxy"},
		{"no proxy", bare, func() {}, "web=bare", "it is switched no more"},
		{"a proxy again", "four", func() {}, "web-blue=four web-green=four web=r", "its container is replaced by a new proxy"},
	} {
		step.before()
		x.seen = nil
		v := release(step.release, 0)
		if step.release == bare {
			v = bareRelease()
		}
		running, err := x.Engine.Project(t.Context(), x.Project)
		if err != nil {
			t.Fatal(err)
		}
		_, gaps, err := x.Ahead(t.Context(), v, running)
		if got := strings.Join(gaps, "; "); err != nil || (got == "") != (step.gap == "") || !strings.Contains(got, step.gap) {
			t.Errorf("%s: it is told %q, %v; want %q", step.title, got, err, step.gap)
		}
		if r := x.deploy(t, v); r.Good() == (step.release == "bad") || r.Astray != nil {
			t.Fatalf("%s: %+v", step.title, r)
		}
		if got := strings.Join(x.seen, " "); got != step.started {
			t.Errorf("%s: started %s, want %s", step.title, got, step.started)
		}
		if step.release == bare {
			continue
		}
		if goes := x.proxy.Split(); goes.Sticky != x.first.Sticky || strings.Contains(x.file(), "# more") {
			t.Errorf("%s: the proxy goes by %s", step.title, x.file())
		}
	}
}

// TestNewPort: where no proxy runs, a new one goes by the ports of the version that it comes with, whatever one before it did.
func TestNewPort(t *testing.T) {
	t.Parallel()
	for title, before := range map[string]func(*crossing){
		"a first one with a wrong port": func(x *crossing) {
			x.port, x.Wait = 9000, 50*time.Millisecond
			if r := x.deploy(t, release("one", 0)); r.Good() || r.After != Removed {
				t.Errorf("with a wrong port: %+v", r)
			}
			x.Wait = time.Minute
		},
		"one that was switched": func(x *crossing) {
			x.mustDeploy(release("one", 0))
			x.mustDeploy(bareRelease())
		},
		"one whose proxy is stopped": func(x *crossing) {
			x.mustDeploy(release("one", 0))
			running, err := x.Engine.Project(t.Context(), x.Project)
			if err == nil {
				_, err = x.Engine.Stop(t.Context(), running[0].ID)
			}
			if err != nil || running[0].Service != "web" {
				t.Fatal(running, err)
			}
		},
		"one that was killed, behind whose proxy nobody answers": func(x *crossing) {
			x.port = 9000
			v := release("one", 0)
			if err := x.start(v, slices.Sorted(maps.Keys(v.Images))); err != nil {
				t.Fatal(err)
			}
			for health := ""; health != "unhealthy"; {
				running, err := x.Engine.Project(t.Context(), x.Project)
				if err != nil {
					t.Fatal(err)
				}
				health = running[0].Health
			}
			x.like = "q"
		},
	} {
		x := newCrossing(t)
		before(x)
		x.port, x.first = 9000, traffic.First(service.Service{Name: "web", Port: 9000, HealthEndpoint: "/"})
		if r := x.deploy(t, release("two", 0)); !r.Good() || x.shared() != "two=100" || x.proxy.Split().Of("web-blue").Port != 9000 {
			t.Errorf("after %s: %+v, shared as %s by %+v", title, r, x.shared(), x.proxy.Split())
		}
	}
}

func (x *crossing) mustDeploy(v Version) {
	x.t.Helper()
	if r := x.deploy(x.t, v); !r.Good() {
		x.t.Fatalf("%+v", r)
	}
}

// file is that of the proxy.
func (x *crossing) file() string {
	_, text := x.proxy.Exec(traffic.Named("").Show())
	return text
}
