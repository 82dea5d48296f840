package clean_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"maps"
	oldrand "math/rand"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/github"
	"github.com/org/ghcr-publish/internal/githubtest"
	"github.com/org/ghcr-publish/internal/insight"
	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/tags"
)

const (
	host  = "registry.test"
	token = "ghs_historytoken0000000000000000000000"
	day   = 24 * time.Hour
)

// direct hands requests to a handler, without a network between.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

// TestHistories (HISTORIES of them, where that says how many) publishes, tags, releases, closes and cleans up at random. After each cleaning every image that must stay can be
// pulled whole, and nothing is left that need not be there.
func TestHistories(t *testing.T) {
	t.Parallel()
	histories := 8
	if given := os.Getenv("HISTORIES"); given != "" {
		var err error
		if histories, err = strconv.Atoi(given); err != nil {
			t.Fatalf("HISTORIES: %v", err)
		}
	}
	server := githubtest.Start(token)
	t.Cleanup(server.Close)
	cleanings, deleted := 0, 0
	for seed := range histories {
		w := newWorld(t, server, uint64(seed))
		for range 60 {
			w.step()
		}
		w.settle()
		cleanings, deleted = cleanings+w.cleanings, deleted+w.deleted
	}
	if problems := server.Problems(); len(problems) > 0 {
		t.Errorf("GitHub refused %q", problems)
	}
	if deleted < cleanings {
		t.Errorf("%d cleanings deleted %d versions", cleanings, deleted)
	}
	t.Logf("%d histories, %d cleanings, %d versions deleted", histories, cleanings, deleted)
}

// A world is one package and its repository, and all that is true of them.
type world struct {
	t        *testing.T
	random   *rand.Rand
	server   *githubtest.Server
	handler  http.Handler
	seed     uint64
	repo     name.Repository
	now      time.Time
	keep     service.Clean
	rules    tags.Rules
	versions int
	platform []v1.Image           // of each, the last that was built
	since    map[string]time.Time // when tags were set where they are
	at       map[string]string    // digests under tags
	pushed   map[string]time.Time
	revision map[string]string   // of indexes that tell one
	parts    map[string][]string // of all that lists others
	says     map[string][]string // what tells of a digest
	tells    map[string]string   // of which digest, whether it is there or not
	loose    []string            // indexes, in the order of their making
	inner    []string            // and those that others list
	branches []string
	left     []string
	pulls    map[int]bool // open
	popular  map[string]bool
	inUse    map[string]string
	seen     map[string]insight.Sighting
	lag      bool // lists are old
	lies     bool // versions that there are are not found
	client   *github.Package

	cleanings, deleted int
}

func newWorld(t *testing.T, server *githubtest.Server, seed uint64) *world {
	repo, err := name.NewRepository(fmt.Sprintf("%s/octo/history-%d/app", host, seed))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), server: server, seed: seed, repo: repo, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		since: map[string]time.Time{}, at: map[string]string{}, pushed: map[string]time.Time{}, revision: map[string]string{}, parts: map[string][]string{}, says: map[string][]string{}, tells: map[string]string{},
		branches: []string{"main"}, pulls: map[int]bool{}, popular: map[string]bool{}, inUse: map[string]string{}}
	w.handler = server.Registry("orgs", fake.New(fake.Logger(log.New(io.Discard, "", 0))))
	server.Clock(func() time.Time { return w.now })
	w.rules, _ = tags.Parse("type=ref,event=branch\ntype=ref,event=pr\ntype=semver,pattern={{version}}\ntype=sha\ntype=raw,value=latest,enable={{is_default_branch}}")
	w.keep = service.DefaultClean()
	w.keep.Tags = []service.TagLimits{{Match: []string{"sha-*"}, Limits: service.Limits{Newest: 1 + w.random.IntN(4), Younger: time.Duration(w.random.IntN(12)) * day}}}
	w.keep.Untagged = service.Limits{Newest: w.random.IntN(3), Younger: time.Duration(w.random.IntN(8)) * day}
	w.keep.Grace, w.keep.Share = time.Duration(1+w.random.IntN(3))*day, 1
	if w.lag = seed%4 == 3; w.lag {
		server.Lag(1 + w.random.IntN(4))
	} else {
		server.Lag(0)
	}
	w.publishTo("main", "main")
	api, err := github.New(server.URL, "octo/cards", token)
	w.must(err)
	w.client, err = api.Package(t.Context(), "octo", w.packageName())
	w.must(err)
	return w
}

// step does one thing at random, or lets time pass.
func (w *world) step() {
	if w.random.IntN(3) > 0 { // or one thing follows another at once, and lists do not know of it
		w.now = w.now.Add(time.Duration(w.random.IntN(60)) * time.Hour)
	}
	switch w.random.IntN(16) {
	case 0, 1, 2:
		w.publishTo("main", "main")
	case 3:
		branch := fmt.Sprintf("feature-%d", w.random.IntN(5))
		if !slices.Contains(w.branches, branch) {
			w.branches = append(w.branches, branch)
		}
		w.publishTo(branch, branch)
	case 4, 5:
		n := 1 + w.random.IntN(30)
		if open, known := w.pulls[n]; open || !known {
			w.pulls[n] = true
			w.publishTo(fmt.Sprintf("topic-%d", n), fmt.Sprintf("pr-%d", n))
		}
	case 6:
		w.reuse()
	case 7:
		w.release()
	case 8:
		w.sign()
	case 9:
		w.push(w.build("", "")) // which was refused
	case 10:
		w.close()
	case 11:
		w.keepLayers()
	case 12:
		w.mark()
	default:
		w.clean()
	}
}

// close closes a pull request, or deletes a branch.
func (w *world) close() {
	for _, n := range slices.Sorted(maps.Keys(w.pulls)) {
		if w.pulls[n] && w.random.IntN(2) == 0 {
			w.pulls[n] = false
			w.left = append(w.left, fmt.Sprintf("topic-%d", n))
			return
		}
	}
	if len(w.branches) > 1 {
		w.left = append(w.left, w.branches[1])
		w.branches = slices.Delete(w.branches, 1, 2)
	}
}

// mark has a version be in use, or downloaded too often.
func (w *world) mark() {
	digest := w.loose[w.random.IntN(len(w.loose))]
	if !w.there(digest) {
		return
	}
	if w.random.IntN(2) == 0 {
		w.inUse = map[string]string{digest: "compose.yaml"}
		return
	}
	w.popular[digest] = true
	w.server.Popular("orgs", "octo", w.packageName(), digest)
}

func (w *world) packageName() string { return fmt.Sprintf("history-%d/app", w.seed) }

func (w *world) options() []remote.Option {
	return []remote.Option{remote.WithTransport(direct{w.handler})}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("history %d: %v", w.seed, err)
	}
}

func (w *world) commit() string {
	b := make([]byte, 20)
	for i := range b {
		b[i] = byte(w.random.IntN(256))
	}
	return hex.EncodeToString(b)
}

// build makes an index of two platforms, of which one may be the one that there was, with their attestations.
func (w *world) build(revision, version string) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, arch := range []string{"amd64", "arm64"} {
		if len(w.platform) == i {
			w.platform = append(w.platform, w.image(arch))
		} else if i == 0 || w.random.IntN(3) > 0 {
			w.platform[i] = w.image(arch)
		}
		digest, err := w.platform[i].Digest()
		w.must(err)
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: w.platform[i], Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}},
			mutate.IndexAddendum{Add: w.attestation(), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
				Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest.String()}}})
	}
	return mutate.Annotations(index, map[string]string{registry.RevisionKey: revision, registry.VersionKey: version}).(v1.ImageIndex)
}

func (w *world) image(arch string) v1.Image {
	img := w.blob()
	img, err := mutate.ConfigFile(mutate.MediaType(mutate.ConfigMediaType(img, types.OCIConfigJSON), types.OCIManifestSchema1), &v1.ConfigFile{OS: "linux", Architecture: arch, Author: w.commit()})
	w.must(err)
	return img
}

// blob is an image of one layer.
func (w *world) blob() v1.Image {
	img, err := random.Image(8, 1, random.WithSource(oldrand.NewSource(w.random.Int64())))
	w.must(err)
	return img
}

func (w *world) attestation() v1.Image {
	img := w.blob()
	layers, err := img.Layers()
	w.must(err)
	img, err = mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), mutate.Addendum{Layer: layers[0], MediaType: "application/vnd.in-toto+json"})
	w.must(err)
	return img
}

// nest makes an index of indexes.
func (w *world) nest(index v1.ImageIndex, revision string) v1.ImageIndex {
	outer := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: index}, mutate.IndexAddendum{Add: w.build(revision, "")})
	return mutate.Annotations(outer, map[string]string{registry.RevisionKey: revision}).(v1.ImageIndex)
}

// push pushes an index by its digest.
func (w *world) push(index v1.ImageIndex) string {
	digest, err := index.Digest()
	w.must(err)
	w.must(remote.WriteIndex(w.repo.Digest(digest.String()), index, w.options()...))
	w.listParts(digest.String(), index)
	w.loose = append(w.loose, digest.String())
	return digest.String()
}

// listParts notes all that an index lists.
func (w *world) listParts(at string, index v1.ImageIndex) {
	manifest, err := index.IndexManifest()
	w.must(err)
	w.came(at)
	w.parts[at] = nil
	for _, m := range manifest.Manifests {
		w.came(m.Digest.String())
		w.parts[at] = append(w.parts[at], m.Digest.String())
		if m.MediaType.IsIndex() {
			inner, err := index.ImageIndex(m.Digest)
			w.must(err)
			w.listParts(m.Digest.String(), inner)
			w.inner = append(w.inner, m.Digest.String())
		}
	}
}

// came notes when a digest was first pushed; one that is pushed again has its old times.
func (w *world) came(digest string) {
	if _, known := w.pushed[digest]; !known {
		w.pushed[digest] = w.now
	}
}

func (w *world) tag(digest, tag string) {
	desc, err := remote.Get(w.repo.Digest(digest), w.options()...)
	w.must(err)
	w.must(remote.Tag(w.repo.Tag(tag), desc, w.options()...))
	if w.at[tag] != digest {
		w.at[tag], w.since[tag] = digest, w.now
	}
}

// publishTo publishes a new image, under a tag and the commit's.
func (w *world) publishTo(branch, tag string) {
	revision := w.commit()
	index := w.build(revision, tag)
	if w.random.IntN(6) == 0 {
		index = w.nest(index, revision)
	}
	digest := w.push(index)
	w.revision[digest] = revision
	w.tag(digest, tag)
	w.tag(digest, "sha-"+revision[:7])
	if branch == "main" {
		w.tag(digest, "latest")
	}
}

// reuse gives an image that there is the tag of a new commit, and perhaps the branch's.
func (w *world) reuse() {
	digest := w.at["main"]
	if w.random.IntN(2) == 0 {
		digest = w.loose[w.random.IntN(len(w.loose))]
	}
	if w.there(digest) {
		w.tag(digest, "sha-"+w.commit()[:7])
	}
}

// release gives an image that there is, new or old, a version.
func (w *world) release() {
	digest := w.loose[w.random.IntN(len(w.loose))]
	if w.there(digest) {
		w.versions++
		w.tag(digest, fmt.Sprintf("1.%d.0", w.versions))
	}
}

func (w *world) there(digest string) bool {
	_, err := remote.Head(w.repo.Digest(digest), w.options()...)
	return err == nil
}

// sign attaches a signature to an image, to a part of one, or to what tells of one, and lists it under the tag that is made of its
// digest.
func (w *world) sign() {
	subject := w.loose[w.random.IntN(len(w.loose))]
	if beside := slices.Concat(w.parts[subject], w.says[subject]); w.random.IntN(2) == 0 && len(beside) > 0 {
		subject = beside[w.random.IntN(len(beside))]
	}
	if w.there(subject) {
		w.attach(subject)
	}
}

func (w *world) attach(subject string) {
	desc, err := remote.Head(w.repo.Digest(subject), w.options()...)
	w.must(err)
	signature := mutate.Subject(w.attestation(), *desc).(v1.Image)
	digest, err := signature.Digest()
	w.must(err)
	w.must(remote.Write(w.repo.Digest(digest.String()), signature, w.options()...))
	w.came(digest.String())
	w.says[subject], w.tells[digest.String()] = append(w.says[subject], digest.String()), subject
	fallback := strings.Replace(subject, ":", "-", 1)
	index, err := remote.Index(w.repo.Tag(fallback), w.options()...) // which the library has written
	w.must(err)
	listing, err := index.Digest()
	w.must(err)
	manifest, err := index.IndexManifest()
	w.must(err)
	w.came(listing.String())
	w.parts[listing.String()] = nil
	for _, m := range manifest.Manifests {
		w.parts[listing.String()] = append(w.parts[listing.String()], m.Digest.String())
	}
	w.at[fallback] = listing.String()
}

// keepLayers writes the cache of a branch that there is, or was.
func (w *world) keepLayers() {
	all := append(slices.Clone(w.branches), w.left...)
	tag := cache.Tag(all[w.random.IntN(len(all))], []string{"linux/amd64"})
	img := w.attestation()
	digest, err := img.Digest()
	w.must(err)
	w.must(remote.Write(w.repo.Tag(tag), img, w.options()...))
	w.came(digest.String())
	w.at[tag], w.since[tag] = digest.String(), w.now
}
