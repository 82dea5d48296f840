package action

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/discover"
	"github.com/org/ghcr-publish/internal/migrate"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/spf13/pflag"
)

// initCommand is the first argument of what writes a first configuration, for which none is needed.
const initCommand = "init"

const initHelp = `Writes a first configuration and a workflow, from the workflows that publish images here, or else from what is found.

Usage: ghcr-publish init [--dry-run] [--force]

For example:
  ghcr-publish init --dry-run

  --dry-run  print both, and write nothing
  --force    write over files that are there
`

// unknownOwner is who owns a clone that has no remote yet.
const unknownOwner = "owner"

// An initiation writes the first configuration of a clone.
type initiation struct {
	process Process
	job     job
	root    *os.Root
	dry     bool
	force   bool
}

func initMain(ctx context.Context, p Process) int {
	i, asked := initiation{process: p}, false
	set := pflag.NewFlagSet(initCommand, pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	set.BoolVarP(&asked, "help", "h", false, "")
	set.BoolVar(&i.dry, "dry-run", false, "")
	set.BoolVar(&i.force, "force", false, "")
	err := set.Parse(p.Args[1:])
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("init takes no argument, but there is %q", strings.Join(set.Args(), " "))
	}
	switch {
	case err != nil:
		fmt.Fprintln(p.Stderr, p.asCalled(fmt.Sprintf("%v%s; see ghcr-publish init --help", err, likeUnknown(set, err))))
		return report.ExitConfig
	case asked:
		fmt.Fprint(p.Stdout, p.asCalled(initHelp))
		return report.ExitDone
	}
	if err := i.run(ctx); err != nil {
		return explain(err, newLog(p, p.Stderr))
	}
	return report.ExitDone
}

func (i initiation) run(ctx context.Context) error {
	var problems service.Problems
	i.job = job{Environ: run.Inherited(i.process.Environ), Event: actions.ReadEvent(i.process.Getenv, &problems)}
	if err := i.job.locate(ctx, i.process); err != nil {
		problems.Add("init", "run it inside a clone that has a commit", "%v", err)
		return problems
	}
	root, err := os.OpenRoot(i.job.Workspace)
	if err != nil {
		return fmt.Errorf("opening the clone: %w", err)
	}
	defer root.Close()
	i.root = root
	read, err := i.read(ctx)
	if err != nil {
		i.left(read.Left, read.Beside)
		return err
	}
	text, err := read.Config()
	if err != nil {
		return err
	}
	config, err := i.prove(ctx, text)
	if err != nil {
		i.left(read.Left, read.Beside)
		return err
	}
	if err := i.write(text, read); err != nil {
		return err
	}
	i.tell(ctx, config, read)
	return nil
}

// read finds what publishes images here, or else what could be published.
func (i initiation) read(ctx context.Context) (migrate.Reading, error) {
	files, err := i.files()
	if err != nil {
		return migrate.Reading{}, err
	}
	read, err := migrate.Read(files, cmp.Or(i.job.Event.Repository, unknownOwner+"/"+i.job.repositoryName()))
	if err != nil {
		return read, err
	}
	if len(read.Branches) == 0 {
		read.Branches = []string{i.job.Event.DefaultBranch}
	}
	finder := i.job.finder(i.root, nil)
	alone, unread := finder.Alone(ctx)
	if unread != nil { // without the variables the files say nothing
		alone = service.Found{}
	}
	if len(read.Services) > 0 {
		if unread != nil {
			read.Left = append(read.Left, "how containers run, "+unreadable(ctx, finder, unread)+"; write `port`, `health_endpoint` and `env` of the services where they need them")
		}
		read.Try(alone, finder.Port)
		read.Choose(finder.Ports)
		return read, nil
	}
	found, err := finder.Find(ctx)
	if err != nil {
		return read, err
	}
	read.Take(found, alone)
	read.Choose(finder.Ports)
	return read, nil
}

// unreadable says why files cannot be read without any variable: as they cannot be at all, or as variables give what they need.
func unreadable(ctx context.Context, finder discover.Finder, alone error) string {
	if _, err := finder.Find(ctx); err != nil {
		return fmt.Sprintf("as this cannot be read: %v", err)
	}
	return fmt.Sprintf("as this needs variables of .env or of the environment, which may be secret: %v", alone)
}

// files are the workflows of the clone, and the actions that are beside them.
func (i initiation) files() (files []migrate.File, err error) {
	var names []string
	for _, pattern := range []string{".github/workflows/*.y*ml", ".github/actions/*/action.y*ml", ".github/actions/*/*/action.y*ml", "actions/*/action.y*ml"} {
		found, err := fs.Glob(i.root.FS(), pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	for _, name := range names {
		text, err := i.root.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		files = append(files, migrate.File{Name: name, Text: text})
	}
	return files, nil
}

// prove reads a configuration as a run would.
func (i initiation) prove(ctx context.Context, text string) (service.Config, error) {
	var problems service.Problems
	config, err := service.Load(service.Sources{
		Flags: map[string]string{"config": configFile}, Getenv: func(string) string { return "" },
		ReadFile: func(name string) ([]byte, error) {
			if name == configFile {
				return []byte(text), nil
			}
			return i.root.ReadFile(name)
		},
		Defaults: map[string]string{"owner": cmp.Or(strings.ToLower(i.job.Event.Owner), unknownOwner), "actor": "ghcr-publish"},
		Discover: func([]string) (service.Found, error) { return i.job.finder(i.root, nil).Find(ctx) },
	})
	if !errors.As(err, &problems) {
		return config, err
	}
	for n := range problems {
		problems[n].Where += " that would be written"
	}
	fmt.Fprint(i.process.Stdout, text)
	return config, problems
}

const (
	configFile   = ".github/ghcr-publish.yml"
	workflowFile = ".github/workflows/publish.yml"
)

// write writes both files, or none where one of them is there.
func (i initiation) write(config string, read migrate.Reading) error {
	workflow := workflowFile
	if slices.Contains(read.Files, workflow) {
		workflow = ".github/workflows/ghcr-publish.yml" // beside the one that it takes the place of
	}
	texts := [][2]string{{configFile, config}, {workflow, read.Workflow()}}
	if !i.dry {
		if err := i.check(texts); err != nil {
			return err
		}
	}
	for _, text := range texts {
		if i.dry {
			fmt.Fprintf(i.process.Stdout, "--- %s\n%s", text[0], text[1])
			continue
		}
		if err := errors.Join(i.root.MkdirAll(path.Dir(text[0]), 0o755), replace(i.root, text[0], []byte(text[1]))); err != nil {
			return err
		}
		fmt.Fprintf(i.process.Stdout, "wrote %s\n", text[0])
	}
	return nil
}

// check refuses to write over somebody's work.
func (i initiation) check(texts [][2]string) error {
	var problems service.Problems
	for _, text := range texts {
		there, err := i.root.ReadFile(text[0])
		if err == nil && !i.force && !bytes.Equal(there, []byte(text[1])) {
			problems.Add(text[0], "move it away, or write over it with --force", "it is there already, and says something else")
		}
	}
	return problems.Err()
}

// tell says what is published, what is not as it was, and what is next.
func (i initiation) tell(ctx context.Context, config service.Config, read migrate.Reading) {
	log := newLog(i.process, i.process.Stdout)
	if read.FoundIn != "" {
		log.Printf("the services are those of %s, which each run reads again:", read.FoundIn)
	}
	for _, s := range config.Services {
		if read.Told(s.Name, "name") {
			log.Printf("%s", i.describe(s, read))
		}
	}
	i.left(read.Left, read.Beside, i.foreign(config, read))
	for _, f := range read.Faults {
		log.Printf("%s:%d: %s", f.File, f.Line, f.What)
		log.Printf("    now: %s", f.Instead)
	}
	for _, name := range slices.Sorted(maps.Keys(read.Secrets)) {
		log.Printf("builds have a secret from %s, which the workflow sets to %s: see that there is one", name, read.Secrets[name])
	}
	log.Printf("next: `ghcr-publish plan` says what would be published")
	if !i.job.Repo.Ignores(ctx, config.Memory) {
		log.Printf("put /%s/ into .gitignore: a run on this machine keeps its memory there", path.Dir(config.Memory))
	}
	if whole := slices.DeleteFunc(slices.Clone(read.Files), func(file string) bool { return slices.Contains(read.Mixed, file) }); len(whole) > 0 {
		log.Printf("once the new workflow has run, delete what it takes the place of: %s", strings.Join(whole, ", "))
	}
	if len(read.Mixed) > 0 {
		log.Printf("once the new workflow has run, delete the jobs that publish images of: %s", strings.Join(read.Mixed, ", "))
	}
}

// left says what was not taken over, were it that nothing was.
func (i initiation) left(all ...[]string) {
	log := newLog(i.process, i.process.Stdout)
	for _, said := range slices.Concat(all...) {
		log.Printf("not taken over: %s", said)
	}
}

// describe says in a line what is published of a service, and how one sees that it is well, but for what variables give.
func (i initiation) describe(s service.Service, read migrate.Reading) string {
	told := func(value string, keys ...string) string {
		if slices.ContainsFunc(keys, func(key string) bool { return !read.Told(s.Name, key) }) {
			return "what variables say"
		}
		return value
	}
	said := fmt.Sprintf("%s: image %s, built from %s", s.Name, told(s.Image, "image"), told(cmp.Or(s.Dockerfile, "the text of its Dockerfile"), "context", "dockerfile"))
	if s.Target != "" {
		said += ", stage " + told(s.Target, "target")
	}
	said += " for " + told(strings.Join(s.Platforms, ", "), "platforms")
	if len(s.PeerNames) > 0 {
		said += ", tried out beside " + told(strings.Join(s.PeerNames, ", "), "peers")
	}
	switch {
	case s.HealthEndpoint != "":
		return said + fmt.Sprintf("; well when port %d answers %s", s.Port, told(s.HealthEndpoint, "health_endpoint"))
	case i.job.finder(i.root, nil).HasHealthcheck(s):
		return said + "; well when its HEALTHCHECK says so"
	case s.Port != 0:
		return said + fmt.Sprintf("; well when port %d is open", s.Port)
	default:
		return said + "; well when it still runs after three seconds"
	}
}

// foreign says which images the workflow's own token cannot write.
func (i initiation) foreign(config service.Config, read migrate.Reading) (said []string) {
	for _, s := range config.Services {
		if own := config.Registry + "/" + config.Owner + "/"; config.Owner != unknownOwner && !strings.HasPrefix(s.Image, own) && read.Told(s.Name, "image") {
			said = append(said, fmt.Sprintf("%s: the workflow's own token writes below %s alone, and not %s: give the image another name, or set registry, username and registry-token.", s.At, strings.TrimSuffix(own, "/"), s.Image))
		}
	}
	return said
}
