package migrate

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The workflows that are written are those of .github/examples.
var (
	//go:embed publish.yml
	oneJob string
	//go:embed matrix.yml
	threeJobs string
)

const (
	defaultBranches = "branches: [main]\n"
	defaultTags     = "tags: [\"v*\"]\n"
	schema          = "# yaml-language-server: $schema=https://raw.githubusercontent.com/org/ghcr-publish/v1/internal/service/schema.json\n"
	// most services that one job does one after the other without making people wait.
	most = 4
)

// Workflow is the text of a workflow that publishes the services in place of those that were read.
func (r Reading) Workflow() string {
	text := oneJob
	if len(r.Services)+len(r.Found)+r.unlisted > most {
		text = threeJobs
	}
	if len(r.GitTags) > 0 {
		text = strings.Replace(text, defaultTags, "tags: "+flow(r.GitTags)+"\n", 1)
	}
	if r.TagsOnly {
		text = strings.Replace(text, "    "+defaultBranches, "", 1)
	} else if len(r.Branches) > 0 && !slices.Equal(r.Branches, []string{"main"}) {
		text = strings.Replace(text, defaultBranches, "branches: "+flow(r.Branches)+"\n", 1)
	}
	return builder.ReplaceAllStringFunc(text, r.withSecrets)
}

// builder finds the step that builds, which alone of several jobs' has the secrets of builds.
var builder = regexp.MustCompile(`uses: org/ghcr-publish@v1\n {8}with:\n {10}(services|mode: publish)`)

func (r Reading) withSecrets(step string) string {
	if len(r.Secrets) == 0 {
		return step
	}
	uses, with, _ := strings.Cut(step, "\n")
	var b strings.Builder
	b.WriteString(uses + "\n        env: # secrets that builds read\n")
	for _, name := range slices.Sorted(maps.Keys(r.Secrets)) {
		fmt.Fprintf(&b, "          %s: %s\n", name, scalar(r.Secrets[name]))
	}
	return b.String() + with
}

// flow is a list in one line of YAML.
func flow(items []string) string {
	text, err := yaml.Marshal(&yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: scalars(items)})
	if err != nil {
		return "[]" // which no list of texts gives
	}
	return strings.TrimSpace(string(text))
}

// scalar is a text in one line of YAML.
func scalar(value string) string {
	n := &yaml.Node{}
	if n.SetString(value); strings.Contains(value, "\n") {
		n.Style = yaml.DoubleQuotedStyle
	}
	escape(n)
	text, err := yaml.Marshal(n)
	if err != nil {
		return `""` // which no text gives
	}
	return strings.TrimSpace(string(text))
}

func scalars(items []string) (all []*yaml.Node) {
	for _, item := range items {
		n := &yaml.Node{}
		n.SetString(item)
		escape(n)
		all = append(all, n)
	}
	return all
}

// Config is the text of the configuration. Services that are found without one are left to be found.
func (r Reading) Config() (string, error) {
	var b strings.Builder
	b.WriteString(schema)
	if len(r.Files) > 0 {
		fmt.Fprintf(&b, "# Made of %s by `ghcr-publish init`. `ghcr-publish plan` says what it comes to.\n", strings.Join(r.Files, ", "))
	} else {
		b.WriteString("# Made by `ghcr-publish init`. `ghcr-publish plan` says what it comes to.\n")
	}
	common, services := r.common()
	fmt.Fprintf(&b, "platforms: %s%s\n", flow(common), more(common))
	if len(services) > 0 {
		text, err := encoded(services)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	} else if err := r.found(&b, common); err != nil {
		return "", err
	}
	if len(r.Tags) > 0 {
		fmt.Fprintf(&b, "tags: |   # in docker/metadata-action's language\n%s", indented(r.Tags))
	}
	if len(r.Flavor) > 0 {
		fmt.Fprintf(&b, "flavor: |\n%s", indented(r.Flavor))
	}
	b.WriteString(mapping("labels", r.Labels) + mapping("annotations", r.Annotations))
	rule := r.rule
	if rule.failOn == "" {
		rule = usual
	}
	fmt.Fprintf(&b, gates, rule)
	return b.String(), nil
}

// mapping is a key with its texts by name; empty without any.
func mapping(key string, texts map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(&b, "  %s: %s\n", scalar(name), scalar(texts[name]))
	}
	if b.Len() == 0 {
		return ""
	}
	return key + ":\n" + b.String()
}

// found says which services each run finds, as a list that can be had instead.
func (r Reading) found(b *strings.Builder, common []string) error {
	if len(r.Found) == 0 {
		b.WriteString("# services: are found in the repository; `ghcr-publish plan` lists them, and where.\n")
		return nil
	}
	text, err := encoded(without(r.Found, common))
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "# The services are those of %s, which each run reads anew, so none needs to be listed here. These they were when this was written. To say\n", r.FoundIn)
	b.WriteString("# more of one, such as `smoke` or `paths`, take the list out of its comment: from then on it stands for that file, and lacks what variables give.\n")
	for line := range strings.Lines(text) {
		b.WriteString("# " + line)
	}
	return nil
}

// more says how to build for another platform, where there is only one.
func more(platforms []string) string {
	if slices.Equal(platforms, []string{"linux/amd64"}) {
		return " # add linux/arm64 to build for that, too"
	}
	return ""
}

const gates = `gates: # an image that fails one gets no tag
  vulnerabilities: %s
  # startup: {within: 30s}      # until the port, health_endpoint or HEALTHCHECK says that it is well
  # size: {max: 1GB, growth: 10%%}
  # user: non-root
`

// encoded is a list of services as the configuration has it.
func encoded(services []Service) (string, error) {
	var b bytes.Buffer
	var n yaml.Node
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := n.Encode(map[string][]Service{"services": services})
	if err == nil {
		escape(&n)
		choices(n.Content[1], services)
		err = e.Encode(&n)
	}
	if err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return b.String(), nil
}

// choices names in comments the ports that there are to choose from.
func choices(list *yaml.Node, services []Service) {
	for n, s := range services {
		if len(s.Choice) == 0 {
			continue
		}
		ports := make([]string, len(s.Choice))
		for i, port := range s.Choice {
			ports[i] = strconv.Itoa(port)
		}
		last, keys := len(ports)-1, list.Content[n].Content
		keys[len(keys)-2].FootComment = fmt.Sprintf("# port: %s  # the Dockerfile exposes %s and %s: say which one answers", ports[0], strings.Join(ports[:last], ", "), ports[last])
	}
}

// escape has line breaks that are not written as \n be escaped, as they would end a comment.
func escape(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && strings.ContainsAny(n.Value, "\r\u0085\u2028\u2029") {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, below := range n.Content {
		escape(below)
	}
}

func indented(lines []string) string {
	return "  " + strings.Join(lines, "\n  ") + "\n"
}

// common are the platforms that all services have, which stand once then, and the services without them.
func (r Reading) common() ([]string, []Service) {
	usual := []string{"linux/amd64", "linux/arm64"}
	for _, s := range r.Services {
		if len(s.Platforms) > 0 {
			usual = s.Platforms
			break
		}
	}
	return usual, without(r.Services, usual)
}

// without leaves out platforms that stand for all services.
func without(services []Service, common []string) []Service {
	services = slices.Clone(services)
	for n := range services {
		if slices.Equal(services[n].Platforms, common) {
			services[n].Platforms = nil
		}
	}
	return services
}
