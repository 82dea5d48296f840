// Package sample makes a git repository of the sample monorepo, for demonstrations and tests, and
// describes the job that a workflow would run in it.
package sample

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
)

// Services of the sample, and their images' names.
var (
	Services = []string{"backend", "frontend", "auth"}
	Images   = map[string]string{"backend": "prompt-card-backend", "frontend": "prompt-card-frontend", "auth": "prompt-card-auth"}
)

// A Repo is a clone of the sample.
type Repo struct {
	Dir string
	env []string
}

// New copies the sample of this module, which dir must be inside of, to a folder and commits it on branch
// main. Its origin is a bare repository beside that folder.
func New(ctx context.Context, dir, to string) (*Repo, error) {
	from, err := find(dir)
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return nil, fmt.Errorf("copying the sample: %w", err)
	}
	r := &Repo{Dir: to, env: append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		"GIT_AUTHOR_NAME=Sample", "GIT_AUTHOR_EMAIL=sample@example.com", "GIT_COMMITTER_NAME=Sample", "GIT_COMMITTER_EMAIL=sample@example.com")}
	origin := to + ".origin"
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"init", "--quiet", "--bare", origin}, {"remote", "add", "origin", origin}} {
		if _, err := r.Git(ctx, args...); err != nil {
			return nil, err
		}
	}
	_, err = r.Commit(ctx, "The sample", nil)
	return r, err
}

// find looks for the sample from dir upwards.
func find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		sample := filepath.Join(dir, "testdata", "monorepo")
		if _, err := os.Stat(filepath.Join(sample, ".github", "ghcr-publish.yml")); err == nil {
			return sample, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("testdata/monorepo is not here; run this inside the clone of ghcr-publish")
		}
	}
}

// Git runs git in the clone.
func (r *Repo) Git(ctx context.Context, args ...string) (string, error) {
	out, err := run.OS(ctx, run.Command{Argv: append([]string{"git"}, args...), Dir: r.Dir, Env: r.env})
	return strings.TrimSpace(string(out)), err
}

// Commit writes files, by path, commits everything and pushes it to branch main of origin; it returns the commit.
func (r *Repo) Commit(ctx context.Context, message string, files map[string]string) (string, error) {
	for name, content := range files {
		path := filepath.Join(r.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	if _, err := r.Git(ctx, "add", "--all", "--", ".", ":!.swarm"); err != nil {
		return "", err
	}
	if _, err := r.Git(ctx, "commit", "--quiet", "--allow-empty", "--message", message); err != nil {
		return "", err
	}
	if _, err := r.Git(ctx, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main"); err != nil {
		return "", err
	}
	return r.Git(ctx, "rev-parse", "HEAD")
}

// Read returns a file of the clone.
func (r *Repo) Read(name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(r.Dir, name))
	return string(data), err
}

// vulnerable is what makes the arm64 image of a service carry a package with a critical vulnerability, and that one alone.
const vulnerable = `ARG TARGETARCH
RUN if [ "$TARGETARCH" = arm64 ]; then \
      mkdir -p /app/node_modules/minimist && \
      echo '{"name": "minimist", "version": "0.0.8"}' >/app/node_modules/minimist/package.json; \
    fi
USER `

// Weaken returns a Dockerfile of the sample whose arm64 image has a CRITICAL finding (CVE-2021-44906).
func Weaken(dockerfile string) string { return strings.Replace(dockerfile, "USER ", vulnerable, 1) }

// A Job is one run of a workflow.
type Job struct {
	ID    string // GITHUB_RUN_ID
	Event string // GITHUB_EVENT_NAME; empty means push
	Ref   string // GITHUB_REF; empty means refs/heads/main
	API   string // GITHUB_API_URL; empty leaves GitHub's own
	Token string
	Temp  string // RUNNER_TEMP: a folder that exists
}

// Owner is who the sample belongs to: in capitals, as owners may be and images may not.
const Owner = "Octo-Org"

// Environ is what the runner sets for a job, on top of base.
func (r *Repo) Environ(base []string, j Job) ([]string, error) {
	event, err := json.Marshal(map[string]any{"repository": map[string]any{"default_branch": "main", "full_name": Owner + "/cards"}})
	if err != nil {
		return nil, err
	}
	payload := filepath.Join(j.Temp, "event.json")
	if err := os.WriteFile(payload, event, 0o644); err != nil {
		return nil, fmt.Errorf("writing the event: %w", err)
	}
	env := slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		return strings.HasPrefix(entry, "GITHUB_") || strings.HasPrefix(entry, "INPUT_") || strings.HasPrefix(entry, "RUNNER_")
	})
	set := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": or(j.Event, "push"), "GITHUB_REF": or(j.Ref, "refs/heads/main"),
		"GITHUB_REPOSITORY": Owner + "/cards", "GITHUB_REPOSITORY_OWNER": Owner, "GITHUB_ACTOR": "octocat",
		"GITHUB_RUN_ID": j.ID, "GITHUB_RUN_ATTEMPT": "1", "GITHUB_WORKSPACE": r.Dir, "RUNNER_TEMP": j.Temp,
		"GITHUB_EVENT_PATH": payload, "GITHUB_OUTPUT": filepath.Join(j.Temp, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(j.Temp, "summary.md"),
	}
	if j.API != "" {
		set["GITHUB_API_URL"] = j.API
	}
	if j.Token != "" {
		set["INPUT_TOKEN"] = j.Token
	}
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	return env, nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
