package github

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/githubtest"
)

// TestReadAsset follows GitHub to where assets are kept, without the token, and believes no more than it asked for.
func TestReadAsset(t *testing.T) {
	t.Parallel()
	client, server := startAPI(t)
	content := bytes.Repeat([]byte("x"), 1000)
	var files []githubtest.ReleaseAsset
	for i := range 101 {
		files = append(files, githubtest.ReleaseAsset{ID: 1000 + i, Name: fmt.Sprintf("file-%d", i), Data: content, Whole: true})
	}
	id := server.AddRelease(githubtest.Release{Tag: "v1.0.0", Assets: files})
	assets, err := client.Assets(t.Context(), int64(id))
	if err != nil || len(assets) != 101 {
		t.Fatalf("there are %d assets: %v", len(assets), err)
	}
	last := assets[100]
	if data, err := client.ReadAsset(t.Context(), last, 1000); err != nil || !bytes.Equal(data, content) {
		t.Errorf("ReadAsset() = %q, %v", data, err)
	}
	if problems := server.Problems(); problems != nil {
		t.Errorf("GitHub refused %q", problems)
	}
	if data, err := client.ReadAsset(t.Context(), last, 999); err == nil || !strings.Contains(err.Error(), "more than 999 bytes") {
		t.Errorf("what is too large is read: %q, %v", data, err)
	}
	last.Digest = "sha256:" + strings.Repeat("0", 64)
	if data, err := client.ReadAsset(t.Context(), last, 1000); err == nil || !strings.Contains(err.Error(), "it is not sha256:0") {
		t.Errorf("what is altered is read: %q, %v", data, err)
	}
	last.ID = 1
	if data, err := client.ReadAsset(t.Context(), last, 1000); err == nil {
		t.Errorf("what is not there is read: %q", data)
	}
}
