package insight

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/memory"
)

// remembered are the entries of runs, as the memory lists them: the newest first.
func remembered(t *testing.T, runs ...Run) Known {
	t.Helper()
	known := Known{}
	for i, run := range runs {
		run.EndedAt = ended.Add(time.Duration(i) * time.Hour)
		for _, e := range entries(t, run) {
			known[e.Namespace] = append([]memory.Entry{e}, known[e.Namespace]...)
		}
	}
	return known
}

func run(id string, services ...Service) Run {
	r := whole(services...)
	r.ID = id
	return r
}

func took(seconds float64) Service {
	s := judged("api")
	s.Seconds = map[string]float64{"build": seconds}
	return s
}

func TestBrief(t *testing.T) {
	t.Parallel()
	refused := judged("api")
	refused.Success, refused.Reasons = false, []string{"it runs as root"}
	advised := took(4)
	advised.Account.Advice = []Advice{{Kind: "order", Text: "Move it."}}
	live, err := OfLive("", "7-1", []Live{{Service: "api", Findings: []string{"CVE-1 in zlib (HIGH)"}}})
	if err != nil {
		t.Fatal(err)
	}
	known := remembered(t, run("1-1", refused), run("2-1", advised, judged("web")))
	known["live"] = live
	known["builds"] = append(known["builds"], memory.Entry{Key: "odd", Value: json.RawMessage(`"not ours"`)}, memory.Entry{Key: "odder", Value: json.RawMessage(`{}`)})
	if got, want := known.Services(), []string{"api", "web"}; !slices.Equal(got, want) {
		t.Errorf("services %q, want %q", got, want)
	}
	want := []string{"api: expect about 4s", "api: did not pass on 2024-05-01, at commit abc: it runs as root", "api: Move it.",
		"api: open findings: 2 HIGH", "api: what is live has 1 findings, such as CVE-1 in zlib (HIGH)"}
	got := known.Brief("api")
	if diff := cmp.Diff(want, got.Lines()); diff != "" {
		t.Error(diff)
	}
	if got.Runs != 2 || !got.Last.Success || got.HitRate != 1 || got.Startup != 1.2 {
		t.Errorf("briefing: %+v", got)
	}
	if lines := known.Brief("unknown").Lines(); lines != nil {
		t.Errorf("of a service that nobody knows: %q", lines)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	slow := took(24)
	slow.Account = Account{
		Steps:     []Step{{Name: "[2/4] COPY . .", Seconds: 1}, {Name: "[3/4] RUN npm ci", Seconds: 20}, {Name: "[1/4] FROM x", Seconds: 30, Cached: true}},
		FirstMiss: &Miss{Instruction: "COPY package-lock.json ./", Line: 7, Why: "package-lock.json changed"}}
	failed := took(99)
	failed.Success = false
	known := remembered(t, run("1-1", took(9)), run("2-1", took(10)), run("3-1", took(11)), run("4-1", failed), run("5-1", slow))
	got, ok := known.Slow("api")
	want := "The last build of api took 24s, 2.4 times its usual 10s (3 builds before). First without a cached layer was COPY package-lock.json ./ in line 7: package-lock.json changed. Longest was [3/4] RUN npm ci, with 20s."
	if !ok || got.Text != want {
		t.Errorf("got %v, %q\nwant %q", ok, got.Text, want)
	}
	if len(got.Steps) != 2 {
		t.Errorf("steps %v: what came from the cache took no time", got.Steps)
	}
	if got, _ := remembered(t, run("1-1", took(9))).Slow("api"); got.Text != "The last build of api took 9s." || got.Usual != 0 {
		t.Errorf("of the first build: %+v", got)
	}
	reused := judged("api")
	reused.Action = "reuse"
	if got, ok := remembered(t, run("1-1", reused)).Slow("api"); ok {
		t.Errorf("of what was never built: %+v", got)
	}
}
