package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/ghcr-publish/internal/action"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/run"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// one is the configuration of backend alone, with these gates.
func one(gates string) string {
	return "services:\n  - {name: backend, image: prompt-card-backend, dockerfile: backend/Dockerfile, port: 3001, health_endpoint: /health}\ngates: " + gates + "\n"
}

// publishAt runs the program in this process, at a time of its own and without a Docker Engine: what is published is judged again.
func (w *world) publishAt(now time.Time, more ...string) outcome {
	w.t.Helper()
	_ = os.Remove(w.reportFile())
	var log bytes.Buffer
	env := slices.DeleteFunc(w.environ(sample.Job{}), func(entry string) bool { return strings.HasPrefix(entry, "DOCKER_HOST=") })
	o := outcome{code: action.Main(w.t.Context(), action.Process{Args: w.args(more...), Environ: append(env, "DOCKER_HOST=tcp://127.0.0.1:1"), Dir: w.repo.Dir,
		Stdout: &log, Stderr: &log, Run: run.OS, Now: func() time.Time { return now }, Version: "e2e"})}
	o.log = log.String()
	data, err := os.ReadFile(w.reportFile())
	if err != nil {
		w.t.Fatalf("exit code %d and no report: %v\n%s", o.code, err, o.log)
	}
	checkSchema(w.t, data)
	if err := json.Unmarshal(data, &o.Report); err != nil {
		w.t.Fatal(err)
	}
	return o
}

// found is what a report says of a finding on a platform.
func (o outcome) found(t *testing.T, platform, id string) verdict.Finding {
	t.Helper()
	for _, p := range o.Services[0].Platforms {
		for _, f := range p.Findings {
			if p.Platform == platform && f.ID == id {
				return f
			}
		}
	}
	t.Fatalf("%s was not found on %s: %+v", id, platform, o.Services[0].Platforms)
	return verdict.Finding{}
}

// TestExceptionEnds publishes an image with a finding that is excepted, and judges it again when the exception is over.
func TestExceptionEnds(t *testing.T) {
	w := newWorld(t)
	until := time.Now().UTC().AddDate(0, 0, 1)
	w.commit("a known fault", map[string]string{"backend/Dockerfile": sample.Weaken(w.read("backend/Dockerfile")), ".github/ghcr-publish.yml": one("{startup: {on_unavailable: warn}}"),
		".trivyignore": "# no untrusted arguments\nCVE-2021-44906 exp:" + until.Format(service.Day) + "\n"})
	first := w.mustPublish(report.ExitDone)
	if f := first.found(t, "linux/arm64", "CVE-2021-44906"); !f.Exception.Holds() || f.Exception.Reason != "no untrusted arguments" {
		t.Errorf("exception %+v", f.Exception)
	}
	if notes := strings.Join(first.Services[0].Verdict.Notes, "\n"); !strings.Contains(notes, "ends after "+until.Format(service.Day)) {
		t.Errorf("notes %q", notes)
	}
	before := w.tags("backend")
	if before["main"] != first.Services[0].Digest {
		t.Errorf("tags %v", before)
	}
	w.commit("words", map[string]string{"notes.txt": "x"})
	second := w.publishAt(until.AddDate(0, 0, 1))
	if reasons := strings.Join(second.Services[0].Verdict.Reasons, "\n"); second.code != report.ExitRefused || !strings.Contains(reasons, "(its exception until "+until.Format(service.Day)+", at .trivyignore:2, is over)") {
		t.Errorf("exit code %d, reasons %q\n%s", second.code, reasons, second.log)
	}
	if now := w.tags("backend"); !mapsEqual(now, before) {
		t.Errorf("tags moved from %v to %v", before, now)
	}
	if third := w.publishAt(until); third.code != report.ExitDone || w.tags("backend")["main"] != first.Services[0].Digest {
		t.Errorf("on its last day: exit code %d\n%s", third.code, third.log)
	}
}

// TestOnlyNew lets pass what is published already, and refuses what a change brings.
func TestOnlyNew(t *testing.T) {
	w := newWorld(t)
	weak := sample.Weaken(w.read("backend/Dockerfile"))
	w.commit("an old library on arm64", map[string]string{"backend/Dockerfile": weak, ".github/ghcr-publish.yml": one("{vulnerabilities: {fail_on: NONE}}")})
	w.mustPublish(report.ExitDone)
	w.commit("only new ones refuse", map[string]string{".github/ghcr-publish.yml": one("{vulnerabilities: {only_new: true}}"), "backend/www/new": "1"})
	second := w.mustPublish(report.ExitDone)
	if f := second.found(t, "linux/arm64", "CVE-2021-44906"); !f.Known || second.Services[0].Action != "build" {
		t.Errorf("%s: %+v", second.Services[0].Action, f)
	}
	before := w.tags("backend")
	worse := strings.Replace(weak, "    fi\n", "    fi; mkdir -p /app/node_modules/lodash && echo '{\"name\": \"lodash\", \"version\": \"4.17.4\"}' >/app/node_modules/lodash/package.json\n", 1)
	w.commit("another old library, on both", map[string]string{"backend/Dockerfile": worse})
	third := w.mustPublish(report.ExitRefused)
	reasons := third.Services[0].Verdict.Reasons
	if len(reasons) != 2 || !strings.Contains(reasons[1], "linux/arm64 has 1 finding of severity CRITICAL or worse: CVE-2019-10744 in lodash 4.17.4") {
		t.Errorf("reasons %q", reasons)
	}
	i := slices.IndexFunc(third.Services[0].Compared, func(f report.Figure) bool { return f.Name == verdict.Findings })
	if f := third.Services[0].Compared[i]; f.Basis != verdict.Measured || *f.Published <= 0 || f.Now <= *f.Published || f.Change <= 0 {
		t.Errorf("findings are compared as %+v", f)
	}
	if third.found(t, "linux/arm64", "CVE-2019-10744").Known || !third.found(t, "linux/arm64", "CVE-2021-44906").Known {
		t.Error("new and old are not told apart")
	}
	if now := w.tags("backend"); !mapsEqual(now, before) {
		t.Errorf("tags moved from %v to %v", before, now)
	}
}

// TestDatabaseAge judges by a database that is too old, and by one of an earlier run where nobody gives a newer one.
func TestDatabaseAge(t *testing.T) {
	w := newWorld(t)
	w.commit("backend alone", map[string]string{".github/ghcr-publish.yml": one("{startup: {on_unavailable: warn}}")})
	first := w.mustPublish(report.ExitDone)
	if first.Database == nil || first.Database.Updated.IsZero() || first.Database.Kept != "" {
		t.Errorf("database %+v", first.Database)
	}
	if info, err := os.Stat(filepath.Join(trivyCache, "db", "trivy.db")); err != nil || info.Mode().Perm()&0o004 == 0 {
		t.Errorf("the database cannot be kept by another step: %v, %v", info, err)
	}
	w.commit("words", map[string]string{"notes.txt": "x"})
	old := w.publishAt(time.Now().AddDate(0, 0, 4))
	if reasons := strings.Join(old.Services[0].Verdict.Reasons, "\n"); old.code != report.ExitRefused || !strings.Contains(reasons, "the vulnerability database is too old to judge by") {
		t.Errorf("exit code %d, reasons %q\n%s", old.code, reasons, old.log)
	}
	defer func(before string) { trivyCache = before }(trivyCache)
	trivyCache = agedCache(t, 10*time.Hour)
	kept := w.publishAt(time.Now(), "--trivy-db", "127.0.0.1:1/aquasec/trivy-db:2")
	if notes := strings.Join(kept.Services[0].Verdict.Notes, "\n"); kept.code != report.ExitDone || !strings.Contains(notes, "10h0m0s old; no newer one could be fetched: ") {
		t.Errorf("exit code %d, notes %q\n%s", kept.code, notes, kept.log)
	}
	if f := kept.Services[0].Platforms; len(f) != 2 || !f[0].Scanned || !f[1].Scanned {
		t.Errorf("not scanned: %+v", f)
	}
	w.commit("more words", map[string]string{"notes.txt": "y"})
	trivyCache = agedCache(t, 100*time.Hour)
	mirrors := "127.0.0.1:1/aquasec/trivy-db:2," + strings.Join(parts.TrivyDB, ",")
	if renewed := w.publishAt(time.Now(), "--trivy-db", mirrors); renewed.code != report.ExitDone || renewed.Database.From == "" || renewed.Database.AgeSeconds > 72*3600 {
		t.Errorf("exit code %d, %+v\n%s", renewed.code, renewed.Database, renewed.log)
	}
}

// agedCache is a copy of Trivy's cache whose database Trivy would renew.
func agedCache(t *testing.T, age time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(trivyCache)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "db", "metadata.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(data, &metadata); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"UpdatedAt", "NextUpdate", "DownloadedAt"} {
		metadata[key] = time.Now().Add(-age).UTC()
	}
	if data, err = json.Marshal(metadata); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSecretInAnImage is found, and told to nobody.
func TestSecretInAnImage(t *testing.T) {
	w := newWorld(t)
	const secret = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"
	healthless := regexp.MustCompile(`(?s)HEALTHCHECK.*?200 '\n`).ReplaceAllString(w.read("backend/Dockerfile"), "")
	w.commit("a secret", map[string]string{"backend/Dockerfile": healthless, "backend/www/deploy.sh": "export GITHUB_TOKEN=" + secret + "\n",
		".github/ghcr-publish.yml": one("{secrets: {fail_on: HIGH}, misconfiguration: {fail_on: NONE}, licences: {fail_on: NONE}}")})
	o := w.mustPublish(report.ExitRefused)
	if reasons := strings.Join(o.Services[0].Verdict.Reasons, "\n"); !strings.Contains(reasons, "linux/arm64 has 1 secret of severity HIGH or worse: github-pat in www/deploy.sh") {
		t.Errorf("reasons %q", reasons)
	}
	o.found(t, "linux/amd64", "DS-0026") // no HEALTHCHECK
	data, err := os.ReadFile(w.reportFile())
	if err != nil {
		t.Fatal(err)
	}
	uploads, err := json.Marshal(w.api.SARIFs())
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"log": o.log, "report": string(data), "SARIF": string(uploads)} {
		if strings.Contains(text, secret) || !strings.Contains(text, "github-pat") {
			t.Errorf("the %s tells the secret, or not where it is:\n%s", where, text)
		}
	}
	w.commit("without it", map[string]string{"backend/www/deploy.sh": ""})
	w.mustPublish(report.ExitDone)
}

// TestVEX lets pass what a document says does no harm, and nothing else, in each form that Trivy takes for images.
func TestVEX(t *testing.T) {
	open := func(products string) string {
		return `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex/1", "author": "octo", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": [
			{"vulnerability": {"name": "CVE-2021-44906"}, "products": [` + products + `], "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}]}`
	}
	csaf := func(purl string) string {
		return `{"document": {"category": "csaf_vex", "csaf_version": "2.0"},
			"product_tree": {"full_product_names": [{"name": "minimist", "product_id": "m", "product_identification_helper": {"purl": "` + purl + `"}}]},
			"vulnerabilities": [{"cve": "CVE-2021-44906", "product_status": {"known_not_affected": ["m"]}, "threats": [{"category": "impact", "details": "vulnerable_code_not_in_execute_path"}]}]}`
	}
	cases := map[string]struct{ document, twin string }{
		"OpenVEX of a package": {open(`{"@id": "pkg:npm/minimist@0.0.8"}`), open(`{"@id": "pkg:npm/minimist@0.0.9"}`)},
		"OpenVEX of the image": {open(`{"@id": "pkg:oci/prompt-card-backend", "subcomponents": [{"@id": "pkg:npm/minimist"}]}`), open(`{"@id": "pkg:oci/prompt-card-web", "subcomponents": [{"@id": "pkg:npm/minimist"}]}`)},
		"CSAF of a package":    {csaf("pkg:npm/minimist@0.0.8"), csaf("pkg:npm/minimist@0.0.9")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.commit("a fault that does no harm", map[string]string{"backend/Dockerfile": sample.Weaken(w.read("backend/Dockerfile")),
				".github/ghcr-publish.yml": one("{vulnerabilities: {vex: [vex.json]}}"), "vex.json": c.document})
			o := w.mustPublish(report.ExitDone)
			arm := o.Services[0].Platforms[1]
			if len(arm.Harmless) != 1 || *arm.Harmless[0].Harmless != (verdict.Statement{Status: "not_affected", Why: "vulnerable_code_not_in_execute_path", Document: "vex.json"}) || arm.Counts["CRITICAL"] != 0 {
				t.Errorf("%s: %+v", arm.Platform, arm)
			}
			w.commit("of something else", map[string]string{"vex.json": c.twin})
			refused := w.mustPublish(report.ExitRefused)
			refused.found(t, "linux/arm64", "CVE-2021-44906")
		})
	}
}
