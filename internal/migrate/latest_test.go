package migrate

import (
	"slices"
	"strings"
	"testing"
)

// TestLatest keeps `latest` on what the default branch has where it surely was there, and else says how to.
func TestLatest(t *testing.T) {
	t.Parallel()
	const build = "\n      - uses: docker/build-push-action@v6\n        with: {push: true, context: a, tags: 'ghcr.io/acme/a:latest,ghcr.io/acme/a:${{ github.sha }}'}"
	main := "{push: {branches: [main]}}"
	for title, c := range map[string]struct {
		on, steps   string
		rules, said bool
	}{
		"from main":                {main, build, true, false},
		"from all branches":        {"[push, pull_request]", build, true, false},
		"but from pull requests":   {main, strings.Replace(build, "push: true", "push: \"${{ github.event_name != 'pull_request' }}\"", 1), true, false},
		"by a variable":            {main, strings.Replace(build, "'ghcr.io/acme/a:latest,", "'${{ env.IMAGE }}:latest,", 1), true, false},
		"from git tags":            {"{push: {tags: ['v*']}}", build, false, true},
		"from another branch":      {"{push: {branches: [release]}}", build, false, true},
		"from git tags by a step":  {main, strings.Replace(build, "- uses", "- if: startsWith(github.ref, 'refs/tags/')\n        uses", 1), false, true},
		"in some cases":            {main, strings.Replace(build, "'ghcr.io/acme/a:latest,ghcr.io/acme/a:${{ github.sha }}'", "\"ghcr.io/acme/a:${{ github.ref_name == 'main' && 'latest' || 'x' }}\"", 1), false, true},
		"of one image of two":      {main, build + strings.ReplaceAll(strings.Replace(build, ":latest", ":edge", 1), "acme/a", "acme/b"), false, true},
		"of both":                  {main, build + strings.ReplaceAll(build, "acme/a", "acme/b"), true, false},
		"beside rules of an image": {main, build + "\n      - {id: m, uses: docker/metadata-action@v5, with: {images: ghcr.io/acme/b, tags: type=sha}}\n      - {uses: docker/build-push-action@v6, with: {push: true, tags: '${{ steps.m.outputs.tags }}'}}", false, true},
		"never":                    {main, strings.Replace(build, ":latest", ":latest-news", 1), false, false},
	} {
		r := readAll(t, "on: "+c.on+"\nenv: {IMAGE: ghcr.io/acme/a}\nconcurrency: x\njobs:\n  build:\n    steps:"+c.steps+"\n")
		rules := slices.Contains(r.Tags, "type=raw,value=latest,enable={{is_default_branch}}") && slices.Contains(r.Tags, "type=semver,pattern={{major}}.{{minor}}")
		said := slices.ContainsFunc(r.Left, func(left string) bool {
			return strings.Contains(left, "names the tag `latest`, which follows releases here")
		})
		if rules != c.rules || said != c.said {
			t.Errorf("%s: tags %q, left %q", title, r.Tags, r.Left)
		}
	}
}
