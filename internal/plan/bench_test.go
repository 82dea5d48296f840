package plan

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// monorepo makes a clone of so many files, spread over the folders of so many services.
func monorepo(b *testing.B, files, services int) *world {
	b.Helper()
	w := newWorld(b)
	var stream bytes.Buffer
	const dockerfile = "FROM scratch\nCOPY . /\n"
	fmt.Fprintf(&stream, "blob\nmark :1\ndata 1\nx\nblob\nmark :2\ndata %d\n%s\ncommit refs/heads/main\ncommitter a <a@example.com> 1700000000 +0000\ndata 1\nx\n", len(dockerfile), dockerfile)
	for i := range files {
		fmt.Fprintf(&stream, "M 100644 :1 services/s%d/src/pkg%d/file%d.go\n", i%services, i%97, i)
	}
	for i := range services {
		fmt.Fprintf(&stream, "M 100644 :2 services/s%d/Dockerfile\n", i)
	}
	if _, err := run.OS(b.Context(), run.Command{Argv: []string{"git", "fast-import", "--quiet", "--force"}, Dir: w.dir, Env: environ(), Stdin: &stream}); err != nil {
		b.Fatal(err)
	}
	w.git("reset", "--quiet", "--hard", "main")
	w.base = w.head()
	w.planner.Config.Services = nil
	for i := range services {
		dir := fmt.Sprintf("services/s%d", i)
		w.planner.Config.Services = append(w.planner.Config.Services, service.Service{Name: fmt.Sprintf("s%d", i), Image: fmt.Sprintf("ghcr.io/octo/s%d", i),
			Context: dir, Dockerfile: dir + "/Dockerfile", Platforms: []string{"linux/amd64", "linux/arm64"}})
	}
	w.images = map[string]registry.Image{}
	w.publish()
	return w
}

// sizes are repositories of so many files and services, in which so many files changed.
var sizes = []struct{ files, services, changed int }{
	{1_000, 10, 1}, {10_000, 10, 1}, {100_000, 10, 1}, {100_000, 200, 1}, {100_000, 200, 10_000}, {1_000_000, 200, 1},
}

// BenchmarkMake plans for a commit, the registry excluded: what changed, every inputs digest, tags and matrix. It tells
// beside how long git's own diff takes on the same clone, and how much memory the plan needs.
func BenchmarkMake(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%d files of %d services, %d changed", size.files, size.services, size.changed), func(b *testing.B) {
			w := changedMonorepo(b, size.files, size.services, size.changed)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if made := w.make(); len(made.Builds()) != min(size.services, size.changed) {
					b.Fatalf("%d services are built", len(made.Builds()))
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.Sys-before.Sys)/1e6, "MB-more")
			b.ReportMetric(w.timed("diff", "--name-only", "-z", w.base, "HEAD"), "git-diff-s")
			b.ReportMetric(w.timed("status", "--porcelain"), "git-status-s")
		})
	}
}

// BenchmarkChanged finds the services that a commit changed, and nothing more: it is what tools do that filter paths.
func BenchmarkChanged(b *testing.B) {
	for _, size := range sizes[3:] {
		b.Run(fmt.Sprintf("%d files of %d services, %d changed", size.files, size.services, size.changed), func(b *testing.B) {
			w := changedMonorepo(b, size.files, size.services, size.changed)
			for b.Loop() {
				if n := w.changedServices(); n != min(size.services, size.changed) {
					b.Fatalf("%d services changed", n)
				}
			}
			b.ReportMetric(w.timed("diff", "--name-only", "-z", w.base, "HEAD"), "git-diff-s")
		})
	}
}

// changedServices counts the services of which a file differs from the base.
func (w *world) changedServices() int {
	ctx := w.t.Context()
	w.planner.Event.SHA = w.head()
	work, err := w.planner.readTree(ctx)
	w.must(err)
	files, err := work.changedSince(ctx, w.base)
	w.must(err)
	n := 0
	for _, d := range w.planner.drafts(ctx, work, asked{}) {
		if len(d.scope.hits(files)) > 0 {
			n++
		}
	}
	return n
}

// changedMonorepo is published, and then so many of its files changed, as many of each service as of another.
func changedMonorepo(b *testing.B, files, services, changed int) *world {
	w := monorepo(b, files, services)
	change := map[string]string{}
	for i := range changed {
		change[fmt.Sprintf("services/s%d/src/new%d.go", i%services, i)] = "1"
	}
	w.commit(change)
	return w
}

// timed returns the seconds that git takes for something.
func (w *world) timed(args ...string) float64 {
	begun := time.Now()
	w.git(args...)
	return time.Since(begun).Seconds()
}
