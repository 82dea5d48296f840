package action

import (
	"fmt"
	"io"
	"testing"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/service"
)

// TestExplain ends with the code of what went wrong, and not with that of a program that did.
func TestExplain(t *testing.T) {
	t.Parallel()
	_, failed := run.OS(t.Context(), run.Command{Argv: []string{"/bin/sh", "-c", "exit 128"}})
	var problems service.Problems
	problems.Add("x", "", "wrong")
	for want, err := range map[int]error{report.ExitFault: fmt.Errorf("reading the clone: %w", failed), report.ExitConfig: fmt.Errorf("loading: %w", problems)} {
		if got := explain(err, actions.NewLog(io.Discard, false)); got != want {
			t.Errorf("%v ends with %d, want %d", err, got, want)
		}
	}
}
