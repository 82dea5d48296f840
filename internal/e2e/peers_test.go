package e2e

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
)

// needsDatabase is an image that ends where it does not reach its database, and else serves.
const needsDatabase = "FROM busybox\nUSER 65534:65534\nCMD [\"sh\", \"-c\", \"wget -q -O /dev/null http://db:5432/ || exit 1; exec httpd -f -p 8080\"]\n"

// database is the command of what stands for one: it takes a while to be there.
const database = `["sh", "-c", "sleep 2; echo here >/data/index.html; exec httpd -f -p 5432 -h /data"]`

func configWith(t *testing.T, services ...map[string]any) string {
	t.Helper()
	for _, s := range services {
		s["port"], s["context"] = 8080, "auth"
		if s["dockerfile_inline"] == nil {
			s["dockerfile_inline"] = needsDatabase
		}
	}
	config, err := json.Marshal(map[string]any{"platforms": []string{"linux/amd64"}, "promote": "per-service", "tags": "type=sha", "services": services})
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// TestPeers tries images out that need a database, all at the same time: one that gets none, two with one of the same name, and
// those whose database does not come up.
func TestPeers(t *testing.T) {
	w := newWorld(t)
	base := hub.addr + "/library/busybox"
	compose := `services:
  db: {image: "` + base + `", command: ` + database + `, volumes: [data:/data], healthcheck: {test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:5432/"], interval: 1s, retries: 10}}
  ends: {image: "` + base + `", command: [sh, -c, "echo no password is given; exit 4"], depends_on: [db]}
  sick: {image: "` + base + `", command: [sleep, "3600"], healthcheck: {test: ["CMD", "false"], interval: 1s, retries: 1}}
  nowhere: {image: "` + hub.addr + `/library/none:1"}
volumes: {data: {}}
`
	other := "services: {db: {image: \"" + base + "\", command: " + database + ", tmpfs: [/data], expose: [5432]}}\n"
	w.commit("peers", map[string]string{"compose.yaml": compose, "deploy/compose.yaml": other, ".github/ghcr-publish.yml": configWith(t,
		map[string]any{"name": "alone"}, map[string]any{"name": "beside", "peers": []string{"db"}}, map[string]any{"name": "again", "peers": []string{"db"}, "peers_file": "deploy/compose.yaml"},
		map[string]any{"name": "ends", "peers": []string{"ends"}}, map[string]any{"name": "sick", "peers": []string{"sick"}}, map[string]any{"name": "nowhere", "peers": []string{"nowhere"}})})
	o := w.mustPublish(report.ExitRefused, "--max-parallel", "6")
	for i, want := range []string{"alone ended with exit code 1 before it was healthy; its log tells of another service that it does not reach: give it that one by `peers`", "", "",
		"the image could not be tried out: its peer ends ended with exit code 4 before it was healthy", "the image could not be tried out: its peer sick was found unhealthy by its own HEALTHCHECK",
		"the image could not be tried out: its peer nowhere could not be started: pulling " + hub.addr + "/library/none:1"} {
		s := o.Services[i]
		if reasons := strings.Join(s.Verdict.Reasons, "\n"); !strings.Contains(reasons, want) || (s.Verdict.Outcome == "approved") != (want == "") || (len(s.Moved) == 1) != (want == "") {
			t.Errorf("%s is %s: %q, want %q; moved %v", s.Name, s.Verdict.Outcome, reasons, want, s.Moved)
		}
	}
	if log := strings.Join(o.Services[3].Log, "\n"); log != "ends | no password is given" {
		t.Errorf("the last words of the peer that ends are %q", log)
	}
	w.checkNoContainers()
}

// TestActionWithPeers tries an image out from a container: the image reaches a service of the job and a peer of its own, by their names,
// and the action reaches the image. A run that is killed in the midst of that leaves nothing that is not swept.
func TestActionWithPeers(t *testing.T) {
	j := newJob(t)
	base := hub.addr + "/library/busybox"
	j.network = "github_network_" + j.owner
	docker(t, "network", "create", j.network)
	t.Cleanup(func() { docker(t, "network", "rm", j.network) })
	queue := docker(t, "run", "--detach", "--network", j.network, "--network-alias", "queue", base, "sh", "-c", "mkdir /w; echo here >/w/index.html; exec httpd -f -p 6379 -h /w")
	t.Cleanup(func() { docker(t, "rm", "--force", queue) })
	service := map[string]any{"name": "api", "peers": []string{"db"}, "smoke": [][]string{{"wget", "-q", "-O", "/dev/null", "http://queue:6379/"}}}
	j.commit("peers", map[string]string{".github/ghcr-publish.yml": configWith(t, service),
		"compose.yaml": "services: {db: {image: \"" + base + "\", command: " + database + ", tmpfs: [/data], expose: [5432]}}\n"})
	j.handOver()
	if o := j.step(""); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	if s := j.report().Services[0]; s.Route != "shared network" || len(s.Moved) != 1 {
		t.Errorf("it was reached by its %s; moved %v", s.Route, s.Moved)
	}
	j.post()

	service["dockerfile_inline"] = strings.Replace(needsDatabase, "exec httpd", "sleep 25; exec httpd", 1)
	j.commit("slow", map[string]string{".github/ghcr-publish.yml": configWith(t, service)})
	j.handOver()
	name := j.container() + "-killed"
	argv, ended := j.argv(name, ""), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = run.OS(context.Background(), run.Command{Argv: argv, Env: os.Environ()})
	}()
	for !strings.Contains(docker(t, "ps", "--format", "{{.Image}}"), j.owner+"/") {
		select {
		case <-ended:
			t.Fatal("the run ended before it tried the image out")
		case <-time.After(100 * time.Millisecond):
		}
	}
	j.signal(name, "KILL")
	<-ended
	j.post()
}
