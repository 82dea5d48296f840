package dockerfile

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// use is what was collected, in order, and without what lies in something else that is taken.
func (r *reader) use() Use {
	u := Use{Contexts: slices.Sorted(maps.Keys(r.contexts)), literals: map[string]bool{}}
	for image := range r.images {
		u.Images = append(u.Images, image)
	}
	slices.SortFunc(u.Images, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	u.whole = r.sources[""] || r.sources["."]
	if u.whole {
		u.Sources = []string{"."}
		return u
	}
	for source := range r.sources {
		if isPattern(source) {
			u.patterns = append(u.patterns, source)
		} else if !slices.ContainsFunc(parents(source), func(p string) bool { return r.sources[p] }) {
			u.literals[source] = true
		}
	}
	u.Sources = slices.AppendSeq(slices.Clone(u.patterns), maps.Keys(u.literals))
	slices.Sort(u.Sources)
	return u
}

func isPattern(source string) bool { return strings.ContainsAny(source, `*?[\`) }

// parents lists the folders that a file is in, the nearest first.
func parents(file string) []string {
	var all []string
	for dir := path.Dir(file); dir != "." && dir != "/"; dir = path.Dir(dir) {
		all = append(all, dir)
	}
	return all
}

// Copies reports whether a file of the context is one of the sources, or lies in one.
func (u Use) Copies(file string) bool {
	if u.whole || u.literals[file] {
		return true
	}
	for i := strings.LastIndexByte(file, '/'); i > 0; i = strings.LastIndexByte(file[:i], '/') {
		if u.literals[file[:i]] {
			return true
		}
	}
	return slices.ContainsFunc(u.patterns, func(p string) bool { return matches(p, file) })
}

// matches compares a pattern with a file, and with the folders that it is in: what is in a folder that matches is copied
// with it. Where a pattern has no fixed depth, or is none at all, whatever begins like it does.
func matches(pattern, file string) bool {
	start := pattern[:strings.IndexAny(pattern, `*?[\`)]
	if !strings.HasPrefix(file, start) {
		return false
	}
	if strings.Contains(pattern, "**") {
		return true
	}
	levels := strings.Split(file, "/")
	depth := strings.Count(pattern, "/") + 1
	if len(levels) < depth {
		return false
	}
	hit, err := path.Match(pattern, strings.Join(levels[:depth], "/"))
	return hit || err != nil
}
