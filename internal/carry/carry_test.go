package carry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/org/ghcr-publish/internal/results"
	"github.com/org/ghcr-publish/internal/resultstest"
)

const place = ".swarm/memory.db"

// newCarrier carries a memory between workspaces by one cache.
func newCarrier(t testing.TB, server *resultstest.Server) *Carrier {
	t.Helper()
	cache, err := results.NewCacheV2(server.URL, server.CacheToken("run", "job", resultstest.Permission{Scope: "refs/heads/main", Permission: 3}))
	if err != nil {
		t.Fatal(err)
	}
	return &Carrier{Cache: cache, Workspace: t.TempDir(), Path: place, Temp: t.TempDir(), Now: time.Now}
}

func startServer(t testing.TB) *resultstest.Server {
	t.Helper()
	server := resultstest.Start()
	t.Cleanup(server.Close)
	return server
}

func (c *Carrier) write(t testing.TB, content []byte) {
	t.Helper()
	file := filepath.Join(c.Workspace, c.Path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cached puts an archive into the cache as another program may have made it.
func (c *Carrier) cached(t *testing.T, key, compression string, archive []byte) {
	t.Helper()
	if err := c.Cache.Save(t.Context(), key, version(c.Path, compression), bytes.NewReader(archive), int64(len(archive))); err != nil {
		t.Fatal(err)
	}
}

func TestVersionIsThatOfActionsCache(t *testing.T) {
	t.Parallel()
	for compression, want := range map[string]string{byZstd: "5a790ab60b259fde"} {
		if got := version(".state/memory.db", compression); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s…", compression, got, want)
		}
	}
}

func TestMemoryTravels(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	here, there := newCarrier(t, server), newCarrier(t, server)
	if keys, err := there.Fetch(t.Context()); len(keys) > 0 || err != nil {
		t.Errorf("from an empty cache came %q, %v", keys, err)
	}
	for n, content := range []string{"first", "second"} {
		here.write(t, []byte(content))
		if err := here.Keep(t.Context(), fmt.Sprintf("%s%d", Prefix, n)); err != nil {
			t.Fatal(err)
		}
		keys, err := there.Fetch(t.Context())
		got, _ := os.ReadFile(filepath.Join(there.Workspace, place))
		if err != nil || !slices.Equal(keys, []string{fmt.Sprintf("%s%d", Prefix, n)}) || string(got) != content {
			t.Errorf("got %q by %q, %v; want %q", got, keys, err, content)
		}
	}
	for _, c := range []*Carrier{here, there} {
		if left, _ := os.ReadDir(c.Temp); len(left) > 0 {
			t.Errorf("on the way %v were left", left)
		}
	}
	// Steps that run as another user read it too.
	if info, err := os.Stat(filepath.Join(there.Workspace, place)); err != nil || info.Mode().Perm() != mode {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

// archiveOf makes an archive of files by name.
func archiveOf(t testing.TB, compression string, files ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	var packed io.WriteCloser = gzip.NewWriter(&b)
	if compression == byZstd {
		packed, _ = zstd.NewWriter(&b)
	}
	archive := tar.NewWriter(packed)
	for _, header := range files {
		content := "content of " + header.Name
		if header.Size == 0 && header.Typeflag == tar.TypeReg {
			header.Size = int64(len(content))
		}
		header.Mode = 0o644
		if err := archive.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(archive, content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(archive.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestOthersArchives reads what other programs keep under the same place.
func TestOthersArchives(t *testing.T) {
	t.Parallel()
	regular := tar.Header{Typeflag: tar.TypeReg, Name: place}
	zipped := archiveOf(t, byZstd, regular)
	for name, c := range map[string]struct {
		compression string
		archive     []byte
		want        string // of the error
	}{
		"gzip":          {byGzip, archiveOf(t, byGzip, regular), ""},
		"among others":  {byZstd, archiveOf(t, byZstd, tar.Header{Typeflag: tar.TypeDir, Name: ".swarm/"}, tar.Header{Typeflag: tar.TypeReg, Name: "../../escaped"}, tar.Header{Typeflag: tar.TypeReg, Name: "./" + place}), ""},
		"not there":     {byZstd, archiveOf(t, byZstd, tar.Header{Typeflag: tar.TypeReg, Name: "memory.db"}), "it holds no .swarm/memory.db"},
		"a link":        {byZstd, archiveOf(t, byZstd, tar.Header{Typeflag: tar.TypeSymlink, Name: place, Linkname: "/etc/passwd"}), "it holds no .swarm/memory.db"},
		"no archive":    {byZstd, []byte("nothing"), "magic number"},
		"half of one":   {byZstd, zipped[:len(zipped)/2], "unexpected EOF"},
		"another's":     {byGzip, zipped, "invalid header"},
		"an empty file": {byZstd, archiveOf(t, byZstd), "it holds no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carrier := newCarrier(t, startServer(t))
			carrier.cached(t, Prefix+"1", c.compression, c.archive)
			keys, err := carrier.Fetch(t.Context())
			_, there := os.Lstat(filepath.Join(carrier.Workspace, place))
			if c.want == "" {
				if got, _ := os.ReadFile(filepath.Join(carrier.Workspace, place)); err != nil || len(keys) != 1 || !strings.HasPrefix(string(got), "content of ") {
					t.Errorf("got %q by %q, %v", got, keys, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) || there == nil {
				t.Errorf("got %q, %v; the file is there: %v", keys, err, there == nil)
			}
			if left, _ := filepath.Glob(filepath.Join(carrier.Workspace, ".swarm", ".*")); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}

// TestNothingIsWrittenOutside follows no link that leads out of the workspace.
func TestNothingIsWrittenOutside(t *testing.T) {
	t.Parallel()
	c, outside := newCarrier(t, startServer(t)), t.TempDir()
	c.write(t, []byte("x"))
	if err := c.Keep(t.Context(), Prefix+"1"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.Workspace, ".swarm")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(c.Workspace, ".swarm")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(t.Context()); err == nil {
		t.Error("it was written")
	}
	if err := os.WriteFile(filepath.Join(outside, "memory.db"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Keep(t.Context(), Prefix+"2"); err == nil {
		t.Error("it was read")
	}
	if files, _ := os.ReadDir(outside); len(files) != 1 {
		t.Errorf("outside there are %v", files)
	}
}

// TestMemoriesAreBroughtAtOnce leaves alone what another job has begun to write beside the same place.
func TestMemoriesAreBroughtAtOnce(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, startServer(t))
	c.write(t, []byte("x"))
	begun := filepath.Join(c.Workspace, ".swarm", ".new-memory.db")
	if err := errors.Join(c.Keep(t.Context(), Prefix+"1"), os.WriteFile(begun, []byte("half of it"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(begun); err != nil || string(got) != "half of it" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSilenceEndsIt(t *testing.T) {
	t.Parallel()
	c := newCarrier(t, startServer(t))
	c.write(t, []byte("x"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("nobody waits any longer"))
	for name, do := range map[string]func() error{
		"fetch": func() error { _, err := c.Fetch(ctx); return err },
		"keep":  func() error { return c.Keep(ctx, Prefix+"1") },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "nobody waits any longer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	for _, compression := range []string{byZstd, byGzip} {
		f.Add(archiveOf(f, compression, tar.Header{Typeflag: tar.TypeReg, Name: place}), compression)
	}
	f.Fuzz(func(t *testing.T, archive []byte, compression string) {
		var to bytes.Buffer
		if err := unpack(bytes.NewReader(archive), compression, place, &to); err != nil && strings.Contains(err.Error(), "panic") {
			t.Error(err)
		}
	})
}

// BenchmarkMemory carries 50 MB that do not compress well, there and back.
func BenchmarkMemory(b *testing.B) {
	content := make([]byte, 50<<20)
	random := rand.NewChaCha8([32]byte{})
	for at := 0; at < len(content); at += 1 << 10 {
		_, _ = random.Read(content[at : at+512])
	}
	c := newCarrier(b, startServer(b))
	c.write(b, content)
	b.SetBytes(int64(len(content)))
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			if err := c.Keep(b.Context(), fmt.Sprintf("%s%d", Prefix, random.Uint64())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Fetch(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
