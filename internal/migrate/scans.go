package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// A scanRule is what makes scans refuse images, in the keys of the gate for vulnerabilities.
type scanRule struct {
	severity      []string // that are reported, the worst first
	failOn        string
	ignoreUnfixed bool
}

// usual is what a configuration begins with.
var usual = scanRule{severity: []string{"CRITICAL", "HIGH"}, failOn: "CRITICAL"}

// severities are Trivy's, the worst first.
var severities = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"}

func (r scanRule) String() string {
	said := fmt.Sprintf("{severity: [%s], fail_on: %s", strings.Join(r.severity, ", "), r.failOn)
	if r.ignoreUnfixed {
		said += ", ignore_unfixed: true"
	}
	return said + "}"
}

// scan takes over the rule of a step that scans an image and refuses it. Of several the strictest holds.
func (all *Reading) scan(w workflow, j job, s step) {
	if len(j.rows) == 0 {
		return // as it never runs
	}
	in := w.scope(j, s, j.rows[0])
	get := func(name string) string {
		text, whole := in.fill(s.With[name].text)
		if !whole {
			all.leave("%s:%d: %s is %q, which is only known when it runs: write what it is under `gates: vulnerabilities`.", w.file, s.With[name].line, name, s.With[name].text)
			return ""
		}
		return strings.TrimSpace(text)
	}
	if s.With["image-ref"].text == "" || s.Tolerant.Value == "true" || get("exit-code") != "1" {
		return // which refuses no image
	}
	named := list(strings.ToUpper(get("severity")))
	rule := scanRule{ignoreUnfixed: get("ignore-unfixed") == "true"}
	for _, severity := range severities {
		if s.With["severity"].text == "" || slices.Contains(named, severity) {
			rule.severity, rule.failOn = append(rule.severity, severity), severity
		}
	}
	if file := get("trivyignores"); file != "" && file != ".trivyignore" && file != ".trivyignore.yaml" {
		all.leave("%s:%d: the scan leaves out what %s says: name it under `gates: vulnerabilities: ignore_file`.", w.file, s.With["trivyignores"].line, file)
	}
	if rule.failOn != "" && (all.rule.failOn == "" || len(rule.severity) > len(all.rule.severity)) {
		all.rule = rule
	}
}
