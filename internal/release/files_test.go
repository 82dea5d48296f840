package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/service"
)

// newWorkspace makes a folder of files, by path.
func newWorkspace(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "workspace")
	for at, content := range files {
		at = filepath.Join(dir, at)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := newWorkspace(t, map[string]string{"dist/a.tar.gz": "a", "dist/deep/b.tar.gz": "b", "dist/ my  tool~1@2.deb": "c", "dist/.hidden": "d", "LICENSE": "e", ".git/config": "token", "sub/.git/config": "token",
		"dist/empty": "", "other/a.tar.gz": "f", "dist/digests.txt": "g", "dist/checksums.txt": "h"})
	if err := os.WriteFile(filepath.Join(dir, "..", "outside"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"out": "../outside", "up": "..", "dist/in": "a.tar.gz", "dist/token": "../.git/config", "dist/linked": "../.git"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	huge, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if err := huge.Truncate(largest); err != nil { // which takes no space
		t.Fatal(err)
	}
	none := func(pattern string) string { return fmt.Sprintf("no file is named by %q", pattern) }
	for patterns, want := range map[string]struct{ names, problems []string }{
		"dist/*.tar.gz":                {names: []string{"a.tar.gz"}},
		"./dist/**/*.tar.gz":           {names: []string{"a.tar.gz", "b.tar.gz"}},
		"dist/*.tar.gz\n{dist,x}/a.*":  {names: []string{"a.tar.gz"}},
		"dist/*my*\nLICENSE\ndist/.h*": {names: []string{"LICENSE", "hidden", "my.tool.1.2.deb"}},
		"dist/in":                      {names: []string{"in"}},
		"nothing/*\n.git/*\n**/.git/*": {problems: []string{none("nothing/*"), none(".git/*"), none("**/.git/*")}},
		"dist/token\ndist/linked/*":    {problems: []string{none("dist/token"), none("dist/linked/*")}},
		"dist":                         {problems: []string{none("dist")}},
		"out":                          {problems: []string{none("out")}},
		"up/outside\nup/*":             {problems: []string{none("up/outside"), none("up/*")}},
		"*/a.tar.gz\ndist/empty\nhuge": {names: []string{"a.tar.gz"}, problems: []string{
			"\"dist/empty\" is empty, which GitHub does not take",
			"\"huge\" has 2GiB, and GitHub takes less than 2 GiB",
			`"other/a.tar.gz" is one more file of the name a.tar.gz, beside "dist/a.tar.gz"`}},
		"dist/digests.txt\ndist/checksums.txt": {problems: []string{
			`"dist/checksums.txt" is one more file of the name checksums.txt, beside the release's own`,
			`"dist/digests.txt" is one more file of the name digests.txt, beside the release's own`}},
	} {
		var problems service.Problems
		var got struct{ names, problems []string }
		for _, f := range Files(dir, strings.Split(patterns, "\n"), []string{"digests.txt"}, &problems) {
			got.names = append(got.names, f.Name)
		}
		for _, p := range problems {
			got.problems = append(got.problems, p.What)
		}
		slices.Sort(got.names)
		if !slices.Equal(got.names, want.names) || !slices.Equal(got.problems, want.problems) {
			t.Errorf("%q: %q and %q, want %q and %q", patterns, got.names, got.problems, want.names, want.problems)
		}
	}
}

func TestTooManyFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("dist/%d", i)] = "x"
	}
	dir := newWorkspace(t, files)
	var problems service.Problems
	Files(dir, []string{"dist/*"}, []string{"digests.txt"}, &problems)
	if len(problems) != 1 || problems[0].What != "1000 files are named, and a release takes 998 beside its own" {
		t.Errorf("problems are %v", problems)
	}
}

// TestOwnFiles uploads files from a disk, once: the first that a release gets stays. An upload that is refused is made again from its beginning.
func TestOwnFiles(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	dir := newWorkspace(t, map[string]string{"dist/tool": strings.Repeat("tool", 100_000)})
	want := wanted("v1.0.0")
	add := func() {
		var problems service.Problems
		if want.Assets = append(wanted("v1.0.0").Assets, Files(dir, []string{"dist/*"}, nil, &problems)...); problems != nil {
			t.Fatal(problems)
		}
	}
	add()
	uploads := 0
	server.Watch(func(r *http.Request) {
		if r.URL.Query().Get("name") == "tool" {
			if uploads++; uploads == 1 {
				server.Fail(1, http.StatusServiceUnavailable, nil, "")
			}
		}
	})
	mustPublish(t, host, want)
	if uploads != 2 {
		t.Errorf("there were %d uploads", uploads)
	}
	tool := func() string {
		r := server.Releases()[0]
		return string(r.Assets[slices.IndexFunc(r.Assets, func(a githubtest.ReleaseAsset) bool { return a.Name == "tool" })].Data)
	}
	if got := tool(); got != strings.Repeat("tool", 100_000) {
		t.Errorf("the release has %d bytes of it", len(got))
	}
	if err := os.WriteFile(filepath.Join(dir, "dist/tool"), []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	add()
	before := server.Releases()
	mustPublish(t, host, want)
	if diff := cmp.Diff(before, server.Releases()); diff != "" {
		t.Errorf("again it changed (-before +after):\n%s", diff)
	}
	sum := sha256.Sum256([]byte(tool()))
	i := slices.IndexFunc(before[0].Assets, func(a githubtest.ReleaseAsset) bool { return a.Name == sums })
	if list := string(before[0].Assets[i].Data); !strings.Contains(list, hex.EncodeToString(sum[:])+"  tool\n") {
		t.Errorf("the checksums are\n%s", list)
	}
}

// TestAlteredUpload has a file change while it is sent: what came is taken back.
func TestAlteredUpload(t *testing.T) {
	t.Parallel()
	server, host := startHost(t)
	content := []string{"first", "again", "again"} // what is read to know the digest, to send it, and so on
	want := wanted("v1.0.0")
	want.Assets = append(want.Assets, Asset{Name: "tool", MediaType: "application/octet-stream", Once: true, Size: 5, Open: func() (File, error) {
		f := &fickle{content: content}
		content = content[1:]
		return f, nil
	}})
	mustPublish(t, host, want)
	r := server.Releases()[0]
	i := slices.IndexFunc(r.Assets, func(a githubtest.ReleaseAsset) bool { return a.Name == "tool" })
	if string(r.Assets[i].Data) != "again" || r.Draft {
		t.Errorf("the release is %+v", r)
	}
}

// A fickle file has the first content until it is rewound, and the second from then on.
type fickle struct {
	content []string
	at      int64
	rewound bool
}

func (f *fickle) text() string {
	if f.rewound {
		return f.content[1]
	}
	return f.content[0]
}

func (f *fickle) Read(p []byte) (int, error) {
	n := copy(p, f.text()[f.at:])
	if f.at += int64(n); n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *fickle) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset += int64(len(f.text()))
	} else {
		f.rewound = true
	}
	f.at = offset
	return f.at, nil
}

func (f *fickle) Close() error { return nil }
