package results

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/org/ghcr-publish/internal/resultstest"
)

func TestCacheAccess(t *testing.T) {
	t.Parallel()
	token := (&resultstest.Server{}).CacheToken("run", "job", resultstest.Permission{Scope: "refs/pull/7/merge", Permission: 3}, resultstest.Permission{Scope: "refs/heads/main", Permission: 1})
	readOnly := (&resultstest.Server{}).CacheToken("run", "job", resultstest.Permission{Scope: "refs/heads/main", Permission: 1})
	own := []string{"refs/pull/7/merge"}
	for name, c := range map[string]struct {
		token, mode string
		want        Access
	}{
		"all":               {token, "", Access{true, own}},
		"as without a mode": {token, "write", Access{true, own}},
		"read":              {token, "read", Access{true, nil}},
		"write-only":        {token, "write-only", Access{false, own}},
		"none":              {token, "NONE", Access{false, nil}},
		"a read-only token": {readOnly, "", Access{true, nil}},
		"no more by a mode": {readOnly, "write", Access{true, nil}},
	} {
		got, err := CacheAccess(c.token, c.mode)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for _, odd := range []string{"", "a.b.c", (&resultstest.Server{}).Token("run", "job")} {
		if access, err := CacheAccess(odd, ""); err == nil || access.Read || access.Write != nil {
			t.Errorf("%q gives %+v, %v", odd, access, err)
		}
	}
}

func FuzzCacheAccess(f *testing.F) {
	f.Add("a.eyJhYyI6Ilt7XCJTY29wZVwiOlwicmVmcy9oZWFkcy9tYWluXCIsXCJQZXJtaXNzaW9uXCI6M31dIiwiZXhwIjoxLCJuYmYiOjF9.c", "")
	f.Fuzz(func(t *testing.T, token, mode string) {
		access, err := CacheAccess(token, mode)
		if err != nil && (access.Read || access.Write != nil) || mode == "none" && (access.Read || access.Write != nil) {
			t.Errorf("%q, %q: %+v, %v", token, mode, access, err)
		}
	})
}
