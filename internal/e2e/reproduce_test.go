package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/run"
)

// release is how the Dockerfile builds the program.
var release = regexp.MustCompile(`CGO_ENABLED=1 go build (.+) \\\n +-ldflags "(.+)" -o /out/ghcr-publish \.\n`)

// TestReproducible builds the program as it is released from two folders. The same without -trimpath, of a small program of ours,
// is what it must not be like.
func TestReproducible(t *testing.T) {
	t.Parallel()
	needParts(t)
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	found := release.FindSubmatch(dockerfile)
	if found == nil {
		t.Fatalf("the Dockerfile does not build as %s", release)
	}
	folders := []string{copySource(t), copySource(t)}
	link := "-ldflags=" + strings.ReplaceAll(string(found[2]), "$VERSION", "v1.2.3")
	flags := append(strings.Fields(string(found[1])), link)
	if sums := builds(t, folders, ".", flags); sums[0] != sums[1] {
		t.Errorf("go build %q gives two programs of one source: %v", flags, sums)
	}
	if !slices.Contains(flags, "-trimpath") {
		t.Errorf("go build %q leaves the folder's name in the program", flags)
	}
	if sums := builds(t, folders, "./internal/toolstest", []string{"-ldflags=-s -w"}); sums[0] == sums[1] {
		t.Error("without -trimpath two folders give one program: the test tells nothing apart")
	}
}

// copySource gives a folder with what the Dockerfile copies.
func copySource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "internal"), os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"go.mod", "go.sum", "main.go"} {
		data, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// builds are the checksums of what is built in each folder.
func builds(t *testing.T, folders []string, pkg string, flags []string) (sums []string) {
	t.Helper()
	for _, dir := range folders {
		out := filepath.Join(t.TempDir(), "program")
		argv := slices.Concat([]string{"go", "build"}, flags, []string{"-o", out, pkg})
		if log, err := attempt(t.Context(), run.Command{Argv: argv, Dir: dir, Env: append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=")}); err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		sums = append(sums, hex.EncodeToString(sum[:]))
	}
	return sums
}
