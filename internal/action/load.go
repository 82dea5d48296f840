package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

// A job is all that a run was told, proven, in one value.
type job struct {
	Config    service.Config
	Event     actions.Event
	Rules     tags.Rules
	Repo      git.Repo
	Workspace string   // absolute
	Environ   []string // what children inherit
}

// load reads environment, event, flags, inputs and the configuration file once. Every mistake is in the error.
func load(ctx context.Context, p Process, flags flags, log *actions.Log) (job, error) {
	var problems service.Problems
	j := job{Environ: childEnviron(p.Environ)}
	j.Event = actions.ReadEvent(p.Getenv, &problems)
	if err := j.locate(ctx, p); err != nil {
		problems.Add("workspace", "check the repository out first, or run inside a clone", "%v", err)
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
			"token": p.Getenv("GITHUB_TOKEN"), "temp": filepath.Join(tempDir(j.Event), "ghcr-publish")},
	})
	log.Mask(j.Config.Token)
	log.Mask(j.Config.RegistryToken)
	var wrong service.Problems
	if errors.As(err, &wrong) {
		problems = append(problems, wrong...)
	}
	var mistakes []error
	j.Rules, mistakes = tags.Parse(j.Config.Tags)
	for _, m := range mistakes {
		problems.Add(cmp.Or(j.Config.File, "tags"), "", "%v", m)
	}
	if preflight := plan.Preflight(j.Workspace, j.Config.Services); errors.As(preflight, &wrong) {
		problems = append(problems, wrong...)
	}
	return j, problems.Err()
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
	e.DefaultBranch = cmp.Or(e.DefaultBranch, "main")
	if e.Repository == "" {
		e.Repository = repositoryOf(j.Repo.Remote(ctx))
		e.Owner, _, _ = strings.Cut(e.Repository, "/")
	}
	return nil
}

// repositoryOf reads owner/name from a remote's address; empty where it does not look like one.
func repositoryOf(remote string) string {
	path := strings.TrimSuffix(remote, ".git")
	if _, rest, ok := strings.Cut(path, "://"); ok {
		_, path, _ = strings.Cut(rest, "/")
	} else if _, rest, ok := strings.Cut(path, ":"); ok {
		path = rest
	}
	parts := strings.Split(path, "/")
	if len(parts) != 2 || slices.Contains(parts, "") {
		return ""
	}
	return path
}

// tempDir is the runner's folder for temporary files. Older runners name one that does not exist
// inside a container.
func tempDir(e actions.Event) string {
	if info, err := os.Stat(e.Temp); e.Temp != "" && err == nil && info.IsDir() {
		return e.Temp
	}
	return os.TempDir()
}

// private are the variables that no child needs: inputs, and tokens of which each child gets its
// own, by its private configuration, if any.
var private = []string{"INPUT_", "GITHUB_TOKEN=", "GH_TOKEN=", "ACTIONS_RUNTIME_TOKEN=", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=", "DOCKER_CONFIG=", "BUILDX_CONFIG="}

func childEnviron(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		return slices.ContainsFunc(private, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}

// registryToken is the password for the registry.
func (j job) registryToken() string { return cmp.Or(j.Config.RegistryToken, j.Config.Token) }

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

// pushes reports whether the run publishes: pull requests and laptops only try, unless told otherwise.
func (j job) pushes() bool {
	switch {
	case j.Config.DryRun || j.Config.Push == "false" || j.Event.Fork:
		return false
	case j.Config.Push == "true":
		return true
	default:
		return j.Event.Name != "local" && !strings.HasPrefix(j.Event.Name, "pull_request")
	}
}
