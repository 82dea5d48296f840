package probe

import (
	"context"
	"errors"
	"fmt"
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
		stable    time.Duration
	}{
		{"answers", api, enginetest.Behaviour{}, "", "published loopback port", 0},
		{"answers after a while", api, enginetest.Behaviour{Delay: 50 * time.Millisecond}, "", "published loopback port", 0},
		{"answers with an error", api, enginetest.Behaviour{Status: 503}, "api was not healthy within 300ms: port 3001 did not answer /health with success", "", 0},
		{"answers with a redirect", api, enginetest.Behaviour{Status: 302}, "", "published loopback port", 0},
		{"never answers", api, enginetest.Behaviour{Silent: true, Stdout: "waiting\n"}, "port 3001 did not answer /health", "", 0},
		{"ends", api, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 7, Stdout: "no settings\n"}, "api ended with exit code 7 before it was healthy", "", 0},
		{"ends well, which is no service", api, enginetest.Behaviour{Silent: true, Exits: true}, "api ended with exit code 0", "", 0},
		{"runs out of memory", api, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 137, OOMKilled: true}, "api ran out of memory", "", 0},
		{"only a port", portOnly, enginetest.Behaviour{Delay: 20 * time.Millisecond}, "", "published loopback port", 0},
		{"only a port, and nobody there", portOnly, enginetest.Behaviour{Silent: true}, "nothing listened on port 3001", "", 0},
		{"only a HEALTHCHECK", service.Service{Name: "api", Port: 3001}, enginetest.Behaviour{HealthCheck: true}, "", "HEALTHCHECK", 0},
		{"only a HEALTHCHECK, which fails", service.Service{Name: "api"}, enginetest.Behaviour{HealthCheck: true, Status: 503}, "api was found unhealthy by its own HEALTHCHECK", "", 0},
		{"only a HEALTHCHECK, and it takes long", service.Service{Name: "api"}, enginetest.Behaviour{HealthCheck: true, Delay: time.Minute}, "api was not healthy within 300ms: its HEALTHCHECK did not succeed", "", 0},
		{"only a HEALTHCHECK, which is seldom made", service.Service{Name: "api"}, enginetest.Behaviour{HealthCheck: true, HealthInterval: 30 * time.Second}, "", "HEALTHCHECK", 0},
		{"an endpoint goes before a HEALTHCHECK", api, enginetest.Behaviour{HealthCheck: true}, "", "published loopback port", 0},
		{"neither port nor HEALTHCHECK", bare, enginetest.Behaviour{}, "", "still running", 0},
		{"neither, and it ends", bare, enginetest.Behaviour{Exits: true, ExitCode: 1}, "ended with exit code 1", "", 0},
		{"runs to its end", once, enginetest.Behaviour{Exits: true}, "", "ran to its end", 0},
		{"runs to a bad end", once, enginetest.Behaviour{Exits: true, ExitCode: 2, Stdout: "usage\n"}, "api ended with exit code 2", "", 0},
		{"runs on and on", once, enginetest.Behaviour{}, "api was not healthy within 300ms: it did not end", "", 0},
		{"a smoke command fails", smoking, enginetest.Behaviour{Exec: func(argv []string) (int, string) { return len(argv) - 1, "no node" }}, `failed its smoke command "node --version" with exit code 1: no node`, "", 0},
		{"listens elsewhere", api, enginetest.Behaviour{Silent: true, Exec: tables("00000000:1F90")}, "did not answer /health with success; it listens on port 8080; is that the service's `port`?", "", 0},
		{"listens for itself alone", api, enginetest.Behaviour{Silent: true, Exec: tables("0100007F:0BB9")}, "it listens on 127.0.0.1:3001 alone, where nobody reaches it", "", 0},
		{"listens nowhere", api, enginetest.Behaviour{Silent: true, Exec: tables()}, "it listens on no port at all", "", 0},
		{"needs a database", api, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 1, Stdout: "dial tcp: lookup db: no such host\n"}, "give it that one by `peers`, from a Compose file, or run it among the `services` of the job", "", 0},
		{"would gain privileges", api, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 1, Stdout: "sudo: The \"no new privileges\" flag is set\n"}, "set `new_privileges: true`", "", 0},
		{"has no program", api, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 127}, "check ENTRYPOINT and CMD", "", 0},
		{"stays healthy", api, enginetest.Behaviour{}, "", "", 100 * time.Millisecond},
		{"ends after it was healthy", api, enginetest.Behaviour{Exits: true, ExitCode: 3, Delay: 150 * time.Millisecond}, "and ended with exit code 3", "", time.Minute},
		{"smoke commands succeed", smoking, enginetest.Behaviour{}, "", "published loopback port", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, server := prober(t, c.behaviour)
			got := p.Probe(t.Context(), image, "linux/amd64", c.service, service.StartupGate{Within: 300 * time.Millisecond, StableFor: c.stable})
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

// tables answers a look at the kernel's tables of sockets.
func tables(listening ...string) func([]string) (int, string) {
	text := "  sl  local_address rem_address   st\n   0: 0100007F:A1B2 0100007F:0BB9 01\n"
	for _, at := range listening {
		text += "   1: " + at + " 00000000:0000 0A\n"
	}
	return func([]string) (int, string) { return 0, text }
}

func TestListening(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(listening(`  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A
   2: 0000000000000000FFFF0000010011AC:0BB9 00000000000000000000000000000000:0000 0A
   3: 0B00007F:8C4B 00000000:0000 0A
   4: nonsense 0 0A
   5: 0100007F:1 0 06
`))
	if want := "[[::]:8080 [::1]:80 172.17.0.1:3001 127.0.0.11:35915]"; got != want {
		t.Errorf("%s, want %s", got, want)
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
	got := p.Probe(t.Context(), image, "linux/amd64", smoking, service.StartupGate{Within: 5 * time.Second})
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
	p.Probe(t.Context(), image, "linux/amd64", api, service.StartupGate{Within: time.Second})
	if stored := server.Stored(); !slices.Equal(stored, []string{image}) {
		t.Errorf("the store holds %q", stored)
	}
}

func TestProbeMeasures(t *testing.T) {
	t.Parallel()
	p, server := prober(t, enginetest.Behaviour{Delay: 60 * time.Millisecond, Memory: 5 << 20, CPU: 40 * time.Millisecond, Size: 12345})
	p.Login = engine.Credentials{Host: "ghcr.io", Username: "octocat", Password: "secret"}
	got := p.Probe(t.Context(), image, "linux/amd64", api, service.StartupGate{Within: time.Second})
	want := verdict.Probe{Platform: "linux/amd64", Route: got.Route, Healthy: true, Started: got.Started, PeakMemory: 5 << 20, CPU: 40 * time.Millisecond, Processes: 1, Unpacked: 12345}
	if got.Started < 60*time.Millisecond || got.Started > time.Second || got.PeakMemory != want.PeakMemory || got.CPU != want.CPU || got.Processes != want.Processes || got.Unpacked != want.Unpacked {
		t.Errorf("Probe() = %+v, want %+v", got, want)
	}
	if pulled := server.Pulled(); !slices.Equal(pulled, []string{image}) {
		t.Errorf("pulled %q", pulled)
	}
}

// TestMeasuringDelaysNothing of an engine that takes long to say how much is in use: the image is healthy when it is.
func TestMeasuringDelaysNothing(t *testing.T) {
	t.Parallel()
	p, _ := prober(t, enginetest.Behaviour{Delay: 50 * time.Millisecond, Memory: 5 << 20, Sampling: 600 * time.Millisecond})
	got := p.Probe(t.Context(), image, "linux/amd64", api, service.StartupGate{Within: 500 * time.Millisecond})
	if !got.Healthy || got.PeakMemory != 5<<20 {
		t.Errorf("Probe() = %+v", got)
	}
}

func TestProbeThatCannotBegin(t *testing.T) {
	t.Parallel()
	p, _ := prober(t, enginetest.Behaviour{Missing: true})
	got := p.Probe(t.Context(), image, "linux/amd64", api, service.StartupGate{Within: time.Second})
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
	got := p.Probe(ctx, image, "linux/amd64", api, service.StartupGate{Within: time.Minute})
	if got.Healthy || !strings.Contains(got.Failure, cancelled.Error()) || time.Since(begun) > 20*time.Second {
		t.Errorf("Probe() = %+v after %s", got, time.Since(begun))
	}
	if left := server.Running(); len(left) > 0 {
		t.Errorf("containers are left: %q", left)
	}
}
