package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Programs tells which of some programs a platform's image has, in order. Its layers are read from the lowest, which brings the system
// along, until one has any.
func (c *Client) Programs(ctx context.Context, ref name.Digest, wanted []string) ([]string, error) {
	return asked(c, func() ([]string, error) { return c.programs(ctx, ref, wanted) })
}

func (c *Client) programs(ctx context.Context, ref name.Digest, wanted []string) ([]string, error) {
	image, err := remote.Image(ref, c.options(ctx, ref.Repository)...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	for _, layer := range layers {
		found, err := programsIn(layer, wanted)
		if err != nil {
			return nil, fmt.Errorf("reading the layers of %s: %w", ref, err)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// searched are the folders that images have on their PATH.
var searched = [...]string{"bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"}

func programsIn(layer v1.Layer, wanted []string) (found []string, err error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	files := tar.NewReader(content)
	for {
		file, err := files.Next()
		if errors.Is(err, io.EOF) {
			slices.SortFunc(found, func(a, b string) int { return slices.Index(wanted, a) - slices.Index(wanted, b) })
			return slices.Compact(found), nil
		}
		if err != nil {
			return nil, err
		}
		dir, base := path.Split(path.Clean("/" + file.Name))
		if slices.Contains(wanted, base) && slices.Contains(searched[:], path.Clean(dir)[1:]) && isProgram(file) {
			found = append(found, base)
		}
	}
}

// isProgram reports whether a file can be started; of a link it is taken to be so.
func isProgram(file *tar.Header) bool {
	return file.Typeflag == tar.TypeSymlink || file.Typeflag == tar.TypeLink || file.Typeflag == tar.TypeReg && file.Mode&0o111 != 0
}
