package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

// A collector takes OTLP, and writes what it got.
type collector struct {
	http, grpc string // its addresses
	file       string
}

func startCollector(t *testing.T) collector {
	t.Helper()
	program, err := parts.Collector(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := collector{http: "127.0.0.1:" + freePort(t), grpc: "127.0.0.1:" + freePort(t), file: filepath.Join(dir, "got.json")}
	config := fmt.Sprintf(`receivers: {otlp: {protocols: {http: {endpoint: %q}, grpc: {endpoint: %q}}}}
exporters: {file: {path: %q, flush_interval: 100ms}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [file]}, metrics: {receivers: [otlp], exporters: [file]}}
`, c.http, c.grpc, c.file)
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "--config", file)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for range 100 {
		if conn, err := net.Dial("tcp", c.http); err == nil {
			conn.Close()
			return c
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the collector did not start: %s", said.String())
	return c
}

// A span is one as a collector tells it.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
type span struct {
	TraceID, SpanID, ParentSpanID, Name string
	StartTimeUnixNano, EndTimeUnixNano  int64  `json:",string"`
	From                                string // service.name of who made it
}

// got are the spans that the collector wrote, and the names of metrics. It is asked until enough is there.
func (c collector) got(t *testing.T, enough func([]span, []string) bool) (spans []span, metrics []string) {
	t.Helper()
	for range 100 {
		if spans, metrics = c.read(t); enough(spans, metrics) {
			return spans, metrics
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the collector has %d spans and metrics %q", len(spans), metrics)
	return nil, nil
}

func (c collector) read(t *testing.T) (spans []span, metrics []string) {
	t.Helper()
	data, err := os.ReadFile(c.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for lines.Scan() {
		var message struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []attribute }
				ScopeSpans []struct{ Spans []span }
			}
			ResourceMetrics []struct {
				ScopeMetrics []struct{ Metrics []struct{ Name string } }
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &message); err != nil {
			return spans, metrics // it is just being written
		}
		for _, resource := range message.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, s := range scope.Spans {
					s.From = named(resource.Resource.Attributes, "service.name")
					spans = append(spans, s)
				}
			}
		}
		for _, resource := range message.ResourceMetrics {
			for _, scope := range resource.ScopeMetrics {
				for _, m := range scope.Metrics {
					metrics = append(metrics, m.Name)
				}
			}
		}
	}
	return spans, metrics
}

type attribute struct {
	Key   string
	Value struct{ StringValue string }
}

func named(all []attribute, key string) string {
	for _, a := range all {
		if a.Key == key {
			return a.Value.StringValue
		}
	}
	return ""
}

// TestTelemetry has a real collector told of a run: each step is one span in the trace of the run, with what BuildKit did inside of what asked for it.
func TestTelemetry(t *testing.T) {
	w := newWorld(t)
	c := startCollector(t)
	w.env = append(w.env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+c.http, "OTEL_EXPORTER_OTLP_HEADERS=api-key=a-key-of-a-collector")
	o := w.mustPublish(report.ExitDone)
	if strings.Contains(o.log, "OpenTelemetry") {
		t.Errorf("the run complained:\n%s", o.log)
	}
	spans, _ := c.got(t, func(all []span, _ []string) bool {
		return slices.ContainsFunc(all, func(s span) bool { return s.Name == "ghcr-publish all" })
	})
	checkTrace(t, spans)
	byName := map[string]int{}
	for _, s := range spans {
		byName[s.Name]++
	}
	for _, step := range []string{"plan", "start builder", "remember", "ghcr-publish all"} {
		if byName[step] != 1 {
			t.Errorf("there are %d spans %s", byName[step], step)
		}
	}
	for _, service := range []string{"backend", "frontend", "auth"} {
		for step, n := range map[string]int{"build": 1, "judge": 1, "scan": 2, "try out": 1, "promote": 1} {
			if name := step + " " + service; byName[name] != n {
				t.Errorf("there are %d spans %s, want %d", byName[name], name, n)
			}
		}
	}
	data, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	if w.leaks(data) {
		t.Error("the token was sent")
	}

	// By gRPC too, and the figures of what was learnt.
	w.env = append(w.env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+c.grpc, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	w.mode = "report"
	if o := w.run(sample.Job{}); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	c.got(t, func(all []span, metrics []string) bool {
		return slices.ContainsFunc(all, func(s span) bool { return s.Name == "ghcr-publish report" }) && slices.Contains(metrics, "ghcr_publish_build_median_seconds")
	})
}

// checkTrace demands that spans are one whole: of one trace, each once, and each a part of another but for the first.
func checkTrace(t *testing.T, spans []span) {
	t.Helper()
	known := map[string]span{}
	for _, s := range spans {
		if _, twice := known[s.SpanID]; twice {
			t.Errorf("%s was sent twice", s.Name)
		}
		known[s.SpanID] = s
	}
	var buildkit int
	for _, s := range spans {
		parent, found := known[s.ParentSpanID]
		if s.Name == "ghcr-publish all" {
			if s.ParentSpanID != "" {
				t.Errorf("%s is a part of %s", s.Name, s.ParentSpanID)
			}
			continue
		}
		if !found {
			t.Errorf("%s of %s is a part of nothing", s.Name, s.From)
			continue
		}
		if s.TraceID != parent.TraceID {
			t.Errorf("%s is of another trace than %s", s.Name, parent.Name)
		}
		if s.From == "buildkitd" {
			buildkit++
		}
	}
	if buildkit == 0 {
		t.Error("there is nothing of BuildKit")
	}
}
