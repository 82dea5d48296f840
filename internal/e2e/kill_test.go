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

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

var timeNow = time.Now

func mapsEqual(a, b map[string]string) bool { return maps.Equal(a, b) }

// An accident is what befalls a run.
type accident struct {
	name   string
	signal syscall.Signal // to the program; 0 for none
	outage outage
}

var accidents = []accident{
	{name: "killed", signal: syscall.SIGKILL},
	{name: "cancelled", signal: syscall.SIGTERM},
	{name: "the registry loses its power", outage: dark},
	{name: "the network is cut", outage: silent},
}

const (
	// outageTime is how long the registry is out of reach.
	outageTime = 3 * time.Second
	// cancelTime is how long the runner waits for a program that it has asked to leave.
	cancelTime = 10 * time.Second
)

// TestKilled has accidents happen to the program at random instants. No tag may ever point to a digest that was not judged before, nor
// to one that is refused; the next run must put everything in place, and leave no word of what was left open.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	begun := time.Now()
	w.mustPublish(report.ExitDone)
	usual := time.Since(begun)
	dice := random(t)
	sound := w.read("backend/Dockerfile")
	landed, weak := map[string]int{}, map[string]bool{} // how often they hit a run at work; commits that are refused
	tries := 0
	for ; tries < times(120) || len(landed) < len(accidents) && tries < 120; tries++ {
		dockerfile, isWeak := sound, dice.IntN(4) == 0
		if isWeak {
			dockerfile = sample.Weaken(sound)
		}
		sha := w.commit("change everything", map[string]string{"backend/Dockerfile": dockerfile, "shared/n": fmt.Sprint(tries), "auth/www/auth/n": fmt.Sprint(tries)})
		weak[sha] = isWeak
		a, after := accidents[tries%len(accidents)], time.Duration(dice.Int64N(int64(usual)))
		if w.befall(a, after) {
			landed[a.name]++
		} else {
			usual = after
		}
		w.checkTagsWereJudged()
		if !isWeak {
			w.checkPublished(w.mustPublish(report.ExitDone), "main", "sha-"+sha[:7])
		} else if at := w.tags("backend")["main"]; at == w.mustPublish(report.ExitRefused).Services[0].Digest {
			t.Errorf("backend:main is the refused digest %s", at)
		}
		w.checkTagsWereJudged()
		w.checkNoneIsRefused("backend", weak)
		w.checkJournal()
	}
	t.Logf("hit at work: %v of %d; an undisturbed run takes at most %s", landed, tries, usual)
	if len(landed) < len(accidents) {
		t.Errorf("only these hit a run at work, so the others were not tried: %v", landed)
	}
}

// befall starts the program and has an accident happen after a while; false if the program had ended by then.
func (w *world) befall(a accident, after time.Duration) bool {
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
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	select {
	case <-ended:
		return false
	case <-time.After(after):
	}
	if a.outage != none {
		restore := hub.fail(a.outage)
		time.Sleep(outageTime)
		restore()
		<-ended
		return true
	}
	_ = cmd.Process.Signal(a.signal)
	asked := time.Now()
	<-ended
	if took := time.Since(asked); took > cancelTime {
		w.t.Errorf("%s, it took %s to leave\n%s", a.name, took, log.String())
	}
	return true
}

// checkNoneIsRefused looks in the registry's record for a tag that was pointed at what is made of a refused commit.
func (w *world) checkNoneIsRefused(service string, commits map[string]bool) {
	w.t.Helper()
	for _, q := range hub.of(w.owner) {
		if !q.moved() || serviceOf(q.repository) != service {
			continue
		}
		if revision := w.index(service, q.digest).Annotations[registry.RevisionKey]; commits[revision] {
			w.t.Errorf("%s:%s was pointed at %s, which is of the refused commit %s", service, q.reference, q.digest, revision)
		}
	}
}

// checkJournal demands that nothing is left open.
func (w *world) checkJournal() {
	w.t.Helper()
	client := registry.Client{Host: hub.addr, Username: "octocat", Password: w.token}
	data, err := client.ReadJournal(w.t.Context(), w.repository("auth").Name())
	if err != nil || data != nil && !bytes.Equal(data, []byte(`{"entries":[]}`)) {
		w.t.Errorf("the journal holds %s: %v", data, err)
	}
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
