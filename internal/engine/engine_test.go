package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	"github.com/org/ghcr-publish/internal/enginetest"
	"github.com/org/ghcr-publish/internal/service"
)

const image = "ghcr.io/octo/web:1"

// digest is a reference as candidates have it.
var digest = "ghcr.io/octo/web@sha256:" + strings.Repeat("a", 64)

// A front stands between the code under test and the engine: it sees what is sent and may answer instead.
type front struct {
	*enginetest.Server
	mu       sync.Mutex
	headers  []http.Header
	bodies   map[string]string // by path, the version left out
	instead  func(w http.ResponseWriter, r *http.Request) bool
	upstream http.Handler
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	f.mu.Lock()
	f.headers = append(f.headers, r.Header.Clone())
	f.bodies[path] = string(body)
	instead := f.instead
	f.mu.Unlock()
	if instead == nil || !instead(w, r) {
		f.upstream.ServeHTTP(w, r)
	}
}

func (f *front) sent(path string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bodies[path]
}

// start gives an engine of enginetest's, with a front.
func start(t *testing.T) (*Engine, *front) {
	t.Helper()
	f := &front{Server: enginetest.Start(), bodies: map[string]string{}}
	t.Cleanup(func() {
		if wrong := f.Problems(); wrong != nil {
			t.Errorf("the engine was asked what no engine is: %q", wrong)
		}
		f.Server.Close()
	})
	f.upstream = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimPrefix(f.Host(), "tcp://")})
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	e, err := Open(environ(map[string]string{"DOCKER_HOST": "tcp://" + server.Listener.Addr().String()}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.api.Close() })
	return e, f
}

func environ(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// run starts a container of an image that behaves as told.
func run(t *testing.T, e *Engine, f *front, b enginetest.Behaviour, s Spec) *Container {
	t.Helper()
	f.Behave("octo/web", b)
	s.Image = image
	if err := e.Pull(t.Context(), image, "", Credentials{}); err != nil {
		t.Fatal(err)
	}
	c, err := e.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fail answers a request with an error where its method and path fit.
func fail(method, part string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, part) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"message": "the engine is ill"}`)
		return true
	}
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	e, _ := start(t)
	if got, err := e.Platform(t.Context()); got != "linux/"+runtime.GOARCH || err != nil {
		t.Errorf("Platform() = %q, %v", got, err)
	}
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	e, err := Open(environ(map[string]string{"DOCKER_HOST": "unix:///no/such/docker.sock"}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Platform(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "asking the Docker Engine: ") {
		t.Errorf("Platform() = %q, %v", got, err)
	}
	if has, err := e.Has(t.Context(), image); has || err == nil {
		t.Errorf("Has() = %v, %v", has, err)
	}
	for _, env := range []map[string]string{{"DOCKER_HOST": "nonsense"}, {"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_CERT_PATH": "/no/such/folder"}} {
		if _, err := Open(environ(env)); err == nil || !strings.HasPrefix(err.Error(), "finding the Docker Engine: ") {
			t.Errorf("Open(%v) = %v", env, err)
		}
	}
}

func TestPull(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	f.Behave("octo/gone", enginetest.Behaviour{Missing: true})
	for _, ref := range []string{image, digest, "busybox:1.36"} {
		if err := e.Pull(t.Context(), ref, "linux/arm64/v8", Credentials{}); err != nil {
			t.Errorf("Pull(%s) = %v", ref, err)
		}
		if has, err := e.Has(t.Context(), ref); !has || err != nil {
			t.Errorf("Has(%s) = %v, %v after the pull", ref, has, err)
		}
	}
	if diff := cmp.Diff([]string{image, digest, "busybox:1.36"}, f.Pulled()); diff != "" {
		t.Errorf("pulled (-want +got):\n%s", diff)
	}
	if asked := strings.Join(f.Requests(), "\n"); !strings.Contains(asked, "platform=linux%2Farm64%2Fv8") {
		t.Errorf("the platform was not asked for:\n%s", asked)
	}
	if err := e.Pull(t.Context(), "ghcr.io/octo/gone:1", "", Credentials{}); err == nil || !strings.Contains(err.Error(), "pulling ghcr.io/octo/gone:1: ") || !strings.Contains(err.Error(), "manifest unknown") {
		t.Errorf("a missing image: %v", err)
	}
	if has, err := e.Has(t.Context(), "ghcr.io/octo/gone:1"); has || err != nil {
		t.Errorf("Has() = %v, %v of a missing image", has, err)
	}
	if err := e.Pull(t.Context(), image, "a/b/c/d/e", Credentials{}); err == nil {
		t.Error("a platform that is none is pulled")
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	if err := e.Pull(t.Context(), digest, "linux/amd64", Credentials{}); err != nil {
		t.Fatal(err)
	}
	c, err := e.Start(t.Context(), Spec{Image: digest})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Discard(digest); err == nil || !strings.Contains(err.Error(), "is using its referenced image") {
		t.Errorf("Discard() of an image in use = %v", err)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := e.Discard(digest); err != nil {
			t.Error(err)
		}
	}
	if stored := f.Stored(); len(stored) > 0 {
		t.Errorf("the store holds %q", stored)
	}
}

func TestHostPath(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	f.instead = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/containers/me/json") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"Id": "x", "Mounts": [{"Destination": "/github", "Source": "/srv/other"}, {"Destination": "/github/runner_temp", "Source": "/srv/temp"}]}`)
		return true
	}
	for file, want := range map[string]string{"/github/runner_temp/a/report.json": "/srv/temp/a/report.json", "/github/runner_temp": "/srv/temp",
		"/github/runner_temporary": "/srv/other/runner_temporary", "/etc/passwd": ""} {
		if got, err := e.HostPath(t.Context(), "me", file); got != want || (err == nil) != (want != "") {
			t.Errorf("HostPath(%s) = %q, %v; want %q", file, got, err, want)
		}
	}
	if got, err := e.HostPath(t.Context(), "somebody", "/github/runner_temp/x"); err == nil {
		t.Errorf("in no container: %q", got)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	stopped := 0
	f.instead = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/containers/running/json"):
			fmt.Fprint(w, `{"Id": "x", "State": {"Running": true}}`)
		case strings.HasSuffix(r.URL.Path, "/containers/ended/json"):
			fmt.Fprint(w, `{"Id": "x", "State": {"Running": false}}`)
		case strings.HasSuffix(r.URL.Path, "/containers/running/stop"):
			stopped++
			w.WriteHeader(http.StatusNoContent)
		default:
			return false
		}
		return true
	}
	for name, want := range map[string]bool{"running": true, "ended": false, "gone": false} {
		if got, err := e.Stop(t.Context(), name); got != want || err != nil {
			t.Errorf("Stop(%s) = %v, %v; want %v", name, got, err, want)
		}
	}
	if stopped != 1 {
		t.Errorf("%d containers were stopped", stopped)
	}
}

func TestPullReportsWhatTheStreamSays(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	f.instead = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/images/create") {
			fmt.Fprintln(w, `{"status":"Pulling from octo/web"}`)
			fmt.Fprintln(w, `{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`)
			return true
		}
		return false
	}
	if err := e.Pull(t.Context(), image, "", Credentials{}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Pull() = %v", err)
	}
}

func TestCredentialsGoToTheirRegistryOnly(t *testing.T) {
	t.Parallel()
	login := Credentials{Host: "ghcr.io", Username: "mona", Password: "hunter2"}
	for ref, want := range map[string]bool{
		image: true, digest: true, "ghcr.io.evil.example/octo/web:1": false, "docker.io/tonistiigi/binfmt:1": false, "busybox:1": false, "evil.example/ghcr.io/web:1": false,
	} {
		e, f := start(t)
		if err := e.Pull(t.Context(), ref, "", login); err != nil {
			t.Fatal(err)
		}
		var got []registry.AuthConfig
		for _, h := range f.headers {
			if text := h.Get(registry.AuthHeader); text != "" {
				auth, err := authconfig.Decode(text)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, *auth)
			}
		}
		if !want && got != nil {
			t.Errorf("%s: the login was sent: %+v", ref, got)
		}
		if diff := cmp.Diff([]registry.AuthConfig{{Username: "mona", Password: "hunter2", ServerAddress: "ghcr.io"}}, got); want && diff != "" {
			t.Errorf("%s: login (-want +got):\n%s", ref, diff)
		}
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	f.Behave("octo/web", enginetest.Behaviour{HealthCheck: true, Size: 12345})
	for _, ref := range []string{image, "busybox:1"} {
		if err := e.Pull(t.Context(), ref, "", Credentials{}); err != nil {
			t.Fatal(err)
		}
	}
	check := &service.Healthcheck{Test: []string{"CMD", "healthcheck"}, Interval: time.Second, Timeout: time.Second, Retries: 1}
	for ref, want := range map[string]ImageInfo{image: {12345, check, 0}, "busybox:1": {10 << 20, nil, 0}} {
		got, err := e.Inspect(t.Context(), ref)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Inspect(%s): %v; -want +got:\n%s", ref, err, diff)
		}
	}
	if got, err := e.Inspect(t.Context(), "none:1"); err == nil {
		t.Errorf("Inspect() = %+v of no image", got)
	}
	f.instead = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"Id": "sha256:1", "Size": 1, "Config": {"Healthcheck": {"Test": ["NONE"]}}}`)
		return true
	}
	if got, err := e.Inspect(t.Context(), image); got.Healthcheck != nil || err != nil {
		t.Errorf("a HEALTHCHECK that is turned off: %+v, %v", got, err)
	}
}

func TestStartAsksForWhatTheSpecSays(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	e.Owner = "this run"
	run(t, e, f, enginetest.Behaviour{}, Spec{Platform: "linux/amd64", Command: []string{"serve", "--fast"}, Env: map[string]string{"LEVEL": "a=b c"},
		Port: 3001, MemoryLimit: 2 << 30, MemoryReservation: 1 << 30, CPUs: 0.5, Processes: 99, NoNewPrivileges: true, Privileged: true,
		Entrypoint: []string{"tini"}, Volumes: []string{"/data"}, Healthcheck: &service.Healthcheck{Test: []string{"CMD", "ok"}, Interval: time.Second, Retries: 3}})
	var got container.CreateRequest
	if err := json.Unmarshal([]byte(f.sent("containers/create")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Image != image || !slices.Equal(got.Cmd, []string{"serve", "--fast"}) || !slices.Equal(got.Env, []string{"LEVEL=a=b c"}) || got.Labels["ghcr-publish.run"] != "this run" {
		t.Errorf("configuration: %+v", got.Config)
	}
	if check := got.Healthcheck; !slices.Equal(got.Entrypoint, []string{"tini"}) || len(got.Volumes) != 1 || check == nil || check.Interval != time.Second || check.Retries != 3 {
		t.Errorf("entrypoint %q, volumes %v, check %+v", got.Entrypoint, got.Volumes, check)
	}
	h := got.HostConfig
	if h.Memory != 2<<30 || h.MemoryReservation != 1<<30 || h.NanoCPUs != 5e8 || h.PidsLimit == nil || *h.PidsLimit != 99 || !slices.Equal(h.SecurityOpt, []string{"no-new-privileges"}) || !h.Privileged {
		t.Errorf("resources: %+v, privileged %v", h.Resources, h.Privileged)
	}
	for port, bindings := range h.PortBindings {
		if port.String() != "3001/tcp" || len(bindings) != 1 || bindings[0].HostIP.String() != "127.0.0.1" || bindings[0].HostPort != "" {
			t.Errorf("port %s is published as %+v; want a free port on loopback alone", port, bindings)
		}
	}
	if len(h.PortBindings) != 1 || len(h.Binds) != 0 || len(h.Mounts) != 0 {
		t.Errorf("bindings: %+v, %v, %v", h.PortBindings, h.Binds, h.Mounts)
	}
	if asked := strings.Join(f.Requests(), "\n"); !strings.Contains(asked, "platform=linux%2Famd64") {
		t.Errorf("the platform was not asked for:\n%s", asked)
	}
}

func TestStartAsksForNothingMore(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{}, Spec{})
	var got container.CreateRequest
	if err := json.Unmarshal([]byte(f.sent("containers/create")), &got); err != nil {
		t.Fatal(err)
	}
	if got.HostConfig.Privileged || got.HostConfig.NanoCPUs != 0 || got.HostConfig.PidsLimit != nil || got.HostConfig.SecurityOpt != nil || len(got.ExposedPorts) != 0 || got.Cmd != nil || c.Addresses != nil {
		t.Errorf("asked for %+v, %+v; addresses %v", got.Config, got.HostConfig, c.Addresses)
	}
}

func TestAddressesAnswer(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{Status: http.StatusTeapot}, Spec{Port: 8080})
	if len(c.Addresses) != 1 || c.Addresses[0].Route != "published loopback port" {
		t.Fatalf("addresses: %+v", c.Addresses)
	}
	response, err := http.Get("http://" + c.Addresses[0].HostPort)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusTeapot {
		t.Errorf("the container answers %s", response.Status)
	}
}

func TestAddressesNameEveryRoute(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	f.instead = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/containers/") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"Id": "x", "State": {"Running": true}, "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.5"}, "none": {"IPAddress": ""}, "own": {"IPAddress": "172.18.0.2"}},
			"Ports": {"3001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}], "9/udp": null}}}`)
		return true
	}
	if _, err := e.api.NetworkCreate(t.Context(), "own", client.NetworkCreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c := run(t, e, f, enginetest.Behaviour{}, Spec{Port: 3001, Networks: []Attachment{{Network: "own", Shared: true}}})
	want := []Address{{"172.18.0.2:3001", "shared network"}, {"172.17.0.5:3001", "container address"}, {"127.0.0.1:49153", "published loopback port"}}
	if diff := cmp.Diff(want, c.Addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestStartLeavesNothingBehindWhenItFails(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		instead func(http.ResponseWriter, *http.Request) bool
		want    string
	}{
		{"no container", fail(http.MethodPost, "/containers/create"), "creating a container of " + image + ": "},
		{"no network", fail(http.MethodPost, "/connect"), "starting a container of " + image + ": joining network \"none\": "},
		{"no start", fail(http.MethodPost, "/start"), "starting a container of " + image + ": "},
		{"no addresses", fail(http.MethodGet, "/containers/"), "inspecting a container: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, f := start(t)
			if err := e.Pull(t.Context(), image, "", Credentials{}); err != nil {
				t.Fatal(err)
			}
			f.instead = c.instead
			var networks []Attachment
			if c.name == "no network" {
				networks = []Attachment{{Network: "bridge"}, {Network: "none"}}
			}
			if _, err := e.Start(t.Context(), Spec{Image: image, Port: 80, Networks: networks}); err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(err.Error(), "the engine is ill") {
				t.Errorf("Start() = %v, want %q", err, c.want)
			}
			if left := f.Running(); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
	e, _ := start(t)
	if _, err := e.Start(t.Context(), Spec{Image: "none:1"}); err == nil {
		t.Error("an image that is not there was started")
	}
	if _, err := e.Start(t.Context(), Spec{Image: image, Platform: "a/b/c/d/e"}); err == nil {
		t.Error("a platform that is none was started")
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		behaviour enginetest.Behaviour
		want      State
	}{
		"running":         {enginetest.Behaviour{}, State{Running: true}},
		"healthy":         {enginetest.Behaviour{HealthCheck: true}, State{Running: true, Health: "healthy"}},
		"starting":        {enginetest.Behaviour{HealthCheck: true, Delay: time.Hour}, State{Running: true, Health: "starting"}},
		"unhealthy":       {enginetest.Behaviour{HealthCheck: true, Silent: true}, State{Running: true, Health: "unhealthy"}},
		"ended":           {enginetest.Behaviour{Exits: true, ExitCode: 3}, State{ExitCode: 3}},
		"out of memory":   {enginetest.Behaviour{Exits: true, ExitCode: 137, OOMKilled: true}, State{ExitCode: 137, OOMKilled: true}},
		"ended with none": {enginetest.Behaviour{Exits: true}, State{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, f := start(t)
			running := run(t, e, f, c.behaviour, Spec{})
			if c.behaviour.Exits {
				if code, err := running.Wait(t.Context()); code != c.want.ExitCode || err != nil {
					t.Errorf("Wait() = %d, %v", code, err)
				}
			}
			if got, err := running.State(t.Context()); got != c.want || err != nil {
				t.Errorf("State() = %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestStateOfNothing(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{}, Spec{})
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.State(t.Context()); err == nil {
		t.Errorf("State() = %+v of a container that is gone", got)
	}
	f.instead = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"Id": "x"}`)
		return true
	}
	if got, err := c.State(t.Context()); err == nil {
		t.Errorf("State() = %+v where the engine tells none", got)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{}, Spec{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if code, err := c.Wait(ctx); err == nil {
		t.Errorf("Wait() = %d of a container that runs on", code)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{Memory: 64 << 20, CPU: 1500 * time.Millisecond}, Spec{})
	if got, err := c.Usage(t.Context()); got != (Usage{64 << 20, 1500 * time.Millisecond, 1}) || err != nil {
		t.Errorf("Usage() = %+v, %v", got, err)
	}
	f.instead = func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"memory_stats": {"usage": 5, "max_usage": 9}, "cpu_stats": {"cpu_usage": {"total_usage": 7}}}`)
		return true
	}
	if got, err := c.Usage(t.Context()); got != (Usage{9, 7, 0}) || err != nil {
		t.Errorf("with the kernel's own peak: Usage() = %+v, %v", got, err)
	}
	f.instead = func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, `{"memory_`); return true }
	if got, err := c.Usage(t.Context()); err == nil {
		t.Errorf("cut off: Usage() = %+v", got)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		behaviour enginetest.Behaviour
		lines     int
		want      []string
	}{
		"nothing":      {enginetest.Behaviour{}, 10, nil},
		"both streams": {enginetest.Behaviour{Stdout: "one\ntwo\n", Stderr: "three\n"}, 10, []string{"one", "two", "three"}},
		"the last":     {enginetest.Behaviour{Stdout: "one\ntwo\nthree"}, 2, []string{"two", "three"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, f := start(t)
			got, err := run(t, e, f, c.behaviour, Spec{}).Logs(t.Context(), c.lines)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v, log (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{Stdout: strings.Repeat(strings.Repeat("x", 1023)+"\n", 3<<10)}, Spec{})
	got, err := c.Logs(t.Context(), 1e6)
	if size := len(strings.Join(got, "\n")); size > 1<<20 || size < 1<<19 || err != nil {
		t.Errorf("%d bytes of log, %v", size, err)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{Exec: func(argv []string) (int, string) {
		return len(argv), strings.Join(argv, "|") + "\n"
	}}, Spec{})
	if code, output, err := c.Exec(t.Context(), []string{"node", "--version"}); code != 2 || output != "node|--version" || err != nil {
		t.Errorf("Exec() = %d, %q, %v", code, output, err)
	}
	large := run(t, e, f, enginetest.Behaviour{Exec: func([]string) (int, string) { return 7, strings.Repeat("x", 4<<20) }}, Spec{})
	if code, output, err := large.Exec(t.Context(), []string{"yes"}); code != 7 || len(output) > 1<<20 || err != nil {
		t.Errorf("with much output: Exec() = %d, %d bytes, %v", code, len(output), err)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	if code, _, err := c.Exec(t.Context(), []string{"true"}); err == nil || !strings.HasPrefix(err.Error(), `running "true" in the container: `) {
		t.Errorf("in a container that is gone: Exec() = %d, %v", code, err)
	}
}

// streaming takes over the connection of a command and leaves it to write.
func streaming(t *testing.T, write func(net.Conn)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/exec/") || !strings.HasSuffix(r.URL.Path, "/start") {
			return false
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		defer connection.Close()
		fmt.Fprint(connection, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		write(connection)
		return true
	}
}

func frame(text string) string {
	return string(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(text)))) + text
}

func TestExecEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{}, Spec{})
	f.instead = streaming(t, func(connection net.Conn) {
		fmt.Fprint(connection, frame("working on it\n"))
		_, _ = io.Copy(io.Discard, connection) // until the other side closes
	})
	late := errors.New("not in time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, late)
	defer cancel()
	if code, _, err := c.Exec(ctx, []string{"sleep", "infinity"}); !errors.Is(err, late) {
		t.Errorf("Exec() = %d, %v; want the context's end", code, err)
	}
}

func TestExecOnAnEngineThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{}, Spec{})
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	f.instead = func(_ http.ResponseWriter, r *http.Request) bool {
		stuck := strings.HasSuffix(r.URL.Path, "/start")
		if stuck {
			<-end
		}
		return stuck
	}
	late := errors.New("not in time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, late)
	defer cancel()
	if code, _, err := c.Exec(ctx, []string{"true"}); !errors.Is(err, late) {
		t.Errorf("Exec() = %d, %v; want the context's end", code, err)
	}
}

func TestExecWaitsForTheExitCode(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	c := run(t, e, f, enginetest.Behaviour{}, Spec{})
	output := streaming(t, func(connection net.Conn) { fmt.Fprint(connection, frame("done\n")) })
	asked := 0
	f.instead = func(w http.ResponseWriter, r *http.Request) bool {
		if output(w, r) {
			return true
		}
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/exec/") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		if asked++; asked < 3 {
			fmt.Fprint(w, `{"ID": "x", "Running": true, "ExitCode": null}`)
		} else {
			fmt.Fprint(w, `{"ID": "x", "Running": false, "ExitCode": 5}`)
		}
		return true
	}
	if code, output, err := c.Exec(t.Context(), []string{"false"}); code != 5 || output != "done" || err != nil {
		t.Errorf("Exec() = %d, %q, %v; want the code that comes late", code, output, err)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	e, f := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.Behave("octo/web", enginetest.Behaviour{})
	if err := e.Pull(ctx, image, "", Credentials{}); err != nil {
		t.Fatal(err)
	}
	c, err := e.Start(ctx, Spec{Image: image})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // the run is over, and what it started must go all the same
	for range 2 {
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left := f.Running(); left != nil {
		t.Errorf("left behind: %q", left)
	}
	f.instead = fail(http.MethodDelete, "/containers/")
	if err := c.Remove(); err == nil || !strings.HasPrefix(err.Error(), "removing a container: ") {
		t.Errorf("Remove() = %v", err)
	}
}

func TestFirstPort(t *testing.T) {
	t.Parallel()
	for want, exposed := range map[int][]string{0: nil, 5432: {"5432/tcp"}, 80: {"443/tcp", "53/udp", "80/tcp", "odd"}} {
		if got := firstPort(exposed); got != want {
			t.Errorf("firstPort(%q) = %d, want %d", exposed, got, want)
		}
	}
}

// TestPullBelievesNoRefusalOfAKnownRegistryAtOnce, since a token may have expired meanwhile; of any other it does.
func TestPullBelievesNoRefusalOfAKnownRegistryAtOnce(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"unauthorized", "denied: denied"} {
		for login, asked := range map[Credentials]int{{Host: "ghcr.io", Username: "mona", Password: "hunter2"}: 2, {Host: "other.example", Username: "mona", Password: "hunter2"}: 1, {}: 1} {
			e, f := start(t)
			n := 0
			f.instead = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/images/create") {
					return false
				}
				if n++; n > 1 {
					return false
				}
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprintf(w, `{"message": %q}`, said)
				return true
			}
			err := e.Pull(t.Context(), image, "", login)
			if (err == nil) != (asked == 2) || n != asked {
				t.Errorf("%s of %q: %v after %d requests, want %d", said, login.Host, err, n, asked)
			}
		}
	}
}
