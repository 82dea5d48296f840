package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/dashboard"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/sample"
)

// TestNobodyReadsHalfAPage has pages of different lengths be written again and again while somebody reads them.
func TestNobodyReadsHalfAPage(t *testing.T) {
	t.Parallel()
	at, pages := place{t.TempDir(), "site"}, pages(t)
	if err := writeDashboard(at, pages[0]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var writes atomic.Int64
	var enough atomic.Bool
	var writing sync.WaitGroup
	writing.Go(func() {
		defer cancel()
		for i := 0; !enough.Load() && ctx.Err() == nil; i++ {
			if err := writeDashboard(at, pages[i%2]); err != nil {
				t.Error(err)
				return
			}
			writes.Add(1)
		}
	})
	lengths := map[int]bool{}
	for ctx.Err() == nil && (len(lengths) < 6 || writes.Load() < 20) {
		for name, end := range map[string]string{pageFile: "</html>\n", figuresFile: "}\n", "openmetrics.txt": "# EOF\n"} {
			text, err := os.ReadFile(filepath.Join(at.root, at.file, name))
			if err != nil || !bytes.HasSuffix(text, []byte(end)) {
				t.Errorf("%s of %d bytes ends with %q, %v", name, len(text), text[max(0, len(text)-20):], err)
			}
			lengths[len(text)] = true
		}
	}
	enough.Store(true)
	writing.Wait()
	if len(lengths) != 6 {
		t.Errorf("%d lengths were read of two pages with two files each", len(lengths))
	}
}

// pages are two of different lengths.
func pages(t *testing.T) (pages []dashboard.Figures) {
	t.Helper()
	for _, builds := range []int{4, 400} {
		entries, err := sample.Builds("octo-org/shop", builds, time.Unix(1_800_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		known := insight.Known{}
		for _, e := range entries {
			known[e.Namespace] = append(known[e.Namespace], e)
		}
		pages = append(pages, dashboard.Collect(dashboard.Source{Known: known, Repository: "octo-org/shop", Program: program + "1.0.0"}).Watched())
	}
	return pages
}

// TestSeveralWriteOnePage has them begin with no page at the same time, as somebody who watches and somebody who asks once do.
func TestSeveralWriteOnePage(t *testing.T) {
	t.Parallel()
	at, pages := place{t.TempDir(), "site"}, pages(t)
	var writing sync.WaitGroup
	for _, page := range pages {
		writing.Go(func() {
			for range 20 {
				if err := writeDashboard(at, page); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	if left, err := filepath.Glob(filepath.Join(at.root, at.file, "*.new")); err != nil || len(left) > 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}

// TestOnlyADashboardIsWrittenOver has one that was stopped before its page was there be completed, and what somebody else has written be kept.
func TestOnlyADashboardIsWrittenOver(t *testing.T) {
	t.Parallel()
	page := pages(t)[0]
	files, err := render(page)
	if err != nil {
		t.Fatal(err)
	}
	figures, whole := string(files[0].text), string(files[len(files)-1].text)
	for name, c := range map[string]struct {
		there map[string]string
		own   bool
	}{
		"nothing":                      {nil, true},
		"what was stopped at first":    {map[string]string{figuresFile + ".ABC.new": "{"}, true},
		"figures without a page":       {map[string]string{figuresFile: figures, "metrics.txt": "", pageFile + ".ABC.new": "<"}, true},
		"a page":                       {map[string]string{pageFile: whole}, true},
		"somebody's page":              {map[string]string{pageFile: "<html>"}, false},
		"somebody's page over figures": {map[string]string{pageFile: "<html>", figuresFile: figures}, false},
		"somebody's figures":           {map[string]string{figuresFile: `{"program": "other 1.0.0"}`}, false},
		"somebody's metrics":           {map[string]string{"metrics.txt": "up 1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := place{t.TempDir(), "."}
			for file, text := range c.there {
				if err := os.WriteFile(filepath.Join(at.root, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := writeDashboard(at, page); (err == nil) != c.own {
				t.Errorf("own %t, but %v", c.own, err)
			}
		})
	}
}

// TestWhatIsGivenUpIsAtWorkNoMore has a claim expire while nobody writes to the memory.
func TestWhatIsGivenUpIsAtWorkNoMore(t *testing.T) {
	t.Parallel()
	w, now, log := watched(t)
	for _, step := range []struct {
		passed time.Duration
		atWork bool
		pages  int // that were written
	}{{0, true, 1}, {time.Second, true, 1}, {58 * time.Minute, true, 1}, {time.Hour, false, 2}, {time.Hour, false, 2}} {
		*now = now.Add(step.passed)
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if text := written(t, w, figuresFile); strings.Contains(text, `"work": "web"`) != step.atWork || strings.Count(log.String(), " wrote ") != step.pages {
			t.Errorf("after %s more:\n%s\n%s", step.passed, text, log)
		}
	}
}

// TestWhatIsLateIsSo has the time pass at which something was expected to be done, while nobody writes to the memory.
func TestWhatIsLateIsSo(t *testing.T) {
	t.Parallel()
	w, now, log := watched(t)
	if err := w.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.page.Underway[0].Until = now.Add(5 * time.Minute)
	for passed, pages := range []int{1, 1, 2, 2} {
		*now = now.Add(2 * time.Minute)
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), " wrote "); got != pages {
			t.Errorf("after %d minutes %d pages were written, want %d", 2*passed+2, got, pages)
		}
	}
}

// TestWhatStaysIsWhatIsKnownThen has a claim expire between the last look and the end of watching.
func TestWhatStaysIsWhatIsKnownThen(t *testing.T) {
	t.Parallel()
	w, now, _ := watched(t)
	if err := w.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(2 * time.Hour)
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.leave(interrupted); err != nil {
		t.Fatal(err)
	}
	if text := written(t, w, figuresFile); strings.Contains(text, `"work": "web"`) {
		t.Error(text)
	}
	if strings.Contains(written(t, w, pageFile), "http-equiv=\"refresh\"") {
		t.Error("the page loads itself again")
	}
}

// watched is somebody who watches a memory, by a clock, in which there is a claim for an hour.
func watched(t *testing.T) (w *watcher, now *time.Time, log *bytes.Buffer) {
	t.Helper()
	now, log = new(time.Time), &bytes.Buffer{}
	*now = time.Now()
	w = &watcher{process: Process{Now: func() time.Time { return *now }}, log: actions.NewLog(log, false), at: place{t.TempDir(), "site"}}
	w.job.Config.Memory = filepath.Join(t.TempDir(), "memory.db")
	store, err := memory.Open(t.Context(), w.job.Config.Memory, w.process.Now)
	if err == nil {
		claim := fmt.Sprintf(`{"work": "web", "agent": "ann", "session": "1-1", "status": "claimed", "at": %q}`, now.Format(time.RFC3339))
		err = errors.Join(store.Put(t.Context(), memory.Entry{Namespace: "coordination", Key: "claim:1-1:web", Value: []byte(claim), TTL: time.Hour}), store.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return w, now, log
}

func written(t *testing.T, w *watcher, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.at.root, w.at.file, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
