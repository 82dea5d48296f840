package telemetry

import (
	"context"
	"regexp"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// An exporter sends each span once, without secrets, and keeps why it could not.
type exporter struct {
	sdk.SpanExporter
	redact func(string) string

	mu   sync.Mutex
	sent map[trace.SpanID]bool
	err  error // the first
}

// ExportSpans sends spans that were not sent before.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	// What a collector has refused once, or not answered to, is not tried again: it would be waited for each time.
	if err := e.failed(); err != nil {
		return err
	}
	var fresh []sdk.ReadOnlySpan
	for _, span := range spans {
		if e.isNew(span.SpanContext().SpanID()) {
			fresh = append(fresh, e.clean(span))
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := e.SpanExporter.ExportSpans(ctx, fresh)
	if err != nil {
		e.fail(err)
	}
	return err
}

func (e *exporter) isNew(id trace.SpanID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.sent[id]
	e.sent[id] = true
	return !known
}

func (e *exporter) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
}

func (e *exporter) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// clean is a span without secrets.
func (e *exporter) clean(span sdk.ReadOnlySpan) sdk.ReadOnlySpan {
	stub := tracetest.SpanStubFromReadOnlySpan(span)
	stub.Name, stub.Status.Description = e.text(stub.Name), e.text(stub.Status.Description)
	stub.Attributes = e.attributes(stub.Attributes)
	stub.Events = slices.Clone(stub.Events)
	for i := range stub.Events {
		stub.Events[i].Name, stub.Events[i].Attributes = e.text(stub.Events[i].Name), e.attributes(stub.Events[i].Attributes)
	}
	stub.Resource = resource.NewSchemaless(e.attributes(stub.Resource.Attributes())...)
	return stub.Snapshot()
}

func (e *exporter) attributes(all []attribute.KeyValue) []attribute.KeyValue {
	all = slices.Clone(all)
	for i, a := range all {
		switch a.Value.Type() {
		case attribute.STRING:
			all[i] = a.Key.String(e.text(a.Value.AsString()))
		case attribute.STRINGSLICE:
			texts := a.Value.AsStringSlice()
			for n := range texts {
				texts[n] = e.text(texts[n])
			}
			all[i] = a.Key.StringSlice(texts)
		}
	}
	return all
}

// private is where the URLs of registries and caches carry what opens them: before the host, and as the signature in the query.
var private = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)(?:[^\s/"?]*@)?([^\s?"]*)(\?[^\s"]*)?`)

func (e *exporter) text(s string) string { return private.ReplaceAllString(e.redact(s), "$1$2") }
