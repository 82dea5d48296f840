package service

import (
	"slices"
	"strings"
	"testing"
)

// TestReleaseAssets reads patterns as a list or one a line, and takes none that leads out of the workspace.
func TestReleaseAssets(t *testing.T) {
	t.Parallel()
	want := []string{"dist/*.{gz,zip}", "a name"}
	if got := mustLoad(t, workspace(minimal+"release_assets: ['dist/*.{gz,zip}', a name]\n")).ReleaseAssets; !slices.Equal(got, want) {
		t.Errorf("the file's are %q", got)
	}
	src := workspace(minimal)
	src.Input = inputs(map[string]string{"release-assets": "  dist/*.{gz,zip}\n\n a name\n"})
	if got := mustLoad(t, src).ReleaseAssets; !slices.Equal(got, want) {
		t.Errorf("the input's are %q", got)
	}
	for pattern, want := range map[string]string{"../x": "not in the workspace", "a/../../x": "not in the workspace", "/etc/passwd": "not in the workspace", "a[": "is no pattern", "{a": "is no pattern"} {
		if _, err := Load(workspace(minimal + "release_assets: ['" + pattern + "']\n")); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ".github/ghcr-publish.yml:") {
			t.Errorf("%q: %v, want it to say that it %s", pattern, err, want)
		}
	}
}
