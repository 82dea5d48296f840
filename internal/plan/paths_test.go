package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// matching returns the files that patterns select.
func matching(patterns []string, links map[string]bool, files []string) []string {
	var hits []string
	selected := selector(patterns, links)
	for _, file := range files {
		if selected(file) {
			hits = append(hits, file)
		}
	}
	return hits
}

func TestMatching(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, patterns, files, want string }{
		{"nothing selects nothing", "", "a b/c", ""},
		{"a name at any depth", "a", "a b/a b/c/a ab b/ab", "a b/a b/c/a"},
		{"a wildcard at any depth", "*.go", "main.go a/b.go a/b/c.go a.gob a/go", "main.go a/b.go a/b/c.go"},
		{"a star matches one segment", "/*", "a .b", "a .b"},
		{"a star does not cross slashes", "/a/*.go", "a/b.go a/b/c.go", "a/b.go"},
		{"a folder stands for all in it", "docs", "docs/a docs/b/c x/docs/a docs2/a", "docs/a docs/b/c x/docs/a"},
		{"a folder with a slash", "docs/", "docs/a docs/b/c x/docs/a", "docs/a docs/b/c x/docs/a"},
		{"a folder with a slash is no file", "docs/", "docs x/docs", ""},
		{"anchored at the root", "/docs", "docs docs/a x/docs x/docs/a", "docs docs/a"},
		{"anchored with a folder's slash", "/docs/", "docs/a x/docs/a", "docs/a"},
		{"a slash in the middle anchors", "a/b", "a/b a/b/c x/a/b", "a/b a/b/c"},
		{"a leading dot and slash anchor", "./a", "a x/a", "a"},
		{"a leading dot and slash before more", "./a/b", "a/b x/a/b", "a/b"},
		{"the repository itself", ".", "a b/c", "a b/c"},
		{"two stars in front", "**/b", "b a/b a/c/b ab", "b a/b a/c/b"},
		{"two stars in the middle", "a/**/b", "a/b a/x/b a/x/y/b b", "a/b a/x/b a/x/y/b"},
		{"two stars at the end", "a/**", "a/b a/b/c ab", "a/b a/b/c"},
		{"two stars alone", "**", "a b/c .d", "a b/c .d"},
		{"hidden files are files", "a/**", "a/.env a/.x/y", "a/.env a/.x/y"},
		{"a question mark", "a?c", "abc ac abbc", "abc"},
		{"a class", "[ab].txt", "a.txt c.txt", "a.txt"},
		{"alternatives", "*.{js,ts}", "a.js b.ts c.go", "a.js b.ts"},
		{"taken out again", "a/** !a/b", "a/b a/c a/b/d", "a/c"},
		{"put back in", "a/** !a/b/** a/b/c", "a/b/c a/b/d a/e", "a/b/c a/e"},
		{"the last match decides", "!a/b a/**", "a/b a/c", "a/b a/c"},
		{"negation at any depth", "** !*.md", "a.md b/c.md d", "d"},
		{"negation alone selects nothing", "!a", "a b", ""},
		{"an ill-formed pattern selects nothing", "[", "[ a", ""},
		{"case counts", "Docs", "docs/a Docs/a", "Docs/a"},
		{"a slash alone", "/", "a a/b", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := matching(strings.Fields(c.patterns), nil, strings.Fields(c.files))
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("matching(%q) (-want +got):\n%s", c.patterns, diff)
			}
		})
	}
}

func TestPatternsReachIntoSubmodules(t *testing.T) {
	t.Parallel()
	cases := []struct {
		patterns string
		selected bool
	}{
		{"lib/x/src/**", true}, {"lib/x", true}, {"lib/*/src/a.go", true}, {"lib/**", true}, {"*.go", true}, {"**/src/*", true},
		{"lib/y/src/**", false}, {"lib", true}, {"src/**", false}, {"lib/x/src/** !lib/x/src/docs/**", true}, {"lib/x/** !lib/x", false}, {"/a", false},
	}
	for _, c := range cases {
		got := matching(strings.Fields(c.patterns), map[string]bool{"lib/x": true}, []string{"lib/x"})
		if (len(got) == 1) != c.selected {
			t.Errorf("%s selects %q; want the submodule: %v", c.patterns, got, c.selected)
		}
	}
	if got := matching([]string{"lib/*/src/**"}, nil, []string{"lib/readme"}); got != nil {
		t.Errorf("a file beside: %q", got)
	}
}

func TestEmptyPatternMatchesNothing(t *testing.T) {
	t.Parallel()
	if hits := matching([]string{""}, nil, []string{"a", "b/c"}); hits != nil {
		t.Errorf("an empty pattern selects %q", hits)
	}
}

func FuzzMatching(f *testing.F) {
	f.Add("a/**", "a/b")
	f.Add("!{a,[b", "x")
	f.Fuzz(func(t *testing.T, pattern, file string) {
		hits := matching([]string{pattern}, nil, []string{file})
		if len(hits) > 0 && strings.HasPrefix(pattern, "!") {
			t.Errorf("%q alone selects %q", pattern, file)
		}
		if out := matching([]string{pattern, "!" + pattern}, nil, []string{file}); len(out) > 0 && !strings.HasPrefix(pattern, "!") {
			t.Errorf("%q selects %q also after it was taken out", pattern, file)
		}
	})
}
