package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/agent"
	"github.com/org/ghcr-publish/internal/dashboard"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/telemetry"
)

// The names of the files that a dashboard is known by, and what the program in its figures begins with.
const (
	pageFile    = "index.html"
	figuresFile = "figures.json"
	program     = "ghcr-publish "
)

// reportMode writes how builds have been doing, by what is remembered of them: a page, and the same figures for programs.
func reportMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	at, err := j.dashboardPlace(p)
	if err != nil {
		return 0, err
	}
	folder := filepath.Join(at.root, at.file)
	log.Printf("writing what is remembered of builds to %s", folder)
	if j.watch {
		return watchMode(ctx, p, j, at, log)
	}
	known, err := j.everything(ctx, p)
	if err != nil {
		return 0, err
	}
	figures := j.figures(p, known, log)
	if err := writeDashboard(at, figures); err != nil {
		return 0, err
	}
	if len(figures.Builds) == 0 {
		log.Warning(actions.Annotation{Title: "Memory", Message: figures.Answer + " The page says so; have the runs that build keep a memory, and this one bring it."})
	}
	if err := sendFigures(ctx, p, log, figures); err != nil {
		return 0, err
	}
	log.Answer("%s", figures.Answer)
	if err := actions.AppendSummary(p.Getenv("GITHUB_STEP_SUMMARY"), report.Dashboard(figures)); err != nil {
		return 0, err
	}
	if err := writeOutputs(p, [][2]string{{"dashboard", hostPath(ctx, p, folder)}}); err != nil {
		return 0, err
	}
	return report.ExitDone, printJSON(p, j, figures)
}

// sendFigures sends the figures to an OpenTelemetry collector too, where one is asked for. That it could not is no fault of the run.
func sendFigures(ctx context.Context, p Process, log *actions.Log, figures dashboard.Figures) error {
	sent, err := telemetry.SendFigures(ctx, p.Getenv, p.Version, figures)
	if errors.Is(err, telemetry.ErrSetting) {
		return settingProblem(err)
	}
	if err != nil {
		log.Warning(actions.Annotation{Title: "Metrics", Message: fmt.Sprintf("the figures did not reach the OpenTelemetry collector: %v. %s", err, collectorAdvice)})
	}
	if sent {
		log.Printf("sent the figures to the OpenTelemetry collector")
	}
	return nil
}

// dashboardPlace is the folder that is written into. All that speaks against it is told at once.
func (j job) dashboardPlace(p Process) (place, error) {
	var problems service.Problems
	if j.Config.Memory == "off" {
		problems.Add("memory", "name the memory's file", "it is off, and there is nothing to report of without one")
	}
	at, err := j.place(p, j.Config.Dashboard)
	if err != nil {
		problems.Add("dashboard", "give a path in one of them", "%s: %v", j.Config.Dashboard, err)
		return at, problems
	}
	if isGits(filepath.ToSlash(at.file)) {
		problems.Add("dashboard", "give another folder", "%s is git's own", j.Config.Dashboard)
	}
	if workspace, _ := resolved(j.Workspace); at.root == workspace {
		j.checkNotTaken("dashboard", j.Config.Dashboard, filepath.ToSlash(filepath.Join(at.file, pageFile)), &problems)
	}
	return at, problems.Err()
}

// figures sum up what is remembered.
func (j job) figures(p Process, known insight.Known, log *actions.Log) dashboard.Figures {
	source := dashboard.Source{Known: known, Repository: j.Event.Repository, All: j.Config.DashboardOf == "all", Server: j.Event.ServerURL, Program: program + p.Version, Now: p.Now()}
	for _, c := range agent.Underway(known[agent.Coordination], known["sessions"], source.Repository, source.All) {
		since, _ := time.Parse(time.RFC3339, c.At) // which those have that are told
		source.Underway = append(source.Underway, dashboard.Work{Name: c.Work, Agent: c.Agent, Run: c.Session, Repository: c.Repository, Since: since})
	}
	return actions.Redacted(dashboard.Collect(source), log.Redact)
}

// remembrance are the namespaces that there is something to report of in.
func remembrance() []string {
	return append(insight.Namespaces(), "rescans", "sessions", agent.Coordination)
}

// everything is what is remembered of builds, by namespace: nothing where there is no memory. A run may be moving it meanwhile.
func (j job) everything(ctx context.Context, p Process) (insight.Known, error) {
	for range moves {
		store, err := memory.Open(ctx, whereNow(j.memoryPath(), tempDir(j.Event)), p.Now, memory.IfThere())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		known, err := recollect(ctx, store)
		return known, errors.Join(err, store.Close())
	}
	return nil, nil
}

func recollect(ctx context.Context, store *memory.Store) (known insight.Known, err error) {
	known = insight.Known{}
	for _, namespace := range remembrance() {
		if namespace == agent.Coordination {
			known[namespace], err = agent.Claims(ctx, store)
		} else {
			known[namespace], err = store.List(ctx, namespace, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

// writeDashboard writes the figures first and the page last, so that what it links to is there. Files that somebody else has written are kept.
func writeDashboard(at place, figures dashboard.Figures) error {
	files, err := render(figures)
	if err == nil {
		err = os.MkdirAll(at.root, 0o755)
	}
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(at.root)
	if err != nil {
		return fmt.Errorf("writing %s: %w", at.file, err)
	}
	defer root.Close()
	if err := checkOwn(root, at.file, files); err != nil {
		return err
	}
	for _, f := range files {
		if err := replace(root, filepath.Join(at.file, f.name), f.text); err != nil {
			return err
		}
	}
	return nil
}

// A rendered file is one of a dashboard's.
type rendered struct {
	name string
	text []byte
}

func render(figures dashboard.Figures) ([]rendered, error) {
	data, err := report.JSON(figures)
	if err != nil {
		return nil, err
	}
	text, open, err := figures.Metrics()
	if err != nil {
		return nil, err
	}
	page, err := figures.Page()
	return []rendered{{figuresFile, data}, {"metrics.txt", text}, {"openmetrics.txt", open}, {pageFile, page}}, err
}

// checkOwn refuses to write over what is no dashboard. Where another is at its first page, or was stopped at it, there may be figures only.
func checkOwn(root *os.Root, folder string, files []rendered) error {
	i := slices.IndexFunc(files, func(f rendered) bool { _, err := root.Lstat(filepath.Join(folder, f.name)); return err == nil })
	if i < 0 {
		return nil
	}
	page, err := root.ReadFile(filepath.Join(folder, pageFile))
	if err == nil && bytes.Contains(page, []byte(dashboard.Generator)) || errors.Is(err, fs.ErrNotExist) && figuresAreOwn(root, folder) {
		return nil
	}
	var problems service.Problems
	problems.Add("dashboard", "give another folder", "%s is somebody's own", filepath.Join(folder, files[i].name))
	return problems
}

// figuresAreOwn reports whether the file that is written first is of a dashboard.
func figuresAreOwn(root *os.Root, folder string) bool {
	data, err := root.ReadFile(filepath.Join(folder, figuresFile))
	var figures dashboard.Figures
	return err == nil && json.Unmarshal(data, &figures) == nil && strings.HasPrefix(figures.Program, program)
}
