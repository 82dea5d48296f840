package scan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"

	"github.com/org/ghcr-publish/internal/verdict"
	"github.com/owenrumney/go-sarif/v2/sarif"
)

// GitHub's limits on one SARIF upload; beyond them it drops or refuses.
// https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning#file-and-size-limits
const (
	runsPerUpload = 20
	resultsPerRun = 5000
	textLimit     = 1024
)

// An Analysis is the findings of one platform of one service.
type Analysis struct {
	Service    string
	Platform   string
	Dockerfile string            // path in the repository, which findings are shown at
	Findings   []verdict.Finding // worst first
}

// Category names the analysis for code scanning: stable across commits, so that a later upload
// replaces this one, and distinct between the runs of an upload.
func (a Analysis) Category() string { return "ghcr-publish/" + a.Service + "/" + a.Platform + "/" }

// SARIF renders analyses as files to upload, as few as GitHub's limit on runs allows. An analysis
// without findings is uploaded too: it closes the alerts of earlier ones.
func SARIF(analyses []Analysis) ([][]byte, error) {
	var files [][]byte
	for chunk := range slices.Chunk(analyses, runsPerUpload) {
		file, err := render(chunk)
		if err != nil {
			return nil, fmt.Errorf("rendering SARIF: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

func render(analyses []Analysis) ([]byte, error) {
	report, err := sarif.New(sarif.Version210)
	if err != nil {
		return nil, err
	}
	for _, a := range analyses {
		report.AddRun(a.run())
	}
	var out bytes.Buffer
	err = report.Write(&out)
	return out.Bytes(), err
}

func (a Analysis) run() *sarif.Run {
	run := sarif.NewRunWithInformationURI("Trivy", "https://github.com/aquasecurity/trivy")
	category := a.Category()
	run.WithAutomationDetails(&sarif.RunAutomationDetails{ID: &category})
	if run.Results == nil {
		run.Results = []*sarif.Result{} // "results" must be there, also when nothing was found
	}
	for _, f := range a.Findings[:min(len(a.Findings), resultsPerRun)] {
		// The first finding of a rule is its worst, which is what the rule says.
		if _, err := run.GetRuleById(f.ID); err != nil {
			describeRule(run.AddRule(f.ID), f)
		}
		run.AddResult(a.result(f))
	}
	return run
}

func describeRule(rule *sarif.ReportingDescriptor, f verdict.Finding) {
	title := cut(f.ID + ": " + f.Title)
	rule.WithName("Vulnerability").WithShortDescription(sarif.NewMultiformatMessageString(title)).
		WithFullDescription(sarif.NewMultiformatMessageString(title)).
		WithTextHelp(fmt.Sprintf("%s in %s. %s", f.ID, f.Package, remedy(f)))
	if f.URL != "" {
		rule.WithHelpURI(f.URL)
	}
	// GitHub's critical, high, medium and low come from this number, not from the level.
	rule.WithProperties(sarif.Properties{"security-severity": severityScore(f), "tags": []string{"security", "vulnerability", f.Severity}})
	rule.WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(level(f.Severity)))
}

func (a Analysis) result(f verdict.Finding) *sarif.Result {
	text := fmt.Sprintf("%s (%s) in %s %s, on %s of %s. %s", f.ID, f.Severity, f.Package, f.Installed, a.Platform, a.Service, remedy(f))
	location := sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewSimpleArtifactLocation((&url.URL{Path: a.Dockerfile}).String())).
		WithRegion(sarif.NewSimpleRegion(1, 1).WithStartColumn(1).WithEndColumn(1))
	return sarif.NewRuleResult(f.ID).WithLevel(level(f.Severity)).WithMessage(sarif.NewTextMessage(text)).
		WithLocations([]*sarif.Location{sarif.NewLocationWithPhysicalLocation(location).WithMessage(sarif.NewTextMessage(cut(f.Target)))}).
		WithPartialFingerPrints(map[string]any{"primaryLocationLineHash": a.fingerprint(f)})
}

// fingerprint keeps an alert the same from one upload to the next.
func (a Analysis) fingerprint(f verdict.Finding) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%s|%s", a.Service, a.Platform, f.ID, f.Package, f.Target))
	return hex.EncodeToString(sum[:16])
}

func remedy(f verdict.Finding) string {
	if f.Fixed == "" {
		return "There is no fixed version yet."
	}
	return fmt.Sprintf("Update %s to %s.", f.Package, f.Fixed)
}

func level(severity string) string {
	switch verdict.Rank(severity) {
	case 4, 3:
		return "error"
	case 2:
		return "warning"
	default:
		return "note"
	}
}

// severityScore is the CVSS score, or where no source gives one the middle of the severity's range.
func severityScore(f verdict.Finding) string {
	if f.Score != "" {
		return f.Score
	}
	return []string{"0.0", "2.0", "5.5", "8.0", "9.5"}[verdict.Rank(f.Severity)]
}

func cut(text string) string {
	runes := []rune(text)
	if len(runes) > textLimit {
		return string(runes[:textLimit-1]) + "…"
	}
	return text
}
