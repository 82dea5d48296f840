package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/docker/buildx/util/otelutil"
	"github.com/docker/buildx/util/otelutil/jaeger"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Keep has Close send what BuildKit has recorded of a build, as `buildx history trace` writes it. A span that several builds recorded is sent once.
func (s *Sender) Keep(recorded []byte) error {
	stubs, err := readJaeger(recorded)
	if err != nil {
		return fmt.Errorf("reading BuildKit's trace: %w", err)
	}
	mine := slices.DeleteFunc(stubs, func(stub tracetest.SpanStub) bool {
		return stub.SpanContext.TraceID() != s.root.SpanContext().TraceID()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, mine...)
	return nil
}

// sendKept sends what was kept, as far as the collector takes it.
func (s *Sender) sendKept(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for some := range slices.Chunk(s.kept, 512) {
		if err := s.exporter.ExportSpans(ctx, tracetest.SpanStubs(some).Snapshots()); err != nil {
			return err
		}
	}
	return nil
}

// readJaeger reads spans in the form that Jaeger's page takes.
func readJaeger(data []byte) ([]tracetest.SpanStub, error) {
	var all otelutil.JaegerData
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		return nil, err
	}
	var stubs []tracetest.SpanStub
	for _, t := range all.Data {
		for _, span := range t.Spans {
			stub, err := readSpan(span)
			if err != nil {
				return nil, fmt.Errorf("span %s: %w", span.OperationName, err)
			}
			process := t.Processes[span.ProcessID]
			stub.Resource = resource.NewSchemaless(append(readTags(process.Tags), semconv.ServiceName(process.ServiceName))...)
			stubs = append(stubs, stub)
		}
	}
	return stubs, nil
}

func readSpan(span jaeger.Span) (stub tracetest.SpanStub, err error) {
	if stub.SpanContext, err = readContext(span.TraceID, span.SpanID); err != nil {
		return stub, err
	}
	for _, r := range span.References {
		if r.RefType != jaeger.ChildOf {
			continue
		}
		// One without a parent names zeros, which is no context.
		stub.Parent, _ = readContext(r.TraceID, r.SpanID)
	}
	stub.Name, stub.StartTime = span.OperationName, moment(span.StartTime)
	stub.EndTime = stub.StartTime.Add(time.Duration(min(span.Duration, math.MaxInt64/1000)) * time.Microsecond)
	stub.SpanKind = trace.SpanKindInternal
	for _, a := range readTags(span.Tags) {
		switch a.Key {
		case "otel.status_description":
			stub.Status.Description = a.Value.AsString()
		case "error":
			stub.Status.Code = codes.Error
		case "span.kind":
			stub.SpanKind = kinds[a.Value.AsString()]
		case "otel.status_code", "otel.library.name", "otel.library.version":
		default:
			stub.Attributes = append(stub.Attributes, a)
		}
	}
	for _, l := range span.Logs {
		event := sdk.Event{Time: moment(l.Timestamp)}
		for _, a := range readTags(l.Fields) {
			if a.Key == "event" {
				event.Name = a.Value.AsString()
			} else {
				event.Attributes = append(event.Attributes, a)
			}
		}
		stub.Events = append(stub.Events, event)
	}
	return stub, nil
}

var kinds = map[string]trace.SpanKind{"client": trace.SpanKindClient, "server": trace.SpanKindServer, "producer": trace.SpanKindProducer, "consumer": trace.SpanKindConsumer}

func readContext(of jaeger.TraceID, span jaeger.SpanID) (trace.SpanContext, error) {
	id, err := trace.TraceIDFromHex(string(of))
	if err != nil {
		return trace.SpanContext{}, err
	}
	own, err := trace.SpanIDFromHex(string(span))
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: own, TraceFlags: trace.FlagsSampled}), err
}

// moment is so many microseconds after the beginning of 1970.
func moment(micros uint64) time.Time { return time.UnixMicro(int64(min(micros, math.MaxInt64))) }

func readTags(tags []jaeger.KeyValue) []attribute.KeyValue {
	var all []attribute.KeyValue
	for _, t := range tags {
		switch value := t.Value.(type) {
		case string:
			all = append(all, attribute.String(t.Key, value))
		case bool:
			all = append(all, attribute.Bool(t.Key, value))
		case json.Number:
			if n, err := value.Int64(); err == nil && t.Type == jaeger.Int64Type {
				all = append(all, attribute.Int64(t.Key, n))
			} else if f, err := value.Float64(); err == nil {
				all = append(all, attribute.Float64(t.Key, f))
			}
		}
	}
	return all
}
