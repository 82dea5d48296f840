package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/org/ghcr-publish/internal/report"
)

// commands are all that the runner obeys (actions/runner, ActionCommandManager.cs).
var commands = []string{"add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "internal-set-repo-path",
	"notice", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning"}

// forms are the ways to write one that the runner knows, and some that it might.
var forms = []string{"::%s name=digest::stolen", "  ::%s name=digest::stolen", "##[%s name=digest]stolen", "text ##[%s name=digest]stolen",
	"\r::%s name=digest::stolen", "text\r##[%s name=digest]stolen", "\x1b[0m::%s name=digest::stolen", "\u200b::%s name=digest::stolen", "\ufeff::%s name=digest::stolen",
	"\x00::%s name=digest::stolen", "\u2028::%s name=digest::stolen", "::%s::stolen", "##[%s]stolen", "::%s name=digest::stolen\x85::%[1]s::stolen"}

// obeyed returns the commands that the runner would take from a log: "::name" at the beginning of a
// line, after white space, and "##[name" anywhere (ActionCommand.cs).
func obeyed(log string) []string {
	var found []string
	for _, line := range strings.FieldsFunc(log, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if rest, ok := strings.CutPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::"); ok {
			found = append(found, rest)
		} else if _, rest, ok := strings.Cut(line, "##["); ok {
			found = append(found, rest)
		}
	}
	return found
}

// TestForgedCommands builds and runs an image that prints every command there is, in every form.
func TestForgedCommands(t *testing.T) {
	w := newWorld(t)
	var forged strings.Builder
	for _, command := range commands {
		for _, form := range forms {
			fmt.Fprintf(&forged, form+"\n", command)
		}
	}
	w.commit("print commands", map[string]string{"backend/www/forged": forged.String(),
		"backend/Dockerfile": strings.Replace(w.read("backend/Dockerfile"), "\nCOPY backend/www ./www\n", "\nCOPY backend/www ./www\nRUN cat www/forged && cat www/forged >&2\n", 1)})
	o := w.mustPublish(report.ExitDone)
	if !strings.Contains(o.log, "stolen") {
		t.Fatalf("the build printed nothing:\n%s", o.log)
	}
	for _, command := range obeyed(o.log) {
		ours := slices.ContainsFunc([]string{"add-mask::" + w.token, "group::Plan: ", "group::Build of ", "endgroup::"}, func(begin string) bool { return strings.HasPrefix(command, begin) })
		if !ours || strings.Contains(command, "stolen") {
			t.Errorf("the runner would obey %q", command)
		}
	}
	for _, file := range []string{"output", "summary.md"} {
		data, err := os.ReadFile(filepath.Join(w.temp, file))
		if err != nil || strings.Contains(string(data), "stolen") {
			t.Errorf("%s, %v: %s", file, err, data)
		}
	}
}
