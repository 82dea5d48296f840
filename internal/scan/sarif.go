package scan

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"

	"github.com/org/ghcr-publish/internal/verdict"
	"github.com/owenrumney/go-sarif/v2/sarif"
)

// GitHub's limits on one SARIF upload; beyond them it drops or refuses. It says of more results than these that it keeps the
// worst, and does not always.
// https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning#file-and-size-limits
const (
	runsPerUpload = 20
	resultsPerRun = 5000
	zippedUpload  = 10 << 20 // bytes
)

// An Analysis is the findings of one platform of one service.
type Analysis struct {
	Service  string
	Platform string
	File     string            // path in the repository, which findings are shown at
	Line     int               // of that file, for findings that name none of their own
	Findings []verdict.Finding // worst first
	Live     bool              // of all images that have a tag, and not of the one that was built last
}

// Category names the analysis for code scanning: stable across commits, so that a later upload
// replaces this one, and distinct between the runs of an upload.
func (a Analysis) Category() string {
	if a.Live {
		return "ghcr-publish/live/" + a.Service + "/" + a.Platform + "/"
	}
	return "ghcr-publish/" + a.Service + "/" + a.Platform + "/"
}

// Live puts together by service and platform what is found in all live images: each finding once, worst first.
func Live(analyses []Analysis) []Analysis {
	var all []Analysis
	seen := map[[5]string]bool{}
	for _, a := range analyses {
		a.Live = true
		i := slices.IndexFunc(all, func(other Analysis) bool { return other.Category() == a.Category() })
		if i < 0 {
			i, all = len(all), append(all, a)
			all[i].Findings = nil
		}
		for _, f := range a.Findings {
			if key := [...]string{a.Category(), f.ID, f.Package, f.Installed, f.Target}; !seen[key] {
				seen[key] = true
				all[i].Findings = append(all[i].Findings, f)
			}
		}
		slices.SortStableFunc(all[i].Findings, func(a, b verdict.Finding) int { return cmp.Compare(verdict.Rank(b.Severity), verdict.Rank(a.Severity)) })
	}
	return all
}

// Files are analyses as SARIF.
type Files struct {
	Texts   [][]byte // each is one upload
	Dropped []string // what did not fit into them, for a person; empty where all did
}

// SARIF renders analyses as files to upload, as few as GitHub's limits allow. An analysis
// without findings is uploaded too: it closes the alerts of earlier ones.
func SARIF(analyses []Analysis) (Files, error) {
	packer := packer{limit: zippedUpload, left: map[string]int{}}
	for chunk := range slices.Chunk(slices.Clone(analyses), runsPerUpload) {
		for i, a := range chunk {
			chunk[i] = packer.first(a, resultsPerRun)
		}
		if err := packer.pack(chunk); err != nil {
			return Files{}, fmt.Errorf("rendering SARIF: %w", err)
		}
	}
	return Files{packer.texts, packer.dropped()}, nil
}

// A packer fits analyses into files of limited size.
type packer struct {
	limit int // bytes of a file, compressed
	texts [][]byte
	left  map[string]int // findings that were left out, by category
	order []string       // its keys
}

// first keeps the worst n findings of an analysis.
func (p *packer) first(a Analysis, n int) Analysis {
	more := len(a.Findings) - n
	if more <= 0 {
		return a
	}
	if category := a.Category(); p.left[category] == 0 {
		p.order = append(p.order, category)
	}
	p.left[a.Category()] += more
	a.Findings = a.Findings[:n]
	return a
}

// pack makes one file of analyses, or more where it would be too large. One analysis that is too large by itself loses the
// milder half of its findings until it fits.
func (p *packer) pack(analyses []Analysis) error {
	text, err := render(analyses)
	if err != nil {
		return err
	}
	size, err := zippedSize(text)
	if err != nil {
		return err
	}
	last := analyses[len(analyses)-1]
	switch {
	case size <= p.limit || len(last.Findings) == 0 && len(analyses) == 1:
		p.texts = append(p.texts, text)
		return nil
	case len(analyses) == 1:
		return p.pack([]Analysis{p.first(last, len(last.Findings)/2)})
	}
	half := len(analyses) / 2
	if err := p.pack(analyses[:half]); err != nil {
		return err
	}
	return p.pack(analyses[half:])
}

func (p *packer) dropped() (lines []string) {
	for _, category := range p.order {
		lines = append(lines, fmt.Sprintf("GitHub takes no more findings at once: the %d mildest of %s were left out of code scanning; the report has them all.", p.left[category], path.Clean(category)))
	}
	return lines
}

func zippedSize(text []byte) (int, error) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(text); err != nil {
		return 0, err
	}
	err := w.Close()
	return zipped.Len(), err
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
	run.Results = []*sarif.Result{} // "results" must be there, also when nothing was found
	rules, places := a.rules()
	for _, r := range rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, r.describe())
	}
	prints := a.fingerprints()
	for i, f := range a.Findings {
		place := uint(places[ruleID(f)])
		result := a.result(f).WithPartialFingerPrints(map[string]any{"primaryLocationLineHash": prints[i]})
		result.RuleIndex = &place
		run.Results = append(run.Results, result)
	}
	return run
}

func (a Analysis) result(f verdict.Finding) *sarif.Result {
	line := max(f.Line, 1)
	if f.Line == 0 {
		line = max(a.Line, 1)
	}
	location := sarif.NewPhysicalLocation().
		WithArtifactLocation(sarif.NewSimpleArtifactLocation((&url.URL{Path: a.File}).String())).
		WithRegion(sarif.NewSimpleRegion(line, line).WithStartColumn(1).WithEndColumn(1))
	return sarif.NewRuleResult(ruleID(f)).WithLevel(level(f.Severity)).WithMessage(sarif.NewTextMessage(cut(a.message(f)))).
		WithLocations([]*sarif.Location{sarif.NewLocationWithPhysicalLocation(location).WithMessage(sarif.NewTextMessage(cut(cmp.Or(f.Target, f.Package, ruleID(f)))))})
}

// digits are what makes paths differ from version to version: site-packages/Jinja2-2.11.3.dist-info, lib/python3.12.
var digits = regexp.MustCompile(`[0-9]+(\.[0-9]+)*`)

// fingerprints keep each alert the same from one upload to the next, whatever versions change meanwhile. The platform is no part
// of them: GitHub then shows one alert for all platforms that have it, and closes it when none does any more. What would
// have the same one, as two copies of a package do, is counted.
func (a Analysis) fingerprints() []string {
	order := make([]int, len(a.Findings))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		one, other := a.Findings[i], a.Findings[j]
		return cmp.Or(cmp.Compare(one.Target, other.Target), cmp.Compare(one.Installed, other.Installed))
	})
	prints, seen := make([]string, len(order)), map[string]int{}
	for _, i := range order {
		f := a.Findings[i]
		sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%s", a.Service, ruleID(f), f.Package, digits.ReplaceAllString(f.Target, "#")))
		one := hex.EncodeToString(sum[:16])
		seen[one]++
		prints[i] = fmt.Sprintf("%s:%d", one, seen[one])
	}
	return prints
}
