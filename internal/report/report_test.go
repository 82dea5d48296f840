package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/plan"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/sign"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sha is a digest of one repeated digit.
func sha(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

func ref(service, digit string) name.Digest {
	d, err := name.NewDigest("ghcr.io/octo/" + service + "@" + sha(digit))
	if err != nil {
		panic(err)
	}
	return d
}

func planned(name string, action plan.Action) plan.Service {
	return plan.Service{Name: name, Image: "ghcr.io/octo/" + name, Action: action, Reason: "changed since 1234567: " + name + "/main.go", Version: "main",
		Platforms: []string{"linux/amd64", "linux/arm64"}, TagSet: tags.Set{Tags: []tags.Tag{{Name: "main", Kind: tags.Branch}, {Name: "sha-1234567"}}}}
}

// layers tells of a build that read the layers of other runs and kept its own.
func layers() cache.Use {
	return cache.Use{Policy: cache.Policy{Writes: "gha", Reads: []string{"gha", "registry"}, Mode: "max", Reason: "gha pays: <it> does"},
		Tiers: []cache.Gave{{Tier: "gha", Hits: 1, Bytes: 5e6, Written: 2, Seconds: 1.5}, {Tier: "registry", Seconds: 0.1, Lost: "it could not be read: EOF"}}}
}

// judged is the result of a service that was built, tried out and judged.
func judged(name string, change func(*verdict.Evidence)) publish.Result {
	e := verdict.Evidence{Candidate: ref(name, "a"), Wanted: []string{"linux/amd64", "linux/arm64"}, Platforms: []verdict.Platform{
		{Platform: "linux/amd64", Digest: sha("1"), Compressed: 120e6, User: "app"},
		{Platform: "linux/arm64", Digest: sha("2"), Compressed: 110e6, User: "app", Findings: []verdict.Finding{
			{Platform: "linux/arm64", ID: "CVE-2", Severity: "HIGH", Package: "zlib", Installed: "1"}, {Platform: "linux/arm64", ID: "CVE-3", Severity: "LOW", Package: "zlib", Installed: "1"}}},
	}, Probe: verdict.Probe{Platform: "linux/amd64", Route: "container address", Healthy: true, Started: 1234567 * time.Microsecond,
		PeakMemory: 64 << 20, CPU: 250 * time.Millisecond, Unpacked: 300e6}, Built: 12.34567}
	if change != nil {
		change(&e)
	}
	return publish.Result{Plan: planned(name, plan.Build), Evidence: e, Verdict: verdict.Judge(e, service.DefaultGates()),
		Candidate: publish.Candidate{Image: registry.Image{Ref: e.Candidate}, Cache: layers(), Account: insight.Account{HitRate: 0.5, ContextBytes: 100,
			PulledBytes: map[string]int64{"linux/amd64": 7}, Dependencies: 2, DependencyHitRate: 0.33333, FirstMiss: &insight.Miss{Instruction: "RUN make", Line: 2, Why: "changed"},
			Advice: []insight.Advice{{Kind: "order", Line: 2, Text: "Move RUN make before COPY . .", Seconds: 2.34567}},
			Steps:  []insight.Step{{Name: "[linux/amd64 1/2] RUN make", Seconds: 2.34567, Line: 2}, {Name: "[linux/arm64 1/2] RUN make", Cached: true}}}},
		Seconds: map[string]float64{"build": 12.34567, "judge": 3}}
}

func published(name string) publish.Result {
	r := judged(name, nil)
	r.Moves = []tags.Move{{Tag: "sha-1234567", To: sha("a")}, {Tag: "main", From: sha("b"), To: sha("a")}}
	return r
}

func refused(name string) publish.Result {
	return judged(name, func(e *verdict.Evidence) {
		e.Platforms[0].Findings = []verdict.Finding{{Platform: "linux/amd64", ID: "CVE-1", Severity: "CRITICAL", Package: "openssl", Installed: "3.0.1", Fixed: "3.0.8"}}
		e.Probe = verdict.Probe{Platform: "linux/amd64", Failure: name + " ended with exit code 1 before it was healthy", Log: []string{"starting", "no <database> & no hope"}}
	})
}

func failed(name string) publish.Result {
	return publish.Result{Plan: planned(name, plan.Build), Err: errors.New("building with buildx: exit code 1"), Seconds: map[string]float64{"build": 1}}
}

func skipped(name string) publish.Result {
	p := planned(name, plan.Skip)
	p.Reason, p.Digest = "unchanged since 1234567, and every tag is in place", sha("c")
	return publish.Result{Plan: p, Seconds: map[string]float64{}}
}

// compared is a service that is published already, and was published often.
func compared(name string) publish.Result {
	r := judged(name, func(e *verdict.Evidence) {
		e.Platforms[0].Published, e.Platforms[1].Published = 100e6, 110e6
		e.Before = &verdict.Probe{Platform: "linux/amd64", Healthy: true, Started: 2 * time.Second, PeakMemory: 65 << 20}
		e.Usual = verdict.History{verdict.Startup: {Median: 1.9, Spread: 0.1, Runs: 12}, verdict.BuildTime: {Median: 11, Spread: 2, Runs: 9}, verdict.Findings: {Runs: 12}}
	})
	r.Moves = []tags.Move{{Tag: "main", From: sha("b"), To: sha("a")}}
	r.Signed = sign.Record{Identity: "https://github.com/octo/cards/.github/workflows/publish.yml@refs/heads/<a>", Issuer: "https://token.example", Verify: []string{"cosign verify --certificate-identity '<a>' x", "gh attestation verify x"}}
	return r
}

func held(name, why string) publish.Result {
	r := judged(name, nil)
	r.Held = why
	return r
}

// stayed is a service of which something newer is published.
func stayed(name string) publish.Result {
	r := judged(name, nil)
	r.Moves = []tags.Move{{Tag: "main", From: sha("b"), To: sha("a"), Kept: "the newer commit 1234567 is published there"}}
	return r
}

// brokenOff is a service whose promotion failed after its first tag.
func brokenOff(name string) publish.Result {
	r := published(name)
	r.Moves, r.Err = r.Moves[:1], errors.New("tagging: registry down")
	return r
}

func filled(pushes bool, results ...publish.Result) Report {
	r := Report{Severities: []string{"CRITICAL", "HIGH"}, Program: "ghcr-publish 1.0.0", Commit: strings.Repeat("1", 40), Ref: "refs/heads/main", Event: "push", RunURL: "https://github.com/octo/mono/actions/runs/42",
		StartedAt: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), Seconds: 61.25,
		MemoryStats: memory.Stats{TotalEntries: 12, Namespaces: 4, SizeKB: 3.5, SuccessRate: "75%"}}
	r.Fill(results, pushes)
	return r
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	one := func(r ...publish.Result) []publish.Result { return r }
	cases := []struct {
		name    string
		results []publish.Result
		dry     bool
		outcome string
		code    int
	}{
		{"published", one(published("api")), false, "published", 0},
		{"published beside one that is in place", one(skipped("web"), published("api")), false, "published", 0},
		{"nothing to do", one(skipped("api"), skipped("web")), false, "nothing-to-do", 0},
		{"nothing to do where nothing is pushed", one(skipped("api")), true, "nothing-to-do", 0},
		{"no services", nil, false, "nothing-to-do", 0},
		{"kept", one(stayed("api")), false, "kept", 0},
		{"published beside one that stayed", one(stayed("api"), published("web")), false, "published", 0},
		{"approved", one(held("api", "this run pushes nothing")), true, "approved", 0},
		{"refused", one(refused("api")), false, "refused", 3},
		{"refused where nothing is pushed", one(refused("api")), true, "refused", 3},
		{"refused, and others held", one(held("web", "another service was refused"), refused("api")), false, "refused", 3},
		{"refused, and others published", one(published("web"), refused("api")), false, "refused", 3},
		{"failed", one(failed("api")), false, "failed", 1},
		{"failed and refused", one(refused("web"), failed("api")), false, "failed", 1},
		{"refused and failed", one(failed("api"), refused("web")), false, "failed", 1},
		{"failed beside one that is in place", one(skipped("web"), failed("api")), false, "failed", 1},
		{"a promotion that broke off", one(brokenOff("api"), published("web")), false, "failed", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := filled(!c.dry, c.results...)
			if r.Outcome != c.outcome || r.ExitCode != c.code {
				t.Errorf("%s with exit code %d, want %s with %d", r.Outcome, r.ExitCode, c.outcome, c.code)
			}
			if green := strings.HasPrefix(r.Answer(), "✅ "); green != (c.code == ExitDone) {
				t.Errorf("exit code %d is told as %q", r.ExitCode, r.Answer())
			}
			checkSchema(t, r)
		})
	}
}

// checkSchema writes a report as JSON and holds it against the schema that is published with it.
func checkSchema(t *testing.T, r Report) {
	t.Helper()
	conforms(t, Schema, r)
}

func conforms(t *testing.T, schema []byte, r any) {
	t.Helper()
	data, err := JSON(r)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled(t, schema).Validate(value); err != nil {
		t.Errorf("the report does not conform to its schema: %v", err)
	}
}

func compiled(t *testing.T, schema []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("report.json", document); err != nil {
		t.Fatal(err)
	}
	return compiler.MustCompile("report.json")
}

func TestSchemaIsStrict(t *testing.T) {
	t.Parallel()
	checkStrict(t, Schema, filled(true, published("api")), "services", "outcome", "extra", "exit_code")
}

// checkStrict demands that a report does not conform to its schema where one of some keys is wrong.
func checkStrict(t *testing.T, schema []byte, r any, keys ...string) {
	t.Helper()
	for _, key := range keys {
		data, _ := JSON(r)
		var value map[string]any
		if err := json.Unmarshal(data, &value); err != nil {
			t.Fatal(err)
		}
		value[key] = "wrong"
		if compiled(t, schema).Validate(value) == nil {
			t.Errorf("a report whose %s is wrong conforms", key)
		}
	}
}

func TestServiceOfAReport(t *testing.T) {
	t.Parallel()
	used := layers()
	want := Service{
		Name: "api", Image: "ghcr.io/octo/api", Action: "build", Reason: "changed since 1234567: api/main.go", Version: "main", Digest: sha("a"),
		Platforms: []Platform{
			{Platform: "linux/amd64", Digest: sha("1"), CompressedBytes: 120e6, Scanned: true, Findings: []verdict.Finding{},
				Counts: map[string]int{"CRITICAL": 0, "HIGH": 0, "MEDIUM": 0, "LOW": 0, "UNKNOWN": 0}},
			{Platform: "linux/arm64", Digest: sha("2"), CompressedBytes: 110e6, Scanned: true, Counts: map[string]int{"CRITICAL": 0, "HIGH": 1, "MEDIUM": 0, "LOW": 1, "UNKNOWN": 0},
				Findings: []verdict.Finding{{Platform: "linux/arm64", ID: "CVE-2", Severity: "HIGH", Package: "zlib", Installed: "1"}, {Platform: "linux/arm64", ID: "CVE-3", Severity: "LOW", Package: "zlib", Installed: "1"}}},
		},
		Verdict: Verdict{"approved", []string{}, []string{}, nil}, Moved: []Moved{{"sha-1234567", "", sha("a"), ""}, {"main", sha("b"), sha("a"), ""}}, Kept: []Kept{},
		Healthy: true, StartupSeconds: 1.235, PeakMemoryBytes: 64 << 20, CPUSeconds: 0.25, UnpackedBytes: 300e6, Route: "container address",
		Seconds: map[string]float64{"build": 12.346, "judge": 3}, CacheHitRate: 0.5, Cache: &used,
		Compared: []Figure{{Name: "startup", Unit: "seconds", Now: 1.235}, {Name: "peak memory", Unit: "bytes", Now: 64 << 20}, {Name: "size linux/amd64", Unit: "bytes", Now: 120e6},
			{Name: "size linux/arm64", Unit: "bytes", Now: 110e6}, {Name: "findings", Unit: "count", Now: 2}, {Name: "build", Unit: "seconds", Now: 12.346}},
		Steps:        []insight.Step{{Name: "[linux/amd64 1/2] RUN make", Seconds: 2.346, Line: 2}, {Name: "[linux/arm64 1/2] RUN make", Cached: true}},
		Dependencies: 2, DependencyRate: 0.333, ContextBytes: 100, PulledBytes: map[string]int64{"linux/amd64": 7}, FirstMiss: &insight.Miss{Instruction: "RUN make", Line: 2, Why: "changed"},
		Advice: []insight.Advice{{Kind: "order", Line: 2, Text: "Move RUN make before COPY . .", Seconds: 2.346}},
	}
	if diff := cmp.Diff([]Service{want}, filled(true, published("api")).Services); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
}

func TestWhatBecameOfTags(t *testing.T) {
	t.Parallel()
	newer := published("api")
	newer.Moves[1].Kept = "the newer commit 7654321 is published there"
	taken := published("api")
	taken.Plan.TagSet.Tags[0].Kind, taken.Moves[1].Kept = tags.Version, "it is there"
	inPlace := published("api")
	inPlace.Moves[1].From, inPlace.Moves[1].Kept = inPlace.Moves[1].To, "it is there already"
	const waits = "Nothing by itself: it moves once the others pass. With `promote: per-service` it would not wait for them."
	cases := []struct {
		name    string
		result  publish.Result
		moved   string
		kept    []Kept
		verdict string
	}{
		{"published", published("api"), "sha-1234567 main", []Kept{}, "approved"},
		{"one is newer", newer, "sha-1234567", []Kept{{"main", "the newer commit 7654321 is published there", "Nothing, unless it is to go back: `force-move: true` moves it all the same."}}, "approved"},
		{"skipped", skipped("api"), "", []Kept{{"main", "skipped: unchanged since 1234567, and every tag is in place", ""}, {"sha-1234567", "skipped: unchanged since 1234567, and every tag is in place", ""}}, "none"},
		{"failed", failed("api"), "", []Kept{{"main", "the service failed", ""}, {"sha-1234567", "the service failed", ""}}, "none"},
		{"refused", refused("api"), "", []Kept{{"main", "the image was refused", ""}, {"sha-1234567", "the image was refused", ""}}, "refused"},
		{"held", held("api", "others"), "", []Kept{{"main", "others", ""}, {"sha-1234567", "others", ""}}, "approved"},
		{"a version is taken", taken, "sha-1234567", []Kept{{"main", "it is there", "Publish what is new as a new version."}}, "approved"},
		{"in place", inPlace, "sha-1234567", []Kept{{"main", "it is there already", ""}}, "approved"},
		{"held back", held("api", publish.HeldBack), "", []Kept{{"main", publish.HeldBack, waits}, {"sha-1234567", publish.HeldBack, waits}}, "approved"},
		{"broken off", brokenOff("api"), "sha-1234567", []Kept{{"main", "the service failed", ""}}, "approved"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := filled(true, c.result).Services[0]
			var moved []string
			for _, m := range s.Moved {
				moved = append(moved, m.Tag)
			}
			if diff := cmp.Diff(c.kept, s.Kept); diff != "" || strings.Join(moved, " ") != c.moved || s.Verdict.Outcome != c.verdict {
				t.Errorf("moved %q, verdict %s, kept (-want +got):\n%s", moved, s.Verdict.Outcome, diff)
			}
		})
	}
}

func TestWhatWasNotChecked(t *testing.T) {
	t.Parallel()
	gates := service.DefaultGates()
	gates.Vulnerabilities.OnUnavailable = service.OnUnavailableWarn
	r := judged("api", func(e *verdict.Evidence) { e.Platforms[0].Unscanned = "no database" })
	r.Verdict = verdict.Judge(r.Evidence, gates)
	s := filled(true, r).Services[0]
	if s.Platforms[0].Scanned || !s.Platforms[1].Scanned || !slices.Equal(s.Verdict.Notes, []string{"linux/amd64 could not be scanned: no database"}) || s.Verdict.Outcome != "approved" {
		t.Errorf("platforms %+v, verdict %+v", s.Platforms, s.Verdict)
	}
}

func TestJSONIsReadable(t *testing.T) {
	t.Parallel()
	got, err := JSON(map[string]any{"b": "<&>", "a": []string{}})
	if want := "{\n  \"a\": [],\n  \"b\": \"<&>\"\n}\n"; err != nil || string(got) != want {
		t.Errorf("JSON() = %q, %v; want %q", got, err, want)
	}
	if _, err := JSON(math.NaN()); err == nil {
		t.Error("what JSON cannot hold gives no error")
	}
}
