package buildx

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/ghcr-publish/internal/run"
)

// begun is a line of rawjson that tells of a step which goes on.
func begun(name string) []byte {
	return fmt.Appendf(nil, `{"vertexes":[{"digest":%q,"name":%q,"started":"2026-01-02T03:04:05Z"}]}`+"\n", name, name)
}

const (
	writes  = "exporting to GitHub Actions Cache"
	reads   = "importing cache manifest from gha:1"
	compile = "[build 2/2] RUN make"
)

// TestStuckBuildsGoOnWithout has a builder that tells nothing any more while it reads or writes layers; one that compiles is left alone.
func TestStuckBuildsGoOnWithout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps    []string
		from, to bool // what the last try has
		tries    int
	}{
		"nothing is written":          {[]string{writes}, true, false, 2},
		"nothing is read":             {[]string{reads}, false, true, 2},
		"it compiles beside":          {[]string{reads, compile}, true, true, 1},
		"it compiles, and no more":    {[]string{compile}, true, true, 1},
		"it has not told of anything": {nil, true, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls []string
				client := &Client{Argv: []string{"buildx"}, Run: func(ctx context.Context, command run.Command) ([]byte, error) {
					calls = append(calls, strings.Join(command.Argv, " "))
					for _, step := range c.steps {
						if len(calls) == 1 {
							_, _ = command.Stderr.Write(begun(step))
						}
					}
					if len(calls) > 1 {
						return nil, nil
					}
					select {
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					case <-time.After(time.Hour):
						return nil, nil
					}
				}}
				b := Build{CacheFrom: []string{"x"}, CacheTo: []string{"y"}, Metadata: filepath.Join(t.TempDir(), "m", "a.json")}
				_, err := client.Build(t.Context(), b, &Progress{})
				last := calls[len(calls)-1]
				if len(calls) != c.tries || strings.Contains(last, "--cache-from") != c.from || strings.Contains(last, "--cache-to") != c.to {
					t.Errorf("%q, %v", calls, err)
				}
			})
		})
	}
}

// TestStuckIsToldBySilence: whoever says something goes on.
func TestStuckIsToldBySilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &Progress{}
		_, _ = p.Write(begun(writes))
		for range 3 {
			time.Sleep(silence - time.Second)
			if what := p.stuck(); what != "" {
				t.Errorf("before its time: %s", what)
			}
			_, _ = p.Write([]byte("a word\n"))
		}
		time.Sleep(silence)
		if what := p.stuck(); !strings.HasPrefix(what, unwritten) {
			t.Errorf("after so long: %q", what)
		}
	})
}
