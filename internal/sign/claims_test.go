package sign

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

var run = Run{Program: "ghcr-publish v1", Repository: "https://github.com/octo/cards", Ref: "refs/heads/main", Commit: "c0ffee", Event: "push",
	Workflow: "octo/cards/.github/workflows/publish.yml@refs/heads/main", Address: "https://github.com/octo/cards/actions/runs/7", Attempt: 2, Runner: "github-hosted",
	Began: time.Unix(0, 0).UTC(), Ended: time.Unix(60, 0).UTC()}

// shown is a predicate as it is written.
func shown(t *testing.T, claim Claim) string {
	t.Helper()
	return string(must(json.MarshalIndent(claim.Predicate, "", " ")))
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	b := Build{Service: "api", Dockerfile: "api/Dockerfile", Context: ".", Platforms: []string{"linux/amd64"}, Inputs: "sha256:1",
		Bases: map[string]string{"b:2": "sha256:22", "a:1": "sha256:11"}}
	const want = `{
 "buildDefinition": {
  "buildType": "https://github.com/org/ghcr-publish/build/v1",
  "externalParameters": {
   "service": "api",
   "dockerfile": "api/Dockerfile",
   "context": ".",
   "platforms": [
    "linux/amd64"
   ],
   "workflow": "octo/cards/.github/workflows/publish.yml@refs/heads/main"
  },
  "internalParameters": {
   "event": "push",
   "inputs": "sha256:1"
  },
  "resolvedDependencies": [
   {
    "uri": "git+https://github.com/octo/cards@refs/heads/main",
    "digest": {
     "gitCommit": "c0ffee"
    }
   },
   {
    "uri": "docker-image://a:1",
    "digest": {
     "sha256": "11"
    }
   },
   {
    "uri": "docker-image://b:2",
    "digest": {
     "sha256": "22"
    }
   }
  ]
 },
 "runDetails": {
  "builder": {
   "id": "https://github.com/actions/runner/github-hosted",
   "version": {
    "ghcr-publish": "ghcr-publish v1"
   }
  },
  "metadata": {
   "invocationId": "https://github.com/octo/cards/actions/runs/7/attempts/2",
   "startedOn": "1970-01-01T00:00:00Z",
   "finishedOn": "1970-01-01T00:01:00Z"
  }
 }
}`
	if diff := cmp.Diff(want, shown(t, Provenance(b, run))); diff != "" {
		t.Errorf("provenance (-want +got):\n%s", diff)
	}
	mixed, local := run, Run{Program: "ghcr-publish v1"}
	mixed.Runner = ""
	for want, r := range map[string]Run{"https://github.com/actions/runner": mixed, "https://github.com/org/ghcr-publish": local} {
		if got := Provenance(b, r).Predicate.(provenance).Details; got.Builder.ID != want || (got.Metadata.Invocation == "") != (r.Address == "") {
			t.Errorf("details %+v, want builder %s", got, want)
		}
	}
}

func evidence() verdict.Evidence {
	return verdict.Evidence{Wanted: []string{"linux/amd64", "linux/arm64"}, Platforms: []verdict.Platform{
		{Platform: "linux/amd64", Digest: "sha256:1", Compressed: 1000, User: "app", Findings: []verdict.Finding{{Severity: "LOW"}, {Severity: "HIGH"}, {Severity: "LOW"}}},
		{Platform: "linux/arm64", Digest: "sha256:2", Compressed: 900, User: "app", Unscanned: "no database"},
	}, Database: verdict.Database{Updated: time.Unix(0, 0).UTC(), Age: time.Hour}, Probe: verdict.Probe{Platform: "linux/amd64", Healthy: true, Started: 1500 * time.Millisecond, Asked: "sha256:4"}}
}

func TestJudgement(t *testing.T) {
	t.Parallel()
	gates := service.DefaultGates()
	gates.Vulnerabilities.OnUnavailable = service.OnUnavailableWarn
	e := evidence()
	p := Judgement("api", "sha256:3", e, verdict.Judge(e, gates), gates, run).Predicate.(Verdict)
	want := Verdict{Outcome: "approved", Service: "api", Inputs: "sha256:3", Policy: gates, Run: run, Database: e.Database,
		Platforms: []Judged{{"linux/amd64", "sha256:1", 1000, "app", map[string]int{"LOW": 2, "HIGH": 1}, ""}, {"linux/arm64", "sha256:2", 900, "app", map[string]int{}, "no database"}},
		Trial:     Trial{Platform: "linux/amd64", Healthy: true, Seconds: 1.5, Asked: "sha256:4"}, Notes: []string{"linux/arm64 could not be scanned: no database"}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

// TestJudgementCovers reads an earlier claim as it comes out of a bundle.
func TestJudgementCovers(t *testing.T) {
	t.Parallel()
	gates, e := service.DefaultGates(), evidence()
	claim := func(inputs string, g service.Gates, r Run) Claim {
		return Judgement("api", inputs, e, verdict.Verdict{}, g, r)
	}
	var before structpb.Struct
	if err := protojson.Unmarshal(must(json.Marshal(claim("sha256:3", gates, run).Predicate)), &before); err != nil {
		t.Fatal(err)
	}
	was := must(protojson.Marshal(&before))
	other := gates
	other.Size.Max = 7
	harder := e
	harder.Probe.Asked = "sha256:5"
	later := run
	later.Attempt, later.Ended = 3, run.Ended.Add(time.Hour)
	for name, c := range map[string]struct {
		now  Claim
		want bool
	}{
		"a later run":      {claim("sha256:3", gates, later), true},
		"other inputs":     {claim("sha256:4", gates, run), false},
		"another policy":   {claim("sha256:3", other, run), false},
		"another trial":    {Judgement("api", "sha256:3", harder, verdict.Verdict{}, gates, run), false},
		"not even a claim": {Claim{Covers: func([]byte) bool { return claim("", gates, run).Covers([]byte("-")) }}, false},
	} {
		if got := c.now.Covers(was); got != c.want {
			t.Errorf("%s: covered %v, want %v", name, got, c.want)
		}
	}
}
