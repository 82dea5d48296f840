package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	published "github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/report"
	"github.com/org/ghcr-publish/internal/sample"
)

// A shelf collects all that can be had of a repository: what tags people pull by point to, and every manifest, blob and referrer below
// that, each read whole.
type shelf struct {
	t    *testing.T
	repo name.Repository
	auth []remote.Option
	has  map[string]bool
}

func collect(t *testing.T, repo name.Repository, auth ...remote.Option) []string {
	t.Helper()
	s := &shelf{t, repo, auth, map[string]bool{}}
	tags, err := remote.List(repo, auth...)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		if !published.IsUserTag(tag) {
			continue
		}
		desc, err := remote.Head(repo.Tag(tag), auth...)
		if err != nil {
			t.Fatal(err)
		}
		s.has["tag "+tag+" "+desc.Digest.String()] = true
		s.take(desc.Digest.String())
	}
	return slices.Sorted(maps.Keys(s.has))
}

func (s *shelf) take(digest string) {
	s.t.Helper()
	if s.has["manifest "+digest] {
		return
	}
	s.has["manifest "+digest] = true
	ref := s.repo.Digest(digest)
	desc, err := remote.Get(ref, s.auth...)
	if err != nil {
		s.t.Fatalf("%s: %v", ref, err)
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		if err != nil {
			s.t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range manifest.Manifests {
			s.take(m.Digest.String())
		}
	} else {
		s.blobs(desc)
	}
	referrers, err := remote.Referrers(ref, s.auth...)
	if err != nil {
		s.t.Fatal(err)
	}
	manifest, err := referrers.IndexManifest()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		s.has["referrer "+m.Digest.String()+" of "+digest] = true
		s.take(m.Digest.String())
	}
}

func (s *shelf) blobs(desc *remote.Descriptor) {
	s.t.Helper()
	image, err := desc.Image()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := image.RawConfigFile(); err != nil {
		s.t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			s.t.Fatal(err)
		}
		content, err := layer.Compressed()
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, content); err != nil { // its digest is proven while it is read
			s.t.Fatalf("%s: %v", digest, err)
		}
		content.Close()
		s.has["blob "+digest.String()] = true
	}
}

// mirrors starts a registry that lists what refers to an image, and one that does not, which fails half of what it is asked and
// hands out tokens. It returns where both can be read in peace.
func (w *world) mirrors(t *testing.T) []string {
	t.Helper()
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	sound := httptest.NewServer(registry.New(quiet, registry.WithReferrersSupport(true)))
	t.Cleanup(sound.Close)
	behind := httptest.NewServer(registry.New(quiet))
	t.Cleanup(behind.Close)
	password := crand.Text()
	w.secrets = append(w.secrets, password)
	w.env = append(w.env, "HUB_PASSWORD="+password)
	failing := newFront(t, behind.URL, password, random(t), func(string) float64 { return 0.5 })
	t.Cleanup(func() { t.Logf("mistakes: %v", failing.made) })
	hosts := []string{strings.TrimPrefix(sound.URL, "http://"), strings.TrimPrefix(behind.URL, "http://")}
	config := w.read(".github/ghcr-publish.yml") + fmt.Sprintf("mirrors:\n  - {image: \"%s/copies/{{name}}\"}\n  - {image: \"%s/copies/{{name}}\", username: octo, password: env:HUB_PASSWORD}\n",
		hosts[0], strings.TrimPrefix(failing.server.URL, "http://"))
	w.commit("mirrors", map[string]string{".github/ghcr-publish.yml": config})
	return hosts
}

// wantMirrored demands that mirrors have all that the registry has of a service, by digest, and nothing else.
func (w *world) wantMirrored(t *testing.T, service string, hosts []string) {
	t.Helper()
	want := collect(t, w.repository(service), w.auth())
	for _, host := range hosts {
		repo, err := name.NewRepository(host + "/copies/" + sample.Images[service])
		if err != nil {
			t.Fatal(err)
		}
		// A registry that lists by itself what refers to an image lists BuildKit's attestations, too, which are there as parts of the index.
		got := slices.DeleteFunc(collect(t, repo), func(line string) bool { return strings.HasPrefix(line, "referrer ") && !slices.Contains(want, line) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-registry +mirror):\n%s", repo, diff)
		}
	}
}

// TestMirrors has two other registries hold what is published and signed, one of which fails half of what it is asked. Both end up
// equal by digest, and cosign proves the signatures there.
func TestMirrors(t *testing.T) {
	w := newWorld(t)
	v := newVerifier(w)
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v.write("key.pem", privateKey(t, key))
	hosts := w.mirrors(t)
	by := []string{"--services", "auth", "--sign-key", "file:" + v.path("key.pem")}

	began := time.Now()
	o := w.mustPublish(report.ExitDone, by...)
	t.Logf("published and mirrored in %s", time.Since(began).Round(100*time.Millisecond))
	w.wantMirrored(t, "auth", hosts)
	v.write("own.pub", o.Services[0].Signature.PublicKey)
	for _, s := range o.Services {
		for _, host := range hosts {
			there := s
			there.Image = host + "/copies/" + sample.Images[s.Name]
			v.proven(t, there, "verify", "--insecure-ignore-tlog=true", "--key", v.path("own.pub"))
		}
	}

	// A change brings what it changed, and leaves the rest as it is.
	w.commit("change", map[string]string{"auth/www/auth/extra": "x"})
	o = w.mustPublish(report.ExitDone, by...)
	w.wantMirrored(t, "auth", hosts)
	for _, m := range o.Mirrors {
		if m.Error != "" || m.Copied != m.Missing || m.Copied == 0 {
			t.Errorf("%+v", m)
		}
	}

	// What is live is there already; after that nothing is missing.
	w.mode = "mirror"
	if o = w.mustPublish(report.ExitDone, "--only", "auth"); o.Outcome != "nothing-to-do" {
		t.Errorf("%s: %+v", o.Outcome, o.Mirrors)
	}
	if w.leaks([]byte(withoutMasks(o.log))) {
		t.Error("the log holds a password")
	}
}

// withoutMasks leaves out of a log what tells the runner what to hide.
func withoutMasks(log string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "::add-mask::") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestRollback takes a bad promotion back: every service has exactly the digest that it had before.
func TestRollback(t *testing.T) {
	w := newWorld(t)
	w.mustPublish(report.ExitDone)
	at := func() map[string]string {
		digests := map[string]string{}
		for _, service := range sample.Services {
			digests[service] = w.tags(service)["production"]
		}
		return digests
	}
	promote := func(more ...string) outcome {
		w.mode = "promote"
		defer func() { w.mode = "" }()
		return w.mustPublish(report.ExitDone, append([]string{"--to", "production"}, more...)...)
	}
	promote("--from", "main")
	before := at()
	w.commit("bad", map[string]string{"shared/n": "bad", "auth/www/auth/n": "bad"})
	w.mustPublish(report.ExitDone)
	promote("--from", "main")
	for service, digest := range at() {
		if digest == before[service] || digest == "" {
			t.Fatalf("%s was not promoted: %s", service, digest)
		}
	}
	began := time.Now()
	o := promote("--rollback")
	t.Logf("rolled back in %s, of which the run tells %.1f s; judging took %v", time.Since(began).Round(100*time.Millisecond), o.Seconds, judged(o))
	if diff := cmp.Diff(before, at()); diff != "" {
		t.Errorf("after the rollback (-before +now):\n%s\n%s", diff, o.log)
	}
	w.checkTagsWereJudged()
}

func judged(o outcome) map[string]float64 {
	seconds := map[string]float64{}
	for _, s := range o.Services {
		seconds[s.Name] = s.Seconds["judge"]
	}
	return seconds
}
