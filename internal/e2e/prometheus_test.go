package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/dashboard"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
)

// TestPrometheus has a Prometheus scrape what the program has written, from a plain file server, and asks it for figures, which are those of the JSON. It
// takes no damaged text.
func TestPrometheus(t *testing.T) {
	w := newWorld(t)
	server, tool, err := parts.Prometheus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.remember(400, time.Now())
	w.mode = "report"
	if o := w.run(sample.Job{}); o.code != report.ExitDone {
		t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	folder := w.dashboard()
	text, figures := file(t, filepath.Join(folder, "metrics.txt")), readFigures(t, folder)
	if out, err := run.OS(t.Context(), run.Command{Argv: []string{tool, "check", "metrics"}, Env: os.Environ(), Stdin: bytes.NewReader(text)}); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}

	files := http.FileServer(http.Dir(folder))
	mux := http.NewServeMux()
	mux.Handle("/metrics.txt", files)
	mux.HandleFunc("/openmetrics.txt", func(out http.ResponseWriter, r *http.Request) {
		out.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		files.ServeHTTP(out, r)
	})
	mux.HandleFunc("/damaged.txt", func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(text[:len(text)-len(text)/3]) })
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	p := startPrometheus(t, server, web.Listener.Addr().String(), "metrics", "openmetrics", "damaged")

	p.until(`up`, map[string]float64{`up{job="metrics"}`: 1, `up{job="openmetrics"}`: 1, `up{job="damaged"}`: 0})
	for _, job := range []string{"metrics", "openmetrics"} {
		p.until(fmt.Sprintf(`{__name__=~"ghcr_publish_.+",job=%q}`, job), metricsOf(figures, job))
	}
	if left := p.query(`{__name__=~"ghcr_publish_.+",job="damaged"}`); len(left) > 0 {
		t.Errorf("of a damaged text there is %v", left)
	}
}

// metricsOf are the metrics that figures come to, by name and labels.
func metricsOf(f dashboard.Figures, job string) map[string]float64 {
	all := map[string]float64{}
	add := func(name string, value float64, more string, s ...dashboard.Service) {
		labels := fmt.Sprintf("job=%q,repository=%q", job, f.Repository)
		for _, s := range s {
			labels += fmt.Sprintf(",service=%q", s.Name)
		}
		labels = strings.Join(inOrder(strings.Split(strings.Trim(labels+","+more, ","), ",")), ",")
		all["ghcr_publish_"+name+"{"+labels+"}"] = value
	}
	add("schedule_efficiency_ratio", f.Schedule.Efficiency, "")
	for _, s := range f.Services {
		for name, value := range map[string]*float64{"success_ratio": s.Success, "build_median_seconds": s.Seconds, "build_within_expectation_ratio": s.Within, "cache_hit_ratio": s.HitRate, "startup_median_seconds": s.Startup} {
			add(name, *value, "", s)
		}
		passed := 0.0
		if *s.LastPassed {
			passed = 1
		}
		for name, value := range map[string]float64{"build_expected_seconds": s.Next.Seconds, "build_expected_low_seconds": s.Next.Low, "build_expected_high_seconds": s.Next.High, "last_build_timestamp_seconds": float64(s.LastAt.Unix()),
			"last_build_passed": passed, "work_seconds": s.Work, "peak_memory_bytes": s.PeakMemory, "last_rescan_timestamp_seconds": float64(s.RescanAt.Unix())} {
			add(name, value, "", s)
		}
		for outcome, n := range map[string]int{"passed": s.Passed, "refused_or_failed": s.Builds - s.Passed} {
			add("builds", float64(n), fmt.Sprintf("outcome=%q", outcome), s)
		}
		for outcome, n := range map[string]int{"healthy": s.Trials - s.Failed, "failed": s.Failed - s.Flaky, "flaky": s.Flaky} {
			add("trials", float64(n), fmt.Sprintf("outcome=%q", outcome), s)
		}
		for platform, bytes := range s.Sizes {
			add("image_bytes", bytes, fmt.Sprintf("platform=%q", platform), s)
		}
		for severity, n := range s.Findings {
			add("findings", float64(n), fmt.Sprintf("severity=%q", severity), s)
		}
		for severity, n := range s.Live {
			add("live_findings", float64(n), fmt.Sprintf("severity=%q", severity), s)
		}
	}
	return all
}

func readFigures(t *testing.T, folder string) (f dashboard.Figures) {
	t.Helper()
	if err := json.Unmarshal(file(t, filepath.Join(folder, "figures.json")), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// A prometheus listens on this machine alone.
type prometheus struct {
	t    *testing.T
	addr string
	log  *bytes.Buffer
}

// startPrometheus has one scrape files of a server, NAME.txt each, every second, until the test ends.
func startPrometheus(t *testing.T, program, target string, names ...string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	config := "global: {scrape_interval: 1s}\nscrape_configs:\n"
	for _, name := range names {
		config += fmt.Sprintf("- {job_name: %s, metrics_path: /%s.txt, static_configs: [{targets: [%q]}]}\n", name, name, target)
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &prometheus{t: t, addr: free.Addr().String(), log: &bytes.Buffer{}}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.addr, "--web.console.templates="+dir, "--web.console.libraries="+dir)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, []string{}, p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("Prometheus ended: %v\n%s", err, p.log)
		}
	})
	return p
}

// until asks until the answer is what is wanted.
func (p *prometheus) until(query string, want map[string]float64) {
	p.t.Helper()
	var got map[string]float64
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if got = p.query(query); maps.Equal(got, want) {
			return
		}
	}
	p.t.Fatalf("%s (-want +got):\n%s", query, cmp.Diff(want, got))
}

// query is what an expression comes to now, by name and labels; nil while there is no answer.
func (p *prometheus) query(query string) map[string]float64 {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil // it has not begun yet
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]json.RawMessage
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil
	}
	all := map[string]float64{}
	for _, r := range answer.Data.Result {
		var text string
		var value float64
		if err := json.Unmarshal(r.Value[1], &text); err != nil {
			p.t.Fatal(err)
		}
		if _, err := fmt.Sscan(text, &value); err != nil {
			p.t.Fatal(err)
		}
		name := r.Metric["__name__"]
		delete(r.Metric, "__name__")
		delete(r.Metric, "instance")
		var labels []string
		for label, value := range r.Metric {
			labels = append(labels, fmt.Sprintf("%s=%q", label, value))
		}
		all[name+"{"+strings.Join(inOrder(labels), ",")+"}"] = value
	}
	return all
}

func inOrder(texts []string) []string { return slices.Sorted(slices.Values(texts)) }

func file(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
