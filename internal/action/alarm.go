package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/verdict"
)

// alarm opens an issue where something new and bad is live of a service, keeps it up to date, and closes it when that is gone. An issue
// that somebody closed is not opened again for what was known then. It fails no run.
func (s *session) alarm(ctx context.Context, found []insight.Live, last map[string]insight.Live) []string {
	e, c := s.job.Event, s.job.Config
	if !c.RescanIssues || c.Token == "" || e.Repository == "" || e.Name == "local" {
		return nil
	}
	api, err := github.New(e.APIURL, e.Repository, c.Token)
	if err != nil {
		return []string{"No issue tells of what is live: " + err.Error()}
	}
	var notices []string
	for _, live := range found {
		if _, ok := c.Service(live.Service); !ok {
			continue // what it was called before may be live by another name
		}
		if err := s.alarmOf(ctx, api, live, last); err != nil {
			notices = append(notices, fmt.Sprintf("No issue tells of what is live of %s: %v", live.Service, s.log.Redact(err.Error())))
		}
	}
	return notices
}

func (s *session) alarmOf(ctx context.Context, api *github.Client, live insight.Live, last map[string]insight.Live) error {
	mark := github.NewMark("live of " + live.Service)
	issue, open, err := api.FindIssue(ctx, mark.Begin())
	if err != nil {
		return err
	}
	before, known := last[live.Service]
	added, _ := live.Since(before)
	bad := s.bad(live.Findings)
	switch text := s.alarmText(live.Service, bad); {
	case open:
		return api.EditIssue(ctx, issue.Number, mark.Replace(issue.Body, text), len(bad) == 0)
	case len(bad) > 0 && (!known || len(s.bad(added)) > 0):
		return api.OpenIssue(ctx, live.Service+": vulnerable images are live", mark.Replace("", text))
	}
	return nil
}

func (s *session) alarmText(service string, bad []string) string {
	by, least := fmt.Sprintf("the [last rescan](%s)", runURL(s.job.Event)), s.job.Config.Gates.Vulnerabilities.FailOn
	if len(bad) == 0 {
		return fmt.Sprintf("Nothing of severity %s or worse is live of %s any more, says %s.", least, service, by)
	}
	return fmt.Sprintf("What is live of %s has these findings of severity %s or worse, says %s:\n\n%s\n\nBuild and publish it anew with what mends them; code scanning tells which versions do.", service, least, by, listed(bad))
}

// bad picks the findings that the gate for vulnerabilities would refuse.
func (s *session) bad(findings []string) []string {
	least := s.job.Config.Gates.Vulnerabilities.FailOn
	return slices.DeleteFunc(slices.Clone(findings), func(f string) bool {
		severity := strings.TrimSuffix(f[strings.LastIndex(f, "(")+1:], ")") // there may be brackets in the place's name, too
		return verdict.Rank(severity) < verdict.Rank(least) || verdict.Rank(least) == 0
	})
}

// listed writes findings as code, in which no name of a package is a mention or a link.
func listed(findings []string) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "- `%s`\n", strings.Join(strings.Fields(strings.ReplaceAll(f, "`", "'")), " "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
