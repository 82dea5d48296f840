package registry

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/docstest"
)

// TestAdvice reads refusals as ghcr.io, or a tool that it refused, has really worded them.
func TestAdvice(t *testing.T) {
	t.Parallel()
	cases := map[string]string{ // to the words that are known of them
		`PUT https://ghcr.io/v2/octo/backend/manifests/main: DENIED: permission_denied: write_package`:                                                          "permission_denied: write_package",
		"#15 ERROR: failed to push ghcr.io/octo/backend:main: denied: permission_denied: write_package":                                                         "permission_denied: write_package",
		`denied: permission_denied: create_package`:                                                                                                             "permission_denied: create_package",
		`GET https://ghcr.io/token?scope=repository%3Aocto%2Fbase%3Apull: DENIED: permission_denied: read_package`:                                              "permission_denied: read_package",
		`denied: permission_denied: The token provided does not match expected scopes.`:                                                                         "does not match expected scopes",
		`failed to push ghcr.io/octo/backend: denied: installation not allowed to Write organization package`:                                                   "installation not allowed",
		`denied: installation not allowed to Create organization package`:                                                                                       "installation not allowed",
		`{"errors":[{"code":"UNAUTHORIZED","message":"unauthenticated: User cannot be authenticated with the token provided."}]}`:                               "user cannot be authenticated with the token provided",
		`failed to put manifest ghcr.io/octo/nanoarrow:ubuntu: unauthorized: unauthenticated: User cannot be authenticated with the token provided.`:            "user cannot be authenticated with the token provided",
		`failed to fetch oauth token: denied: denied`:                                                                                                           "denied: denied",
		`Error response from daemon: Get "https://ghcr.io/v2/": denied: denied`:                                                                                 "denied: denied",
		`server message: insufficient_scope: authorization failed`:                                                                                              "insufficient_scope",
		`GET https://ghcr.io/v2/octo/app/manifests/1: DENIED: requested access to the resource is denied`:                                                       "requested access to the resource is denied",
		`ERROR: invalid tag "ghcr.io/Octo-Org/app:main": repository name must be lowercase`:                                                                     "name must be lowercase",
		`POST https://ghcr.io/v2/octo/a__/blobs/uploads/: NAME_INVALID: invalid repository name`:                                                                "name_invalid",
		`GET https://ghcr.io/v2/octo/app/tags/list: NAME_UNKNOWN: repository name not known to registry`:                                                        "name_unknown",
		`name unknown: The repository does not exist`:                                                                                                           "name unknown",
		`DENIED: storage quota exceeded`:                                                                                                                        "quota exceeded",
		`toomanyrequests: retry-after: 513.951µs, allowed: 44000/minute`:                                                                                        "toomanyrequests",
		`unexpected status from GET request to https://ghcr.io/v2/octo/app/blobs/sha256:0: 429 Too Many Requests`:                                               "429 too many requests",
		"GET https://ghcr.io/v2/: unexpected status code 403 Forbidden: <!DOCTYPE html>\n<html><head><title>Blocked</title>":                                    "<!doctype html",
		`error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: "<html>\r\n<head><title>403 Forbidden</title></head>\r\n"`: "<html",
		`error parsing HTTP 503 response body: invalid character '<' looking for beginning of value: ""`:                                                        "invalid character '<' looking for beginning of value",
		`Get "https://registry:5000/v2/": http: server gave HTTP response to HTTPS client`:                                                                      "server gave http response to https client",
		`Get "https://containers.ghe.example/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority`:                            "x509: certificate signed by unknown authority",
		`GET http://localhost:5000/v2/: UNAUTHORIZED: authentication required`:                                                                                  "unauthorized: ",
		`failed commit on ref "index-sha256:bdb1": unexpected status from PUT request to https://ghcr.io/v2/octo/app/manifests/main: 403 Forbidden`:             "403 forbidden",
		`failed to copy: failed to do request: unexpected status from HEAD request to https://ghcr.io/v2/octo/app/blobs/sha256:0: 403 Forbidden`:                "403 forbidden",
		`exit code 1`: "",
		`process "/bin/sh -c npm ci" did not complete successfully: exit code: 1`: "",
	}
	known := map[string]bool{}
	for said, words := range cases {
		known[words] = true
		want := ""
		for _, r := range refusals {
			if r.words == words {
				want = r.advice
			}
		}
		if got := Advice(said); got != want || (words != "") != (got != "") {
			t.Errorf("%q gives %q, want %q", said, got, want)
		}
	}
	for _, r := range refusals {
		if !known[r.words] && r.words != "repository name not known to registry" {
			t.Errorf("no text has %q", r.words)
		}
	}
}

var update = flag.Bool("update", false, "rewrite what the page on troubleshooting says of refusals")

// TestRefusalsAreDocumented has the page on troubleshooting tell of every refusal what the program tells.
func TestRefusalsAreDocumented(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| words | what to do |\n|---|---|\n")
	for _, r := range refusals {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.words, r.advice)
	}
	docstest.Keep(t, *update, "../../.github/docs/troubleshooting.md", map[string]string{"refusals": b.String()})
}
