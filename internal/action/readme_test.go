package action

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/docstest"
	"github.com/org/ghcr-publish/internal/service"
)

var update = flag.Bool("update", false, "rewrite what documents and action.yml say of settings, outputs and keys")

// TestDocuments keeps the tables of the documents equal to what the program knows.
func TestDocuments(t *testing.T) {
	t.Parallel()
	docstest.Keep(t, *update, "../../.github/docs/settings.md", map[string]string{"settings": settingsTable(), "outputs": outputsTable()})
	schema := readSchema(t)
	keys := map[string]string{}
	for _, key := range []string{"services", "defaults", "gates", "compose", "deploy", "clean", "mirrors", "builders"} {
		keys[key] = schema.table(key)
	}
	docstest.Keep(t, *update, "../../.github/docs/configuration.md", keys)
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| setting | default | modes | what it does |\n|---|---|---|---|\n")
	for _, s := range service.Table() {
		name := "`" + s.Name + "`"
		if s.FlagOnly {
			name += " *"
		}
		value := ""
		if s.Default != "" && !strings.Contains(s.Default, "{{") {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, value, strings.Join(s.Modes, ", "), s.Help)
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

// A keySchema is what the configuration's schema says of a value.
type keySchema struct {
	Ref         string `json:"$ref"`
	Description string
	Default     any
	Enum        []any
	Properties  map[string]keySchema
	Items       *keySchema
	AnyOf       []keySchema
	Defs        map[string]keySchema `json:"$defs"`
}

func readSchema(t *testing.T) (schema keySchema) {
	t.Helper()
	data, err := os.ReadFile("../service/schema.json")
	if err == nil {
		err = json.Unmarshal(data, &schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// table lists the keys that there are below one of the file.
func (k keySchema) table(key string) string {
	var b strings.Builder
	b.WriteString("| key | values, default | what it says |\n|---|---|---|\n")
	k.write(&b, key, k.Properties[key])
	return b.String()
}

func (k keySchema) write(b *strings.Builder, path string, at keySchema) {
	at = k.resolve(at)
	for _, one := range at.AnyOf {
		k.write(b, path, one)
	}
	if at.Items != nil {
		k.write(b, path+"[]", *at.Items)
	}
	for _, name := range slices.Sorted(maps.Keys(at.Properties)) {
		key := k.resolve(at.Properties[name])
		if key.Description != "" {
			fmt.Fprintf(b, "| `%s.%s` | %s | %s |\n", path, name, key.values(), strings.ReplaceAll(key.Description, "|", `\|`))
		}
		k.write(b, path+"."+name, key)
	}
}

// resolve takes what is defined elsewhere for what refers to it. What stands beside the reference counts.
func (k keySchema) resolve(at keySchema) keySchema {
	if at.Ref == "" {
		return at
	}
	found := k.Defs[strings.TrimPrefix(at.Ref, "#/$defs/")]
	found.Description = cmp.Or(at.Description, found.Description)
	if at.Default != nil {
		found.Default = at.Default
	}
	return found
}

func (k keySchema) values() string {
	var words []string
	for _, value := range k.Enum {
		if _, quoted := value.(string); !quoted && len(k.Enum) > 2 {
			continue
		}
		words = append(words, fmt.Sprintf("`%v`", value))
	}
	if slices.Contains(words, "`TRUE`") {
		words = []string{"`true`", "`false`"}
	}
	text := strings.Join(words, ", ")
	if k.Default != nil {
		value, _ := json.Marshal(k.Default)
		text = strings.TrimPrefix(text+"; `"+strings.Trim(string(value), `"`)+"`", "; ")
	}
	return text
}
