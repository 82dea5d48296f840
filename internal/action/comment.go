package action

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/service"
)

// comment tells the pull request what a run would change, in one comment for each configuration and choice of services. It fails no run.
func (s *session) comment(ctx context.Context, told *report.Report) {
	c, e := s.job.Config, s.job.Event
	if !c.Comment || e.Pull == 0 || c.DryRun {
		return
	}
	if err := s.keepComment(ctx, *told); err != nil {
		told.Notices = append(told.Notices, s.log.Redact(fmt.Sprintf("No comment tells of this run: %v.", err)))
	}
}

func (s *session) keepComment(ctx context.Context, told report.Report) error {
	c, e := s.job.Config, s.job.Event
	switch {
	case c.Token == "":
		return errors.New("there is no token")
	case e.Fork && e.Name == "pull_request":
		return errors.New("the token of a run for a fork may only read; the summary has it all")
	}
	api, err := github.New(e.APIURL, e.Repository, c.Token)
	if err != nil {
		return err
	}
	// A pull request that changes nothing needs no comment, unless an earlier push changed something.
	marker := commentMark(c)
	return api.KeepComment(ctx, e.Pull, marker, marker+"\n"+s.log.Redact(told.Comment()), told.Outcome != "nothing-to-do")
}

// commentMark tells the comment of a configuration and its chosen services from those of other jobs.
func commentMark(c service.Config) string {
	about := []string{c.File, c.Artifact}
	for _, s := range c.Considered() {
		about = append(about, s.Name)
	}
	slices.Sort(about[2:])
	return github.NewMark(fmt.Sprintf("comment %.6x", sha256.Sum256([]byte(strings.Join(about, "\n"))))).Begin()
}
