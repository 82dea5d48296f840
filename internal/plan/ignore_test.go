package plan

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/service"
)

// TestWhatTheBuilderNeverGetsDoesNotCount changes one file of a context and asks whether that counts.
func TestWhatTheBuilderNeverGetsDoesNotCount(t *testing.T) {
	t.Parallel()
	root := service.Service{Name: "s", Image: "ghcr.io/octo/s", Context: ".", Dockerfile: "docs/Dockerfile", Platforms: []string{"linux/amd64"}}
	docs := root
	docs.Context = "docs"
	named := docs
	named.Paths = []string{"docs/**"}
	cases := []struct {
		name    string
		service service.Service
		ignore  map[string]string // ignore files
		changed string
		counts  bool
	}{
		{"no ignore file", docs, nil, "docs/index.md", true},
		{"an ignored file", docs, map[string]string{"docs/.dockerignore": "*.md\n"}, "docs/index.md", false},
		{"another file", docs, map[string]string{"docs/.dockerignore": "*.txt\n"}, "docs/index.md", true},
		{"an exception", docs, map[string]string{"docs/.dockerignore": "*\n!index.md\n"}, "docs/index.md", true},
		{"what no exception names", docs, map[string]string{"docs/.dockerignore": "*\n!index.md\n"}, "docs/other.md", false},
		{"a folder", docs, map[string]string{"docs/.dockerignore": "drafts\n"}, "docs/drafts/a/b", false},
		{"an exception in a folder", docs, map[string]string{"docs/.dockerignore": "drafts\n!drafts/a\n"}, "docs/drafts/a/b", true},
		{"a comment and blanks", docs, map[string]string{"docs/.dockerignore": "# *.md\n\n"}, "docs/index.md", true},
		{"a pattern is relative to the context", docs, map[string]string{"docs/.dockerignore": "docs/index.md\n"}, "docs/index.md", true},
		{"an ignore file above the context is not read", docs, map[string]string{".dockerignore": "**\n"}, "docs/index.md", true},
		{"the Dockerfile's own goes before", docs, map[string]string{"docs/.dockerignore": "*.md\n", "docs/Dockerfile.dockerignore": "*.txt\n"}, "docs/index.md", true},
		{"the Dockerfile's own ignores", docs, map[string]string{"docs/Dockerfile.dockerignore": "*.md\n"}, "docs/index.md", false},
		{"the Dockerfile itself", docs, map[string]string{"docs/.dockerignore": "*\n"}, "docs/Dockerfile", true},
		{"the ignore file itself", docs, map[string]string{"docs/.dockerignore": "*\n"}, "docs/.dockerignore", true},
		{"the root as context", root, map[string]string{".dockerignore": ".git\n**/*.md\n"}, "docs/index.md", false},
		{"the root as context, and what is let through", root, map[string]string{".dockerignore": ".git\n**/*.md\n"}, "web/app.js", true},
		{"paths that were named say all", named, map[string]string{"docs/.dockerignore": "*.md\n"}, "docs/index.md", true},
		{"an ignore file that cannot be read lets all through", docs, map[string]string{"docs/.dockerignore": "[\n"}, "docs/index.md", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.planner.Config.Services = []service.Service{c.service}
			w.commit(c.ignore)
			w.publish()
			before, first := w.make().Services[0], w.head()
			text := "changed"
			if c.ignore[c.changed] != "" {
				text = c.ignore[c.changed] + "more\n"
			}
			w.write(map[string]string{c.changed: text})
			uncommitted := w.make().Services[0]
			w.commit(nil)
			after := w.make().Services[0]
			for what, s := range map[string]Service{"uncommitted": uncommitted, "committed": after} {
				if counts := s.Inputs != before.Inputs; counts != c.counts || (s.Action == Build) != c.counts {
					t.Errorf("%s: the inputs differ: %v; %s, %s; want %v", what, counts, s.Action, s.Reason, c.counts)
				}
			}
			if past, err := w.planner.InputsAt(t.Context(), after, first); err != nil || past != before.Inputs {
				t.Errorf("as it was, its inputs are %s, %v; want %s", past, err, before.Inputs)
			}
		})
	}
}

func FuzzIgnored(f *testing.F) {
	f.Add("*.md\n!a.md\n", "b/c.md")
	f.Add("[\n**/x", "x/x")
	f.Fuzz(func(t *testing.T, text, file string) {
		if !fs.ValidPath(file) || file == "." {
			t.Skip("no file of a context")
		}
		i := dockerfile.ReadIgnore([]byte(text))
		if i.Wholly(file) && !i.Matches(file) {
			t.Errorf("%q is ignored with all in it, and is not", file)
		}
		if !strings.Contains(text, "!") && i.Matches(file) && !i.Matches(file+"/below") {
			t.Errorf("%q ignores %q and not what is below it", text, file)
		}
	})
}
