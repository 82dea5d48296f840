package buildx

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/cache"
)

// Recorded from real builds: one whose layers went to a registry and a folder, and the next with a new builder.
func TestWhatTiersGave(t *testing.T) {
	t.Parallel()
	policy := cache.Policy{Reads: []string{"registry", "local"}, Writes: "registry"}
	first, told := follow(recorded(t, "cache_cold"), 512)
	got := first.Gave(policy, true)
	for i := range got {
		if got[i].Seconds <= 0 && i == 0 {
			t.Errorf("%+v took no time", got[i])
		}
		got[i].Seconds = 0
	}
	if diff := cmp.Diff([]cache.Gave{{Tier: "registry", Written: 5}, {Tier: "local", Written: 5}}, got); diff != "" {
		t.Errorf("cold (-want +got):\n%s", diff)
	}
	if strings.Contains(strings.Join(told, "\n"), "not found") {
		t.Errorf("it was told that there are no layers yet: %q", told)
	}
	second, _ := follow(recorded(t, "cache_warm"), 512)
	for newBuilder, hits := range map[bool]int{true: 3, false: 1} { // with a builder of old, only what was downloaded is a hit for sure
		got = second.Gave(policy, newBuilder)
		for i := range got {
			got[i].Seconds = 0
		}
		if diff := cmp.Diff([]cache.Gave{{Tier: "registry", Hits: hits, Bytes: 1064322 + 1064329 + 5244717, Written: 5}, {Tier: "local", Written: 5}}, got); diff != "" {
			t.Errorf("warm (-want +got):\n%s", diff)
		}
	}
	if got := second.Gave(cache.Policy{Writes: "off"}, true); len(got) != 0 {
		t.Errorf("off gave %+v", got)
	}
}

// vertex is a line of rawjson that tells of a step which failed.
func vertex(name, failure string) []byte {
	return fmt.Appendf(nil, `{"vertexes":[{"digest":"sha256:a","name":%q,"started":"2026-01-02T03:04:05Z","completed":"2026-01-02T03:04:06Z","error":%q}]}`+"\n", name, failure)
}

func TestWhatIsLostOfACache(t *testing.T) {
	t.Parallel()
	const gha = "importing cache manifest from gha:123"
	cases := []struct{ tier, name, failure, lost string }{
		{"registry", "importing cache manifest from ghcr.io/o/a:ghcr-publish-cache-main-12345678", "failed to configure registry cache importer: x: not found", ""},
		{"registry", "importing cache manifest from ghcr.io/o/a:ghcr-publish-cache-main-12345678", "unexpected status from HEAD request to https://x/v2/: 403 Forbidden", ""},
		{"registry", "importing cache manifest from gha:latest", "dial tcp: connection refused", "it could not be read: dial tcp: connection refused"},
		{"gha", gha, "failed to solve: context canceled", ""}, // for what failed beside it
		{"gha", "exporting to GitHub Actions Cache", "context canceled", ""},
		{"gha", gha, "500 Internal Server Error", "it could not be read: 500 Internal Server Error"},
		{"gha", gha, "blob: not found", "it could not be read: blob: not found"},
		{"gha", "exporting to GitHub Actions Cache", "Put \"https://x/b?se=1&sig=s3cr3t&sp=w\": EOF", "nothing was written: Put \"https://x/b?se=1&sig=***&sp=w\": EOF"},
		{"local", "exporting cache to client directory", "no space\nleft", "nothing was written: no space left"},
	}
	for _, c := range cases {
		var told []string
		p := &Progress{Tell: func(line string) { told = append(told, line) }}
		_, _ = p.Write(vertex(c.name, c.failure))
		got := p.Gave(cache.Policy{Reads: []string{c.tier}, Writes: "off"}, true)
		if len(got) != 1 || got[0].Lost != c.lost || strings.Contains(strings.Join(told, ""), "s3cr3t") {
			t.Errorf("%s: %+v, told %q; want %q", c.failure, got, told, c.lost)
		}
		if p.Explanation() != "" && c.lost == "" {
			t.Errorf("%s explains a failure: %q", c.failure, p.Explanation())
		}
		if strings.Contains(p.Explanation(), c.name+":") {
			t.Errorf("a cache explains a failure: %q", p.Explanation())
		}
	}
}
