package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

const (
	tokenHeader = "[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic eDp0b2tlbg==\n"
	tokenURL    = "[remote \"origin\"]\n\turl = https://x-access-token:secret@github.com/octo/mono\n"
	sshURL      = "[remote \"origin\"]\n\turl = git@github.com:octo/mono.git\n[remote \"other\"]\n\turl = ssh://git@github.com/octo/mono\n"
	plainURL    = "[remote \"origin\"]\n\turl = https://github.com/octo/mono\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[user]\n\temail = a@example.com\n"
)

func TestPreflightKeepsCredentialsOutOfContexts(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		context string
		files   map[string]string
		want    string // part of the only problem; empty: none
	}{
		{"no clone", ".", nil, ""},
		{"an address without a user", ".", map[string]string{".git/config": plainURL}, ""},
		{"ssh", ".", map[string]string{".git/config": sshURL}, ""},
		{"a header", ".", map[string]string{".git/config": tokenHeader}, "its context holds .git/config, which carries credentials; they would get into the image; add the line `**/.git` to .dockerignore"},
		{"a header in capitals", ".", map[string]string{".git/config": strings.ToUpper(tokenHeader)}, ".git/config"},
		{"user and password", ".", map[string]string{".git/config": tokenURL}, ".git/config"},
		{"a token in place of the user", ".", map[string]string{".git/config": strings.ReplaceAll(tokenURL, "x-access-token:", "")}, ".git/config"},
		{"a submodule", ".", map[string]string{".git/config": plainURL, ".git/modules/lib/config": tokenHeader}, ".git/modules/lib/config"},
		{"a submodule's submodule", ".", map[string]string{".git/modules/lib/modules/deep/config": tokenHeader}, ".git/modules/lib/modules/deep/config"},
		{"a submodule with a name of git's own", ".", map[string]string{".git/HEAD": "ref: refs/heads/main", ".git/modules/logs/config": tokenHeader, ".git/modules/logs/HEAD": ""}, ".git/modules/logs/config"},
		{"a branch named config", ".", map[string]string{".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/config": "https://a:b@c", ".git/logs/refs/heads/config": "https://a:b@c"}, ""},
		{"ignored", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": "# no\n.git\n"}, ""},
		{"ignored with a slash", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": "/.git/\n"}, ""},
		{"all ignored but some", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": "*\n!src\n"}, ""},
		{"ignored at any depth", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": "**/.git\n"}, ""},
		{"ignored and put back in", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": ".git\n!.git/config\n"}, ".git/config"},
		{"another file ignored", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": ".github\n"}, ".git/config"},
		{"the Dockerfile's own ignore file", ".", map[string]string{".git/config": tokenHeader, "Dockerfile.dockerignore": ".git\n"}, ""},
		{"the Dockerfile's own comes first", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": ".git\n", "Dockerfile.dockerignore": "node_modules\n"}, "add the line `**/.git` to Dockerfile.dockerignore"},
		{"an ignore file that cannot be read keeps nothing out", ".", map[string]string{".git/config": tokenHeader, ".dockerignore": ".git\n[\n"}, ".git/config"},
		{"a context below the clone", "app", map[string]string{".git/config": tokenHeader, "app/x": ""}, ""},
		{"a clone deep below", ".", map[string]string{"vendor/lib/.git/config": tokenHeader}, "vendor/lib/.git/config"},
		{"a clone deep below, and only the first ignored", ".", map[string]string{"vendor/lib/.git/config": tokenHeader, ".dockerignore": ".git\n"}, "vendor/lib/.git/config"},
		{"a clone deep below, ignored", ".", map[string]string{"vendor/lib/.git/config": tokenHeader, ".dockerignore": "**/.git\n"}, ""},
		{"a clone in an ignored folder", ".", map[string]string{"vendor/lib/.git/config": tokenHeader, ".dockerignore": "vendor\n"}, ""},
		{"a clone in an ignored folder, put back in", ".", map[string]string{"vendor/lib/.git/config": tokenHeader, ".dockerignore": "vendor\n!vendor/lib\n"}, "vendor/lib/.git/config"},
		{"another program's config", ".", map[string]string{"app/config": tokenHeader}, ""},
		{"a clone below", "app", map[string]string{"app/.git/config": tokenHeader}, "app/.git/config"},
		{"a clone below, ignored", "app", map[string]string{"app/.git/config": tokenHeader, "app/.dockerignore": ".git"}, ""},
		{"a worktree's pointer", ".", map[string]string{".git": "gitdir: /elsewhere"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c0 := clone{t, t.TempDir()}
			c0.write(map[string]string{"Dockerfile": "FROM scratch"})
			c0.write(c.files)
			err := Preflight(c0.dir, []service.Service{{Name: "api", Context: c.context, Dockerfile: "Dockerfile"}})
			var problems service.Problems
			errors.As(err, &problems)
			if (err == nil) != (c.want == "") || len(problems) > 1 || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Preflight() = %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "eDp0b2tlbg")) {
				t.Errorf("the problem tells the secret: %v", err)
			}
		})
	}
}

func TestPreflightKeepsToTheWorkspace(t *testing.T) {
	t.Parallel()
	c, outside := clone{t, filepath.Join(t.TempDir(), "ws")}, t.TempDir()
	c.write(map[string]string{"app/Dockerfile": "FROM scratch"})
	for link, target := range map[string]string{"out": outside, "out.Dockerfile": filepath.Join(outside, "Dockerfile"), "in": "app", "in.Dockerfile": "app/Dockerfile"} {
		c.must(os.Symlink(target, filepath.Join(c.dir, link)))
	}
	c.must(os.WriteFile(filepath.Join(outside, "Dockerfile"), []byte("FROM scratch"), 0o644))
	cases := []struct{ context, dockerfile, want string }{
		{"in", "in/Dockerfile", ""}, {"app", "in.Dockerfile", ""},
		{"out", "app/Dockerfile", `"out" is a link that leaves the workspace`}, {"app", "out/Dockerfile", `"out/Dockerfile" is a link`}, {".", "out.Dockerfile", `"out.Dockerfile" is a link`},
	}
	for _, x := range cases {
		err := Preflight(c.dir, []service.Service{{Name: "api", At: "file:3:5", Context: x.context, Dockerfile: x.dockerfile}})
		if (err == nil) != (x.want == "") || err != nil && (!strings.Contains(err.Error(), x.want) || !strings.HasPrefix(err.Error(), "file:3:5: ")) {
			t.Errorf("%s and %s: %v, want %q", x.context, x.dockerfile, err, x.want)
		}
	}
}

func TestPreflightReportsAllThatIsMissing(t *testing.T) {
	t.Parallel()
	c := clone{t, t.TempDir()}
	c.write(map[string]string{"api/Dockerfile": "FROM scratch", "file": "", ".git/config": tokenHeader})
	err := Preflight(c.dir, []service.Service{
		{Name: "api", At: "file:1:1", Context: "api", Dockerfile: "api/Dockerfile"},
		{At: "file:1:1", Context: ".", Dockerfile: "Dockerfile"}, // of which it is said already that it is none
		{Name: "gone", At: "file:1:1", Context: "gone", Dockerfile: "gone/Dockerfile"},
		{Name: "web", At: "file:1:1", Context: ".", Dockerfile: "web/Dockerfile"},
		{Name: "folder", At: "file:1:1", Context: ".", Dockerfile: "api"},
		{Name: "odd", At: "file:1:1", Context: "file", Dockerfile: "api/Dockerfile"},
		{Name: "leaky", At: "file:1:1", Context: ".", Dockerfile: "api/Dockerfile"},
	})
	want := strings.Join([]string{
		`file:1:1: gone: context "gone" is not there; give a folder of the repository`,
		`file:1:1: web: dockerfile "web/Dockerfile" is not there; give the path of a Dockerfile, relative to the repository's root`,
		`file:1:1: folder: dockerfile "api" is not there; give the path of a Dockerfile, relative to the repository's root`,
		`file:1:1: odd: context "file" is not there; give a folder of the repository`,
		"file:1:1: leaky: its context holds .git/config, which carries credentials; they would get into the image; add the line `**/.git` to .dockerignore",
	}, "\n")
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	var coded interface{ ExitCode() int }
	if !errors.As(err, &coded) || coded.ExitCode() != 2 {
		t.Errorf("%T has not the exit code of a wrong configuration", err)
	}
}

// TestPreflightFollowsLinksToContexts as the builder does, which is sent what they lead to.
func TestPreflightFollowsLinksToContexts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{".git/config": tokenHeader, "Dockerfile": "FROM scratch\n", "app/x": ""} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(".", filepath.Join(dir, "all")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		context string
		named   string // named context
		want    string
	}{
		{"all", "", "its context holds all/.git/config"},
		{"app", "all", "its context more holds all/.git/config"},
		{"app", ".git", `".git" is where git keeps the clone itself`},
		{".git", "", `".git" is where git keeps the clone itself`},
		{"all/.git", "", `"all/.git" is where git keeps the clone itself`},
		{"app", "app", ""},
	} {
		s := service.Service{Name: "s", Context: c.context, Dockerfile: "Dockerfile"}
		if c.named != "" {
			s.Contexts = map[string]string{"more": c.named}
		}
		err := Preflight(dir, []service.Service{s})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("context %s and %q: %v, want %q", c.context, c.named, err, c.want)
		}
	}
}

func TestHoldsCredentials(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]bool{tokenHeader: true, tokenURL: true, sshURL: false, plainURL: false} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, ".git"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".git", "config"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := HoldsCredentials(dir); got != want {
			t.Errorf("%q: %v", config, got)
		}
	}
	if HoldsCredentials(t.TempDir()) {
		t.Error("what is no clone holds credentials")
	}
}
