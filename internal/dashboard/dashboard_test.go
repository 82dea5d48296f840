package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/learn"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/sample"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/net/html"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// of has entries, the newest first, as a memory lists them.
func of(tb testing.TB, entries []memory.Entry, err error) Source {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	known := insight.Known{}
	for _, e := range slices.Backward(entries) {
		known[e.Namespace] = append(known[e.Namespace], e)
	}
	return Source{Known: known, Repository: "octo-org/shop", Server: "https://github.com", Program: "ghcr-publish test", Now: now}
}

// built is a service that was built and tried in so many seconds.
func built(name string, seconds float64, digest string, healthy bool) insight.Service {
	return insight.Service{Name: name, Action: "build", Success: healthy, Digest: digest, Seconds: map[string]float64{"build": seconds - 1, "judge": 1, "promote": 0.5}, Sizes: map[string]int64{"linux/amd64": 2e6, "linux/arm64": 1e6},
		Tried: true, Healthy: healthy, Startup: 1.5, Findings: map[string]int{"HIGH": 2}, Account: insight.Account{HitRate: 0.5, Steps: []insight.Step{
			{Name: "[1/2] COPY . .", Line: 2, Seconds: 1, Platform: "linux/amd64"}, {Name: "[2/2] RUN make", Line: 3, Seconds: seconds - 2, Platform: "linux/amd64", Cached: seconds < 10}}}}
}

// runs has one run an hour, each of some services.
func runs(tb testing.TB, repository string, services ...[]insight.Service) []memory.Entry {
	tb.Helper()
	var all []memory.Entry
	for i, of := range services {
		entries, err := insight.Entries(insight.Run{ID: fmt.Sprintf("%d-2", 77+i), Repository: repository, Commit: strings.Repeat("a", 40), Ref: "refs/heads/main", EndedAt: now.Add(time.Duration(i-10) * time.Hour), Services: of})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, entries...)
	}
	return all
}

func ptr(v float64) *float64 { return &v }

func TestFigures(t *testing.T) {
	t.Parallel()
	reused := built("web", 1, "sha256:b", true)
	reused.Action, reused.Seconds, reused.Account = "reuse", map[string]float64{"judge": 2}, insight.Account{}
	first, third := built("web", 20, "sha256:a", true), built("web", 24, "sha256:b", true)
	first.Cache.Tiers = []cache.Gave{{Tier: "actions", Hits: 1, Bytes: 10, Seconds: 1}}
	third.Cache.Tiers = []cache.Gave{{Tier: "registry", Seconds: 4}, {Tier: "actions", Hits: 2, Bytes: 30, Seconds: 3}}
	entries := runs(t, "octo-org/shop", []insight.Service{first, built("api", 5, "sha256:c", true)}, []insight.Service{built("web", 30, "sha256:a", false)},
		[]insight.Service{third}, []insight.Service{reused})
	elsewhere, err := insight.Entries(insight.Run{ID: "5-1", Repository: "octo-org/other", EndedAt: now, Services: []insight.Service{built("web", 100, "sha256:a", false)}})
	all := of(t, append(entries, elsewhere...), err)
	all.All = true
	f := Collect(all)
	type told struct {
		Name, Repository string
		Summary          Summary
	}
	var got []told
	for _, s := range f.Services {
		got = append(got, told{s.Name, s.Repository, s.Summary})
	}
	want := []told{
		{"api", "octo-org/shop", Summary{Builds: 1, Passed: 1, Success: ptr(1), Seconds: ptr(5), HitRate: ptr(0.5), Startup: ptr(1.5), Trials: 1, Work: 5.5}},
		// Of two builds that took time the second had an expectation. The one that failed is not measured by it, and its trial failed by chance.
		{"web", "octo-org/shop", Summary{Builds: 4, Passed: 3, Success: ptr(0.75), Seconds: ptr(22), Expected: ptr(20), Within: ptr(1), HitRate: ptr(0.5), Startup: ptr(1.5), Trials: 4, Failed: 1, Flaky: 1, Work: 77.5}},
		// An image of another repository is not the same, though its digest is.
		{"web", "octo-org/other", Summary{Builds: 1, Success: ptr(0), HitRate: ptr(0.5), Trials: 1, Failed: 1, Work: 100.5}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if f.Overall.Builds != 6 || f.Overall.Passed != 4 || f.Overall.Flaky != 1 {
		t.Errorf("overall %+v", f.Overall)
	}
	web := f.Services[1]
	if web.Next == nil || web.Next.Builds != 2 || web.Sizes["linux/amd64"] != 2e6 || web.Findings["HIGH"] != 2 || !*web.LastPassed {
		t.Errorf("web %+v", web)
	}
	wantSteps := []Step{{Text: "RUN make", Platform: "linux/amd64", Line: 3, Builds: 3, HitRate: 0, Seconds: 22, Cost: 22.667}, {Text: "COPY . .", Platform: "linux/amd64", Line: 2, Builds: 3, Seconds: 1, Cost: 1}}
	if diff := cmp.Diff(wantSteps, web.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Tier{{Name: "actions", Builds: 2, Hits: 1.5, Bytes: 20, Seconds: 2}, {Name: "registry", Builds: 1, Seconds: 4}}, web.Tiers); diff != "" {
		t.Errorf("tiers (-want +got):\n%s", diff)
	}
	conforms(t, schema(t), f)
	wantAnswer := "67% of 6 builds passed since 1 May 2026; in the median one took 20s, where 20s were expected. Most is to be won from web: RUN make in line 3 costs a build 1m38s, and came from the cache in 0% of 1."
	if f.Answer != wantAnswer {
		t.Errorf("the answer is %q, want %q", f.Answer, wantAnswer)
	}
}

// TestTheSameStepTwice has two stages do the same: that costs each build both.
func TestTheSameStepTwice(t *testing.T) {
	t.Parallel()
	steps := func(first, second insight.Step) []insight.Service {
		s := built("web", 20, "sha256:a", true)
		first.Name, first.Line, second.Name, second.Line = "[build 2/3] RUN apk add git", 2, "[test 2/4] RUN apk add git", 7
		s.Account.Steps = []insight.Step{first, second}
		return []insight.Service{s}
	}
	cached, worked := insight.Step{Cached: true}, insight.Step{Seconds: 6}
	f := Collect(of(t, runs(t, "octo-org/shop", steps(worked, worked), steps(cached, worked), steps(cached, cached)), nil))
	if diff := cmp.Diff([]Step{{Text: "RUN apk add git", Line: 2, Builds: 3, HitRate: 0.333, Seconds: 9, Cost: 6}}, f.Services[0].Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestJobsThatShareAService has its platforms in a row each: together they are what the service is.
func TestJobsThatShareAService(t *testing.T) {
	t.Parallel()
	amd, arm := built("web", 20, "sha256:a", true), built("web", 30, "sha256:b", false)
	amd.Part, arm.Part = "linux/amd64", "linux/arm64"
	amd.Sizes, arm.Sizes = map[string]int64{"linux/amd64": 5}, map[string]int64{"linux/arm64": 7}
	f := Collect(of(t, runs(t, "octo-org/shop", []insight.Service{built("web", 1, "sha256:0", true)}, []insight.Service{amd, arm}), nil))
	s := f.Services[0]
	if diff := cmp.Diff(map[string]float64{"linux/amd64": 5, "linux/arm64": 7}, s.Sizes); diff != "" || s.Findings["HIGH"] != 4 || *s.LastPassed || s.Builds != 3 {
		t.Errorf("%+v\n%s", s, diff)
	}
}

// TestJobsThatWereRunAgain has what one job did in the first attempt, and what the other did in the second: together they are what the service is.
func TestJobsThatWereRunAgain(t *testing.T) {
	t.Parallel()
	amd, arm := built("web", 20, "sha256:a", true), built("web", 30, "sha256:b", true)
	amd.Part, arm.Part = "linux/amd64", "linux/arm64"
	amd.Sizes, arm.Sizes = map[string]int64{"linux/amd64": 5}, map[string]int64{"linux/arm64": 7}
	broken, refused := insight.Service{Name: "web", Part: "linux/amd64", Action: "build"}, arm
	refused.Success = false
	whole := built("web", 20, "sha256:c", true)
	for name, c := range map[string]struct {
		runs     []insight.Run
		sizes    map[string]float64
		findings int
		passed   bool
	}{
		"one failed":        {[]insight.Run{{ID: "123-1", Services: []insight.Service{broken, arm}}, {ID: "123-2", Services: []insight.Service{amd}}}, map[string]float64{"linux/amd64": 5, "linux/arm64": 7}, 4, true},
		"all again":         {[]insight.Run{{ID: "123-1", Services: []insight.Service{amd, refused}}, {ID: "123-2", Services: []insight.Service{amd, arm}}}, map[string]float64{"linux/amd64": 5, "linux/arm64": 7}, 4, true},
		"the other did not": {[]insight.Run{{ID: "123-1", Services: []insight.Service{broken, refused}}, {ID: "123-2", Services: []insight.Service{amd}}}, map[string]float64{"linux/amd64": 5, "linux/arm64": 7}, 4, false},
		"the whole image":   {[]insight.Run{{ID: "123-1", Services: []insight.Service{whole}}, {ID: "123-2", Services: []insight.Service{whole}}}, map[string]float64{"linux/amd64": 2e6, "linux/arm64": 1e6}, 2, true},
		"another run":       {[]insight.Run{{ID: "122-1", Services: []insight.Service{arm}}, {ID: "123-1", Services: []insight.Service{amd}}}, map[string]float64{"linux/amd64": 5}, 2, true},
		"a laptop's":        {[]insight.Run{{ID: "local-1", Services: []insight.Service{arm}}, {ID: "local-2", Services: []insight.Service{amd}}}, map[string]float64{"linux/amd64": 5}, 2, true},
	} {
		var entries []memory.Entry
		for i, run := range c.runs {
			run.Repository, run.EndedAt = "octo-org/shop", now.Add(time.Duration(i)*time.Minute)
			written, err := insight.Entries(run)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, written...)
		}
		s := Collect(of(t, entries, nil)).Services[0]
		if diff := cmp.Diff(c.sizes, s.Sizes); diff != "" || s.Findings["HIGH"] != c.findings || *s.LastPassed != c.passed {
			t.Errorf("%s: passed %t with %v (-want +got):\n%s", name, *s.LastPassed, s.Findings, diff)
		}
	}
}

// TestSchedule sums runs up by how long they took, each repository's by themselves for Prometheus.
func TestSchedule(t *testing.T) {
	t.Parallel()
	var entries []memory.Entry
	for i, of := range []struct {
		repository     string
		seconds, least float64
	}{{"octo-org/shop", 10, 5}, {"octo-org/shop", 90, 90}, {"octo-org/other", 10, 1}} {
		written, err := insight.Entries(insight.Run{ID: fmt.Sprintf("%d-1", 5+i), Repository: of.repository, Ref: "refs/heads/main", EndedAt: now.Add(time.Duration(i) * time.Minute), Schedule: &learn.Schedule{Parallel: 2, Seconds: of.seconds, Work: 100, Least: of.least}, Services: []insight.Service{built("web", 9, "sha256:a", true)}})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, written...)
	}
	source := of(t, entries, nil)
	f := Collect(source)
	if want := (Packing{Runs: 2, Seconds: 100, Least: 95, Efficiency: 0.95}); f.Schedule == nil || *f.Schedule != want || f.Runs[0].Efficiency != 0.5 || f.Runs[0].RunURL != "https://github.com/octo-org/shop/actions/runs/5/attempts/1" {
		t.Errorf("%+v of %+v, want %+v", f.Schedule, f.Runs, want)
	}
	if page := string(rendered(t, f)); !strings.Contains(page, `<dt>Schedule</dt><dd class="value">95%</dd><dd class="muted">efficiency, over 2 runs</dd>`) {
		t.Error("the page does not tell of the schedule")
	}
	source.All = true
	all := Collect(source)
	conforms(t, schema(t), all)
	text, _, err := all.Metrics()
	if err != nil || !strings.Contains(string(text), "ghcr_publish_schedule_efficiency_ratio{repository=\"octo-org/shop\"} 0.95\n") || !strings.Contains(string(text), "ghcr_publish_schedule_efficiency_ratio{repository=\"octo-org/other\"} 0.1\n") {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestRescans has what is found later in what is live be told beside what was found when it was built, also of a service of which no build is remembered.
func TestRescans(t *testing.T) {
	t.Parallel()
	entries := runs(t, "octo-org/shop", []insight.Service{built("web", 20, "sha256:a", true)})
	for i, high := range []int{2, 7} {
		found, err := insight.OfLive("octo-org/shop", fmt.Sprintf("9%d-1", i), []insight.Live{{Service: "web", Images: 3, Counts: map[string]int{"HIGH": high, "LOW": 1}, EndedAt: now.Add(time.Duration(i) * time.Hour)}, {Service: "old", Images: 1, Counts: map[string]int{}, EndedAt: now}})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, found...)
	}
	f := Collect(of(t, entries, nil))
	conforms(t, schema(t), f)
	if len(f.Rescans) != 4 || len(f.Services) != 2 {
		t.Fatalf("%+v of %+v", f.Rescans, f.Services)
	}
	old, web := f.Services[0], f.Services[1]
	if web.Live["HIGH"] != 7 || web.Findings["HIGH"] != 2 || !web.RescanAt.Equal(now.Add(time.Hour)) {
		t.Errorf("web %+v", web)
	}
	if old.Builds != 0 || old.LastPassed != nil || old.Live == nil {
		t.Errorf("old %+v", old)
	}
	text, _, err := f.Metrics()
	if err != nil || !strings.Contains(string(text), `ghcr_publish_live_findings{repository="octo-org/shop",service="web",severity="HIGH"} 7`) || strings.Contains(string(text), `ghcr_publish_last_build_passed{repository="octo-org/shop",service="old"}`) {
		t.Errorf("%v\n%s", err, text)
	}
	look(t, rendered(t, f))
}

// TestGone has nothing be live of a service once a rescan found none of its images.
func TestGone(t *testing.T) {
	t.Parallel()
	var entries []memory.Entry
	for i, images := range []int{2, 0} {
		found, err := insight.OfLive("octo-org/shop", fmt.Sprintf("9%d-1", i), []insight.Live{{Service: "old", Images: images, Counts: map[string]int{"CRITICAL": images}, EndedAt: now.Add(time.Duration(i) * time.Hour)}})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, found...)
	}
	f := Collect(of(t, entries, nil))
	conforms(t, schema(t), f)
	text, _, err := f.Metrics()
	if len(f.Rescans) != 2 || len(f.Services) != 0 || err != nil || strings.Contains(string(text), "live_findings") {
		t.Errorf("%+v, %v\n%s", f.Services, err, text)
	}
	look(t, rendered(t, f))
}

// TestUnderway tells what is at work, and until when that is expected where the service is known.
func TestUnderway(t *testing.T) {
	t.Parallel()
	source := of(t, runs(t, "octo-org/shop", []insight.Service{built("web", 20, "sha256:a", true)}), nil)
	source.Underway = []Work{{Name: "promotion", Agent: "finalize", Run: "5-1", Repository: "octo-org/shop", Since: now}, {Name: "web@linux/arm64", Agent: "<b>bob", Run: "5-1", Repository: "octo-org/shop", Since: now.Add(-time.Second)}}
	f := Collect(source)
	conforms(t, schema(t), f)
	web := f.Underway[0]
	if web.Service != "web" || !web.Until.Equal(now.Add(19*time.Second)) || f.Underway[1].Service != "" || !f.Underway[1].Until.IsZero() {
		t.Errorf("%+v", f.Underway)
	}
	page := rendered(t, f)
	look(t, page)
	if want := `<li><strong>web@linux/arm64</strong>: &lt;b&gt;bob in <a href="https://github.com/octo-org/shop/actions/runs/5/attempts/1" rel="noopener noreferrer">a run</a>, since 11:59:59, expected until about 12:00:19</li>`; !strings.Contains(string(page), want) {
		t.Errorf("the page has no %s", want)
	}
}

// TestLate tells what is at work though it was expected to be done, as what was killed may be, and of nothing else.
func TestLate(t *testing.T) {
	t.Parallel()
	const over, note = ", expected until about 11:50:20, which is over</li>", "What was killed cannot say that it is done"
	source := of(t, runs(t, "octo-org/shop", []insight.Service{built("web", 20, "sha256:a", true)}), nil)
	source.Underway = []Work{{Name: "promotion", Agent: "finalize", Run: "5-1", Repository: "octo-org/shop", Since: now.Add(-time.Hour)}, {Name: "web", Agent: "all", Run: "6-1", Repository: "octo-org/shop", Since: now}}
	f := Collect(source)
	if page := string(rendered(t, f)); f.Late(now) != 0 || strings.Contains(page, "which is over") || strings.Contains(page, note) {
		t.Errorf("%d are late of %+v", f.Late(now), f.Underway)
	}
	source.Underway = append(source.Underway, Work{Name: "web", Agent: "all", Run: "4-1", Repository: "octo-org/shop", Since: now.Add(-10 * time.Minute)})
	f = Collect(source)
	page := rendered(t, f)
	look(t, page)
	if text := string(page); f.Late(now) != 1 || strings.Count(text, over) != 1 || strings.Count(text, "which is over") != 1 || !strings.Contains(text, note) {
		t.Errorf("%d are late of %+v", f.Late(now), f.Underway)
	}
}

// TestOnlyAWatchedPageLoadsItselfAgain has no other do so, and its policy be as strict.
func TestOnlyAWatchedPageLoadsItselfAgain(t *testing.T) {
	t.Parallel()
	const refresh = `http-equiv="refresh" content="5"`
	for name, c := range map[string]struct {
		figures Figures
		signs   []string
	}{
		"some builds": {Collect(of(t, runs(t, "octo-org/shop", []insight.Service{built("web", 20, "sha256:a", true)}), nil)), []string{"<noscript><meta " + refresh, `"reload":5`, `id="reload"`}},
		"none":        {Collect(Source{Now: now}), []string{"\n<meta " + refresh}},
	} {
		page, watched := rendered(t, c.figures), rendered(t, c.figures.Watched())
		look(t, watched)
		for _, sign := range c.signs {
			if strings.Contains(string(page), sign) || !strings.Contains(string(watched), sign) {
				t.Errorf("%s: %s is in the page: %t; in the watched one: %t", name, sign, strings.Contains(string(page), sign), strings.Contains(string(watched), sign))
			}
		}
		if strings.Contains(string(page), refresh) {
			t.Errorf("%s: a page that nobody watches loads itself again", name)
		}
	}
}

// TestOtherRepositories has their services shown to nobody who has not asked for them, though what is expected may be learnt from them.
func TestOtherRepositories(t *testing.T) {
	t.Parallel()
	secret := built("secret", 30, "sha256:b", false)
	secret.Reasons, secret.Account.Advice = []string{"secret reason"}, []insight.Advice{{Text: "secret advice", Seconds: 99}}
	entries := append(runs(t, "octo-org/secret", []insight.Service{secret}), runs(t, "octo-org/shop", []insight.Service{built("web", 20, "sha256:a", true)})...)
	source := of(t, entries, nil)
	for _, all := range []bool{false, true} {
		source.All = all
		f := Collect(source)
		data, err := json.Marshal(f)
		text, open, failed := f.Metrics()
		if err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		for name, file := range map[string][]byte{"page": rendered(t, f), "figures": data, "metrics": text, "OpenMetrics": open} {
			if told := strings.Contains(string(file), "secret"); told != all {
				t.Errorf("all %t: the %s tell of another repository: %t", all, name, told)
			}
		}
	}
}

func TestWhatIsNotRememberedIsLeftOut(t *testing.T) {
	t.Parallel()
	entries := runs(t, "octo-org/shop", []insight.Service{built("web", 20, "sha256:a", true)})
	entries = slices.DeleteFunc(entries, func(e memory.Entry) bool { return e.Namespace != "builds" })
	f := Collect(of(t, entries, nil))
	want := Summary{Builds: 1, Passed: 1, Success: ptr(1), Seconds: ptr(20), Work: 20.5}
	if diff := cmp.Diff(want, f.Overall); diff != "" {
		t.Errorf("overall (-want +got):\n%s", diff)
	}
	data, err := json.Marshal(f)
	for _, key := range []string{"cache_hit_rate", "findings", "startup", "expected\":", "\"ref", "slowest"} {
		if err != nil || strings.Contains(string(data), key) {
			t.Errorf("%s is told, and nobody knows it: %s, %v", key, data, err)
		}
	}
	if page := string(rendered(t, f)); strings.Contains(page, "NaN") || strings.Contains(page, "<td>0%</td>") {
		t.Error("the page tells what nobody knows")
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	f := Collect(Source{Now: now})
	if want := "Nothing is remembered of any build yet."; f.Answer != want || !strings.Contains(string(rendered(t, f)), want) {
		t.Errorf("the answer is %q", f.Answer)
	}
	data, err := json.Marshal(f)
	if err != nil || !strings.Contains(string(data), `"services":[]`) || !strings.Contains(string(data), `"builds":[]`) {
		t.Errorf("%s, %v", data, err)
	}
	if _, open, err := f.Metrics(); err != nil || string(open) != "# EOF\n" {
		t.Errorf("%s, %v", open, err)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("a", 40)
	for name, c := range map[string]struct {
		server, repository, run, commit string
		wantRun, wantCommit             string
	}{
		"GitHub":         {"https://github.com", "octo-org/shop", "12-3", sha, "https://github.com/octo-org/shop/actions/runs/12/attempts/3", "https://github.com/octo-org/shop/commit/" + sha},
		"a laptop":       {"https://github.com", "octo-org/shop", "local-1790000000000000000", sha, "", "https://github.com/octo-org/shop/commit/" + sha},
		"no server":      {"", "octo-org/shop", "12-3", sha, "", ""},
		"no repository":  {"https://github.com", "", "12-3", sha, "", ""},
		"another scheme": {"javascript:alert(1)//x", "octo-org/shop", "12-3", sha, "", ""},
		"hostile":        {"https://github.com", `octo-org/"><script>`, `12-3"><script>`, `abc"><script>`, "", ""},
		"ways out":       {"https://github.com", "octo-org/shop/../../evil", "12-3/../../..", sha + "/..", "", ""},
	} {
		p, l := insight.Past{Repository: c.repository, Run: c.run, Commit: c.commit}, links{c.server}
		if run, commit := l.run(p), l.commit(p); run != c.wantRun || commit != c.wantCommit {
			t.Errorf("%s: %q and %q, want %q and %q", name, run, commit, c.wantRun, c.wantCommit)
		}
	}
}

func rendered(tb testing.TB, f Figures) []byte {
	tb.Helper()
	page, err := f.Page()
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

// TestPageIsWhole holds the page to its own policy: nothing is loaded, and what runs is what the policy names.
func TestPageIsWhole(t *testing.T) {
	t.Parallel()
	entries, err := sample.Builds("octo-org/shop", 300, now)
	figures := Collect(of(t, entries, err))
	look(t, rendered(t, figures))
	conforms(t, schema(t), figures)
}

// schema is what figures.json is promised to be like.
func schema(tb testing.TB) *jsonschema.Schema {
	tb.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(file(tb, "schema.json")))
	if err != nil {
		tb.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("figures.json", document); err != nil {
		tb.Fatal(err)
	}
	return compiler.MustCompile("figures.json")
}

func conforms(tb testing.TB, schema *jsonschema.Schema, figures any) {
	tb.Helper()
	if err := validate(tb, schema, figures); err != nil {
		tb.Errorf("the figures do not conform to their schema: %v", err)
	}
}

func validate(tb testing.TB, schema *jsonschema.Schema, figures any) error {
	tb.Helper()
	data, err := json.Marshal(figures)
	if err != nil {
		tb.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		tb.Fatal(err)
	}
	return schema.Validate(value)
}

// TestSchemaIsStrict has the schema refuse what figures never are.
func TestSchemaIsStrict(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for name, wrong := range map[string]func(*Figures){
		"a share above all":    func(f *Figures) { f.Overall.Success = ptr(1.1) },
		"another outcome":      func(f *Figures) { f.Builds[0].Trial = "perhaps" },
		"time that runs back":  func(f *Figures) { f.Builds[0].Seconds = -1 },
		"no services":          func(f *Figures) { f.Services = nil },
		"a version to come":    func(f *Figures) { f.SchemaVersion = 2 },
		"negative findings":    func(f *Figures) { f.Services[0].Findings = map[string]int{"HIGH": -1} },
		"a step of no builds":  func(f *Figures) { f.Services[0].Steps[0].Builds = 0 },
		"a schedule too good":  func(f *Figures) { f.Runs[0].Efficiency = 1.5 },
		"no word on rescans":   func(f *Figures) { f.Rescans = nil },
		"a cache of no builds": func(f *Figures) { f.Services[0].Tiers[0].Builds = 0 },
	} {
		entries, err := sample.Builds("octo-org/shop", 9, now)
		figures := Collect(of(t, entries, err))
		if wrong(&figures); validate(t, s, figures) == nil {
			t.Errorf("the schema takes %s", name)
		}
	}
}

// look reads a page as a browser does, and refuses what it must not have: elements and attributes of somebody else's.
func look(tb testing.TB, page []byte) {
	tb.Helper()
	root, err := html.Parse(strings.NewReader(string(page)))
	if err != nil {
		tb.Fatal(err)
	}
	var policy string
	var texts []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(elements, n.Data) {
			tb.Errorf("the page has an element %s", n.Data)
		}
		for _, a := range n.Attr {
			if !slices.Contains(attributes, a.Key) {
				tb.Errorf("%s has an attribute %s", n.Data, a.Key)
			}
			if a.Key == "href" && !slices.Contains([]string{"#figures", "data:,", "figures.json", "metrics.txt", "openmetrics.txt"}, a.Val) && !strings.HasPrefix(a.Val, "https://github.com/octo-org/shop/actions/runs/") {
				tb.Errorf("%s leads to %s", n.Data, a.Val)
			}
			if a.Key == "content" && strings.HasPrefix(a.Val, "default-src") {
				policy = a.Val
			}
		}
		if n.Data == "style" || n.Data == "script" && len(n.Attr) == 0 {
			texts = append(texts, source(n.FirstChild.Data))
		}
		if n.Data == "script" && len(n.Attr) > 0 && !json.Valid([]byte(n.FirstChild.Data)) {
			tb.Errorf("the data is no JSON: %.200s", n.FirstChild.Data)
		}
	}
	if len(texts) == 1 { // nothing runs where there is nothing to show
		texts = append(texts, source("/*\n"+file(tb, "uplot/LICENSE")+"*/\n"+file(tb, "uplot/uPlot.iife.min.js")), source(file(tb, "page/page.js")))
	}
	want := fmt.Sprintf("default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src %s; script-src %s", texts[0], strings.Join(texts[1:], " "))
	if policy != want {
		tb.Errorf("the policy is %q, want %q", policy, want)
	}
}

func file(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// What our own template has.
var (
	elements   = strings.Fields("html head meta title link style body a header h1 p main form label select option button noscript section h2 dl div dt dd table thead tbody tr th td code span meter h3 ul li strong footer script input")
	attributes = strings.Fields("lang charset http-equiv content name rel href class id for aria-label aria-labelledby role tabindex scope value type min max data-service autocomplete checked rel")
)

// FuzzHostileNames has the memory say anything in the place of names: it stays text.
func FuzzHostileNames(f *testing.F) {
	for _, name := range []string{"</script><img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "'--></style><script>alert(1)</script>", "<!--<script>", "\u2028{{.}}", "javascript:alert(1)", "\xff\x00", "${alert(1)}", "]]>"} {
		f.Add(name)
	}
	promised := schema(f)
	f.Fuzz(func(t *testing.T, name string) {
		s := built(name, 30, name, true)
		s.Reasons, s.Sizes, s.Findings, s.Part = []string{name}, map[string]int64{name: 5}, map[string]int{name: 3, "HIGH": 1}, name
		s.Account.Steps = []insight.Step{{Name: "[1/1] RUN " + name, Line: 1, Seconds: 9, Platform: name}}
		s.Cache.Tiers = []cache.Gave{{Tier: name}}
		s.Account.Advice = []insight.Advice{{Text: name, Seconds: 5}}
		entries, err := insight.Entries(insight.Run{ID: name, Repository: name, Commit: name, Ref: "refs/heads/" + name, EndedAt: now, Services: []insight.Service{s, built("web", 20, "sha256:a", true)}})
		rescanned, failed := insight.OfLive(name, name, []insight.Live{{Service: name, Images: 1, Counts: map[string]int{name: 1}, EndedAt: now}})
		if failed != nil {
			t.Fatal(failed)
		}
		from := of(t, append(entries, rescanned...), err)
		from.Server, from.Program, from.All = name, name, true
		from.Underway = []Work{{Name: name, Agent: name, Run: name, Repository: name, Since: now}}
		figures := Collect(from)
		look(t, rendered(t, figures))
		conforms(t, promised, figures)
		text, open, err := figures.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		read(t, text)
		if !strings.HasSuffix(string(open), "\n# EOF\n") {
			t.Errorf("the metrics end %q", open[max(0, len(open)-40):])
		}
	})
}

// read reads metrics as Prometheus does.
func read(tb testing.TB, text []byte) map[string]*dto.MetricFamily {
	tb.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	return families
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	text, open, err := Collect(of(t, runs(t, "octo-org/shop", []insight.Service{built("web", 20, "sha256:a", true)}, []insight.Service{built("web", 24, "sha256:b", false)}), nil)).Metrics()
	if err != nil {
		t.Fatal(err)
	}
	read(t, text)
	for _, want := range []string{
		`ghcr_publish_builds{outcome="passed",repository="octo-org/shop",service="web"} 1`, `ghcr_publish_success_ratio{repository="octo-org/shop",service="web"} 0.5`,
		`ghcr_publish_build_expected_seconds{repository="octo-org/shop",service="web"} 20`, `ghcr_publish_image_bytes{platform="linux/arm64",repository="octo-org/shop",service="web"} 1e+06`,
		`ghcr_publish_findings{repository="octo-org/shop",service="web",severity="HIGH"} 2`, `ghcr_publish_trials{outcome="failed",repository="octo-org/shop",service="web"} 1`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if !strings.Contains(string(open), `ghcr_publish_success_ratio{repository="octo-org/shop",service="web"} 0.5`) {
		t.Errorf("OpenMetrics are\n%s", open)
	}
}

// TestUPlot holds the library to what npm has as uplot 1.6.32. To bring another: npm pack uplot, and take dist/uPlot.iife.min.js, dist/uPlot.min.css and LICENSE.
func TestUPlot(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"uPlot.min.css":     "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
		"LICENSE":           "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
	} {
		if sum := sha256.Sum256([]byte(file(t, "uplot/"+name))); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s has the digest %x, want %s", name, sum, want)
		}
	}
}

func BenchmarkTenThousandBuilds(b *testing.B) {
	entries, err := sample.Builds("octo-org/shop", 10_000, now)
	from := of(b, entries, err)
	for b.Loop() {
		page := rendered(b, Collect(from))
		b.ReportMetric(float64(len(page)), "bytes")
	}
}
