package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, workspace(minimal+`clean:
  after: true
  protect: [latest, stable-*]
  tags:
    - {match: sha-*, newest: 20, younger: 90d}
    - {match: [nightly-*, edge], younger: 36h}
  closed: keep
  untagged: {newest: 0, younger: 14d}
  grace: 12h
  most: 50
  share: 20%
`)).Clean
	want := Clean{After: true, Protect: []string{"latest", "stable-*"}, Tags: []TagLimits{{[]string{"sha-*"}, Limits{20, 90 * day}}, {[]string{"nightly-*", "edge"}, Limits{0, 36 * time.Hour}}},
		Untagged: Limits{0, 14 * day}, Grace: 12 * time.Hour, Most: 50, Share: 0.2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(DefaultClean(), mustLoad(t, workspace(minimal)).Clean); diff != "" {
		t.Errorf("by default (-want +got):\n%s", diff)
	}
}

// TestCleanMistakes are told all at once.
func TestCleanMistakes(t *testing.T) {
	t.Parallel()
	_, err := Load(workspace(minimal + `clean:
  protect: "["
  tags: [{match: a, newst: 3}, {newest: 1}]
  closed: yes
  after: always
  untagged: {newest: -1}
  grace: 0d
  most: 0
  share: 50
`))
	got := texts(t, err)
	if len(got) != 10 {
		t.Errorf("%d mistakes: %q", len(got), got)
	}
}

func TestCleanIDs(t *testing.T) {
	t.Parallel()
	src := workspace(minimal)
	src.Flags = map[string]string{"restore": "12, 7\n9"}
	if got := mustLoad(t, src).Restore; !cmp.Equal(got, []int64{12, 7, 9}) {
		t.Errorf("got %d", got)
	}
	src.Flags["restore"] = "sha256:1"
	if _, err := Load(src); err == nil {
		t.Error("what is no id is taken")
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]bool{"latest": true, "v1.2.3": true, "1.2": true, "very": false, "sha-1": false, "latest-1": false} {
		if got := Matches(DefaultClean().Protect, tag); got != want {
			t.Errorf("%s: %v", tag, got)
		}
	}
}
