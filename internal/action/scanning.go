package action

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// uploadFindings hands what the scans found to code scanning. It returns what a person should know
// where that did not work; it never fails a run.
func (s *session) uploadFindings(ctx context.Context, results []publish.Result) []string {
	var analyses []scan.Analysis
	for _, r := range results {
		for _, p := range r.Evidence.Platforms {
			if p.Unscanned == "" {
				analyses = append(analyses, analysis(r.Plan.Definition, p))
			}
		}
	}
	e := s.job.Event
	if len(analyses) == 0 || s.job.Config.CodeScanning == "off" || s.job.Config.Token == "" || e.Repository == "" || e.Name == "local" {
		return nil
	}
	if e.Fork {
		return []string{"Findings were not uploaded to code scanning: a fork's token may not."}
	}
	if s.job.Astray != "" {
		return []string{"Findings were not uploaded to code scanning: " + s.job.Astray + "."}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, uploadTime, fmt.Errorf("GitHub did not take them within %s", uploadTime))
	defer cancel()
	if err := s.upload(ctx, analyses); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		s.log.Warning(actions.Annotation{Title: "Code scanning", Message: err.Error()})
		return []string{"Findings were not uploaded: " + err.Error()}
	}
	s.log.Printf("uploaded the findings of %d images to code scanning", len(analyses))
	return nil
}

// uploadTime bounds what is not worth failing, or waiting, for.
const uploadTime = 2 * time.Minute

func (s *session) upload(ctx context.Context, analyses []scan.Analysis) error {
	files, err := scan.SARIF(analyses)
	if err != nil {
		return err
	}
	e := s.job.Event
	api, err := github.New(e.APIURL, e.Repository, s.job.Config.Token)
	if err != nil {
		return err
	}
	ref := e.Ref
	if pull, merge := strings.CutSuffix(ref, "/merge"); merge && e.SHA != e.TriggerSHA {
		ref = pull + "/head" // checked out instead of the merge commit that the event names
	}
	for _, file := range files.Texts {
		if err := api.UploadSARIF(ctx, e.SHA, ref, file); err != nil {
			return err
		}
	}
	return nil
}

// analysis is what was found in one platform's image, shown at the Dockerfile, or at the configuration that holds its text.
func analysis(d service.Service, p verdict.Platform) scan.Analysis {
	a := scan.Analysis{Service: d.Name, Platform: p.Platform, File: d.Dockerfile, Findings: p.Findings}
	if d.Inline == "" {
		return a
	}
	place := strings.Split(d.At, ":")
	a.File = place[0]
	if len(place) > 1 {
		a.Line, _ = strconv.Atoi(place[1]) // of the service in the configuration
	}
	a.Findings = slices.Clone(p.Findings)
	for i := range a.Findings {
		a.Findings[i].Line = 0 // which is of the text
	}
	return a
}
