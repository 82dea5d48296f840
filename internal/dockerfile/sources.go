package dockerfile

import (
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	web       = regexp.MustCompile(`^https?://`)
	gitScheme = regexp.MustCompile(`(?i)^(git|ssh)://`)
	// gitLogin is BuildKit's own pattern of git@github.com:org/repo.git.
	gitLogin = regexp.MustCompile(`^([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):(.*?)(?:\?(.*?))?(?:#(.*))?$`)
	drive    = regexp.MustCompile(`^[a-zA-Z]:`)
)

// remote reports whether a source of ADD is an address or a repository.
// https://docs.docker.com/reference/dockerfile/#adding-files-from-a-git-repository
func remote(source string) bool {
	if gitScheme.MatchString(source) {
		_, err := url.Parse(source)
		return err == nil
	}
	return web.MatchString(source) || gitLogin.MatchString(source)
}

// copySource cleans a source of COPY or ADD: it is relative to the root of the context and never leaves it.
// Patterns are Go's. What an image of Windows would read as another path, and an ill-formed pattern, is the whole
// context.
// https://docs.docker.com/reference/dockerfile/#pattern-matching
func copySource(source string) string {
	if illFormed(source) || strings.Contains(source, `\`) || drive.MatchString(source) {
		return "."
	}
	return relative(source)
}

// mountSource cleans a source of RUN --mount, which is no pattern. One with a pattern's signs, which COPY would read
// otherwise, is the whole context.
func mountSource(source string) string {
	if strings.ContainsAny(source, `*?[`) {
		return "."
	}
	return copySource(source)
}

// parentsSource cleans a source of COPY --parents, whose patterns are those of an ignore file: what they may match
// lies below their first folders. The part before the pivot "/./" is cleaned apart, so that no ".." leads out of it.
// https://docs.docker.com/reference/dockerfile/#copy---parents
func parentsSource(source string) string {
	if strings.Contains(source, `\`) {
		return "."
	}
	if before, after, pivot := strings.Cut(source, "/./"); pivot {
		source = path.Join(path.Join("/", before), path.Join("/", after))
	}
	levels := strings.Split(relative(source), "/")
	if i := slices.IndexFunc(levels, func(level string) bool { return strings.ContainsAny(level, "*?[! \t\r\n\v\f") }); i >= 0 {
		levels = levels[:i]
	}
	return copySource(strings.Join(levels, "/"))
}

func illFormed(source string) bool {
	_, err := path.Match(source, "")
	return err != nil
}

func relative(source string) string {
	if clean := path.Join("/", source)[1:]; clean != "" {
		return clean
	}
	return "."
}

// outermost are sources, sorted, without those inside another.
func outermost(sources map[string]bool) []string {
	var all []string
	whole := newCover(slices.Collect(maps.Keys(sources)))
	for source := range sources {
		if !whole.holdsInside(source) {
			all = append(all, source)
		}
	}
	slices.Sort(all)
	return all
}

// A cover tells fast which files lie in sources.
type cover struct {
	whole    bool
	literal  map[string]bool
	patterns []pattern
}

// A pattern is a source with wildcards. None of them matches a slash, so it matches names of its own depth only.
type pattern struct {
	glob    string
	literal string // what each name that it matches begins with
	slashes int
}

func newCover(sources []string) *cover {
	c := &cover{literal: map[string]bool{}}
	for _, source := range sources {
		i := strings.IndexAny(source, `*?[\`)
		switch {
		case source == "." || illFormed(source):
			c.whole = true
		case i < 0:
			c.literal[source] = true
		default:
			c.patterns = append(c.patterns, pattern{source, source[:i], strings.Count(source, "/")})
		}
	}
	return c
}

// Covers tells which files of a context some sources take, as Use.Copies does.
func Covers(sources []string) func(file string) bool { return newCover(sources).holds }

// Copies reports whether a file of the context, named by its slash path relative to the context, is one of the
// sources or lies below one. A wildcard that matches a folder brings all in it; an ill-formed pattern may mean
// any file.
func (u Use) Copies(file string) bool {
	if u.cover == nil { // it was put together by hand
		u.cover = newCover(u.Sources)
	}
	return u.cover.holds(file)
}

func (c *cover) holds(file string) bool {
	if c.whole || c.literal[file] {
		return true
	}
	return c.holdsParent(file) || slices.ContainsFunc(c.patterns, func(p pattern) bool { return p.holds(file) })
}

func (c *cover) holdsParent(file string) bool {
	if len(c.literal) == 0 {
		return false
	}
	for i := range len(file) {
		if file[i] == '/' && c.literal[file[:i]] {
			return true
		}
	}
	return false
}

// holdsInside reports whether a source is inside another of the cover.
func (c *cover) holdsInside(source string) bool {
	if c.whole {
		return source != "."
	}
	return c.holdsParent(source) || slices.ContainsFunc(c.patterns, func(p pattern) bool {
		return p.glob != source && (strings.HasPrefix(source, p.glob+"/") || !strings.ContainsAny(source, `*?[\`) && p.holds(source))
	})
}

func (p pattern) holds(file string) bool {
	if !strings.HasPrefix(file, p.literal) {
		return false
	}
	end := 0
	for range p.slashes {
		i := strings.IndexByte(file[end:], '/')
		if i < 0 {
			return false
		}
		end += i + 1
	}
	if i := strings.IndexByte(file[end:], '/'); i >= 0 {
		end += i
	} else {
		end = len(file)
	}
	matched, err := path.Match(p.glob, file[:end])
	return err == nil && matched
}
