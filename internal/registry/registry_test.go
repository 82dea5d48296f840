package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

func quiet() http.Handler { return fake.New(fake.Logger(log.New(io.Discard, "", 0))) }

// A server is a registry in this process that remembers what it was asked.
type server struct {
	t    *testing.T
	host string

	mu       sync.Mutex
	requests []*http.Request
	// intercept, when set, may answer in the registry's place.
	intercept func(http.ResponseWriter, *http.Request) bool
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{t: t}
	handler := quiet()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Clone(context.WithoutCancel(r.Context())))
		intercept := s.intercept
		s.mu.Unlock()
		if intercept == nil || !intercept(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(web.Close)
	s.host = strings.TrimPrefix(web.URL, "http://")
	return s
}

func (s *server) client() *Client { return &Client{Host: s.host} }

// asked lists the requests since the last call, without those that only begin a conversation.
func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var asked []string
	for _, r := range s.requests {
		if r.URL.Path != "/v2/" {
			asked = append(asked, r.Method+" "+r.URL.Path)
		}
	}
	s.requests = nil
	return asked
}

func (s *server) image() string { return s.host + "/octo/backend" }

// push writes an index under a tag and returns its reference by digest.
func (s *server) push(index v1.ImageIndex, tag string) name.Digest {
	s.t.Helper()
	ref, err := name.NewTag(s.image() + ":" + tag)
	must(s.t, err)
	must(s.t, remote.WriteIndex(ref, index))
	digest, err := index.Digest()
	must(s.t, err)
	s.asked()
	return ref.Repository.Digest(digest.String())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// image makes one platform's image.
func image(t *testing.T, config v1.Config, architecture string) v1.Image {
	t.Helper()
	img, err := random.Image(100, 2)
	must(t, err)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: architecture, Config: config})
	must(t, err)
	return img
}

// child puts an image into an index.
func child(img v1.Image, platform *v1.Platform) mutate.IndexAddendum {
	return mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}}
}

// attested makes an index as BuildKit does: an image for each of two platforms, and an attestation
// for each, listed as an image of no known platform.
func attested(t *testing.T, annotations map[string]string) v1.ImageIndex {
	t.Helper()
	index := v1.ImageIndex(mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	for _, architecture := range []string{"amd64", "arm64"} {
		img := image(t, v1.Config{User: "65534", Labels: map[string]string{RevisionKey: "label", VersionKey: "labelled"}}, architecture)
		platform := &v1.Platform{OS: "linux", Architecture: architecture}
		if architecture == "arm64" {
			platform.Variant = "v8"
		}
		attestation, err := random.Image(10, 1)
		must(t, err)
		index = mutate.AppendManifests(index, child(img, platform), child(attestation, &v1.Platform{OS: "unknown", Architecture: "unknown"}))
	}
	return mutate.Annotations(index, annotations).(v1.ImageIndex)
}

// approve gives the right to tag a digest, the only way there is.
func approve(t *testing.T, ref name.Digest) verdict.Approval {
	t.Helper()
	v := verdict.Judge(verdict.Evidence{Candidate: ref, Wanted: []string{"linux/amd64"}, Platforms: []verdict.Platform{{Platform: "linux/amd64"}},
		Probe: verdict.Probe{Healthy: true}}, service.DefaultGates())
	approval, err := v.Approval()
	must(t, err)
	return approval
}

func TestResolve(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, map[string]string{RevisionKey: "abc", VersionKey: "main"}), "main")
	for _, image := range []string{s.image(), s.host + "/octo/never"} {
		if img, found, err := s.client().Resolve(t.Context(), image, "gone"); found || err != nil {
			t.Errorf("a tag that is not there gives %v, %v, %v; want false and no error", img, found, err)
		}
	}
	img, found, err := s.client().Resolve(t.Context(), s.image(), "main")
	if err != nil || !found || img.Ref != ref || img.Revision != "abc" || img.Version != "main" {
		t.Errorf("Resolve() = %+v, %v, %v; want the index at %s", img, found, err, ref)
	}
	wantAsked := []string{"GET /v2/octo/backend/manifests/gone", "GET /v2/octo/never/manifests/gone", "GET /v2/octo/backend/manifests/main"}
	if diff := cmp.Diff(wantAsked, s.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if _, found, err := s.client().Resolve(t.Context(), s.image(), "no such tag"); found || err == nil {
		t.Errorf("an impossible tag gives %v, %v; want an error", found, err)
	}
}

func TestReadIndex(t *testing.T) {
	t.Parallel()
	s := start(t)
	annotations := map[string]string{RevisionKey: "abc", VersionKey: "1.2.3", "x": "y"}
	index := attested(t, annotations)
	ref := s.push(index, "main")
	got, err := s.client().Read(t.Context(), ref)
	must(t, err)
	want := Image{Ref: ref, Revision: "abc", Version: "1.2.3", Annotations: annotations}
	manifest, err := index.IndexManifest()
	must(t, err)
	for i, platform := range []string{"linux/amd64", "linux/arm64"} { // attestations stand between
		one, err := index.Image(manifest.Manifests[2*i].Digest)
		must(t, err)
		config, err := one.ConfigFile()
		must(t, err)
		of, err := one.Manifest()
		must(t, err)
		want.Platforms = append(want.Platforms, Platform{platform, manifest.Manifests[2*i].Digest, pulled(t, index, manifest.Manifests[2*i].Digest), "65534", verdict.Config{}, config.Config, layersOf(config.History, of.Layers)})
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b name.Digest) bool { return a == b })); diff != "" {
		t.Errorf("Read() (-want +got):\n%s", diff)
	}
}

func TestLayersOf(t *testing.T) {
	t.Parallel()
	step := func(by string, empty bool) v1.History { return v1.History{CreatedBy: by, EmptyLayer: empty} }
	history := []v1.History{step("ADD", false), step("CMD", true), step("RUN", false)}
	for name, c := range map[string]struct {
		sizes []int64
		want  []Layer
	}{
		"they fit":        {[]int64{5, 7}, []Layer{{"ADD", 5}, {"CMD", 0}, {"RUN", 7}}},
		"too few layers":  {[]int64{5}, nil},
		"too many layers": {[]int64{5, 7, 9}, nil},
	} {
		var layers []v1.Descriptor
		for _, size := range c.sizes {
			layers = append(layers, v1.Descriptor{Size: size})
		}
		if diff := cmp.Diff(c.want, layersOf(history, layers)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// pulled adds up what a client downloads for one platform.
func pulled(t *testing.T, index v1.ImageIndex, digest v1.Hash) int64 {
	t.Helper()
	img, err := index.Image(digest)
	must(t, err)
	config, err := img.RawConfigFile()
	must(t, err)
	total := int64(len(config))
	layers, err := img.Layers()
	must(t, err)
	for _, layer := range layers {
		size, err := layer.Size()
		must(t, err)
		total += size
	}
	return total
}

func TestReadWhatThereIs(t *testing.T) {
	t.Parallel()
	labelled := v1.Config{Labels: map[string]string{RevisionKey: "label", VersionKey: "1"}, User: "app"}
	amd64 := &v1.Platform{OS: "linux", Architecture: "amd64"}
	cases := []struct {
		name  string
		index func(t *testing.T) v1.ImageIndex
		want  string
	}{
		{"labels where there are no annotations", func(t *testing.T) v1.ImageIndex {
			return mutate.AppendManifests(empty.Index, child(image(t, labelled, "amd64"), amd64))
		}, "revision label, version 1, linux/amd64 as app"},
		{"annotations before labels", func(t *testing.T) v1.ImageIndex {
			return mutate.Annotations(mutate.AppendManifests(empty.Index, child(image(t, labelled, "amd64"), amd64)), map[string]string{RevisionKey: "note"}).(v1.ImageIndex)
		}, "revision note, version , linux/amd64 as app"},
		{"other variants stay", func(t *testing.T) v1.ImageIndex {
			return mutate.AppendManifests(empty.Index, child(image(t, v1.Config{}, "arm"), &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}),
				child(image(t, v1.Config{}, "arm64"), &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v9"}))
		}, "revision , version , linux/arm/v7 as , linux/arm64/v9 as "},
		{"an operating system's version is left out", func(t *testing.T) v1.ImageIndex {
			return mutate.AppendManifests(empty.Index, child(image(t, v1.Config{}, "amd64"), &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"}))
		}, "revision , version , windows/amd64 as "},
		{"a manifest of no platform is no image", func(t *testing.T) v1.ImageIndex {
			return mutate.AppendManifests(empty.Index, child(image(t, v1.Config{}, "amd64"), nil))
		}, "revision , version "},
		{"an empty index", func(*testing.T) v1.ImageIndex { return empty.Index }, "revision , version "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			got, err := s.client().Read(t.Context(), s.push(c.index(t), "main"))
			must(t, err)
			if diff := cmp.Diff(c.want, told(got)); diff != "" {
				t.Errorf("Read() (-want +got):\n%s", diff)
			}
		})
	}
}

func told(i Image) string {
	text := fmt.Sprintf("revision %s, version %s", i.Revision, i.Version)
	for _, p := range i.Platforms {
		text += fmt.Sprintf(", %s as %s", p.Platform, p.User)
	}
	return text
}

func TestReadAnImageThatStandsAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	img := image(t, v1.Config{User: "1000", Labels: map[string]string{RevisionKey: "abc"}}, "arm64")
	img = mutate.Annotations(img, map[string]string{"x": "y"}).(v1.Image)
	ref, err := name.NewTag(s.image() + ":main")
	must(t, err)
	must(t, remote.Write(ref, img))
	seen, found, err := s.client().Resolve(t.Context(), s.image(), "main")
	if err != nil || !found || told(seen) != "revision abc, version " || seen.Annotations["x"] != "y" {
		t.Errorf("Resolve() = %+v, %v, %v", seen, found, err)
	}
	if got, err := s.client().Read(t.Context(), seen.Ref); err != nil || told(got) != "revision abc, version , linux/arm64 as 1000" {
		t.Errorf("Read() = %+v, %v", got, err)
	}
}

// A chart or another artifact under an image's name is no image to run, and no reason to stumble.
func TestReadWhatIsNoImage(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref, err := name.NewTag(s.image() + ":chart")
	must(t, err)
	must(t, remote.Write(ref, mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")))
	seen, found, err := s.client().Resolve(t.Context(), s.image(), "chart")
	if err != nil || !found || told(seen) != "revision , version " {
		t.Errorf("Resolve() = %+v, %v, %v", seen, found, err)
	}
	if got, err := s.client().Read(t.Context(), seen.Ref); err != nil || got.Platforms != nil {
		t.Errorf("Read() = %+v, %v", got, err)
	}
}

// Somebody's clean-up may have taken a platform away: the tag still says what it points to, and only
// who needs the platform hears of it.
func TestResolveBrokenImage(t *testing.T) {
	t.Parallel()
	for _, annotations := range []map[string]string{{RevisionKey: "abc"}, nil} {
		s := start(t)
		index := attested(t, annotations)
		want := s.push(index, "main")
		manifest, err := index.IndexManifest()
		must(t, err)
		must(t, remote.Delete(want.Context().Digest(manifest.Manifests[2].Digest.String())))
		seen, found, err := s.client().Resolve(t.Context(), s.image(), "main")
		if err != nil || !found || seen.Ref != want || seen.Revision != annotations[RevisionKey] {
			t.Errorf("Resolve() = %+v, %v, %v", seen, found, err)
		}
		if _, err := s.client().Read(t.Context(), want); err == nil || !strings.Contains(err.Error(), "linux/arm64") {
			t.Errorf("Read() = %v, want an error that names the platform", err)
		}
	}
}

// TestResolveSaysWhatItCannotAsk: an image whose configuration cannot be had just now is none that names no commit, over which any other may go.
func TestResolveSaysWhatItCannotAsk(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.push(attested(t, nil), "main")
	client := s.client()
	client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} // where blobs are kept nobody is there
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	if seen, found, err := client.Resolve(t.Context(), s.image(), "main"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Resolve() = %+v, %v, %v", seen, found, err)
	}
}

func TestReadOfNothingIsAnError(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref, err := s.client().Digest(s.image(), "sha256:"+strings.Repeat("0", 64))
	must(t, err)
	if _, err := s.client().Read(t.Context(), ref); err == nil || !strings.Contains(err.Error(), ref.String()) {
		t.Errorf("Read() = %v, want an error that names %s", err, ref)
	}
	if _, err := s.client().Digest(s.image(), "main"); err == nil {
		t.Error("a tag passes for a digest")
	}
}

func TestTagMovesAnApprovedDigest(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := s.push(attested(t, nil), "main")
	ref := s.push(attested(t, nil), "other")
	for tag, from := range map[string]string{"main": before.DigestStr(), "1.2.3": ""} {
		must(t, s.client().Tag(t.Context(), approve(t, ref), tag, from))
		wantAsked := []string{"GET /v2/octo/backend/manifests/" + ref.DigestStr(), "HEAD /v2/octo/backend/manifests/" + tag, "PUT /v2/octo/backend/manifests/" + tag, "HEAD /v2/octo/backend/manifests/" + tag}
		if diff := cmp.Diff(wantAsked, s.asked()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		if got, _, err := s.client().Resolve(t.Context(), s.image(), tag); err != nil || got.Ref != ref {
			t.Errorf("%s points to %s, %v; want %s", tag, got.Ref, err, ref)
		}
		s.asked()
	}
}

func TestTagWithoutApprovalAsksNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.client().Tag(t.Context(), verdict.Approval{}, "latest", ""); err == nil {
		t.Error("the zero approval tagged something")
	}
	if asked := s.asked(); asked != nil {
		t.Errorf("the registry was asked %q", asked)
	}
}

func TestTagSeesAnotherRunBefore(t *testing.T) {
	t.Parallel()
	s := start(t)
	theirs := s.push(attested(t, nil), "main")
	ref := s.push(attested(t, nil), "other")
	for _, from := range []string{"", ref.DigestStr()} {
		if err := s.client().Tag(t.Context(), approve(t, ref), "main", from); !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), theirs.DigestStr()) {
			t.Errorf("Tag() = %v, want it to see that the tag is at %s", err, theirs)
		}
		for _, asked := range s.asked() {
			if strings.HasPrefix(asked, http.MethodPut) {
				t.Errorf("it wrote all the same: %s", asked)
			}
		}
	}
}

func TestTagSeesAnotherRunAfterwards(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "main")
	theirs := "sha256:" + strings.Repeat("f", 64)
	client, written := s.client(), false
	client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		written = written || r.Method == http.MethodPut
		if err == nil && r.Method == http.MethodHead && written {
			response.Header.Set("Docker-Content-Digest", theirs)
		}
		return response, err
	})
	if err := client.Tag(t.Context(), approve(t, ref), "main", ref.DigestStr()); !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), theirs) {
		t.Errorf("Tag() = %v, want it to see that another run moved the tag to %s", err, theirs)
	}
}

// TestTagIsNotRepeatedBlindly leaves it to the caller to look again where a move failed on its way.
func TestTagIsNotRepeatedBlindly(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "other")
	for _, fault := range []string{"busy", "broken"} {
		client, puts := s.client(), 0
		client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPut {
				return http.DefaultTransport.RoundTrip(r)
			}
			if puts++; fault == "broken" {
				return nil, io.ErrUnexpectedEOF
			}
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: r}, nil
		})
		if err := client.Tag(t.Context(), approve(t, ref), "main", ""); !errors.Is(err, ErrUnsure) || puts != 1 {
			t.Errorf("%s: Tag() = %v after %d tries", fault, err, puts)
		}
	}
}

func TestTagFails(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			ref := s.push(attested(t, nil), "main")
			s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				hit := r.Method == method && strings.Contains(r.URL.Path, "/manifests/")
				if hit {
					writeError(w, http.StatusForbidden, "DENIED", "permission_denied: write_package")
				}
				return hit
			}
			if err := s.client().Tag(t.Context(), approve(t, ref), "main", ref.DigestStr()); err == nil || !strings.Contains(err.Error(), "403") && !strings.Contains(err.Error(), "write_package") {
				t.Errorf("Tag() = %v, want the registry's refusal", err)
			}
		})
	}
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const password = "pass-W0rd-of-this-test"

// credentials lists the requests that carried the password, in any header or the address.
func (s *server) credentials() (carrying, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		_, given, _ := r.BasicAuth()
		if text := fmt.Sprint(r.Header, r.URL); given == password || strings.Contains(text, password) || r.Header.Get("Authorization") != "" {
			carrying++
		}
	}
	return carrying, len(s.requests)
}

// demand makes the registry want a password.
func (s *server) demand() {
	s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		user, given, _ := r.BasicAuth()
		if user == "octo" && given == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return true
	}
}

func TestCredentialsGoToTheHostAlone(t *testing.T) {
	t.Parallel()
	own, other := start(t), start(t)
	client := own.client()
	client.Username, client.Password = "octo", password
	ref := own.push(attested(t, nil), "main")
	other.push(attested(t, nil), "main")
	own.demand()
	other.demand()
	if _, found, err := client.Resolve(t.Context(), own.image(), "main"); err != nil || !found {
		t.Fatalf("Resolve() = %v, %v", found, err)
	}
	must(t, client.Tag(t.Context(), approve(t, ref), "next", ""))
	if carrying, _ := own.credentials(); carrying == 0 {
		t.Error("the registry never saw the password")
	}
	if _, _, err := client.Resolve(t.Context(), other.image(), "main"); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("another registry gave %v; want it to refuse, and the password nowhere", err)
	}
	if carrying, all := other.credentials(); carrying > 0 || all == 0 {
		t.Errorf("%d of %d requests to another registry carried the password", carrying, all)
	}
}

func TestCredentialsDoNotFollowARedirect(t *testing.T) {
	t.Parallel()
	own, other := start(t), start(t)
	client := own.client()
	client.Username, client.Password = "octo", password
	index := attested(t, nil)
	ref := own.push(index, "main")
	other.push(index, "main")
	own.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") || r.Header.Get("Authorization") == "" && r.URL.Path == "/v2/" {
			if r.URL.Path == "/v2/" {
				w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			http.Redirect(w, r, (&url.URL{Scheme: "http", Host: other.host, Path: r.URL.Path}).String(), http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	if _, err := client.Read(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if carrying, all := other.credentials(); carrying > 0 || all == 0 {
		t.Errorf("%d of %d requests to the redirect's target carried the password", carrying, all)
	}
	if carrying, _ := own.credentials(); carrying == 0 {
		t.Error("the registry never saw the password")
	}
}

func TestHoldsResolvesTheHost(t *testing.T) {
	t.Parallel()
	cases := []struct {
		host, image string
		want        bool
	}{
		{"ghcr.io", "ghcr.io/octo/backend", true},
		{"ghcr.io", "quay.io/octo/backend", false},
		{"ghcr.io", "ghcr.io.evil.example/octo/backend", false},
		{"ghcr.io", "ghcr.io:444/octo/backend", false},
		{"docker.io", "docker.io/octo/backend", true},
		{"docker.io", "ghcr.io/octo/backend", false},
		{"", "ghcr.io/octo/backend", false},
	}
	for _, c := range cases {
		repo, err := name.NewRepository(c.image)
		must(t, err)
		if got := (&Client{Host: c.host}).holds(repo); got != c.want {
			t.Errorf("%q holds %s: %v, want %v", c.host, c.image, got, c.want)
		}
	}
}

func TestUnauthorised(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "main")
	s.demand()
	client := s.client()
	client.Username, client.Password = "octo", "wrong-"+password
	if _, found, err := client.Resolve(t.Context(), s.image(), "main"); found || err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("Resolve() = %v, %v; want a refusal that does not tell the password", found, err)
	}
	if err := client.Tag(t.Context(), approve(t, ref), "next", ""); err == nil {
		t.Error("Tag() passed with a wrong password")
	}
	if asked := s.asked(); slices.ContainsFunc(asked, func(r string) bool { return strings.HasPrefix(r, "PUT") }) {
		t.Errorf("something was written: %q", asked)
	}
}

// A recorder is a registry without a network, so that a test's clock may be a false one. The
// answers come before the registry's own, one for each request for a manifest.
type recorder struct {
	handler http.Handler
	answers []int
	tries   int
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if strings.Contains(request.URL.Path, "/manifests/") && len(r.answers) > 0 && request.Method == http.MethodGet {
		r.tries++
		status := r.answers[0]
		r.answers = r.answers[1:]
		if status == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		if status != http.StatusOK {
			w.WriteHeader(status)
			return w.Result(), nil
		}
	}
	served := request.Clone(request.Context())
	if served.Body == nil {
		served.Body = http.NoBody // as a server has it
	}
	r.handler.ServeHTTP(w, served)
	response := w.Result()
	response.Request = request
	return response, nil
}

func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	const ok = http.StatusOK
	cases := []struct {
		name    string
		answers []int
		tries   int
		found   bool
		fails   bool
	}{
		{"500, then all is well", []int{500, ok}, 2, true, false},
		{"503 twice, then all is well", []int{503, 503, ok}, 3, true, false},
		{"429, then all is well", []int{429, ok}, 2, true, false},
		{"a broken connection, then all is well", []int{0, ok}, 2, true, false},
		{"500 for good", []int{500, 500, 500, 500, 500, 500, 500}, 6, false, true},
		{"401 is not repeated", []int{401}, 1, false, true},
		{"403 is not repeated", []int{403}, 1, false, true},
		{"404 is an answer", []int{404}, 1, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				registry := &recorder{handler: quiet()}
				ref, err := name.NewTag("registry.example/octo/backend:main")
				must(t, err)
				must(t, remote.WriteIndex(ref, attested(t, nil), remote.WithTransport(registry)))
				registry.answers = c.answers
				begun := time.Now()
				_, found, err := (&Client{Host: "registry.example", Transport: registry}).Resolve(t.Context(), "registry.example/octo/backend", "main")
				if found != c.found || (err != nil) != c.fails || registry.tries != c.tries {
					t.Errorf("found %v, error %v after %d tries; want %v, %v after %d", found, err, registry.tries, c.found, c.fails, c.tries)
				}
				if waited := time.Since(begun); waited > time.Minute {
					t.Errorf("it waited %s", waited)
				}
			})
		})
	}
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		registry := &recorder{handler: quiet()}
		written := ""
		// A registry that speaks no TLS.
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme == "https" {
				return nil, errors.New("http: server gave HTTP response to HTTPS client")
			}
			written += r.Header.Get("Authorization")
			return registry.RoundTrip(r)
		})
		client := &Client{Host: "registry.example", Username: "octo", Password: password, PlainHTTP: plain, Transport: transport}
		_, found, err := client.Resolve(t.Context(), "registry.example/octo/backend", "main")
		if found || (err == nil) != plain {
			t.Errorf("with plain HTTP %v: %v, %v", plain, found, err)
		}
		if !plain && written != "" {
			t.Error("credentials went over plain HTTP that was not asked for")
		}
		ref, err := client.Digest("registry.example/octo/backend", "sha256:"+strings.Repeat("0", 64))
		must(t, err)
		if got := ref.Context().Scheme(); got != map[bool]string{true: "http", false: "https"}[plain] {
			t.Errorf("with plain HTTP %v a digest is read by %s", plain, got)
		}
	}
}

func TestEndOfTheContext(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "main")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.client().Tag(ctx, approve(t, ref), "next", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Tag() = %v, want the context's end", err)
	}
	if _, found, err := s.client().Resolve(ctx, s.image(), "main"); found || !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve() = %v, %v; want the context's end", found, err)
	}
}
