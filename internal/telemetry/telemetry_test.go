package telemetry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/buildx/util/otelutil"
	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/run"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A receiver takes what is sent by OTLP over HTTP, to who knows the key.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	got   []*otlp.ResourceSpans
	plain string
}

const key = "a-key-for-the-collector"

func receive(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var message collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &message)
		}
		if err != nil || request.URL.Path != "/v1/traces" || request.Header.Get("api-key") != key {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got, r.plain = append(r.got, message.ResourceSpans...), r.plain+string(body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

// spans are all by name, and each is there once.
func (r *receiver) spans(t *testing.T) map[string]*otlp.Span {
	t.Helper()
	all := map[string]*otlp.Span{}
	for _, resource := range r.got {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				if all[span.Name] != nil {
					t.Errorf("%s was sent twice", span.Name)
				}
				all[span.Name] = span
			}
		}
	}
	return all
}

// set sets variables, which the libraries that send read from the process.
func set(t *testing.T, vars map[string]string) func(string) string {
	for name, value := range vars {
		t.Setenv(name, value)
	}
	return func(name string) string { return vars[name] }
}

func redact(text string) string { return strings.ReplaceAll(text, "hunter2", "***") }

var aRun = Run{Version: "1.2.3", Name: "ghcr-publish all", Began: time.Now().Add(-time.Second), Workflow: "publish", Job: "images", ID: "30433642", Attempt: 1,
	URL: "https://github.com/o/r/actions/runs/30433642", Repository: "https://github.com/o/r", Ref: "main", Commit: "abc"}

// TestTrace sends the steps of a run, what its programs did, and what BuildKit recorded, as one trace without secrets.
func TestTrace(t *testing.T) {
	to := receive(t)
	getenv := set(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": to.URL, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=" + key, "OTEL_RESOURCE_ATTRIBUTES": "team=cards"})
	ctx, sender, err := Open(t.Context(), getenv, redact, aRun)
	if err != nil {
		t.Fatal(err)
	}
	inside, end := Start(ctx, "build api", Service("api"))
	parent := ""
	_, err = Programs(func(_ context.Context, c run.Command) ([]byte, error) {
		parent = c.Env[len(c.Env)-1]
		return nil, errors.New("the password hunter2 is wrong")
	})(inside, run.Command{Argv: []string{"/bin/buildx", "build", "--builder", "b"}, Env: []string{"A=b"}})
	end(nil)
	recorded := record(t, parent)
	for range 2 { // as two builds may have one span
		if err := sender.Keep(recorded); err != nil {
			t.Error(err)
		}
	}
	if err := sender.Close(ctx, err); err != nil {
		t.Error(err)
	}

	spans := to.spans(t)
	root, build, program, solve := spans["ghcr-publish all"], spans["build api"], spans["buildx build"], spans["RUN curl https://cache.example/blob"]
	if root == nil || build == nil || program == nil || solve == nil {
		t.Fatalf("received %v", spans)
	}
	// printf 304336421t | sha256sum
	if got := hex.EncodeToString(root.TraceId); got != "33e6ff79db4104e978934caaa71135dc" {
		t.Errorf("the trace is %s", got)
	}
	for child, parent := range map[*otlp.Span]*otlp.Span{build: root, program: build, solve: program} {
		if string(child.ParentSpanId) != string(parent.SpanId) || string(child.TraceId) != string(root.TraceId) {
			t.Errorf("%s is no part of %s", child.Name, parent.Name)
		}
	}
	if len(root.ParentSpanId) != 0 || len(spans) != 4 {
		t.Errorf("received %v", spans)
	}
	if got := program.Status.Message; got != "the password *** is wrong" || program.Status.Code != otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("the program ended with %v", program.Status)
	}
	if solve.Kind != otlp.Span_SPAN_KIND_CLIENT || solve.Status.Code != otlp.Status_STATUS_CODE_ERROR || len(solve.Events) != 1 || len(solve.Attributes) != 3 {
		t.Errorf("of what BuildKit recorded %v was sent", solve)
	}
	for _, secret := range []string{"hunter2", "sig=", "user:"} {
		if strings.Contains(to.plain, secret) {
			t.Errorf("%q was sent", secret)
		}
	}
	about := map[string]string{}
	for _, a := range to.got[len(to.got)-1].Resource.Attributes { // what is BuildKit's came first
		about[a.Key] = a.Value.GetStringValue()
	}
	for name, want := range map[string]string{"service.name": "ghcr-publish", "cicd.pipeline.run.id": "30433642", "vcs.ref.head.name": "main", "team": "cards"} {
		if about[name] != want {
			t.Errorf("%s is %q, want %q", name, about[name], want)
		}
	}
}

// record is what BuildKit keeps of a build that was asked for by a step, and of another trace.
func record(t *testing.T, traceparent string) []byte {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(traceparent, "TRACEPARENT="), "-")
	if len(parts) != 4 {
		t.Fatalf("the program was told %q", traceparent)
	}
	id, err := trace.TraceIDFromHex(parts[1])
	parent, err2 := trace.SpanIDFromHex(parts[2])
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	of := func(trace1 trace.TraceID, span trace.SpanID) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace1, SpanID: span, TraceFlags: trace.FlagsSampled})
	}
	var all otelutil.Spans
	for _, stub := range []otelutil.Span{
		{Name: "RUN curl https://user:x@cache.example/blob?sig=abc", SpanContext: of(id, trace.SpanID{7}), Parent: of(id, parent), StartTime: time.Now(), EndTime: time.Now(),
			Attributes: []attribute.KeyValue{attribute.String("url", "https://cache.example/blob?sig=abc"), attribute.StringSlice("args", []string{"hunter2"}), attribute.Int("n", 1)},
			Events:     []sdk.Event{{Name: "hunter2", Time: time.Now()}}, Status: sdk.Status{Code: codes.Error, Description: "hunter2"}, SpanKind: trace.SpanKindClient,
			Resource: []attribute.KeyValue{attribute.String("service.name", "buildkitd")}},
		{Name: "another", SpanContext: of(trace.TraceID{1}, trace.SpanID{8})},
	} {
		all = append(all, stub)
	}
	data, err := json.Marshal(all.JaegerData())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestParent makes a run a part of what called it.
func TestParent(t *testing.T) {
	to := receive(t)
	getenv := set(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": to.URL, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=" + key,
		"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	ctx, sender, err := Open(t.Context(), getenv, redact, aRun)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Close(ctx, nil); err != nil {
		t.Error(err)
	}
	root := to.spans(t)["ghcr-publish all"]
	if got := hex.EncodeToString(root.TraceId) + " " + hex.EncodeToString(root.ParentSpanId); got != "0af7651916cd43dd8448eb211c80319c b7ad6b7169203331" {
		t.Errorf("the root is in %s", got)
	}
}

// TestUnwanted sends nothing, and asks of nobody else to do anything.
func TestUnwanted(t *testing.T) {
	for _, vars := range []map[string]string{
		{},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"},
	} {
		ctx, sender, err := Open(t.Context(), func(name string) string { return vars[name] }, redact, aRun)
		if sender != nil || err != nil {
			t.Errorf("%v: %v, %v", vars, sender, err)
		}
		_, _ = Programs(func(_ context.Context, c run.Command) ([]byte, error) {
			if len(c.Env) > 0 {
				t.Errorf("%v: the program was told %v", vars, c.Env)
			}
			return nil, nil
		})(ctx, run.Command{Argv: []string{"git", "log"}})
		if err := sender.Close(ctx, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestOnThisMachine has a collector be looked for where OpenTelemetry has it by default, unless a variable says where.
func TestOnThisMachine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signal string
		vars   map[string]string
		want   way
	}{
		{"TRACES", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, way{"http/protobuf", "http://localhost:4318/v1/traces"}},
		{"METRICS", map[string]string{"OTEL_METRICS_EXPORTER": "otlp"}, way{"http/protobuf", "http://localhost:4318/v1/metrics"}},
		{"TRACES", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, way{"grpc", "http://localhost:4317"}},
		{"TRACES", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c"}, way{"http/protobuf", ""}},
		{"METRICS", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, way{}},
	} {
		got, err := wanted(func(name string) string { return c.vars[name] }, c.signal)
		if got != c.want || err != nil {
			t.Errorf("%s by %v: %+v, %v; want %+v", c.signal, c.vars, got, err, c.want)
		}
	}
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		gone := way{protocol, "http://127.0.0.1:9"}
		traces, err := gone.dial(t.Context())
		figures, failure := gone.dialFigures(t.Context())
		if traces == nil || figures == nil || err != nil || failure != nil {
			t.Errorf("%s: %v, %v", protocol, err, failure)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a,hunter2") // which the library reads
	for _, vars := range []map[string]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"},
		{"OTEL_TRACES_EXPORTER": "console"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "zipkin"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS": "tenant=a,hunter2"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_RESOURCE_ATTRIBUTES": "team=a,hunter2"},
	} {
		if _, sender, err := Open(t.Context(), func(name string) string { return vars[name] }, redact, aRun); sender != nil || !errors.Is(err, ErrSetting) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v, %v", vars, sender, err)
		}
	}
}

// TestLost tells why a collector did not get what was sent, and waits for none for long: less where the run was cancelled.
func TestLost(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.CloseClientConnections)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		at    string
		want  string
		limit time.Duration
	}{
		"refused":   {t.Context(), receive(t).URL, "401", time.Second},
		"gone":      {t.Context(), gone.URL, "refused", time.Second},
		"silent":    {t.Context(), silent.URL, "deadline exceeded", patience + time.Second/2},
		"cancelled": {cancelled, silent.URL, "deadline exceeded", haste + time.Second/2},
	} {
		getenv := set(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.at})
		ctx, sender, err := Open(t.Context(), getenv, redact, aRun)
		if err != nil {
			t.Fatal(err)
		}
		_, end := Start(ctx, "build api")
		end(nil)
		sc := sender.root.SpanContext()
		if err := sender.Keep(record(t, "TRACEPARENT=00-"+sc.TraceID().String()+"-"+sc.SpanID().String()+"-01")); err != nil {
			t.Error(err)
		}
		begun := time.Now()
		if err := sender.Close(c.ctx, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Close() = %v, want %s", name, err, c.want)
		}
		if took := time.Since(begun); took > c.limit {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

// TestPrivate takes out of URLs what opens what they name.
func TestPrivate(t *testing.T) {
	t.Parallel()
	e := &exporter{redact: redact}
	for text, want := range map[string]string{
		"GET https://user:p@ss@host/a?sig=b":          "GET https://host/a",
		"HTTPS://u:pw@host/":                          "HTTPS://host/",
		"postgres://u:pw@db:5432/x and oci://u:p@r/y": "postgres://db:5432/x and oci://r/y",
		"https://host/a@sha256:abc":                   "https://host/a@sha256:abc",
		"[1/2] FROM busybox@sha256:abc":               "[1/2] FROM busybox@sha256:abc",
	} {
		if got := e.text(text); got != want {
			t.Errorf("text(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20dXNlcg==, tenant=a, proxy=Basic cA==",
		"OTEL_EXPORTER_OTLP_LOGS_HEADERS": "api-key=of-the-logs"}
	got := Secrets(func(name string) string { return vars[name] })
	if diff := cmp.Diff([]string{"Basic%20dXNlcg==", "Basic dXNlcg==", "dXNlcg==", "Basic cA==", "cA==", "of-the-logs"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTitle(t *testing.T) {
	t.Parallel()
	for argv, want := range map[string]string{
		"/usr/bin/git -c a.b=c log main":  "git log",
		"buildx history rm --builder b x": "buildx history rm",
		"docker buildx build --push .":    "docker buildx build",
		"trivy --quiet image x":           "trivy image",
		"cosign verify ghcr.io/o/r":       "cosign verify",
		"docker compose up api":           "docker compose up",
	} {
		if got := title(strings.Fields(argv)); got != want {
			t.Errorf("title(%s) = %s, want %s", argv, got, want)
		}
	}
}
