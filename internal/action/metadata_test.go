package action

import (
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/docstest"
	"github.com/org/ghcr-publish/internal/service"
	"go.yaml.in/yaml/v3"
)

// A metadata is the part of action.yml that the program decides.
// https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax
type metadata struct {
	Inputs  map[string]input
	Outputs map[string]output
	Runs    struct{ Using, Image, Entrypoint string }
}

type input struct {
	Description string
	Required    bool
	Default     string
}

type output struct{ Description string }

// TestMetadata keeps action.yml equal to what the program knows.
func TestMetadata(t *testing.T) {
	t.Parallel()
	const file = "../../action.yml"
	want := docstest.Keep(t, *update, file, map[string]string{"inputs": inputsYAML(t), "outputs": outputsYAML(t)})
	var read metadata
	if err := yaml.Unmarshal([]byte(want), &read); err != nil {
		t.Fatal(err)
	}
	if len(read.Inputs) != len(service.Table()) || len(read.Outputs) != len(Outputs) {
		t.Errorf("%d inputs and %d outputs, want %d and %d", len(read.Inputs), len(read.Outputs), len(service.Table()), len(Outputs))
	}
	for _, s := range service.Table() {
		if got := read.Inputs[s.Name].Default; s.Name != "token" && got != "" {
			t.Errorf("input %s has the default %q; a default here would come before the configuration file", s.Name, got)
		}
	}
	if n := strings.Count(want, "${{"); n != 1 {
		t.Errorf("there are %d expressions; in descriptions the runner refuses them", n)
	}
	if got := read.Inputs["token"].Default; got != "${{ github.token }}" {
		t.Errorf("input token has the default %q", got)
	}
}

// inputsYAML writes no defaults: an input that is given comes before the file, and a default counts as given.
func inputsYAML(t *testing.T) string {
	inputs := yaml.Node{Kind: yaml.MappingNode}
	for _, s := range service.Table() {
		fields := []string{"description", describeInput(s)}
		if s.Name == "token" {
			fields = append(fields, "default", "${{ github.token }}")
		}
		appendPair(&inputs, s.Name, mapping(fields...))
	}
	return encode(t, "inputs", &inputs)
}

func describeInput(s service.Setting) string {
	text := s.Help
	if s.Default != "" && !strings.Contains(s.Default, "{{") {
		text += " Default: " + s.Default + "."
	}
	return text
}

func outputsYAML(t *testing.T) string {
	outputs := yaml.Node{Kind: yaml.MappingNode}
	for _, o := range Outputs {
		appendPair(&outputs, o.Name, mapping("description", o.Help))
	}
	return encode(t, "outputs", &outputs)
}

func mapping(fields ...string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i < len(fields); i += 2 {
		appendPair(n, fields[i], scalar(fields[i+1]))
	}
	return n
}

func scalar(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

func appendPair(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, scalar(key), value)
}

func encode(t *testing.T, key string, value *yaml.Node) string {
	t.Helper()
	var b strings.Builder
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	root := &yaml.Node{Kind: yaml.MappingNode}
	appendPair(root, key, value)
	if err := encoder.Encode(root); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
