package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/org/ghcr-publish/internal/run"
)

// collectorVersion is of all that the collector is made of; its stable parts count otherwise.
const collectorVersion, collectorStable = "v0.161.0", "v1.67.0"

// ocb makes collectors of the parts that a manifest names.
func ocb() tool {
	return tool{name: "ocb", module: "go.opentelemetry.io/collector/cmd/builder", version: collectorVersion, main: ".", took: "about 15 seconds the first time"}
}

// Collector puts an OpenTelemetry collector into Bin, and returns its path. It takes OTLP, and writes files.
func (l *Lab) Collector(ctx context.Context) (string, error) {
	s, t := l.setup, tool{name: "otelcol", version: collectorVersion, took: "about 2 minutes the first time"}
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	program := filepath.Join(s.bin(), t.name)
	if s.available(ctx, t) {
		return program, nil
	}
	if err := s.provide(ctx, []tool{ocb()}); err != nil {
		return "", err
	}
	if err := s.makeCollector(ctx, t); err != nil {
		return "", fmt.Errorf("making an OpenTelemetry collector: %w", err)
	}
	return program, nil
}

func (s *setup) makeCollector(ctx context.Context, t tool) error {
	dir, remove, err := s.scratch()
	if err != nil {
		return err
	}
	defer remove()
	s.say("building %s %s from its modules (%s)", t.name, t.version, t.took)
	manifest := fmt.Sprintf(`dist: {name: %s, version: %q, output_path: %q}
receivers: [{gomod: go.opentelemetry.io/collector/receiver/otlpreceiver %[2]s}]
exporters: [{gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter %[2]s}]
providers: [{gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider %[4]s}, {gomod: go.opentelemetry.io/collector/confmap/provider/envprovider %[4]s}]
`, t.name, t.version, dir, collectorStable)
	file := filepath.Join(dir, "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o644); err != nil {
		return err
	}
	env := append(goEnv(os.Environ(), true), "CGO_ENABLED=0")
	if _, err := run.OS(ctx, run.Command{Argv: []string{filepath.Join(s.bin(), ocb().name), "--config", file}, Dir: dir, Env: env}); err != nil {
		return err
	}
	return s.place(t, filepath.Join(dir, t.name))
}
