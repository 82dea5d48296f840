// Package action is the program as a function of its process: it reads what it was told, wires the
// parts together, runs one mode and returns an exit code.
package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/telemetry"
	"golang.org/x/term"
)

// A Process is what the program takes from the operating system.
type Process struct {
	Name           string   // the program's own, without its folder
	Args           []string // without that name
	Environ        []string
	Dir            string // working directory
	Stdout, Stderr io.Writer
	Run            run.Func
	Now            func() time.Time
	Version        string
}

// Getenv looks a variable up.
func (p Process) Getenv(name string) string {
	for _, entry := range p.Environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// extension is the program's name as an extension of gh, which is called as `gh ghcr-publish`.
// https://docs.github.com/en/github-cli/github-cli/creating-github-cli-extensions
const extension = "gh-ghcr-publish"

// asCalled has commands in a help text begin as the program was called.
func (p Process) asCalled(help string) string {
	if p.Name != extension {
		return help
	}
	return strings.ReplaceAll(help, "ghcr-publish ", "gh ghcr-publish ")
}

// Main runs the program and returns its exit code: 0 done or nothing to do, 1 fault, 2 wrong
// configuration, 3 a gate refused an image.
func Main(ctx context.Context, p Process) int {
	if p.Name == postName {
		return post(ctx, p, newLog(p, p.Stdout))
	}
	if len(p.Args) > 0 && p.Args[0] == memoryMode {
		return memoryMain(ctx, p)
	}
	if len(p.Args) > 0 && p.Args[0] == initCommand {
		return initMain(ctx, p)
	}
	flags, err := parseFlags(p.Args)
	if err != nil {
		fmt.Fprintln(p.Stderr, p.asCalled(err.Error()))
		return report.ExitConfig
	}
	switch {
	case flags.help:
		fmt.Fprint(p.Stdout, p.asCalled(help(flags.values["mode"])))
		return report.ExitDone
	case flags.version:
		fmt.Fprintln(p.Stdout, "ghcr-publish", p.Version)
		return report.ExitDone
	}
	out := p.Stdout
	if flags.values["json"] == "true" {
		out = p.Stderr // standard output is the JSON's alone
	}
	log := newLog(p, out)
	code, err := execute(ctx, p, flags, log)
	if err != nil {
		return explain(err, log)
	}
	return code
}

func newLog(p Process, out io.Writer) *actions.Log {
	log := actions.NewLog(out, p.Getenv("GITHUB_ACTIONS") == "true")
	if shows(p, out) {
		log.Colour()
	}
	return log
}

// shows reports whether a log goes to where colours are seen, and wanted.
// https://no-color.org
func shows(p Process, out io.Writer) bool {
	file, ok := out.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd())) && p.Getenv("NO_COLOR") == "" && p.Getenv("TERM") != "dumb" && p.Getenv("GITHUB_ACTIONS") != "true"
}

func execute(ctx context.Context, p Process, flags flags, log *actions.Log) (int, error) {
	p.Run = telemetry.Programs(p.Run)
	began := p.Now()
	maskTracing(p, log)
	j, err := load(ctx, p, flags, log)
	if j.Config.Quiet {
		log.Quiet()
	}
	var mistakes service.Problems
	if j.Config.Mode == "doctor" && (err == nil || errors.As(err, &mistakes)) {
		return doctorMode(ctx, p, j, log, mistakes)
	}
	if err != nil {
		return 0, err
	}
	return traced(ctx, p, j, log, began, func(ctx context.Context, j job) (int, error) { return runMode(ctx, p, j, log) })
}

func runMode(ctx context.Context, p Process, j job, log *actions.Log) (int, error) {
	if j.Config.Mode == "compose" {
		return composeMode(ctx, p, j, log) // which has nothing to do with the memory
	}
	j.memory = fetchMemory(ctx, p, j, log)
	switch j.Config.Mode {
	case "deploy":
		return deployMode(ctx, p, j, log)
	case "plan":
		return planMode(ctx, p, j, log)
	case "publish":
		return publishMode(ctx, p, j, log)
	case "finalize":
		return finalizeMode(ctx, p, j, log)
	case "rescan":
		return rescanMode(ctx, p, j, log)
	case "promote":
		return promoteMode(ctx, p, j, log)
	case "mirror":
		return mirrorMode(ctx, p, j, log)
	case "clean":
		return cleanMode(ctx, p, j, log)
	case "report":
		return reportMode(ctx, p, j, log)
	default:
		return allMode(ctx, p, j, log)
	}
}

// explain prints an error once, for a person, and finds its exit code.
func explain(err error, log *actions.Log) int {
	code := report.ExitFault
	var mistakes service.Problems
	title := "ghcr-publish"
	if errors.As(err, &mistakes) { // and not whatever has an exit code: a program that failed has its own
		code = mistakes.ExitCode()
		title = "Configuration"
	}
	for line := range strings.SplitSeq(hint(err).Error(), "\n") {
		a := actions.Annotation{Title: title, Message: line}
		if i := slices.IndexFunc(mistakes, func(m service.Problem) bool { return m.String() == line }); i >= 0 {
			a.File, a.Line = mistakes[i].Place() // where a pull request shows it
		}
		log.Error(a)
	}
	return code
}
