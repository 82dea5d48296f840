package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/org/ghcr-publish/internal/service"
)

// files compares files of the started container with what is expected.
func (w *watch) files(ctx context.Context) error {
	for _, expected := range w.service.Expect.Files {
		if err := w.file(ctx, expected); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) file(ctx context.Context, expected service.ExpectedFile) error {
	file, err := w.container.File(ctx, expected.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && expected.Absent:
		return nil
	case missing:
		return fmt.Errorf("has no %s, which `expect` asks for", expected.Path)
	case err != nil:
		return err
	case expected.Absent:
		return fmt.Errorf("has %s, which `expect` says is absent", expected.Path)
	}
	if mode, err := strconv.ParseUint(expected.Mode, 8, 32); err == nil && fs.FileMode(mode) != file.Mode.Perm() {
		return fmt.Errorf("has %s with the permissions %04o, not %04o", expected.Path, file.Mode.Perm(), mode)
	}
	if !bytes.Contains(file.Data, []byte(expected.Contains)) {
		return fmt.Errorf("has %s without %q in it", expected.Path, expected.Contains)
	}
	return nil
}
