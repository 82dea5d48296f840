package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

var platforms = []string{"linux/amd64", "linux/arm64"}

func (w *world) auth() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: "octocat", Password: w.token})
}

func (w *world) repository(service string) name.Repository {
	w.t.Helper()
	repository, err := name.NewRepository(hub.addr + "/" + w.owner + "/" + sample.Images[service])
	if err != nil {
		w.t.Fatal(err)
	}
	return repository
}

// tags returns what a service's tags point to.
func (w *world) tags(service string) map[string]string {
	w.t.Helper()
	repository := w.repository(service)
	names, err := remote.List(repository, w.auth())
	if err != nil {
		if strings.Contains(err.Error(), "NAME_UNKNOWN") || strings.Contains(err.Error(), "404") {
			return map[string]string{}
		}
		w.t.Fatal(err)
	}
	at := map[string]string{}
	for _, tag := range names {
		if !registry.IsUserTag(tag) {
			continue
		}
		desc, err := remote.Head(repository.Tag(tag), w.auth())
		if err != nil {
			w.t.Fatal(err)
		}
		at[tag] = desc.Digest.String()
	}
	return at
}

func (w *world) index(service, digest string) *v1.IndexManifest {
	w.t.Helper()
	index, err := remote.Index(w.repository(service).Digest(digest), w.auth())
	if err != nil {
		w.t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		w.t.Fatal(err)
	}
	return manifest
}

// output reads one of the action's outputs, which is JSON.
func (w *world) output(name string, into any) {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.temp, "output"))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), name+"<<")
	_, rest, _ = strings.Cut(rest, "\n")
	value, _, _ := strings.Cut(rest, "\n")
	if err := json.Unmarshal([]byte(value), into); err != nil {
		w.t.Fatalf("output %s: %v in %s", name, err, data)
	}
}

// held lists the platforms of an index, and counts its attestations.
func (w *world) held(service, digest string) (images []string, attestations int) {
	w.t.Helper()
	for _, child := range w.index(service, digest).Manifests {
		if child.Platform.OS == "unknown" {
			attestations++
		} else {
			images = append(images, child.Platform.String())
		}
	}
	slices.Sort(images)
	return images, attestations
}

// checkPublished compares a report with what the registry really holds.
func (w *world) checkPublished(o outcome, tags ...string) {
	w.t.Helper()
	for _, s := range o.Services {
		at := w.tags(s.Name)
		for _, tag := range tags {
			if at[tag] != s.Digest || s.Digest == "" {
				w.t.Errorf("%s:%s is %q, reported %q", s.Name, tag, at[tag], s.Digest)
			}
		}
		manifest := w.index(s.Name, s.Digest)
		for _, child := range manifest.Manifests {
			for _, p := range s.Platforms {
				if p.Platform == child.Platform.String() && p.Digest != child.Digest.String() {
					w.t.Errorf("%s for %s is %s, reported %s", s.Name, p.Platform, child.Digest, p.Digest)
				}
			}
		}
		if found, attested := w.held(s.Name, s.Digest); !slices.Equal(found, platforms) || attested != len(platforms) {
			w.t.Errorf("%s has platforms %q with %d attestations", s.Name, found, attested)
		}
		if manifest.Annotations["org.opencontainers.image.revision"] == "" {
			w.t.Errorf("%s names no revision: %v", s.Name, manifest.Annotations)
		}
	}
}

func TestPublish(t *testing.T) {
	w := newWorld(t)
	first := w.mustPublish(report.ExitDone)
	w.checkPublished(first, "main")
	for _, line := range []string{"✅ backend started in ", "✅ Image sizes under 1GB threshold", "✅ All health checks passing", "::group::Build of backend, which took "} {
		if !strings.Contains(first.log, line) {
			t.Errorf("the log lacks %q:\n%s", line, first.log)
		}
	}
	for _, s := range first.Services {
		if s.Action != "build" || !s.Healthy || s.StartupSeconds <= 0 || s.PeakMemoryBytes <= 0 || s.CPUSeconds <= 0 || s.UnpackedBytes <= 0 || len(s.Steps) == 0 {
			t.Errorf("%s was not measured: %+v", s.Name, s)
		}
		if !strings.Contains(s.Image, "/"+w.owner+"/") {
			t.Errorf("image %s is not %s's", s.Image, w.owner)
		}
	}
	w.checkNoImages(first)
	w.checkCodeScanning(first)
	w.checkMemory(3)
	var matrix struct{ Include []struct{ Row string } }
	var digests map[string]string
	w.output("matrix", &matrix)
	w.output("digests", &digests)
	if len(matrix.Include) != 3 || matrix.Include[0].Row != "frontend" || digests["auth"] != first.Services[2].Digest {
		t.Errorf("outputs: matrix %+v, digests %v", matrix, digests)
	}
	summary, err := os.ReadFile(filepath.Join(w.temp, "summary.md"))
	if err != nil || !strings.HasPrefix(string(summary), "### ✅ Published backend, frontend, auth") {
		t.Errorf("summary %v: %s", err, summary)
	}
	t.Run("the same commit again builds nothing", w.again(first))
	t.Run("a change to one service builds that one", w.changeOne(first))
}

// checkNoImages looks in the engine's store for what the run tried out.
func (w *world) checkNoImages(o outcome) {
	w.t.Helper()
	e, err := engine.Open(os.Getenv)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range o.Services {
		for _, p := range s.Platforms {
			if has, err := e.Has(w.t.Context(), s.Image+"@"+p.Digest); has || err != nil {
				w.t.Errorf("%s for %s is still in the engine's store (%v)", s.Name, p.Platform, err)
			}
		}
	}
}

// TestReleaseAgain runs a release once more after its branch has gone on.
func TestReleaseAgain(t *testing.T) {
	w := newWorld(t)
	release := sample.Job{Ref: "refs/tags/v1.0.0"}
	first := w.publish(release)
	w.checkPublished(first, "1.0.0", "latest")
	w.commit("go on", map[string]string{"backend/www/index.html": "changed\n"})
	w.mustPublish(report.ExitDone)
	if _, err := w.repo.Git(t.Context(), "checkout", "--quiet", "HEAD~1"); err != nil {
		t.Fatal(err)
	}
	if o := w.publish(release); o.code != report.ExitDone || o.Outcome != "nothing-to-do" {
		t.Errorf("exit code %d, %s\n%s", o.code, o.Outcome, o.log)
	}
	w.checkPublished(first, "1.0.0", "latest")
}

func (w *world) again(first outcome) func(*testing.T) {
	return func(t *testing.T) {
		before := len(hub.of(w.owner))
		o := w.mustPublish(report.ExitDone)
		if o.Outcome != "nothing-to-do" {
			t.Errorf("outcome %s", o.Outcome)
		}
		for i, s := range o.Services {
			if s.Action != "skip" || s.Digest != first.Services[i].Digest {
				t.Errorf("%s: %s %s, %s", s.Name, s.Action, s.Digest, s.Reason)
			}
		}
		for _, q := range hub.of(w.owner)[before:] {
			if q.method != http.MethodGet && q.method != http.MethodHead {
				t.Errorf("the registry was written to: %+v", q)
			}
		}
	}
}

func (w *world) changeOne(first outcome) func(*testing.T) {
	return func(t *testing.T) {
		sha := w.commit("change auth", map[string]string{"auth/www/auth/extra": "x"})
		o := w.mustPublish(report.ExitDone)
		w.checkPublished(o, "main", "sha-"+sha[:7])
		for i, want := range []string{"reuse", "reuse", "build"} {
			s := o.Services[i]
			if s.Action != want || (s.Digest == first.Services[i].Digest) != (want == "reuse") {
				t.Errorf("%s: %s %s, want %s", s.Name, s.Action, s.Digest, want)
			}
		}
		if rate := o.Services[2].CacheHitRate; rate <= 0.3 {
			t.Errorf("auth's dependency layers came not from the cache: rate %.2f", rate)
		}
	}
}

func (w *world) checkCodeScanning(o outcome) {
	w.t.Helper()
	uploads := w.api.SARIFs()
	if len(uploads) != 1 {
		w.t.Fatalf("%d uploads, want 1", len(uploads))
	}
	if u := uploads[0]; len(u.Categories) != 6 || u.CommitSHA != o.Commit || u.Ref != "refs/heads/main" {
		w.t.Errorf("upload %+v", u)
	}
}

// checkMemory looks for the insights of a run's services.
func (w *world) checkMemory(services int) {
	w.t.Helper()
	store, err := memory.Open(w.t.Context(), filepath.Join(w.repo.Dir, ".swarm", "memory.db"), timeNow)
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	for _, namespace := range []string{"builds", "scans", "validations", "cache"} {
		entries, err := store.List(w.t.Context(), namespace, 0)
		if err != nil || len(entries) != services {
			w.t.Errorf("%d entries in %s, want %d (%v)", len(entries), namespace, services, err)
		}
	}
}

func TestRefusedForOnePlatform(t *testing.T) {
	w := newWorld(t)
	w.mustPublish(report.ExitDone)
	before := map[string]map[string]string{}
	for _, s := range sample.Services {
		before[s] = w.tags(s)
	}
	w.commit("an old library on arm64", map[string]string{"backend/Dockerfile": sample.Weaken(w.read("backend/Dockerfile")), "auth/www/auth/extra": "x"})

	o := w.mustPublish(report.ExitRefused)
	for _, s := range sample.Services {
		if now := w.tags(s); !mapsEqual(now, before[s]) {
			t.Errorf("tags of %s moved from %v to %v", s, before[s], now)
		}
	}
	backend, auth := o.Services[0], o.Services[2]
	if backend.Verdict.Outcome != "refused" || !strings.Contains(strings.Join(backend.Verdict.Reasons, ""), "linux/arm64 has 1 finding of severity CRITICAL") {
		t.Errorf("backend: %+v", backend.Verdict)
	}
	if auth.Verdict.Outcome != "approved" || len(auth.Moved) != 0 {
		t.Errorf("auth: %+v, moved %v", auth.Verdict, auth.Moved)
	}
	if !strings.Contains(o.log, "::error") || !strings.Contains(o.log, "CVE-2021-44906") {
		t.Errorf("the log does not say why:\n%s", o.log)
	}
	w.checkAlert("ghcr-publish/backend/linux/arm64", "CVE-2021-44906")
	w.checkLine("CVE-2021-44906", "backend/Dockerfile", `RUN if [ "$TARGETARCH" = arm64 ]`)

	t.Run("per service the others are published", func(t *testing.T) {
		o := w.mustPublish(report.ExitRefused, "--promote", "per-service")
		if now := w.tags("backend"); !mapsEqual(now, before["backend"]) {
			t.Errorf("backend's tags moved to %v", now)
		}
		if at := w.tags("auth")["main"]; at != o.Services[2].Digest || at == before["auth"]["main"] {
			t.Errorf("auth:main is %s", at)
		}
	})
	t.Run("mended, everything is published", func(t *testing.T) {
		w.commit("mend", map[string]string{"backend/Dockerfile": strings.Replace(w.read("backend/Dockerfile"), "0.0.8", "1.2.8", 1)})
		w.checkPublished(w.mustPublish(report.ExitDone), "main")
	})
	t.Run("what is live is judged again", func(t *testing.T) {
		now := w.tags("backend")
		w.mode = "rescan"
		o := w.mustPublish(report.ExitDone)
		live := 0
		for _, s := range o.Services {
			if s.Verdict.Outcome != "approved" || len(s.Platforms) != 2 || !s.Platforms[1].Scanned {
				t.Errorf("%s, %s: %+v", s.Name, s.Reason, s.Verdict)
			}
			if s.Name == "backend" {
				live++
			}
		}
		if live < 2 || !mapsEqual(w.tags("backend"), now) {
			t.Errorf("%d live images of backend, tags %v", live, w.tags("backend"))
		}
	})
}

// checkAlert looks for a finding in the last upload's run of a category.
func (w *world) checkAlert(category, id string) {
	w.t.Helper()
	uploads := w.api.SARIFs()
	last := uploads[len(uploads)-1]
	for _, r := range last.Log["runs"].([]any) {
		run := r.(map[string]any)
		details, _ := run["automationDetails"].(map[string]any)
		found := false
		for _, result := range run["results"].([]any) {
			found = found || result.(map[string]any)["ruleId"] == id
		}
		if here := strings.HasPrefix(details["id"].(string), category); here != found {
			w.t.Errorf("%s in category %v: %v", id, details["id"], found)
		}
	}
}

// checkLine demands that the last upload shows a finding where the instruction stands that brought it in.
func (w *world) checkLine(id, file, instruction string) {
	w.t.Helper()
	before, _, _ := strings.Cut(w.read(file), instruction)
	want := fmt.Sprintf("%s:%d", file, strings.Count(before, "\n")+1)
	uploads := w.api.SARIFs()
	text, err := json.Marshal(uploads[len(uploads)-1].Log)
	if err != nil {
		w.t.Fatal(err)
	}
	var log struct {
		Runs []struct {
			Results []struct {
				RuleID    string
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &log); err != nil {
		w.t.Fatal(err)
	}
	var got []string
	for _, r := range log.Runs {
		for _, result := range r.Results {
			if place := result.Locations[0].PhysicalLocation; result.RuleID == id {
				got = append(got, fmt.Sprintf("%s:%d", place.ArtifactLocation.URI, place.Region.StartLine))
			}
		}
	}
	if !slices.Equal(got, []string{want}) {
		w.t.Errorf("%s is shown at %q, want %s", id, got, want)
	}
}

func TestPullRequestPushesNothing(t *testing.T) {
	w := newWorld(t)
	o := w.publish(sample.Job{Event: "pull_request", Ref: "refs/pull/7/merge"})
	if o.code != report.ExitDone || o.Outcome != "approved" {
		t.Fatalf("exit code %d, outcome %s\n%s", o.code, o.Outcome, o.log)
	}
	for _, s := range o.Services {
		if !s.Healthy || len(s.Platforms) != 2 || !s.Platforms[1].Scanned {
			t.Errorf("%s was not judged: %+v", s.Name, s)
		}
	}
	for _, q := range hub.of(w.owner) {
		if q.method == http.MethodPut || q.method == http.MethodPost {
			t.Errorf("something was pushed: %+v", q)
		}
	}
	w.commit("an old library on arm64", map[string]string{"backend/Dockerfile": sample.Weaken(w.read("backend/Dockerfile"))})
	if o := w.publish(sample.Job{Event: "pull_request", Ref: "refs/pull/7/merge"}); o.code != report.ExitRefused {
		t.Errorf("exit code %d for an image with a critical finding on arm64\n%s", o.code, o.log)
	}
}

func TestOnePlatformWithoutProvenance(t *testing.T) {
	w := newWorld(t)
	config := strings.Replace(w.read(".github/ghcr-publish.yml"), "platforms: [linux/amd64, linux/arm64]", "platforms: [linux/amd64]\nprovenance: \"false\"", 1)
	w.commit("one platform", map[string]string{".github/ghcr-publish.yml": config})
	w.mustPublish(report.ExitDone)
	if o := w.mustPublish(report.ExitDone); o.Outcome != "nothing-to-do" {
		t.Errorf("the second run's outcome is %s:\n%s", o.Outcome, o.log)
	}
}

// scanner is an image that says, by BuildKit's protocol, that an image holds nothing.
const scanner = `FROM busybox
COPY --chmod=755 scan /scan
ENTRYPOINT ["/scan"]
`

const scan = `#!/bin/sh
printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3","packages":[]}}' >"$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"
`

// TestAttestations finds provenance and a list of what is in it beside each platform's image, and what judging needs all the same.
func TestAttestations(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"Dockerfile": scanner, "scan": scan} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.mustPublish(report.ExitDone, "--services", "auth") // which makes the builder
	hub.demand("scanners", "")
	image := hub.addr + "/scanners/nothing:1"
	if _, err := runBuildx(t.Context(), "create", "--name", builder, "--driver", "docker-container"); err != nil && !strings.Contains(err.Error(), "existing instance") {
		t.Fatal(err)
	}
	if _, err := runBuildx(t.Context(), "build", "--builder", builder, "--provenance=false", "--push", "--tag", image, dir); err != nil {
		t.Fatal(err)
	}
	o := w.mustPublish(report.ExitDone, "--services", "auth", "--force", "--sbom", image)
	if images, attestations := w.held("auth", o.Services[0].Digest); !slices.Equal(images, platforms) || attestations != len(platforms) {
		t.Errorf("it holds %q with %d attestations", images, attestations)
	}
	for _, child := range w.index("auth", o.Services[0].Digest).Manifests {
		if child.Platform.OS != "unknown" {
			continue
		}
		attestation, err := remote.Image(w.repository("auth").Digest(child.Digest.String()), w.auth())
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := attestation.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, layer := range manifest.Layers {
			kinds = append(kinds, layer.Annotations["in-toto.io/predicate-type"])
		}
		if !slices.Contains(kinds, "https://spdx.dev/Document") || !strings.Contains(strings.Join(kinds, " "), "https://slsa.dev/provenance/") {
			t.Errorf("%s attests %q", child.Annotations["vnd.docker.reference.digest"], kinds)
		}
	}
}

func TestBrokenBuildStopsNothingElse(t *testing.T) {
	w := newWorld(t)
	w.commit("break auth", map[string]string{"auth/Dockerfile": "FROM busybox\nRUN echo the reason >&2; exit 9\n"})
	o := w.mustPublish(report.ExitFault)
	if backend := o.Services[0]; backend.Verdict.Outcome != "approved" || len(backend.Moved) != 0 {
		t.Errorf("backend: %+v", backend.Verdict)
	}
	if !strings.Contains(o.Services[2].Error, "the reason") {
		t.Errorf("auth's error hides the reason: %s", o.Services[2].Error)
	}
	if at := w.tags("backend"); len(at) != 0 {
		t.Errorf("tags were written: %v", at)
	}
}

func TestUnhealthyImageIsRefused(t *testing.T) {
	w := newWorld(t)
	config := strings.Replace(w.read(".github/ghcr-publish.yml"), "within: 30s", "within: 3s", 1)
	w.commit("never answer", map[string]string{".github/ghcr-publish.yml": config,
		"auth/Dockerfile": "FROM busybox\nUSER 65534\nCMD [\"sh\", \"-c\", \"echo I will not listen; sleep 60\"]\n"})
	o := w.mustPublish(report.ExitRefused)
	auth := o.Services[2]
	if !strings.Contains(strings.Join(auth.Verdict.Reasons, ""), "port 8005 did not answer /auth/health") || !slices.Contains(auth.Log, "I will not listen") {
		t.Errorf("auth: %+v, log %q", auth.Verdict, auth.Log)
	}
	for _, line := range []string{"❌ auth did not start: ", "❌ Health checks failing: auth", "✅ backend started in "} {
		if !strings.Contains(o.log, line) {
			t.Errorf("the log lacks %q", line)
		}
	}
}

func TestEmulationIsRegistered(t *testing.T) {
	w := newWorld(t)
	removeEmulator(t)
	// A BuildKit that runs already has looked for emulators when it started.
	fresh := builder + "-fresh"
	t.Cleanup(func() {
		if err := removeBuilder(fresh); err != nil {
			t.Error(err)
		}
	})
	o := w.mustPublish(report.ExitDone, "--builder", fresh)
	if !strings.Contains(o.log, "registering emulation for linux/arm64") {
		t.Errorf("nothing was registered:\n%s", o.log)
	}
	w.checkPublished(o, "main")
}

// removeEmulator takes arm64's away from the kernel, as it is missing on a machine that never had it.
func removeEmulator(t *testing.T) {
	t.Helper()
	e, err := engine.Open(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	image := "docker.io/library/busybox"
	if parts.BuildkitConfig != "" {
		image = hub.addr + "/library/busybox"
	}
	if err := e.Pull(t.Context(), image, "", engine.Credentials{Host: hub.addr, Username: "anyone", Password: "anything"}); err != nil {
		t.Fatal(err)
	}
	const script = `cd /proc/sys/fs/binfmt_misc; [ -e register ] || mount -t binfmt_misc none .; cd ../binfmt_misc
		if [ -e qemu-aarch64 ]; then echo -1 >qemu-aarch64; fi; [ ! -e qemu-aarch64 ]`
	c, err := e.Start(t.Context(), engine.Spec{Image: image, Command: []string{"sh", "-c", script}, Privileged: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove()
	if code, err := c.Wait(t.Context()); err != nil || code != 0 {
		said, _ := c.Logs(t.Context(), 10)
		t.Fatalf("taking the emulator away ended with %d, %v: %q", code, err, said)
	}
}

// TestSlower refuses an image that starts much slower than the published one, which this machine starts just before, and takes
// it where the gate allows that.
func TestSlower(t *testing.T) {
	w := newWorld(t)
	const config = ".github/ghcr-publish.yml"
	w.commit("compare", map[string]string{config: strings.Replace(w.read(config), "gates:\n", "gates:\n  regression: {startup: 50%}\n", 1)})
	w.mustPublish(report.ExitDone)
	before := w.tags("backend")
	slow := strings.Replace(w.read("backend/Dockerfile"), `CMD ["httpd", `, `CMD ["sh", "-c", "sleep 3; exec \"$@\"", "--", "httpd", `, 1)
	w.commit("start slower", map[string]string{"backend/Dockerfile": slow})
	o := w.mustPublish(report.ExitRefused)
	if reasons := strings.Join(o.Services[0].Verdict.Reasons, "\n"); !strings.Contains(reasons, "its startup rose from ") || !mapsEqual(before, w.tags("backend")) {
		t.Errorf("reasons %q, tags %v, were %v", reasons, w.tags("backend"), before)
	}
	w.commit("compare no more", map[string]string{config: strings.Replace(w.read(config), "  regression: {startup: 50%}\n", "", 1)})
	w.checkPublished(w.mustPublish(report.ExitDone), "main")
}

// TestEmulatedPlatformIsTriedOut starts the arm64 image too, and refuses one that fails on that platform alone.
func TestEmulatedPlatformIsTriedOut(t *testing.T) {
	w := newWorld(t)
	const config = ".github/ghcr-publish.yml"
	w.commit("try out all", map[string]string{config: strings.Replace(w.read(config), "startup: {within: 30s}", "startup: {within: 30s, platforms: all}", 1)})
	o := w.mustPublish(report.ExitDone, "--only", "auth")
	if !strings.Contains(o.log, "✅ auth started for linux/arm64 in ") {
		t.Errorf("the log says nothing of arm64:\n%s", o.log)
	}
	broken := strings.Replace(w.read("auth/Dockerfile"), "\nUSER ", "\nARG TARGETARCH\nRUN if [ \"$TARGETARCH\" = arm64 ]; then rm -r /www; fi\nUSER ", 1)
	w.commit("break arm64", map[string]string{"auth/Dockerfile": broken})
	o = w.mustPublish(report.ExitRefused, "--only", "auth")
	if reasons := strings.Join(o.Services[0].Verdict.Reasons, "\n"); !strings.Contains(reasons, "for linux/arm64, under emulation, auth ") {
		t.Errorf("reasons %q", reasons)
	}
}
