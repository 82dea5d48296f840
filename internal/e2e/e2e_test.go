// Package e2e runs the program against real parts: Docker Engine, buildx with BuildKit, emulated
// arm64, Trivy with a real database, git, and a registry that writes down every request.
// `E2E=1 go test ./internal/e2e/...` brings up what is missing; without E2E nothing runs.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/action"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/lab"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// asProgram makes the test binary be the program itself, so that it can be killed like one.
const asProgram = "GHCR_PUBLISH_TEST_AS_PROGRAM"

var (
	parts *lab.Lab
	hub   *recorder
	// trivyCache is TRIVY_CACHE_DIR of every run.
	trivyCache string
	seed       = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random instants")
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		dir, _ := os.Getwd()
		os.Exit(action.Main(ctx, action.Process{Args: os.Args[1:], Environ: os.Environ(), Dir: dir, Stdout: os.Stdout, Stderr: os.Stderr, Run: run.OS, Now: time.Now, Version: "e2e"}))
	}
	flag.Parse()
	os.Exit(withParts(m))
}

func withParts(m *testing.M) int {
	if os.Getenv("E2E") == "" {
		return m.Run() // every test skips itself
	}
	var err error
	if hub, err = startRecorder(); err != nil {
		fmt.Println(err)
		return 1
	}
	defer hub.close()
	parts, err = lab.Up(context.Background(), lab.Options{Install: true, Registry: hub.addr,
		Log: func(format string, args ...any) { fmt.Printf("lab: "+format+"\n", args...) }})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer parts.Close()
	// One database for all tests, fetched anew by the first.
	if trivyCache, err = os.MkdirTemp("", "ghcr-publish-e2e-trivy-"); err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(trivyCache)
	code := m.Run()
	if err := removeBuilder(builder); err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}

// builder is one for all tests of a process: the registry's port, and so BuildKit's configuration, is new each time.
var builder = fmt.Sprintf("ghcr-publish-e2e-%d", os.Getpid())

func removeBuilder(builder string) error {
	env := parts.Environ(os.Environ())
	for _, args := range [][]string{{"create", "--name", builder, "--driver", "docker-container"}, {"rm", "--force", builder}} {
		if _, err := run.OS(context.Background(), run.Command{Argv: append([]string{"buildx"}, args...), Env: env}); err != nil && !strings.Contains(err.Error(), "existing instance") {
			return err
		}
	}
	return nil
}

// times returns how often a long test repeats: all with E2E=full, a tenth otherwise.
func times(full int) int {
	if os.Getenv("E2E") == "full" {
		return full
	}
	return full / 10
}

func random(t testing.TB) *rand.Rand {
	t.Logf("seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

// needParts leaves a test out where it is not asked for.
func needParts(t testing.TB) {
	t.Helper()
	if os.Getenv("E2E") == "" {
		t.Skip("set E2E=1 to run against real parts")
	}
}

// fromNPM leaves a test out where npm cannot be reached, if E2E_OFFLINE says so, and fails it otherwise.
func fromNPM(t testing.TB, err error) {
	t.Helper()
	if err != nil && os.Getenv("E2E_OFFLINE") == "npm" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A world is one clone of the sample, one GitHub API and one owner in the registry.
type world struct {
	t     testing.TB
	repo  *sample.Repo
	api   *githubtest.Server
	mode  string // of the program; all where it is empty
	temp  string // RUNNER_TEMP
	token string
	owner string
	env   []string // more of what the runner tells
	// secrets are others than the token that nothing may tell.
	secrets []string
	runs    int
	// noBuilder leaves the builder to the configuration.
	noBuilder bool
	// registry and apiURL are where the program finds the two.
	registry, apiURL string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	needParts(t)
	dir := t.TempDir()
	repo, err := sample.New(t.Context(), ".", filepath.Join(dir, "cards"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, repo: repo, temp: filepath.Join(dir, "runner"), token: "ghs_" + crand.Text(), owner: strings.ToLower("e2e-" + t.Name())}
	w.owner = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, w.owner)
	w.api = githubtest.Start(w.token)
	t.Cleanup(w.api.Close)
	w.registry, w.apiURL = hub.addr, w.api.URL
	hub.demand(w.owner, w.token)
	if err := os.MkdirAll(w.temp, 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// args are the program's arguments for this laboratory.
func (w *world) args(more ...string) []string {
	args := []string{cmp.Or(w.mode, "all"), "--registry", w.registry, "--owner", w.owner}
	if !w.noBuilder {
		args = append(args, "--builder", builder)
	}
	for flag, value := range map[string]string{"--builder-config": parts.BuildkitConfig, "--trivy-db": strings.Join(parts.TrivyDB, ","), "--binfmt-image": parts.BinfmtImage} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	return append(args, more...)
}

func (w *world) environ(job sample.Job) []string {
	w.t.Helper()
	w.runs++
	job.ID, job.API, job.Token, job.Temp = fmt.Sprint(w.runs), w.apiURL, w.token, w.temp
	env, err := w.repo.Environ(parts.Environ(os.Environ()), job)
	if err != nil {
		w.t.Fatal(err)
	}
	return append(append(env, w.env...), asProgram+"=1", "TRIVY_CACHE_DIR="+trivyCache)
}

// An outcome is how one run ended.
type outcome struct {
	code int
	log  string
	report.Report
}

// run runs the program to its end, as a process of its own.
func (w *world) run(job sample.Job, more ...string) outcome {
	w.t.Helper()
	program, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	var log bytes.Buffer
	_, err = run.OS(w.t.Context(), run.Command{Argv: append([]string{program}, w.args(more...)...), Dir: w.repo.Dir, Env: w.environ(job), Stdout: &log, Stderr: &log})
	o := outcome{log: log.String()}
	var failed *run.Error
	if errors.As(err, &failed) {
		o.code = failed.Code
	}
	return o
}

// publish runs the program, and reads its report.
func (w *world) publish(job sample.Job, more ...string) outcome {
	w.t.Helper()
	_ = os.Remove(w.reportFile())
	o := w.run(job, more...)
	if o.code == report.ExitConfig {
		return o
	}
	data, err := os.ReadFile(w.reportFile())
	if err != nil {
		w.t.Fatalf("exit code %d and no report: %v\n%s", o.code, err, o.log)
	}
	checkSchema(w.t, data)
	if err := json.Unmarshal(data, &o.Report); err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) reportFile() string { return filepath.Join(w.temp, "ghcr-publish", "report.json") }

// mustPublish runs the program and demands an exit code.
func (w *world) mustPublish(want int, more ...string) outcome {
	w.t.Helper()
	o := w.publish(sample.Job{}, more...)
	if o.code != want {
		w.t.Fatalf("exit code %d, want %d\n%s", o.code, want, o.log)
	}
	if problems := w.api.Problems(); len(problems) > 0 {
		w.t.Errorf("the GitHub API refused: %s", strings.Join(problems, "\n"))
	}
	return o
}

func (w *world) commit(message string, files map[string]string) string {
	w.t.Helper()
	sha, err := w.repo.Commit(w.t.Context(), message, files)
	if err != nil {
		w.t.Fatal(err)
	}
	return sha
}

func (w *world) read(file string) string {
	w.t.Helper()
	text, err := w.repo.Read(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func checkSchema(t testing.TB, data []byte) {
	t.Helper()
	conforms(t, report.Schema, data)
}

func conforms(t testing.TB, by, data []byte) {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(by))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("report.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(document); err != nil {
		t.Errorf("the report is not by its schema: %v", err)
	}
}
