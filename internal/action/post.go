package action

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
)

// postName is the name under which the program clears up after itself: GitHub starts it so when the
// job ends, in a container of its own, also after a failure or a cancellation.
const postName = "ghcr-publish-post"

// builderState is where the run leaves its builder's name for the post step.
const builderState = "builder"

// leaveToPost has the post step stop a builder. Its cache stays for the next run.
func (s *session) leaveToPost(builder string) {
	if err := actions.AppendValue(s.process.Getenv("GITHUB_STATE"), builderState, builder); err != nil {
		s.log.Printf("the builder will go on running: %v", err)
	}
}

// ourBuilder is what a builder is called that this program made.
var ourBuilder = regexp.MustCompile(`^ghcr-publish-[0-9a-f]+$`)

// post clears away what a run could not, because it was killed: logins, containers, a memory that is out
// of its place; and stops the builder. Failing that fails no job.
func post(ctx context.Context, p Process, log *actions.Log) int {
	var ignored service.Problems // which the run itself has told
	event := actions.ReadEvent(p.Getenv, &ignored)
	gone := sweepPrivate(tempDir(event))
	if len(gone) > 0 {
		log.Printf("removed what %d killed runs left", len(gone))
	}
	e, err := engine.Open(p.Getenv)
	if err != nil {
		log.Printf("nothing else to clear away: %v", err)
		return report.ExitDone
	}
	if _, err := e.Platform(ctx); err != nil {
		log.Printf("nothing else to clear away: %v", err)
		return report.ExitDone
	}
	// The run was in another container, so only the folder that it left tells that it is gone.
	e.Gone = func(owner string) bool {
		_, path, _ := strings.Cut(owner, " ")
		return slices.Contains(gone, path)
	}
	sweep(ctx, e, p, log)
	if builder := p.Getenv("STATE_" + builderState); ourBuilder.MatchString(builder) {
		if stopped, err := e.Stop(ctx, buildx.Container(builder)); err != nil {
			log.Printf("%v", err)
		} else if stopped {
			log.Printf("stopped builder %s; its cache stays", builder)
		}
	}
	return report.ExitDone
}
