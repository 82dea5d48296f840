package action_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/action"
	"github.com/org/ghcr-publish/internal/doctor"
	"github.com/org/ghcr-publish/internal/enginetest"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/resultstest"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
)

const (
	workflowPath = ".github/workflows/publish.yml"
	configPath   = ".github/ghcr-publish.yml"
)

// A clinic is the sample in good health: its workflow is the one that is documented, its images are published and public, its token may
// do all, and everything that it is built with is there.
type clinic struct {
	t       *testing.T
	repo    *sample.Repo
	github  *githubtest.Server
	results *resultstest.Server
	host    string // of the registry
	env     map[string]string
	// What the registry does amiss.
	private bool
	refusal string // of who begins an upload
	ahead   time.Duration
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	dir := t.TempDir()
	repo, err := sample.New(t.Context(), ".", filepath.Join(dir, "cards"))
	if err != nil {
		t.Fatal(err)
	}
	c := &clinic{t: t, repo: repo, github: githubtest.Start(scriptToken), results: resultstest.Start()}
	t.Cleanup(c.github.Close)
	t.Cleanup(c.results.Close)
	engine := enginetest.Start()
	t.Cleanup(engine.Close)
	server := httptest.NewServer(c.guard(registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	t.Cleanup(server.Close)
	c.host = strings.TrimPrefix(server.URL, "http://")
	for _, service := range sample.Services {
		c.publish(c.image(service) + ":main")
	}
	c.publish(c.host + "/aquasec/trivy-db:2")
	c.write(workflowPath, c.example("publish.yml"))
	if c.env, err = c.environ(dir, engine.Host()); err != nil {
		t.Fatal(err)
	}
	sha, err := repo.Commit(t.Context(), "all is well", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.github.SetRef("heads/main", sha)
	return c
}

// environ is what a job gets.
func (c *clinic) environ(dir, engine string) (map[string]string, error) {
	temp, findings := filepath.Join(dir, "runner"), filepath.Join(dir, "findings")
	for _, folder := range []string{temp, findings} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	vars, err := c.repo.Environ(os.Environ(), sample.Job{ID: "1", API: c.github.URL, Token: scriptToken, Temp: temp})
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for _, entry := range vars {
		key, value, _ := strings.Cut(entry, "=")
		env[key] = value
	}
	maps.Copy(env, map[string]string{
		"HOME": dir, "DOCKER_HOST": engine, "CALLS": filepath.Join(dir, "calls"), "FINDINGS": findings, "INPUT_REGISTRY": c.host, "INPUT_TRIVY-DB": c.host + "/aquasec/trivy-db:2", "HTTPS_PROXY": "http://127.0.0.1:1",
		"ACTIONS_RESULTS_URL": c.results.URL, "ACTIONS_RUNTIME_TOKEN": c.results.CacheToken("run", "job", resultstest.Permission{Scope: "refs/heads/main", Permission: 3}),
		"ACTIONS_ID_TOKEN_REQUEST_URL": c.results.URL, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "token", "RUNNER_ENVIRONMENT": "github-hosted",
		"GITHUB_WORKFLOW_REF": sample.Owner + "/cards/" + workflowPath + "@refs/heads/main", "GITHUB_JOB": "publish", "GITHUB_ACTION_REPOSITORY": "org/ghcr-publish",
	})
	delete(env, "KUBERNETES_SERVICE_HOST")
	return env, os.WriteFile(env["GITHUB_EVENT_PATH"], []byte(`{"repository": {"default_branch": "main", "full_name": "Octo-Org/cards", "visibility": "public", "owner": {"type": "Organization"}}}`), 0o644)
}

// guard is a registry that lets everybody pull, and who has the token push.
func (c *clinic) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
		_, password, _ := r.BasicAuth()
		known, reads := password == scriptToken, r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case c.refusal != "" && r.Method == http.MethodPost:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, c.refusal)
		case !known && (!reads || c.private && r.URL.Path != "/v2/"):
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func denied(message string) string {
	return fmt.Sprintf(`{"errors":[{"code":"DENIED","message":%q}]}`, message)
}

func (c *clinic) publish(image string) {
	c.t.Helper()
	ref, err := name.NewTag(image)
	if err != nil {
		c.t.Fatal(err)
	}
	content, err := random.Image(10, 1)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := remote.Write(ref, content, remote.WithAuth(&authn.Basic{Username: "octocat", Password: scriptToken})); err != nil {
		c.t.Fatal(err)
	}
}

func (c *clinic) image(service string) string {
	return c.host + "/octo-org/" + sample.Images[service]
}

func (c *clinic) example(file string) string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join("../../.github/examples", file))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

func (c *clinic) read(file string) string {
	c.t.Helper()
	text, err := c.repo.Read(file)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

func (c *clinic) write(file, text string) {
	c.t.Helper()
	path := filepath.Join(c.repo.Dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// edit replaces something in a file, once, which must be there.
func (c *clinic) edit(file, old, new string) {
	c.t.Helper()
	text := c.read(file)
	if !strings.Contains(text, old) {
		c.t.Fatalf("%s does not hold %q", file, old)
	}
	c.write(file, strings.Replace(text, old, new, 1))
}

func (c *clinic) git(args ...string) {
	c.t.Helper()
	if _, err := c.repo.Git(c.t.Context(), args...); err != nil {
		c.t.Fatal(err)
	}
}

// set sets variables, of which an empty one is not there.
func (c *clinic) set(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		c.env[pairs[i]] = pairs[i+1]
	}
}

// tell is what a fake program says of itself.
func (c *clinic) tell(file, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.env["FINDINGS"], file), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// shallow makes the clone one of its last commit alone.
func (c *clinic) shallow() {
	c.t.Helper()
	away := c.repo.Dir + ".deep"
	if err := os.Rename(c.repo.Dir, away); err != nil {
		c.t.Fatal(err)
	}
	if _, err := run.OS(c.t.Context(), run.Command{Argv: []string{"git", "clone", "--quiet", "--depth=1", "--branch=main", "file://" + c.repo.Dir + ".origin", c.repo.Dir}, Env: os.Environ()}); err != nil {
		c.t.Fatal(err)
	}
}

// examine runs the program. What is on standard output is what programs read; what people read is the log.
func (c *clinic) examine() (code int, told doctor.Examination, log string) {
	c.t.Helper()
	var environ []string
	for key, value := range c.env {
		if value != "" {
			environ = append(environ, key+"="+value)
		}
	}
	var out, errors bytes.Buffer
	code = action.Main(c.t.Context(), action.Process{Name: "ghcr-publish", Args: []string{"doctor", "--json"}, Environ: environ, Dir: c.repo.Dir,
		Stdout: &out, Stderr: &errors, Run: run.OS, Now: time.Now, Version: "test"})
	if err := json.Unmarshal(out.Bytes(), &told); err != nil {
		c.t.Fatalf("exit code %d, %v:\n%s\n%s", code, err, out.String(), errors.String())
	}
	return code, told, errors.String()
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	code, told, log := c.examine()
	if code != report.ExitDone || told.Counts[doctor.Fine] != len(told.Findings) || len(told.Findings) < 20 {
		t.Errorf("exit code %d\n%s", code, log)
	}
	if calls, err := os.ReadFile(c.env["CALLS"]); err != nil || strings.Contains(string(calls), "build ") {
		t.Errorf("something was built (%v): %s", err, calls)
	}
	if problems := append(c.github.Problems(), c.results.Problems()...); len(problems) > 0 {
		t.Errorf("a server refused %q", problems)
	}
	if strings.Contains(log, scriptToken) && !strings.Contains(log, "add-mask") {
		t.Error("the log holds the token")
	}
}

// A misconfiguration is something that people get wrong.
type misconfiguration struct {
	around func(*clinic) // what it is to be told from: in these circumstances all is well
	wrong  func(*clinic)
	check  string // that finds it
	state  doctor.State
	found  string
	fix    string // REGISTRY stands for its address
}

func misconfigurations() map[string]misconfiguration {
	return map[string]misconfiguration{
		"a Dockerfile is missing": {
			wrong: func(c *clinic) { c.git("rm", "--quiet", "backend/Dockerfile") },
			check: "configuration", state: doctor.Problem, found: `backend: dockerfile "backend/Dockerfile" is not there`, fix: "give the path of a Dockerfile"},
		"a context is missing": {
			wrong: func(c *clinic) { c.edit(configPath, "context: auth", "context: outh") },
			check: "configuration", state: doctor.Problem, found: `auth: context "outh" is not there`, fix: "give a folder of the repository"},
		"a context carries the checkout's token into the image": {
			around: func(c *clinic) {
				c.git("config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic c2VjcmV0")
			},
			wrong: func(c *clinic) { c.git("rm", "--quiet", ".dockerignore") },
			check: "configuration", state: doctor.Problem, found: "its context holds .git/config, which carries credentials", fix: "add the line `**/.git` to .dockerignore"},
		"the checkout leaves its token in the clone": {
			wrong: func(c *clinic) {
				c.git("config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic c2VjcmV0")
			},
			check: "credentials", state: doctor.Advice, found: "the checkout left its token in the clone", fix: "    persist-credentials: false"},
		"the secret of the token does not exist": {
			wrong: func(c *clinic) { c.set("INPUT_TOKEN", "") },
			check: "token", state: doctor.Problem, found: "there is none", fix: "  token: ${{ github.token }}"},
		"the token has expired": {
			wrong: func(c *clinic) { c.set("INPUT_TOKEN", "ghp_expired0000000000000000000000000000") },
			check: "contents: read", state: doctor.Problem, found: "GitHub does not know the token", fix: "https://github.com/Octo-Org/cards/settings/secrets/actions"},
		"the token may not read the repository": {
			wrong: func(c *clinic) { c.github.Fail(1, http.StatusNotFound, nil, "") },
			check: "contents: read", state: doctor.Problem, found: "the token may not read the repository", fix: "permissions:\n  contents: read"},
		"the token may not write packages": {
			wrong: func(c *clinic) { c.refusal = denied("installation not allowed to Write organization package") },
			check: "packages: write", state: doctor.Problem, found: "installation not allowed to Write organization package", fix: "permissions:\n  contents: read\n  packages: write"},
		"the package is not linked to the repository": {
			wrong: func(c *clinic) { c.refusal = denied("permission_denied: write_package") },
			check: "packages: write", state: doctor.Problem, found: "permission_denied: write_package", fix: "under Manage Actions access, add the repository with the role Write:\nhttps://github.com/orgs/octo-org/packages/container/prompt-card-backend/settings"},
		"a proxy answers in place of the registry": {
			wrong: func(c *clinic) { c.refusal = "<!DOCTYPE html><html><title>Blocked by policy</title></html>" },
			check: "packages: write", state: doctor.Problem, found: "prompt-card-backend cannot be pushed", fix: "a web page answered in place of the registry"},
		"the repository may not clean up a package": {
			around: (*clinic).cleans,
			wrong: func(c *clinic) {
				c.edit(configPath, "image: prompt-card-auth", "image: prompt-card-other")
				c.publish(c.host + "/octo-org/prompt-card-other:main")
			},
			check: "clean-up", state: doctor.Problem, found: "the versions of REGISTRY/octo-org/prompt-card-other cannot be listed", fix: "under Manage Actions access, add the repository with the role Admin:\nhttps://github.com/orgs/octo-org/packages/container/prompt-card-other/settings"},
		"a fine-grained token is to clean up": {
			around: (*clinic).cleans,
			wrong:  func(c *clinic) { c.set("INPUT_TOKEN", "github_pat_00000000000000000000") },
			check:  "clean-up", state: doctor.Problem, found: "a fine-grained personal access token neither lists nor deletes", fix: "a classic personal access token with read:packages and delete:packages"},
		"the job's permissions forget what is live": {
			around: func(c *clinic) {
				c.cleans()
				c.edit(workflowPath, "      packages: write\n", "      packages: write\n      pull-requests: read\n      deployments: read\n")
			},
			wrong: func(c *clinic) { c.edit(workflowPath, "      deployments: read\n", "") },
			check: "permissions", state: doctor.Advice, found: "job publish lacks `deployments: read` (what is live)", fix: "  deployments: read"},
		"the images of a public repository are private": {
			wrong: func(c *clinic) { c.private = true },
			check: "visibility", state: doctor.Advice, found: "nobody else can pull it", fix: "Change visibility, on https://github.com/orgs/octo-org/packages/container/prompt-card-auth/settings"},
		"an image was never published": {
			wrong: func(c *clinic) { c.edit(configPath, "image: prompt-card-auth", "image: prompt-card-new") },
			check: "visibility", state: doctor.Unknown, found: "prompt-card-new is not published yet", fix: "https://github.com/orgs/octo-org/packages/container/prompt-card-new/settings"},
		"a step names an image in capitals": {
			around: func(c *clinic) { c.edit(workflowPath, "run: echo", "run: docker pull "+c.image("auth")+":main; echo") },
			wrong: func(c *clinic) {
				c.edit(workflowPath, c.image("auth"), c.host+"/${{ github.repository_owner }}/prompt-card-auth")
			},
			check: "names", state: doctor.Advice, found: "whose capitals no registry takes", fix: "REGISTRY/octo-org/prompt-card-auth"},
		"images are to be signed and the job has no identity": {
			around: func(c *clinic) { c.set("INPUT_SIGN", "keyless") },
			wrong:  func(c *clinic) { c.set("ACTIONS_ID_TOKEN_REQUEST_URL", "") },
			check:  "id-token: write", state: doctor.Problem, found: "ACTIONS_ID_TOKEN_REQUEST_URL is not set", fix: "permissions:\n  id-token: write"},
		"code scanning is switched off": {
			around: func(c *clinic) { c.github.WithholdAlerts(http.StatusNotFound, "no analysis found") },
			wrong: func(c *clinic) {
				c.github.WithholdAlerts(http.StatusForbidden, "Code Security must be enabled for this repository to use code scanning.")
			},
			check: "code scanning", state: doctor.Advice, found: "Code Security must be enabled", fix: "https://github.com/Octo-Org/cards/settings/security_analysis"},
		"the token may not upload findings": {
			wrong: func(c *clinic) {
				c.github.WithholdAlerts(http.StatusForbidden, "Resource not accessible by integration")
			},
			check: "code scanning", state: doctor.Advice, found: "the token lacks `security-events: write`", fix: "permissions:\n  security-events: write"},
		"the job's permissions forget the images": {
			wrong: func(c *clinic) { c.edit(workflowPath, "      packages: write\n", "") },
			check: "permissions", state: doctor.Problem, found: "job publish lacks `packages: write` (the images)", fix: "permissions:\n  contents: read\n  packages: write\n  security-events: write\n  id-token: write\n  attestations: write\n  actions: read"},
		"the job's permissions forget the signatures": {
			wrong: func(c *clinic) { c.edit(workflowPath, "      id-token: write\n", "") },
			check: "permissions", state: doctor.Advice, found: "job publish lacks `id-token: write` (the signatures)", fix: "  id-token: write"},
		"the workflow gives no permissions": {
			wrong: (*clinic).takePermissions,
			check: "permissions", state: doctor.Advice, found: "job publish says no `permissions`", fix: "  packages: write"},
		"nobody can tell what the job is given": {
			wrong: func(c *clinic) {
				c.set("GITHUB_WORKFLOW_REF", "octo-org/shared/.github/workflows/publish.yml@refs/heads/main")
			},
			check: "permissions", state: doctor.Unknown, found: "the workflow is octo-org/shared's", fix: "Set up job, GITHUB_TOKEN Permissions"},
		"runs do not wait for each other": {
			wrong: func(c *clinic) { c.edit(workflowPath, "concurrency:\n  group: publish-${{ github.ref }}\n", "") },
			check: "concurrency", state: doctor.Advice, found: "runs of job publish do not wait for each other", fix: "concurrency:\n  group: publish-${{ github.ref }}"},
		"no job puts the rows of the matrix together": {
			around: func(c *clinic) { c.write(workflowPath, c.example("matrix.yml")) },
			wrong: func(c *clinic) {
				text := c.read(workflowPath)
				c.write(workflowPath, text[:strings.Index(text, "  finalize:")])
			},
			check: "jobs", state: doctor.Problem, found: "no job here puts them together: without that no tag ever moves", fix: "      with: {mode: finalize}"},
		"no job makes the plan": {
			around: func(c *clinic) { c.write(workflowPath, c.example("matrix.yml")) },
			wrong:  func(c *clinic) { c.edit(workflowPath, "mode: plan", "mode: rescan") },
			check:  "jobs", state: doctor.Problem, found: "job publish works on rows of a plan that no job here makes", fix: "      with: {mode: plan}"},
		"finalize does not wait for the rows": {
			around: func(c *clinic) { c.write(workflowPath, c.example("matrix.yml")) },
			wrong:  func(c *clinic) { c.edit(workflowPath, "needs: [plan, publish]", "needs: plan") },
			check:  "jobs", state: doctor.Problem, found: "job finalize does not wait for job publish", fix: "  needs: [plan, publish]"},
		"each row of a matrix is a run of its own": {
			around: func(c *clinic) { c.edit(configPath, "services:", "promote: per-service\nservices:"); c.matrix() },
			wrong:  func(c *clinic) { c.edit(configPath, "promote: per-service\n", "") },
			check:  "jobs", state: doctor.Advice, found: "each row of the matrix of job publish is a run of its own", fix: "mode: publish"},
		"the job runs where there are no containers": {
			wrong: func(c *clinic) { c.edit(workflowPath, "runs-on: ubuntu-latest", "runs-on: windows-latest") },
			check: "runner", state: doctor.Problem, found: "job publish runs on windows-latest", fix: "runs-on: ubuntu-latest"},
		"the clone is shallow": {
			wrong: func(c *clinic) { c.shallow() },
			check: "history", state: doctor.Advice, found: "the clone is shallow", fix: "    fetch-depth: 0"},
		"the clone is shallow, and cannot be deepened": {
			around: func(c *clinic) { c.git("remote", "set-url", "origin", "/nowhere") },
			wrong:  func(c *clinic) { c.shallow(); c.git("remote", "set-url", "origin", "/nowhere") },
			check:  "history", state: doctor.Problem, found: "so everything is built each time", fix: "    fetch-depth: 0"},
		"the cache is read-only": {
			around: func(c *clinic) { c.set("ACTIONS_CACHE_MODE", "write") },
			wrong:  func(c *clinic) { c.set("ACTIONS_CACHE_MODE", "read") },
			check:  "cache", state: doctor.Advice, found: `"read"`, fix: "cache-mode: write"},
		"the cache is asked for and not granted": {
			around: func(c *clinic) { c.set("INPUT_CACHE", "gha") },
			wrong: func(c *clinic) {
				c.set("ACTIONS_RUNTIME_TOKEN", c.results.CacheToken("run", "job", resultstest.Permission{Scope: "refs/heads/main", Permission: 1}))
			},
			check: "cache", state: doctor.Advice, found: "this run's token may not write to the cache", fix: "cache: auto"},
		"the cache is full": {
			around: func(c *clinic) { c.github.FillCache(5<<30, 10) },
			wrong:  func(c *clinic) { c.github.FillCache(9900<<20, 10) },
			check:  "cache", state: doctor.Advice, found: "full to 97% of 10GiB", fix: "https://github.com/Octo-Org/cards/settings/actions"},
		"the token may not ask how full the cache is": {
			wrong: func(c *clinic) { c.github.WithholdCacheUsage() },
			check: "cache space", state: doctor.Advice, found: "the token lacks `actions: read`", fix: "permissions:\n  actions: read"},
		"no Docker Engine is within reach": {
			wrong: func(c *clinic) { c.set("DOCKER_HOST", "tcp://127.0.0.1:1") },
			check: "engine", state: doctor.Problem, found: "no Docker Engine is within reach", fix: "mount /var/run/docker.sock, set DOCKER_HOST"},
		"the runner is a pod without a Docker socket": {
			around: func(c *clinic) { c.set("KUBERNETES_SERVICE_HOST", "10.0.0.1") },
			wrong:  func(c *clinic) { c.set("DOCKER_HOST", "unix://"+c.env["HOME"]+"/docker.sock") },
			check:  "engine", state: doctor.Problem, found: "a runner on Kubernetes gives containers no Docker socket", fix: "containerMode: {type: dind}"},
		"the builder does not start": {
			around: func(c *clinic) { c.set("INPUT_BUILDER", "mine") },
			wrong:  func(c *clinic) { c.set("INPUT_BUILDER", "broken") },
			check:  "builder", state: doctor.Problem, found: "no space left on device", fix: "docker buildx inspect --bootstrap"},
		"a remote builder does not answer": {
			wrong: func(c *clinic) {
				c.edit(configPath, "services:", "builders:\n  - {driver: remote, endpoint: 'tcp://127.0.0.1:1', platforms: [linux/amd64, linux/arm64]}\nservices:")
			},
			check: "builder", state: doctor.Problem, found: "tcp://127.0.0.1:1", fix: "take it out of `builders`"},
		"a platform has no emulator": {
			wrong: func(c *clinic) { c.edit(configPath, "linux/arm64]", "linux/arm64, windows/amd64]") },
			check: "platforms", state: doctor.Problem, found: "windows/amd64, and no emulator does", fix: "platforms: [linux/amd64, linux/arm64, linux/386]"},
		"emulation is off and wanted": {
			around: func(c *clinic) { c.edit(configPath, "linux/arm64]", "linux/arm64, linux/s390x]") },
			wrong:  func(c *clinic) { c.set("INPUT_EMULATION", "off") },
			check:  "platforms", state: doctor.Problem, found: "does not build for linux/s390x, and emulation is off", fix: "emulation: auto"},
		"Trivy is one of the malicious releases": {
			wrong: func(c *clinic) { c.tell("trivy-version", "0.69.5") },
			check: "programs", state: doctor.Problem, found: "releases 0.69.4 to 0.69.6 were malicious", fix: "replace it at once by 0.69.3"},
		"buildx is too old": {
			wrong: func(c *clinic) { c.tell("buildx-version", "v0.12.1") },
			check: "programs", state: doctor.Problem, found: "version 0.12.1", fix: "https://github.com/docker/buildx/releases"},
		"the clock is wrong": {
			around: func(c *clinic) { c.ahead = 2 * time.Minute },
			wrong:  func(c *clinic) { c.ahead = time.Hour },
			check:  "clock", state: doctor.Problem, found: "behind that of", fix: "set it by NTP"},
		"the pull request is from a fork": {
			around: func(c *clinic) { c.pullRequest("Octo-Org/cards") },
			wrong:  func(c *clinic) { c.pullRequest("somebody/cards") },
			check:  "event", state: doctor.Advice, found: "the pull request is from a fork, whose token may only read", fix: "merge it, or push its branch to this repository"},
		"Dependabot's token may only read": {
			around: func(c *clinic) { c.set("GITHUB_ACTOR", "dependabot[bot]") },
			wrong:  (*clinic).takePermissions,
			check:  "dependabot", state: doctor.Advice, found: "Dependabot started the run", fix: "https://github.com/Octo-Org/cards/settings/secrets/dependabot"},
		"the vulnerability database is out of reach": {
			around: func(c *clinic) {
				c.set("INPUT_TRIVY-DB", "127.0.0.1:1/aquasec/trivy-db:2, "+c.host+"/aquasec/trivy-db:2")
			},
			wrong: func(c *clinic) { c.set("INPUT_TRIVY-DB", "127.0.0.1:1/aquasec/trivy-db:2") },
			check: "vulnerability database", state: doctor.Problem, found: "connection refused", fix: "trivy_db: [mirror.gcr.io/aquasec/trivy-db:2"},
		"a mirror takes nothing from whom it does not know": {
			around: func(c *clinic) {
				c.set("MIRROR_TOKEN", scriptToken)
				c.edit(configPath, "services:", "mirrors: [{image: '"+c.host+"/copies/{{name}}', username: me, password: env:MIRROR_TOKEN}]\nservices:")
			},
			wrong: func(c *clinic) { c.edit(configPath, ", username: me, password: env:MIRROR_TOKEN", "") },
			check: "mirrors", state: doctor.Problem, found: "/copies/prompt-card-auth cannot be pushed", fix: "password: env:MIRROR_TOKEN"},
		"a build's secret is not handed to the step": {
			around: func(c *clinic) {
				c.edit(configPath, "    context: auth\n", "    context: auth\n    secrets: {npm: env:NPM_TOKEN}\n")
				c.set("NPM_TOKEN", "npm_0123456789")
			},
			wrong: func(c *clinic) { c.set("NPM_TOKEN", "") },
			check: "secrets", state: doctor.Advice, found: "NPM_TOKEN", fix: "  NPM_TOKEN: ${{ secrets.NPM_TOKEN }}"},
		"the job is given every right": {
			wrong: func(c *clinic) {
				c.takePermissions()
				c.edit(workflowPath, "jobs:\n", "permissions: write-all\njobs:\n")
			},
			check: "permissions", state: doctor.Advice, found: "job publish is given every right there is", fix: "  packages: write"},
		"the registry cannot be reached": {
			wrong: func(c *clinic) { c.set("INPUT_REGISTRY", "127.0.0.1:1") },
			check: "registry", state: doctor.Problem, found: "connection refused", fix: "see that `registry` is the registry's address"},
		"the images of another GitHub go to ghcr.io": {
			around: func(c *clinic) {
				c.set("GITHUB_SERVER_URL", "https://octo.ghe.com", "INPUT_REGISTRY", "containers.octo.ghe.com")
			},
			wrong: func(c *clinic) { c.set("INPUT_REGISTRY", "ghcr.io") },
			check: "server", state: doctor.Problem, found: "the repository is on octo.ghe.com, and its token is good for nothing on ghcr.io", fix: "registry: containers.octo.ghe.com"},
		"the registry is one that is no more": {
			wrong: func(c *clinic) { c.set("INPUT_REGISTRY", "docker.pkg.github.com") },
			check: "server", state: doctor.Problem, found: "docker.pkg.github.com is no more", fix: "registry: ghcr.io"},
	}
}

// cleans has runs clean up the packages, which the repository may do.
func (c *clinic) cleans() {
	c.t.Helper()
	c.write(configPath, c.read(configPath)+"\nclean: {after: true}\n")
	for _, service := range sample.Services {
		c.github.Publish("orgs", "octo-org", sample.Images[service], "main")
	}
}

// takePermissions leaves it to the repository's settings what the token may.
func (c *clinic) takePermissions() {
	c.t.Helper()
	c.edit(workflowPath, "permissions:\n  contents: read\n", "")
	text := c.read(workflowPath)
	begin, end := strings.Index(text, "    permissions:"), strings.Index(text, "    steps:")
	c.write(workflowPath, text[:begin]+text[end:])
}

// matrix makes the job one of a matrix.
func (c *clinic) matrix() {
	c.edit(workflowPath, "    runs-on: ubuntu-latest\n", "    runs-on: ubuntu-latest\n    strategy: {matrix: {service: [backend, auth]}}\n")
}

func (c *clinic) pullRequest(from string) {
	c.t.Helper()
	c.set("GITHUB_EVENT_NAME", "pull_request", "GITHUB_REF", "refs/pull/7/merge")
	event := fmt.Sprintf(`{"repository": {"default_branch": "main", "full_name": "Octo-Org/cards", "visibility": "public", "owner": {"type": "Organization"}},
		"pull_request": {"base": {"ref": "main"}, "head": {"repo": {"full_name": %q}}}}`, from)
	if err := os.WriteFile(c.env["GITHUB_EVENT_PATH"], []byte(event), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// of are the findings of a check that are not fine.
func of(check string, told doctor.Examination) []doctor.Finding {
	return slices.DeleteFunc(slices.Clone(told.Findings), func(f doctor.Finding) bool { return f.Check != check || f.State == doctor.Fine })
}

func TestDoctorFindsMisconfigurations(t *testing.T) {
	t.Parallel()
	for title, m := range misconfigurations() {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t)
			if m.around != nil {
				m.around(c)
				if _, told, log := c.examine(); len(of(m.check, told)) > 0 {
					t.Fatalf("before it is wrong:\n%s", log)
				}
			}
			m.wrong(c)
			code, told, log := c.examine()
			fix := strings.ReplaceAll(m.fix, "REGISTRY", c.host)
			i := slices.IndexFunc(of(m.check, told), func(f doctor.Finding) bool {
				return f.State == m.state && strings.Contains(f.Found, strings.ReplaceAll(m.found, "REGISTRY", c.host)) && strings.Contains(f.Fix, fix)
			})
			if i < 0 {
				t.Fatalf("%q with the fix %q was not found:\n%s", m.found, fix, log)
			}
			if wrong := told.Counts[doctor.Problem] > 0; wrong != (code == report.ExitConfig) || !wrong && code != report.ExitDone {
				t.Errorf("exit code %d", code)
			}
			summary, err := os.ReadFile(c.env["GITHUB_STEP_SUMMARY"])
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(fix, "\n") {
				if !strings.Contains(log, line) || !strings.Contains(string(summary), line) {
					t.Errorf("the fix is not printed: %q", line)
				}
			}
		})
	}
}
