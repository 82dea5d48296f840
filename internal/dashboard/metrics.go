package dashboard

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Metrics writes the figures of each service for Prometheus: as its text, and as OpenMetrics. All are gauges: what is forgotten counts no more.
// https://prometheus.io/docs/instrumenting/exposition_formats/
func (f Figures) Metrics() (text, open []byte, err error) {
	families, err := f.Gather()
	if err != nil {
		return nil, nil, fmt.Errorf("collecting metrics: %w", err)
	}
	written := map[expfmt.FormatType][]byte{}
	for _, kind := range []expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeOpenMetrics} {
		var out bytes.Buffer
		encoder := expfmt.NewEncoder(&out, expfmt.NewFormat(kind))
		for _, family := range families {
			if err := encoder.Encode(family); err != nil {
				return nil, nil, fmt.Errorf("writing metrics: %w", err)
			}
		}
		if closer, ok := encoder.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				return nil, nil, fmt.Errorf("writing metrics: %w", err)
			}
		}
		written[kind] = out.Bytes()
	}
	return written[expfmt.TypeTextPlain], written[expfmt.TypeOpenMetrics], nil
}

// Gather has the metrics of each service in Prometheus's form, which is that of prometheus.Gatherer.
func (f Figures) Gather() ([]*dto.MetricFamily, error) {
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector{f}); err != nil {
		return nil, err
	}
	return registry.Gather()
}

// A collector has figures for Prometheus.
type collector struct{ Figures }

// Describe describes nothing: which metrics there are depends on what is remembered.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends what is known of each service.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for _, s := range c.Services {
		reading{to, s}.send()
	}
	for _, p := range packings(c.Runs) {
		gauge(to, "schedule_efficiency_ratio", "Least time that the work of the runs takes in any order, over the time that they took; 1 is as well packed as can be.", p.Efficiency, []string{"repository"}, []string{p.Repository})
	}
}

// A reading is a service whose metrics are sent.
type reading struct {
	to chan<- prometheus.Metric
	Service
}

func (s reading) send() {
	s.gauge("builds", "Builds that are remembered, by outcome.", float64(s.Passed), "outcome", "passed")
	s.gauge("builds", "Builds that are remembered, by outcome.", float64(s.Builds-s.Passed), "outcome", "refused_or_failed")
	s.maybe("success_ratio", "Share of the builds that passed.", s.Success)
	s.maybe("build_median_seconds", "Median time of building and judging.", s.Seconds)
	s.maybe("build_within_expectation_ratio", "Share of the builds that took as long as was expected; 0.8 is what an expectation promises.", s.Within)
	if s.Next != nil {
		s.gauge("build_expected_seconds", "How long the next build is expected to take.", s.Next.Seconds)
		s.gauge("build_expected_low_seconds", "Eight of ten builds are to take at least as long.", s.Next.Low)
		s.gauge("build_expected_high_seconds", "Eight of ten builds are to take at most as long.", s.Next.High)
	}
	if s.LastPassed != nil {
		s.gauge("last_build_timestamp_seconds", "When the last build ended.", float64(s.LastAt.Unix()))
		s.gauge("last_build_passed", "1 where the last build passed.", float64(bit(*s.LastPassed)))
	}
	s.gauge("work_seconds", "Time that all builds took in all their parts.", s.Work)
	s.maybe("cache_hit_ratio", "Mean share of a build's instructions that came from the cache.", s.HitRate)
	s.maybe("startup_median_seconds", "Median time until the image was healthy.", s.Startup)
	s.gauge("trials", "Times that an image was started, by outcome.", float64(s.Trials-s.Failed), "outcome", "healthy")
	s.gauge("trials", "Times that an image was started, by outcome.", float64(s.Failed-s.Flaky), "outcome", "failed")
	s.gauge("trials", "Times that an image was started, by outcome.", float64(s.Flaky), "outcome", "flaky")
	if s.PeakMemory > 0 {
		s.gauge("peak_memory_bytes", "Most memory that the last image took when it was tried.", s.PeakMemory)
	}
	for _, platform := range slices.Sorted(maps.Keys(s.Sizes)) {
		s.gauge("image_bytes", "Compressed size of the last image.", s.Sizes[platform], "platform", platform)
	}
	for _, severity := range severities(s.Findings) {
		s.gauge("findings", "Findings in the last image, by the scan when it was made.", float64(s.Findings[severity]), "severity", severity)
	}
	for _, severity := range severities(s.Live) {
		s.gauge("live_findings", "Findings in all live images, by the last rescan.", float64(s.Live[severity]), "severity", severity)
	}
	if !s.RescanAt.IsZero() {
		s.gauge("last_rescan_timestamp_seconds", "When the live images were last scanned again.", float64(s.RescanAt.Unix()))
	}
}

func (s reading) maybe(name, help string, value *float64) {
	if value != nil {
		s.gauge(name, help, *value)
	}
}

// gauge sends a value with the service's labels and one more, which is a name and a value, or none.
func (s reading) gauge(name, help string, value float64, label ...string) {
	names, values := []string{"repository", "service"}, []string{s.Repository, s.Name}
	if len(label) == 2 {
		names, values = append(names, label[0]), append(values, label[1])
	}
	gauge(s.to, name, help, value, names, values)
}

func gauge(to chan<- prometheus.Metric, name, help string, value float64, labels, values []string) {
	metric, err := prometheus.NewConstMetric(prometheus.NewDesc("ghcr_publish_"+name, help, labels, nil), prometheus.GaugeValue, value, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
	to <- metric
}
