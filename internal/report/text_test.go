package report

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/publish"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

var update = flag.Bool("update", false, "rewrite testdata")

func TestSummary(t *testing.T) {
	t.Parallel()
	cases := map[string]Report{
		"published":     filled(true, published("api"), skipped("web")),
		"compared":      filled(true, compared("api")),
		"refused":       drawn(filled(true, held("web", publish.HeldBack), refused("api"))),
		"failed":        filled(true, failed("api"), brokenOff("web")),
		"nothing-to-do": filled(true, skipped("api")),
		"approved":      filled(false, held("api", "this run pushes nothing")),
	}
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "refused" {
				r.Notices = []string{"Findings were not uploaded: code scanning is not available to this run"}
			}
			golden := filepath.Join("testdata", name+".md")
			if *update {
				if err := os.WriteFile(golden, []byte(r.Summary()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), r.Summary()); diff != "" {
				t.Errorf("summary (-want +got; rewrite with -update):\n%s", diff)
			}
		})
	}
}

// unscanned is a report without a scan of any image's first platform.
func unscanned(r Report) Report {
	for _, s := range r.Services {
		if len(s.Platforms) > 0 {
			s.Platforms[0].Scanned = false
		}
	}
	return r
}

func TestFindingsTellWhatWasNotScanned(t *testing.T) {
	t.Parallel()
	clean, not, bad := Platform{Platform: "linux/amd64", Scanned: true}, Platform{Platform: "linux/arm64"}, Platform{Platform: "linux/arm", Scanned: true, Counts: map[string]int{"HIGH": 1}}
	cases := map[string][]Platform{
		"none of note":               {clean},
		"not scanned":                {not, not},
		"not scanned on linux/arm64": {clean, not},
		"not scanned on linux/arm64<br>1 HIGH on linux/arm": {not, bad},
		"": nil,
	}
	for want, platforms := range cases {
		if got := (Service{Platforms: platforms}).findings([]string{"HIGH"}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	cases := []struct {
		report Report
		want   string
	}{
		{filled(true, published("api"), skipped("docs"), published("web")), "✅ Published api, web in 1m1.3s."},
		{filled(true, stayed("api"), published("web")), "✅ Published web in 1m1.3s."},
		{filled(true, stayed("api"), skipped("web")), "✅ api passed every gate. Every tag stays where it is; the reasons are below."},
		{filled(false, held("api", "dry")), "✅ api passed every gate. Nothing was pushed."},
		{unscanned(filled(false, held("api", "dry"), held("web", "dry"))), "✅ api, web passed, but 2 images were not scanned. Nothing was pushed."},
		{unscanned(filled(true, stayed("api"), skipped("web"))), "✅ api passed, but 1 image was not scanned. Every tag stays where it is; the reasons are below."},
		{unscanned(filled(true, published("api"))), "✅ Published api in 1m1.3s, but 1 image was not scanned."},
		{filled(true, skipped("api")), "✅ Nothing to do: no service needs to be built or tagged."},
		{filled(true, refused("api"), held("web", "others")), "❌ Refused: api. Tags of refused images stay where they were."},
		{filled(true, failed("api"), refused("web")), "❌ Failed: api. What users pull is unchanged unless a tag is listed as moved."},
	}
	for _, c := range cases {
		if got := c.report.Answer(); got != c.want {
			t.Errorf("Answer() = %q, want %q", got, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	slow := judged("backend", func(e *verdict.Evidence) { e.Probe.Started = 1.2e9 })
	sick := judged("web", func(e *verdict.Evidence) {
		e.Probe = verdict.Probe{Failure: "web ended with exit code 1 before it was healthy"}
	})
	untried := judged("web", func(e *verdict.Evidence) { e.Probe = verdict.Probe{Unavailable: "no Docker Engine"} })
	lenient := service.DefaultGates()
	lenient.Startup.OnUnavailable = service.OnUnavailableWarn
	untriedAndApproved := untried
	untriedAndApproved.Verdict = verdict.Judge(untried.Evidence, lenient)
	large := judged("web", func(e *verdict.Evidence) { e.Platforms[1].Compressed = 1.5e9 })
	advised := slow
	for _, r := range []*publish.Result{&slow, &sick, &untried, &untriedAndApproved, &large} {
		r.Candidate.Account.Advice = nil
	}
	const (
		started = "✅ backend started in 1.2 seconds"
		small   = "✅ Image sizes under 1GB threshold"
		healthy = "✅ All health checks passing"
	)
	cases := []struct {
		name    string
		results []publish.Result
		max     int64
		want    []string
	}{
		{"all is well", []publish.Result{slow}, 1e9, []string{started, small, healthy}},
		{"there is advice", []publish.Result{advised}, 1e9, []string{started, "💡 backend: Move RUN make before COPY . . It would have saved this build 2.3 s.", small, healthy}},
		{"one is sick", []publish.Result{slow, sick}, 1e9, []string{started, "❌ web did not start: web ended with exit code 1 before it was healthy", small, "❌ Health checks failing: web"}},
		{"one was not tried out", []publish.Result{slow, untried}, 1e9, []string{started, "❌ web was not tried out: no Docker Engine", small, "❌ Health checks failing: web"}},
		{"one was not tried out, and need not be", []publish.Result{slow, untriedAndApproved}, 1e9, []string{started, "⚠️ web was not tried out: no Docker Engine", small, healthy}},
		{"none was tried out", []publish.Result{untriedAndApproved}, 1e9, []string{"⚠️ web was not tried out: no Docker Engine", small}},
		{"one is large", []publish.Result{slow, large}, 1e9, []string{started, "✅ web started in 1.2 seconds", "❌ Image sizes over 1GB threshold: web for linux/arm64 is 1.5GB", healthy}},
		{"another threshold", []publish.Result{slow}, 500e6, []string{started, "✅ Image sizes under 500MB threshold", healthy}},
		{"no threshold", []publish.Result{slow}, 0, []string{started, healthy}},
		{"what was not judged says nothing", []publish.Result{skipped("docs"), failed("web")}, 1e9, nil},
		{"nothing", nil, 1e9, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			gates := service.DefaultGates()
			gates.Size.Max = c.max
			if diff := cmp.Diff(c.want, Lines(c.results, gates)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// spoken is a report that says text wherever it can say something that others wrote.
func spoken(text string) Report {
	r := Report{Outcome: "refused", Severities: []string{"CRITICAL"}, Notices: []string{text}, MemoryStats: memory.Stats{SuccessRate: text}}
	r.Services = []Service{{Name: text, Action: text, Reason: text, Error: text, Healthy: true, Verdict: Verdict{"refused", []string{text}, []string{text}, []string{"Read `x`."}},
		Moved: []Moved{{Tag: text}}, Kept: []Kept{{text, text, "Nothing."}}, Advice: []insight.Advice{{Text: text, Seconds: 3}}, Log: []string{text}, Steps: []insight.Step{{Name: text}},
		Platforms: []Platform{{Platform: text, Scanned: true, Counts: map[string]int{"CRITICAL": 1}, Compared: true, Findings: []verdict.Finding{{ID: text, Package: text}}, Gone: []verdict.Finding{{ID: text, Package: text, Severity: text}}}}}}
	return r
}

// markup is what means something in Markdown or HTML; entities are text.
var markup = regexp.MustCompile("[^|`<>\\[\\]*@\\\\\n]+")

// shape is what is left of a text without its words, of which code is some.
func shape(text string) string {
	if strings.Count(text, "<code>") == strings.Count(text, "</code>") {
		text = strings.NewReplacer("<code>", "", "</code>", "").Replace(text)
	}
	return markup.ReplaceAllString(strings.ReplaceAll(text, "]", "x"), "·") // "]" means nothing without its "["
}

func TestSummaryCannotBeBroken(t *testing.T) {
	t.Parallel()
	want := shape(spoken("text").Summary())
	for _, hostile := range []string{
		"a | b", "a\nb", "a\r\n\r\n# b", "a\n| b | c |", "`rm -rf`", "```\ncode", "<script>alert(1)</script>", "</pre></details><h1>x</h1>",
		"<img src=x onerror=y>", "@octocat", "@octo/team", "[click](https://evil.example)", "![](https://evil.example/x.png)", "[^1]", "**bold**", "* item",
		`a \| b`, `\`, `\\`, `a\`, "<!-- ", "a\u2028b", "a\x85b", "&lt;b&gt;", "a\tb", "--- | ---", "| | | | | | | |",
	} {
		got := shape(flatLog(spoken(hostile), hostile).Summary())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q changes the summary's form (-want +got):\n%s", hostile, diff)
		}
	}
}

// flatLog keeps a container's log on one line, as it comes line by line.
func flatLog(r Report, text string) Report {
	r.Services[0].Log = []string{strings.NewReplacer("\n", " ", "|", "", "`", "", "[", "", "*", "", "@", "", `\`, "").Replace(text) + "x"}
	return r
}

func TestLogCannotLeaveItsBox(t *testing.T) {
	t.Parallel()
	r := filled(true, refused("api"))
	r.Services[0].Log = []string{"</pre>", "", "# heading", "| a |", "<b>", "@octocat [x](y)"}
	summary := r.Summary()
	_, box, _ := strings.Cut(summary, "<pre>")
	box, rest, closed := strings.Cut(box, "</pre>")
	rest = strings.TrimPrefix(rest, "\n\n</details>")
	if want := "&lt;/pre&gt;\n\n# heading\n| a |\n&lt;b&gt;\n@octocat [x](y)"; !closed || box != want || strings.Contains(rest, "<") {
		t.Errorf("the log is shown as %q", box)
	}
}

func FuzzSummary(f *testing.F) {
	f.Add("a | b\n`c`")
	f.Add(`\@x <b> [y](z)`)
	want := shape(spoken("text").Summary())
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(text) == "" {
			return // nothing is said, so words are missing
		}
		if got := shape(flatLog(spoken(text), text).Summary()); got != want {
			t.Errorf("%q changes the summary's form:\n%s", text, cmp.Diff(want, got))
		}
		if got, want := shape(spoken(text).Comment()), shape(spoken("text").Comment()); got != want {
			t.Errorf("%q changes the comment's form:\n%s", text, cmp.Diff(want, got))
		}
	})
}

// TestFigure tells none from not known.
func TestFigure(t *testing.T) {
	t.Parallel()
	none, two := 0.0, 2.0
	cases := map[string]struct {
		figure           Figure
		published, arrow string
	}{
		"not known":                   {Figure{Unit: "count", Now: 3, Usual: 2, Runs: 5, Change: 0.5}, "–", "▲ 50%"},
		"not known, and none usual":   {Figure{Unit: "count", Now: 3, Runs: 5}, "–", "▲ from none"},
		"measured":                    {Figure{Unit: "count", Now: 1, Published: &two, Basis: verdict.Measured, Change: -0.5}, "2", "▼ 50%"},
		"none, though some are usual": {Figure{Unit: "count", Now: 3, Published: &none, Basis: verdict.Measured, Usual: 2, Runs: 5}, "0", "▲ from none"},
		"none, and none now":          {Figure{Unit: "count", Published: &none, Basis: verdict.Measured}, "0", "＝"},
		"remembered":                  {Figure{Unit: "count", Now: 2, Published: &two, Basis: verdict.Remembered}, "2 when it was judged", "＝"},
	}
	for name, c := range cases {
		if published, arrow := c.figure.published(), c.figure.arrow(); published != c.published || arrow != c.arrow {
			t.Errorf("%s: %q, %q; want %q, %q", name, published, arrow, c.published, c.arrow)
		}
	}
}

// TestSummaryHasRoom makes what would be larger than GitHub shows.
func TestSummaryHasRoom(t *testing.T) {
	t.Parallel()
	loud := refused("loud")
	for range 60 {
		loud.Evidence.Probe.Log = append(loud.Evidence.Probe.Log, strings.Repeat("<", 300))
	}
	var results []publish.Result
	for i := range 100 {
		r := loud
		if r.Plan.Name = fmt.Sprintf("quiet-%d", i); i%2 == 0 {
			r = published(r.Plan.Name)
		}
		results = append(results, r)
	}
	summary := drawn(filled(true, results...)).Summary()
	if n := len(summary); n > 1<<20 || n < 1<<19 {
		t.Errorf("the summary has %d bytes", n)
	}
	left := regexp.MustCompile(`Details of (\d+) of the services are left out`).FindStringSubmatch(summary)
	opened, closed := strings.Count(summary, "<details"), strings.Count(summary, "</details>")
	if left == nil || opened != closed || fmt.Sprint(100-opened) != left[1] {
		t.Errorf("%d details, %d ended, left out %q", opened, closed, left)
	}
	if rows := strings.Count(summary, "\n| ❌&nbsp;") + strings.Count(summary, "\n| ✅&nbsp;"); rows != 100 || !strings.HasSuffix(summary, "of builds succeeded.\n") {
		t.Errorf("%d rows; it ends with %q", rows, summary[len(summary)-100:])
	}
}

// TestUnlinked has no text mention anybody or point anywhere, and leaves alone what is code already.
func TestUnlinked(t *testing.T) {
	t.Parallel()
	for markdown, want := range map[string]string{
		cell("@org/team, a@b"):                                 "&#64;\u200borg/team, a&#64;\u200bb",
		cell("#12, o/r#1, gh-7, &#1;"):                         "#\u200b12, o/r#\u200b1, gh-\u200b7, &amp;#\u200b1;",
		cell("it's \"x\" | # b, GHSA-1, sha256:1"):             "it&#39;s &#34;x&#34; &#124; # b, GHSA-1, sha256:1",
		"@x `i@sha256:1 #1` @y\n```sh\ni@sha256:1 #1\n```\n@z": "@\u200bx `i@sha256:1 #1` @\u200by\n```sh\ni@sha256:1 #1\n```\n@\u200bz",
		code("`npm i @a/b` of @c"):                             "<code>npm i &#64;a/b</code> of &#64;\u200bc",
	} {
		if got := unlinked(markdown); got != want {
			t.Errorf("unlinked(%q) = %q, want %q", markdown, got, want)
		}
	}
}

// TestCode keeps commands as code, whatever they consist of.
func TestCode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Set `a: b` in x.":  "Set <code>a: b</code> in x.",
		"`a`, or `b`":       "<code>a</code>, or <code>b</code>",
		"`<b> | @x`":        "<code>&lt;b&gt; &#124; &#64;x</code>",
		"never `closed <b>": "never closed &lt;b&gt;",
		"a\n\n# b":          "a # b",
	} {
		if got := code(text); got != want {
			t.Errorf("code(%q) = %q, want %q", text, got, want)
		}
	}
}
