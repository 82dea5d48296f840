package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/results"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// uploadFindings writes what the scans found beside the report, and hands it to code scanning. It returns what a person should
// know where that did not work; it never fails a run.
func (s *session) uploadFindings(ctx context.Context, judged []publish.Result) []string {
	var analyses []scan.Analysis
	for _, r := range judged {
		for _, p := range r.Evidence.Platforms {
			if p.Unscanned == "" {
				analyses = append(analyses, s.analysis(r.Plan.Definition, p))
			}
		}
	}
	if len(analyses) == 0 {
		return nil
	}
	if s.job.Config.Mode == "rescan" {
		analyses = scan.Live(analyses)
	}
	files, err := s.writeSARIF(ctx, analyses)
	if err != nil {
		return []string{"Findings were not written as SARIF: " + err.Error()}
	}
	e := s.job.Event
	if s.job.Config.CodeScanning == "off" || s.job.Config.Token == "" || e.Repository == "" || e.Name == "local" {
		return nil
	}
	uploading, cancel := context.WithTimeoutCause(ctx, uploadTime, fmt.Errorf("GitHub gave no answer within %s", uploadTime))
	defer cancel()
	err = s.upload(uploading, files.Texts)
	if err == nil {
		s.log.Printf("uploaded the findings of %d images to code scanning", len(analyses))
		return files.Dropped
	}
	said := s.explainUpload(uploading, err)
	s.log.Warning(actions.Annotation{Title: "Code scanning", Message: said})
	if !errors.Is(err, github.ErrPending) {
		said += " " + s.keepSARIF(ctx, files.Texts)
	}
	return append(files.Dropped, said)
}

// explainUpload tells what became of findings that code scanning does not show.
func (s *session) explainUpload(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, github.ErrPending):
		return "Findings were uploaded, but " + err.Error() + "; they will show up in code scanning when it has."
	case errors.Is(err, github.ErrUnknown):
		return "Findings were uploaded, but " + strings.TrimSuffix(err.Error(), ".") + ". Look into code scanning, in the repository's Security tab, whether they are there."
	case errors.Is(err, github.ErrRejected):
		return "Findings were uploaded, but " + strings.TrimSuffix(err.Error(), ".") + "."
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, github.ErrUnavailable) && s.job.Event.Actor == "dependabot[bot]":
		err = fmt.Errorf("%w (a run that Dependabot starts may only read, unless the workflow's `permissions` say otherwise)", err)
	}
	return "Findings were not uploaded to code scanning: " + strings.TrimSuffix(err.Error(), ".") + "."
}

// uploadTime bounds what is not worth failing, or waiting, for: as long as GitHub's own action waits.
const uploadTime = 160 * time.Second

// sarifDir is where the files are, as GitHub's own upload action takes them.
func (j job) sarifDir() string { return filepath.Join(filepath.Dir(j.Config.Report), "sarif") }

// writeSARIF renders the findings and leaves them for later steps.
func (s *session) writeSARIF(ctx context.Context, analyses []scan.Analysis) (scan.Files, error) {
	files, err := scan.SARIF(actions.Redacted(analyses, s.log.Redact))
	if err != nil {
		return files, err
	}
	old, err := filepath.Glob(filepath.Join(s.job.sarifDir(), "findings-*.sarif"))
	if err != nil {
		return files, err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return files, err
		}
	}
	for i, text := range files.Texts {
		if err := writeFile(filepath.Join(s.job.sarifDir(), sarifName(i)), text); err != nil {
			return files, err
		}
	}
	return files, writeOutputs(s.process, [][2]string{{"sarif", hostPath(ctx, s.process, s.job.sarifDir())}})
}

func sarifName(i int) string { return fmt.Sprintf("findings-%d.sarif", i+1) }

// keepSARIF keeps files that GitHub did not take with the run, where it keeps artifacts, and says where they are.
func (s *session) keepSARIF(ctx context.Context, texts [][]byte) string {
	here := fmt.Sprintf("They are in %s (output `sarif`).", s.job.sarifDir())
	address, token := s.process.Getenv("ACTIONS_RESULTS_URL"), s.process.Getenv("ACTIONS_RUNTIME_TOKEN")
	if address == "" || token == "" || onPremises(s.job.Event.ServerURL) {
		return here
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	client, err := results.New(address, token)
	var names []string
	for i, text := range texts {
		name := fmt.Sprintf("%s-sarif-%d-%d", s.job.Config.Artifact, s.job.Event.Attempt, i+1)
		if err == nil {
			err = client.Upload(ctx, name, sarifName(i), text)
		}
		names = append(names, name)
	}
	if err != nil {
		return here
	}
	return "They are kept as artifact " + strings.Join(names, ", ") + "."
}

// keepTime bounds keeping the files.
const keepTime = 30 * time.Second

// upload hands files to code scanning and waits until GitHub has processed them.
func (s *session) upload(ctx context.Context, texts [][]byte) error {
	e := s.job.Event
	ref, sha, err := s.job.findingsAt(ctx)
	if err != nil {
		return err
	}
	api, err := github.New(e.APIURL, e.Repository, s.job.Config.Token)
	if err != nil {
		return err
	}
	var ids []string
	for i, text := range texts {
		id, err := api.UploadSARIF(ctx, sha, ref, text)
		if err != nil && i > 0 {
			return fmt.Errorf("file %d of %d, those before it were: %w", i+1, len(texts), err)
		} else if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	var open error
	for _, id := range ids {
		if err := api.Processed(ctx, id); errors.Is(err, github.ErrRejected) {
			return err
		} else if open == nil {
			open = err // which does not keep the next one from being known
		}
	}
	return open
}

// findingsAt is the ref and the commit that findings are shown at. What is live is shown where the default branch is now.
func (j job) findingsAt(ctx context.Context) (ref, sha string, err error) {
	if j.Config.Mode != "rescan" || j.Event.DefaultBranch == "" {
		ref, err = j.findingsRef(ctx)
		return ref, j.Event.SHA, err
	}
	ref = "refs/heads/" + j.Event.DefaultBranch
	if j.Event.Ref == ref && j.Astray == "" {
		return ref, j.Event.SHA, nil
	}
	sha, err = j.tip(ref)(ctx)
	return ref, sha, err
}

// findingsRef is the ref that findings belong to, or why they belong to none.
//
// GitHub shows a tag's findings to nobody who does not ask for the tag. Those of the commit that the default branch is at are
// therefore the branch's; those of an older one are not, as they would replace what is known of the newer. A merge queue's commit
// has a branch of its own. What pull_request_target builds may come from anybody, and its ref is the branch that it is for.
// https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/uploading-a-sarif-file-to-github
func (j job) findingsRef(ctx context.Context) (string, error) {
	e := j.Event
	pull, merge := strings.CutSuffix(e.Ref, "/merge")
	switch {
	case e.Fork:
		return "", errors.New("a fork's token may not")
	case e.Name == "pull_request_target":
		return "", errors.New("a run by `pull_request_target` is no run of " + e.Ref + "; use `pull_request`")
	case j.Astray != "":
		return "", errors.New(j.Astray)
	case merge && e.SHA != e.TriggerSHA:
		return pull + "/head", nil // checked out instead of the merge commit that the event names
	case strings.HasPrefix(e.Ref, "refs/tags/") && e.DefaultBranch != "":
		branch := "refs/heads/" + e.DefaultBranch
		if tip, err := j.tip(branch)(ctx); err == nil && tip == e.SHA {
			return branch, nil
		}
	}
	return e.Ref, nil
}

// analysis is what was found in one platform's image, shown at the Dockerfile, or at the configuration that holds its text.
func (s *session) analysis(d service.Service, p verdict.Platform) scan.Analysis {
	a := scan.Analysis{Service: d.Name, Platform: p.Platform, File: d.Dockerfile, Findings: p.Findings}
	if d.Inline == "" {
		a.Line = scan.FinalStage(s.readFile, d, p.Platform)
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
