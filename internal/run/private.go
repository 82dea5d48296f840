package run

import (
	"slices"
	"strings"
)

// CollectorHeaders are the variables by which OpenTelemetry's exporters are told what a collector wants to see, keys too.
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
func CollectorHeaders() []string {
	return []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS"}
}

// jobToken is the one private variable that a build may have if it names it.
const jobToken = "GITHUB_TOKEN"

// private are, beside the inputs and a collector's headers, the variables that no child needs: tokens of which each child gets its own, by its private
// configuration, if any.
var private = []string{jobToken, "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "DOCKER_CONFIG", "BUILDX_CONFIG"}

// Private reports whether a variable stays with this program: no child inherits it.
func Private(name string) bool {
	return strings.HasPrefix(name, "INPUT_") || slices.Contains(private, name) || slices.Contains(CollectorHeaders(), name)
}

// Reserved reports whether a build may not have a variable even if it names it.
func Reserved(name string) bool { return name != jobToken && Private(name) }

// Inherited is what children have of an environment.
func Inherited(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return Private(name)
	})
}
