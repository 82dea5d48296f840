package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
)

// A browser shows one page, and notes what the page complains of and asks for.
type browser struct {
	ctx context.Context
	t   *testing.T

	mu         sync.Mutex
	complaints []string
	requests   []string
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := parts.Chromium(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 1600), chromedp.WSURLReadTimeout(2*time.Minute),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &browser{ctx: ctx, t: t}
	b.do()
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, cdplog.Enable, cdp.Empty{})
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			b.complaints = append(b.complaints, string(e.Type)+": "+string(a.Value))
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case *cdplog.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func call[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	}))
}

// value is what an expression of JavaScript comes to.
func value[T any](b *browser, expression string, options ...chromedp.EvaluateOption) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// press puts keys into an element.
func (b *browser) press(selector chromedp.CSS, keys string) {
	b.t.Helper()
	b.do(chromedp.Focus(selector), chromedp.KeyEvent(keys))
}

// choose presses the arrow until a list has what is wanted. Its letters would choose anew where they come too slowly one after the other.
func (b *browser) choose(selector chromedp.CSS, want string) {
	b.t.Helper()
	list := "document.querySelector(" + quoted(string(selector)) + ")"
	for range value[int](b, list+".options.length") {
		if value[string](b, list+".selectedOptions[0].textContent") == want {
			return
		}
		b.press(selector, kb.ArrowDown)
	}
	b.t.Fatalf("keys do not choose %q in %s", want, selector)
}

// until waits for what an expression says.
func (b *browser) until(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression)); err != nil {
		b.t.Fatalf("waiting for %s: %v", expression, err)
	}
}

// open shows a page, and tells how long that took until all was drawn, in milliseconds.
func (b *browser) open(page string, scheme string) float64 {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.do(chromedp.Navigate("file://"+page), chromedp.WaitReady(chromedp.CSS("html[data-ready]")))
	return value[float64](b, "performance.getEntriesByName('ready')[0].startTime")
}

// shown are the texts of the elements that a selector finds.
func (b *browser) shown(selector string) []string {
	b.t.Helper()
	return value[[]string](b, "[...document.querySelectorAll("+quoted(selector)+")].map((e) => e.textContent)")
}

func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

// audit has axe-core look at the page, and returns what it finds that is serious.
func (b *browser) audit(axe string) []string {
	b.t.Helper()
	value[chromedp.Void](b, axe)
	var serious []string
	for _, f := range value[[]struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML string }
	}](b, "axe.run().then((r) => r.violations)", chromedp.EvalAwaitPromise) {
		if f.Impact == "serious" || f.Impact == "critical" {
			serious = append(serious, f.ID+": "+f.Help+": "+f.Nodes[0].HTML)
		} else {
			b.t.Logf("axe: %s: %s", f.Impact, f.Help)
		}
	}
	return serious
}

// TestDashboard has the program make the page of 10,000 builds, and looks at it in a browser as people do: in light and dark, with keys, and by what a
// screen reader is told.
func TestDashboard(t *testing.T) {
	w := newWorld(t)
	const builds = 10_000
	w.remember(builds, time.Now())
	w.mode = "report"
	begun := time.Now()
	if o := w.run(sample.Job{}); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	t.Logf("the program took %v to write the page of %d builds", time.Since(begun).Round(time.Millisecond), builds)
	axe, err := parts.Axe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(axe)
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(w.dashboard(), "index.html")
	b := startBrowser(t)
	for _, scheme := range []string{"light", "dark"} {
		t.Logf("%s: the page of %d builds was drawn after %.0f ms", scheme, builds, b.open(page, scheme))
		if serious := b.audit(string(script)); len(serious) > 0 {
			t.Errorf("%s: axe finds\n%s", scheme, strings.Join(serious, "\n"))
		}
		keepScreenshot(b, scheme)
	}
	b.filters()
	b.tables(string(script))
	b.quiet(page)
}

// quiet finds fault with a page that complained, or asked for anything but itself.
func (b *browser) quiet(page string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		b.t.Errorf("the page complains: %q", b.complaints)
	}
	if other := slices.DeleteFunc(slices.Clone(b.requests), func(url string) bool { return url == "file://"+page || url == "data:," }); len(other) > 0 {
		b.t.Errorf("the page asks for %q", other)
	}
}

// remember has the memory hold so many builds, the last of them by some time.
func (w *world) remember(builds int, last time.Time) {
	w.t.Helper()
	entries, err := sample.Builds("Octo-Org/cards", builds, last)
	if err != nil {
		w.t.Fatal(err)
	}
	store, err := memory.Open(w.t.Context(), filepath.Join(w.repo.Dir, ".swarm/memory.db"), time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	for chunk := range slices.Chunk(entries, 2000) {
		if err := store.Put(w.t.Context(), chunk...); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// dashboard is the folder of the page.
func (w *world) dashboard() string { return filepath.Join(w.temp, "ghcr-publish", "dashboard") }

// TestWatchedDashboard has a page be watched in a browser: it shows what is new without being asked, keeps what somebody has chosen, waits while he is at
// work on it, and stands still once nobody writes it any more.
func TestWatchedDashboard(t *testing.T) {
	w := newWorld(t)
	w.remember(40, time.Now().Add(-time.Hour))
	w.mode, w.noBuilder, w.env = "report", true, []string{"GITHUB_RUN_ID=", "GITHUB_ACTIONS="}
	end := w.watch("--dashboard-of", "all")
	axe, err := parts.Axe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(w.dashboard(), "index.html")
	b := startBrowser(t)
	b.open(page, "light")
	if serious := b.audit(string(file(t, axe))); len(serious) > 0 {
		t.Errorf("axe finds\n%s", strings.Join(serious, "\n"))
	}
	b.choose("#service", "backend")
	b.choose("#ref", "main")
	const state = "[...document.querySelectorAll('select')].map((e) => e.selectedOptions[0].textContent).concat(document.activeElement.id, [...document.querySelectorAll('#services tbody th')].map((e) => e.textContent))"
	want, before := value[[]string](b, state), b.shown("#shown")[0]
	w.remember(80, time.Now())
	b.comes("document.querySelector('#shown').textContent !== " + quoted(before) + " && document.documentElement.dataset.ready === 'true'")
	if got := soon[[]string](b, state); !slices.Equal(got, want) || !slices.Equal(got, []string{"backend", "main", "all that is remembered", "ref", "backend"}) {
		t.Errorf("after the page has loaded itself again it shows %q, and had %q", got, want)
	}

	// Who reads a table is not disturbed.
	const loaded = "performance.timeOrigin"
	b.do(chromedp.KeyEvent(kb.Shift))
	b.press(".chart summary", kb.Enter)
	opened := soon[float64](b, loaded)
	time.Sleep(12 * time.Second)
	if now := soon[float64](b, loaded); now != opened {
		t.Error("the page loads itself again while somebody reads a table")
	}
	b.press(".chart summary", kb.Enter)
	b.comes(fmt.Sprintf("%s > %f", loaded, opened+1))

	end()
	if strings.Contains(string(file(t, page)), `"reload":`) {
		t.Error("a page that nobody writes any more loads itself again")
	}
	b.comes("!document.querySelector('#reload') && document.documentElement.dataset.ready === 'true'")
	last := soon[float64](b, loaded)
	time.Sleep(7 * time.Second)
	if now := soon[float64](b, loaded); now != last {
		t.Error("the page goes on to load itself again")
	}
	b.quiet(page)
}

// soon is what an expression comes to on a page that may be loading itself again.
func soon[T any](b *browser, expression string) T {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
		if err == nil {
			return v
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%.200s: %v", expression, err)
		}
	}
}

// comes waits for what an expression says of such a page.
func (b *browser) comes(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !soon[bool](b, "Boolean("+expression+")"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for %s", expression)
		}
	}
}

// watch starts the program, and waits until it has written a page. It returns how to interrupt it, whereupon it ends well.
func (w *world) watch(more ...string) (end func()) {
	w.t.Helper()
	program, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(w.t.Context())
	var log bytes.Buffer
	ended := make(chan error, 1)
	command := run.Command{Argv: append([]string{program}, w.args(append(more, "--watch")...)...), Dir: w.repo.Dir, Env: w.environ(sample.Job{}), Stdout: &log, Stderr: &log}
	go func() {
		_, err := run.OS(ctx, command)
		ended <- err
	}()
	w.t.Cleanup(interrupt)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(w.dashboard(), "index.html")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			interrupt()
			w.t.Fatalf("no page: %v\n%s", <-ended, &log)
		}
	}
	return func() {
		interrupt()
		var failed *run.Error
		if err := <-ended; !errors.As(err, &failed) || failed.Code != 0 {
			w.t.Errorf("interrupted, the program ended with %v\n%s", err, &log)
		}
	}
}

// filters chooses by keys, and back: what the script then says is what the program had written.
func (b *browser) filters() {
	b.t.Helper()
	written := [][]string{b.shown("#cards dd"), b.shown("#services td, #services tbody th"), b.shown("#shown")}
	charts := len(b.shown("#times canvas"))
	b.choose("#service", "backend")
	if got := b.shown("#services tbody th"); !slices.Equal(got, []string{"backend"}) {
		b.t.Errorf("of backend alone the services are %q", got)
	}
	if got := len(b.shown("#times canvas")); got != 1 || charts != len(sample.Services) {
		b.t.Errorf("%d charts of build times became %d", charts, got)
	}
	if got := value[int](b, "document.querySelectorAll('#steps tbody tr:not([hidden])').length"); got == 0 || got >= len(b.shown("#steps tbody tr")) {
		b.t.Errorf("%d steps of backend are shown", got)
	}
	all := b.shown("#shown")[0]
	b.choose("#ref", "topic")
	b.press("#days", kb.ArrowDown)
	if got := b.shown("#shown")[0]; got == all || got == "0 builds shown" {
		b.t.Errorf("of a branch in seven days %s, and %s of all", got, all)
	}
	if got := b.shown("#latest tbody td:nth-child(3)"); len(got) == 0 || slices.ContainsFunc(got, func(ref string) bool { return ref != "topic" }) {
		b.t.Errorf("the builds of topic are of %q", got)
	}
	b.press(".filters button", kb.Enter)
	b.until("document.querySelector('#shown').textContent === " + quoted(written[2][0]))
	if diff := cmp.Diff(written, [][]string{b.shown("#cards dd"), b.shown("#services td, #services tbody th"), b.shown("#shown")}); diff != "" {
		b.t.Errorf("the script does not come to what the program has written (-program +script):\n%s", diff)
	}
}

// tables opens each chart's table, and looks once more.
func (b *browser) tables(axe string) {
	b.t.Helper()
	charts := len(b.shown(".chart canvas"))
	b.press(".chart summary", kb.Enter)
	b.do(chromedp.WaitReady(chromedp.CSS(".chart details[open] tbody tr")))
	value[chromedp.Void](b, "document.querySelectorAll('.chart details').forEach((d) => { d.open = true; })")
	b.until("document.querySelectorAll('.chart tbody').length === document.querySelectorAll('.chart').length")
	if got := len(b.shown(".chart table")); got != charts || charts < 8 {
		b.t.Errorf("%d charts have %d tables", charts, got)
	}
	for _, text := range b.shown(".chart tbody") {
		if text == "" || strings.Contains(text, "NaN") || strings.Contains(text, "undefined") {
			b.t.Errorf("a table has %.200q", text)
		}
	}
	for what, columns := range map[string][3]int{"when built": {10, 0, 3}, "live": {11, 3, 6}} {
		drawn := value[int](b, fmt.Sprintf("[...[...document.querySelectorAll('.chart')].find((e) => e.querySelector('h3').textContent === 'Findings over time').querySelectorAll('tbody tr:first-child td')].slice(%d, %d).reduce((sum, e) => sum + Number(e.textContent), 0)", columns[1], columns[2]))
		if told := value[int](b, fmt.Sprintf("[...document.querySelectorAll('#services tbody td:nth-child(%d)')].reduce((sum, e) => sum + Number(e.textContent), 0)", columns[0])); drawn != told || told == 0 {
			b.t.Errorf("%d findings %s are drawn, and %d told of the services", drawn, what, told)
		}
	}
	if serious := b.audit(axe); len(serious) > 0 {
		b.t.Errorf("with all tables axe finds\n%s", strings.Join(serious, "\n"))
	}
}

// keepScreenshot leaves a picture where SCREENSHOTS names a folder.
func keepScreenshot(b *browser, name string) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		b.t.Error(err)
	}
}
