package github

import (
	"net/http"
	"slices"
	"testing"
)

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header string
		want   []string
	}{
		{"gist, read:org, repo, write:packages", []string{"gist", "read:org", "repo", "write:packages"}},
		{"repo", []string{"repo"}},
		{"", nil},
	} {
		seen, url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-OAuth-Scopes", c.header)
			_, _ = w.Write([]byte("{}"))
		})
		got, err := Scopes(t.Context(), url+"/api/v3", "gho_1")
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q is %q (%v), want %q", c.header, got, err, c.want)
		}
		if r := seen.seen[0]; r.URL.Path != "/api/v3/rate_limit" || r.Header.Get("Authorization") != "Bearer gho_1" {
			t.Errorf("GitHub was asked %s with %s", r.URL.Path, r.Header.Get("Authorization"))
		}
	}
	_, url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if got, err := Scopes(t.Context(), url, "gho_expired"); err == nil {
		t.Errorf("a token that GitHub does not know has the scopes %q", got)
	}
}
