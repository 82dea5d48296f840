package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// part pushes, by digest, what a row that builds one platform pushes: its image and an attestation.
func (s *server) part(architecture string) (index v1.IndexManifest, digest string) {
	s.t.Helper()
	attestation, err := random.Image(10, 1)
	must(s.t, err)
	made := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		child(image(s.t, v1.Config{User: "65534"}, architecture), &v1.Platform{OS: "linux", Architecture: architecture}),
		mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}})
	hash, err := made.Digest()
	must(s.t, err)
	ref, err := name.NewDigest(s.image() + "@" + hash.String())
	must(s.t, err)
	must(s.t, remote.WriteIndex(ref, made))
	manifest, err := made.IndexManifest()
	must(s.t, err)
	s.asked()
	return *manifest, hash.String()
}

func TestJoinKeepsAttestations(t *testing.T) {
	t.Parallel()
	s := start(t)
	one, first := s.part("amd64")
	two, second := s.part("arm64")
	annotations := map[string]string{RevisionKey: strings.Repeat("a", 40)}
	ref, err := s.client().Join(t.Context(), s.image(), []string{first, second}, annotations, map[string]string{"k": "of an index already"})
	must(t, err)
	for _, request := range s.asked() {
		if method, path, _ := strings.Cut(request, " "); method == "PUT" && !strings.Contains(path, "/manifests/sha256:") {
			t.Errorf("it asked for %s; only a digest may be written", request)
		}
	}
	whole, err := remote.Index(ref)
	must(t, err)
	got, err := whole.IndexManifest()
	must(t, err)
	want := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: append(one.Manifests, two.Manifests...), Annotations: annotations}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the index (-want +got):\n%s", diff)
	}
	read, err := s.client().Read(t.Context(), ref)
	if err != nil || len(read.Platforms) != 2 || read.Revision != annotations[RevisionKey] {
		t.Errorf("it reads as %+v, %v", read, err)
	}
	again, err := s.client().Join(t.Context(), s.image(), []string{first, second}, annotations, map[string]string{"k": "of an index already"})
	if err != nil || again != ref {
		t.Errorf("the same parts give %s, %v; want %s", again, err, ref)
	}
}

// TestJoinOfImages joins what BuildKit pushes without provenance: images, and no index around them.
func TestJoinOfImages(t *testing.T) {
	t.Parallel()
	s := start(t)
	var digests []string
	for _, architecture := range []string{"amd64", "arm64"} {
		img := image(t, v1.Config{User: "65534"}, architecture)
		hash, err := img.Digest()
		must(t, err)
		ref, err := name.NewDigest(s.image() + "@" + hash.String())
		must(t, err)
		must(t, remote.Write(ref, img))
		digests = append(digests, hash.String())
	}
	ref, err := s.client().Join(t.Context(), s.image(), digests, nil, map[string]string{"k": "v"})
	must(t, err)
	read, err := s.client().Read(t.Context(), ref)
	if err != nil || len(read.Platforms) != 2 || read.Platforms[1].Platform != "linux/arm64" {
		t.Errorf("it reads as %+v, %v", read, err)
	}
	index, err := remote.Index(ref)
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	for _, listed := range manifest.Manifests {
		if diff := cmp.Diff(map[string]string{"k": "v"}, listed.Annotations); diff != "" {
			t.Errorf("annotations of %s (-want +got):\n%s", listed.Platform, diff)
		}
	}
	if alone, err := s.client().Join(t.Context(), s.image(), digests[:1], nil, nil); err != nil || alone.DigestStr() != digests[0] {
		t.Errorf("one part gives %s, %v", alone, err)
	}
	missing := "sha256:" + strings.Repeat("a", 64)
	if _, err := s.client().Join(t.Context(), s.image(), []string{digests[0], missing}, nil, nil); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a part that is not there gives %v", err)
	}
}

// TestKeepRefusesWhatItWouldNotRead has a file be larger than what is read back.
func TestKeepRefusesWhatItWouldNotRead(t *testing.T) {
	t.Parallel()
	s := start(t)
	if _, err := s.client().Keep(t.Context(), s.image(), "application/vnd.test", make([]byte, fileLimit+1)); err == nil || !strings.Contains(err.Error(), "no more than") {
		t.Errorf("it was kept: %v", err)
	}
}

func TestKeepAndFetch(t *testing.T) {
	t.Parallel()
	s := start(t)
	const kind = "application/vnd.example.v1+json"
	ref, err := s.client().Keep(t.Context(), s.image(), kind, []byte(`{"a":1}`))
	must(t, err)
	for _, request := range s.asked() {
		if strings.HasPrefix(request, "PUT ") && strings.Contains(request, "/manifests/") && !strings.Contains(request, "/manifests/sha256:") {
			t.Errorf("it asked for %s; only a digest may be written", request)
		}
	}
	data, err := s.client().Fetch(t.Context(), ref.Name(), kind)
	if err != nil || string(data) != `{"a":1}` {
		t.Errorf("it holds %q, %v", data, err)
	}
	if tags, err := s.client().Tags(t.Context(), s.image()); err != nil || len(tags) > 0 {
		t.Errorf("there are the tags %q, %v", tags, err)
	}
	refused := map[string]struct{ ref, kind string }{
		"another kind":     {ref.Name(), "application/vnd.other.v1+json"},
		"another registry": {"ghcr.io/octo/a@" + ref.DigestStr(), kind},
		"a tag":            {s.image() + ":main", kind},
		"nothing there":    {s.image() + "@sha256:" + strings.Repeat("a", 64), kind},
	}
	for name, c := range refused {
		if _, err := s.client().Fetch(t.Context(), c.ref, c.kind); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}
