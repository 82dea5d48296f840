package buildx

import (
	"slices"
	"testing"
)

// TestAgain says what a build that failed is tried with the next time.
func TestAgain(t *testing.T) {
	t.Parallel()
	from, to := []string{"type=registry,ref=x"}, []string{"type=registry,ref=y"}
	cases := map[string]struct {
		from, to []string
		said     string
		again    bool
		nextFrom []string
		nextTo   []string
		forsaken bool
	}{
		"the Dockerfile's own fault":             {from, to, "process make did not complete successfully: exit code: 2", false, from, to, false},
		"a registry that was busy":               {from, to, "unexpected status from PUT request: 503 Service Unavailable", true, from, to, false},
		"and without a cache":                    {nil, nil, "unexpected status from PUT request: 503 Service Unavailable", true, nil, nil, false},
		"layers that are gone":                   {from, to, "failed to compute cache key: blob sha256:0: not found", true, nil, to, true},
		"layers that are cut short":              {from, to, "short read: expected 10 bytes but got 0: unexpected EOF", true, nil, to, true},
		"a place that cannot be written to":      {nil, to, "mkdir /layers: not a directory", true, nil, nil, true},
		"a registry that takes no image":         {from, to, "failed to push ghcr.io/o/a: denied: permission_denied: write_package", false, from, to, false},
		"a base image that is away for a moment": {nil, to, "failed to compute cache key: unexpected status code 503 Service Unavailable", true, nil, to, false},
		"layers that may not be read":            {from, to, "failed to compute cache key: 403 Forbidden: denied", true, nil, to, true},
		"layers that are not read":               {from, to, "building with buildx: no layer of other runs was read for 5m0s", true, nil, to, true},
		"layers that are not written":            {from, to, "building with buildx: no layer was written for other runs for 5m0s", true, from, nil, true},
		"a base image that is not there":         {from, to, "failed to solve: busybox:0: failed to resolve source metadata for docker.io/library/busybox:0: docker.io/library/busybox:0: not found", false, from, to, false},
		"one whose registry is not found":        {from, to, "building with buildx: [internal] load metadata for r.example/base:1: dial tcp: lookup r.example: out of luck", false, from, to, false},
		"whatever else, with layers":             {from, to, "out of luck", true, nil, to, true},
		"whatever else, without":                 {nil, nil, "out of luck", false, nil, nil, false},
		"layers that are gone, and no cache":     {nil, nil, "failed to compute cache key: blob sha256:0: not found", false, nil, nil, false},
		"a file that is not there, with layers":  {from, to, "failed to compute cache key: failed to calculate checksum of ref x: not found", false, from, to, false},
	}
	for name, c := range cases {
		b, first := Build{CacheFrom: c.from, CacheTo: c.to}, &Progress{}
		next := again(&b, c.said, first)
		if (next != nil) != c.again || !slices.Equal(b.CacheFrom, c.nextFrom) || !slices.Equal(b.CacheTo, c.nextTo) || (first.forsaken != "") != c.forsaken {
			t.Errorf("%s: again %v, from %q to %q, forsaken %q", name, next != nil, b.CacheFrom, b.CacheTo, first.forsaken)
		}
		if c.again && (next == first) != c.forsaken {
			t.Errorf("%s: the steps of another try are told", name)
		}
	}
}
