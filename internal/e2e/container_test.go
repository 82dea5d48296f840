package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/resultstest"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
)

// actionImage is what the action's Dockerfile gives, on this machine's platform.
const actionImage = "ghcr-publish/action:e2e"

// imageBuilder keeps its cache from one process to the next.
const imageBuilder = "ghcr-publish-image"

var builtImage = sync.OnceValue(buildImage)

// buildImage builds the action's image as its Dockerfile says. Only Trivy and Docker Compose, whose compilation takes many
// minutes, come from the laboratory, which builds them from the same modules.
func buildImage() error {
	ctx := context.Background()
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	golang, err := golangContext(ctx)
	if err != nil {
		return err
	}
	args := []string{"build", "--builder", imageBuilder, "--provenance=false", "--load", "--tag", actionImage}
	programs, err := stages(ctx)
	if err != nil {
		return err
	}
	for stage, program := range programs {
		dir, err := stageContext(program)
		defer os.RemoveAll(dir)
		if err != nil {
			return err
		}
		args = append(args, "--build-context", stage+"="+dir)
	}
	if golang != "" {
		args = append(args, "--build-context", golang)
	}
	if err := createImageBuilder(ctx); err != nil {
		return err
	}
	defer func() { _, _ = runBuildx(ctx, "stop", imageBuilder) }()
	_, err = runBuildx(ctx, append(args, root)...)
	return err
}

// golangContext is what stands for the Dockerfile's base image, as a named context; empty where that can be pulled.
func golangContext(ctx context.Context) (string, error) {
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		return "", err
	}
	return parts.GoContext(ctx, regexp.MustCompile(`golang:\S+`).FindString(string(dockerfile)))
}

// stages are the programs in the laboratory that stand for stages of the Dockerfile.
func stages(ctx context.Context) (map[string]string, error) {
	_, err := parts.Compose(ctx)
	return map[string]string{"trivy": "trivy", "compose": "docker-compose"}, err
}

// createImageBuilder makes imageBuilder, unless it is there.
func createImageBuilder(ctx context.Context) error {
	_, err := runBuildx(ctx, "create", "--name", imageBuilder, "--driver", "docker-container", "--driver-opt", "network=host")
	if err != nil && strings.Contains(err.Error(), "existing instance") {
		return nil
	}
	return err
}

func runBuildx(ctx context.Context, args ...string) ([]byte, error) {
	return run.OS(ctx, run.Command{Argv: append([]string{"buildx"}, args...), Env: parts.Environ(os.Environ())})
}

// stageContext makes a folder that stands for the Dockerfile's stage of a program.
func stageContext(program string) (string, error) {
	dir, err := os.MkdirTemp("", "ghcr-publish-e2e-")
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(parts.Bin, program))
	if err != nil {
		return dir, err
	}
	if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
		return dir, err
	}
	return dir, os.WriteFile(filepath.Join(dir, "out", program), data, 0o755)
}

// A job is one job of a workflow on GitHub's runner: its folders, belonging to the runner's user, and
// the containers that the runner starts for the action's step.
type job struct {
	*world
	registry string // HOST:PORT as container, BuildKit and engine all reach it
	api      string
	dir      string // of home, workflow and file commands
	network  string // of a job with services; empty for the engine's default
	old      bool   // a runner before v2.331.0, whose RUNNER_TEMP is a folder of the host alone
	steps    int
}

// runnerUser is who a hosted runner's workspace belongs to.
const runnerUser = 1001

func newJob(t *testing.T) *job {
	t.Helper()
	w := newWorld(t)
	if err := builtImage(); err != nil {
		t.Fatal(err)
	}
	gateway, err := parts.Bridge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, apiPort, _ := strings.Cut(strings.TrimPrefix(w.api.URL, "http://"), ":")
	apiPort, apiPath, _ := strings.Cut(apiPort, "/")
	j := &job{world: w, registry: forward(t, gateway, hub.addr), dir: filepath.Dir(w.temp)}
	j.api = "http://" + forward(t, gateway, "127.0.0.1:"+apiPort) + "/" + apiPath
	toml := fmt.Sprintf("[registry.\"docker.io\"]\n  mirrors = [%q]\n[registry.%q]\n  http = true\n", j.registry, j.registry)
	for name, content := range map[string]string{"workflow/buildkitd.toml": toml, "home/": "", "commands/output": "", "commands/state": "", "commands/summary": ""} {
		path := filepath.Join(j.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j.handOver()
	t.Cleanup(func() { dropBuilder(t, j.state("builder")) })
	return j
}

// dropBuilder takes away what a runner would keep for the next job.
func dropBuilder(t *testing.T, builder string) {
	container := buildx.Container(builder)
	for _, argv := range [][]string{{"docker", "rm", "--force", container}, {"docker", "volume", "rm", "--force", container + "_state"}} {
		if _, err := run.OS(context.Background(), run.Command{Argv: argv, Env: os.Environ()}); err != nil {
			t.Errorf("removing the builder: %v", err)
		}
	}
}

// forward makes a loopback address be reached at another of this machine's.
func forward(t *testing.T, host, to string) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	return listener.Addr().String()
}

// handOver gives everything to the runner's user, as a checkout leaves it.
func (j *job) handOver() {
	j.t.Helper()
	err := filepath.WalkDir(j.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(path, j.repo.Dir+".origin") {
			return err // the origin is elsewhere in truth
		}
		return os.Lchown(path, runnerUser, -1)
	})
	if err != nil {
		j.t.Fatal(err)
	}
}

// argv is the runner's own command (actions/runner, ContainerActionHandler.cs and DockerCommandManager.cs):
// its mounts, its paths, its environment, as root, on the engine's default network.
func (j *job) argv(name, entrypoint string, env ...string) []string {
	j.steps++
	mounts := [][2]string{{"/var/run/docker.sock", "/var/run/docker.sock"}, {filepath.Join(j.dir, "home"), "/github/home"}, {filepath.Join(j.dir, "workflow"), "/github/workflow"},
		{filepath.Join(j.dir, "commands"), "/github/file_commands"}, {j.repo.Dir, "/github/workspace"}}
	if !j.old {
		mounts = append(mounts, [2]string{j.temp, "/github/runner_temp"})
	}
	argv := []string{"docker", "run", "--name", name, "--label", "6f2a1c", "--workdir", "/github/workspace", "--rm"}
	for _, m := range mounts {
		argv = append(argv, "-v", m[0]+":"+m[1])
	}
	if entrypoint != "" {
		argv = append(argv, "--entrypoint", entrypoint)
	}
	if j.network != "" {
		argv = append(argv, "--network", j.network)
	}
	for _, entry := range append(j.variables(), env...) {
		key, value, _ := strings.Cut(entry, "=")
		for _, m := range mounts { // the runner translates what begins with a folder of the host
			if rest, ok := strings.CutPrefix(value, m[0]); ok && (rest == "" || rest[0] == '/') {
				value = m[1] + rest
				break
			}
		}
		argv = append(argv, "-e", key+"="+value)
	}
	return append(argv, actionImage)
}

func (j *job) variables() []string {
	commands := filepath.Join(j.dir, "commands")
	var env []string
	for _, entry := range j.environ(sample.Job{}) {
		if strings.HasPrefix(entry, "GITHUB_") || strings.HasPrefix(entry, "INPUT_") || strings.HasPrefix(entry, "RUNNER_") {
			env = append(env, entry)
		}
	}
	event, err := os.ReadFile(filepath.Join(j.temp, "event.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(j.dir, "workflow", "event.json"), event, 0o644)
	}
	if err != nil {
		j.t.Fatal(err)
	}
	head, err := run.OS(j.t.Context(), run.Command{Argv: []string{"git", "-c", "safe.directory=*", "rev-parse", "HEAD"}, Dir: j.repo.Dir, Env: os.Environ()})
	if err != nil {
		j.t.Fatal(err)
	}
	j.world.api.SetRef("heads/main", strings.TrimSpace(string(head)))
	inputs := map[string]string{"REGISTRY": j.registry, "PLAIN-HTTP": "true", "OWNER": j.owner, "BUILDER-CONFIG": filepath.Join(j.dir, "workflow", "buildkitd.toml"), "TOKEN": j.token,
		"TRIVY-DB": strings.ReplaceAll(strings.Join(parts.TrivyDB, ","), hub.addr, j.registry), "BINFMT-IMAGE": parts.BinfmtImage, "MODE": "", "PLATFORMS": ""}
	for name, value := range inputs {
		env = append(env, "INPUT_"+name+"="+value)
	}
	return append(env, "HOME="+filepath.Join(j.dir, "home"), "CI=true", "RUNNER_NAME=e2e-"+j.owner, "RUNNER_OS=Linux", "GITHUB_EVENT_PATH="+filepath.Join(j.dir, "workflow", "event.json"), "GITHUB_API_URL="+j.api, "GITHUB_SHA="+strings.TrimSpace(string(head)),
		"GITHUB_OUTPUT="+filepath.Join(commands, "output"), "GITHUB_STATE="+filepath.Join(commands, "state"), "GITHUB_STEP_SUMMARY="+filepath.Join(commands, "summary"))
}

// step runs the action's container to its end.
func (j *job) step(entrypoint string, env ...string) outcome {
	j.t.Helper()
	var log bytes.Buffer
	_, err := run.OS(j.t.Context(), run.Command{Argv: j.argv(j.container(), entrypoint, env...), Env: os.Environ(), Stdout: &log, Stderr: &log})
	return outcome{code: exitCode(err), log: log.String()}
}

func (j *job) container() string { return fmt.Sprintf("%s-%d", j.owner, j.steps) }

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var failed *run.Error
	if ok := errors.As(err, &failed); ok {
		return failed.Code
	}
	return -1
}

// state reads what the run left for its post step.
func (j *job) state(name string) string {
	j.t.Helper()
	data, err := os.ReadFile(filepath.Join(j.dir, "commands", "state"))
	if err != nil {
		j.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), name+"<<")
	lines := strings.SplitN(rest, "\n", 3)
	if len(lines) < 2 {
		return ""
	}
	return lines[1]
}

// post runs the post step and demands that nothing of ours goes on running.
func (j *job) post() {
	j.t.Helper()
	o := j.step("/usr/local/bin/ghcr-publish-post", "STATE_builder="+j.state("builder"))
	if o.code != 0 {
		j.t.Errorf("the post step ended with exit code %d\n%s", o.code, o.log)
	}
	out, err := run.OS(j.t.Context(), run.Command{Argv: []string{"docker", "ps", "--format", "{{.Names}} {{.Image}}"}, Env: os.Environ()})
	if err != nil {
		j.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if builder := j.state("builder"); builder != "" && strings.Contains(line, builder) || strings.Contains(line, j.owner+"/") || strings.HasPrefix(line, j.owner) {
			j.t.Errorf("after the post step there is still %s", line)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(j.temp, "ghcr-publish-private-*")); len(left) > 0 {
		j.t.Errorf("after the post step there are still %q", left)
	}
	e, err := engine.Open(os.Getenv)
	if err != nil {
		j.t.Fatal(err)
	}
	// What a run made whose container is gone would be swept now.
	if n, err := e.Sweep(j.t.Context(), time.Now()); err != nil || n != 0 {
		j.t.Errorf("after the post step there are still %d containers and networks (%v)", n, err)
	}
}

func (j *job) report() outcome {
	j.t.Helper()
	data, err := os.ReadFile(j.reportFile())
	if err != nil {
		j.t.Fatal(err)
	}
	checkSchema(j.t, data)
	var o outcome
	if err := json.Unmarshal(data, &o.Report); err != nil {
		j.t.Fatal(err)
	}
	return o
}

// TestActionImage publishes the sample as the runner would have the action do it.
func TestActionImage(t *testing.T) {
	j := newJob(t)
	o := j.step("")
	if o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	told := j.report()
	j.checkPublished(told, "main")
	for _, s := range told.Services {
		if s.Route != "shared network" {
			t.Errorf("%s was reached by its %s", s.Name, s.Route)
		}
	}
	for _, bad := range []string{"dubious", "WARNING: current commit"} {
		if strings.Contains(o.log, bad) {
			t.Errorf("the log says %q:\n%s", bad, o.log)
		}
	}
	j.checkFilesForOthers()
	outputs, err := os.ReadFile(filepath.Join(j.dir, "commands", "output"))
	if err != nil || !strings.Contains(string(outputs), "\n"+j.reportFile()+"\n") {
		t.Errorf("the outputs do not name the report as the machine does, %s (%v):\n%s", j.reportFile(), err, outputs)
	}
	if problems := j.world.api.Problems(); len(problems) > 0 || len(j.world.api.SARIFs()) == 0 {
		t.Errorf("code scanning got %d uploads; the GitHub API refused %q", len(j.world.api.SARIFs()), problems)
	}
	j.post()
	// Nothing of the first run's login, builder or home is needed by the second.
	if again := j.step(""); again.code != report.ExitDone || !strings.Contains(again.log, "Nothing to do") {
		t.Errorf("the same commit again: exit code %d\n%s", again.code, again.log)
	}
}

// TestActionOnJobNetwork runs the action in a job with services, which has a network of its own.
func TestActionOnJobNetwork(t *testing.T) {
	j := newJob(t)
	j.network = "github_network_" + j.owner
	if _, err := run.OS(t.Context(), run.Command{Argv: []string{"docker", "network", "create", j.network}, Env: os.Environ()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = run.OS(context.Background(), run.Command{Argv: []string{"docker", "network", "rm", j.network}, Env: os.Environ()})
	})
	if o := j.step(""); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	j.checkPublished(j.report(), "main")
	j.post()
}

// TestActionOnOldRunner runs where the folder for temporary files is not there in the container.
func TestActionOnOldRunner(t *testing.T) {
	j := newJob(t)
	j.old = true
	if o := j.step("", "INPUT_SERVICES=auth"); o.code != report.ExitDone || !strings.Contains(o.log, "✅ Published auth") {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	j.post()
}

// A flow is a run of three jobs, each in a container of its own on the engine's default network, from where
// it reaches the results service.
type flow struct {
	*job
	results *resultstest.Server
	address string
	attempt int
}

func newFlow(t *testing.T) *flow {
	t.Helper()
	f := &flow{job: newJob(t), results: resultstest.Start(), attempt: 1}
	t.Cleanup(f.results.Close)
	gateway, err := parts.Bridge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.address = "http://" + forward(t, gateway, strings.Trim(strings.TrimPrefix(f.results.URL, "http://"), "/")) + "/"
	f.results.Behind(f.address)
	return f
}

func (f *flow) env(mode string, more ...string) []string {
	return append([]string{"INPUT_MODE=" + mode, "ACTIONS_RESULTS_URL=" + f.address, "ACTIONS_RUNTIME_TOKEN=" + f.results.Token("run", mode),
		"GITHUB_RUN_ID=7", fmt.Sprintf("GITHUB_RUN_ATTEMPT=%d", f.attempt)}, more...)
}

// do runs a job to a good end.
func (f *flow) do(mode string, more ...string) outcome {
	f.t.Helper()
	o := f.step("", f.env(mode, more...)...)
	if o.code != report.ExitDone {
		f.t.Fatalf("%s %q: exit code %d\n%s", mode, more, o.code, o.log)
	}
	f.post()
	return o
}

// TestThreeJobsOnRunner builds each platform in a row of its own.
func TestThreeJobsOnRunner(t *testing.T) {
	j := newFlow(t)
	j.do("plan", "INPUT_SERVICES=backend", "INPUT_SPLIT=platform")
	j.do("publish", "INPUT_ROW=backend@linux-amd64")
	if o := j.do("publish", "INPUT_ROW=backend@linux-arm64"); strings.Contains(o.log, "backend started") {
		t.Errorf("an image of another platform was tried out:\n%s", o.log)
	}
	if at := j.tags("backend"); len(at) > 0 {
		t.Errorf("before the last job there are the tags %v", at)
	}
	j.do("finalize")
	j.checkPublished(j.report(), "main")
	j.checkTagsWereJudged()
	if problems := j.results.Problems(); len(problems) > 0 {
		t.Errorf("the results service refused %q", problems)
	}
	for _, name := range j.results.Names() {
		if bytes.Contains(j.results.Read(name), []byte(j.token)) {
			t.Errorf("artifact %s holds the token", name)
		}
	}
}

// TestCancelledRow cancels a row at random instants. Whatever it left, finalizing moves no tag before the row
// was run again, and then all is published.
func TestCancelledRow(t *testing.T) {
	j := newFlow(t)
	dice := random(t)
	for i := range times(20) {
		j.commit("change", map[string]string{"auth/www/auth/n": fmt.Sprint(i)})
		j.handOver()
		j.do("plan", "INPUT_SERVICES=auth")
		before := j.tags("auth")["main"]
		took, hit := j.cancel(time.Duration(dice.Int64N(int64(3*time.Second))), j.env("publish", "INPUT_ROW=auth")...)
		if took > 9*time.Second {
			t.Errorf("it ended %s after the first signal", took)
		}
		j.post()
		o := j.step("", j.env("finalize")...)
		t.Logf("at work when cancelled: %v; finalizing then ends with exit code %d", hit, o.code)
		if after := j.tags("auth")["main"]; (after != before) != (o.code == report.ExitDone) {
			t.Errorf("main went from %q to %q, and finalizing ended with exit code %d\n%s", before, after, o.code, o.log)
		}
		j.attempt++
		j.do("publish", "INPUT_ROW=auth")
		j.do("finalize")
		j.checkPublished(j.report(), "main")
		j.checkTagsWereJudged()
	}
}

// checkFilesForOthers looks for what the runner's user, or a later step of the job, could not use.
func (j *job) checkFilesForOthers() {
	j.t.Helper()
	for _, name := range []string{"output", "state", "summary"} {
		info, err := os.Stat(filepath.Join(j.dir, "commands", name))
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != runnerUser || info.Size() == 0 {
			j.t.Errorf("the runner's file for %s: %+v, %v", name, info, err)
		}
	}
	for _, path := range []string{j.reportFile(), filepath.Join(j.repo.Dir, ".swarm", "memory.db")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o044 != 0o044 {
			j.t.Errorf("%s can be read by root alone: %v, %v", path, info, err)
		}
	}
	entries, _ := os.ReadDir(filepath.Join(j.dir, "home"))
	if len(entries) > 0 {
		j.t.Errorf("HOME, which the next action of the job inherits, holds %v", entries)
	}
}

// TestCancelled sends the runner's signals at random instants.
func TestCancelled(t *testing.T) {
	j := newJob(t)
	begun := time.Now()
	if o := j.step(""); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	usual := time.Since(begun)
	dice, landed, tries := random(t), 0, 0
	for ; tries < times(20) || landed == 0 && tries < 20; tries++ {
		j.commit("change everything", map[string]string{"shared/n": fmt.Sprint(tries), "auth/www/auth/n": fmt.Sprint(tries)})
		j.handOver()
		after := time.Duration(dice.Int64N(int64(usual)))
		took, hit := j.cancel(after)
		if hit {
			landed++
		} else {
			usual = after
		}
		if took > 9*time.Second {
			t.Errorf("it ended %s after the first signal", took)
		}
		j.post()
		j.checkTagsWereJudged()
		if o := j.step(""); o.code != report.ExitDone {
			t.Fatalf("the next run ended with exit code %d\n%s", o.code, o.log)
		}
		j.checkPublished(j.report(), "main")
	}
	t.Logf("%d of %d signals hit a run at work; an undisturbed one takes at most %s", landed, tries, usual)
	if landed == 0 {
		t.Error("no signal hit a run at work, so nothing was tried")
	}
}

// cancel starts the action's container and, after a while, ends it as the runner does: SIGINT, and SIGTERM
// 7.5 seconds later. It returns how long the end took, and whether the container was still at work.
func (j *job) cancel(after time.Duration, env ...string) (took time.Duration, hit bool) {
	j.t.Helper()
	name := j.container() + "-cancelled"
	atWork, end := context.WithCancel(j.t.Context())
	argv := j.argv(name, "", env...)
	go func() {
		defer end()
		_, _ = run.OS(j.t.Context(), run.Command{Argv: argv, Env: os.Environ()})
	}()
	time.Sleep(after)
	begun := time.Now()
	for !hit && atWork.Err() == nil { // until there is a container at all
		hit = j.signal(name, "INT")
	}
	select {
	case <-atWork.Done():
	case <-time.After(7500 * time.Millisecond):
		j.signal(name, "TERM")
		<-atWork.Done()
	}
	return time.Since(begun), hit
}

func (j *job) signal(container, name string) bool {
	_, err := run.OS(j.t.Context(), run.Command{Argv: []string{"docker", "kill", "--signal", name, container}, Env: os.Environ()})
	return err == nil
}
