package memory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// OpenOrSetAside opens the memory file at path. A file that is damaged, or another layout's,
// is renamed and a fresh one begun, since losing the memory costs time and not safety; the notice,
// one sentence, says so. Other faults, such as a file that may not be written, stay errors.
func OpenOrSetAside(ctx context.Context, path string, now func() time.Time, options ...Option) (s *Store, notice string, err error) {
	notice, err = orSetAside(path, now, func() (err error) {
		s, err = Open(ctx, path, now, options...)
		return err
	})
	return s, notice, err
}

// orSetAside opens a file, and where that is unfit sets it aside and opens a fresh one.
func orSetAside(path string, now func() time.Time, open func() error) (notice string, err error) {
	before, _ := os.Stat(path) // of none there is nothing to set aside
	var why *unfit
	if err := open(); !errors.As(err, &why) {
		return "", err
	}
	aside, err := setAside(path, before, now())
	if err != nil {
		return "", fmt.Errorf("setting the swarm memory %s aside, which %w: %w", path, why, err)
	}
	if aside != "" {
		notice = fmt.Sprintf("The swarm memory %s %v; it was set aside as %s and a fresh one begun.", path, why, aside)
	}
	return notice, open()
}

// setAside renames the file that was found at a path, and what belongs to it: its log, were it left, would be played
// into the fresh file. Where another process has done so meanwhile it leaves what that has begun, and returns no name.
func setAside(path string, found os.FileInfo, now time.Time) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // which ends the lock
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if is, err := os.Stat(path); err != nil || !os.SameFile(is, found) {
		return "", nil
	}
	aside := freeName(path, now)
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, os.Rename(path, aside)
}

func freeName(path string, now time.Time) string {
	for second := now.Unix(); ; second++ {
		aside := fmt.Sprintf("%s.set-aside-%d", path, second)
		if _, err := os.Lstat(aside); err != nil {
			return aside
		}
	}
}
