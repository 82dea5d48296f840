package action

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/spf13/pflag"
)

// watchFlag is no setting: a workflow has nobody who would end it.
const watchFlag = "watch"

// watchedMode has a page that can be watched.
const watchedMode = "report"

type flags struct {
	values        map[string]string // settings that were given, by name
	help, version bool
	watch         bool // keep the page of `report` up to date
}

// parseFlags reads the command line: an optional mode, then one flag for each setting.
func parseFlags(args []string) (flags, error) {
	f := flags{values: map[string]string{}}
	set := pflag.NewFlagSet("ghcr-publish", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	set.BoolVarP(&f.help, "help", "h", false, "")
	set.BoolVar(&f.version, "version", false, "")
	set.BoolVar(&f.watch, watchFlag, false, "")
	for _, s := range service.Table() {
		set.String(s.Name, "", s.Help)
		if s.Bool {
			set.Lookup(s.Name).NoOptDefVal = "true"
		}
	}
	if err := set.Parse(args); err != nil {
		return f, fmt.Errorf("%w%s; see ghcr-publish --help", err, likeUnknown(set, err))
	}
	set.Visit(func(given *pflag.Flag) {
		if given.Name != "help" && given.Name != "version" && given.Name != watchFlag {
			f.values[given.Name] = given.Value.String()
		}
	})
	switch set.NArg() {
	case 0:
	case 1:
		if err := f.word(set.Arg(0)); err != nil {
			return f, err
		}
	default:
		return f, fmt.Errorf("one mode at most, but there is %q; see ghcr-publish --help", strings.Join(set.Args(), " "))
	}
	return f, nil
}

// word takes the one argument that is no flag: a mode, or what other programs have for --help and --version.
func (f *flags) word(given string) error {
	modes := modeSetting().Allowed
	switch given {
	case "help":
		f.help = true
		return nil
	case "version":
		f.version = true
		return nil
	}
	others := []string{initCommand, memoryMode}
	like := service.Suggestion(given, slices.Concat(modes, others))
	if !slices.Contains(modes, given) && like != "" && like == service.Suggestion(given, others) {
		return fmt.Errorf("there is no mode %q%s; see ghcr-publish --help", given, like)
	}
	f.values["mode"] = given
	return nil
}

// likeUnknown names the flag that is nearest to one that is unknown, as the end of a sentence.
func likeUnknown(set *pflag.FlagSet, err error) string {
	unknown := (*pflag.NotExistError)(nil)
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	var known []string
	set.VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return service.Suggestion("--"+unknown.GetSpecifiedName(), known)
}

// examples are one of each mode.
var examples = map[string]string{
	"all": "all --dry-run", "plan": "plan --base main", "publish": "publish --row backend", "finalize": "finalize", "rescan": "rescan --only backend", "clean": "clean --confirm", "doctor": "doctor --json",
	"mirror": "mirror --only backend", "compose": "compose --compose-file deploy/compose.yaml", "promote": "promote --from staging --to production", "deploy": "deploy --status", "report": "report --watch",
}

// help tells of one mode, or of all of them where there is none of that name.
func help(mode string) string {
	all := modes()
	if does := all[mode]; does != "" {
		return modeHelp(mode, does)
	}
	var b strings.Builder
	b.WriteString(`Publishes the images of a repository with several services: plans what changed, builds it for
every platform, judges it, and moves tags only to images that passed.

Usage: ghcr-publish [MODE] [flags]
       ghcr-publish MODE --help, which tells of that mode and of the flags that it heeds
       ghcr-publish init, which writes a first configuration and workflow
       ghcr-publish memory COMMAND, of which ghcr-publish memory --help tells

Each flag is also an input of the action and, with underscores, a key of the configuration file
(but for the mode, the file itself and what narrows one run). A flag comes before an input, an
input before the file.

Modes:
`)
	for _, name := range modeSetting().Allowed {
		fmt.Fprintf(&b, "  %-10s %s\n", name, all[name])
	}
	b.WriteString("\nFlags:\n")
	writeFlags(&b, func(s service.Setting) bool { return true })
	b.WriteString(watchHelp + `  --help                   Print this.
  --version                Print the version.
` + exitCodes)
	return b.String()
}

const watchHelp = `  --watch                  With the mode report: write the page again whenever what it shows has
                           changed, until this is interrupted.
`

const exitCodes = `
Exit codes: 0 done or nothing to do, 1 fault, 2 wrong configuration, 3 a gate refused an image.
`

// modeHelp tells of a mode what it does, and which flags it heeds: its own first.
func modeHelp(mode, does string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ghcr-publish %[1]s %[2]s.\n\nUsage: ghcr-publish %[1]s [flags]\n\nFor example:\n  ghcr-publish %[3]s\n", mode, does, examples[mode])
	var own strings.Builder
	writeFlags(&own, func(s service.Setting) bool { return len(s.Modes) > 0 && s.Heeds(mode) })
	if mode == watchedMode {
		own.WriteString(watchHelp)
	}
	if own.Len() > 0 {
		b.WriteString("\nFlags:\n" + own.String())
	}
	b.WriteString("\nFlags of every mode:\n")
	writeFlags(&b, func(s service.Setting) bool { return len(s.Modes) == 0 })
	b.WriteString(exitCodes)
	return b.String()
}

// writeFlags writes a line for each setting that is wanted, but for the mode.
func writeFlags(b *strings.Builder, wanted func(service.Setting) bool) {
	for _, s := range service.Table() {
		if s.Name == "mode" || !wanted(s) {
			continue
		}
		name := "--" + s.Name
		if !s.Bool {
			name += " VALUE"
		}
		fmt.Fprintf(b, "  %-24s %s", name, s.Help)
		if s.Default != "" && !strings.Contains(s.Default, "{{") {
			fmt.Fprintf(b, " (default %s)", s.Default)
		}
		if s.Secret {
			b.WriteString(" Here as env:NAME or file:PATH.")
		}
		b.WriteString("\n")
	}
}

func modeSetting() service.Setting {
	all := service.Table()
	return all[slices.IndexFunc(all, func(s service.Setting) bool { return s.Name == "mode" })]
}

// modes is what each mode does, of which the setting tells in one sentence.
func modes() map[string]string {
	all := map[string]string{}
	for mode := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(modeSetting().Help, "What to do: `"), "."), "; `") {
		name, does, _ := strings.Cut(mode, "` ")
		all[name] = does
	}
	return all
}
