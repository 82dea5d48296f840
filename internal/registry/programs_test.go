package registry

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// pushLayers pushes an image with files in each of its layers: a name with an @ is a link, one with a ! cannot be started.
func pushLayers(t *testing.T, s *server, layers ...string) name.Digest {
	t.Helper()
	image := empty.Image
	for _, files := range layers {
		var data bytes.Buffer
		w := tar.NewWriter(&data)
		for file := range strings.FieldsSeq(files) {
			h := &tar.Header{Name: strings.Trim(file, "@!"), Typeflag: tar.TypeReg, Mode: 0o755}
			switch {
			case strings.HasSuffix(file, "@"):
				h.Typeflag, h.Linkname = tar.TypeSymlink, "busybox"
			case strings.HasSuffix(file, "!"):
				h.Mode = 0o644
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := s.client().Digest(s.image(), digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	wanted := []string{"wget", "curl", "node", "bash"}
	for _, c := range []struct {
		layers []string
		want   string
	}{
		{nil, ""},
		{[]string{"bin/busybox bin/wget@ bin/sh@", "usr/local/bin/node"}, "wget"},
		{[]string{"etc/passwd", "./usr/bin/bash /usr/bin/curl usr/local/bin/node"}, "curl node bash"},
		{[]string{"bin/bash bin/bash usr/bin/bash@"}, "bash"},
		{[]string{"srv/wget usr/share/bin/curl usr/bin/wget.conf bin/node/index.js"}, ""},
		{[]string{"usr/bin/curl!"}, ""},
	} {
		s := start(t)
		ref := pushLayers(t, s, c.layers...)
		if got, err := s.client().Programs(t.Context(), ref, wanted); err != nil || !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("of layers %q: %q, %v; want %s", c.layers, got, err, c.want)
		}
	}
}

// TestProgramsReadsNoMoreThanItMust: layers are large.
func TestProgramsReadsNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := pushLayers(t, s, "bin/wget@", "usr/bin/curl")
	s.asked()
	if _, err := s.client().Programs(t.Context(), ref, []string{"wget", "curl"}); err != nil {
		t.Fatal(err)
	}
	asked := s.asked()
	if blobs := slices.DeleteFunc(asked, func(q string) bool { return !strings.Contains(q, "/blobs/") }); len(blobs) > 2 { // configuration and first layer
		t.Errorf("read were %q", blobs)
	}
}

// TestProgramsOfWhatIsNoImage tells what is wrong.
func TestProgramsOfWhatIsNoImage(t *testing.T) {
	t.Parallel()
	s := start(t)
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte("no files"), types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := s.client().Digest(s.image(), digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	if found, err := s.client().Programs(t.Context(), ref, []string{"wget"}); err == nil || !strings.Contains(err.Error(), "reading the layers of "+ref.String()) {
		t.Errorf("%q, %v", found, err)
	}
}
