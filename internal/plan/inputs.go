package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/org/ghcr-publish/internal/git"
	"github.com/org/ghcr-publish/internal/service"
)

// inputs is the digest of all that decides a service's image: its definition and files, the digests of the images it
// is made from, and the inputs of the services that it needs.
func inputs(content string, bases []BaseImage, needs map[string]string) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "content %s\n", content)
	for _, b := range bases {
		if b.Service == "" {
			fmt.Fprintf(sum, "image %q %s\n", b.Ref, b.Digest)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		fmt.Fprintf(sum, "service %q %s\n", name, needs[name])
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// content is the digest of a service's definition, and of mode, name and content of each file that counts, which are returned too. Labels that
// this program makes do not count, nor do secrets, but for their names.
func (t *tree) content(c *scope) (digest string, files []git.File, err error) {
	definition, err := json.Marshal(defined(c.service))
	if err != nil {
		return "", nil, err
	}
	if files, err = t.counted(c); err != nil {
		return "", nil, err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", definition)
	var line []byte
	for _, f := range files {
		line = append(append(append(append(line[:0], f.Mode...), ' '), f.ID...), ' ')
		sum.Write(append(strconv.AppendQuote(line, f.Path), '\n'))
	}
	return hex.EncodeToString(sum.Sum(nil)), files, nil
}

// defined is what a service's definition says of its image.
func defined(s service.Service) []any {
	return []any{s.Context, s.Dockerfile, s.Inline, s.Target, s.BuildArgs, s.Labels, s.Annotations, s.Platforms,
		s.Contexts, slices.Sorted(maps.Keys(s.Secrets)), s.SSH, s.Network, s.ExtraHosts, s.ShmSize, s.Ulimits}
}

// counted lists the files that count as the builder gets them, in order: most as the commit has them, those that are
// touched as they are in the work tree.
func (t *tree) counted(c *scope) ([]git.File, error) {
	touched := append(c.hits(t.touched), c.unseen()...)
	slices.Sort(touched)
	var files []git.File
	for _, f := range t.below(c.prefixes) {
		if _, differs := slices.BinarySearch(touched, f.Path); !differs && c.holds(f.Path) {
			files = append(files, f)
		}
	}
	for _, name := range slices.Compact(touched) {
		f, err := t.onDisk(name)
		if err != nil {
			return nil, err
		}
		if f.Mode != "" {
			files = append(files, f)
		}
	}
	if len(touched) > 0 {
		slices.SortFunc(files, byPath)
	}
	return files, nil
}

// neverTheSame names the clone that the builder gets with a service's contexts: no two checkouts have the same. Empty
// where there is none.
func (t *tree) neverTheSame(c *scope) string {
	for _, r := range c.roots {
		at := path.Join(r.prefix, ".git")
		if _, err := os.Lstat(t.at(at)); err == nil && c.holds(at) {
			return at
		}
	}
	for _, file := range c.unseen() {
		if before, _, found := strings.Cut(file, ".git/"); found && (before == "" || strings.HasSuffix(before, "/")) {
			return before + ".git"
		}
	}
	return ""
}

// InputsAt returns the inputs digest that a service has at another commit of the clone, as far as its
// definition tells, which must be the same there. The images that it is made from count as they did in the plan.
func (p Planner) InputsAt(ctx context.Context, s Service, commit string) (string, error) {
	here, err := p.checkedOut(ctx)
	if err != nil {
		return "", err
	}
	there, err := p.treeAt(ctx, commit)
	if err != nil {
		return "", err
	}
	for _, file := range p.Config.From {
		if here.id(file) != there.id(file) {
			return "", fmt.Errorf("%s is another at %s", file, git.Short(commit))
		}
	}
	needs := map[string]string{}
	for name, recorded := range s.Needs {
		same, err := p.sameContent(ctx, name, here, there)
		if err != nil {
			return "", err
		}
		if needs[name] = "another"; same {
			needs[name] = recorded
		}
	}
	content, err := p.contentOf(ctx, s.Definition, there, s.Bases)
	return inputs(content, s.Bases, needs), err
}

// sameContent reports whether a service, and all it needs, is made of the same files in two trees.
func (p Planner) sameContent(ctx context.Context, name string, a, b *tree) (bool, error) {
	names := []string{name}
	for i := 0; i < len(names); i++ {
		s, ok := p.Config.Service(names[i])
		if !ok {
			return false, nil
		}
		one, err := p.contentOf(ctx, s, a, nil)
		if err != nil {
			return false, err
		}
		other, err := p.contentOf(ctx, s, b, nil)
		if err != nil || one != other {
			return false, err
		}
		for _, need := range p.draft(ctx, s, a).needs {
			if !slices.Contains(names, need) {
				names = append(names, need)
			}
		}
	}
	return true, nil
}

// contentOf is the content of a service in a tree, where it is known what its images are.
func (p Planner) contentOf(ctx context.Context, s service.Service, t *tree, bases []BaseImage) (string, error) {
	whole := slices.ContainsFunc(bases, func(b BaseImage) bool { return b.OnBuild })
	use, known := t.use(ctx, s)
	content, _, err := t.content(t.scope(ctx, s, use, whole || !known))
	return content, err
}
