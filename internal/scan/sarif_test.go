package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/verdict"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema is SARIF 2.1.0's own, from docs.oasis-open.org.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile("testdata/sarif-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("sarif.json", document); err != nil {
		t.Fatal(err)
	}
	return compiler.MustCompile("sarif.json")
}

var openssl = verdict.Finding{Platform: "linux/amd64", ID: "CVE-2023-0286", Severity: "CRITICAL", Package: "openssl", Installed: "3.0.1",
	Fixed: "3.0.8", Title: "X.400 address type confusion", URL: "https://avd.aquasec.com/nvd/cve-2023-0286", Target: "debian 12", Score: "9.8"}

// with changes a copy of a finding.
func with(f verdict.Finding, change func(*verdict.Finding)) verdict.Finding {
	change(&f)
	return f
}

func one(findings ...verdict.Finding) []Analysis {
	return []Analysis{{Service: "api", Platform: "linux/amd64", Dockerfile: "api/Dockerfile", Findings: findings}}
}

// The parts of a SARIF file that GitHub reads.
type file struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name  string
				Rules []struct {
					ID                                string
					ShortDescription, FullDescription struct{ Text string }
					HelpURI                           string
					DefaultConfiguration              struct{ Level string }
					Properties                        struct {
						Severity string `json:"security-severity"`
						Tags     []string
					}
				}
			}
		}
		AutomationDetails struct{ ID string }
		Results           []struct {
			RuleID    string
			RuleIndex int
			Level     string
			Message   struct{ Text string }
			Locations []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           *struct{ StartLine int }
				}
			}
			PartialFingerprints map[string]string
		}
	}
}

// rendered renders analyses, holds every file against the schema and against GitHub's rules, and reads it.
func rendered(t *testing.T, analyses []Analysis) []file {
	t.Helper()
	texts, err := SARIF(analyses)
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	for _, text := range texts {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema(t).Validate(document); err != nil {
			t.Errorf("the file is no SARIF: %v", err)
		}
		var f file
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		checkRuns(t, f)
		files = append(files, f)
	}
	return files
}

// checkRuns holds a file against the rules of
// https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
func checkRuns(t *testing.T, f file) {
	t.Helper()
	categories := map[string]bool{}
	if f.Version != "2.1.0" || len(f.Runs) == 0 || len(f.Runs) > 20 {
		t.Errorf("version %s with %d runs", f.Version, len(f.Runs))
	}
	for _, run := range f.Runs {
		category := run.AutomationDetails.ID
		if !strings.HasSuffix(category, "/") || categories[category] {
			t.Errorf("category %q does not end in a slash, or comes twice", category)
		}
		categories[category] = true
		if run.Results == nil || len(run.Results) > 5000 {
			t.Errorf("%d results, null %v", len(run.Results), run.Results == nil)
		}
		rules := map[string]bool{}
		for _, rule := range run.Tool.Driver.Rules {
			if rules[rule.ID] {
				t.Errorf("rule %s is defined twice", rule.ID)
			}
			rules[rule.ID] = true
			if utf8.RuneCountInString(rule.ShortDescription.Text) > 1024 || utf8.RuneCountInString(rule.FullDescription.Text) > 1024 || len(rule.Properties.Tags) > 10 {
				t.Errorf("rule %s is too long", rule.ID)
			}
			if rule.Properties.Severity == "" {
				t.Errorf("rule %s has no security-severity", rule.ID)
			}
		}
		for _, result := range run.Results {
			if !rules[result.RuleID] || run.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID {
				t.Errorf("result of rule %q at %d: no such rule there", result.RuleID, result.RuleIndex)
			}
			if result.PartialFingerprints["primaryLocationLineHash"] == "" || len(result.Locations) != 1 || result.Message.Text == "" {
				t.Errorf("result of %s lacks a fingerprint, its location or a message", result.RuleID)
				continue
			}
			place := result.Locations[0].PhysicalLocation
			uri, err := url.Parse(place.ArtifactLocation.URI)
			if err != nil || uri.IsAbs() || strings.HasPrefix(uri.Path, "/") || place.Region == nil || place.Region.StartLine != 1 {
				t.Errorf("result of %s is at %q, region %v", result.RuleID, place.ArtifactLocation.URI, place.Region)
			}
		}
	}
}

func TestSARIFTellsAFinding(t *testing.T) {
	t.Parallel()
	run := rendered(t, one(openssl))[0].Runs[0]
	rule, result := run.Tool.Driver.Rules[0], run.Results[0]
	got := []string{run.Tool.Driver.Name, run.AutomationDetails.ID, rule.ID, rule.ShortDescription.Text, rule.HelpURI, rule.Properties.Severity,
		rule.DefaultConfiguration.Level, result.Level, result.Message.Text, result.Locations[0].PhysicalLocation.ArtifactLocation.URI}
	want := []string{"Trivy", "ghcr-publish/api/linux/amd64/", "CVE-2023-0286", "CVE-2023-0286: X.400 address type confusion",
		"https://avd.aquasec.com/nvd/cve-2023-0286", "9.8", "error", "error",
		"CVE-2023-0286 (CRITICAL) in openssl 3.0.1, on linux/amd64 of api. Update openssl to 3.0.8.", "api/Dockerfile"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the finding (-want +got):\n%s", diff)
	}
}

func TestSARIFOfNothing(t *testing.T) {
	t.Parallel()
	files := rendered(t, one())
	if len(files) != 1 || len(files[0].Runs) != 1 || len(files[0].Runs[0].Results) != 0 {
		t.Errorf("an analysis without findings gives %+v; want it uploaded, to close earlier alerts", files)
	}
	texts, err := SARIF(one())
	if err != nil || !bytes.Contains(texts[0], []byte(`"results":[]`)) || !bytes.Contains(texts[0], []byte(`"rules":[]`)) {
		t.Errorf("%s, %v; want empty lists, not null", texts, err)
	}
	if files, err := SARIF(nil); len(files) != 0 || err != nil {
		t.Errorf("no analyses give %d files, %v", len(files), err)
	}
}

func TestSARIFSplitsRuns(t *testing.T) {
	t.Parallel()
	var analyses []Analysis
	for i := range 45 {
		analyses = append(analyses, Analysis{Service: fmt.Sprintf("s%d", i/2), Platform: []string{"linux/amd64", "linux/arm64"}[i%2], Dockerfile: "Dockerfile"})
	}
	files := rendered(t, analyses)
	seen := map[string]bool{}
	for _, f := range files {
		for _, run := range f.Runs {
			seen[run.AutomationDetails.ID] = true
		}
	}
	if len(files) != 3 || len(seen) != 45 {
		t.Errorf("%d files with %d categories, want 3 with 45", len(files), len(seen))
	}
}

func TestSARIFKeepsTheWorst(t *testing.T) {
	t.Parallel()
	findings := []verdict.Finding{openssl}
	for i := range 6000 {
		findings = append(findings, with(openssl, func(f *verdict.Finding) { f.ID, f.Severity = fmt.Sprintf("CVE-1-%d", i%40), "LOW" }))
	}
	run := rendered(t, one(findings...))[0].Runs[0]
	if len(run.Results) != 5000 || run.Results[0].RuleID != openssl.ID || len(run.Tool.Driver.Rules) != 41 {
		t.Errorf("%d results of %d rules, the first %s", len(run.Results), len(run.Tool.Driver.Rules), run.Results[0].RuleID)
	}
}

func TestSARIFOneRuleForOneID(t *testing.T) {
	t.Parallel()
	milder := with(openssl, func(f *verdict.Finding) { f.Package, f.Severity, f.Score, f.Title = "libssl3", "LOW", "", "another" })
	run := rendered(t, one(openssl, milder))[0].Runs[0]
	rule := run.Tool.Driver.Rules[0]
	if len(run.Tool.Driver.Rules) != 1 || rule.Properties.Severity != "9.8" || rule.DefaultConfiguration.Level != "error" || !strings.Contains(rule.ShortDescription.Text, "X.400") {
		t.Errorf("rules %+v; want one, as grave as its worst finding", run.Tool.Driver.Rules)
	}
	if len(run.Results) != 2 || run.Results[1].Level != "note" || run.Results[0].PartialFingerprints["primaryLocationLineHash"] == run.Results[1].PartialFingerprints["primaryLocationLineHash"] {
		t.Errorf("results %+v; want two", run.Results)
	}
}

func TestSARIFSeverities(t *testing.T) {
	t.Parallel()
	cases := []struct{ severity, score, wantLevel, wantScore string }{
		{"CRITICAL", "", "error", "9.5"}, {"CRITICAL", "7.5", "error", "7.5"}, {"HIGH", "", "error", "8.0"}, {"MEDIUM", "", "warning", "5.5"},
		{"LOW", "", "note", "2.0"}, {"UNKNOWN", "", "note", "0.0"}, {"", "", "note", "0.0"}, {"LOW", "10.0", "note", "10.0"},
	}
	for _, c := range cases {
		run := rendered(t, one(with(openssl, func(f *verdict.Finding) { f.Severity, f.Score = c.severity, c.score })))[0].Runs[0]
		if rule := run.Tool.Driver.Rules[0]; rule.Properties.Severity != c.wantScore || run.Results[0].Level != c.wantLevel || rule.DefaultConfiguration.Level != c.wantLevel {
			t.Errorf("%s %s: level %s, score %s; want %s, %s", c.severity, c.score, run.Results[0].Level, rule.Properties.Severity, c.wantLevel, c.wantScore)
		}
	}
}

func TestSARIFOfOddFindings(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		finding verdict.Finding
		file    string
		wantURI string
	}{
		{"nothing known but its id", verdict.Finding{ID: "CVE-1"}, "Dockerfile", "Dockerfile"},
		{"endless texts", with(openssl, func(f *verdict.Finding) { f.Title, f.Target = strings.Repeat("ü", 5000), strings.Repeat("x", 5000) }), "Dockerfile", "Dockerfile"},
		{"bytes that are no text", with(openssl, func(f *verdict.Finding) { f.Title = "\xff\x00<script>" }), "Dockerfile", "Dockerfile"},
		{"a path with spaces and signs", openssl, "my app/100%#1/Dockerfile", "my%20app/100%25%231/Dockerfile"},
		{"a path that looks like an address", openssl, "a:b", "./a:b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			analyses := one(c.finding)
			analyses[0].Dockerfile = c.file
			run := rendered(t, analyses)[0].Runs[0]
			if got := run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != c.wantURI {
				t.Errorf("it is shown at %q, want %q", got, c.wantURI)
			}
		})
	}
}

func TestFingerprintNamesTheFindingNotTheBuild(t *testing.T) {
	t.Parallel()
	a := one()[0]
	same := map[string]verdict.Finding{
		"another version of the package": with(openssl, func(f *verdict.Finding) { f.Installed = "3.0.2" }),
		"a remedy":                       with(openssl, func(f *verdict.Finding) { f.Fixed = "" }),
		"another severity":               with(openssl, func(f *verdict.Finding) { f.Severity, f.Score, f.Title = "LOW", "1.0", "x" }),
	}
	for name, f := range same {
		if a.fingerprint(f) != a.fingerprint(openssl) {
			t.Errorf("%s makes another alert", name)
		}
	}
	other := map[string]string{
		"id":       a.fingerprint(with(openssl, func(f *verdict.Finding) { f.ID = "CVE-1" })),
		"package":  a.fingerprint(with(openssl, func(f *verdict.Finding) { f.Package = "zlib" })),
		"target":   a.fingerprint(with(openssl, func(f *verdict.Finding) { f.Target = "app/package.json" })),
		"platform": Analysis{Service: "api", Platform: "linux/arm64"}.fingerprint(openssl),
		"service":  Analysis{Service: "web", Platform: "linux/amd64"}.fingerprint(openssl),
	}
	for name, fingerprint := range other {
		if fingerprint == a.fingerprint(openssl) {
			t.Errorf("another %s makes the same alert", name)
		}
	}
}

// TestGitHubTakesIt hands a file to the stand-in for GitHub's API, which refuses what GitHub would drop.
func TestGitHubTakesIt(t *testing.T) {
	t.Parallel()
	server := githubtest.Start("t")
	defer server.Close()
	upload(t, server.URL, one(openssl, with(openssl, func(f *verdict.Finding) { f.Package = "libssl3" })))
	if problems := server.Problems(); problems != nil || len(server.SARIFs()) != 1 || server.SARIFs()[0].Results != 2 {
		t.Errorf("uploads %+v, problems %q", server.SARIFs(), problems)
	}
}
