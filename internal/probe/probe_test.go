package probe

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/enginetest"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

const image = "ghcr.io/octo/api@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func prober(t *testing.T, b enginetest.Behaviour) (*Prober, *enginetest.Server) {
	t.Helper()
	server := enginetest.Start()
	t.Cleanup(server.Close)
	server.Behave("octo/api", b)
	e, err := engine.Open(func(name string) string { return map[string]string{"DOCKER_HOST": server.Host()}[name] })
	if err != nil {
		t.Fatal(err)
	}
	return &Prober{Engine: e, Every: 5 * time.Millisecond, SmokeTime: 5 * time.Second}, server
}

var api = service.Service{Name: "api", Port: 3001, HealthEndpoint: "/health"}

func TestProbe(t *testing.T) {
	t.Parallel()
	portOnly, bare, smoking := api, service.Service{Name: "api"}, api
	portOnly.HealthEndpoint = ""
	once := service.Service{Name: "api", RunOnce: []string{"--version"}}
	smoking.Smoke = [][]string{{"true"}, {"node", "--version"}}
	cases := []struct {
		name      string
		service   service.Service
		behaviour enginetest.Behaviour
		want      string // part of the failure; empty: healthy
		route     string
	}{
		{"answers", api, enginetest.Behaviour{}, "", "published loopback port"},
		{"answers after a while", api, enginetest.Behaviour{Delay: 50 * time.Millisecond}, "", "published loopback port"},
		{"answers with an error", api, enginetest.Behaviour{Status: 503}, "api was not healthy within 300ms: port 3001 did not answer /health with success", ""},
		{"answers with a redirect", api, enginetest.Behaviour{Status: 302}, "", "published loopback port"},
		{"never answers", api, enginetest.Behaviour{Silent: true, Stdout: "waiting\n"}, "port 3001 did not answer /health", ""},
		{"ends", api, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 7, Stdout: "no settings\n"}, "api ended with exit code 7 before it was healthy", ""},
		{"ends well, which is no service", api, enginetest.Behaviour{Silent: true, Exits: true}, "api ended with exit code 0", ""},
		{"runs out of memory", api, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 137, OOMKilled: true}, "api ran out of memory", ""},
		{"only a port", portOnly, enginetest.Behaviour{Delay: 20 * time.Millisecond}, "", "published loopback port"},
		{"only a port, and nobody there", portOnly, enginetest.Behaviour{Silent: true}, "nothing listened on port 3001", ""},
		{"only a HEALTHCHECK", service.Service{Name: "api", Port: 3001}, enginetest.Behaviour{HealthCheck: true}, "", "HEALTHCHECK"},
		{"only a HEALTHCHECK, which fails", service.Service{Name: "api"}, enginetest.Behaviour{HealthCheck: true, Status: 503}, "api was found unhealthy by its own HEALTHCHECK", ""},
		{"only a HEALTHCHECK, and it takes long", service.Service{Name: "api"}, enginetest.Behaviour{HealthCheck: true, Delay: time.Minute}, "api was not healthy within 300ms: its HEALTHCHECK did not succeed", ""},
		{"an endpoint goes before a HEALTHCHECK", api, enginetest.Behaviour{HealthCheck: true}, "", "published loopback port"},
		{"neither port nor HEALTHCHECK", bare, enginetest.Behaviour{}, "", "still running"},
		{"neither, and it ends", bare, enginetest.Behaviour{Exits: true, ExitCode: 1}, "ended with exit code 1", ""},
		{"runs to its end", once, enginetest.Behaviour{Exits: true}, "", "ran to its end"},
		{"runs to a bad end", once, enginetest.Behaviour{Exits: true, ExitCode: 2, Stdout: "usage\n"}, "api ended with exit code 2", ""},
		{"runs on and on", once, enginetest.Behaviour{}, "api was not healthy within 300ms: it did not end", ""},
		{"a smoke command fails", smoking, enginetest.Behaviour{Exec: func(argv []string) (int, string) { return len(argv) - 1, "no node" }}, `failed its smoke command "node --version" with exit code 1: no node`, ""},
		{"smoke commands succeed", smoking, enginetest.Behaviour{}, "", "published loopback port"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, server := prober(t, c.behaviour)
			got := p.Probe(t.Context(), image, "linux/amd64", c.service, 300*time.Millisecond)
			if got.Healthy != (c.want == "") || !strings.Contains(got.Failure, c.want) || got.Unavailable != "" {
				t.Errorf("healthy %v, failure %q, unavailable %v; want %q", got.Healthy, got.Failure, got.Unavailable, c.want)
			}
			if c.route != "" && got.Route != c.route {
				t.Errorf("route %q, want %q", got.Route, c.route)
			}
			if words := strings.TrimSpace(c.behaviour.Stdout); words != "" && !slices.Contains(got.Log, words) {
				t.Errorf("its last words are %q, want %q", got.Log, words)
			}
			if left := append(server.Running(), server.Stored()...); len(left) > 0 || got.Left != "" {
				t.Errorf("containers and images are left: %q, %v", left, got.Left)
			}
			if problems := server.Problems(); len(problems) > 0 {
				t.Errorf("the engine refused: %q", problems)
			}
		})
	}
}

// A smoke command has a time of its own: what starting took does not count.
func TestSmokeCommandThatHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p, server := prober(t, enginetest.Behaviour{Delay: 100 * time.Millisecond, Exec: func([]string) (int, string) { <-release; return 0, "" }})
	defer close(release)
	p.SmokeTime = 150 * time.Millisecond
	smoking := api
	smoking.Smoke = [][]string{{"sleep", "inf"}}
	got := p.Probe(t.Context(), image, "linux/amd64", smoking, 5*time.Second)
	if got.Healthy || got.Failure != `api did not end its smoke command "sleep inf" within 150ms` || got.Started < 100*time.Millisecond {
		t.Errorf("healthy %v after %s, failure %q", got.Healthy, got.Started, got.Failure)
	}
	if left := server.Running(); len(left) > 0 {
		t.Errorf("containers are left: %q", left)
	}
}

// An image that was there before stays: it is somebody's.
func TestProbeLeavesWhatItFound(t *testing.T) {
	t.Parallel()
	p, server := prober(t, enginetest.Behaviour{})
	if err := p.Engine.Pull(t.Context(), image, "linux/amd64", p.Login); err != nil {
		t.Fatal(err)
	}
	p.Probe(t.Context(), image, "linux/amd64", api, time.Second)
	if stored := server.Stored(); !slices.Equal(stored, []string{image}) {
		t.Errorf("the store holds %q", stored)
	}
}

func TestProbeMeasures(t *testing.T) {
	t.Parallel()
	p, server := prober(t, enginetest.Behaviour{Delay: 60 * time.Millisecond, Memory: 5 << 20, CPU: 40 * time.Millisecond, Size: 12345})
	p.Login = engine.Credentials{Host: "ghcr.io", Username: "octocat", Password: "secret"}
	got := p.Probe(t.Context(), image, "linux/amd64", api, time.Second)
	want := verdict.Probe{Platform: "linux/amd64", Route: got.Route, Healthy: true, Started: got.Started, PeakMemory: 5 << 20, CPU: 40 * time.Millisecond, Unpacked: 12345}
	if got.Started < 60*time.Millisecond || got.Started > time.Second || got.PeakMemory != want.PeakMemory || got.CPU != want.CPU || got.Unpacked != want.Unpacked {
		t.Errorf("Probe() = %+v, want %+v", got, want)
	}
	if pulled := server.Pulled(); !slices.Equal(pulled, []string{image}) {
		t.Errorf("pulled %q", pulled)
	}
}

func TestProbeThatCannotBegin(t *testing.T) {
	t.Parallel()
	p, _ := prober(t, enginetest.Behaviour{Missing: true})
	got := p.Probe(t.Context(), image, "linux/amd64", api, time.Second)
	if got.Unavailable == "" || got.Healthy || got.Failure != "" {
		t.Errorf("an image that cannot be pulled: %+v", got)
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p, server := prober(t, enginetest.Behaviour{Silent: true})
	cancelled := errors.New("cancelled by its owner")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cancelled) })
	begun := time.Now()
	got := p.Probe(ctx, image, "linux/amd64", api, time.Minute)
	if got.Healthy || !strings.Contains(got.Failure, cancelled.Error()) || time.Since(begun) > 20*time.Second {
		t.Errorf("Probe() = %+v after %s", got, time.Since(begun))
	}
	if left := server.Running(); len(left) > 0 {
		t.Errorf("containers are left: %q", left)
	}
}
