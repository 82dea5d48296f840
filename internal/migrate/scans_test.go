package migrate

import (
	"strings"
	"testing"
)

// TestScanRule has the gate refuse what scans refused.
func TestScanRule(t *testing.T) {
	t.Parallel()
	const usualGate = "{severity: [CRITICAL, HIGH], fail_on: CRITICAL}"
	for title, c := range map[string]struct{ steps, want, said string }{
		"none":             {"", usualGate, ""},
		"as it is usual":   {"- {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, severity: 'CRITICAL,HIGH', exit-code: '1', ignore-unfixed: true}}", "{severity: [CRITICAL, HIGH], fail_on: HIGH, ignore_unfixed: true}", ""},
		"all severities":   {"- {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, exit-code: 1}}", "{severity: [CRITICAL, HIGH, MEDIUM, LOW, UNKNOWN], fail_on: UNKNOWN}", ""},
		"of a variable":    {"- {uses: aquasecurity/trivy-action@v1, env: {S: critical}, with: {image-ref: x, severity: '${{ env.S }}', exit-code: 1}}", "{severity: [CRITICAL], fail_on: CRITICAL}", ""},
		"the strictest":    {"- {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, severity: CRITICAL, exit-code: 1}}\n      - {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, severity: 'CRITICAL,HIGH', exit-code: 1}}", "{severity: [CRITICAL, HIGH], fail_on: HIGH}", ""},
		"refuses nothing":  {"- {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, severity: LOW}}", usualGate, ""},
		"is let fail":      {"- {uses: aquasecurity/trivy-action@v1, continue-on-error: true, with: {image-ref: x, severity: LOW, exit-code: 1}}", usualGate, ""},
		"of files":         {"- {uses: aquasecurity/trivy-action@v1, with: {scan-type: fs, severity: LOW, exit-code: 1}}", usualGate, ""},
		"no such severity": {"- {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, severity: BAD, exit-code: 1}}", usualGate, ""},
		"known when it runs": {"- {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, severity: '${{ vars.S }}', exit-code: 1}}", usualGate,
			`docker.yml:8: severity is "${{ vars.S }}", which is only known when it runs: write what it is under ` + "`gates: vulnerabilities`."},
		"exceptions": {"- {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, severity: CRITICAL, exit-code: 1, trivyignores: security/ignore}}", "{severity: [CRITICAL], fail_on: CRITICAL}",
			"docker.yml:8: the scan leaves out what security/ignore says: name it under `gates: vulnerabilities: ignore_file`."},
	} {
		r := readAll(t, "on: push\nconcurrency: x\njobs:\n  build:\n    steps:\n      - uses: docker/build-push-action@v6\n        with: {push: true, context: a, tags: ghcr.io/octo/a}\n      "+c.steps+"\n")
		text, err := r.Config()
		left := strings.Join(r.Left, "\n")
		if err != nil || !strings.Contains(text, "\n  vulnerabilities: "+c.want+"\n") || !strings.Contains(left, c.said) {
			t.Errorf("%s: %v, not %s is in\n%s\nleft\n%s", title, err, c.want, text, left)
		}
	}
	never := readAll(t, "on: push\njobs:\n  build:\n    strategy: {matrix: {a: [x], exclude: [{a: x}]}}\n    steps:\n      - {uses: docker/build-push-action@v6, with: {push: true}}\n      - {uses: aquasecurity/trivy-action@v1, with: {image-ref: x, exit-code: 1}}\n")
	if never.rule.failOn != "" || len(never.Services) > 0 {
		t.Errorf("of a job that never runs there is %+v", never)
	}
}
