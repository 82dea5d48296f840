package verdict

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/service"
)

// TestDespite gives the right to tag what was refused, and says why it was; what was never judged, or is a part, has none all the same.
func TestDespite(t *testing.T) {
	t.Parallel()
	ref, err := name.NewDigest("ghcr.io/octo/api@sha256:" + strings.Repeat("a", 64))
	if err != nil {
		t.Fatal(err)
	}
	evidence := Evidence{Candidate: ref, Wanted: []string{"linux/amd64"}, Probe: Probe{Healthy: true},
		Platforms: []Platform{{Platform: "linux/amd64", User: "app", Findings: []Finding{{Platform: "linux/amd64", ID: "CVE-1", Severity: "CRITICAL"}}}}}
	refused := Judge(evidence, service.DefaultGates())
	if refused.Approved() {
		t.Fatal("it is not refused")
	}
	v := refused.Despite()
	if _, err := v.Approval(); err != nil || len(v.Notes) != len(refused.Notes)+1 || !strings.Contains(v.Notes[len(v.Notes)-1], "it is refused today, and was demanded all the same: linux/amd64 has 1 finding") {
		t.Errorf("%v, notes %q", err, v.Notes)
	}
	if len(refused.Reasons) == 0 {
		t.Error("the refusal itself has changed")
	}
	evidence.Part = true
	for name, v := range map[string]Verdict{"never judged": {}, "a part": Judge(evidence, service.DefaultGates()), "findings alone": JudgeFindings(evidence, service.DefaultGates())} {
		if _, err := v.Despite().Approval(); err == nil {
			t.Errorf("%s, and may be tagged", name)
		}
	}
}
