package run

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestInherited keeps from programs what opens doors, and nothing else.
func TestInherited(t *testing.T) {
	t.Parallel()
	kept := []string{"PATH=/bin", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "OTEL_SERVICE_NAME=a", "GITHUB_TOKEN_FILE=/a", "odd"}
	gone := []string{"GITHUB_TOKEN=t", "INPUT_TOKEN=t", "OTEL_EXPORTER_OTLP_HEADERS=k=v", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=k=v", "OTEL_EXPORTER_OTLP_LOGS_HEADERS=k=v"}
	if diff := cmp.Diff(kept, Inherited(slices.Concat(gone, kept))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"GITHUB_TOKEN": false, "NPM_TOKEN": false, "GH_TOKEN": true, "INPUT_KEY": true, "OTEL_EXPORTER_OTLP_LOGS_HEADERS": true} {
		if got := Reserved(name); got != want {
			t.Errorf("Reserved(%s) = %v", name, got)
		}
	}
}
