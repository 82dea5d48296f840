package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// A File is one of a container.
type File struct {
	Mode fs.FileMode
	Data []byte // the first of it; none of a folder
}

// fileHead is how much of a file is read.
const fileHead = 1 << 20

// File reads a file of the container, by a path from its root; the image needs no program for that. The error of a file that is
// not there satisfies errors.Is(err, fs.ErrNotExist).
func (c *Container) File(ctx context.Context, path string) (File, error) {
	got, err := c.engine.api.CopyFromContainer(ctx, c.ID, client.CopyFromContainerOptions{SourcePath: path})
	if errdefs.IsNotFound(err) {
		return File{}, fmt.Errorf("reading %s: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return File{}, fmt.Errorf("reading %s: %w", path, err)
	}
	defer got.Content.Close()
	file := File{Mode: got.Stat.Mode}
	if !file.Mode.IsRegular() {
		return file, nil
	}
	archive := tar.NewReader(got.Content)
	if _, err := archive.Next(); err != nil {
		return file, fmt.Errorf("reading %s: %w", path, err)
	}
	if file.Data, err = io.ReadAll(io.LimitReader(archive, fileHead)); err != nil && !errors.Is(err, io.EOF) {
		return file, fmt.Errorf("reading %s: %w", path, err)
	}
	return file, nil
}
