package registry

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/ghcr-publish/internal/verdict"
)

const kind = "application/vnd.example+json"

func attachments() []Attachment {
	return []Attachment{
		{MediaType: kind, Annotations: map[string]string{"says": "one"}, Data: []byte(`"one"`)},
		{MediaType: kind, Annotations: map[string]string{"says": "two"}, Data: []byte(`"two"`)},
	}
}

func fallback(ref name.Digest) name.Tag {
	return ref.Tag(strings.Replace(ref.DigestStr(), ":", "-", 1))
}

// written counts the writes of the index that lists what refers to an image.
func written(asked []string, ref name.Digest) int {
	n := 0
	for _, a := range asked {
		if a == "PUT /v2/octo/backend/manifests/"+fallback(ref).TagStr() {
			n++
		}
	}
	return n
}

func (s *server) wantAttached(ref name.Digest, says, want string) {
	s.t.Helper()
	got, err := s.client().Attached(s.t.Context(), ref, kind, "says", says)
	if err != nil || len(got) != 1 || string(got[0]) != want {
		s.t.Errorf("what says %q is %q, %v; want %s", says, got, err, want)
	}
}

func TestAttachListsOnceWhereTheRegistryDoesNot(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "main")
	must(t, s.client().Attach(t.Context(), approve(t, ref), ref, attachments()))
	if n := written(s.asked(), ref); n != 1 {
		t.Errorf("the index was written %d times, want once", n)
	}
	s.wantAttached(ref, "one", `"one"`)
	s.wantAttached(ref, "two", `"two"`)

	// What others have put there stays, and what is there already is not written again.
	foreign := s.foreign()
	s.list(ref, foreign)
	must(t, s.client().Attach(t.Context(), approve(t, ref), ref, attachments()))
	must(t, s.client().Attach(t.Context(), approve(t, ref), ref, attachments()))
	if n := written(s.asked(), ref); n != 1 {
		t.Errorf("the index was written %d times, want once", n)
	}
	index, err := remote.Index(fallback(ref))
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	if diff := cmp.Diff(foreign, manifest.Manifests[0]); diff != "" || len(manifest.Manifests) != 3 {
		t.Errorf("the index has %d entries; what was foreign (-want +got):\n%s", len(manifest.Manifests), diff)
	}
	if d := manifest.Manifests[1]; d.ArtifactType != kind || d.Annotations["says"] != "one" || d.MediaType != types.OCIManifestSchema1 {
		t.Errorf("it lists %+v", d)
	}
}

// foreign is an entry that another tool may have listed.
func (s *server) foreign() v1.Descriptor {
	s.t.Helper()
	digest, err := v1.NewHash(s.push(attested(s.t, nil), "foreign").DigestStr())
	must(s.t, err)
	return v1.Descriptor{MediaType: types.OCIImageIndex, ArtifactType: "application/foreign", Digest: digest, Size: 3, Annotations: map[string]string{"a": "b"}}
}

// list has another writer write the index of what refers to an image.
func (s *server) list(ref name.Digest, entries ...v1.Descriptor) {
	s.t.Helper()
	data, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: entries})
	must(s.t, err)
	must(s.t, remote.Put(fallback(ref), manifest{data, types.OCIImageIndex}))
	s.asked()
}

func TestAttachLeavesListingToARegistryThatLists(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]bool{"and says so": true, "and does not say so": false} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			knows := fake.New(fake.WithReferrersSupport(true), fake.Logger(log.New(io.Discard, "", 0)))
			var subject string
			s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if says && r.Method == http.MethodPut {
					w.Header().Set("OCI-Subject", subject)
				}
				knows.ServeHTTP(w, r)
				return true
			}
			ref := s.push(attested(t, nil), "main")
			subject = ref.DigestStr()
			must(t, s.client().Attach(t.Context(), approve(t, ref), ref, attachments()))
			asked := s.asked()
			if n := written(asked, ref); n != 0 {
				t.Errorf("the index was written %d times", n)
			}
			if looked := slices.Contains(asked, "GET /v2/octo/backend/referrers/"+subject); looked == says {
				t.Errorf("the registry was asked for its list: %v", looked)
			}
			s.wantAttached(ref, "two", `"two"`)
		})
	}
}

func TestAttachHoldsItsOwnAgainstAnotherWriter(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "main")
	other := s.foreign()
	interrupted := false
	s.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, fallback(ref).TagStr()) && !interrupted && written(s.soFar(), ref) == 1 {
			interrupted = true // right after our write another one puts its own in place of it
			s.list(ref, other)
		}
		return false
	}
	must(t, s.client().Attach(t.Context(), approve(t, ref), ref, attachments()))
	s.intercept = nil
	s.wantAttached(ref, "one", `"one"`)
	index, err := remote.Index(fallback(ref))
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	if !interrupted || len(manifest.Manifests) != 3 || manifest.Manifests[0].Digest != other.Digest {
		t.Errorf("the index lists %+v", manifest.Manifests)
	}
}

// soFar lists the requests so far.
func (s *server) soFar() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var asked []string
	for _, r := range s.requests {
		asked = append(asked, r.Method+" "+r.URL.Path)
	}
	return asked
}

func TestAttachRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref, other := s.push(attested(t, nil), "main"), s.push(attested(t, nil), "other")
	for name, approval := range map[string]verdict.Approval{"nothing was approved": {}, "another image was approved": approve(t, other)} {
		if err := s.client().Attach(t.Context(), approval, ref, attachments()); err == nil {
			t.Errorf("%s, and it was attached to all the same", name)
		}
	}
	if asked := s.asked(); asked != nil {
		t.Errorf("the registry was asked %q", asked)
	}
	s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		refused := r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/")
		if refused {
			writeError(w, http.StatusForbidden, "DENIED", "no")
		}
		return refused
	}
	if err := s.client().Attach(t.Context(), approve(t, ref), ref, attachments()); err == nil || !strings.Contains(err.Error(), "DENIED") {
		t.Errorf("Attach() = %v, want the registry's refusal", err)
	}
}

func TestAttachedIsNothingOfAnotherForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "main")
	if got, err := s.client().Attached(t.Context(), ref, kind, "says", "one"); err != nil || got != nil {
		t.Errorf("of nothing there is %q, %v", got, err)
	}
	files := attachments()
	files[0].MediaType = "application/other"
	must(t, s.client().Attach(t.Context(), approve(t, ref), ref, files))
	if got, err := s.client().Attached(t.Context(), ref, kind, "says", "one"); err != nil || got != nil {
		t.Errorf("of another media type there is %q, %v", got, err)
	}
}

// TestRelist has a tag list again what refers to an image, beside what has come meanwhile.
func TestRelist(t *testing.T) {
	t.Parallel()
	s := start(t)
	ref := s.push(attested(t, nil), "main")
	c, files := s.client(), attachments()
	must(t, c.Attach(t.Context(), approve(t, ref), ref, files[:1]))
	first, err := remote.Head(fallback(ref))
	must(t, err)
	must(t, remote.Delete(fallback(ref)))
	relist := func() error { return c.Relist(t.Context(), s.image(), first.Digest.String(), fallback(ref).TagStr()) }
	must(t, relist())
	s.wantAttached(ref, "one", `"one"`)
	if again, err := remote.Head(fallback(ref)); err != nil || again.Digest != first.Digest {
		t.Errorf("the tag lists anew: %v, %v", again, err)
	}
	must(t, remote.Delete(fallback(ref)))
	must(t, c.Attach(t.Context(), approve(t, ref), ref, files[1:]))
	must(t, relist())
	must(t, relist())
	s.wantAttached(ref, "one", `"one"`)
	s.wantAttached(ref, "two", `"two"`)
	if err := c.Relist(t.Context(), s.image(), first.Digest.String(), "main"); err == nil {
		t.Error("a tag is moved that people pull by")
	}
}

// TestCleaning keeps what a run is about to delete, the last that was written.
func TestCleaning(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	if data, err := c.ReadCleaning(t.Context(), s.image()); data != nil || err != nil {
		t.Errorf("of none: %q, %v", data, err)
	}
	for _, text := range []string{`{"a":1}`, `{"a":2}`} {
		digest, err := c.WriteCleaning(t.Context(), s.image(), []byte(text))
		must(t, err)
		if data, err := c.ReadCleaning(t.Context(), s.image()); string(data) != text || err != nil {
			t.Errorf("got %q, %v", data, err)
		}
		if at, err := c.at(t.Context(), s.image(), CleaningTag); at != digest || err != nil {
			t.Errorf("it is %s, %v, not %s", at, err, digest)
		}
	}
}
