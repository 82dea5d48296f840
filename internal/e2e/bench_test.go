package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
)

// BenchmarkChanged publishes a change to one service, or to all three at the same time, and pushes the next such change with
// plain `docker buildx build --push`, of the same services at the same time, on the same builder and registry. It reports the
// seconds of both and their ratio. A build of nothing has nothing to set the judging against; the others sleep for so long.
//
//	E2E=1 go test ./internal/e2e -run '^$' -bench . -benchtime 5x
func BenchmarkChanged(b *testing.B) {
	for _, c := range []struct {
		services []string
		work     int // seconds of a build
	}{{sample.Services, 0}, {sample.Services[:1], 10}, {sample.Services[:1], 30}, {sample.Services, 10}} {
		b.Run(fmt.Sprintf("services=%d/build=%ds", len(c.services), c.work), func(b *testing.B) {
			w := newWorld(b)
			w.mustPublish(report.ExitDone)
			originals := map[string]string{}
			for _, s := range c.services {
				originals[s] = w.read(s + "/Dockerfile")
			}
			changes := 0
			w.compare(b, c.services, func() {
				changes++
				files := map[string]string{}
				for s, dockerfile := range originals {
					step := fmt.Sprintf("\nRUN echo %d >www/n && sleep %d\nFROM busybox\n", changes, c.work)
					files[s+"/Dockerfile"] = strings.Replace(dockerfile, "\nFROM busybox\n", step, 1)
				}
				w.commit(fmt.Sprint(changes), files)
			})
		})
	}
}

// BenchmarkUnchanged compares a run in which nothing changed with plain builds that are fully cached.
func BenchmarkUnchanged(b *testing.B) {
	w := newWorld(b)
	w.mustPublish(report.ExitDone)
	w.pushPlain(b, sample.Services)
	w.compare(b, sample.Services, func() {})
}

// compare times the program and the plain tool in turn, each after a change.
func (w *world) compare(b *testing.B, services []string, change func()) {
	var ours, plain time.Duration
	for b.Loop() {
		change()
		begun := time.Now()
		w.mustPublish(report.ExitDone)
		ours += time.Since(begun)
		change()
		begun = time.Now()
		w.pushPlain(b, services)
		plain += time.Since(begun)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/run")
	b.ReportMetric(plain.Seconds()/float64(b.N), "s/plain")
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "ratio")
}

// pushPlain builds and pushes services with buildx alone, at the same time.
func (w *world) pushPlain(b *testing.B, services []string) {
	b.Helper()
	env := append(parts.Environ(os.Environ()), "DOCKER_CONFIG="+w.plainLogin(b))
	create := []string{"buildx", "create", "--name", builder, "--driver", "docker-container"}
	if _, err := run.OS(b.Context(), run.Command{Argv: create, Env: env}); err != nil && !strings.Contains(err.Error(), "existing instance") {
		b.Fatal(err)
	}
	var group sync.WaitGroup
	for _, s := range services {
		group.Go(func() {
			context := w.repo.Dir
			if s == "auth" {
				context = filepath.Join(context, "auth")
			}
			argv := []string{"buildx", "build", "--builder", builder, "--platform", "linux/amd64,linux/arm64", "--provenance", "mode=max",
				"--tag", w.repository(s).Name() + ":plain", "--push", "--file", filepath.Join(w.repo.Dir, s, "Dockerfile"), context}
			if _, err := run.OS(b.Context(), run.Command{Argv: argv, Env: env}); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
}

// plainLogin writes the login that a workflow's login step would.
func (w *world) plainLogin(b testing.TB) string {
	b.Helper()
	dir := filepath.Join(filepath.Dir(w.temp), "docker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("octocat:" + w.token))
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, hub.addr, auth)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	return dir
}
