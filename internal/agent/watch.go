package agent

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// A Watcher follows a namespace.
type Watcher struct {
	// Read opens the memory for one look. Nobody holds it open in between: runs move it about.
	Read      func(ctx context.Context, do func(*memory.Store) error) error
	Namespace string
	Every     time.Duration
}

// Watch visits the entries that are there, and then each that is written, the older first, until the context ends.
func (w Watcher) Watch(ctx context.Context, visit func(memory.Entry)) error {
	seen := map[string][sha256.Size]byte{}
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		entries, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(entries) {
			if version := sha256.Sum256([]byte(e.UpdatedAt.String() + string(e.Value))); seen[e.Key] != version {
				seen[e.Key] = version
				visit(e)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w Watcher) look(ctx context.Context) (entries []memory.Entry, err error) {
	err = w.Read(ctx, func(store *memory.Store) error {
		entries, err = store.List(ctx, w.Namespace, recalled)
		return err
	})
	return entries, err
}
