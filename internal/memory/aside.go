package memory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// OpenOrSetAside opens the memory file at path. A file that is damaged, or another layout's,
// is renamed and a fresh one begun, since losing the memory costs time and not safety; the notice,
// one sentence, says so. Other faults, such as a file that may not be written, stay errors.
func OpenOrSetAside(ctx context.Context, path string, now func() time.Time, options ...Option) (s *Store, notice string, err error) {
	s, err = Open(ctx, path, now, options...)
	var why *unfit
	if !errors.As(err, &why) {
		return s, "", err
	}
	aside, err := setAside(path, now())
	if err != nil {
		return nil, "", fmt.Errorf("setting the swarm memory %s aside, which %w: %w", path, why, err)
	}
	s, err = Open(ctx, path, now, options...)
	return s, fmt.Sprintf("The swarm memory %s %v; it was set aside as %s and a fresh one begun.", path, why, aside), err
}

// setAside renames the file and what belongs to it: its log, were it left, would be played
// into the fresh file.
func setAside(path string, now time.Time) (string, error) {
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
