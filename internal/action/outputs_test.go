package action

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestWriteFileOfMany has runs write one file at once: it is one of theirs, whole.
func TestWriteFileOfMany(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "report", "report.json")
	var all errgroup.Group
	for n := range 8 {
		text := bytes.Repeat([]byte{'a' + byte(n)}, 1<<12*(n+1))
		all.Go(func() error {
			for range 25 {
				if err := writeFile(path, text); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || len(bytes.Trim(got, string(got[:1]))) > 0 || len(got) != 1<<12*int(got[0]-'a'+1) {
		t.Errorf("it has %d bytes, beginning with %.9q, %v", len(got), got, err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); len(files) != 1 || err != nil {
		t.Errorf("there are %v, %v", files, err)
	}
}

// TestWriteFileFails leaves nothing where it cannot write.
func TestWriteFileFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	if err := os.MkdirAll(filepath.Join(path, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, []byte("{}")); err == nil {
		t.Error("a folder was written over")
	}
	if files, err := os.ReadDir(dir); len(files) != 1 || err != nil {
		t.Errorf("there are %v, %v", files, err)
	}
}
