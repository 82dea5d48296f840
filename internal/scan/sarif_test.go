package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/service"
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
	return []Analysis{{Service: "api", Platform: "linux/amd64", File: "api/Dockerfile", Findings: findings}}
}

// The parts of a SARIF file that GitHub reads.
type file struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name  string
				Rules []struct {
					ID, Name                          string
					ShortDescription, FullDescription struct{ Text string }
					HelpURI                           string
					Help                              struct{ Text, Markdown string }
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

// rendered renders analyses and reads the files.
func rendered(t *testing.T, analyses []Analysis) []file {
	t.Helper()
	made, err := SARIF(analyses)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, made.Texts)
}

// read holds files against the schema and against GitHub's rules, and reads them.
func read(t *testing.T, texts [][]byte) []file {
	t.Helper()
	var files []file
	schema := schema(t)
	for _, text := range texts {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
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
			if v, err := strconv.ParseFloat(rule.Properties.Severity, 64); err != nil || !(v >= 0 && v <= 10) {
				t.Errorf("rule %s has security-severity %q", rule.ID, rule.Properties.Severity)
			}
			if rule.Help.Text == "" || rule.Help.Markdown == "" {
				t.Errorf("rule %s has no help", rule.ID)
			}
		}
		prints := map[string]bool{}
		for _, result := range run.Results {
			if prints[result.PartialFingerprints["primaryLocationLineHash"]] {
				t.Errorf("two results of %s have one fingerprint", result.RuleID)
			}
			prints[result.PartialFingerprints["primaryLocationLineHash"]] = true
			if !rules[result.RuleID] || run.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID {
				t.Errorf("result of rule %q at %d: no such rule there", result.RuleID, result.RuleIndex)
			}
			if result.PartialFingerprints["primaryLocationLineHash"] == "" || len(result.Locations) != 1 || result.Message.Text == "" {
				t.Errorf("result of %s lacks a fingerprint, its location or a message", result.RuleID)
				continue
			}
			place := result.Locations[0].PhysicalLocation
			uri, err := url.Parse(place.ArtifactLocation.URI)
			if err != nil || uri.IsAbs() || strings.HasPrefix(uri.Path, "/") || place.Region == nil || place.Region.StartLine < 1 {
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
		"CVE-2023-0286 (CRITICAL) in openssl 3.0.1 of api. Update openssl to 3.0.8.", "api/Dockerfile"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the finding (-want +got):\n%s", diff)
	}
}

// TestSARIFTellsOfLinesOfVersions has a fix in each, and any of them will do.
func TestSARIFTellsOfLinesOfVersions(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]string{"RUN apk add x": "Update openssl to 3.0.8 or 3.1.1.", "FROM alpine": "Take a base image that has openssl 3.0.8 or 3.1.1, or update it there."} {
		run := rendered(t, one(with(openssl, func(f *verdict.Finding) { f.Fixed, f.Origin = "3.0.8, 3.1.1", origin })))[0].Runs[0]
		if got := run.Results[0].Message.Text; !strings.Contains(got, want) {
			t.Errorf("message %q, want %q in it", got, want)
		}
	}
}

// TestSARIFHoldsNobodysLinks though whoever names a package or writes a Dockerfile may try.
func TestSARIFHoldsNobodysLinks(t *testing.T) {
	t.Parallel()
	const link = "[the fix](https://example.org/evil)"
	made, err := SARIF(one(with(openssl, func(f *verdict.Finding) {
		f.Title, f.Package, f.Installed, f.Target, f.Origin, f.Fixed = link, link, link, link, "RUN "+link, link
	})))
	if err != nil {
		t.Fatal(err)
	}
	escaped := `\\](` // as the Markdown has it
	if text := strings.ReplaceAll(string(made.Texts[0]), escaped, ""); strings.Contains(text, "](https://example.org") {
		t.Errorf("a link is left in %s", text)
	}
}

func TestSARIFOfNothing(t *testing.T) {
	t.Parallel()
	files := rendered(t, one())
	if len(files) != 1 || len(files[0].Runs) != 1 || len(files[0].Runs[0].Results) != 0 {
		t.Errorf("an analysis without findings gives %+v; want it uploaded, to close earlier alerts", files)
	}
	made, err := SARIF(one())
	if err != nil || !bytes.Contains(made.Texts[0], []byte(`"results":[]`)) || !bytes.Contains(made.Texts[0], []byte(`"rules":[]`)) || made.Dropped != nil {
		t.Errorf("%s, %v, %q; want empty lists, not null", made.Texts, err, made.Dropped)
	}
	if made, err := SARIF(nil); len(made.Texts) != 0 || err != nil {
		t.Errorf("no analyses give %d files, %v", len(made.Texts), err)
	}
}

func TestSARIFSplitsRuns(t *testing.T) {
	t.Parallel()
	var analyses []Analysis
	for i := range 45 {
		analyses = append(analyses, Analysis{Service: fmt.Sprintf("s%d", i/2), Platform: []string{"linux/amd64", "linux/arm64"}[i%2], File: "Dockerfile"})
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
	analyses := one(findings...)
	made, err := SARIF(analyses)
	if err != nil {
		t.Fatal(err)
	}
	run := read(t, made.Texts)[0].Runs[0]
	if len(run.Results) != 5000 || run.Results[0].RuleID != openssl.ID || len(run.Tool.Driver.Rules) != 41 {
		t.Errorf("%d results of %d rules, the first %s", len(run.Results), len(run.Tool.Driver.Rules), run.Results[0].RuleID)
	}
	want := []string{"GitHub takes no more findings at once: the 1001 mildest of ghcr-publish/api/linux/amd64 were left out of code scanning; the report has them all."}
	if diff := cmp.Diff(want, made.Dropped); diff != "" || len(analyses[0].Findings) != 6001 {
		t.Errorf("%d findings are left to the caller, dropped (-want +got):\n%s", len(analyses[0].Findings), diff)
	}
}

// TestSARIFFitsFiles packs into files so small that every kind of parting comes about.
func TestSARIFFitsFiles(t *testing.T) {
	t.Parallel()
	var analyses []Analysis
	for i := range 7 {
		a := Analysis{Service: fmt.Sprintf("s%d", i), Platform: "linux/amd64", File: "Dockerfile"}
		for n := range i * 40 {
			a.Findings = append(a.Findings, with(openssl, func(f *verdict.Finding) { f.ID = fmt.Sprintf("CVE-%d", n); f.Title = fmt.Sprint(n * 7919) }))
		}
		analyses = append(analyses, a)
	}
	for _, limit := range []int{1, 1000, 3000, 6000, 10_000, 1 << 20} {
		p := packer{limit: limit, left: map[string]int{}}
		if err := p.pack(slices.Clone(analyses)); err != nil {
			t.Fatal(err)
		}
		kept := map[string]int{}
		for i, f := range read(t, p.texts) {
			if size, err := zippedSize(p.texts[i]); err != nil || size > limit && (len(f.Runs) > 1 || len(f.Runs[0].Results) > 0) {
				t.Errorf("limit %d: file %d has %d bytes, %v", limit, i, size, err)
			}
			for _, run := range f.Runs {
				kept[run.AutomationDetails.ID] = len(run.Results)
			}
		}
		for i, a := range analyses {
			if n, there := kept[a.Category()]; !there || n+p.left[a.Category()] != i*40 {
				t.Errorf("limit %d: %s kept %d and lost %d of %d", limit, a.Category(), n, p.left[a.Category()], i*40)
			}
		}
		if len(p.dropped()) != len(p.left) || limit == 1<<20 && (len(p.texts) != 1 || len(p.left) > 0) {
			t.Errorf("limit %d: %d files, dropped %q", limit, len(p.texts), p.dropped())
		}
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
		{"CRITICAL", "", "error", "9.5"}, {"CRITICAL", "7.5", "error", "9.0"}, {"HIGH", "", "error", "8.0"}, {"HIGH", "9.8", "error", "8.9"}, {"MEDIUM", "", "warning", "5.5"},
		{"LOW", "", "note", "2.0"}, {"UNKNOWN", "9.9", "note", "0.0"}, {"", "", "note", "0.0"}, {"LOW", "10.0", "note", "3.9"}, {"LOW", "1.25", "note", "1.2"},
		{"HIGH", "NaN", "error", "8.0"}, {"HIGH", "-1", "error", "7.0"}, {"HIGH", "grave", "error", "8.0"},
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
			analyses[0].File = c.file
			run := rendered(t, analyses)[0].Runs[0]
			if got := run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != c.wantURI {
				t.Errorf("it is shown at %q, want %q", got, c.wantURI)
			}
		})
	}
}

func TestFingerprintNamesTheFindingNotTheBuild(t *testing.T) {
	t.Parallel()
	in := func(path string) func(*verdict.Finding) { return func(f *verdict.Finding) { f.Target = path } }
	jinja := with(openssl, in("usr/lib/python3.11/site-packages/Jinja2-2.11.3.dist-info/METADATA"))
	of := func(f verdict.Finding) string { return one(f)[0].fingerprints()[0] }
	same := map[string][2]verdict.Finding{
		"another version of the package": {openssl, with(openssl, func(f *verdict.Finding) { f.Installed = "3.0.2" })},
		"a remedy":                       {openssl, with(openssl, func(f *verdict.Finding) { f.Fixed = "" })},
		"another severity":               {openssl, with(openssl, func(f *verdict.Finding) { f.Severity, f.Score, f.Title = "LOW", "1.0", "x" })},
		"another line":                   {openssl, with(openssl, func(f *verdict.Finding) { f.Line, f.Origin = 7, "RUN x" })},
		"another version in the path":    {jinja, with(jinja, in("usr/lib/python3.12/site-packages/Jinja2-2.11.2.dist-info/METADATA"))},
	}
	for name, pair := range same {
		if of(pair[0]) != of(pair[1]) {
			t.Errorf("%s makes another alert", name)
		}
	}
	if (Analysis{Service: "api", Platform: "linux/arm64", Findings: []verdict.Finding{openssl}}).fingerprints()[0] != of(openssl) {
		t.Error("another platform makes another alert")
	}
	other := map[string]string{
		"id":      of(with(openssl, func(f *verdict.Finding) { f.ID = "CVE-1" })),
		"package": of(with(openssl, func(f *verdict.Finding) { f.Package = "zlib" })),
		"target":  of(with(openssl, in("app/package.json"))),
		"service": Analysis{Service: "web", Platform: "linux/amd64", Findings: []verdict.Finding{openssl}}.fingerprints()[0],
	}
	for name, fingerprint := range other {
		if fingerprint == of(openssl) {
			t.Errorf("another %s makes the same alert", name)
		}
	}
}

func TestSARIFOfOtherKinds(t *testing.T) {
	t.Parallel()
	key := verdict.Finding{Kind: service.Secret, ID: "aws-access-key-id", Severity: "CRITICAL", Package: "app/.env", Title: "AWS Access Key ID"}
	run := rendered(t, one(key, openssl))[0].Runs[0]
	if got := run.Results[0].Message.Text; !strings.HasPrefix(got, "aws-access-key-id (CRITICAL) in app/.env of api. Keep it out of the image") {
		t.Errorf("message %q", got)
	}
	if rules := run.Tool.Driver.Rules; rules[0].Name != "Secret" || rules[0].Properties.Tags[1] != "secret" || rules[1].Name != "Vulnerability" || rules[1].Properties.Tags[1] != "vulnerability" {
		t.Errorf("rules %+v", rules)
	}
}

func TestEqualFindingsAreCounted(t *testing.T) {
	t.Parallel()
	at := func(version, target string) verdict.Finding {
		return with(openssl, func(f *verdict.Finding) { f.Installed, f.Target = version, target })
	}
	first := one(at("1", "a2/x"), at("2", "lock"), at("1", "a1/x"), at("1", "lock"))[0].fingerprints()
	again := one(at("1", "a1/x"), at("1", "lock"), at("2", "lock"), at("1", "a2/x"), with(openssl, func(f *verdict.Finding) { f.ID = "CVE-1" }))[0].fingerprints()
	if diff := cmp.Diff([]string{first[2], first[3], first[1], first[0]}, again[:4]); diff != "" {
		t.Errorf("in another order (-want +got):\n%s", diff)
	}
	if slices.Sort(first); len(slices.Compact(first)) != 4 {
		t.Errorf("fingerprints %q", first)
	}
}

func TestSARIFTellsWhatBroughtAFindingIn(t *testing.T) {
	t.Parallel()
	analyses := one(with(openssl, func(f *verdict.Finding) { f.Line, f.Origin = 7, "RUN apk add `openssl`|x" }), with(openssl, func(f *verdict.Finding) {
		f.Package, f.Line, f.Origin = "libssl3", 2, "FROM alpine:3.20"
	}), with(openssl, func(f *verdict.Finding) { f.ID, f.Package, f.Fixed, f.Origin = "CVE-0", "musl", "", "FROM alpine:3.20" }), with(openssl, func(f *verdict.Finding) { f.ID = "CVE-3" }))
	analyses[0].Line = 3
	run := rendered(t, analyses)[0].Runs[0]
	var got []string
	for _, r := range run.Results {
		got = append(got, fmt.Sprint(r.Locations[0].PhysicalLocation.Region.StartLine, " ", r.Message.Text))
	}
	want := []string{
		"7 CVE-2023-0286 (CRITICAL) in openssl 3.0.1 of api. Update openssl to 3.0.8. Brought in by `RUN apk add `openssl`|x`.",
		"2 CVE-2023-0286 (CRITICAL) in libssl3 3.0.1 of api. Take a base image that has libssl3 3.0.8, or update it there. Brought in by `FROM alpine:3.20`.",
		"3 CVE-0 (CRITICAL) in musl 3.0.1 of api. There is no fixed version yet; another base image may do without it. Brought in by `FROM alpine:3.20`.",
		"3 CVE-3 (CRITICAL) in openssl 3.0.1 of api. Update openssl to 3.0.8.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	help := run.Tool.Driver.Rules[0].Help
	wantHelp := `**CVE-2023-0286** X.400 address type confusion

| package | installed | fixed in | found in | brought in by |
|---|---|---|---|---|
| openssl | 3.0.1 | 3.0.8 | debian 12 | RUN apk add ` + "\\`openssl\\`" + `\|x |
| libssl3 | 3.0.1 | 3.0.8 | debian 12 | FROM alpine:3.20 |

Update openssl to 3.0.8.

[CVE-2023-0286](https://avd.aquasec.com/nvd/cve-2023-0286)
`
	if diff := cmp.Diff(wantHelp, help.Markdown); diff != "" {
		t.Errorf("help (-want +got):\n%s", diff)
	}
	if want := "openssl 3.0.1: Update openssl to 3.0.8.\nlibssl3 3.0.1: Take a base image that has libssl3 3.0.8, or update it there.\n"; help.Text != want {
		t.Errorf("help %q, want %q", help.Text, want)
	}
}

func TestLiveImagesAreOneAnalysis(t *testing.T) {
	t.Parallel()
	mild := with(openssl, func(f *verdict.Finding) { f.ID, f.Severity = "CVE-1", "LOW" })
	all := Live(append(append(one(mild), one(openssl, mild)...), Analysis{Service: "api", Platform: "linux/arm64", File: "Dockerfile"}))
	var got []string
	for _, a := range all {
		got = append(got, a.Category())
		for _, f := range a.Findings {
			got = append(got, f.ID)
		}
	}
	if diff := cmp.Diff([]string{"ghcr-publish/live/api/linux/amd64/", openssl.ID, "CVE-1", "ghcr-publish/live/api/linux/arm64/"}, got); diff != "" {
		t.Errorf("analyses (-want +got):\n%s", diff)
	}
	rendered(t, append(one(openssl), all...))
}

// TestWhateverTheFindingsFilesConform makes findings of odd texts and odd numbers of them.
func TestWhateverTheFindingsFilesConform(t *testing.T) {
	t.Parallel()
	words := []string{"", "a", "CVE-2024-1", "\xff\xfe", "\x00", strings.Repeat("ü", 3000), "a|b\n# c", "../../x", "https://x/y", "javascript:alert(1)", "{0} [x](y)", "%zz", "CRITICAL", "HIGH", "9.8", "NaN", "-3", "FROM x"}
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string { return words[random.IntN(len(words))] }
	for range 30 {
		var analyses []Analysis
		for i := range random.IntN(25) {
			a := Analysis{Service: fmt.Sprint("s", i), Platform: "linux/amd64", File: strings.Repeat("d ", i) + "Dockerfile", Line: random.IntN(3) - 1}
			for range random.IntN(30) {
				a.Findings = append(a.Findings, verdict.Finding{ID: word(), Severity: word(), Package: word(), Installed: word(), Fixed: word(), Title: word(),
					URL: word(), Target: word(), Score: word(), Line: random.IntN(4) - 1, Origin: word()})
			}
			analyses = append(analyses, a)
		}
		runs := 0
		for _, f := range rendered(t, analyses) {
			runs += len(f.Runs)
		}
		if runs != len(analyses) {
			t.Fatalf("%d runs of %d analyses", runs, len(analyses))
		}
		server := githubtest.Start("t")
		upload(t, server.URL, analyses)
		if problems := server.Problems(); problems != nil {
			t.Fatalf("GitHub refuses: %q", problems)
		}
		server.Close()
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
