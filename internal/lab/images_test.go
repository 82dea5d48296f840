package lab

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/org/ghcr-publish/internal/run"
)

func fakeRoots() map[string][]file {
	roots := map[string][]file{}
	for _, arch := range architectures {
		roots[arch] = rootfs([]byte("busybox of "+arch), []string{"busybox", "sh", "ls"})
	}
	return roots
}

func TestBaseIndexIsDeterministicAndWhole(t *testing.T) {
	t.Parallel()
	one, err := baseIndex(fakeRoots())
	if err != nil {
		t.Fatal(err)
	}
	two, err := baseIndex(fakeRoots())
	if err != nil {
		t.Fatal(err)
	}
	first, _ := one.Digest()
	if second, _ := two.Digest(); first != second {
		t.Errorf("the same files give %s and %s", first, second)
	}
	if media, _ := one.MediaType(); media != types.OCIImageIndex {
		t.Errorf("the index is a %s", media)
	}
	if !coversAll(one) || coversAll(empty.Index) {
		t.Error("coversAll does not see the platforms")
	}
}

func TestRootfs(t *testing.T) {
	t.Parallel()
	var layer bytes.Buffer
	if err := writeTar(&layer, rootfs([]byte("program"), []string{"busybox", "sh"})); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(&layer); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%c %s %o %s", h.Typeflag, h.Name, h.Mode, h.Linkname))
	}
	for _, want := range []string{"5 tmp/ 1777 ", "0 bin/busybox 755 ", "2 bin/sh 777 busybox", "0 etc/passwd 644 "} {
		if !slices.Contains(got, want) {
			t.Errorf("the root file system lacks %q: %q", want, got)
		}
	}
	if slices.ContainsFunc(got, func(e string) bool { return strings.HasPrefix(e, "2 bin/busybox") }) {
		t.Error("busybox is a link to itself")
	}
}

func TestPushBusyboxLeavesAWholeOne(t *testing.T) {
	t.Parallel()
	s, l := &setup{}, openLab(t)
	if err := s.pushBusybox(t.Context(), l, fakeRoots()); err != nil {
		t.Fatal(err)
	}
	// What is whole stays, whatever would be pushed.
	if err := s.pushBusybox(t.Context(), l, nil); err != nil {
		t.Fatal(err)
	}
	ref, _ := l.reference(busyboxImage)
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := baseIndex(fakeRoots())
	wanted, _ := want.Digest()
	if got, _ := index.Digest(); got != wanted {
		t.Errorf("the registry holds %s, want %s", got, wanted)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}

func TestImportError(t *testing.T) {
	t.Parallel()
	if err := importError(strings.NewReader(`{"status":"Importing"}` + "\n" + `{"status":"sha256:1"}`)); err != nil {
		t.Errorf("a good import: %v", err)
	}
	err := importError(strings.NewReader(`{"status":"Importing"}{"errorDetail":{"message":"no space"},"error":"no space"}`))
	if err == nil || err.Error() != "no space" {
		t.Errorf("a failed import: %v", err)
	}
}

func TestLibraries(t *testing.T) {
	t.Parallel()
	got := libraries("\tlinux-vdso.so.1 (0x7)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7)\n\t/lib64/ld-linux-x86-64.so.2 (0x7)\n")
	if want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}; !slices.Equal(got, want) {
		t.Errorf("libraries() = %v, want %v", got, want)
	}
}

func TestDownloaded(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	path := filepath.Join(s.debs(), "busybox-static_1%3a1.35.0-4_arm64.deb")
	write(t, path, "")
	have, lack := s.downloaded([]string{"busybox-static:amd64", "busybox-static:arm64"})
	if have["busybox-static:arm64"] != path || !slices.Equal(lack, []string{"busybox-static:amd64"}) {
		t.Errorf("downloaded() = %v, %v", have, lack)
	}
}

func TestFindInPackage(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	if err := writeTar(&archive, []file{{name: "./bin/", mode: 0o755}, {name: "./bin/busybox", data: []byte("it")}}); err != nil {
		t.Fatal(err)
	}
	data := archive.Bytes()
	if got, err := find(tar.NewReader(bytes.NewReader(data)), []string{"usr/bin/busybox", "bin/busybox"}); err != nil || string(got) != "it" {
		t.Errorf("find() = %q, %v", got, err)
	}
	if _, err := find(tar.NewReader(bytes.NewReader(data)), []string{"bin/ash"}); err == nil || !strings.Contains(err.Error(), "bin/ash") {
		t.Errorf("find() of what is not there: %v", err)
	}
}

// The script's refusals need no kernel.
func TestBinfmtScriptRefuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "binfmt")
	write(t, path, string(emulators["amd64"].script()))
	for _, args := range [][]string{nil, {"--install"}, {"--install", "riscv64"}, {"--uninstall", "arm64"}} {
		_, err := run.OS(t.Context(), run.Command{Argv: append([]string{"/bin/sh", path}, args...), Env: os.Environ()})
		if err == nil || !strings.Contains(err.Error(), "usage: --install arm64|all") {
			t.Errorf("%v: %v, want the usage", args, err)
		}
	}
}
