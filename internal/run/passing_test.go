package run

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestPasses(t *testing.T) {
	t.Parallel()
	cases := map[string]bool{
		`ERROR: failed to solve: failed to push localhost:5000/a/b: unexpected status from PUT request to http://localhost:5000/v2/a/b/blobs/uploads/1: 503 Service Unavailable`:    true,
		`failed to push ghcr.io/a/b: failed to copy: io: read/write on closed pipe; httpReadSeeker: failed open: unexpected status code https://ghcr.io/v2/: 429 Too Many Requests`: true,
		`failed to do request: Put "http://localhost:5000/v2/": EOF`:                                                                true,
		`failed to do request: Head "http://localhost:5000/v2/": read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer`: true,
		`failed to authorize: failed to fetch oauth token: denied: denied`:                                                          true,
		`FATAL Fatal error run error: image scan error: GET http://localhost:5000/v2/a/b: unexpected status code 502 Bad Gateway`:   true,
		`net/http: TLS handshake timeout`: true,
		`failed to push localhost:5000/a/b: unexpected status from HEAD request to http://localhost:5000/v2/a/b/manifests/sha256:0: 401 Unauthorized`:                            true,
		`failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://ghcr.io/token: 401 Unauthorized`:                                        false,
		`FATAL Fatal error run error: image scan error: unable to get the image ID: error verifying sha256 checksum after reading 2316 bytes; got "sha256:ab", want "sha256:3a"`: true,
		`FATAL Fatal error run error: failed to analyze layer (sha256:4a): walk error: failed to extract the archive: archive/tar: invalid tar header`:                           true,
		`Error response from daemon: filesystem layer verification failed for digest sha256:3a`:                                                                                  true,
		`failed to do request: Get "https://ghcr.io/v2/": http2: server sent GOAWAY and closed the connection; LastStreamID=1`:                                                   true,
		`dial tcp: lookup ghcr.io: Temporary failure in name resolution`:                                                                                                         true,
		`denied: permission_denied: write_package`:                    false,
		`dockerfile parse error on line 3: unknown instruction: FORM`: false,
		`RUN curl https://example.com: process "/bin/sh -c curl" did not complete successfully: exit code: 22
curl: (22) The requested URL returned error: 503`: false,
		`failed to solve: docker.io/library/none:latest: not found`: false,
		"": false,
	}
	for said, want := range cases {
		if got := Passes(said); got != want {
			t.Errorf("Passes(%q) = %v", said, got)
		}
	}
}

// TestPatient repeats what passes, a few times, and nothing else.
func TestPatient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says  []string // empty for success
		tries int
	}{
		{[]string{""}, 1},
		{[]string{"unexpected status code 503", "EOF", ""}, 3},
		{[]string{"unexpected status code 503", "not found"}, 2},
		{[]string{"EOF", "EOF", "EOF", "EOF", "EOF", ""}, 1 + Tries},
		{[]string{"not found", ""}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			_, err := Patient(func(context.Context, Command) ([]byte, error) {
				tries++
				if said := c.says[tries-1]; said != "" {
					return nil, errors.New(said)
				}
				return nil, nil
			})(t.Context(), Command{})
			if last := c.says[tries-1]; tries != c.tries || (err == nil) != (last == "") {
				t.Errorf("%q: %v after %d tries, want %d", c.says, err, tries, c.tries)
			}
		})
	}
}
