package action

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/actions"
)

func TestWorkDir(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	cases := []struct {
		name, temp string
		environ    []string
		want       string
	}{
		{"on a runner", temp, []string{"HOME=/home/runner"}, filepath.Join(temp, "ghcr-publish")},
		{"on a runner whose folder is the machine's", os.TempDir(), []string{"HOME=/home/runner"}, filepath.Join(os.TempDir(), "ghcr-publish")},
		{"in a container of an old runner", "/no/such/folder", []string{"HOME=/github/home"}, filepath.Join(os.TempDir(), "ghcr-publish")},
		{"on a laptop", "", []string{"HOME=/home/octocat"}, "/home/octocat/.cache/ghcr-publish"},
		{"on a laptop with a cache elsewhere", "", []string{"HOME=/home/octocat", "XDG_CACHE_HOME=/cache"}, "/cache/ghcr-publish"},
		{"without a home", "", nil, filepath.Join(os.TempDir(), fmt.Sprintf("ghcr-publish-%d", os.Getuid()))},
	}
	for _, c := range cases {
		if got := workDir(Process{Environ: c.environ}, actions.Event{Temp: c.temp}); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestFilesDir keeps what runs of different clones tell apart, and together what they tell on a runner.
func TestFilesDir(t *testing.T) {
	t.Parallel()
	p := Process{Environ: []string{"HOME=/home/octocat"}}
	at := func(workspace, temp string) string {
		return job{Workspace: workspace, Event: actions.Event{Temp: temp}}.filesDir(p)
	}
	one, other := at("/src/a/shop", ""), at("/src/b/shop", "")
	if one == other || !strings.HasPrefix(one, "/home/octocat/.cache/ghcr-publish/shop-") || filepath.Dir(one) != filepath.Dir(other) {
		t.Errorf("%s and %s", one, other)
	}
	if temp := t.TempDir(); at("/src/a/shop", temp) != filepath.Join(temp, "ghcr-publish") {
		t.Errorf("on a runner it is %s", at("/src/a/shop", temp))
	}
}
