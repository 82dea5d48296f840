package action

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// TestKeptOpen opens once for what is asked in a row, and anew after a pause, in which nobody holds the file.
func TestKeptOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "memory.db")
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		k := &keptOpen{open: func(ctx context.Context) (*memory.Store, error) {
			opened++
			return memory.Open(ctx, path, time.Now)
		}}
		put := func() {
			t.Helper()
			err := k.use(t.Context(), func(s *memory.Store) error {
				return s.Put(t.Context(), memory.Entry{Key: "k", Value: json.RawMessage(`1`)})
			})
			if err != nil {
				t.Error(err)
			}
		}
		put()
		time.Sleep(lingers / 2)
		put()
		time.Sleep(lingers / 2)
		put()
		if opened != 1 || k.store == nil {
			t.Errorf("in a row it was opened %d times", opened)
		}
		time.Sleep(2 * lingers)
		synctest.Wait()
		if k.store != nil || exists(path+"-wal") {
			t.Error("it is open while nobody asks")
		}
		put()
		if err := k.close(); err != nil || opened != 2 || k.store != nil {
			t.Errorf("closed with %v after it was opened %d times", err, opened)
		}
		if err := k.close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

// TestKeptOpenFails tells why it cannot be opened, and tries again the next time.
func TestKeptOpenFails(t *testing.T) {
	t.Parallel()
	why, tries := errors.New("no room"), 0
	k := &keptOpen{open: func(context.Context) (*memory.Store, error) { tries++; return nil, why }}
	for range 2 {
		if err := k.use(t.Context(), func(*memory.Store) error { t.Error("used though closed"); return nil }); !errors.Is(err, why) {
			t.Errorf("use() = %v", err)
		}
	}
	if err := k.close(); err != nil || tries != 2 {
		t.Errorf("closed with %v after %d tries", err, tries)
	}
}
