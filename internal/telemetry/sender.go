package telemetry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/org/ghcr-publish/internal/run"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// A Run is what a trace says of where its steps come from. What is not known is empty.
type Run struct {
	Version    string // of this program
	Name       string // of the root step
	Began      time.Time
	Workflow   string // its name
	Job        string
	ID         string // of the workflow's run
	Attempt    int
	URL        string // of the workflow's run
	Repository string // its URL
	Ref        string
	Commit     string
}

// A Sender sends the steps of one process to a collector.
type Sender struct {
	provider *sdk.TracerProvider
	exporter *exporter
	root     trace.Span

	mu   sync.Mutex
	kept []tracetest.SpanStub // of BuildKit's
}

// Open begins the root step in a context, if a collector is asked for as OpenTelemetry's SDKs are asked, by variables; the libraries that send read
// theirs from the process themselves. Without one the sender is nil, whose methods do nothing. No text goes out that redact has not seen.
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
func Open(ctx context.Context, getenv func(string) string, redact func(string) string, r Run) (context.Context, *Sender, error) {
	to, err := wanted(getenv, "TRACES")
	if to.protocol == "" || err != nil {
		return ctx, nil, err
	}
	s := &Sender{exporter: &exporter{redact: redact, sent: map[trace.SpanID]bool{}}}
	quieten()
	failures.Store(s.exporter)
	if s.exporter.SpanExporter, err = to.dial(ctx); err != nil {
		return ctx, nil, fmt.Errorf("sending traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(r.resource()...), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return ctx, nil, attributesError(err)
	}
	s.provider = sdk.NewTracerProvider(sdk.WithBatcher(s.exporter), sdk.WithResource(about), sdk.WithIDGenerator(identifiers{r.traceID()}))
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": getenv("TRACEPARENT"), "tracestate": getenv("TRACESTATE")})
	ctx, s.root = s.provider.Tracer(scope, trace.WithInstrumentationVersion(r.Version)).Start(ctx, r.Name, trace.WithTimestamp(r.Began), trace.WithAttributes(r.task()...))
	return ctx, s, nil
}

// failures is where the libraries tell of what a collector did not take.
var failures atomic.Pointer[exporter]

// quieten keeps the libraries from writing to standard error what a collector says, and what the variables hold.
var quieten = sync.OnceFunc(func() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if e := failures.Load(); e != nil {
			e.fail(err)
		}
	}))
	otel.SetLogger(logr.Discard())
})

// attributesError is about attributes that could not be read.
func attributesError(err error) error {
	if errors.Is(err, resource.ErrPartialResource) {
		return fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES must be NAME=VALUE, several with commas between them", ErrSetting)
	}
	return fmt.Errorf("reading what telemetry comes from: %w", err)
}

// ErrSetting is wrapped by an error about a variable that does not hold what it should.
var ErrSetting = errors.New("a variable of OpenTelemetry is not as it should be")

// Secrets are the values of the variables that open the collector's door.
func Secrets(getenv func(string) string) []string {
	var values []string
	for _, name := range run.CollectorHeaders() {
		for pair := range strings.SplitSeq(getenv(name), ",") {
			name, value, _ := strings.Cut(pair, "=")
			if tenant.MatchString(name) {
				continue
			}
			plain, _ := url.PathUnescape(value) // empty where it is not escaped as it should be
			_, credentials, _ := strings.Cut(strings.TrimSpace(plain), " ")
			for _, form := range []string{value, plain, credentials} {
				if form = strings.TrimSpace(form); form != "" && !slices.Contains(values, form) {
					values = append(values, form)
				}
			}
		}
	}
	return values
}

// tenant is how headers are called that say whose the data are, and open nothing.
var tenant = regexp.MustCompile(`(?i)org|tenant|dataset|stream|project`)

// A way is how a collector is to be told of a signal.
type way struct {
	protocol string // empty where none is
	local    string // where it is, if nothing says so; empty where the libraries read it from the variables
}

// wanted is how a collector is to be told of a signal, TRACES or METRICS. The libraries would look for one on this machine by TLS, and OpenTelemetry without.
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options
func wanted(getenv func(string) string, signal string) (way, error) {
	at := cmp.Or(getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	by := getenv("OTEL_" + signal + "_EXPORTER")
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || by == "none" || by == "" && at == "" {
		return way{}, nil
	}
	if by != "" && by != "otlp" {
		return way{}, fmt.Errorf("%w: OTEL_%s_EXPORTER is %q; use otlp or none", ErrSetting, signal, by)
	}
	protocol, err := protocolOf(getenv, signal, at)
	if err != nil || at != "" {
		return way{protocol: protocol}, err
	}
	if protocol == "grpc" {
		return way{protocol, "http://localhost:4317"}, nil
	}
	return way{protocol, "http://localhost:4318/v1/" + strings.ToLower(signal)}, nil
}

// protocolOf is by which protocol a signal goes to a collector, if the variables are as they should be.
func protocolOf(getenv func(string) string, signal, at string) (protocol string, err error) {
	if parsed, err := url.Parse(at); at != "" && (err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https") {
		return "", fmt.Errorf("%w: OTEL_EXPORTER_OTLP_ENDPOINT must be a URL like http://collector:4318", ErrSetting)
	}
	for pair := range strings.SplitSeq(cmp.Or(getenv("OTEL_EXPORTER_OTLP_"+signal+"_HEADERS"), getenv("OTEL_EXPORTER_OTLP_HEADERS")), ",") {
		if strings.TrimSpace(pair) != "" && !strings.Contains(pair, "=") {
			return "", fmt.Errorf("%w: OTEL_EXPORTER_OTLP_HEADERS must be NAME=VALUE, several with commas between them", ErrSetting)
		}
	}
	switch protocol = cmp.Or(getenv("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); protocol {
	case "grpc", "http/protobuf":
		return protocol, nil
	}
	return "", fmt.Errorf("%w: OTEL_EXPORTER_OTLP_PROTOCOL is %q; use http/protobuf or grpc", ErrSetting, protocol)
}

func (w way) dial(ctx context.Context) (sdk.SpanExporter, error) {
	switch {
	case w.protocol == "grpc" && w.local != "":
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(w.local))
	case w.protocol == "grpc":
		return otlptracegrpc.New(ctx)
	case w.local != "":
		return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(w.local))
	default:
		return otlptracehttp.New(ctx)
	}
}

// resource is what all steps come from.
// https://opentelemetry.io/docs/specs/semconv/resource/cicd/
func (r Run) resource() []attribute.KeyValue {
	return known(semconv.ServiceName("ghcr-publish"), semconv.ServiceVersion(r.Version), semconv.CICDPipelineName(r.Workflow), semconv.CICDPipelineRunID(r.ID),
		semconv.CICDPipelineRunURLFull(r.URL), semconv.VCSRepositoryURLFull(r.Repository), semconv.VCSRefHeadName(r.Ref), semconv.VCSRefHeadRevision(r.Commit))
}

// task is what the root step is.
// https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/
func (r Run) task() []attribute.KeyValue { return known(semconv.CICDPipelineTaskName(r.Job)) }

func known(all ...attribute.KeyValue) []attribute.KeyValue {
	return slices.DeleteFunc(all, func(a attribute.KeyValue) bool { return a.Value.AsString() == "" })
}

// traceID is the same for all jobs of an attempt of a workflow's run, formed as the Collector's receiver for GitHub forms it, so that its spans are of
// the same trace; a random one elsewhere.
// https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/receiver/githubreceiver
func (r Run) traceID() (id trace.TraceID) {
	seed := fmt.Sprintf("%s%dt", r.ID, r.Attempt)
	if r.ID == "" {
		seed = fmt.Sprint(rand.Uint64(), rand.Uint64())
	}
	sum := sha256.Sum256([]byte(seed))
	copy(id[:], sum[:])
	return id
}

// identifiers are of one trace.
type identifiers struct{ trace trace.TraceID }

// NewIDs are for a root step.
func (i identifiers) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	return i.trace, i.NewSpanID(ctx, i.trace)
}

// NewSpanID is for any other step.
func (i identifiers) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		for n := range id {
			id[n] = byte(rand.Uint32())
		}
	}
	return id
}

// patience is how long a run that is done waits for a collector, and haste how long one that was cancelled: its runner kills it ten seconds after it asks it to end.
const patience, haste = 5 * time.Second, time.Second

// Close ends the root step with how the run ended, and waits for a while until all is sent. Its error is why some of it was not.
func (s *Sender) Close(ctx context.Context, failure error) error {
	if s == nil {
		return nil
	}
	end(s.root, failure)
	limit := patience
	if ctx.Err() != nil {
		limit = haste
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := errors.Join(s.sendKept(ctx), s.provider.Shutdown(ctx))
	return cmp.Or(s.exporter.failed(), err)
}
