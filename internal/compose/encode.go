package compose

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// encode writes YAML as people do: indented by two, with air between the parts and the services.
func encode(v any) ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	aired := airy(text.String())
	if !alike(text.Bytes(), aired) { // a text of several lines may look as if it ended in comments
		aired = text.Bytes()
	}
	return aired, encoder.Close()
}

// alike reports whether two files say the same.
func alike(one, other []byte) bool {
	var a, b any
	return yaml.Unmarshal(one, &a) == nil && yaml.Unmarshal(other, &b) == nil && reflect.DeepEqual(a, b)
}

// airy puts an empty line before each part of a file and each service but the first, and before the comments that they begin with.
func airy(text string) []byte {
	var b, comments bytes.Buffer
	part, begun := "", false // and whether a service was seen
	for line := range strings.Lines(text) {
		bare := strings.TrimLeft(line, " ")
		depth := len(line) - len(bare)
		if strings.HasPrefix(bare, "#") && depth <= 2 {
			comments.WriteString(line)
			continue
		}
		if bare == "\n" && comments.Len() == 0 { // within a text of several lines
			b.WriteString(line)
			continue
		}
		switch {
		case depth == 0:
			if part != "" {
				b.WriteByte('\n')
			}
			part, begun = strings.TrimSpace(line), false
		case depth == 2 && part == "services:":
			if begun {
				b.WriteByte('\n')
			}
			begun = true
		}
		_, _ = comments.WriteTo(&b)
		b.WriteString(line)
	}
	_, _ = comments.WriteTo(&b)
	return b.Bytes()
}
