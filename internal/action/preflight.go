package action

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/docker/go-units"
)

const (
	// leastFree is how many bytes a build and a scan want at least: a vulnerability database alone has some hundred million.
	leastFree = 1_000_000_000
	// mostAstray is how far clocks may differ before tokens and certificates are refused that are good for minutes.
	mostAstray = 5 * time.Minute
	// clockTime is how long the registry may take to say what time it is.
	clockTime = 3 * time.Second
)

// preflight tells what of this machine is likely to make the run fail: a full disk, or a wrong clock. Both fail in words that
// speak of something else.
func (s *session) preflight(ctx context.Context) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.private.path, &disk); err == nil {
		s.noteIf(diskNotice(int64(disk.Bavail)*int64(disk.Bsize), s.private.path))
	}
	ctx, cancel := context.WithTimeout(ctx, clockTime)
	defer cancel()
	asked := s.process.Now()
	if at, err := s.registry.Clock(ctx); err == nil {
		s.noteIf(clockNotice(asked.Sub(at), s.job.Config.Registry))
	}
}

func (s *session) noteIf(notice string) {
	if notice != "" {
		s.note(notice)
	}
}

// diskNotice is what is to be said of so many free bytes; empty for nothing.
func diskNotice(free int64, at string) string {
	if free >= leastFree {
		return ""
	}
	return fmt.Sprintf("Only %s are free in %s: if a build or a scan fails, that is likely why; free some, such as by `docker builder prune`.", units.HumanSize(float64(free)), at)
}

// clockNotice is what is to be said of a clock that is ahead of another, or behind it; empty for nothing.
func clockNotice(ahead time.Duration, registry string) string {
	if ahead.Abs() <= mostAstray {
		return ""
	}
	where := "ahead of"
	if ahead < 0 {
		where = "behind"
	}
	return fmt.Sprintf("This machine's clock is %s %s that of %s: tokens and certificates may be refused, and exceptions end at another time; set it by NTP.", ahead.Abs().Round(time.Second), where, registry)
}
