package compose

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"
)

// ExampleHead begins every .env.example that was written here.
const ExampleHead = "# Copied to .env, this says what the Compose file leaves open. Written by ghcr-publish."

// secretsVariable says where the machine has its secrets.
const (
	secretsVariable = "SECRETS_DIR"
	usualSecrets    = "./secrets"
)

// finish proves a file, and writes what lies beside it.
func finish(ctx context.Context, text []byte, secrets []string) (File, error) {
	if err := check(ctx, text); err != nil {
		return File{}, fmt.Errorf("checking the Compose file: %w", err)
	}
	var model map[string]any
	if err := yaml.Unmarshal(text, &model); err != nil {
		return File{}, fmt.Errorf("checking the Compose file: %w", err)
	}
	return File{Compose: text, Example: example(model, secrets)}, nil
}

// example lists the profiles and the variables of a file, with what they are where nobody says.
func example(model map[string]any, secrets []string) []byte {
	var b bytes.Buffer
	variables := template.ExtractVariables(model, template.DefaultPattern)
	fmt.Fprintln(&b, ExampleHead)
	if profiles := profilesOf(model); len(profiles) > 0 {
		fmt.Fprintf(&b, "\n# What runs beside that which always does, of %s.\n", strings.Join(profiles, ", "))
		chosen := profiles[0]
		if slices.Contains(profiles, "production") {
			chosen = "production"
		}
		if chosen == "development" {
			chosen = ""
		}
		fmt.Fprintf(&b, "COMPOSE_PROFILES=%s\n", chosen)
	}
	if len(secrets) > 0 {
		fmt.Fprintf(&b, "\n# Folder with a file for each secret, which the container's user can read: %s.\n%s=%s\n", strings.Join(secrets, ", "), secretsVariable, usualSecrets)
		delete(variables, secretsVariable)
	}
	if len(variables) > 0 {
		fmt.Fprintf(&b, "\n# What the file is filled in with.\n")
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		v := variables[name]
		if v.Required {
			fmt.Fprintln(&b, "# must be set:")
		}
		fmt.Fprintf(&b, "%s=%s\n", name, v.DefaultValue)
	}
	return b.Bytes()
}

// profilesOf lists the profiles that services of a file belong to.
func profilesOf(model map[string]any) []string {
	var all []string
	services, _ := model["services"].(map[string]any)
	for _, s := range services {
		definition, _ := s.(map[string]any)
		profiles, _ := definition["profiles"].([]any)
		for _, p := range profiles {
			all = append(all, fmt.Sprint(p))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
