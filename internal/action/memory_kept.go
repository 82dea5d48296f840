package action

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// lingers is for how long a memory stays open after it was used.
const lingers = 100 * time.Millisecond

// A keptOpen lets who asks much in a row wait for one opening of the memory, and closes it when nobody has asked for a moment: a
// run may move the file.
type keptOpen struct {
	call memoryCall
	open func(context.Context) (*memory.Store, error)

	mu     sync.Mutex // held while the memory is in use
	store  *memory.Store
	timer  *time.Timer
	failed error // closing it when nobody waited
}

// reading is use, for what changes nothing, and so begins no memory.
func (k *keptOpen) reading(ctx context.Context, do func(*memory.Store) error) error {
	if exists(k.call.now()) {
		return k.use(ctx, do)
	}
	return k.call.reading(ctx, do)
}

func (k *keptOpen) use(ctx context.Context, do func(*memory.Store) error) (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.store == nil {
		if k.store, err = k.open(ctx); err != nil {
			k.store = nil // also what could be opened in part
			return err
		}
		k.timer = time.AfterFunc(lingers, k.idle)
	}
	defer k.timer.Reset(lingers)
	return do(k.store)
}

func (k *keptOpen) idle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shut()
}

// close ends the use, and tells what went wrong when the memory was closed.
func (k *keptOpen) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shut()
	return k.failed
}

func (k *keptOpen) shut() {
	if k.store == nil {
		return
	}
	k.timer.Stop()
	k.failed = errors.Join(k.failed, k.store.Close())
	k.store = nil
}
