package discover

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/org/ghcr-publish/internal/service"
)

func TestPeers(t *testing.T) {
	t.Parallel()
	const at = ".github/ghcr-publish.yml:3:5"
	cases := []struct {
		name    string
		files   map[string]string
		service service.Service
		want    []service.Peer
	}{
		{"all that they are given", map[string]string{"compose.yaml": `
services:
  db:
    image: postgres:${PG:-16}
    entrypoint: [tini, --]
    command: postgres -c fsync=off
    environment: {POSTGRES_PASSWORD: "${PASSWORD}", ORG: , MODE: , COST: "1$$"}
    env_file: [db.env, none.env]
    healthcheck: {test: [CMD, pg_isready], interval: 2s, timeout: 1s, start_period: 5s, retries: 4}
    tmpfs: ["/run:size=64m"]
    volumes: [data:/var/lib/postgresql/data, /cache, {type: tmpfs, target: /scratch}, ./init:/docker-entrypoint-initdb.d]
    ports: ["15432:5432"]
    privileged: true
    network_mode: host
    pid: host
    user: "70"
    restart: always
volumes: {data: {}}
`, "db.env": "A=1\nMODE=file\n", ".env": "PASSWORD=of-the-file\n"}, service.Service{PeerNames: []string{"db"}, Env: map[string]string{"PASSWORD": "of-the-service"}},
			[]service.Peer{{Name: "db", Image: "postgres:16", Entrypoint: []string{"tini", "--"}, Command: []string{"postgres", "-c", "fsync=off"},
				Env:         map[string]string{"A": "1", "MODE": "file", "ORG": "octo", "POSTGRES_PASSWORD": "of-the-service", "COST": "1$"},
				Healthcheck: &service.Healthcheck{Test: []string{"CMD", "pg_isready"}, Interval: 2 * time.Second, Timeout: time.Second, StartPeriod: 5 * time.Second, Retries: 4},
				Tmpfs:       []string{"/run", "/scratch"}, Volumes: []string{"/var/lib/postgresql/data", "/cache"}, Port: 5432,
				Withheld: []string{"network_mode", "pid", "privileged", "user", "volumes"}}}},
		{"after what they depend on", map[string]string{"compose.yaml": `services: {c: {image: c, depends_on: {b: {condition: service_completed_successfully}, a: {condition: service_healthy}}}, b: {image: b, depends_on: [a]}, a: {image: a, profiles: [x], healthcheck: {disable: true}}, d: {image: d}}`},
			service.Service{PeerNames: []string{"c", "a"}}, []service.Peer{
				{Name: "a", Image: "a", Env: map[string]string{}, Healthcheck: &service.Healthcheck{Test: []string{"NONE"}}},
				{Name: "b", Image: "b", Env: map[string]string{}, After: []string{"a"}, Ends: true},
				{Name: "c", Image: "c", Env: map[string]string{}, After: []string{"a", "b"}}}},
		{"another file, in a folder", map[string]string{"deploy/test.yaml": "include: [more.yaml]\nservices: {db: {image: 'x:${TAG}', env_file: db.env}}", "deploy/more.yaml": "services: {queue: {image: q}}",
			"deploy/db.env": "A=b\n", "deploy/.env": "TAG=7\n", ".env": "TAG=8\n", "compose.yaml": "services: {db: {image: y}}"},
			service.Service{PeersFile: "deploy/test.yaml", PeerNames: []string{"db", "queue"}}, []service.Peer{{Name: "db", Image: "x:7", Env: map[string]string{"A": "b"}}, {Name: "queue", Image: "q", Env: map[string]string{}}}},
		{"an image that is also built", map[string]string{"compose.yaml": "services: {auth: {build: auth, image: ghcr.io/octo/auth}}"},
			service.Service{PeerNames: []string{"auth"}}, []service.Peer{{Name: "auth", Image: "ghcr.io/octo/auth", Env: map[string]string{}}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.service.At = at
			got, err := clone(t, c.files).Peers(t.Context(), c.service)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("%v; peers (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestPeersThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		file  string
		want  string
	}{
		"no file":                    {nil, "", `service "api" has peers, and there is no Compose file that defines them; write a compose.yaml, or name the file in peers_file`},
		"no such file":               {nil, "db.yaml", "there is no Compose file that defines them"},
		"a file outside":             {nil, "../db.yaml", "db.yaml"},
		"no such service":            {map[string]string{"compose.yaml": "services: {db: {image: x}}"}, "", `there is no "postgres" in compose.yaml to be a peer; name some of db`},
		"no image":                   {map[string]string{"compose.yaml": "services: {postgres: {build: .}}"}, "", `the peer "postgres" is built by compose.yaml and has no image`},
		"variables from outside":     {map[string]string{"compose.yaml": "services: {postgres: {image: x, env_file: ../../etc/passwd}}"}, "", "which cannot be read"},
		"no YAML":                    {map[string]string{"compose.yaml": "services: [\n"}, "", "compose.yaml:"},
		"a variable that it demands": {map[string]string{"compose.yaml": "services: {postgres: {image: 'x:${TAG:?is needed}'}}"}, "", "is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clone(t, c.files).Peers(t.Context(), service.Service{Name: "api", At: "config:1:1", PeersFile: c.file, PeerNames: []string{"postgres"}})
			if said := fmt.Sprint(err); err == nil || !strings.Contains(said, c.want) {
				t.Errorf("%+v, %v; want %q", got, err, c.want)
			}
		})
	}
}
