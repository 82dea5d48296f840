package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

// forms are the ways in which the token may be written.
func (w *world) forms() []string {
	return append([]string{w.token,
		base64.StdEncoding.EncodeToString([]byte("octocat:" + w.token)),
		base64.StdEncoding.EncodeToString([]byte("x-access-token:" + w.token))}, w.secrets...)
}

func (w *world) leaks(data []byte) bool {
	for _, form := range w.forms() {
		if bytes.Contains(data, []byte(form)) {
			return true
		}
	}
	return false
}

// plant leaves the token where a checkout leaves it: in the clone's configuration.
func (w *world) plant() {
	w.t.Helper()
	header := "AUTHORIZATION: basic " + w.forms()[2]
	for _, args := range [][]string{
		{"remote", "add", "upstream", "https://x-access-token:" + w.token + "@github.com/" + sample.Owner + "/cards"},
		{"config", "http.https://github.com/.extraheader", header},
	} {
		if _, err := w.repo.Git(w.t.Context(), args...); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestTokenStaysSecret plants the token wherever a workflow has it and looks for it wherever it could come out.
func TestTokenStaysSecret(t *testing.T) {
	w := newWorld(t)
	w.plant()
	// backend's context is the whole repository, and it copies all of it.
	w.commit("copy everything", map[string]string{"backend/Dockerfile": strings.Replace(w.read("backend/Dockerfile"), "\nUSER ", "\nCOPY . /source\nUSER ", 1)})
	t.Setenv("GITHUB_TOKEN", w.token)
	watch := watchArguments(w)
	o := w.mustPublish(report.ExitDone)
	if seen := watch(); seen != "" {
		t.Errorf("the token was among the arguments of %s", seen)
	}
	for line := range strings.Lines(o.log) {
		// The runner takes this line for itself and hides the token from here on.
		if !strings.HasPrefix(line, "::add-mask::") && w.leaks([]byte(line)) {
			t.Errorf("the log holds the token: %s", line)
		}
	}
	w.searchFiles(w.repo.Dir, filepath.Join(".git", "config"))
	w.searchFiles(w.temp)
	w.searchFiles(trivyCache)
	w.searchRegistry()
	for _, upload := range w.api.SARIFs() {
		if w.leaks(fmt.Append(nil, upload.Log)) {
			t.Error("an upload to code scanning holds the token")
		}
	}
}

// watchArguments samples the arguments of every process until its result is asked for.
func watchArguments(w *world) func() string {
	ctx, stop := context.WithCancel(w.t.Context())
	var samples atomic.Int64
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for ctx.Err() == nil {
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, name := range lines {
				if data, err := os.ReadFile(name); err == nil && w.leaks(data) {
					found <- strings.ReplaceAll(string(data), "\x00", " ")
					return
				}
			}
			samples.Add(1)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() string {
		stop()
		seen := <-found
		if seen == "" && samples.Load() < 20 {
			w.t.Errorf("only %d samples of the processes were taken", samples.Load())
		}
		return seen
	}
}

func (w *world) searchFiles(root string, except ...string) {
	w.t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err == nil && w.leaks(data) && !(len(except) > 0 && strings.HasSuffix(path, except[0])) {
			w.t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil || files == 0 {
		w.t.Errorf("searched %d files of %s: %v", files, root, err)
	}
}

// searchRegistry reads every manifest, configuration and layer that this world pushed.
func (w *world) searchRegistry() {
	w.t.Helper()
	w.pushed(func(what string, data []byte) {
		if w.leaks(data) || w.leaks(unzip(data)) {
			w.t.Errorf("%s holds the token", what)
		}
	})
}

// pushed visits every manifest, configuration and layer that this world pushed.
func (w *world) pushed(visit func(what string, data []byte)) {
	w.t.Helper()
	layers := 0
	for _, q := range hub.of(w.owner) {
		if q.kind != "manifests" || q.method != http.MethodPut {
			continue
		}
		desc, err := remote.Get(w.repository(serviceOf(q.repository)).Digest(q.digest), w.auth())
		if err != nil {
			w.t.Fatal(err)
		}
		visit("manifest "+q.digest, desc.Manifest)
		if desc.MediaType.IsIndex() {
			continue
		}
		img, err := desc.Image()
		if err != nil {
			w.t.Fatal(err)
		}
		layers += w.visitImage(img, q.digest, visit)
	}
	if layers == 0 {
		w.t.Error("no layer was searched")
	}
}

func (w *world) visitImage(img v1.Image, digest string, visit func(what string, data []byte)) int {
	w.t.Helper()
	config, err := img.RawConfigFile()
	if err != nil {
		w.t.Fatal(err)
	}
	visit("the configuration of "+digest, config)
	layers, err := img.Layers()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, layer := range layers {
		blob, err := layer.Compressed()
		if err != nil {
			w.t.Fatal(err)
		}
		data, err := io.ReadAll(blob)
		if err != nil {
			w.t.Fatal(err)
		}
		visit("a layer of "+digest, data)
	}
	return len(layers)
}

func unzip(data []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(r)
	return plain
}

// TestMemoryStaysOutOfImages publishes twice from a context that lets the memory through.
func TestMemoryStaysOutOfImages(t *testing.T) {
	w := newWorld(t)
	w.commit("copy everything", map[string]string{".dockerignore": ".git\n", "backend/Dockerfile": strings.Replace(w.read("backend/Dockerfile"), "\nUSER ", "\nCOPY . /source\nUSER ", 1)})
	w.mustPublish(report.ExitDone)
	memory := filepath.Join(w.repo.Dir, ".swarm", "memory.db")
	if _, err := os.Stat(memory); err != nil {
		t.Fatal(err)
	}
	w.commit("change", map[string]string{"backend/www/index.html": "changed\n"})
	w.mustPublish(report.ExitDone)
	seen := false
	w.pushed(func(what string, data []byte) {
		plain := unzip(data)
		seen = seen || bytes.Contains(plain, []byte("source/backend/www/index.html"))
		if bytes.Contains(plain, []byte(".swarm")) {
			t.Errorf("%s holds the memory or its folder", what)
		}
	})
	if _, err := os.Stat(memory); err != nil || !seen {
		t.Errorf("the memory: %v; the source was found in a layer: %v", err, seen)
	}
}

// TestContextWithCredentialsIsRefused takes away what keeps the clone's configuration out of the context.
func TestContextWithCredentialsIsRefused(t *testing.T) {
	w := newWorld(t)
	w.plant()
	w.commit("ignore nothing", map[string]string{".dockerignore": "# nothing\n"})
	o := w.publish(sample.Job{})
	if o.code != report.ExitConfig || !strings.Contains(o.log, "add the line `**/.git` to .dockerignore") {
		t.Errorf("exit code %d\n%s", o.code, o.log)
	}
	if got := hub.of(w.owner); len(got) != 0 {
		t.Errorf("the registry was asked: %+v", got)
	}
	if w.leaks([]byte(strings.ReplaceAll(o.log, "::add-mask::"+w.token, ""))) {
		t.Errorf("the log holds the token:\n%s", o.log)
	}
}

// TestKilledRunLeavesNoLogin kills a run while it holds its login, and lets the next one clear it away.
func TestKilledRunLeavesNoLogin(t *testing.T) {
	w := newWorld(t)
	w.befall(accident{name: "killed", signal: syscall.SIGKILL}, 1500*time.Millisecond)
	w.mustPublish(report.ExitDone)
	w.searchFiles(w.temp)
	if left, _ := filepath.Glob(filepath.Join(w.temp, "ghcr-publish-private-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	w.checkNoContainers()
}

// checkNoContainers looks for containers and networks that runs of this world have left. They are gone by now, so it would be swept.
func (w *world) checkNoContainers() {
	w.t.Helper()
	e, err := engine.Open(os.Getenv)
	if err != nil {
		w.t.Fatal(err)
	}
	e.Gone = func(owner string) bool { return strings.Contains(owner, w.temp) }
	if n, err := e.Sweep(w.t.Context(), time.Now()); err != nil || n != 0 {
		w.t.Errorf("%d containers and networks were left behind (%v)", n, err)
	}
}
