package e2e

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

// A context is a clone with a service whose image is all that the builder gets, for comparing that with the inputs digest.
type contexts struct {
	t       *testing.T
	dir     string
	service service.Service
}

func newContexts(t *testing.T) *contexts {
	t.Helper()
	needParts(t)
	c := &contexts{t: t, dir: filepath.Join(t.TempDir(), "clone"), service: service.Service{Name: "app", Image: "ghcr.io/octo/app", Context: "app", Dockerfile: "app/Dockerfile",
		Platforms: []string{"linux/amd64"}, Options: service.Options{Contexts: map[string]string{"extra": "extra"}}}}
	c.git("init", "--quiet", "--initial-branch=main", c.dir)
	c.write(map[string]string{
		"app/Dockerfile":    "FROM scratch\nCOPY www /www\nCOPY *.txt made/ /\nCOPY --from=extra . /extra\n",
		"app/.dockerignore": "**/*.md\n!www/kept.md\nwww/hidden\n", "app/www/index.html": "1", "app/www/kept.md": "1", "app/www/notes.md": "1", "app/www/hidden/x": "1", "app/www/bin/run": "1",
		"app/a.txt": "1", "app/other/file": "1", "app/www/loud.up": "quiet", "app/www/dos.bat": "one\ntwo\n", "app/made/tracked": "1",
		"extra/lib": "1", "extra/.dockerignore": "skipped\n", "extra/skipped": "1", "elsewhere": "1",
		".gitattributes": "*.up filter=up\n*.bat eol=crlf\n", ".gitignore": "app/made/*\n!app/made/tracked\n*.log\n",
	})
	c.link("index.html", "app/www/link")
	// As LFS does: what is checked out is another than what is committed.
	c.git("config", "filter.up.clean", "tr A-Z a-z")
	c.git("config", "filter.up.smudge", "tr a-z A-Z")
	c.commit()
	return c
}

func (c *contexts) git(args ...string) string {
	c.t.Helper()
	dir := c.dir
	if args[0] == "init" {
		dir = filepath.Dir(c.dir)
	}
	env := append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always")
	out, err := run.OS(c.t.Context(), run.Command{Argv: append([]string{"git"}, args...), Dir: dir, Env: env})
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (c *contexts) commit() {
	c.t.Helper()
	c.git("add", "--all")
	c.git("commit", "--quiet", "--allow-empty", "--message=x")
}

func (c *contexts) at(name string) string { return filepath.Join(c.dir, filepath.FromSlash(name)) }

func (c *contexts) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *contexts) write(files map[string]string) {
	c.t.Helper()
	for name, content := range files {
		c.must(os.MkdirAll(filepath.Dir(c.at(name)), 0o755))
		c.must(os.WriteFile(c.at(name), []byte(content), 0o644))
	}
}

func (c *contexts) link(target, name string) {
	c.t.Helper()
	_ = os.Remove(c.at(name))
	c.must(os.Symlink(target, c.at(name)))
}

// inputs is what planning says of the service.
func (c *contexts) inputs() plan.Service {
	c.t.Helper()
	rules, _ := tags.Parse("type=raw,value=main")
	p := plan.Planner{Rules: rules, Repo: git.Repo{Dir: c.dir, Run: run.OS, Env: os.Environ()}, Event: actions.Event{Name: "push", Ref: "refs/heads/main", SHA: c.git("rev-parse", "HEAD")},
		Pushes: true, Resolve: func(context.Context, string, string) (registry.Image, bool, error) {
			return registry.Image{}, false, nil
		}}
	p.Config.Services = []service.Service{c.service}
	made, err := p.Make(c.t.Context())
	c.must(err)
	return made.Services[0]
}

// received is what BuildKit really gets: name, kind, whether it is executable, target and content of each file of the image.
func (c *contexts) received() map[string]string {
	c.t.Helper()
	out := filepath.Join(c.t.TempDir(), "image.tar")
	argv := []string{"buildx", "build", "--builder", builder, "--provenance=false", "--output", "type=tar,dest=" + out, "--file", c.at(c.service.Dockerfile)}
	for name, folder := range c.service.Contexts {
		argv = append(argv, "--build-context", name+"="+c.at(folder))
	}
	env := parts.Environ(os.Environ())
	// As the program makes it, whichever comes first.
	create := append([]string{"buildx"}, buildx.Builder{Name: builder, Config: parts.BuildkitConfig, HostNet: true}.CreateArgs()...)
	if _, err := run.OS(c.t.Context(), run.Command{Argv: create, Env: env}); err != nil && !strings.Contains(err.Error(), "existing instance") {
		c.t.Fatal(err)
	}
	if _, err := run.OS(c.t.Context(), run.Command{Argv: append(argv, c.at(c.service.Context)), Env: env}); err != nil {
		c.t.Fatal(err)
	}
	f, err := os.Open(out)
	c.must(err)
	defer f.Close()
	files := map[string]string{}
	for archive := tar.NewReader(f); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		c.must(err)
		if header.Typeflag == tar.TypeDir {
			continue // of which git keeps nothing
		}
		sum := sha256.New()
		_, err = io.Copy(sum, archive)
		c.must(err)
		files[header.Name] = fmt.Sprintf("%c %v %s %x", header.Typeflag, header.Mode&0o111 != 0, header.Linkname, sum.Sum(nil))
	}
}

// TestInputsAreWhatTheBuilderGets changes one thing at a time, and compares: what the builder gets is another exactly
// where the inputs digest is.
func TestInputsAreWhatTheBuilderGets(t *testing.T) {
	submodule := func(c *contexts) string {
		lib := filepath.Join(t.TempDir(), "lib")
		other := &contexts{t: c.t, dir: lib}
		other.git("init", "--quiet", lib)
		other.write(map[string]string{"src": "1"})
		other.commit()
		c.git("submodule", "--quiet", "add", lib, "app/www/lib")
		c.commit()
		return lib
	}
	cases := []struct {
		name    string
		prepare func(c *contexts)
		change  func(c *contexts)
		differs bool
	}{
		{"nothing", nil, func(*contexts) {}, false},
		{"content", nil, func(c *contexts) { c.write(map[string]string{"app/www/index.html": "2"}) }, true},
		{"times", nil, func(c *contexts) { c.write(map[string]string{"app/www/index.html": "1"}) }, false},
		{"a commit of other files", nil, func(c *contexts) { c.write(map[string]string{"elsewhere": "2"}); c.commit() }, false},
		{"a file that nothing copies", nil, func(c *contexts) { c.write(map[string]string{"app/other/file": "2", "app/b.html": "1"}) }, false},
		{"a file that a wildcard copies", nil, func(c *contexts) { c.write(map[string]string{"app/b.txt": "1"}) }, true},
		{"executable", nil, func(c *contexts) { c.must(os.Chmod(c.at("app/www/bin/run"), 0o755)) }, true},
		{"a link's target", nil, func(c *contexts) { c.link("bin/run", "app/www/link") }, true},
		{"a file in place of a link", nil, func(c *contexts) {
			c.must(os.Remove(c.at("app/www/link")))
			c.write(map[string]string{"app/www/link": "index.html"})
		}, true},
		{"a file that is not committed", nil, func(c *contexts) { c.write(map[string]string{"app/www/new": "1"}) }, true},
		{"and then is", func(c *contexts) { c.write(map[string]string{"app/www/new": "1"}) }, func(c *contexts) { c.commit() }, false},
		{"a file that is ignored", nil, func(c *contexts) { c.write(map[string]string{"app/www/notes.md": "2", "app/www/hidden/y": "1"}) }, false},
		{"an exception", nil, func(c *contexts) { c.write(map[string]string{"app/www/kept.md": "2"}) }, true},
		{"a file that git ignores", nil, func(c *contexts) { c.write(map[string]string{"app/www/x.log": "1"}) }, true},
		{"another one", func(c *contexts) { c.write(map[string]string{"app/www/x.log": "1"}) }, func(c *contexts) { c.write(map[string]string{"app/www/x.log": "2"}) }, true},
		{"a folder that git ignores", nil, func(c *contexts) { c.write(map[string]string{"app/made/deep/file": "1"}) }, true},
		{"a file that git and the builder ignore", nil, func(c *contexts) { c.write(map[string]string{"app/www/hidden/x.log": "1"}) }, false},
		{"a file that git ignores and nothing copies", nil, func(c *contexts) { c.write(map[string]string{"app/other/x.log": "1"}) }, false},
		{"a deleted file", nil, func(c *contexts) { c.must(os.Remove(c.at("app/www/bin/run"))) }, true},
		{"a name in other letters", nil, func(c *contexts) { c.git("mv", "app/www/index.html", "app/www/Index.html") }, true},
		{"a file that is checked out as it is committed", func(c *contexts) { c.write(map[string]string{"app/www/loud.up": "quiet"}) },
			func(c *contexts) {
				c.must(os.Remove(c.at("app/www/loud.up")))
				c.git("checkout", "--", "app/www/loud.up")
			}, true},
		{"line ends", nil, func(c *contexts) {
			c.must(os.Remove(c.at("app/www/dos.bat")))
			c.git("checkout", "--", "app/www/dos.bat")
		}, true},
		{"a file that git is told not to look at", func(c *contexts) { c.git("update-index", "--assume-unchanged", "app/www/index.html") },
			func(c *contexts) { c.write(map[string]string{"app/www/index.html": "2"}) }, true},
		{"a file that is left out of the checkout", nil, func(c *contexts) {
			c.git("update-index", "--skip-worktree", "app/www/bin/run")
			c.must(os.Remove(c.at("app/www/bin/run")))
		}, true},
		{"a named context", nil, func(c *contexts) { c.write(map[string]string{"extra/lib": "2"}) }, true},
		{"what a named context ignores", nil, func(c *contexts) { c.write(map[string]string{"extra/skipped": "2"}) }, false},
		{"a submodule that is not checked out", func(c *contexts) { submodule(c) }, func(c *contexts) { c.git("submodule", "--quiet", "deinit", "--all", "--force") }, true},
		{"a submodule's commit", func(c *contexts) { submodule(c) }, func(c *contexts) {
			lib := &contexts{t: c.t, dir: c.at("app/www/lib")}
			lib.write(map[string]string{"src": "2"})
			lib.commit()
			c.commit()
		}, true},
		{"another place", nil, func(c *contexts) {
			c.write(map[string]string{"app/www/dos.bat": "one\ntwo\n"}) // as it is before
			moved := filepath.Join(c.t.TempDir(), "moved")
			c.must(os.Rename(c.dir, moved))
			c.dir = moved
		}, false},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			c := newContexts(t)
			if test.prepare != nil {
				test.prepare(c)
			}
			inputs, received := c.inputs().Inputs, c.received()
			test.change(c)
			after, got := c.inputs().Inputs, c.received()
			if differs := !maps.Equal(received, got); differs != test.differs || (after != inputs) != differs {
				t.Errorf("the builder gets something else: %v, the inputs differ: %v; want %v\n%s", differs, after != inputs, test.differs, cmp.Diff(received, got))
			}
		})
	}
}

// TestAContextWithItsCloneIsNeverTheSame because the builder really gets it.
func TestAContextWithItsCloneIsNeverTheSame(t *testing.T) {
	c := newContexts(t)
	c.service.Context, c.service.Contexts = ".", nil
	c.write(map[string]string{"app/Dockerfile": "FROM scratch\nCOPY . /\n"})
	c.commit()
	before := c.received()
	c.git("commit", "--quiet", "--allow-empty", "--message=y")
	if maps.Equal(before, c.received()) {
		t.Error("the builder does not get the clone")
	}
	c.write(map[string]string{".dockerignore": "**/.git\n"})
	c.commit()
	before = c.received()
	c.git("commit", "--quiet", "--allow-empty", "--message=y")
	if diff := cmp.Diff(before, c.received()); diff != "" {
		t.Errorf("without the clone (-before +after):\n%s", diff)
	}
}
