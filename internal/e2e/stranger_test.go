package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"golang.org/x/tools/txtar"
)

// TestStrangers has somebody begin who has never heard of the program: what it writes of what a repository has so far publishes all of it.
func TestStrangers(t *testing.T) {
	files, err := filepath.Glob("testdata/strangers/*.txtar")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d repositories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { beginWith(t, file) })
	}
}

func beginWith(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, services, _ := strings.Cut(string(archive.Comment), "services: ")
	w := newWorld(t)
	w.take(archive)
	begun := time.Now()
	log := w.initialize()
	w.commit("publish with ghcr-publish", nil)
	o := w.mustPublish(report.ExitDone)
	t.Logf("from nothing to judged images in %s\n%s\n%s", time.Since(begun).Round(time.Second), log, w.read(".github/ghcr-publish.yml"))
	var names []string
	for _, s := range o.Services {
		names = append(names, s.Name)
		if main := w.digest(s.Image + ":main"); s.Verdict.Outcome != "approved" || main != s.Digest {
			t.Errorf("%s is %s, and main points to %s, not to %s", s.Name, s.Verdict.Outcome, main, s.Digest)
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != strings.TrimSpace(services) {
		t.Errorf("published %q, want %q", got, services)
	}
}

// take has the clone hold another repository's files alone.
func (w *world) take(archive *txtar.Archive) {
	w.t.Helper()
	entries, err := os.ReadDir(w.repo.Dir)
	for _, e := range entries {
		if e.Name() != ".git" && err == nil {
			err = os.RemoveAll(filepath.Join(w.repo.Dir, e.Name()))
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	here := strings.NewReplacer("ghcr.io/acme/", hub.addr+"/"+w.owner+"/", "image: busybox", "image: "+hub.addr+"/library/busybox") // no other registry is in reach
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = here.Replace(string(f.Data))
	}
	w.commit("what there was", files)
}

// initialize has the program write its configuration and workflow, and returns what it says.
func (w *world) initialize() string {
	w.t.Helper()
	program, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := run.OS(w.t.Context(), run.Command{Argv: []string{program, "init"}, Dir: w.repo.Dir, Env: append(parts.Environ(os.Environ()), asProgram+"=1")})
	if err != nil {
		w.t.Fatal(err)
	}
	return string(out)
}

// digest is what a tag of an image points to.
func (w *world) digest(ref string) string {
	w.t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := remote.Head(tag, w.auth())
	if err != nil {
		w.t.Fatal(err)
	}
	return d.Digest.String()
}
