package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/actions"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/service"
)

const ref = "octo/cards/.github/workflows/publish.yml@refs/heads/main"

// workflow is that of a repository octo/cards, as job publish of it sees it.
func workflow(text string) Workflow {
	return ReadWorkflow(ref, "octo/cards", "publish", "org/ghcr-publish", func(string) ([]byte, error) { return []byte(text), nil })
}

func TestReadWorkflow(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		ref: "", "": "nobody says", "octo/cards/.github/workflows/../../secret.yml@x": "nobody says", "octo/cards/action.yml@x": "nobody says",
		"octo/cards/.github/workflows/a/b.yml@x": "nobody says", "octo/shared/.github/workflows/publish.yml@x": "octo/shared's",
		"Octo/Cards/.github/workflows/publish.yaml@x": "", "octo/cards/.github/workflows/gone.yml@x": "file does not exist",
		"octo/cards/.github/workflows/broken.yml@x": "did not find", "octo/cards/.github/workflows/empty.yml@x": "no jobs",
	} {
		w := ReadWorkflow(ref, "octo/cards", "publish", "org/ghcr-publish", func(name string) ([]byte, error) {
			switch name {
			case ".github/workflows/broken.yml":
				return []byte("jobs: [\n"), nil
			case ".github/workflows/empty.yml":
				return nil, nil
			case ".github/workflows/gone.yml":
				return nil, fs.ErrNotExist
			}
			return []byte("jobs: {publish: {steps: [{uses: org/ghcr-publish@v1}]}}"), nil
		})
		if (want == "") != (w.Unread == "") || !strings.Contains(w.Unread, want) {
			t.Errorf("%q: %q, want %q", ref, w.Unread, want)
		}
	}
}

func TestJobsOfAWorkflow(t *testing.T) {
	t.Parallel()
	w := workflow(`
on: push
permissions: read-all
jobs:
  test: {runs-on: windows-latest, steps: [{run: make}]}
  publish:
    permissions: {packages: write}
    steps: [{uses: actions/checkout@v6}, {uses: org/ghcr-publish@v1}]
  twice:
    needs: publish
    steps: [{uses: 'someone/ghcr-publish@main', with: {mode: plan}}, {uses: Org/GHCR-Publish@v1, with: {mode: doctor}}]
`)
	if w.Unread != "" || len(w.jobs) != 2 || w.jobs[0].id != "publish" || w.jobs[0].line != 6 || !slices.Equal(w.jobs[1].modes, []string{"plan", "doctor"}) {
		t.Fatalf("%q %+v", w.Unread, w.jobs)
	}
	for _, c := range []struct {
		job          int
		scope, level string
		want         bool
	}{{0, "packages", "write", true}, {0, "packages", "read", true}, {0, "contents", "read", false}, {1, "contents", "read", true}, {1, "packages", "write", false}} {
		if got := w.jobs[c.job].rights.has(c.scope, c.level); got != c.want {
			t.Errorf("job %d has %s: %s is %v", c.job, c.scope, c.level, got)
		}
	}
	if all := (&rights{all: "write-all"}); !all.has("id-token", "write") {
		t.Error("write-all lacks a right")
	}
	if none := workflow("permissions: {}\njobs: {publish: {steps: [{uses: org/ghcr-publish@v1}]}}").jobs[0].rights; none == nil || none.has("contents", "read") {
		t.Errorf("empty permissions are %+v", none)
	}
}

func TestNeedsFollowTheConfiguration(t *testing.T) {
	t.Parallel()
	base := Facts{Publishing: []string{"push"}, Pushes: true, Event: actions.Event{Visibility: "public", Public: true},
		Config: service.Config{Settings: service.Settings{Push: "auto", Sign: "auto", Attest: "auto", Cache: "auto", CodeScanning: "auto", RescanIssues: true}}}
	for title, c := range map[string]struct {
		mode   string
		change func(*Facts)
		want   string
	}{
		"all":                       {"all", func(*Facts) {}, "packages: write!, security-events: write, id-token: write, attestations: write, actions: read"},
		"doctor":                    {"doctor", func(*Facts) {}, "packages: write!, security-events: write, id-token: write, attestations: write, actions: read"},
		"plan":                      {"plan", func(*Facts) {}, "packages: read"},
		"publish":                   {"publish", func(*Facts) {}, "packages: write!, actions: read"},
		"finalize":                  {"finalize", func(*Facts) {}, "packages: write!, security-events: write, id-token: write, attestations: write"},
		"promote":                   {"promote", func(*Facts) {}, "packages: write!, security-events: write, id-token: write, attestations: write"},
		"clean":                     {"clean", func(*Facts) {}, "packages: write!, pull-requests: read, deployments: read"},
		"cleaning up afterwards":    {"finalize", func(f *Facts) { f.Config.Clean.After, f.Key = true, true }, "packages: write!, pull-requests: read, deployments: read, security-events: write"},
		"no promotion cleans up":    {"promote", func(f *Facts) { f.Config.Clean.After, f.Key = true, true }, "packages: write!, security-events: write"},
		"a comment":                 {"finalize", func(f *Facts) { f.Config.Comment, f.Key = true, true }, "packages: write!, pull-requests: write, security-events: write"},
		"a comment, and cleaning":   {"all", func(f *Facts) { f.Config.Comment, f.Config.Clean.After, f.Key = true, true, true }, "packages: write!, pull-requests: write, deployments: read, security-events: write, actions: read"},
		"no promotion comments":     {"promote", func(f *Facts) { f.Config.Comment, f.Key = true, true }, "packages: write!, security-events: write"},
		"a row's comment":           {"publish", func(f *Facts) { f.Config.Comment = true }, "packages: write!, actions: read"},
		"compose":                   {"compose", func(*Facts) {}, "packages: read"},
		"mirror":                    {"mirror", func(*Facts) {}, "packages: read"},
		"deploy":                    {"deploy", func(*Facts) {}, "packages: read"},
		"deploy, and tell of it":    {"deploy", func(f *Facts) { f.Config.Deploy.Environment = "production" }, "deployments: write, packages: read"},
		"rescan":                    {"rescan", func(*Facts) {}, "packages: read, security-events: write, issues: write!"},
		"what is to come":           {"levitate", func(*Facts) {}, ""},
		"nothing is pushed":         {"all", func(f *Facts) { f.Config.Push = "false" }, "security-events: write, actions: read"},
		"only pull requests":        {"all", func(f *Facts) { f.Pushes, f.Workflow.text.On = false, words{"pull_request"} }, "security-events: write, actions: read"},
		"a pull request of several": {"publish", func(f *Facts) { f.Pushes, f.Workflow.text.On = false, words{"pull_request", "push"} }, "packages: write!, actions: read"},
		"another registry's token":  {"publish", func(f *Facts) { f.Config.RegistryToken = "x" }, "actions: read"},
		"signing is demanded": {"finalize", func(f *Facts) { f.Config.Sign, f.Config.Attest = "keyless", "github" },
			"packages: write!, security-events: write, id-token: write!, attestations: write!"},
		"a release": {"finalize", func(f *Facts) { f.Config.Release = "draft" },
			"contents: write!, packages: write!, security-events: write, id-token: write, attestations: write"},
		"a release of what is private": {"all", func(f *Facts) { f.Config.Release, f.Event.Visibility, f.Event.Public = "publish", "private", false },
			"contents: write!, packages: write!, security-events: write, actions: read"},
		"a row of a release":   {"publish", func(f *Facts) { f.Config.Release = "publish" }, "packages: write!, actions: read"},
		"a key signs":          {"finalize", func(f *Facts) { f.Key = true }, "packages: write!, security-events: write"},
		"a private repository": {"finalize", func(f *Facts) { f.Event.Visibility, f.Event.Public = "private", false }, "contents: read!, packages: write!, security-events: write"},
		"no code scanning":     {"rescan", func(f *Facts) { f.Config.CodeScanning, f.Config.RescanIssues = "off", false }, "packages: read"},
	} {
		f := base
		c.change(&f)
		var got []string
		for _, n := range f.needs(c.mode) {
			text := n.scope + ": " + n.level
			if n.must {
				text += "!"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", title, diff)
		}
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	const job = "jobs: {publish: {%s steps: [{uses: org/ghcr-publish@v1, with: {%s}}%s]}}"
	for title, c := range map[string]struct {
		rights, with, more string
		want               State
		fix                string
	}{
		"all that it needs":       {"permissions: {packages: write},", "", "", Fine, ""},
		"too little":              {"permissions: {packages: read},", "", "", Problem, "packages: write"},
		"nothing":                 {"permissions: {},", "", "", Problem, "packages: write"},
		"to read all":             {"permissions: read-all,", "", "", Problem, "packages: write"},
		"everything":              {"permissions: write-all,", "", "", Advice, "packages: write"},
		"whatever there is":       {"", "", "", Advice, "packages: write"},
		"to record a deployment":  {"permissions: {packages: write},", "mode: promote, environment: production", "", Advice, "deployments: write"},
		"to clean up":             {"permissions: {packages: read, pull-requests: read, deployments: read},", "mode: clean", "", Problem, "packages: write"},
		"to know what is live":    {"permissions: {packages: write, pull-requests: read},", "mode: clean", "", Advice, "deployments: read"},
		"to look alone":           {"permissions: {packages: read},", "mode: plan", "", Fine, ""},
		"to judge alone":          {"permissions: {packages: read},", "push: false", "", Fine, ""},
		"to judge nothing":        {"permissions: {},", "push: false", "", Advice, "packages: read"},
		"to look and then to do":  {"permissions: {packages: read},", "mode: plan", ", {uses: org/ghcr-publish@v1}", Problem, "packages: write"},
		"another's token":         {"permissions: {contents: read},", "token: '${{ secrets.ROBOT }}'", "", Fine, ""},
		"another's tells of it":   {"permissions: {contents: read},", "mode: deploy, environment: production, token: '${{ secrets.ROBOT }}'", "", Fine, ""},
		"another's for images":    {"permissions: {contents: read},", "registry-token: '${{ secrets.ROBOT }}'", "", Fine, ""},
		"its own token, by name":  {"permissions: {contents: read},", "token: '${{ secrets.GITHUB_TOKEN }}'", "", Problem, "packages: write"},
		"its own, by the context": {"permissions: {contents: read},", "token: '${{github.token}}'", "", Problem, "packages: write"},
	} {
		f := Facts{OnRunner: true, Pushes: true, Event: actions.Event{Visibility: "public", Public: true}, Config: service.Config{Settings: service.Settings{Push: "auto", Sign: "off", CodeScanning: "off", Cache: "off"}},
			Workflow: workflow(fmt.Sprintf(job, c.rights, c.with, c.more))}
		if got := permissions(f); len(got) != 1 || got[0].State != c.want || !strings.Contains(got[0].Fix, c.fix) {
			t.Errorf("%s: %+v, want %s", title, got, c.want)
		}
	}
}

// TestExamples finds nothing to say of the workflows that are shown to people.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../.github/examples/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v", files, err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(file); !strings.Contains(string(readme), "| ["+name+"]") && !strings.Contains(string(readme), ", ["+name+"]") {
			t.Errorf("README.md does not list %s", name)
		}
		f := Facts{OnRunner: true, Pushes: true, Publishing: []string{"push", "workflow_dispatch"}, Workflow: workflow(string(text)), Event: actions.Event{Visibility: "public", Public: true},
			Config: service.Config{Settings: service.Settings{Push: "auto", Sign: "auto", Attest: "auto", Cache: "auto", CodeScanning: "auto", RescanIssues: true}}}
		if strings.Contains(string(text), "handover: registry") { // GitHub Enterprise Server, whose identity signs nothing and whose cache keeps no layers
			f.Key, f.Config.Cache = true, "registry"
		}
		if looks := strings.Contains(string(text), "status: true"); looks && !f.Workflow.text.Concurrency.IsZero() {
			t.Errorf("%s: a job that only looks takes the place of a deployment that waits", file)
		}
		for _, look := range []func(Facts) []Finding{permissions, concurrency, jobs, runner} {
			for _, found := range look(f) {
				if found.State != Fine {
					t.Errorf("%s: %+v", file, found)
				}
			}
		}
	}
}

// TestCalls examines jobs that call a workflow: this action's own does all, and its runs wait for each other.
func TestCalls(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		calls, rights string
		want          State
		fix           string
	}{
		"all rights":       {"org/ghcr-publish/.github/workflows/publish.yml@v1", "packages: write", Fine, ""},
		"too few":          {"org/ghcr-publish/.github/workflows/publish.yml@v1", "packages: read", Problem, "packages: write"},
		"another's":        {"org/cards/.github/workflows/publish.yml@v1", "packages: read", Unknown, "Set up job"},
		"another of these": {"org/ghcr-publish/.github/workflows/other.yml@v1", "packages: read", Unknown, "Set up job"},
	} {
		f := Facts{OnRunner: true, Pushes: true, Event: actions.Event{Visibility: "public", Public: true}, Config: service.Config{Settings: service.Settings{Push: "auto", Sign: "off", CodeScanning: "off", Cache: "off"}},
			Workflow: workflow("jobs: {publish: {uses: " + c.calls + ", permissions: {" + c.rights + "}}}")}
		if got := permissions(f); len(got) != 1 || got[0].State != c.want || !strings.Contains(got[0].Fix, c.fix) {
			t.Errorf("%s: %+v, want %s", title, got, c.want)
		}
		for _, look := range []func(Facts) []Finding{concurrency, jobs, runner} {
			for _, found := range look(f) {
				if found.State != Fine {
					t.Errorf("%s: %+v", title, found)
				}
			}
		}
	}
}

func TestRunner(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]State{"ubuntu-24.04": Fine, "[self-hosted, linux, arm64]": Fine, "'${{ matrix.runner }}'": Fine, "{group: large}": Fine, "Windows-2025": Problem, "macos-15": Problem, "[self-hosted, windows]": Problem} {
		if got := runner(Facts{Workflow: workflow("jobs: {publish: {runs-on: " + label + ", steps: [{uses: org/ghcr-publish@v1}]}}")}); len(got) != 1 || got[0].State != want {
			t.Errorf("%s: %+v, want %s", label, got, want)
		}
	}
}

// FuzzWorkflow reads whatever a repository has for a workflow: nothing of it may break the run that looks.
func FuzzWorkflow(f *testing.F) {
	files, _ := filepath.Glob("../../.github/*/*.yml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("jobs: &a {x: {steps: [{uses: org/ghcr-publish@v1, with: {mode: publish}}], needs: *a, permissions: }}\non: {push: }\npermissions: [1]")
	f.Fuzz(func(t *testing.T, text string) {
		facts := Facts{OnRunner: true, Pushes: true, Event: actions.Event{Name: "push"}, Workflow: workflow(text), Config: service.Config{Settings: service.Settings{Registry: "ghcr.io", Push: "auto", Sign: "auto", CodeScanning: "auto"}}}
		for _, found := range Examine(facts) {
			if found.Check == "" || found.Found == "" || (found.Fix == "") != (found.State == Fine) {
				t.Errorf("%+v", found)
			}
		}
	})
}

func TestJobsBelongTogether(t *testing.T) {
	t.Parallel()
	const (
		plan   = "  plan: {steps: [{uses: org/ghcr-publish@v1, with: {mode: plan}}]}\n"
		rows   = "  rows: {needs: plan, strategy: {matrix: '${{ fromJSON(needs.plan.outputs.matrix) }}'}, steps: [{uses: org/ghcr-publish@v1, with: {mode: publish}}]}\n"
		end    = "  end: {needs: [plan, rows], if: '${{ !cancelled() }}', steps: [{uses: org/ghcr-publish@v1, with: {mode: finalize}}]}\n"
		early  = "  end: {needs: plan, if: always(), steps: [{uses: org/ghcr-publish@v1, with: {mode: finalize}}]}\n"
		silent = "  end: {needs: [plan, rows], if: needs.plan.result == 'success', steps: [{uses: org/ghcr-publish@v1, with: {mode: finalize}}]}\n"
		calls  = "  rest: {uses: ./.github/workflows/rest.yml}\n"
		each   = "  each: {strategy: {matrix: {x: [1, 2]}}, steps: [{uses: org/ghcr-publish@v1}]}\n"
		one    = "  one: {steps: [{uses: org/ghcr-publish@v1}]}\n"
	)
	for jobsText, want := range map[string]State{
		plan + rows + end: Fine, plan + rows: Problem, rows + end: Problem, plan + rows + early: Problem, plan + rows + silent: Advice, plan + rows + calls: Unknown, one: Fine, each: Advice, plan: Fine,
	} {
		if got := jobs(Facts{Workflow: workflow("jobs:\n" + jobsText)}); len(got) != 1 || got[0].State != want {
			t.Errorf("%s%+v, want %s", jobsText, got, want)
		}
	}
	if got := jobs(Facts{Workflow: workflow("jobs:\n" + each), Config: service.Config{Settings: service.Settings{Promote: "per-service"}}}); got[0].State != Fine {
		t.Errorf("per service %+v", got)
	}
}

func TestQuickTellsProblemsAlone(t *testing.T) {
	t.Parallel()
	f := Facts{OnRunner: true, Pushes: true, Publishing: []string{"push"}, Clock: Asked(nil), Ahead: time.Hour, Disks: []Disk{{"/tmp", 250_000_000}, {"/", 1 << 40}},
		Config:   service.Config{Settings: service.Settings{Registry: "ghcr.io", Push: "auto", Sign: "off", Cache: "off"}},
		Workflow: workflow("permissions: {contents: read}\njobs: {publish: {steps: [{uses: org/ghcr-publish@v1}]}}")}
	var got []string
	for _, found := range Quick(f) {
		got = append(got, found.String())
	}
	want := []string{
		"job publish lacks `packages: write` (the images); permissions: contents: read packages: write security-events: write.",
		"Only 250MB are free in /tmp: if a build or a scan fails, that is likely why; free some, such as by `docker builder prune`.",
		"This machine's clock is 1h0m0s ahead of that of ghcr.io: tokens and certificates may be refused, and exceptions end at another time; set it by NTP: timedatectl set-ntp true.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.Ahead, f.Disks, f.Workflow = -4*time.Minute, f.Disks[1:], Workflow{Unread: "nobody says"}
	if found := Quick(f); len(found) > 0 {
		t.Errorf("where all is well: %v", found)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]State{0: Fine, 5 * time.Minute: Fine, -5 * time.Minute: Fine, 5*time.Minute + 1: Problem, -48 * time.Hour: Problem} {
		if got := clock(Facts{Clock: Asked(nil), Ahead: ahead})[0].State; got != want {
			t.Errorf("%s ahead is %s", ahead, got)
		}
	}
	if got := clock(Facts{Clock: Asked(errors.New("no answer"))}); got[0].State != Unknown {
		t.Errorf("without an answer %+v", got)
	}
}

// TestWhatCannotBeAsked tells a right that is lacking from an answer that did not come.
func TestWhatCannotBeAsked(t *testing.T) {
	t.Parallel()
	silent := errors.New("no answer")
	for title, c := range map[string]struct {
		got  []Finding
		want State
		fix  string
	}{
		"scanning is there":      {scanning(Facts{Scanning: Asked(nil)}), Fine, ""},
		"scanning is off":        {scanning(Facts{Scanning: Asked(fmt.Errorf("%w: it is off", github.ErrUnavailable))}), Advice, "settings/security_analysis"},
		"scanning is not for us": {scanning(Facts{Scanning: Asked(fmt.Errorf("%w: the token lacks `security-events: write`", github.ErrUnavailable))}), Advice, "security-events: write"},
		"scanning is silent":     {scanning(Facts{Scanning: Asked(silent)}), Unknown, "security/code-scanning"},
		"the cache tells":        {space(Facts{CacheUsage: Asked(nil)}), Fine, ""},
		"the cache does not":     {space(Facts{CacheUsage: Asked(errors.New("the token lacks `actions: read`"))}), Advice, "actions: read"},
		"the cache is silent":    {space(Facts{CacheUsage: Asked(silent)}), Unknown, "actions/caches"},
		"the API is silent":      {contents(Facts{Contents: Asked(silent)}), Unknown, "githubstatus.com"},
		"the registry is away":   {reach(Facts{Clock: Asked(&net.OpError{Op: "dial", Err: silent}), Pushes: true}), Problem, "HTTPS_PROXY"},
		"and nothing is pushed":  {reach(Facts{Clock: Asked(&net.OpError{Op: "dial", Err: silent})}), Unknown, "HTTPS_PROXY"},
		"only its clock is":      {reach(Facts{Clock: Asked(silent), Config: service.Config{Settings: service.Settings{Registry: "ghcr.io"}}}), Fine, ""},
	} {
		if len(c.got) != 1 || c.got[0].State != c.want || !strings.Contains(c.got[0].Fix, c.fix) {
			t.Errorf("%s: %+v, want %s", title, c.got, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		sign, visibility string
		identity, key    bool
		want             State
	}{
		"demanded and there": {"keyless", "public", true, false, Fine}, "demanded and not there": {"keyless", "public", false, true, Problem},
		"demanded of what is private": {"keyless", "private", true, false, Fine}, "private": {"auto", "private", true, false, Advice}, "private, by a key": {"auto", "internal", true, true, Fine},
		"nobody knows": {"auto", "", true, false, Fine}, "nobody can": {"auto", "public", false, false, Advice}, "nobody is to": {"off", "public", false, false, ""}, "a key is missing": {"key", "public", false, false, ""},
	} {
		f := Facts{OnRunner: true, Pushes: true, Identity: c.identity, Key: c.key, Event: actions.Event{Visibility: c.visibility, Public: c.visibility == "public"}, Config: service.Config{Settings: service.Settings{Sign: c.sign}}}
		got := identity(f)
		if (c.want == "") != (len(got) == 0) || len(got) > 0 && got[0].State != c.want {
			t.Errorf("%s: %+v, want %s", title, got, c.want)
		}
	}
}

// TestMachine looks at engines, builders and platforms.
func TestMachine(t *testing.T) {
	t.Parallel()
	away, up := errors.New("no engine"), Builder{Answer: Asked(nil), Name: "b", Platforms: []string{"linux/amd64"}}
	named := Builder{Answer: Asked(nil), Name: "mine", New: true, Platforms: up.Platforms}
	remote := []service.Builder{{Driver: "remote", Endpoint: "tcp://h:1"}}
	warns := service.Gates{Startup: service.StartupGate{OnUnavailable: service.OnUnavailableWarn}}
	for title, c := range map[string]struct {
		look func(Facts) []Finding
		f    Facts
		want State
	}{
		"an engine":                     {engine, Facts{}, Fine},
		"none":                          {engine, Facts{Engine: away}, Problem},
		"none, and others build":        {engine, Facts{Engine: away, Config: service.Config{Builders: remote}}, Problem},
		"none is needed":                {engine, Facts{Engine: away, Config: service.Config{Builders: remote, Gates: warns}}, Advice},
		"none, and it is to build":      {engine, Facts{Engine: away, Config: service.Config{Builders: []service.Builder{{Driver: "docker-container"}}, Gates: warns}}, Problem},
		"a builder":                     {builder, Facts{Builder: up}, Fine},
		"one of a name that was there":  {builder, Facts{Builder: Builder{Answer: Asked(nil), Adopted: true, New: true}, Config: service.Config{Settings: service.Settings{Builder: "mine"}}}, Fine},
		"one of a name that was not":    {builder, Facts{Builder: named, Config: service.Config{Settings: service.Settings{Builder: "mine"}}}, Advice},
		"one that does not start":       {builder, Facts{Builder: Builder{Answer: Asked(away)}, Programs: []Program{{Name: "buildx", Version: "0.29.0"}}}, Problem},
		"all platforms":                 {platforms, Facts{Builder: up, Wanted: []string{"linux/amd64"}}, Fine},
		"one by emulation":              {platforms, Facts{Builder: up, Wanted: []string{"linux/amd64", "linux/arm64/v8"}}, Fine},
		"one that nobody emulates":      {platforms, Facts{Builder: up, Wanted: []string{"linux/sparc64"}}, Problem},
		"another system":                {platforms, Facts{Builder: up, Wanted: []string{"windows/amd64"}}, Problem},
		"emulation without an engine":   {platforms, Facts{Builder: up, Engine: away, Wanted: []string{"linux/arm64"}}, Problem},
		"one that no remote builds for": {platforms, Facts{Builder: up, Wanted: []string{"linux/arm64"}, Config: service.Config{Builders: remote}}, Problem},
	} {
		if got := c.look(c.f); len(got) != 1 || got[0].State != c.want {
			t.Errorf("%s: %+v, want %s", title, got, c.want)
		}
	}
	if got := builder(Facts{Builder: Builder{Answer: Asked(away)}, Programs: []Program{{Name: "buildx", Err: away}}}); got != nil {
		t.Errorf("of a builder without buildx: %+v", got)
	}
	if got := platforms(Facts{Builder: Builder{Answer: Asked(away)}, Wanted: []string{"linux/arm64"}}); got != nil {
		t.Errorf("of a builder that does not start: %+v", got)
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		Program
		want State
	}{
		{Program{Name: "trivy", Version: "0.69.3"}, Fine}, {Program{Name: "trivy", Version: "0.69.4"}, Problem}, {Program{Name: "trivy", Version: "0.69.6"}, Problem},
		{Program{Name: "trivy", Version: "0.69.7"}, Fine}, {Program{Name: "trivy", Version: "dev"}, Unknown}, {Program{Name: "git", Version: "2.30.2"}, Problem},
		{Program{Name: "git", Version: "2.39.5"}, Fine}, {Program{Name: "buildx", Version: "0.13.1"}, Problem}, {Program{Name: "buildx", Err: errors.New("it is not installed")}, Problem},
	} {
		if got := programs(Facts{Programs: []Program{c.Program}}); got[0].State != c.want {
			t.Errorf("%+v is %+v", c.Program, got)
		}
	}
}

// TestEveryFindingSaysWhatToDo examines what is wrong in every way at once.
func TestEveryFindingSaysWhatToDo(t *testing.T) {
	t.Parallel()
	refused := Asked(errors.New("refused"))
	f := Facts{OnRunner: true, Pushes: true, Publishing: []string{"push"}, Contents: refused, Scanning: refused, CacheUsage: refused, Engine: errors.New("none"), Shallow: true, Origin: refused,
		Mistakes: service.Problems{{Where: "x:1:1", What: "no"}}, Credential: true, Clock: refused, Builder: Builder{Answer: refused}, Programs: []Program{{Name: "git"}}, Disks: []Disk{{"/", 1}}, Sources: []Source{{refused, "x"}}, Mirrors: []Copy{{"quay.io/octo/a", "x:1:1", refused}}, Lacking: []string{"A"},
		Images:   []Image{{Name: "ghcr.io/octo/a", Write: refused, Listed: refused}, {Name: "ghcr.io/octo/b", Listed: Asked(nil)}, {Name: "docker.io/octo/c"}, {Name: "ghcr.io/octo/d", Listed: Asked(nil), Tag: "x", Seen: refused}},
		Event:    actions.Event{Actor: "dependabot[bot]", Fork: true, ServerURL: "https://octo.ghe.com", APIURL: "https://api.octo.ghe.com"},
		Config:   service.Config{Settings: service.Settings{Registry: "ghcr.io", Sign: "keyless"}},
		Workflow: workflow("jobs: {publish: {runs-on: macos-14, steps: [{uses: org/ghcr-publish@v1, with: {mode: publish}}]}}")}
	states := map[State]bool{}
	for _, found := range Examine(f) {
		states[found.State] = true
		if found.Check == "" || found.Found == "" || (found.Fix == "") != (found.State == Fine) || (found.Where == "") != (found.State == Fine) {
			t.Errorf("%+v", found)
		}
	}
	if len(states) != 4 && !(len(states) == 3 && !states[Fine]) {
		t.Errorf("states %v", states)
	}
}

func TestSummaryCannotBeForged(t *testing.T) {
	t.Parallel()
	e := Conclude([]Finding{{Check: "x", State: Problem, Found: "<script> [a](b)\n# forged", Where: "`x`", Fix: "```\nforged\n```"}, {Check: "y", State: Fine, Found: "a | b"}}, 2)
	got := e.Summary()
	for _, bad := range []string{"<script>", " [a](b)", "\n# forged", "| a | b |"} {
		if strings.Contains(got, bad) {
			t.Errorf("the summary holds %q:\n%s", bad, got)
		}
	}
	if !strings.Contains(got, "````\n```\nforged\n```\n````") || e.ExitCode != 2 || e.String() != "❌ 1 problem, 0 could not be checked, 0 with advice, 1 fine" {
		t.Errorf("%d %s\n%s", e.ExitCode, e, got)
	}
	if fmt.Sprint(Conclude(nil, 2).ExitCode) != "0" {
		t.Error("nothing found is a problem")
	}
}

// TestToken tells a token from one that the registry does not get.
func TestToken(t *testing.T) {
	t.Parallel()
	given := service.Config{Settings: service.Settings{Token: "t", Registry: "ghcr.io"}}
	for name, c := range map[string]struct {
		facts Facts
		state State
		found string
	}{
		"given":                      {Facts{Config: given, Pushes: true}, Fine, "there is one"},
		"not for the registry":       {Facts{Config: given, Pushes: true, Unlogged: true}, Problem, "ghcr.io does not, and nothing can be pushed"},
		"not for the registry, read": {Facts{Config: given, Unlogged: true}, Advice, "only images that are public"},
		"none":                       {Facts{Pushes: true}, Problem, "there is none"},
		"none of a secret":           {Facts{OnRunner: true}, Problem, "the secret that it is taken from does not exist"},
	} {
		got := token(c.facts)
		if len(got) != 1 || got[0].State != c.state || !strings.Contains(got[0].Found, c.found) || c.state != Fine && got[0].Fix == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
