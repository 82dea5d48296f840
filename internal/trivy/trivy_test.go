package trivy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
)

func report(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// answering is a client whose every call gives the same.
func answering(out []byte, err error, calls *[]run.Command) *Client {
	return &Client{CacheDir: "/cache", Env: []string{"A=1"}, Run: func(_ context.Context, c run.Command) ([]byte, error) {
		*calls = append(*calls, c)
		return out, err
	}}
}

func TestParse(t *testing.T) {
	t.Parallel()
	read, err := (&Client{}).parse(report(t))
	got := read.Vulnerabilities
	const os, node = "debian", "usr/src/app/node_modules/lodash/package.json"
	want := []Vulnerability{
		{Kind: Vulnerabilities, ID: "CVE-2019-10744", Package: "lodash", Path: node, Target: node, Installed: "4.17.15", Fixed: "4.17.21, 5.0.0", Severity: "CRITICAL",
			Title: "nodejs-lodash: prototype pollution", URL: "https://avd.aquasec.com/nvd/cve-2019-10744", CVSS: map[string]CVSS{"ghsa": {9.1}}},
		{Kind: Vulnerabilities, ID: "CVE-2021-23337", Package: "lodash", Path: node, Target: node, Installed: "4.17.15", Fixed: "4.17.21", Severity: "HIGH"},
		{Kind: Vulnerabilities, ID: "CVE-2023-0286", Package: "openssl", Target: os, Installed: "3.0.7-1", Fixed: "3.0.8-1", Severity: "HIGH",
			Title: "openssl: X.400 address type confusion in X.509 GeneralName", URL: "https://avd.aquasec.com/nvd/cve-2023-0286", CVSS: map[string]CVSS{"nvd": {7.4}, "ghsa": {}}},
		{Kind: Vulnerabilities, ID: "CVE-2024-0727", Package: "openssl", Target: os, Layer: Layer{"sha256:1f00ff2013e1"}, Step: 1, Installed: "3.0.7-1", Fixed: "3.0.13-1~deb12u1", Severity: "MEDIUM", Identifier: Identifier{"pkg:deb/debian/openssl@3.0.7-1?arch=arm64&distro=debian-12.5"},
			Title: "openssl: denial of service via null dereference", URL: "https://avd.aquasec.com/nvd/cve-2024-0727", CVSS: map[string]CVSS{"nvd": {5.5}, "redhat": {5.6}}},
		{Kind: Vulnerabilities, ID: "CVE-2011-3374", Package: "apt", Target: os, Installed: "2.6.1", Severity: "LOW"},
		{Kind: Vulnerabilities, ID: "CVE-2005-2541", Package: "tar", Target: os, Installed: "1.34", Severity: "UNKNOWN"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("%v, vulnerabilities (-want +got):\n%s", err, diff)
	}
	var scores []float64
	for _, v := range got {
		scores = append(scores, v.Score())
	}
	if diff := cmp.Diff([]float64{9.1, 0, 7.4, 5.6, 0, 0}, scores); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
}

// TestStepOfALayer finds the step that made a layer, and none where the history does not tell of each layer.
func TestStepOfALayer(t *testing.T) {
	t.Parallel()
	const whole = `[{"created_by": "ADD x"}, {"created_by": "ENV y", "empty_layer": true}, {"created_by": "RUN z"}]`
	for name, c := range map[string]struct {
		history, layers, of string
		want                int
	}{
		"the first":         {whole, `["a", "b"]`, "a", 1},
		"after an empty":    {whole, `["a", "b"]`, "b", 3},
		"another's":         {whole, `["a", "b"]`, "c", 0},
		"no layer is named": {whole, `["a", "b"]`, "", 0},
		"a layer too many":  {whole, `["a", "b", "c"]`, "b", 0},
		"a layer too few":   {whole, `["a"]`, "a", 0},
		"no history":        {`null`, `["a"]`, "a", 0},
	} {
		read, err := (&Client{}).parse(fmt.Appendf(nil, `{"SchemaVersion": 2, "Metadata": {"ImageConfig": {"history": %s, "rootfs": {"diff_ids": %s}}},
			"Results": [{"Vulnerabilities": [{"VulnerabilityID": "CVE-1", "Layer": {"DiffID": %q}}]}]}`, c.history, c.layers, c.of))
		if err != nil || read.Vulnerabilities[0].Step != c.want || c.want > 0 && read.History[2] != "RUN z" {
			t.Errorf("%s: %+v, %v; want step %d", name, read, err, c.want)
		}
	}
}

func TestParseOrder(t *testing.T) {
	t.Parallel()
	read, err := (&Client{}).parse([]byte(`{"SchemaVersion": 2, "Results": [{"Vulnerabilities": [
		{"VulnerabilityID": "c", "Severity": "NEGLIGIBLE"}, {"VulnerabilityID": "b", "Severity": ""}, {"VulnerabilityID": "a", "Severity": "UNKNOWN"},
		{"VulnerabilityID": "z", "Severity": "LOW"}, {"VulnerabilityID": "b", "PkgName": "q", "Severity": "CRITICAL"}]},
		{"Vulnerabilities": [{"VulnerabilityID": "b", "PkgName": "p", "Severity": "CRITICAL"}, {"VulnerabilityID": "a", "Severity": "CRITICAL"}]}]}`))
	var order []string
	for _, v := range read.Vulnerabilities {
		order = append(order, v.Severity+" "+v.ID+v.Package)
	}
	want := []string{"CRITICAL a", "CRITICAL bp", "CRITICAL bq", "LOW z", "UNKNOWN a", " b", "NEGLIGIBLE c"}
	if diff := cmp.Diff(want, order); diff != "" || err != nil {
		t.Errorf("%v, order (-want +got):\n%s", err, diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              "unexpected end",
		"{":                             "unexpected end",
		"null":                          "schema version 0 is not 2",
		"{}":                            "schema version 0 is not 2",
		`{"SchemaVersion": 3}`:          "schema version 3 is not 2",
		`{"SchemaVersion": "2"}`:        "cannot unmarshal",
		`[]`:                            "cannot unmarshal",
		`{"SchemaVersion": 2} and more`: "invalid character",
		`{"SchemaVersion": 2, "Results": ` + `[{"Vulnerabilities": "none"}]}`: "cannot unmarshal",
		"2026-11-24 INFO Scanning...\n{}":                                     "invalid character",
	} {
		if got, err := (&Client{}).parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "reading Trivy's report: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("parse(%q) = %v, %v; want %q", text, got, err, want)
		}
	}
	if got, err := (&Client{}).parse([]byte(`{"SchemaVersion": 2}`)); got.Vulnerabilities != nil || err != nil {
		t.Errorf("a clean image gives %v, %v", got, err)
	}
}

func TestScanArguments(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name          string
		image, layout string
		plain         bool
		want          string
	}{
		{"in a registry", "ghcr.io/octo/web@sha256:abc", "", false,
			"trivy image --quiet --cache-dir /cache --cache-backend memory --no-progress --format json --scanners vuln --skip-db-update --skip-version-check --platform linux/arm64 --image-src remote -- ghcr.io/octo/web@sha256:abc"},
		{"in a registry without TLS", "--config=evil.yaml", "", true,
			"trivy image --quiet --cache-dir /cache --cache-backend memory --no-progress --insecure --format json --scanners vuln --skip-db-update --skip-version-check --platform linux/arm64 --image-src remote -- --config=evil.yaml"},
		{"in a layout", "", "/tmp/layout", false,
			"trivy image --quiet --cache-dir /cache --cache-backend memory --no-progress --format json --scanners vuln --skip-db-update --skip-version-check --platform linux/arm64 --input /tmp/layout"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var calls []run.Command
			client := answering(report(t), nil, &calls)
			client.PlainHTTP = c.plain
			found, err := client.Scan(t.Context(), c.image, c.layout, "linux/arm64")
			if len(found.Vulnerabilities) != 6 || err != nil {
				t.Errorf("Scan() = %d findings, %v", len(found.Vulnerabilities), err)
			}
			if diff := cmp.Diff([]run.Command{{Argv: strings.Fields(c.want), Env: []string{"A=1"}}}, calls); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScanFails(t *testing.T) {
	t.Parallel()
	var calls []run.Command
	failed := &run.Error{Argv: []string{"trivy", "image"}, Code: 1, Stderr: "FATAL no such image", Err: errors.New("exit status 1")}
	for _, c := range [][2]string{{"ghcr.io/octo/web", ""}, {"", "/tmp/layout"}} {
		_, err := answering(report(t), failed, &calls).Scan(t.Context(), c[0], c[1], "linux/arm64")
		if want := "scanning " + c[0] + c[1] + " for linux/arm64: trivy image: exit status 1: FATAL no such image"; !errors.Is(err, failed) || err.Error() != want {
			t.Errorf("Scan() = %v, want %s", err, want)
		}
	}
	if _, err := answering(nil, nil, &calls).Scan(t.Context(), "x", "", "linux/arm64"); err == nil {
		t.Error("no report counts as no findings")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(report(f))
	f.Add([]byte(`{"SchemaVersion": 2, "Results": [{"Target": "t", "Vulnerabilities": [{"VulnerabilityID": "a", "Severity": "x", "CVSS": {"nvd": {"V3Score": -1}}}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := (&Client{}).parse(data)
		found := read.Vulnerabilities
		if err != nil && (found != nil || !strings.HasPrefix(err.Error(), "reading Trivy's report: ")) {
			t.Errorf("parse() = %v, %v", found, err)
		}
		seen := "CRITICAL"
		for _, v := range found {
			if v.Score() < 0 {
				t.Errorf("score %v", v.Score())
			}
			if v.Severity == "CRITICAL" && seen != "CRITICAL" {
				t.Errorf("CRITICAL comes after %s", seen)
			}
			seen = v.Severity
		}
	})
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"Version: 0.69.3\nVulnerability DB:\n  Version: 2\n": "0.69.3", "Version: v0.70.0\n": "0.70.0", "Version: dev\nx\n": "Version: dev"} {
		c := Client{Run: func(context.Context, run.Command) ([]byte, error) { return []byte(said), nil }}
		if got, err := c.Version(t.Context()); got != want || err != nil {
			t.Errorf("%q is %q, %v", said, got, err)
		}
	}
}
