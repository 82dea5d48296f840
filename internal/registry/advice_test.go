package registry

import "testing"

func TestAdvice(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		`PUT https://ghcr.io/v2/octo/backend/manifests/main: DENIED: permission_denied: write_package`:        refusals[0].advice,
		`failed to push ghcr.io/octo/backend: denied: installation not allowed to Write organization package`: refusals[3].advice,
		`failed to fetch oauth token: denied: denied`:                                                         refusals[4].advice,
		`GET http://localhost:5000/v2/: UNAUTHORIZED: authentication required`:                                refusals[5].advice,
		`exit code 1`: "",
	}
	for said, want := range cases {
		if got := Advice(said); got != want {
			t.Errorf("%q gives %q, want %q", said, got, want)
		}
	}
}
