package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/ghcr-publish/internal/run"
)

const busyboxImage = "library/busybox:latest"

// architectures are the platforms of every image that is built on top of the base image.
var architectures = []string{"amd64", "arm64"}

func busyboxPackages() []string {
	var names []string
	for _, arch := range architectures {
		names = append(names, "busybox-static:"+arch)
	}
	return names
}

// busybox returns a root file system with busybox for each architecture.
func (s *setup) busybox(ctx context.Context, debs map[string]string) (map[string][]file, error) {
	binaries := map[string][]byte{}
	for i, name := range busyboxPackages() {
		binary, err := extract(ctx, debs[name], "bin/busybox", "usr/bin/busybox")
		if err != nil {
			return nil, err
		}
		binaries[architectures[i]] = binary
	}
	applets, err := s.applets(ctx, binaries[runtime.GOARCH])
	if err != nil {
		return nil, err
	}
	roots := map[string][]file{}
	for arch, binary := range binaries {
		roots[arch] = rootfs(binary, applets)
	}
	return roots, nil
}

// applets asks this machine's busybox what it can do; the other one is built from the same source.
func (s *setup) applets(ctx context.Context, binary []byte) ([]string, error) {
	dir, remove, err := s.scratch()
	if err != nil {
		return nil, err
	}
	defer remove()
	program := filepath.Join(dir, "busybox")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		return nil, fmt.Errorf("unpacking busybox: %w", err)
	}
	out, err := run.OS(ctx, run.Command{Argv: []string{program, "--list"}})
	if err != nil {
		return nil, fmt.Errorf("listing busybox's applets: %w", err)
	}
	return strings.Fields(string(out)), nil
}

func rootfs(busybox []byte, applets []string) []file {
	files := []file{
		{name: "bin/", mode: 0o755},
		{name: "bin/busybox", mode: 0o755, data: busybox},
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\nnobody:x:65534:\n")},
		{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")},
		{name: "tmp/", mode: 0o1777},
	}
	for _, applet := range applets {
		if applet != "busybox" {
			files = append(files, file{name: "bin/" + applet, mode: 0o777, target: "busybox"})
		}
	}
	return files
}

// pushBusybox pushes the base image unless the registry has one for every architecture.
func (s *setup) pushBusybox(ctx context.Context, l *Lab, roots map[string][]file) error {
	ref, err := l.reference(busyboxImage)
	if err != nil {
		return err
	}
	if there, err := remote.Index(ref, remote.WithContext(ctx)); err == nil && coversAll(there) {
		return nil
	}
	index, err := baseIndex(roots)
	if err != nil {
		return fmt.Errorf("making %s: %w", busyboxImage, err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing %s: %w", busyboxImage, err)
	}
	return nil
}

func coversAll(index v1.ImageIndex) bool {
	manifest, err := index.IndexManifest()
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(architectures, func(arch string) bool {
		return !slices.ContainsFunc(manifest.Manifests, func(d v1.Descriptor) bool {
			return d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == arch
		})
	})
}

// baseIndex makes an OCI index of one single-layer image per architecture.
func baseIndex(roots map[string][]file) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		image, err := baseImage(arch, roots[arch])
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return index, nil
}

func baseImage(arch string, files []file) (v1.Image, error) {
	var layer bytes.Buffer
	if err := writeTar(&layer, files); err != nil {
		return nil, err
	}
	compressed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: arch,
		Config: v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(image, compressed)
}
