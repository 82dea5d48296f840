package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

var timeNow = time.Now

func mapsEqual(a, b map[string]string) bool { return maps.Equal(a, b) }

// TestKilled kills the program at random instants. No tag may ever point to a digest that was not
// judged before, and the next run must succeed.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	begun := time.Now()
	w.mustPublish(report.ExitDone)
	usual := time.Since(begun)
	dice := random(t)
	sound := w.read("backend/Dockerfile")
	landed := 0 // kills that hit a run that was still at work
	for i := range times(200) {
		weak := i%4 == 3
		dockerfile := sound
		if weak {
			dockerfile = sample.Weaken(sound)
		}
		w.commit("change everything", map[string]string{"backend/Dockerfile": dockerfile, "shared/n": fmt.Sprint(i), "auth/www/auth/n": fmt.Sprint(i)})
		if w.kill(time.Duration(dice.Int64N(int64(usual)))) {
			landed++
		}
		w.checkTagsWereJudged()
		if !weak {
			w.checkPublished(w.mustPublish(report.ExitDone), "main")
		} else if at := w.tags("backend")["main"]; at == w.mustPublish(report.ExitRefused).Services[0].Digest {
			t.Errorf("backend:main is the refused digest %s", at)
		}
		w.checkTagsWereJudged()
	}
	t.Logf("%d of %d kills hit a run at work; an undisturbed one takes %s", landed, times(200), usual)
	if landed == 0 {
		t.Error("no kill hit a run at work, so nothing was tried")
	}
}

// kill starts the program and kills it after a while; false if it had ended by then.
func (w *world) kill(after time.Duration) bool {
	w.t.Helper()
	program, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, w.args()...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.repo.Dir, w.environ(sample.Job{}), &log, &log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// checkTagsWereJudged reads the registry's own record: before a tag was pointed at an index, Trivy
// had read the manifest of each of its platforms, and the engine had pulled the native one.
func (w *world) checkTagsWereJudged() {
	w.t.Helper()
	seen := map[string]map[string]bool{"trivy": {}, "docker": {}}
	for _, q := range hub.of(w.owner) {
		if q.kind == "manifests" && q.method == http.MethodGet {
			for agent, digests := range seen {
				if strings.Contains(strings.ToLower(q.agent), agent+"/") {
					digests[q.repository+"@"+q.reference] = true
				}
			}
		}
		if !q.moved() {
			continue
		}
		service := serviceOf(q.repository)
		for _, child := range w.index(service, q.digest).Manifests {
			if child.Platform.OS == "unknown" {
				continue
			}
			if key := q.repository + "@" + child.Digest.String(); !seen["trivy"][key] {
				w.t.Errorf("%s:%s was pointed at %s before its %s was scanned", service, q.reference, q.digest, child.Platform)
			}
			if key := q.repository + "@" + child.Digest.String(); child.Platform.Architecture == "amd64" && !seen["docker"][key] {
				w.t.Errorf("%s:%s was pointed at %s before it was tried out", service, q.reference, q.digest)
			}
		}
	}
}

func serviceOf(repository string) string {
	for service, image := range sample.Images {
		if strings.HasSuffix(repository, "/"+image) {
			return service
		}
	}
	return ""
}
