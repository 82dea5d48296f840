package buildx

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestChecks reads what a build of two platforms told, which `--call=check` said in the same words.
func TestChecks(t *testing.T) {
	t.Parallel()
	p, told := follow(recorded(t, "checked"), 512)
	const rule = "https://docs.docker.com/go/dockerfile/rule/"
	want := []Check{
		{"StageNameCasing", "Stage name 'Base' should be lowercase", rule + "stage-name-casing/", 2},
		{"LegacyKeyValueFormat", `"ENV key=value" should be used instead of legacy "ENV key value" format`, rule + "legacy-key-value-format/", 3},
		{"ConsistentInstructionCasing", "Command 'maintainer' should match the case of the command majority (uppercase)", rule + "consistent-instruction-casing/", 5},
		{"MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", rule + "maintainer-deprecated/", 5},
		{"JSONArgsRecommended", "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals", rule + "json-args-recommended/", 7},
	}
	if diff := cmp.Diff(want, p.Checks()); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if slices.ContainsFunc(told, func(line string) bool { return line == want[0].Text }) {
		t.Errorf("the steps tell of checks: %q", told)
	}
}

func TestWarningsThatAreNoChecks(t *testing.T) {
	t.Parallel()
	for _, w := range []warning{
		{Short: []byte("the image is for another platform")},
		{Short: []byte("The requested image's platform: none"), URL: "https://docs.docker.com/go/build-multi-platform/"},
		{Short: []byte("NoURL: of a rule")},
		{URL: "https://docs.docker.com/go/dockerfile/rule/x/"},
	} {
		if check, ok := w.check(); ok {
			t.Errorf("%q is taken for the check %+v", w.Short, check)
		}
	}
}

func FuzzChecks(f *testing.F) {
	f.Add(recorded(f, "checked"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _ := follow(data, len(data)+1)
		if checks := p.Checks(); !slices.IsSortedFunc(checks, func(a, b Check) int { return a.Line - b.Line }) {
			t.Errorf("not in order: %+v", checks)
		}
	})
}
