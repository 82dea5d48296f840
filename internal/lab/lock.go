package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock keeps two processes from installing and building the same things at once.
// The kernel lets go of the lock when its holder ends, however that happens.
func (s *setup) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.Cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the cache: %w", err)
	}
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			s.sweep()
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("locking the cache: %w", err)
		}
		if !said {
			s.say("waiting for another process that uses %s", s.Cache)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("waiting for the cache's lock: %w", err)
		}
	}
}

// sweep removes what a killed process left half done. Only the lock's holder may.
func (s *setup) sweep() {
	left, _ := filepath.Glob(filepath.Join(s.Cache, scratchPattern))
	for _, dir := range left {
		_ = os.RemoveAll(dir)
	}
}

const scratchPattern = "scratch-*"

// scratch makes a directory on the cache's own file system, so that what is finished in it can be renamed into place.
func (s *setup) scratch() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(s.Cache, scratchPattern)
	if err != nil {
		return "", nil, fmt.Errorf("making a scratch directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
