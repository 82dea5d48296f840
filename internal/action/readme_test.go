package action

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
)

var update = flag.Bool("update", false, "rewrite the README's tables")

// TestReadme keeps the README's tables equal to what the program knows.
func TestReadme(t *testing.T) {
	t.Parallel()
	const file = "../../README.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := string(data)
	for name, table := range map[string]string{"settings": settingsTable(), "outputs": outputsTable()} {
		begin := fmt.Sprintf("<!-- %s: written by go test ./internal/action -run TestReadme -update -->\n", name)
		before, rest, found := strings.Cut(want, begin)
		_, after, closed := strings.Cut(rest, fmt.Sprintf("<!-- end of %s -->", name))
		if !found || !closed {
			t.Fatalf("the README has no place for %s", name)
		}
		want = before + begin + table + fmt.Sprintf("<!-- end of %s -->", name) + after
	}
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("README.md is out of date; run go test ./internal/action -run TestReadme -update (-want +got):\n%s", diff)
	}
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| setting | default | what it does |\n|---|---|---|\n")
	for _, s := range service.Table() {
		name := "`" + s.Name + "`"
		if s.FlagOnly {
			name += " *"
		}
		value := ""
		if s.Default != "" && !strings.Contains(s.Default, "{{") {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, value, s.Help)
	}
	return b.String()
}

func outputsTable() string {
	var b strings.Builder
	b.WriteString("| output | what it holds |\n|---|---|\n")
	for _, o := range Outputs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", o.Name, o.Help)
	}
	return b.String()
}
