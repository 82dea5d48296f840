package action

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/spf13/pflag"
)

// memoryMode is the first argument of the commands about the memory. They need no configuration and no clone.
const memoryMode = "memory"

// A memoryCommand is one of them. Its words are its name, `hook notify` too.
type memoryCommand struct {
	words string
	args  []memoryArg
	flags []memoryFlag
	help  string
	run   func(context.Context, memoryCall) error
}

type memoryArg struct {
	name           string
	optional, many bool
}

type memoryFlag struct {
	name, help string
	value      string // what is written for its value in the help; empty for a switch
	fallback   string
	check      func(string) error // nil takes anything
}

// A memoryCall is what a command works with.
type memoryCall struct {
	process Process
	log     *actions.Log
	event   actions.Event
	path    string // of the memory
	args    []string
	values  map[string]string // of flags, by name
}

func (c memoryCall) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

func (c memoryCall) on(flag string) bool { return c.values[flag] == "true" }

// number reads a flag that was checked by wholeNumber.
func (c memoryCall) number(flag string) int {
	n, _ := strconv.Atoi(c.values[flag])
	return n
}

// memoryMain runs one of the commands about the memory.
func memoryMain(ctx context.Context, p Process) int {
	words, rest := "", p.Args[1:]
	for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && slices.ContainsFunc(memoryCommands(), func(c memoryCommand) bool {
		return strings.HasPrefix(c.words+" ", strings.TrimSpace(words+" "+rest[0])+" ")
	}) {
		words, rest = strings.TrimSpace(words+" "+rest[0]), rest[1:]
	}
	i := slices.IndexFunc(memoryCommands(), func(c memoryCommand) bool { return c.words == words })
	if i < 0 || slices.Contains(rest, "--help") || slices.Contains(rest, "-h") {
		return memoryHelp(p, words, rest)
	}
	command := memoryCommands()[i]
	call := memoryCall{process: p}
	var problems service.Problems
	call.args, call.values = command.parse(rest, &problems)
	out := p.Stdout
	if call.on("json") || command.words == "serve" {
		out = p.Stderr
	}
	call.log = newLog(p, out)
	call.locate(ctx, command.fileFlag(), &problems)
	if err := problems.Err(); err != nil {
		return explain(err, newLog(p, p.Stderr))
	}
	if err := command.run(ctx, call); err != nil {
		return explain(err, newLog(p, p.Stderr))
	}
	return report.ExitDone
}

// memoryHelp prints what there is. It is a mistake not to have asked for it.
func memoryHelp(p Process, words string, rest []string) int {
	asked := slices.Contains(rest, "--help") || slices.Contains(rest, "-h")
	out, code := p.Stdout, report.ExitDone
	if !asked {
		out, code = p.Stderr, report.ExitConfig
		switch {
		case len(rest) > 0:
			fmt.Fprintf(out, "there is no command %q of memory; these are:\n\n", strings.TrimSpace(words+" "+rest[0]))
		default:
			fmt.Fprintf(out, "a command is missing after %q; these are:\n\n", strings.TrimSpace(memoryMode+" "+words))
		}
	}
	for _, c := range memoryCommands() {
		if strings.HasPrefix(c.words+" ", words+" ") || words == "" {
			fmt.Fprint(out, p.asCalled(fmt.Sprintf("  ghcr-publish %s %s\n      %s\n", memoryMode, c.usage(), c.help)))
		}
		if c.words == words {
			for _, f := range c.all() {
				fmt.Fprintf(out, "        --%s  %s\n", strings.TrimSpace(f.name+" "+f.value), f.help)
			}
		}
	}
	fmt.Fprint(out, "\nEach takes --file PATH (hooks --memory PATH), --json and --help. Exit codes: 0 done, 1 fault or nothing of that name, 2 wrong use.\n")
	return code
}

func (c memoryCommand) usage() string {
	parts := []string{c.words}
	for _, a := range c.args {
		name := a.name
		if a.many {
			name += "…"
		}
		if a.optional {
			name = "[" + name + "]"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, " ")
}

// all are the command's flags with those that every command has.
func (c memoryCommand) all() []memoryFlag {
	return append(slices.Clone(c.flags),
		memoryFlag{name: c.fileFlag(), value: "PATH", help: "The memory's file, instead of the one that the configuration names."},
		memoryFlag{name: "json", help: "Print JSON."})
}

// fileFlag names the memory's file. Of hooks --file is the file that was edited.
func (c memoryCommand) fileFlag() string {
	if strings.HasPrefix(c.words, "hook ") {
		return "memory"
	}
	return "file"
}

// parse reads arguments and flags, and notes every mistake.
func (c memoryCommand) parse(args []string, problems *service.Problems) ([]string, map[string]string) {
	set := pflag.NewFlagSet(c.words, pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	for _, f := range c.all() {
		set.String(f.name, f.fallback, "")
		if f.value == "" {
			set.Lookup(f.name).NoOptDefVal = "true"
		}
	}
	fix := fmt.Sprintf("see ghcr-publish %s %s --help", memoryMode, c.words)
	err := set.Parse(args)
	for unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) && unknown.GetSpecifiedName() != ""; err = set.Parse(args) {
		problems.Add("--"+unknown.GetSpecifiedName(), fix, "there is no such flag%s", likeUnknown(set, err))
		set.String(unknown.GetSpecifiedName(), "", "")
		set.Lookup(unknown.GetSpecifiedName()).NoOptDefVal = "true" // it is told of once, and what comes after it as well
	}
	if err != nil {
		problems.Add(c.words, fix, "%v", err)
	}
	values := map[string]string{}
	for _, f := range c.all() {
		values[f.name] = set.Lookup(f.name).Value.String()
		if f.check == nil && f.value == "" {
			f.check = eitherOr
		}
		if f.check == nil || values[f.name] == "" && !set.Changed(f.name) {
			continue
		}
		if err := f.check(values[f.name]); err != nil {
			problems.Add("--"+f.name, "", "%v", err)
		}
	}
	c.count(set.Args(), fix, problems)
	return set.Args(), values
}

// count finds arguments that are missing, or too many.
func (c memoryCommand) count(args []string, fix string, problems *service.Problems) {
	for i, a := range c.args {
		if i >= len(args) && !a.optional {
			problems.Add(a.name, fix, "it is missing")
		} else if i < len(args) && args[i] == "" {
			problems.Add(a.name, fix, "it is empty")
		}
	}
	many := slices.ContainsFunc(c.args, func(a memoryArg) bool { return a.many })
	if len(args) > len(c.args) && !many {
		problems.Add(args[len(c.args)], fix, "it is one argument too many")
	}
}

func eitherOr(v string) error {
	if v != "" && v != "true" && v != "false" {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	return nil
}

func wholeNumber(v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < 0 {
		return fmt.Errorf("%q is not a whole number of 0 or more", v)
	}
	return nil
}

// readTTL reads a time to live: seconds, as the swarm's tool takes it, or 90m, 12h.
func readTTL(v string) (time.Duration, error) {
	if n, err := strconv.Atoi(v); err == nil {
		v = fmt.Sprint(n, "s")
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d%time.Second != 0 {
		return 0, fmt.Errorf("%q is no time to live; write 3600 or 1h, in whole seconds", v)
	}
	return d, nil
}

func isTTL(v string) error { _, err := readTTL(v); return err }

func isJSON(v string) error {
	if !json.Valid([]byte(v)) {
		return fmt.Errorf("%q is no JSON", v)
	}
	return nil
}

func oneOf(allowed ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("%q is none of %s", v, strings.Join(allowed, ", "))
		}
		return nil
	}
}

// locate finds the memory: the file that a flag names, relative to where the command was started, or the configured one.
func (c *memoryCall) locate(ctx context.Context, flag string, problems *service.Problems) {
	c.event = actions.ReadEvent(c.process.Getenv, problems)
	if file := c.values[flag]; file != "" {
		c.path = c.in(c.process.Dir, file)
		return
	}
	workspace := c.workspace(ctx)
	path := service.Sources{Input: actions.Inputs(c.process.Getenv), ReadFile: func(name string) ([]byte, error) {
		return os.ReadFile(c.in(workspace, name))
	}}.Setting("memory")
	if strings.HasPrefix(path, "oci://") {
		path = service.OwnMemory // which is there, too
	}
	if path == "off" {
		problems.Add("memory", "name a file with --"+flag, "the configuration keeps none")
	}
	c.path = c.in(workspace, path)
}

func (c memoryCall) in(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// workspace is the job's, or the clone that the command was started in, or that folder.
func (c memoryCall) workspace(ctx context.Context) string {
	if c.event.Workspace != "" {
		return c.event.Workspace
	}
	top, err := git.Repo{Dir: c.process.Dir, Run: c.process.Run, Env: run.Inherited(c.process.Environ)}.Top(ctx)
	if err != nil {
		return c.process.Dir
	}
	return top
}

// now is where the memory is now: a run that works meanwhile has it out of the workspace.
func (c memoryCall) now() string { return whereNow(c.path, tempDir(c.event)) }

// secrets are values of this process that the memory may not hold.
func (c memoryCall) secrets() memory.Option {
	inputs := actions.Inputs(c.process.Getenv)
	var values []string
	for _, name := range []string{"GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"} {
		values = append(values, c.process.Getenv(name))
	}
	for _, s := range service.Table() {
		if s.Secret {
			values = append(values, inputs(s.Name))
		}
	}
	return memory.WithSecrets(values...)
}

// open opens the memory, and makes one only where there is none: a run may be moving it.
func (c memoryCall) open(ctx context.Context) (*memory.Store, error) {
	for range moves {
		path := c.now()
		if !exists(path) {
			break
		}
		store, err := memory.Open(ctx, path, c.process.Now, c.secrets(), memory.IfThere())
		if !errors.Is(err, fs.ErrNotExist) {
			return store, err
		}
	}
	return memory.Open(ctx, c.now(), c.process.Now, c.secrets())
}

// moves is how often a run moves the memory, and one more.
const moves = 3

// with opens the memory for what do does with it.
func (c memoryCall) with(ctx context.Context, do func(*memory.Store) error) (err error) {
	store, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return do(store)
}

// reading is with, for what changes nothing: where there is no memory yet it makes none, and reads an empty one.
func (c memoryCall) reading(ctx context.Context, do func(*memory.Store) error) error {
	if c.isThere() {
		return c.with(ctx, do)
	}
	empty, err := os.MkdirTemp(tempDir(c.event), "ghcr-publish-memory-")
	if err != nil {
		return fmt.Errorf("reading the memory %s, which is not there: %w", c.path, err)
	}
	defer os.RemoveAll(empty)
	c.path = filepath.Join(empty, "memory.db")
	return c.with(ctx, do)
}

// isThere looks several times: a run may move the memory between the question where it is and the look there.
func (c memoryCall) isThere() bool {
	for range 3 {
		if exists(c.now()) {
			return true
		}
	}
	return false
}

// print writes v as JSON where that was asked for, and else what tell tells a person.
func (c memoryCall) print(v any, tell func(*actions.Log)) error {
	if !c.on("json") {
		tell(c.log)
		return nil
	}
	data, err := report.JSON(v)
	if err != nil {
		return err
	}
	_, err = c.process.Stdout.Write(data)
	return err
}

// table prints rows under a head, in columns.
func table(log *actions.Log, head []string, rows [][]string) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		for i := range row {
			row[i] = strings.Map(func(r rune) rune {
				if r < ' ' {
					return ' '
				}
				return r
			}, row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to a strings.Builder, which takes everything
	log.Printf("%s", b.String())
}

// briefly cuts a text to what fits into a column, or is told of many.
func briefly(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// plainText is a value as a person reads it: a string without quotes, all else as JSON.
func plainText(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil && !strings.HasPrefix(string(value), "null") {
		return text
	}
	return string(value)
}

// readValue is what was typed as JSON where it is that, and else as a string.
func readValue(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, _ := json.Marshal(text) // of a string never fails
	return quoted
}

func namespaceFlag() memoryFlag {
	return memoryFlag{name: "namespace", value: "NAME", fallback: "default", help: "Namespace of the key."}
}

func limitFlag(fallback string) memoryFlag {
	return memoryFlag{name: "limit", value: "N", fallback: fallback, check: wholeNumber, help: "How many at most; 0 is all. By default " + cmp.Or(fallback, "0") + "."}
}

// memoryCommands lists the commands.
func memoryCommands() []memoryCommand {
	return slices.Concat(entryCommands(), fileCommands(), hookCommands())
}
