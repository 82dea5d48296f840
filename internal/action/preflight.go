package action

import (
	"context"
	"path/filepath"
	"syscall"
	"time"

	"github.com/org/ghcr-publish/internal/doctor"
)

// clockTime is how long the registry may take to say what time it is.
const clockTime = 3 * time.Second

// preflight tells, of all that doctor looks at, what is likely to make the run fail and costs nothing to know: a full disk, say, or
// a wrong clock, which fail in words that speak of something else.
func (s *session) preflight(ctx context.Context) {
	facts := s.circumstances()
	s.askMachine(ctx, &facts)
	for _, found := range doctor.Quick(facts) {
		s.note(found.String())
	}
}

// circumstances are the facts that nobody need be asked for.
func (s *session) circumstances() doctor.Facts {
	j, e := s.job, s.job.Event
	return doctor.Facts{Config: j.Config, Event: e, OnRunner: j.onRunner(), Pushes: j.pushes(), Unlogged: j.personal && j.registryToken() == "", Publishing: publishing, Identity: j.identity, Key: j.key != nil,
		Workflow: doctor.ReadWorkflow(e.Workflow, e.Repository, s.process.Getenv("GITHUB_JOB"), s.process.Getenv("GITHUB_ACTION_REPOSITORY"), j.readFile)}
}

// askMachine looks at the disks and the clock. In a container, the engine's own disk is that of the root folder.
func (s *session) askMachine(ctx context.Context, f *doctor.Facts) {
	places := []string{filepath.Dir(s.private.path)}
	if s.place.Container != "" {
		places = append(places, "/")
	}
	for _, at := range places {
		var disk syscall.Statfs_t
		if err := syscall.Statfs(at, &disk); err == nil {
			f.Disks = append(f.Disks, doctor.Disk{At: at, Free: int64(disk.Bavail) * int64(disk.Bsize)})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, clockTime)
	defer cancel()
	asked := s.process.Now()
	at, err := s.registry.Clock(ctx)
	f.Clock, f.Ahead = doctor.Asked(err), asked.Sub(at)
}
