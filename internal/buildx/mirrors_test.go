package buildx

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/registry"
)

func TestMirrors(t *testing.T) {
	t.Parallel()
	got, err := Mirrors([]byte("[registry.\"docker.io\"]\n  mirrors = [\"localhost:5000\", \"mirror.example/hub\"]\n[registry.\"localhost:5000\"]\n  http = true\n[registry.\"ghcr.io\"]\n"))
	want := map[string][]registry.Mirror{"docker.io": {{Host: "localhost:5000", PlainHTTP: true}, {Host: "mirror.example/hub"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := Mirrors([]byte("[registry")); err == nil {
		t.Errorf("nonsense is read as %v", got)
	}
}
