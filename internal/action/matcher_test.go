package action

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/service"
)

// TestProblemMatcher has the matcher of the task for VS Code read what the program says of a wrong configuration.
func TestProblemMatcher(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../.github/docs/ecosystem.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "<!-- begin task -->\n```json\n")
	text, _, _ = strings.Cut(text, "```")
	var file struct {
		Tasks []struct {
			Matcher struct {
				Pattern struct {
					Regexp                      string
					File, Line, Column, Message int
				}
			} `json:"problemMatcher"`
		}
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil || len(file.Tasks) != 1 {
		t.Fatalf("the task is %+v (%v)", file, err)
	}
	var out bytes.Buffer
	_, mistakes := service.Load(service.Sources{
		Getenv:   func(string) string { return "" },
		Flags:    map[string]string{"promote": "both"},
		ReadFile: fstest.MapFS{".github/ghcr-publish.yml": {Data: []byte("services:\n  - name: a\n    helth_endpoint: /x\n")}}.ReadFile,
		Defaults: map[string]string{"owner": "octo", "actor": "mona", "token": "", "temp": "/tmp"},
	})
	explain(mistakes, actions.NewLog(&out, false))
	pattern := file.Tasks[0].Matcher.Pattern
	var found []string
	for line := range strings.Lines(out.String()) {
		if m := regexp.MustCompile(pattern.Regexp).FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			found = append(found, strings.Join([]string{m[pattern.File], m[pattern.Line], m[pattern.Column], m[pattern.Message]}, "|"))
		}
	}
	const want = `.github/ghcr-publish.yml|3|5|unknown key "helth_endpoint" (did you mean "health_endpoint"?)`
	if len(found) != 1 || found[0] != want {
		t.Errorf("of\n%sthe matcher finds %q, want %q", out.String(), found, want)
	}
}
