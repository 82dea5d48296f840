package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/ghcr-publish/internal/run"
)

// goPackages is what the official Go image has of Debian and the action's Dockerfile uses, and the
// compiler for the other architecture, which that file would install.
var goPackages = []string{"ca-certificates", "gcc", "libc6-dev", "binutils", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"}

// GoContext returns the build context that stands for the official Go image where Docker Hub is out of
// reach: "NAME=oci-layout://…". It is empty where that image can be pulled. The image is made once, out of
// Debian packages and this machine's Go, which takes about three minutes.
func (l *Lab) GoContext(ctx context.Context, name string) (string, error) {
	if l.setup == nil || !l.setup.hubAway {
		return "", nil
	}
	dir := filepath.Join(l.setup.Cache, "golang", strings.ReplaceAll(name, ":", "-"))
	digest, err := madeBefore(dir)
	if err == nil {
		return fmt.Sprintf("%s=oci-layout://%s@%s", name, dir, digest), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("making %s: %w", name, err)
	}
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	l.setup.say("making %s (about three minutes the first time)", name)
	if digest, err = l.setup.makeGo(ctx, dir); err != nil {
		return "", fmt.Errorf("making %s: %w", name, err)
	}
	return fmt.Sprintf("%s=oci-layout://%s@%s", name, dir, digest), nil
}

// madeBefore returns the digest of the one image in a layout.
func madeBefore(dir string) (v1.Hash, error) {
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return v1.Hash{}, err
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return v1.Hash{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	if len(manifest.Manifests) != 1 {
		return v1.Hash{}, fmt.Errorf("%s holds %d images, not one; remove it", dir, len(manifest.Manifests))
	}
	return manifest.Manifests[0].Digest, nil
}

func (s *setup) makeGo(ctx context.Context, dir string) (v1.Hash, error) {
	work, err := os.MkdirTemp(s.Cache, "golang-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root")
	out, err := run.OS(ctx, run.Command{Argv: []string{"go", "env", "GOROOT"}, Env: goEnv(os.Environ(), false)})
	if err != nil {
		return v1.Hash{}, err
	}
	env := append(systemEnv(os.Environ()), "DEBIAN_FRONTEND=noninteractive")
	commands := [][]string{
		{"apt-get", "update", "-qq"},
		{"apt-get", "install", "-y", "-qq", "--no-install-recommends", "debootstrap"},
		{"debootstrap", "--variant=minbase", "--include=" + strings.Join(goPackages, ","), "bookworm", root},
	}
	if bundle := authorities(os.Getenv("SSL_CERT_FILE")); bundle != "" {
		commands = append(commands, []string{"cp", bundle, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")})
	}
	commands = append(commands,
		[]string{"tar", "-C", root, "--numeric-owner", "--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*.deb", "-cf", filepath.Join(work, "debian.tar"), "."},
		[]string{"tar", "-C", strings.TrimSpace(string(out)), "--numeric-owner", "--owner=0", "--group=0", "--transform=s,^\\.,usr/local/go,", "-cf", filepath.Join(work, "go.tar"), "."})
	for _, argv := range commands {
		if _, err := run.OS(ctx, run.Command{Argv: argv, Env: env}); err != nil {
			return v1.Hash{}, err
		}
	}
	return writeGo(filepath.Join(work, "layout"), dir, filepath.Join(work, "debian.tar"), filepath.Join(work, "go.tar"))
}

// writeGo writes an image of some layers to a layout, and moves that to its place when it is whole.
func writeGo(beside, dir string, layers ...string) (v1.Hash, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{"PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOPATH=/go", "GOTOOLCHAIN=local"}}})
	if err != nil {
		return v1.Hash{}, err
	}
	for _, file := range layers {
		layer, err := tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(1))
		if err != nil {
			return v1.Hash{}, err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return v1.Hash{}, err
		}
	}
	path, err := layout.Write(beside, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendImage(image); err != nil {
		return v1.Hash{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return v1.Hash{}, err
	}
	if err := os.Rename(beside, dir); err != nil {
		return v1.Hash{}, err
	}
	return image.Digest()
}
