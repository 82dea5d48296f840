package action

import (
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/scan"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// TestSARIFTellsNoSecrets, neither one that JSON writes with escapes, nor does it break where one is like a number.
func TestSARIFTellsNoSecrets(t *testing.T) {
	t.Parallel()
	const quoted, number = `hunter"<2>`, "4321"
	log := actions.NewLog(io.Discard, false)
	log.Mask(quoted)
	log.Mask(number)
	s := &session{log: log, job: job{Config: service.Config{Settings: service.Settings{Report: filepath.Join(t.TempDir(), "report.json")}}}}
	files, err := s.writeSARIF(t.Context(), []scan.Analysis{{Service: "api", Platform: "linux/amd64", File: "Dockerfile",
		Findings: []verdict.Finding{{ID: "CVE-2026-1", Severity: "HIGH", Package: "curl", Title: "told by " + quoted, Origin: "RUN fetch " + quoted, Line: 4321}}}})
	if err != nil {
		t.Fatal(err)
	}
	var read any
	if text := string(files.Texts[0]); json.Unmarshal(files.Texts[0], &read) != nil || strings.Contains(text, "hunter") {
		t.Errorf("%s", text)
	}
}
