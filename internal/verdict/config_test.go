package verdict

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSeemsSecret(t *testing.T) {
	t.Parallel()
	got := SeemsSecret([]string{"PATH=/usr/bin", "DB_PASSWORD=hunter2", "DB_PASSWORD_FILE=/run/secrets/db", "TOKEN=", "API_TOKEN=$TOKEN", "PASSAGE=wide", "KEYS=1", "X=AKIAABCDEFGHIJKLMNOP"},
		[]string{"RUN |1 NPM_TOKEN=npm_abc /bin/sh -c npm ci # buildkit", `RUN /bin/sh -c curl -H "Authorization: ghp_abcdefghijklmnopqrstuvwxyz" https://example.com`, "COPY . . # buildkit", "ENV API_KEY='a b'"})
	want := []string{"ENV DB_PASSWORD", `ENV a value that begins with "AKIA"`, "instruction 1 of its history: NPM_TOKEN", `instruction 2 of its history: a value that begins with "ghp_"`, "instruction 4 of its history: API_KEY"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
