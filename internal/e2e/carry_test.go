package e2e

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/agent"
	"github.com/org/ghcr-publish/internal/carry"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/results"
	"github.com/org/ghcr-publish/internal/resultstest"
	"github.com/org/ghcr-publish/internal/run"
)

// A step is actions/cache/restore or actions/cache/save, on a runner of its own.
type cacheStep struct {
	t         *testing.T
	library   string
	workspace string
	env       []string // of the cache
	path      string   // PATH
}

// memoryPath is where the memory is in a workspace.
const memoryPath = ".swarm/memory.db"

// actionsCache finds the library that the steps are made of. Where npm cannot be reached, that fails the test, unless E2E_OFFLINE says so.
func actionsCache(t *testing.T) string {
	t.Helper()
	needParts(t)
	library, err := parts.ActionsCache(t.Context())
	fromNPM(t, err)
	return library
}

// do restores or saves the memory, and returns what the step printed.
func (s cacheStep) do(what, key string) string {
	s.t.Helper()
	script, err := filepath.Abs("testdata/cache.mjs")
	if err != nil {
		s.t.Fatal(err)
	}
	var log bytes.Buffer
	env := append([]string{"PATH=" + s.path, "HOME=" + s.t.TempDir(), "RUNNER_TEMP=" + s.t.TempDir(), "GITHUB_WORKSPACE=" + s.workspace, "ACTIONS_CACHE=" + s.library, "WHAT=" + what,
		"INPUT_PATH=" + memoryPath, "INPUT_KEY=" + key, "INPUT_RESTORE-KEYS=" + carry.Prefix}, s.env...)
	node, err := run.Find(os.Environ(), "node")
	if err == nil {
		_, err = run.OS(s.t.Context(), run.Command{Argv: []string{node, script}, Dir: s.workspace, Env: env, Stdout: &log, Stderr: &log})
	}
	if err != nil {
		s.t.Fatalf("%v\n%s", err, log.String())
	}
	return log.String()
}

// writeMemory makes a memory with an entry.
func writeMemory(t *testing.T, workspace, value string) {
	t.Helper()
	store, err := memory.Open(t.Context(), filepath.Join(workspace, memoryPath), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), memory.Entry{Namespace: "builds", Key: "api", Value: fmt.Appendf(nil, "%q", value)}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func readMemory(t *testing.T, workspace string) string {
	t.Helper()
	store, err := memory.Open(context.Background(), filepath.Join(workspace, memoryPath), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, _, err := store.Get(t.Context(), "builds", "api")
	if err != nil {
		t.Fatal(err)
	}
	return string(e.Value)
}

// withoutZstd is a PATH with all that the steps start but zstd, as on a runner that lacks it.
func withoutZstd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, program := range []string{"tar", "gzip", "sh"} {
		found, err := run.Find(os.Environ(), program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(found, filepath.Join(dir, program)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestStepsOfActionsCache has the steps read what the program keeps and the program what they keep, in turns, in both protocols.
func TestStepsOfActionsCache(t *testing.T) {
	library := actionsCache(t)
	server := resultstest.Start()
	t.Cleanup(server.Close)
	token := server.CacheToken("run", "job", resultstest.Permission{Scope: "refs/heads/main", Permission: 3})
	old, err := results.NewCacheV1(server.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	current, err := results.NewCacheV2(server.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cache carry.Cache
		env   []string
	}{
		"v1": {old, []string{"ACTIONS_CACHE_URL=" + server.URL}},
		"v2": {current, []string{"ACTIONS_RESULTS_URL=" + server.URL, "ACTIONS_CACHE_SERVICE_V2=true"}},
	} {
		t.Run(name, func(t *testing.T) {
			server.Evict("")
			step := cacheStep{t: t, library: library, env: append(c.env, "ACTIONS_RUNTIME_TOKEN="+token), path: os.Getenv("PATH")}
			carrier := &carry.Carrier{Cache: c.cache, Path: memoryPath, Temp: t.TempDir(), Now: time.Now}
			carrier.Workspace = t.TempDir()
			writeMemory(t, carrier.Workspace, "kept by the program")
			if err := carrier.Keep(t.Context(), carry.Prefix+"1-1-a"); err != nil {
				t.Fatal(err)
			}

			step.workspace = t.TempDir()
			if said := step.do("restore", carry.Prefix+"2-1"); !strings.Contains(said, "restored "+carry.Prefix+"1-1-a\n") {
				t.Errorf("the step says %q", said)
			}
			if got := readMemory(t, step.workspace); got != `"kept by the program"` {
				t.Errorf("the step restored %s", got)
			}
			writeMemory(t, step.workspace, "kept by a step")
			if said := step.do("save", carry.Prefix+"2-1"); !strings.Contains(said, "saved ") || strings.Contains(said, "saved -1") {
				t.Errorf("the step says %q", said)
			}

			carrier.Workspace = t.TempDir()
			keys, err := carrier.Fetch(t.Context())
			if got := readMemory(t, carrier.Workspace); err != nil || !slices.Equal(keys, []string{carry.Prefix + "2-1"}) || got != `"kept by a step"` {
				t.Errorf("the program got %s by %q, %v", got, keys, err)
			}

			// Without zstd the steps use gzip, which the program reads where there is nothing else.
			server.Evict("")
			step.path = withoutZstd(t)
			step.do("save", carry.Prefix+"3-1")
			carrier.Workspace = t.TempDir()
			if keys, err := carrier.Fetch(t.Context()); err != nil || !slices.Equal(keys, []string{carry.Prefix + "3-1"}) {
				t.Errorf("of gzip the program got %q, %v", keys, err)
			}
			if problems := server.Problems(); len(problems) > 0 {
				t.Errorf("the service refused %q", problems)
			}
		})
	}
}

// TestAgentsOnTwoMachines has somebody on another machine, who shares the memory's home in the registry alone, see what a job is at while it builds, and be
// heard by it.
func TestAgentsOnTwoMachines(t *testing.T) {
	w := newWorld(t)
	slow := strings.Replace(w.read("backend/Dockerfile"), "\nFROM busybox\n", "\nRUN sleep 20\nFROM busybox\n", 1)
	w.commit("one that takes long", map[string]string{"backend/Dockerfile": slow})
	repository := w.registry + "/" + w.owner + "/memory"
	w.env = append(w.env, "INPUT_MEMORY=oci://"+repository)
	store, err := memory.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	home := &carry.Home{Registry: &registry.Client{Host: w.registry, Username: "octocat", Password: w.token, PlainHTTP: true}, Repository: repository, Now: time.Now, Since: time.Now()}
	friend := &agent.Agent{Store: store, Name: "friend", Session: "1-1", Now: time.Now}
	var speaking sync.WaitGroup
	speaking.Go(func() {
		for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(200 * time.Millisecond) {
			if err := home.Take(t.Context(), store); err != nil {
				t.Error(err)
			}
			told, err := friend.PreTask(t.Context(), agent.Task{ID: "look", Description: "look"})
			if err != nil {
				t.Error(err)
			}
			if slices.ContainsFunc(told.Claims, func(c agent.Claim) bool { return c.Agent == "all" && c.Work == "backend" }) {
				t.Logf("seen after %s", time.Since(begun))
				if err := errors.Join(friend.Tell(t.Context(), "all", "mind the gap"), home.Give(t.Context(), store)); err != nil {
					t.Error(err)
				}
				return
			}
		}
		t.Error("the job was never seen at its work")
	})
	o := w.mustPublish(report.ExitDone, "--only", "backend")
	speaking.Wait()
	heard, built := strings.Index(o.log, "memory: friend says: mind the gap"), strings.Index(o.log, "RUN sleep 20 (20")
	if heard < 0 || heard > built {
		t.Errorf("it did not hear of it while it built:\n%s", o.log)
	}
}

// A step of actions/cache, for act.
const cacheAction = `name: WHAT
inputs:
  path: {required: true}
  key: {required: true}
  restore-keys: {default: ""}
runs: {using: node20, main: WHAT.mjs}
`

// withSteps puts the steps of actions/cache around a workflow's, in the jobs that plan and that finalize.
func (a *act) withSteps(workflow, library string) string {
	a.t.Helper()
	script := read(a.t, "testdata/cache.mjs")
	files := map[string]string{}
	for _, what := range []string{"restore", "save"} {
		files[what+"/action.yml"], files[what+"/"+what+".mjs"] = strings.ReplaceAll(cacheAction, "WHAT", what), script
	}
	a.options = append(a.options, "--local-repository", "actions/cache@v5="+repositoryOf(a.t, files))
	installed, _, _ := strings.Cut(library, "/node_modules/")
	programs := machinePrograms(a.t)
	var volumes []string
	for _, dir := range []string{"/usr", installed, programs} {
		volumes = append(volumes, fmt.Sprintf("%q", dir+":/machine"+dir+":ro"))
	}
	const runner = "    runs-on: ubuntu-latest\n"
	workflow = change(a.t, workflow, runner, fmt.Sprintf("%s    container: {image: %q, volumes: [%s]}\n", runner, a.image, strings.Join(volumes, ", ")))
	env := fmt.Sprintf("        env: {RESTORE_KEYS: swarm-memory-v1-, ACTIONS_CACHE: /machine%s, PATH: \"/machine%s:/usr/bin:/bin\"}\n", library, programs)
	workflow = change(a.t, workflow, "      - id: plan\n", restoreStep+env+"      - id: plan\n")
	return change(a.t, workflow, "      - id: publish\n", restoreStep+env+"      - id: publish\n") + saveStep + env
}

// machinePrograms has this machine's programs, that the steps need, run in a container where the machine's files are in /machine: each by
// the machine's own loader, with its libraries.
func machinePrograms(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, program := range map[string]string{"node": "node", "tar": "tar", "zstd": "zstd", "zstdmt": "zstd", "unzstd": "zstd"} {
		found, err := run.Find(os.Environ(), program)
		if err == nil {
			found, err = filepath.EvalSymlinks(found)
		}
		if err != nil {
			t.Fatal(err)
		}
		loader := loaderOf(t, found)
		libraries := "/machine" + filepath.Dir(loader) + ":/machine/usr/lib/" + filepath.Base(filepath.Dir(loader))
		script := fmt.Sprintf("#!/bin/sh\nexec /machine%s --library-path %s --argv0 %s /machine%s \"$@\"\n", loader, libraries, name, found)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loaderOf is what loads a program's libraries.
func loaderOf(t testing.TB, program string) string {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	named, err := file.Section(".interp").Data()
	if err == nil {
		var loader string
		if loader, err = filepath.EvalSymlinks(strings.TrimRight(string(named), "\x00")); err == nil {
			return loader
		}
	}
	t.Fatal(err)
	return ""
}

const restoreStep = `      - uses: actions/cache/restore@v5
        with: {path: .swarm/memory.db, key: "swarm-memory-v1-${{ github.run_id }}-${{ github.run_attempt }}", restore-keys: swarm-memory-v1-}
`

const saveStep = `      - uses: actions/cache/save@v5
        with: {path: .swarm/memory.db, key: "swarm-memory-v1-${{ github.run_id }}-${{ github.run_attempt }}"}
`

// TestSecondRunRemembersTheFirst runs three jobs twice, on runners that have nothing but the cache in common: with no step for it, with the
// steps of actions/cache, and without any cache, which is to say that the first two would notice.
func TestSecondRunRemembersTheFirst(t *testing.T) {
	const remembered, restored, byStep = "expected to take ", "the memory of earlier runs is " + carry.Prefix, "restored " + carry.Prefix + "1-1\n"
	for name, c := range map[string]struct {
		cache, steps bool
	}{"no step": {true, false}, "steps of actions/cache": {true, true}, "no cache": {false, false}} {
		t.Run(name, func(t *testing.T) {
			library := actionsCache(t)
			a := newAct(t)
			workflow := change(t, a.example("matrix.yml"), "services: ${{ inputs.services }}", "services: auth")
			if c.cache {
				a.options = []string{"--cache-server-path", t.TempDir(), "--cache-server-addr", "127.0.0.1"}
			}
			if c.steps {
				workflow = a.withSteps(workflow, library)
			}
			a.commitWorkflows(map[string]string{"publish.yml": workflow})
			for n := range 2 {
				a.commit("change", map[string]string{"auth/www/auth/n": fmt.Sprint(n)})
				log, err := a.push("publish.yml", fmt.Sprint(n+1))
				if err != nil || !strings.Contains(log, "✅ Published auth") {
					t.Fatalf("act: %v\n%s", err, log)
				}
				second := n > 0 && c.cache
				if strings.Contains(log, remembered) != second || strings.Contains(log, restored) != second || strings.Contains(log, byStep) != (second && c.steps) {
					t.Errorf("run %d:\n%s", n+1, log)
				}
			}
		})
	}
}
