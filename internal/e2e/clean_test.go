package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
	"github.com/org/ghcr-publish/internal/sign"
)

// cleaned is a service whose packages are cleaned up.
const cleaned = `platforms: [linux/amd64, linux/arm64]
services:
  - {name: auth, image: prompt-card-auth, context: auth, port: 8005, health_endpoint: /auth/health}
tags: |
  type=ref,event=branch
  type=ref,event=pr
  type=semver,pattern={{version}}
  type=sha
clean:
  tags: [{match: sha-*, newest: 1}]
  untagged: {newest: 0, younger: 1d}
`

// A household is a world whose registry is as GitHub's own, with the API of its packages, and whose images a key signs.
type household struct {
	*verifier
	by  []string // what cosign proves them by
	age time.Duration
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	h := &household{verifier: newVerifier(newWorld(t))}
	h.api.Clock(func() time.Time { return time.Now().Add(-h.age) })
	hub.front(h.owner, h.api.Registry("orgs", hub.kept))
	h.api.SetBranches("main")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h.write("key.pem", privateKey(t, key))
	h.by = []string{"--insecure-ignore-tlog=true", "--key", h.path("own.pub")}
	h.commit("one service", map[string]string{".github/ghcr-publish.yml": cleaned})
	return h
}

// publish publishes a change as a job does that ran so many days ago.
func (h *household) publish(days int, job sample.Job) report.Service {
	h.t.Helper()
	h.age = time.Duration(days) * 24 * time.Hour
	h.commit(fmt.Sprint("days ago: ", days), map[string]string{"auth/www/auth/extra": fmt.Sprint(days)})
	o := h.world.publish(job, "--push", "true", "--sign-key", "file:"+h.path("key.pem"))
	if o.code != report.ExitDone || len(o.Services) != 1 || o.Services[0].Signature == nil {
		h.t.Fatalf("exit code %d\n%s", o.code, o.log)
	}
	h.write("own.pub", o.Services[0].Signature.PublicKey)
	return o.Services[0]
}

// pullRequest is what the runner tells a job of a pull request.
func (h *household) pullRequest() (unset func()) {
	h.t.Helper()
	event := filepath.Join(h.dir, "event.json")
	if err := os.WriteFile(event, fmt.Appendf(nil, `{"repository": {"default_branch": "main", "full_name": "%[1]s/cards"}, "pull_request": {"base": {"ref": "main"}, "head": {"repo": {"full_name": "%[1]s/cards"}}}}`, sample.Owner), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.env = []string{"GITHUB_EVENT_PATH=" + event}
	return func() { h.env = nil }
}

// clean cleans up today, and returns what the run tells.
func (h *household) clean(more ...string) (told report.Cleaning) {
	h.t.Helper()
	h.age, h.mode = 0, "clean"
	defer func() { h.mode = "" }()
	o := h.run(sample.Job{}, more...)
	data, err := os.ReadFile(h.reportFile())
	if err == nil {
		err = json.Unmarshal(data, &told)
	}
	if err != nil || o.code != report.ExitDone {
		h.t.Fatalf("exit code %d, %v\n%s", o.code, err, o.log)
	}
	if problems := h.api.Problems(); len(problems) > 0 {
		h.t.Errorf("the GitHub API refused: %s", strings.Join(problems, "\n"))
	}
	conforms(h.t, report.CleanSchema, data)
	return told
}

// kill has something be done upon the second deletion of a run that cleans up, and kills that upon a later one.
func (h *household) kill(at int, meanwhile func()) {
	h.t.Helper()
	program, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	h.age, h.mode = 0, "clean"
	cmd := exec.Command(program, h.world.args("--confirm")...)
	h.mode = ""
	cmd.Dir, cmd.Env = h.repo.Dir, h.environ(sample.Job{})
	started, seen := make(chan struct{}), 0
	h.api.Watch(func(r *http.Request) {
		if r.Method != http.MethodDelete {
			return
		}
		switch seen++; seen {
		case 2:
			meanwhile()
		case at:
			<-started
			_ = cmd.Process.Kill()
		}
	})
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	close(started)
	_ = cmd.Wait()
	h.api.Watch(nil)
	if seen != at || cmd.ProcessState.Exited() {
		h.t.Fatalf("it was not killed at its deletion %d: %s", at, cmd.ProcessState)
	}
}

// share publishes an index of one platform's image of another, as a build does that makes the same again.
func (h *household) share(s report.Service) (digest string, err error) {
	img, err := remote.Image(h.repository("auth").Digest(s.Platforms[0].Digest), h.auth())
	if err != nil {
		return "", err
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	hash, err := index.Digest()
	if err != nil {
		return "", err
	}
	return hash.String(), remote.WriteIndex(h.repository("auth").Tag("shared"), index, h.auth())
}

// deleted are the ids of all versions that were deleted.
func (h *household) deleted(api *github.Client) (ids []string) {
	h.t.Helper()
	p, err := api.Package(h.t.Context(), h.owner, sample.Images["auth"])
	if err != nil {
		h.t.Fatal(err)
	}
	versions, err := p.Versions(h.t.Context(), true)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, v := range versions {
		if len(v.Tags) == 0 || v.Tags[0] != registry.CleaningTag {
			ids = append(ids, fmt.Sprint(v.ID))
		}
	}
	return ids
}

// pulled demands that all of an image is there, with its attestations, that a Docker Engine pulls it for each platform, and that the real
// cosign proves it.
func (h *household) pulled(s report.Service) {
	h.t.Helper()
	if found, attested := h.held("auth", s.Digest); !slices.Equal(found, platforms) || attested != len(platforms) {
		h.t.Errorf("%s has platforms %q with %d attestations", s.Digest, found, attested)
	}
	h.walk(s.Digest)
	e, err := engine.Open(os.Getenv)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, image := range images(s)[1:] {
		if err := e.Pull(h.t.Context(), image, "", engine.Credentials{Host: hub.addr, Username: "octocat", Password: h.token}); err != nil {
			h.t.Error(err)
		}
		_ = e.Discard(image)
	}
	t := h.t.(*testing.T)
	h.proven(t, s, "verify", h.by...)
	for _, kind := range []string{sign.VerdictType, sign.ProvenanceType} {
		h.proven(t, s, "verify-attestation", append(slices.Clone(h.by), "--type", kind)...)
	}
}

// walk reads every manifest and every blob of an index.
func (h *household) walk(digest string) {
	h.t.Helper()
	for _, child := range h.index("auth", digest).Manifests {
		img, err := remote.Image(h.repository("auth").Digest(child.Digest.String()), h.auth())
		if err != nil {
			h.t.Fatal(err)
		}
		layers, err := img.Layers()
		if err != nil {
			h.t.Fatal(err)
		}
		for _, layer := range layers {
			content, err := layer.Compressed()
			if err == nil {
				_, err = io.Copy(io.Discard, content)
			}
			if err != nil {
				h.t.Errorf("%s of %s: %v", child.Digest, digest, err)
			}
		}
	}
}

// there reports whether the registry has an image, or a part of it.
func (h *household) there(digest string) bool {
	_, err := remote.Head(h.repository("auth").Digest(digest), h.auth())
	return err == nil
}

func (h *household) versions() []int {
	return h.api.Versions("orgs", h.owner, sample.Images["auth"])
}

// TestClean publishes for two months, with a release, a pull request and a deployment, and cleans up by a run that is killed, and one more:
// what is needed can be pulled and proven, what is not is gone, and comes back.
func TestClean(t *testing.T) {
	h := newHousehold(t)
	old := h.publish(60, sample.Job{})
	released := h.publish(50, sample.Job{Ref: "refs/tags/v1.0.0"})
	unset := h.pullRequest()
	proposed := h.publish(40, sample.Job{Event: "pull_request", Ref: "refs/pull/7/merge"})
	open := h.publish(39, sample.Job{Event: "pull_request", Ref: "refs/pull/72/merge"})
	unset()
	deployed, now := h.publish(30, sample.Job{}), h.publish(20, sample.Job{})
	h.api.SetPulls(githubtest.Pull{Number: 7, Branch: "one"}, githubtest.Pull{Number: 72, Branch: "two", Open: true})
	api, err := github.New(h.apiURL, sample.Owner+"/cards", h.token)
	if err == nil {
		err = api.RecordDeployment(t.Context(), github.Deployment{Commit: strings.Repeat("a", 40), Environment: "production", Payload: map[string]any{"tag": "production", "digests": map[string]string{"auth": deployed.Digest}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	kept, gone := []report.Service{released, open, deployed, now}, []report.Service{old, proposed}

	before, tags := h.versions(), h.tags("auth")
	if told := h.clean(); told.Outcome != "planned" || len(told.Deleted()) > 0 || len(h.versions()) != len(before) || !mapsEqual(h.tags("auth"), tags) {
		t.Errorf("a run that is not confirmed is %s", told.Outcome)
	}
	shared := ""
	h.kill(14, func() { shared, err = h.share(old) })
	if err != nil {
		t.Fatal(err)
	}
	told := h.clean("--confirm")
	if told.Outcome != "cleaned" || len(told.Packages[0].Gone) != len(told.Deleted()) || len(told.Packages[0].Restored) == 0 {
		t.Errorf("%s: %d deleted of %d, %d restored", told.Outcome, len(told.Deleted()), len(told.Packages[0].Gone), len(told.Packages[0].Restored))
	}
	h.walk(shared)
	part := report.Service{Image: old.Image, Digest: old.Platforms[0].Digest} // which was signed by itself
	h.proven(t, part, "verify", h.by...)
	for _, s := range kept {
		h.pulled(s)
	}
	for _, s := range gone {
		for _, image := range images(s) {
			if _, digest, _ := strings.Cut(image, "@"); h.there(digest) != (digest == part.Digest) {
				t.Errorf("%s is there: %v", image, h.there(digest))
			}
		}
	}
	h.refused(t, proposed, "verify", h.by...)
	t.Logf("%d of %d versions were deleted, %d restored", len(h.deleted(api)), len(before), len(told.Packages[0].Restored))
	if again := h.clean("--confirm"); again.Outcome != "nothing-to-do" {
		t.Errorf("cleaning once more is %s: %+v", again.Outcome, again.Packages[0].Gone)
	}

	h.mode = "clean"
	if o := h.run(sample.Job{}, "--restore", strings.Join(h.deleted(api), " ")); o.code != report.ExitDone {
		t.Errorf("restoring: exit code %d\n%s", o.code, o.log)
	}
	for _, id := range before {
		if !slices.Contains(h.versions(), id) {
			t.Errorf("version %d did not come back", id)
		}
	}
	for _, s := range gone {
		h.walk(s.Digest)
	}
}
