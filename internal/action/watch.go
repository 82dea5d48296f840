package action

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/dashboard"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
)

// How often a watcher looks whether the memory's file is another one, whether what is at work has been given up though nobody has written so, and whether
// others have written to the memory's other home.
const (
	glances = time.Second
	reviews = time.Minute
	visits  = 15 * time.Second
)

// rests is how many times as long as a look took is waited before the next: a long memory that is written to all the time keeps no processor busy.
const rests = 10

// leaving is how long whoever interrupts a watcher waits at most.
const leaving = 5 * time.Second

// checkWatch finds what speaks against watching: that nobody would see it, or that it would never end.
func (j job) checkWatch(p Process, problems *service.Problems) {
	switch {
	case !j.watch:
	case j.Config.Mode != watchedMode:
		problems.Add("--watch", "leave it out, or run `ghcr-publish report --watch`", "mode %s has no page that could be kept up to date", j.Config.Mode)
	case j.onRunner() || p.Getenv("GITHUB_ACTIONS") == "true":
		problems.Add("--watch", "leave it out, and start `mode: report` after each publish, as .github/examples/report.yml does", "it goes on until it is interrupted, which a job of a workflow never is")
	case j.Config.JSON:
		problems.Add("--watch", "read figures.json beside the page, which is written with it", "--json prints once, and a page that is watched is written again and again")
	}
}

// A watcher keeps a page up to date.
type watcher struct {
	job     job
	process Process
	log     *actions.Log
	at      place

	file    fileState
	read    time.Time         // when
	seen    [sha256.Size]byte // of what the page was made of
	page    *dashboard.Figures
	trouble map[string]string // that was told last, by what it does to the page
}

// watchMode writes the page, and again whenever what it shows has changed since, until it is interrupted. Then the page that stays does not load itself any more.
func watchMode(ctx context.Context, p Process, j job, at place, log *actions.Log) (int, error) {
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		hungUp, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // the terminal was closed
		defer stop()
		ctx = hungUp
	}
	w := &watcher{job: j, process: p, log: log, at: at, trouble: map[string]string{}}
	if err := w.look(ctx); err != nil && ctx.Err() == nil {
		return 0, err
	}
	log.Printf("watching the memory until this is interrupted")
	look, visit := time.NewTimer(glances), time.NewTicker(visits)
	defer look.Stop()
	defer visit.Stop()
	for {
		select {
		case <-ctx.Done():
			return report.ExitDone, w.leave(ctx)
		case <-visit.C:
			w.tell(ctx, w.visit(ctx), "The page has only the runs of this machine meanwhile.")
		case <-look.C:
			begun := p.Now()
			w.tell(ctx, w.look(ctx), "The page stays as it is meanwhile.")
			look.Reset(max(glances, rests*p.Now().Sub(begun)))
		}
	}
}

// leave writes the page once more, by what is remembered then, as one that nobody watches.
func (w *watcher) leave(ctx context.Context) error {
	if w.page == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaving)
	defer cancel()
	if known, err := w.job.everything(ctx, w.process); err == nil && known != nil {
		return writeDashboard(w.at, w.job.figures(w.process, known, w.log))
	}
	return writeDashboard(w.at, *w.page)
}

// tell warns once of what goes wrong, for as long as it does, and what that means: the next time it may go well.
func (w *watcher) tell(ctx context.Context, err error, meanwhile string) {
	trouble := ""
	if err != nil && ctx.Err() == nil {
		trouble = w.log.Redact(hint(err).Error())
	}
	if trouble != "" && trouble != w.trouble[meanwhile] {
		w.log.Warning(actions.Annotation{Title: "Memory", Message: trouble + ". " + meanwhile})
	}
	w.trouble[meanwhile] = trouble
}

// visit takes what others have written into the memory's other home, unless a run has the memory out of its place: it exchanges with others itself.
func (w *watcher) visit(ctx context.Context) (err error) {
	home := w.job.memory.home
	if home == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, homeTime, fmt.Errorf("it took longer than %s", homeTime))
	defer cancel()
	store, err := memory.Open(ctx, w.job.memoryPath(), w.process.Now, memory.IfThere(), memory.WithWriter(w.job.writer(w.process)), memory.WithSecrets(w.log.Secrets()...))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return home.Take(ctx, store)
}

// look writes the page if the memory is another one than at the last look. What is at work is looked after though the memory's file is the same: a run
// that was killed releases nothing, is expected to be done at some time, and what it has claimed expires.
func (w *watcher) look(ctx context.Context) error {
	now, at := stateOf(whereNow(w.job.memoryPath(), tempDir(w.job.Event))), w.process.Now()
	if w.page != nil && now == w.file && (len(w.page.Underway) == 0 || at.Sub(w.read) < reviews) {
		return nil
	}
	known, err := w.job.everything(ctx, w.process)
	if err != nil {
		return err
	}
	w.file, w.read = now, at
	seen := digestOf(known)
	if w.page != nil && (known == nil || seen == w.seen && w.page.Late(at) == w.page.Late(w.page.MadeAt)) {
		return nil // a run is moving the memory, or it has been put into order
	}
	figures := w.job.figures(w.process, known, w.log)
	if err := writeDashboard(w.at, figures.Watched()); err != nil {
		return err
	}
	w.seen, w.page = seen, &figures
	w.log.Answer("%s wrote %s: %s", w.process.Now().Format(time.TimeOnly), filepath.Join(w.at.root, w.at.file, pageFile), figures.Answer)
	return nil
}

// A fileState tells a memory's file from what it was before.
type fileState struct {
	path              string
	size, log         int64
	changed, appended time.Time
}

func stateOf(path string) fileState {
	s := fileState{path: path}
	if info, err := os.Stat(path); err == nil {
		s.size, s.changed = info.Size(), info.ModTime()
	}
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 { // which an open memory writes to first
		s.log, s.appended = info.Size(), info.ModTime()
	}
	return s
}

// digestOf stands for what is remembered.
func digestOf(known insight.Known) (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, namespace := range remembrance() {
		for _, e := range known[namespace] {
			for _, text := range []string{e.Namespace, e.Key, e.UpdatedAt.String(), string(e.Value), string(e.Metadata)} {
				hash.Write([]byte(text))
				hash.Write([]byte{0})
			}
		}
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
