package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/report"
)

// TestDoctor examines a job whose images are published, with the documented workflow, in the action's own image: all is fine, and nothing
// is written anywhere. Then it examines one of which the registry takes no image.
func TestDoctor(t *testing.T) {
	j := newJob(t)
	example, err := os.ReadFile("../../.github/examples/publish.yml")
	if err != nil {
		t.Fatal(err)
	}
	j.commit("a workflow", map[string]string{".github/workflows/publish.yml": string(example)})
	j.handOver()
	if o := j.step(""); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	workflow := []string{"INPUT_MODE=doctor", "GITHUB_JOB=publish", "GITHUB_WORKFLOW_REF=Octo-Org/cards/.github/workflows/publish.yml@refs/heads/main", "GITHUB_ACTION_REPOSITORY=org/ghcr-publish",
		"ACTIONS_ID_TOKEN_REQUEST_URL=http://127.0.0.1:1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=x"}
	before := hub.of(j.owner)
	o := j.step("", workflow...)
	if o.code != report.ExitDone || !strings.Contains(o.log, "\n✅ 0 problems, 0 could not be checked, 0 with advice, ") {
		t.Errorf("exit code %d\n%s", o.code, o.log)
	}
	for _, line := range []string{"prompt-card-backend can be pushed", "prompt-card-backend is private", "job publish is given what it needs", "programs: trivy 0.69.3", "are free in /\n", "runs of the workflow wait for each other"} {
		if !strings.Contains(o.log, line) {
			t.Errorf("the log lacks %q:\n%s", line, o.log)
		}
	}
	for _, q := range hub.of(j.owner)[len(before):] {
		if q.method == "PUT" || q.method == "PATCH" {
			t.Errorf("doctor wrote: %+v", q)
		}
	}
	summary, err := os.ReadFile(filepath.Join(j.dir, "commands", "summary"))
	if err != nil || !strings.Contains(string(summary), "## ✅ 0 problems") {
		t.Errorf("the summary (%v):\n%s", err, summary)
	}
	hub.refuse(j.owner+"/prompt-card-auth", true)
	defer hub.refuse(j.owner+"/prompt-card-auth", false)
	o = j.step("", append(slices.Clone(workflow), "INPUT_EMULATION=off", "INPUT_PLATFORMS=linux/amd64, linux/s390x")...)
	if o.code != report.ExitConfig || !strings.Contains(o.log, "prompt-card-auth cannot be pushed") || !strings.Contains(o.log, "delete old versions of the packages, or raise the limit") {
		t.Errorf("where the registry refuses: exit code %d\n%s", o.code, o.log)
	}
	j.post()
}
