package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnew takes images as they are today, but those of other services as the plan has settled them: which those are nobody has asked for.
func TestAnew(t *testing.T) {
	t.Parallel()
	s := Service{Name: "app", Reused: "sha256:used", Bases: []BaseImage{
		{Name: "alpine", Ref: "docker.io/library/alpine:3", Digest: "sha256:old"},
		{Name: "base", Ref: "ghcr.io/octo/base", Digest: "sha256:base", Service: "base"}},
		Fresh: &Fresh{Inputs: "sha256:fresh", Bases: []BaseImage{
			{Name: "alpine", Ref: "docker.io/library/alpine:3", Digest: "sha256:new"},
			{Name: "base", Ref: "service:base", Service: "base"}}}}
	want := []BaseImage{{Name: "alpine", Ref: "docker.io/library/alpine:3", Digest: "sha256:new"}, {Name: "base", Ref: "ghcr.io/octo/base", Digest: "sha256:base", Service: "base"}}
	anew := s.Anew([]string{"a finding"})
	if diff := cmp.Diff(want, anew.Bases); diff != "" || anew.Action != Build || anew.Inputs != "sha256:fresh" || s.Fresh.Bases[1].Digest != "" {
		t.Errorf("%s of %s, bases (-want +got):\n%s", anew.Action, anew.Inputs, diff)
	}
}
