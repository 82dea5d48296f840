package insight

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/memory"
)

// TestArgs reads back what a build writes, and no value.
func TestArgs(t *testing.T) {
	t.Parallel()
	written := func(inputs string, success bool, args map[string]string) memory.Entry {
		s := judged("api")
		s.Inputs, s.Success, s.Args = inputs, success, Fingerprints(args)
		for _, e := range entries(t, whole(s)) {
			if e.Namespace == "builds" {
				if strings.Contains(string(e.Value), "hunter2") {
					t.Errorf("the memory has the value: %s", e.Value)
				}
				return e
			}
		}
		panic("no build was written")
	}
	args := map[string]string{"VERSION": "hunter2", "MODE": "fast"}
	known := Args([]memory.Entry{written("sha256:1", true, args), written("sha256:1", true, nil), written("sha256:2", false, args), written("", true, args), {Value: []byte("1")}})
	want := map[string]map[string]string{"sha256:1": Fingerprints(args)}
	if diff := cmp.Diff(want, known); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
}

func TestDiffering(t *testing.T) {
	t.Parallel()
	before := Fingerprints(map[string]string{"A": "1", "B": "2", "GONE": ""})
	for name, c := range map[string]struct {
		before, now map[string]string
		want        []string
	}{
		"the same":        {before, before, nil},
		"some":            {before, Fingerprints(map[string]string{"A": "1", "B": "3", "NEW": ""}), []string{"B", "GONE", "NEW"}},
		"nothing is left": {before, nil, []string{"A", "B", "GONE"}},
		"nothing known":   {nil, before, nil},
	} {
		if got := Differing(c.before, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
