package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A house is a registry in this process that remembers what it was told to change.
type house struct {
	t    *testing.T
	web  *httptest.Server
	host string

	mu      sync.Mutex
	changes []string
	// before, when set, may answer in the registry's place.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func build(t *testing.T, options ...fake.Option) *house {
	t.Helper()
	h := &house{t: t}
	handler := fake.New(append(options, fake.Logger(log.New(io.Discard, "", 0)))...)
	h.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		before := h.before
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.changes = append(h.changes, r.Method+" "+r.URL.Path)
		}
		h.mu.Unlock()
		if before == nil || !before(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(h.web.Close)
	h.host = strings.TrimPrefix(h.web.URL, "http://")
	return h
}

func (h *house) client() *registry.Client { return &registry.Client{Host: h.host} }

func (h *house) image() string { return h.host + "/octo/api" }

// changed lists what was changed since the last call.
func (h *house) changed() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	changes := h.changes
	h.changes = nil
	return changes
}

func (h *house) tag(tag string) name.Tag {
	h.t.Helper()
	ref, err := name.NewTag(h.image() + ":" + tag)
	must(h.t, err)
	return ref
}

// at is the digest under a tag; empty where there is none.
func (h *house) at(tag string) string {
	h.t.Helper()
	desc, err := remote.Head(h.tag(tag))
	if err != nil {
		return ""
	}
	return desc.Digest.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// publish publishes an image under tags as runs do: two platforms, an attestation of each, and two signatures of the whole.
func (h *house) publish(tags ...string) name.Digest {
	h.t.Helper()
	index := v1.ImageIndex(mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}, {OS: "unknown", Architecture: "unknown"}, {OS: "unknown", Architecture: "unknown"}} {
		img, err := random.Image(100, 2)
		must(h.t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	digest, err := index.Digest()
	must(h.t, err)
	ref := h.tag("x").Digest(digest.String())
	must(h.t, remote.WriteIndex(ref, index))
	v := verdict.Judge(verdict.Evidence{Candidate: ref, Wanted: []string{"linux/amd64"}, Platforms: []verdict.Platform{{Platform: "linux/amd64"}}, Probe: verdict.Probe{Healthy: true}}, service.DefaultGates())
	approval, err := v.Approval()
	must(h.t, err)
	must(h.t, h.client().Attach(h.t.Context(), approval, ref, []registry.Attachment{{MediaType: "application/a+json", Data: []byte(digest.Hex)}, {MediaType: "application/b+json", Data: []byte("b")}}))
	for _, tag := range tags {
		must(h.t, remote.Tag(h.tag(tag), index))
	}
	return ref
}

// copier copies from a registry, all tags there are.
func (h *house) copier() Copier {
	return Copier{From: h.client(), Parallel: 3, Tell: h.t.Logf}
}

func (h *house) all(tags ...string) []Image {
	return []Image{{Service: "api", Name: h.image(), Tags: tags, Whole: true}}
}

func mirrorAt(houses ...*house) (mirrors []Mirror) {
	for _, h := range houses {
		mirrors = append(mirrors, Mirror{Name: h.host, Registry: h.client(), Names: map[string]string{"api": h.image()}})
	}
	return mirrors
}

// wantSame demands that two registries have the same under a digest, and list the same of it, by reading all of it.
func wantSame(t *testing.T, from, to *house, digest string) {
	t.Helper()
	ref := from.tag("x").Digest(digest)
	want, err := from.client().Stored(t.Context(), ref)
	must(t, err)
	got, err := to.client().Stored(t.Context(), to.tag("x").Digest(digest))
	if err != nil || !bytes.Equal(got.Data, want.Data) || got.MediaType != want.MediaType {
		t.Fatalf("%s: %v", digest, err)
	}
	for _, blob := range got.Blobs {
		layer, err := remote.Layer(to.tag("x").Digest(blob.Digest.String()))
		must(t, err)
		content, err := layer.Compressed()
		must(t, err)
		if n, err := io.Copy(io.Discard, content); err != nil || n != blob.Size { // which proves the digest
			t.Errorf("%s has %d bytes, %v; want %d", blob.Digest, n, err, blob.Size)
		}
		content.Close()
	}
	refers, index, err := from.client().Referrers(t.Context(), ref)
	must(t, err)
	also, asIndex, err := to.client().Referrers(t.Context(), to.tag("x").Digest(digest))
	must(t, err)
	if diff := cmp.Diff(digests(refers), digests(also)); diff != "" {
		t.Errorf("what refers to %s (-want +got):\n%s", digest, diff)
	}
	if index != nil && asIndex != nil && index.Ref.DigestStr() != asIndex.Ref.DigestStr() {
		t.Errorf("it is listed in %s, want %s", asIndex.Ref, index.Ref)
	}
	for _, part := range slices.Concat(want.Manifests, refers) {
		wantSame(t, from, to, part.Digest.String())
	}
}

func digests(list []v1.Descriptor) (all []string) {
	for _, d := range list {
		all = append(all, d.Digest.String())
	}
	slices.Sort(all)
	return all
}

// TestCopiesAllOfIt copies to a registry that lists what refers to an image, and to one that does not.
func TestCopiesAllOfIt(t *testing.T) {
	t.Parallel()
	for name, lists := range map[string]bool{"from one that lists": true, "from one that does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, one, two := build(t, fake.WithReferrersSupport(lists)), build(t), build(t, fake.WithReferrersSupport(true))
			old, now := from.publish("1.2.3", "1.2"), from.publish("main")
			must(t, remote.Tag(from.tag("ghcr-publish-journal"), read(t, now)))
			signature, err := random.Image(10, 1)
			must(t, err)
			companion := strings.Replace(old.DigestStr(), ":", "-", 1) + ".sig"
			must(t, remote.Write(from.tag(companion), signature))
			seed(t, one)

			for _, r := range from.copier().Copy(t.Context(), mirrorAt(one, two), from.all("1.2", "1.2.3", "main", "gone")) {
				if r.Err != nil || r.Copied != r.Missing || r.Missing < 15 || r.Present != 0 || len(r.Moves) != 3 || !slices.Equal(r.Absent, []string{"gone"}) {
					t.Errorf("%+v", r)
				}
			}
			for _, to := range []*house{one, two} {
				for tag, want := range map[string]string{"1.2": old.DigestStr(), "1.2.3": old.DigestStr(), "main": now.DigestStr(), companion: digestOf(t, signature), "ghcr-publish-journal": "", "gone": ""} {
					if got := to.at(tag); got != want {
						t.Errorf("%s is %q, want %q", tag, got, want)
					}
				}
				wantSame(t, from, to, old.DigestStr())
				wantSame(t, from, to, now.DigestStr())
				to.changed()
			}
			if one.at("seed") == "" {
				t.Error("a tag that only the mirror has is gone")
			}

			// Once more there is nothing to do, and nothing is written.
			for _, r := range from.copier().Copy(t.Context(), mirrorAt(one, two), from.all("1.2", "1.2.3", "main")) {
				if r.Err != nil || r.Missing+r.Copied+len(r.Behind) != 0 || slices.ContainsFunc(r.Moves, moved) {
					t.Errorf("once more: %+v", r)
				}
			}
			if changes := slices.Concat(one.changed(), two.changed()); len(changes) > 0 {
				t.Errorf("once more %q", changes)
			}
		})
	}
}

func read(t *testing.T, ref name.Digest) *remote.Descriptor {
	t.Helper()
	desc, err := remote.Get(ref)
	must(t, err)
	return desc
}

// seed is an image that a registry has by itself.
func seed(t *testing.T, h *house) v1.Hash {
	t.Helper()
	img, err := random.Image(10, 1)
	must(t, err)
	must(t, remote.Write(h.tag("seed"), img))
	digest, err := img.Digest()
	must(t, err)
	return digest
}

func digestOf(t *testing.T, img v1.Image) string {
	t.Helper()
	digest, err := img.Digest()
	must(t, err)
	return digest.String()
}

// TestCopiesOnlyWhatIsMissing does not send a second time what another image has brought.
func TestCopiesOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	old := from.publish("main")
	must(t, from.copier().Copy(t.Context(), mirrorAt(to), from.all("main"))[0].Err)
	index, err := read(t, old).ImageIndex()
	must(t, err)
	added, err := random.Image(10, 1)
	must(t, err)
	must(t, remote.WriteIndex(from.tag("main"), mutate.AppendManifests(index, mutate.IndexAddendum{Add: added, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "riscv64"}}})))
	to.changed()
	r := from.copier().Copy(t.Context(), mirrorAt(to), from.all("main"))[0]
	if r.Err != nil || r.Copied != 2 || r.Present != 4 || r.Moves[0].From != old.DigestStr() {
		t.Errorf("%+v", r)
	}
	wantSame(t, from, to, from.at("main"))
}

// TestLooks changes nothing, and says what is missing.
func TestLooks(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	from.publish("main")
	c := from.copier()
	c.Look = true
	if r := c.Copy(t.Context(), mirrorAt(to), from.all("main"))[0]; r.Err != nil || r.Missing != 7 || r.Copied != 0 || !slices.Equal(r.Behind, []string{"main"}) || r.Moves != nil {
		t.Errorf("%+v", r)
	}
	if changes := to.changed(); changes != nil {
		t.Errorf("it was told %q", changes)
	}
}

// TestTagsInPlace are not asked about what belongs to them, unless somebody wants to know.
func TestTagsInPlace(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	from.publish("main")
	must(t, from.copier().Copy(t.Context(), mirrorAt(to), from.all("main"))[0].Err)
	images := from.all("main")
	images[0].Whole = false
	if r := from.copier().Copy(t.Context(), mirrorAt(to), images)[0]; r.Err != nil || r.Missing+r.Present != 0 || len(r.Moves) != 1 {
		t.Errorf("%+v", r)
	}
}

// TestOneMirrorDown is told, and the other has all of it.
func TestOneMirrorDown(t *testing.T) {
	t.Parallel()
	from, down, closed, to := build(t), build(t), build(t), build(t)
	from.publish("main")
	down.web.Close()
	closed.before = func(w http.ResponseWriter, r *http.Request) bool {
		refused := r.Method != http.MethodGet && r.Method != http.MethodHead
		if refused {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"no"}]}`)
		}
		return refused
	}
	results := from.copier().Copy(t.Context(), mirrorAt(down, closed, to), from.all("main"))
	for i, want := range []string{"connection refused", "DENIED: no", ""} {
		if got := results[i].Err; (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("mirror %d: %v, want %q", i, got, want)
		}
	}
	wantSame(t, from, to, from.at("main"))
	if closed.at("main") != "" {
		t.Error("a tag is there before its image")
	}
}

// TestTagThatMovesMeanwhile is where it is in the registry when all is done.
func TestTagThatMovesMeanwhile(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	from.publish("main")
	newer := from.publish("next")
	once := sync.Once{}
	to.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/main") {
			once.Do(func() { must(t, remote.Tag(from.tag("main"), read(t, newer))) })
		}
		return false
	}
	r := from.copier().Copy(t.Context(), mirrorAt(to), from.all("main"))[0]
	if r.Err != nil || to.at("main") != newer.DigestStr() || r.Moves[0].To != newer.DigestStr() {
		t.Errorf("it is %s, want %s: %+v", to.at("main"), newer, r)
	}
	wantSame(t, from, to, newer.DigestStr())
}

// TestMistakes are repeated away, which a tenth of the requests to both registries end in.
func TestMistakes(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	from.publish("main")
	dice := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	mistake := func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		drawn := dice.IntN(20)
		mu.Unlock()
		switch drawn {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return drawn < 2
	}
	from.before, to.before = mistake, mistake
	r := from.copier().Copy(t.Context(), mirrorAt(to), from.all("main"))[0]
	from.before, to.before = nil, nil
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	wantSame(t, from, to, from.at("main"))
}

// TestWhatIsGone is not listed there, and what the mirror lists by itself stays.
func TestWhatIsGone(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	ref := from.publish("main")
	list := func(h *house, change func(*v1.IndexManifest)) {
		tag := h.tag(strings.Replace(ref.DigestStr(), ":", "-", 1))
		index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
		if desc, err := remote.Get(tag); err == nil {
			must(t, json.Unmarshal(desc.Manifest, &index))
		}
		change(&index)
		data, err := json.Marshal(index)
		must(t, err)
		must(t, remote.Put(tag, raw(data)))
	}
	gone := v1.Descriptor{MediaType: types.DockerManifestSchema2, Digest: seed(t, from), Size: 3}
	digest := seed(t, to)
	list(from, func(i *v1.IndexManifest) { i.Manifests = append(i.Manifests, gone) })
	must(t, remote.Delete(from.tag("x").Digest(gone.Digest.String())))
	list(to, func(i *v1.IndexManifest) {
		i.Manifests = append(i.Manifests, v1.Descriptor{MediaType: types.DockerManifestSchema2, Digest: digest, Size: 3})
	})
	must(t, from.copier().Copy(t.Context(), mirrorAt(to), from.all("main"))[0].Err)
	refers, _, err := to.client().Referrers(t.Context(), to.tag("x").Digest(ref.DigestStr()))
	if err != nil || len(refers) != 3 || refers[0].Digest != digest || slices.ContainsFunc(refers, func(d v1.Descriptor) bool { return d.Digest == gone.Digest }) {
		t.Errorf("%v, %+v", err, refers)
	}
}

type raw []byte

func (r raw) RawManifest() ([]byte, error)        { return r, nil }
func (r raw) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }

func TestGivesUpWithTheRun(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	from.publish("main")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := from.copier().Copy(ctx, mirrorAt(to), from.all("main"))[0]; r.Err == nil || to.at("main") != "" {
		t.Errorf("%+v", r)
	}
}

func moved(m tags.Move) bool { return m.Kept == "" }

// TestUploadsThatBreakOff are begun anew as often as it takes, from a registry that serves only so many at the same time.
func TestUploadsThatBreakOff(t *testing.T) {
	t.Parallel()
	from, to := build(t), build(t)
	img, err := random.Image(100, 1)
	must(t, err)
	must(t, remote.Write(from.tag("main"), img))
	var mu sync.Mutex
	parts := 0
	to.before = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPatch {
			parts++
		}
		if refused := r.Method == http.MethodPatch && parts%5 != 0; refused {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	must(t, from.copier().Copy(t.Context(), mirrorAt(to), from.all("main"))[0].Err)
	wantSame(t, from, to, digestOf(t, img))
}
