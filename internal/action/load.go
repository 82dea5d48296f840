package action

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/discover"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/telemetry"
)

// A job is all that a run was told, proven, in one value.
type job struct {
	Config    service.Config
	Event     actions.Event
	Rules     tags.Rules
	Repo      git.Repo
	Workspace string   // absolute
	Environ   []string // what children inherit
	signers
	memory  carried
	tracing *telemetry.Sender // nil where nobody asks for traces
	// Astray says that what is checked out is not part of the ref that started the run; empty if it is.
	Astray string
	// personal says that the token is somebody's own, which no registry gets.
	personal bool
	before   string // the Compose file that a host was given last, of which images of others stay; empty for none
	watch    bool   // keep the page of `report` up to date
}

// load reads environment, event, flags, inputs and the configuration file once. Every mistake is in the error.
func load(ctx context.Context, p Process, flags flags, log *actions.Log) (job, error) {
	var problems service.Problems
	j := job{watch: flags.watch, Environ: run.Inherited(p.Environ)}
	j.Event = actions.ReadEvent(p.Getenv, &problems)
	if err := j.locate(ctx, p); err != nil {
		problems.Add("workspace", "check the repository out first, or run it inside a clone that has a commit", "%v", err)
		return j, problems
	}
	root, err := os.OpenRoot(j.Workspace)
	if err != nil {
		return j, fmt.Errorf("opening the workspace: %w", err)
	}
	defer root.Close()
	j.Config, err = service.Load(service.Sources{
		Flags: flags.values, Input: actions.Inputs(p.Getenv), Getenv: p.Getenv, ReadFile: root.ReadFile,
		Defaults: map[string]string{"owner": j.Event.Owner, "actor": cmp.Or(j.Event.Actor, "ghcr-publish"),
			"token": p.Getenv("GITHUB_TOKEN"), "temp": j.filesDir(p)},
		Discover: func(secret []string) (service.Found, error) {
			return j.finder(root, secret).Find(ctx)
		},
		Peers: func(secret []string, s service.Service) ([]service.Peer, error) {
			return j.finder(root, secret).Peers(ctx, s)
		},
	})
	j.withhold(j.Config.SecretEnv)
	j.keepSecrets(p, log, &problems)
	if err == nil {
		j.borrow(ctx, p, log, github.Scopes)
	}
	for _, b := range j.Config.Builders {
		log.Mask(b.Key)
	}
	for _, m := range j.Config.Mirrors {
		log.Mask(m.Password)
	}
	log.Mask(j.Config.Token)
	log.Mask(j.Config.RegistryToken)
	log.Mask(j.Config.SSHKey)
	j.checkSigning(p, log, &problems)
	var wrong service.Problems
	if errors.As(err, &wrong) {
		problems = append(problems, wrong...)
	}
	var mistakes []error
	j.Rules, mistakes = tags.Parse(j.Config.Tags)
	flavor, more := tags.ParseFlavor(j.Config.Flavor)
	j.Rules.Flavor = flavor
	for _, m := range append(mistakes, more...) {
		problems.Add(cmp.Or(j.Config.File, "tags"), "", "%v", m)
	}
	if tag := j.Config.Tag; tag != "" && !tags.Valid(tag) {
		problems.Add("tag", "use letters, digits and . _ -, at most 128", "%q is no tag", tag)
	}
	j.checkPromotion(&problems)
	j.checkDeployment(p, &problems)
	j.checkReleaseTag(&problems)
	j.checkWatch(p, &problems)
	j.checkFiles(p, &problems)
	j.checkCompose(ctx, p, &problems)
	checkDocuments(root.ReadFile, j.Config.Gates.Vulnerabilities.VEX, &problems)
	if preflight := plan.Preflight(j.Workspace, j.Config.Services); errors.As(preflight, &wrong) {
		problems = append(problems, wrong...)
	}
	j.resolveBase(ctx, &problems)
	if j.Astray = j.astray(ctx); j.Astray != "" && j.pushes() {
		problems.Add("the checkout", "check out what started the run, or set `push: false`", "%s", j.Astray)
	}
	return j, problems.Err()
}

// finder finds services in the clone, and what they need, without a look at some variables.
func (j job) finder(root *os.Root, without []string) discover.Finder {
	return discover.Finder{Workspace: j.Workspace, Repository: j.repositoryName(), ReadFile: root.ReadFile, Files: j.Repo.Known, Vars: variables(j.Environ, without)}
}

// checkFiles finds what would be written over another file, or into what is built.
func (j job) checkFiles(p Process, problems *service.Problems) {
	dir := j.Config.CacheDir
	if inside, err := filepath.Rel(j.Workspace, j.at(dir)); err == nil && filepath.IsLocal(inside) && dir != j.layersDir(p) {
		problems.Add("cache-dir", "name a folder outside the workspace", "layers in %s would be part of what is built", dir)
	}
	for setting, path := range map[string]string{"plan-file": j.Config.PlanFile, "report": j.Config.Report} {
		if filepath.Clean(path) == j.bakeFile() {
			problems.Add(setting, "give it another name", "%s is what the run writes for bake, beside the plan", path)
		}
	}
}

// repositoryName is the repository's own name, or the clone's folder's.
func (j job) repositoryName() string {
	return path.Base(cmp.Or(j.Event.Repository, filepath.ToSlash(j.Workspace)))
}

// variables are those of an environment by name, but for some.
func variables(environ, without []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && !slices.Contains(without, name) {
			vars[name] = value
		}
	}
	return vars
}

// shortest is how many characters a secret has at least: what is shorter is in too much that is none, and hiding it there
// would make the plan unreadable.
const shortest = 4

// keepSecrets hides the secrets of builds from the log and from every child but the build that names them.
func (j *job) keepSecrets(p Process, log *actions.Log, problems *service.Problems) {
	for _, s := range j.Config.Services {
		names := s.SecretVariables()
		j.withhold(names)
		for _, name := range names {
			value := p.Getenv(name)
			if run.Reserved(name) {
				problems.Add(s.At, "give the value in a variable of its own", "%s: a build may not have %s, which is this program's", s.Name, name)
				continue
			}
			if value != "" && len(value) < shortest {
				problems.Add(s.At, "give a longer one", "%s: the secret in %s has only %d characters, which cannot be kept out of the log", s.Name, name, len(value))
				continue
			}
			log.Mask(value)
		}
	}
}

// withhold takes variables out of what children inherit.
func (j *job) withhold(names []string) {
	j.Environ = slices.DeleteFunc(j.Environ, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
	j.Repo.Env = j.Environ
}

// resolveBase turns the base that was asked for into a commit. A full commit id may be missing here: a
// shallow clone is deepened when the plan needs it.
func (j *job) resolveBase(ctx context.Context, problems *service.Problems) {
	base := &j.Config.Base
	if *base == "" || git.IsID(*base) {
		return
	}
	commit, err := j.Repo.Commit(ctx, *base)
	if err != nil {
		problems.Add("base", "give a commit, branch or tag, and check out with fetch-depth: 0", "%q is no commit of this clone", *base)
		return
	}
	*base = commit
}

// astray says why what is checked out must not be published under the ref's name. Tags are named
// after the event's ref, and a workflow may check something else out: the head of a pull request, say.
func (j job) astray(ctx context.Context) string {
	e := j.Event
	if e.TriggerSHA == "" || e.SHA == e.TriggerSHA || e.Name == "pull_request" {
		return ""
	}
	_ = j.Repo.Fetch(ctx, e.TriggerSHA) // without it no ancestry is found
	if is, err := j.Repo.IsAncestor(ctx, e.SHA, e.TriggerSHA); err == nil && is {
		return ""
	}
	if tip, err := j.tip(j.Event.Ref)(ctx); err == nil {
		if is, err := j.Repo.IsAncestor(ctx, e.SHA, tip); err == nil && is {
			return ""
		}
	}
	return fmt.Sprintf("commit %.7s is checked out, which is not part of %s", e.SHA, e.Ref)
}

// tipTime bounds the question and the fetch that may follow.
const tipTime = time.Minute

// tip asks origin for the commit that a ref is at now, or GitHub where the clone has no right to ask, and brings it into
// the clone where it can.
func (j job) tip(ref string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, tipTime, fmt.Errorf("no answer within %s", tipTime))
		defer cancel()
		sha, err := j.Repo.Tip(ctx, ref)
		if err != nil && j.Config.Token != "" && j.Event.Repository != "" && j.Event.Name != "local" {
			api, unusable := github.New(j.Event.APIURL, j.Event.Repository, j.Config.Token)
			if unusable != nil {
				return "", errors.Join(err, unusable)
			}
			var refused error
			if sha, refused = api.Tip(ctx, ref); refused != nil {
				return "", errors.Join(err, refused)
			}
			err = nil
		}
		if err == nil {
			_ = j.Repo.Fetch(ctx, sha)
		}
		return sha, err
	}
}

// locate finds the clone and, off a runner, reads from it what a runner would have told.
func (j *job) locate(ctx context.Context, p Process) error {
	j.Workspace = cmp.Or(j.Event.Workspace, p.Dir)
	j.Repo = git.Repo{Dir: j.Workspace, Run: p.Run, Env: j.Environ}
	top, err := j.Repo.Top(ctx)
	if err != nil {
		return err
	}
	if j.Event.Workspace == "" {
		j.Workspace, j.Repo.Dir = top, top
	}
	e := &j.Event
	head, err := j.Repo.Head(ctx)
	if err != nil {
		return err
	}
	// What is built is what is checked out, whatever commit the event names.
	e.SHA = head
	if e.Name != "" {
		return nil
	}
	e.Name = "local"
	e.Ref = cmp.Or(e.Ref, j.Repo.Ref(ctx))
	e.DefaultBranch = cmp.Or(e.DefaultBranch, j.Repo.DefaultBranch(ctx), "main")
	if e.Repository == "" {
		e.Repository = repositoryOf(j.Repo.Remote(ctx))
		e.Owner, _, _ = strings.Cut(e.Repository, "/")
	}
	return nil
}

// repositoryOf reads owner/name from a remote's address; empty where it does not look like one.
func repositoryOf(remote string) string {
	name := strings.TrimSuffix(remote, ".git")
	if _, rest, ok := strings.Cut(name, "://"); ok {
		_, name, _ = strings.Cut(rest, "/")
	} else if _, rest, ok := strings.Cut(name, ":"); ok {
		name = rest
	}
	parts := strings.Split(name, "/")
	if len(parts) != 2 || slices.Contains(parts, "") {
		return ""
	}
	return name
}

// tempDir is the runner's folder for temporary files. Older runners name one that does not exist
// inside a container.
func tempDir(e actions.Event) string {
	if info, err := os.Stat(e.Temp); err == nil && info.IsDir() {
		return e.Temp
	}
	return os.TempDir()
}

// workDir is where plan, report and the scanner's database are kept: on a runner in its folder for temporary
// files, elsewhere in the user's cache, which is nobody else's.
func workDir(p Process, e actions.Event) string {
	if e.Temp != "" {
		return filepath.Join(tempDir(e), "ghcr-publish")
	}
	if home := p.Getenv("HOME"); home != "" {
		return filepath.Join(cmp.Or(p.Getenv("XDG_CACHE_HOME"), filepath.Join(home, ".cache")), "ghcr-publish")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("ghcr-publish-%d", os.Getuid()))
}

// filesDir is where what a run tells is written by default: beside the database, and off a runner in a folder of the clone's own.
func (j job) filesDir(p Process) string {
	dir := workDir(p, j.Event)
	if j.Event.Temp != "" {
		return dir
	}
	sum := sha256.Sum256([]byte(j.Workspace))
	return filepath.Join(dir, fmt.Sprintf("%s-%x", filepath.Base(j.Workspace), sum[:4]))
}

// registryToken is the password for the registry.
func (j job) registryToken() string {
	if j.personal {
		return j.Config.RegistryToken
	}
	return cmp.Or(j.Config.RegistryToken, j.Config.Token)
}

func (j job) registryLogin() login {
	return login{j.Config.Registry, j.Config.Username, j.registryToken()}
}

// plainHTTP reports whether the registry is spoken to without TLS: where that was asked for, and on loopback.
func (j job) plainHTTP() bool {
	host, err := name.NewRegistry(j.Config.Registry)
	return j.Config.PlainHTTP || err == nil && isLoopback(host.RegistryStr())
}

func isLoopback(host string) bool {
	if i := strings.LastIndex(host, ":"); i > 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "[::1]"
}

// publishing are the events whose runs publish by themselves. All others only try: pull requests, a merge
// queue, whose commit may never land, and whatever GitHub adds.
var publishing = []string{"push", "release", "schedule", "workflow_dispatch", "repository_dispatch", "workflow_run"}

// mergeQueue is the event of a branch that is made to try a commit out, and may never be another's.
const mergeQueue = "merge_group"

// pushes reports whether the run publishes.
func (j job) pushes() bool {
	switch {
	case j.Config.DryRun || j.Config.Push == "false" || j.Event.Fork:
		return false
	case j.Config.Push == "true":
		return true
	default:
		return slices.Contains(publishing, j.Event.Name)
	}
}
