package plan

import (
	"context"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/service"
)

// A scope tells which files decide a service's image: those that its paths select, or else what its Dockerfile
// takes of what the builder gets of its contexts. Dockerfile and ignore files always count.
type scope struct {
	service  service.Service // links to its context and folders followed
	use      dockerfile.Use
	selected func(file string) bool // by the paths that the configuration gives; nil without any
	always   []string
	roots    []root
	links    map[string]bool // files that stand for submodules
	prefixes []string        // what each file that counts begins with, in order
	unseen   func() []string // the files that git ignores and that count all the same; looked for once
}

// A root is a folder that the builder reads: the context, or a named one.
type root struct {
	prefix string // "" or "web/"
	out    dockerfile.Ignore
	copied *dockerfile.Use // nil where all of it may be taken
}

// scope finds out what counts for a service. With whole, everything in its context does, whatever its Dockerfile copies.
func (t *tree) scope(ctx context.Context, s service.Service, use dockerfile.Use, whole bool) *scope {
	s = followLinks(t.repo.Dir, s)
	c := &scope{service: s, use: use, links: t.links, always: append(IgnoreFiles(s), t.followed(s.Dockerfile)...)}
	c.unseen = sync.OnceValue(func() []string { return t.unseen(c) })
	if len(s.Paths) > 0 {
		c.selected = selector(s.WatchedPaths(), t.links)
		for _, text := range s.WatchedPaths() {
			if p := newPattern(text); !p.negative {
				c.prefixes = append(c.prefixes, p.literal)
			}
		}
	} else {
		c.derive(ctx, t, whole)
	}
	c.always = slices.DeleteFunc(c.always, func(file string) bool { return file == "" })
	c.prefixes = append(c.prefixes, c.always...)
	for link := range t.links {
		c.prefixes = append(c.prefixes, link) // what counts of a submodule may begin below its link
	}
	slices.Sort(c.prefixes)
	return c
}

// derive takes what counts from contexts and Dockerfile.
func (c *scope) derive(ctx context.Context, t *tree, whole bool) {
	own := c.root(ctx, t, c.service.Context, IgnoreFiles(c.service))
	if !whole && !t.linked(own.prefix, c.use.Sources) {
		own.copied = &c.use
	}
	c.roots = append(c.roots, own)
	for _, folder := range c.service.Local() {
		c.roots = append(c.roots, c.root(ctx, t, folder, []string{path.Join(folder, ".dockerignore")}))
	}
	for _, r := range c.roots {
		if r.copied == nil {
			c.prefixes = append(c.prefixes, r.prefix)
			continue
		}
		for _, source := range r.copied.Sources {
			c.prefixes = append(c.prefixes, r.prefix+fixedStart(source))
		}
	}
}

// linked reports whether a source may be, or go through, a symbolic link: the builder follows it to other files then.
func (t *tree) linked(prefix string, sources []string) bool {
	return slices.ContainsFunc(sources, func(source string) bool { return t.throughLink(prefix, fixedStart(source)) }) || slices.ContainsFunc(t.symlinks, func(file string) bool {
		link, below := strings.CutPrefix(file, prefix)
		return below && slices.ContainsFunc(sources, func(source string) bool { return leadsTo(source, link) })
	})
}

// throughLink reports whether there is a link on the way to a file of the work tree, which git may know nothing of.
func (t *tree) throughLink(prefix, file string) bool {
	for at := strings.TrimSuffix(file, "/"); !t.past && at != "" && at != "."; at = path.Dir(at) {
		if _, err := os.Readlink(t.at(prefix + at)); err == nil {
			return true
		}
	}
	return false
}

// leadsTo reports whether a file may be what a source names, or a folder on the way there.
func leadsTo(source, file string) bool {
	if strings.Contains(source, "**") {
		return strings.HasPrefix(file, fixedStart(source))
	}
	levels, parts := strings.Split(file, "/"), strings.Split(source, "/")
	if len(levels) > len(parts) {
		return false
	}
	for i, level := range levels {
		if hit, err := path.Match(parts[i], level); !hit && err == nil {
			return false
		}
	}
	return true
}

// root is a folder without what its ignore file leaves out, which counts itself.
func (c *scope) root(ctx context.Context, t *tree, folder string, ignoreFiles []string) root {
	file := t.ignoreFile(ctx, ignoreFiles)
	c.always = append(append(c.always, ignoreFiles...), file)
	return root{prefix: asPrefix(folder), out: t.ignored(ctx, file)}
}

func asPrefix(folder string) string {
	if folder == "." {
		return ""
	}
	return folder + "/"
}

// fixedStart is the part of a COPY source before its first wildcard; none of the whole context.
func fixedStart(source string) string {
	if source == "." {
		return ""
	}
	if i := strings.IndexAny(source, `*?[\`); i >= 0 {
		return source[:i]
	}
	return source
}

// holds reports whether a file counts.
func (c *scope) holds(file string) bool {
	if c.selected != nil {
		return c.selected(file) || slices.Contains(c.always, file)
	}
	if slices.ContainsFunc(c.roots, func(r root) bool { return c.holdsIn(r, file) }) {
		return true
	}
	return slices.Contains(c.always, file)
}

func (c *scope) holdsIn(r root, file string) bool {
	inside, below := strings.CutPrefix(file, r.prefix)
	switch {
	case c.links[file]:
		// Of a submodule git tells its link alone, which counts for all that is in it.
		return strings.HasPrefix(r.prefix, file+"/") || below && !r.out.Wholly(inside) && r.reaches(inside)
	case !below || r.copied != nil && !r.copied.Copies(inside):
		return false
	}
	return !r.out.Matches(inside)
}

// reaches reports whether something in a folder may be copied.
func (r root) reaches(folder string) bool {
	return r.copied == nil || r.copied.Copies(folder) || slices.ContainsFunc(r.copied.Sources, func(source string) bool {
		start := fixedStart(source)
		return strings.HasPrefix(start, folder+"/") || start != source && strings.HasPrefix(folder, start)
	})
}

// mayHold reports whether something in a folder may count; false only where nothing does.
func (c *scope) mayHold(folder string) bool {
	if c.selected != nil {
		return slices.ContainsFunc(c.prefixes, func(p string) bool { return related(p, folder+"/") })
	}
	return slices.ContainsFunc(c.roots, func(r root) bool {
		inside, below := strings.CutPrefix(folder+"/", r.prefix)
		if !below {
			return strings.HasPrefix(r.prefix, folder+"/")
		}
		inside = strings.TrimSuffix(inside, "/")
		return inside == "" || !r.out.Wholly(inside) && r.reaches(inside)
	})
}

// related reports whether one of two begins of paths is within the other.
func related(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// hits returns the files among some that count. They are in order, as git lists them, so that most are not looked at.
func (c *scope) hits(files []string) []string {
	var hits []string
	for from, to := range ranges(files, c.prefixes, func(file string) string { return file }) {
		for _, file := range files[from:to] {
			if c.holds(strings.TrimSuffix(file, "/")) {
				hits = append(hits, file)
			}
		}
	}
	return hits
}

// ranges yields the parts of a sorted list whose paths begin as one of some sorted prefixes does, each part once.
func ranges[T any](list []T, prefixes []string, path func(T) string) iter.Seq2[int, int] {
	return func(yield func(from, to int) bool) {
		covered := 0 // what comes before was looked at
		for _, prefix := range prefixes {
			from, _ := slices.BinarySearchFunc(list, prefix, func(item T, prefix string) int { return strings.Compare(path(item), prefix) })
			to := from + sort.Search(len(list)-from, func(i int) bool { return !strings.HasPrefix(path(list[from+i]), prefix) })
			if from = max(from, covered); from < to {
				covered = to
				if !yield(from, to) {
					return
				}
			}
		}
	}
}

// real follows links to a path of the workspace; a path that is not there, or leads out, stays as it is.
func real(dir, file string) string {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return file
	}
	at, err := filepath.EvalSymlinks(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return file
	}
	relative, err := filepath.Rel(root, at)
	if err != nil || !filepath.IsLocal(relative) {
		return file
	}
	return filepath.ToSlash(relative)
}

// followLinks names a service's contexts as what they are, where they are links.
func followLinks(dir string, s service.Service) service.Service {
	s.Context = real(dir, s.Context)
	s.Contexts = maps.Clone(s.Contexts)
	for name, folder := range s.Local() {
		if at := real(dir, folder); s.Contexts[name] == folder {
			s.Contexts[name] = at
		} else { // a layout's, with its scheme
			s.Contexts[name] = strings.Replace(s.Contexts[name], "://"+folder, "://"+at, 1)
		}
	}
	return s
}

// followed is a file, and what it is a link to.
func (t *tree) followed(file string) []string {
	if at := real(t.repo.Dir, file); at != file {
		return []string{file, at}
	}
	return []string{file}
}

// Counts returns whether a file decides a service's image, as the checked-out commit has it.
func (p Planner) Counts(ctx context.Context, s service.Service) (func(file string) bool, error) {
	work, err := p.checkedOut(ctx)
	if err != nil {
		return nil, err
	}
	use, known := work.use(ctx, s)
	return work.scope(ctx, s, use, !known).holds, nil
}
