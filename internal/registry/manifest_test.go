package registry

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestManifestAndTagged(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, image := &Client{Host: s.host}, s.host+"/octo/app"
	if tags, err := c.Tagged(t.Context(), image); err != nil || len(tags) > 0 {
		t.Errorf("of what was never pushed: %v, %v", tags, err)
	}
	img, err := random.Image(8, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"main", "sha256-0123", JournalTag} {
		ref, err := name.NewTag(image + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
		want[tag] = digest.String()
	}
	tags, err := c.Tagged(t.Context(), image)
	if diff := cmp.Diff(want, tags); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	got, found, err := c.Manifest(t.Context(), image, digest.String())
	if diff := cmp.Diff(string(raw), string(got)); diff != "" || !found || err != nil {
		t.Errorf("%v, %v (-want +got):\n%s", found, err, diff)
	}
	if _, found, err := c.Manifest(t.Context(), image, "sha256:"+strings.Repeat("0", 64)); found || err != nil {
		t.Errorf("of none: %v, %v", found, err)
	}
	s.mu.Lock()
	s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		refused := strings.Contains(r.URL.Path, "/manifests/")
		if refused {
			w.WriteHeader(http.StatusForbidden)
		}
		return refused
	}
	s.mu.Unlock()
	if _, _, err := c.Manifest(t.Context(), image, digest.String()); err == nil {
		t.Error("what is refused is taken for missing")
	}
	if _, err := c.Tagged(t.Context(), image); err == nil {
		t.Error("tags that are refused are left out")
	}
}

func TestSubjectOf(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 8)
	for tag, want := range map[string]string{
		"sha256-" + long[:64]: "sha256:" + long[:64], "sha256-" + long[:64] + ".sig": "sha256:" + long[:64], "sha512-" + long: "sha512:" + long,
		"sha256-" + long[:40]: "", "sha-" + long[:40]: "", "main": "", "x-sha256-" + long[:64]: "", "sha256-" + long[:64] + "-x": "",
	} {
		if got := SubjectOf(tag); got != want || IsUserTag(tag) != (want == "") {
			t.Errorf("%s: %q, want %q; people pull by it: %v", tag, got, want, IsUserTag(tag))
		}
	}
	for _, tag := range []string{JournalTag, CleaningTag, MemoryTag("x")} {
		if IsUserTag(tag) || !IsOwnTag(tag) {
			t.Errorf("%s is taken for one that people pull by", tag)
		}
	}
}
