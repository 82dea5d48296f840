package telemetry

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// SendFigures sends what is gathered to a collector once, if one is asked for metrics, and reports whether it is. They are told to come from the
// program alone, and not from a run, as each run would begin new series.
func SendFigures(ctx context.Context, getenv func(string) string, version string, from prometheus.Gatherer) (sent bool, err error) {
	way, err := wanted(getenv, "METRICS")
	if way.protocol == "" || err != nil {
		return false, err
	}
	quieten()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	to, err := way.dialFigures(ctx)
	if err != nil {
		return false, fmt.Errorf("sending metrics: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("ghcr-publish"), semconv.ServiceVersion(version)), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return false, attributesError(err)
	}
	reader := sdk.NewManualReader(sdk.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(from))))
	provider := sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithResource(about))
	var all metricdata.ResourceMetrics
	if err = reader.Collect(ctx, &all); err == nil {
		err = to.Export(ctx, &all)
	}
	if err = errors.Join(err, to.Shutdown(ctx), provider.Shutdown(ctx)); err != nil {
		return false, fmt.Errorf("sending metrics: %w", err)
	}
	return true, nil
}

func (w way) dialFigures(ctx context.Context) (sdk.Exporter, error) {
	switch {
	case w.protocol == "grpc" && w.local != "":
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(w.local))
	case w.protocol == "grpc":
		return otlpmetricgrpc.New(ctx)
	case w.local != "":
		return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(w.local))
	default:
		return otlpmetrichttp.New(ctx)
	}
}
