package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

// beside is another runner's clone of the same repository, at a commit.
func (w *world) beside(name, commit string) *world {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), name)
	if _, err := w.repo.Git(w.t.Context(), "clone", "--quiet", w.repo.Dir+".origin", dir); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.repo.Git(w.t.Context(), "-C", dir, "checkout", "--quiet", "-B", "main", commit); err != nil {
		w.t.Fatal(err)
	}
	other := *w
	other.repo, other.temp = &sample.Repo{Dir: dir}, filepath.Join(dir+".runner")
	if err := os.MkdirAll(other.temp, 0o755); err != nil {
		w.t.Fatal(err)
	}
	return &other
}

// A contest is two runs at the same time, of which the second is of what is newer.
type contest struct {
	refs  [2]string
	moves string   // the tag that both want
	own   []string // of each, what it alone gives
}

// TestTwoRunsAtOnce starts two runs at random distance, in either order. Whichever ends last, the tag is where the newer one
// put it, nothing is tagged that was not judged, and nothing is left open.
func TestTwoRunsAtOnce(t *testing.T) {
	w := newWorld(t)
	begun := time.Now()
	w.mustPublish(report.ExitDone)
	usual := time.Since(begun)
	dice := random(t)
	overtaken := 0 // how often the older run ended last
	for i := range times(50) {
		var shas []string
		for n := range 2 {
			shas = append(shas, w.commit("change", map[string]string{"shared/n": fmt.Sprintf("%d.%d", i, n), "auth/www/auth/n": fmt.Sprintf("%d.%d", i, n)}))
		}
		c := contest{[2]string{"refs/heads/main", "refs/heads/main"}, "main", []string{"sha-" + shas[0][:7], "sha-" + shas[1][:7]}}
		if i%2 == 1 {
			c = contest{[2]string{fmt.Sprintf("refs/tags/v1.%d.0", i), fmt.Sprintf("refs/tags/v1.%d.1", i)}, "latest", []string{fmt.Sprintf("1.%d.0", i), fmt.Sprintf("1.%d.1", i)}}
		}
		distance := time.Duration(dice.Int64N(int64(usual))) - usual/2
		ends := w.race(i, shas, c, distance)
		if ends[0].After(ends[1]) {
			overtaken++
		}
		w.checkTagsWereJudged()
		w.checkJournal()
		if t.Failed() {
			t.Fatalf("pair %d, %v, %s apart", i, c, distance)
		}
	}
	t.Logf("of %d pairs the older run ended last in %d", times(50), overtaken)
}

// race runs both, and returns when each ended.
func (w *world) race(i int, shas []string, c contest, distance time.Duration) (ends [2]time.Time) {
	w.t.Helper()
	var outcomes [2]outcome
	var group sync.WaitGroup
	for n := range 2 {
		runner := w.beside(fmt.Sprintf("pair-%d-%d", i, n), shas[n])
		runner.runs = 1000 + 10*i + n // an ID of its own
		wait := max(0, distance)
		if n == 1 {
			wait = max(0, -distance)
		}
		group.Go(func() {
			time.Sleep(wait)
			outcomes[n] = runner.publish(sample.Job{Ref: c.refs[n]})
			ends[n] = time.Now()
		})
	}
	group.Wait()
	for n, o := range outcomes {
		if o.code != report.ExitDone {
			w.t.Errorf("run %d: exit code %d\n%s", n, o.code, o.log)
		}
	}
	for _, s := range outcomes[1].Services {
		at := w.tags(s.Name)
		if at[c.moves] != s.Digest || at[c.own[1]] != s.Digest {
			w.t.Errorf("%s:%s is %s and %s is %s; the newer run made %s\n%s", s.Name, c.moves, at[c.moves], c.own[1], at[c.own[1]], s.Digest, strings.Join([]string{outcomes[0].log, outcomes[1].log}, "\n=====\n"))
		}
	}
	for _, s := range outcomes[0].Services {
		if at := w.tags(s.Name)[c.own[0]]; at != s.Digest {
			w.t.Errorf("%s:%s is %s; the older run made %s", s.Name, c.own[0], at, s.Digest)
		}
	}
	return ends
}
