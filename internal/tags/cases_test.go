package tags

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refs are where events happen.
var refs = map[string]string{"push": "refs/heads/", "tag": "refs/tags/", "pull": "refs/pull/", "schedule": "refs/heads/", "dispatch": "refs/heads/", "release": "refs/tags/", "create": "refs/heads/", "queue": "refs/heads/gh-readonly-queue/"}

var eventNames = map[string]string{"tag": "push", "pull": "pull_request", "dispatch": "workflow_dispatch", "queue": "merge_group"}

func caseEvent(t *testing.T, text string) Event {
	t.Helper()
	text, digits, _ := strings.Cut(text, " digits=")
	text, service, _ := strings.Cut(text, " service=")
	text, base, _ := strings.Cut(text, " base=")
	kind, of, _ := strings.Cut(text, " ")
	e := Event{Name: kind, Ref: refs[kind] + of, SHA: "860c1904a1ce19322e91ac35af1ab07466440c37", DefaultBranch: "main", BaseRef: base,
		Now: time.Date(2020, 1, 10, 13, 4, 5, 678e6, time.UTC), Committed: time.Date(2020, 1, 10, 23, 30, 0, 0, time.UTC)}
	if name := eventNames[kind]; name != "" {
		e.Name = name
	}
	if kind == "pull" {
		e.Ref += "/merge"
	}
	e.ShortSHA, _ = strconv.Atoi(digits)
	_, e.Released = Releases(e.Ref, []string{service})
	if refs[kind] == "" {
		t.Fatalf("no event %q", text)
	}
	return e
}

// TestCases goes through testdata/cases.txt.
func TestCases(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	source, n := "", 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" {
			source = strings.TrimLeft(line, "# ")
			continue
		}
		n++
		head, want, ok := cutLast(line, " = ")
		if !ok {
			head, want, ok = cutLast(line, "= ")
		}
		parts := strings.SplitN(head, " | ", 3)
		if !ok || len(parts) < 2 {
			t.Fatalf("%q is no case", line)
		}
		rules, mistakes := Parse(strings.ReplaceAll(strings.TrimSuffix(parts[1], " |"), ";", "\n"))
		if len(parts) == 3 {
			var more []error
			rules.Flavor, more = ParseFlavor(strings.ReplaceAll(parts[2], ";", "\n"))
			mistakes = append(mistakes, more...)
		}
		if mistakes != nil {
			t.Errorf("%s: %v", line, mistakes)
			continue
		}
		set := rules.Render(caseEvent(t, parts[0]))
		got := strings.Join(set.Names(), " ")
		if got == "" {
			got = "-"
		}
		if diff := cmp.Diff(want, got); diff != "" || len(set.Tags) > 0 && set.Version != set.Tags[0].Name || len(set.Tags) == 0 && (set.Version != "" || len(set.Silent) == 0) {
			t.Errorf("%s\n by %s\n gives %s, version %q; silent %q", line, source, got, set.Version, set.Silent)
		}
	}
	if n < 400 {
		t.Errorf("there are only %d cases", n)
	}
	t.Logf("%d cases", n)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
