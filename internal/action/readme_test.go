package action

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
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
	keep(t, file, string(data), replaceParts(t, file, string(data), map[string]string{"settings": settingsTable(), "outputs": outputsTable(), "compose": keysTable(t, [2]string{"compose_keys", "compose"}, [2]string{"compose_service_keys", "services: … compose"}), "deploy": keysTable(t, [2]string{"deploy", "deploy"})}))
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

// keysTable lists keys of the configuration as the schema describes them, by the name of their definition there and by what they are of.
func keysTable(t *testing.T, groups ...[2]string) string {
	t.Helper()
	data, err := os.ReadFile("../service/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| key | what it says |\n|---|---|\n")
	for _, group := range groups {
		keys := schema.Defs[group[0]].Properties
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			fmt.Fprintf(&b, "| `%s: %s` | %s |\n", group[1], key, keys[key].Description)
		}
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
