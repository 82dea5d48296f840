package trivy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
)

// TestDocuments hides nothing that no document speaks of.
func TestDocuments(t *testing.T) {
	t.Parallel()
	report := `{"SchemaVersion": 2, "Results": [{"Target": "Node.js", "ExperimentalModifiedFindings": [
		{"Type": "vulnerability", "Status": "not_affected", "Statement": "component_not_present", "Source": "/private/vex-1.json", "Finding": {"VulnerabilityID": "CVE-1", "PkgName": "a", "PkgPath": "app/a", "Severity": "LOW"}},
		{"Type": "vulnerability", "Status": "ignored", "Source": "/private/vex-1.json", "Finding": {"VulnerabilityID": "CVE-2", "PkgName": "b", "Severity": "LOW"}},
		{"Type": "vulnerability", "Status": "fixed", "Source": ".trivyignore", "Finding": {"VulnerabilityID": "CVE-3", "PkgName": "c", "Severity": "LOW"}}]}]}`
	var calls []run.Command
	client := answering([]byte(report), nil, &calls)
	client.VEX = []Document{{"/private/vex-0.json", "a.json"}, {"/private/vex-1.json", "security/b.json"}}
	read, err := client.Scan(t.Context(), "x", "", "linux/arm64")
	want := []Vulnerability{
		{Kind: Vulnerabilities, ID: "CVE-1", Package: "a", Path: "app/a", Target: "app/a", Severity: "LOW", Harmless: &Statement{"not_affected", "component_not_present", "security/b.json"}},
		{Kind: Vulnerabilities, ID: "CVE-2", Package: "b", Target: "Node.js", Severity: "LOW"},
		{Kind: Vulnerabilities, ID: "CVE-3", Package: "c", Target: "Node.js", Severity: "LOW"},
	}
	if diff := cmp.Diff(want, read.Vulnerabilities); diff != "" || err != nil {
		t.Errorf("%v, vulnerabilities (-want +got):\n%s", err, diff)
	}
	if argv := strings.Join(calls[0].Argv, " "); !strings.Contains(argv, " --show-suppressed --vex /private/vex-0.json --vex /private/vex-1.json ") {
		t.Errorf("arguments %q", argv)
	}
}

// What Trivy v0.69.3 does with each of these is what it was seen to do.
const (
	openVEX = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/1", "author": "octo", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": [
		{"vulnerability": {"name": "CVE-1"}, "products": [{"@id": "pkg:npm/a@1"}], "status": "not_affected"}]}`
	csafVEX = `{"document": {"category": "csaf_vex", "csaf_version": "2.0"}, "product_tree": {"full_product_names": [{"name": "a", "product_id": "a", "product_identification_helper": {"purl": "pkg:npm/a@1"}}]},
		"vulnerabilities": [{"cve": "CVE-2021-44906", "product_status": {"known_not_affected": ["a"]}, "threats": [{"category": "impact", "details": "never called"}]}]}`
)

func TestCheckDocument(t *testing.T) {
	t.Parallel()
	changed := func(document, old, by string) string {
		if !strings.Contains(document, old) {
			t.Fatalf("%q is not in %s", old, document)
		}
		return strings.Replace(document, old, by, 1)
	}
	cases := map[string]struct{ document, want string }{
		"OpenVEX":                         {openVEX, ""},
		"OpenVEX of another context":      {changed(openVEX, "v0.2.0", "v0.9.0"), ""},
		"OpenVEX of the first version":    {changed(openVEX, `{"name": "CVE-1"}`, `"CVE-1"`), "is no OpenVEX 0.2 document: "},
		"OpenVEX at no time":              {changed(openVEX, "2026-01-01T00:00:00Z", "today"), "is no OpenVEX 0.2 document: "},
		"OpenVEX with a version in words": {changed(openVEX, `"version": 1`, `"version": "1"`), "is no OpenVEX 0.2 document: "},
		"OpenVEX of unknown status":       {changed(openVEX, "not_affected", "harmless"), `has a status that OpenVEX does not know, "harmless", in statement 1`},
		"OpenVEX without context":         {changed(openVEX, "@context", "context"), "is no VEX document: it has neither `@context`"},
		"CSAF":                            {csafVEX, ""},
		"CSAF of no vulnerability":        {changed(csafVEX, csafVEX[strings.Index(csafVEX, `"vulnerabilities"`):], `"vulnerabilities": []}`), ""},
		"CSAF of null":                    {changed(csafVEX, csafVEX[strings.Index(csafVEX, `"vulnerabilities"`):], `"vulnerabilities": null}`), "is no VEX document: it has neither"},
		"CSAF 2.1":                        {changed(csafVEX, "2.0", "2.1"), "is no CSAF 2.0 document: "},
		"CSAF with no package URL":        {changed(csafVEX, "pkg:npm/a@1", "npm/a"), "is no CSAF 2.0 document: "},
		"CSAF without products":           {changed(csafVEX, "product_tree", "tree"), "without `product_tree`"},
		"CSAF of no CVE":                  {changed(csafVEX, `"cve": "CVE-2021-44906"`, `"ids": [{"system_name": "GHSA", "text": "GHSA-xvch-5gv4-984h"}]`), "whose vulnerability 1 has no `cve`"},
		"CSAF of an empty vulnerability":  {changed(csafVEX, `"vulnerabilities": [`, `"vulnerabilities": [null, `), "whose vulnerability 1 has no `cve`"},
		"CSAF with an empty threat":       {changed(csafVEX, `"threats": [`, `"threats": [null, `), "or an empty threat"},
		"CycloneDX":                       {`{"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [{"id": "CVE-1", "affects": [{"ref": "pkg:npm/a@1"}]}]}`, "is a CycloneDX document, which speaks of the parts of one SBOM file; Trivy judges no images by it"},
		"SPDX":                            {`{"spdxVersion": "SPDX-2.3"}`, "is no VEX document: it has neither"},
		"two documents":                   {openVEX + openVEX, "is no VEX document: "},
		"a list":                          {"[" + openVEX + "]", "is no VEX document: "},
		"XML":                             {`<bom/>`, "is no VEX document: "},
		"nothing":                         {"", "is no VEX document: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := CheckDocument([]byte(c.document))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("CheckDocument() = %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzCheckDocument reads what anybody may have put into a repository.
func FuzzCheckDocument(f *testing.F) {
	f.Add(openVEX)
	f.Add(csafVEX)
	f.Fuzz(func(_ *testing.T, document string) { _ = CheckDocument([]byte(document)) })
}
