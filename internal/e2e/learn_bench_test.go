package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/report"
)

var record = flag.String("record", "", "file in which BenchmarkExpected keeps what it built, as a series for internal/learn")

// BenchmarkExpected has this program publish commits to the synthetic monorepo, one in three with a new builder, and reports how far what each
// plan expected of its builds was from what they took, as a share of that.
//
//	E2E=1 go test ./internal/e2e -run '^$' -bench 'BenchmarkExpected$' -benchtime 1x -timeout 1h -record ../learn/testdata/monorepo.json
func BenchmarkExpected(b *testing.B) {
	for b.Loop() {
		h := newHistory(newWorld(b))
		h.order = append(h.order, h.order[1:]...)
		off, took, expected := 0.0, 0.0, 0
		for i := range h.order {
			h.commit(i)
			if i%3 == 0 {
				h.renew()
			}
			for _, s := range h.mustPublish(report.ExitDone).Services {
				seconds := s.Seconds["build"] + s.Seconds["judge"]
				if s.Action != "build" || s.Expected == nil {
					continue
				}
				b.Logf("%-14s %-7s %5.1f s, expected %s", h.order[i], s.Name, seconds, s.Expected)
				off, took, expected = off+math.Abs(seconds-s.Expected.Seconds), took+seconds, expected+1
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(100*off/took, "%off")
		b.ReportMetric(float64(expected), "builds")
		if *record != "" {
			h.record(*record)
		}
	}
}

// record keeps the builds that the memory knows of, one a line.
func (h *history) record(file string) {
	h.t.Helper()
	store, err := memory.Open(h.t.Context(), filepath.Join(h.repo.Dir, ".swarm", "memory.db"), time.Now)
	if err != nil {
		h.t.Fatal(err)
	}
	defer store.Close()
	builds, err := store.List(h.t.Context(), "builds", 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	caches, err := store.List(h.t.Context(), "cache", 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	source := "True builds: BenchmarkExpected of internal/e2e, commits to a synthetic monorepo whose installations and compilations sleep for a few seconds, built by BuildKit for two platforms on a machine with two processors that did other work, too."
	text := fmt.Sprintf("{\"source\": %q, \"builds\": [", source)
	for i, build := range insight.History("", builds, caches) {
		line, err := json.Marshal(build)
		if err != nil {
			h.t.Fatal(err)
		}
		if i > 0 {
			text += ","
		}
		text += "\n" + string(line)
	}
	if err := os.WriteFile(file, []byte(text+"\n]}\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
}
