package action

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/service"
)

var update = flag.Bool("update", false, "rewrite what README.md and action.yml say of settings and outputs")

// TestReadme keeps the README's tables equal to what the program knows.
func TestReadme(t *testing.T) {
	t.Parallel()
	const file = "../../README.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, file, string(data), replaceParts(t, file, string(data), map[string]string{"settings": settingsTable(), "outputs": outputsTable()}))
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
