package action

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/spf13/pflag"
)

// watchFlag is no setting: a workflow has nobody who would end it.
const watchFlag = "watch"

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
		f.values["mode"] = set.Arg(0)
	default:
		return f, fmt.Errorf("one mode at most, but there is %q; see ghcr-publish --help", strings.Join(set.Args(), " "))
	}
	return f, nil
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

func help() string {
	var b strings.Builder
	b.WriteString(`Publishes the images of a repository with several services: plans what changed, builds it for
every platform, judges it, and moves tags only to images that passed.

Usage: ghcr-publish [MODE] [flags]
       ghcr-publish init, which writes a first configuration and workflow
       ghcr-publish memory COMMAND, of which ghcr-publish memory --help tells

Each flag is also an input of the action and, with underscores, a key of the configuration file
(but for the mode, the file itself and what narrows one run). A flag comes before an input, an
input before the file.

Modes:
`)
	for _, s := range service.Table() {
		if s.Name == "mode" {
			b.WriteString(modes(s.Help))
			continue
		}
		name := "--" + s.Name
		if !s.Bool {
			name += " VALUE"
		}
		fmt.Fprintf(&b, "  %-24s %s", name, s.Help)
		if s.Default != "" && !strings.Contains(s.Default, "{{") {
			fmt.Fprintf(&b, " (default %s)", s.Default)
		}
		if s.Secret {
			b.WriteString(" Here as env:NAME or file:PATH.")
		}
		b.WriteString("\n")
	}
	b.WriteString(`  --watch                  With the mode report: write the page again whenever what it shows has
                           changed, until this is interrupted.
  --help                   Print this.
  --version                Print the version.

Exit codes: 0 done or nothing to do, 1 fault, 2 wrong configuration, 3 a gate refused an image.
`)
	return b.String()
}

// modes puts what is said of them in one sentence into a line for each.
func modes(help string) string {
	var b strings.Builder
	for mode := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(help, "What to do: `"), "."), "; `") {
		name, does, _ := strings.Cut(mode, "` ")
		fmt.Fprintf(&b, "  %-10s %s\n", name, does)
	}
	b.WriteString("\nFlags:\n")
	return b.String()
}
