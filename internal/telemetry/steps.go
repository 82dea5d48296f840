// Package telemetry tells an OpenTelemetry collector what a run did and when: a span for each step, for each program that it started,
// and for what BuildKit did meanwhile. Where no collector is asked for, all of it does nothing.
package telemetry

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/org/ghcr-publish"

// Start begins a step as a part of the one that a context is in. What it returns ends it, with what went wrong.
func Start(ctx context.Context, name string, about ...attribute.KeyValue) (context.Context, func(error)) {
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer(scope).Start(ctx, name, trace.WithAttributes(about...))
	return ctx, func(err error) { end(span, err) }
}

func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// Service says which service a step is about.
func Service(name string) attribute.KeyValue { return attribute.String("ghcr_publish.service", name) }

// Platform says which platform a step is about.
func Platform(name string) attribute.KeyValue { return attribute.String("ghcr_publish.platform", name) }

// Programs makes a step of each program that is started in one, and tells the program which step that is.
// https://opentelemetry.io/docs/specs/otel/context/env-carriers/
func Programs(f run.Func) run.Func {
	return func(ctx context.Context, c run.Command) (out []byte, err error) {
		if !trace.SpanContextFromContext(ctx).IsValid() || len(c.Argv) == 0 {
			return f(ctx, c)
		}
		ctx, end := Start(ctx, title(c.Argv))
		defer func() { end(err) }()
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		c.Env = slices.Clone(c.Env)
		for _, name := range carrier.Keys() {
			c.Env = append(c.Env, strings.ToUpper(name)+"="+carrier.Get(name))
		}
		return f(ctx, c)
	}
}

// title names a program and what it was told to do, without what may be private or is another each time: "buildx history rm", "git log".
func title(argv []string) string {
	program := filepath.Base(argv[0])
	words, most := []string{program}, 2
	if program == "docker" || program == "buildx" {
		most = 3 // its commands have commands
	}
	for _, word := range argv[1:] {
		switch isCommand := strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") == "" && !strings.HasPrefix(word, "-"); {
		case isCommand:
			words = append(words, word)
		case len(words) > 1: // what a command is given
			return strings.Join(words, " ")
		}
		if len(words) == most {
			break
		}
	}
	return strings.Join(words, " ")
}
