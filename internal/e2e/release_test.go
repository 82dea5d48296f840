package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

// releasing is what a run of one service that releases is told.
var releasing = []string{"--services", "auth", "--release", "publish", "--release-assets", "dist/*"}

// TestRelease has the whole program make releases of what is in a registry: twice, killed after each of its requests in turn, and beside itself.
// Each time there is one release in the end, published, with all of its files, whose notes name what can be pulled.
func TestRelease(t *testing.T) {
	w := newWorld(t)
	w.commit("serve", map[string]string{".github/ghcr-publish.yml": w.read(".github/ghcr-publish.yml") + "compose: {}\n", "dist/tool": strings.Repeat("tool\n", 100_000)})
	w.mustPublish(report.ExitDone) // all of what the Compose file has
	t.Run("twice", w.releaseTwice)
	t.Run("killed", w.releaseKilled)
	t.Run("beside itself", w.releaseBeside)
}

func (w *world) releaseTwice(t *testing.T) {
	w.mustRelease(t, "v1.0.0")
	first := w.checkRelease(t, "v1.0.0")
	w.mustRelease(t, "v1.0.0")
	if diff := cmp.Diff(first, w.checkRelease(t, "v1.0.0")); diff != "" {
		t.Errorf("again it changed (-first +again):\n%s", diff)
	}
	if problems := w.api.Problems(); problems != nil {
		t.Errorf("the GitHub API refused: %q", problems)
	}
}

func (w *world) mustRelease(t *testing.T, tag string) {
	t.Helper()
	if o := w.publish(sample.Job{Ref: "refs/tags/" + tag}, releasing...); o.code != report.ExitDone || o.ReleaseURL == "" {
		t.Fatalf("exit code %d, released at %q\n%s", o.code, o.ReleaseURL, o.log)
	}
}

// A deadly request is the one that a run was killed upon: none of them, or an upload of which half had come.
type deadly struct{ none, half bool }

// releaseKilled kills a run while it waits for each answer in turn.
func (w *world) releaseKilled(t *testing.T) {
	requests, halves := 0, 0
	for at := 1; ; at++ {
		tag := fmt.Sprintf("v1.1.%d", at)
		request := w.killRelease(t, tag, at)
		if request.none {
			break
		}
		w.mustRelease(t, tag)
		w.checkRelease(t, tag)
		if requests++; request.half {
			halves++
		}
	}
	if t.Logf("killed at %d requests, of which %d were uploads that broke off", requests, halves); requests < 14 || halves < 2 {
		t.Error("which is not all that a release takes")
	}
}

// killRelease kills a run upon one of its requests for releases, counted from 1, unless it makes fewer. Every second upload breaks off, too.
func (w *world) killRelease(t *testing.T, tag string, at int) deadly {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, w.args(releasing...)...)
	cmd.Dir, cmd.Env = w.repo.Dir, w.environ(sample.Job{Ref: "refs/tags/" + tag})
	started, hit, seen := make(chan struct{}), make(chan deadly, 1), 0
	w.api.Watch(func(r *http.Request) {
		if !strings.Contains(r.URL.Path, "/releases") {
			return
		}
		if seen++; seen != at {
			return
		}
		half := at%2 == 0 && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/assets")
		if half {
			w.api.BreakUploads(1)
		}
		<-started
		hit <- deadly{half: half}
		_ = cmd.Process.Kill()
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	err = cmd.Wait()
	w.api.Watch(nil)
	select {
	case request := <-hit:
		if cmd.ProcessState.Exited() {
			t.Fatalf("request %d of the release kills nothing: %s", at, cmd.ProcessState)
		}
		return request
	default:
		if err != nil {
			t.Fatalf("the release of %s ends with %v", tag, err)
		}
		return deadly{none: true}
	}
}

// releaseBeside has two runs make the same release. Neither makes it before both have seen that there is none.
func (w *world) releaseBeside(t *testing.T) {
	for round := range 3 {
		tag := fmt.Sprintf("v2.%d.0", round)
		met, made := make(chan struct{}), atomic.Int32{}
		w.api.Watch(func(r *http.Request) {
			if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/releases") {
				return
			}
			if made.Add(1) == 2 {
				close(met)
			}
			select {
			case <-met:
			case <-time.After(time.Minute):
				t.Error("only one run has come to its release")
			}
		})
		sha, err := w.repo.Git(t.Context(), "rev-parse", "HEAD")
		if err != nil {
			t.Fatal(err)
		}
		var runs sync.WaitGroup
		for n := range 2 {
			runner := w.beside(fmt.Sprintf("release-%d-%d", round, n), sha)
			runner.runs = 1000 + 10*round + n
			runs.Go(func() { runner.mustRelease(t, tag) })
		}
		runs.Wait()
		w.api.Watch(nil)
		w.checkRelease(t, tag)
	}
}

var digestText = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// checkRelease demands one release of a tag, published, with files that are what its checksums say, and nothing in it named by a digest that the registry lacks.
func (w *world) checkRelease(t *testing.T, tag string) githubtest.Release {
	t.Helper()
	all := slices.DeleteFunc(w.api.Releases(), func(r githubtest.Release) bool { return r.Tag != tag })
	if len(all) != 1 || all[0].Draft {
		t.Fatalf("the releases of %s are %+v", tag, all)
	}
	files, list := map[string]string{}, ""
	for _, a := range all[0].Assets {
		sum := sha256.Sum256(a.Data)
		if files[a.Name] = string(a.Data); !a.Whole {
			t.Errorf("%s: %s is there by halves", tag, a.Name)
		}
		if a.Name != "checksums.txt" {
			list += hex.EncodeToString(sum[:]) + "  " + a.Name + "\n"
		}
	}
	if got, want := sorted(files["checksums.txt"]), sorted(list); len(want) != 5 || // digests.txt, report.json, compose.yaml, env.example, tool
		!slices.Equal(got, want) {
		t.Errorf("%s: the checksums are %q, and the files' %q", tag, got, want)
	}
	live := w.tags("auth")[strings.TrimPrefix(tag, "v")]
	for what, text := range map[string]string{"notes": all[0].Body, "digests.txt": files["digests.txt"], "compose.yaml": files["compose.yaml"]} {
		named := digestText.FindAllString(text, -1)
		if !slices.Contains(named, live) {
			t.Errorf("%s: the %s do not name %s, but %q", tag, what, live, named)
		}
		for _, digest := range named {
			if !w.has(digest) {
				t.Errorf("%s: the %s name %s, which cannot be pulled", tag, what, digest)
			}
		}
	}
	if n := strings.Count(all[0].Body, "### Images"); n != 1 {
		t.Errorf("%s: the notes are there %d times", tag, n)
	}
	return all[0]
}

// has reports whether there is a manifest of that digest.
func (w *world) has(digest string) bool {
	return slices.ContainsFunc(sample.Services, func(service string) bool {
		_, err := remote.Head(w.repository(service).Digest(digest), w.auth())
		return err == nil
	})
}

func sorted(lines string) []string { return slices.Sorted(strings.Lines(lines)) }
