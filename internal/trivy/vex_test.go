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
