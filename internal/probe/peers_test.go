package probe

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/enginetest"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

func TestPeers(t *testing.T) {
	t.Parallel()
	db := service.Peer{Name: "db", Image: "postgres:16", Port: 5432}
	queue := service.Peer{Name: "queue", Image: "redis:7", After: []string{"db"}}
	check := &service.Healthcheck{Test: []string{"CMD", "pg_isready"}, Interval: time.Second}
	checked, unchecked := db, db
	checked.Healthcheck, unchecked.Healthcheck = check, &service.Healthcheck{Test: []string{"NONE"}}
	prepares := db
	prepares.Ends = true
	needs := enginetest.Behaviour{Needs: "db"}
	cases := []struct {
		name        string
		peers       []service.Peer
		image, db   enginetest.Behaviour
		failure     string
		unavailable string
		log         string
	}{
		{"reached by its name", []service.Peer{db, queue}, needs, enginetest.Behaviour{}, "", "", ""},
		{"under another name", []service.Peer{{Name: "database", Image: "postgres:16", Port: 5432}}, needs, enginetest.Behaviour{}, "api ended with exit code 1", "", `could not translate host name "db"`},
		{"waited for", []service.Peer{db}, needs, enginetest.Behaviour{Delay: 50 * time.Millisecond}, "", "", ""},
		{"waited for by its HEALTHCHECK", []service.Peer{checked}, needs, enginetest.Behaviour{Delay: 50 * time.Millisecond}, "", "", ""},
		{"unhealthy", []service.Peer{checked}, needs, enginetest.Behaviour{Status: 500, Stdout: "broken\n"}, "", "its peer db was found unhealthy by its own HEALTHCHECK; look at", "db | broken"},
		{"without its image's HEALTHCHECK", []service.Peer{unchecked}, needs, enginetest.Behaviour{Status: 500, HealthCheck: true}, "", "", ""},
		{"not in time", []service.Peer{db, queue}, needs, enginetest.Behaviour{Silent: true, Stdout: "thinking\n"}, "", "its peer db was not healthy within 300ms: nothing listened on port 5432", "db | thinking"},
		{"ends at once", []service.Peer{db}, needs, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 1, Stderr: "no password is given\n"}, "", "its peer db ended with exit code 1 before it was healthy", "db | no password is given"},
		{"ends, as it is to", []service.Peer{prepares}, enginetest.Behaviour{}, enginetest.Behaviour{Silent: true, Exits: true, Delay: 50 * time.Millisecond}, "", "", ""},
		{"ends, as it is to, and badly", []service.Peer{prepares}, enginetest.Behaviour{}, enginetest.Behaviour{Silent: true, Exits: true, ExitCode: 2, Stderr: "no rights\n"}, "", "its peer db ended with exit code 2", "db | no rights"},
		{"is not there", []service.Peer{db}, needs, enginetest.Behaviour{Missing: true}, "", "its peer db could not be started: pulling postgres:16", ""},
		{"ends meanwhile", []service.Peer{db}, enginetest.Behaviour{Silent: true}, enginetest.Behaviour{Exits: true, ExitCode: 9, Delay: 400 * time.Millisecond, Stderr: "disk full\n"},
			"did not answer /health with success; its peer db has ended with exit code 9 meanwhile", "", "db | disk full"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, server := prober(t, c.image)
			server.Behave("postgres", c.db)
			p.PeerTime = 300 * time.Millisecond
			s := api
			s.Peers = c.peers
			got := p.Probe(t.Context(), image, "linux/amd64", s, service.StartupGate{Within: 500 * time.Millisecond})
			if got.Healthy != (c.failure+c.unavailable == "") || !strings.Contains(got.Failure, c.failure) || !strings.Contains(got.Unavailable, c.unavailable) ||
				(c.failure == "") != (got.Failure == "") || (c.unavailable == "") != (got.Unavailable == "") {
				t.Errorf("healthy %v, failure %q, unavailable %q", got.Healthy, got.Failure, got.Unavailable)
			}
			if said := strings.Join(got.Log, "\n"); !strings.Contains(said, c.log) || got.Left != "" {
				t.Errorf("the log is %q, left %q", said, got.Left)
			}
			if left := slices.Concat(server.Running(), server.Networks(), server.Problems()); len(left) > 0 {
				t.Errorf("left, or asked wrongly: %q", left)
			}
		})
	}
}

// An engine that has no network to give cannot try out what needs peers.
func TestNoNetworkForPeers(t *testing.T) {
	t.Parallel()
	p, server := prober(t, enginetest.Behaviour{})
	server.ExhaustNetworks()
	s := api
	s.Peers = []service.Peer{{Name: "db", Image: "postgres:16"}}
	got := p.Probe(t.Context(), image, "", s, service.StartupGate{Within: time.Second})
	want := verdict.Probe{Unavailable: got.Unavailable, Unpacked: got.Unpacked}
	if !strings.Contains(got.Unavailable, "its peers could not be started: making a private network: ") || got.Healthy != want.Healthy || got.Failure != "" || len(server.Running()) > 0 {
		t.Errorf("%+v", got)
	}
}
