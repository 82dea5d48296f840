package discover

import (
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// dockerfiles makes a service of each Dockerfile of the clone.
func (f Finder) dockerfiles(ctx context.Context, found *service.Found) error {
	files, err := f.Files(ctx)
	if err != nil {
		return err
	}
	var all []string
	var texts [][]byte
	for _, file := range files {
		if !isDockerfile(file) {
			continue
		}
		text, there, err := f.read(file)
		if err != nil {
			return err
		}
		if there { // and not deleted since it was committed
			all, texts = append(all, file), append(texts, text)
		}
	}
	found.Files = append(found.Files, all...)
	tree := newTree(files)
	for i, name := range serviceNames(all, f.Repository) {
		about := readDockerfile(texts[i], "")
		found.Services = append(found.Services, service.Service{At: all[i], Name: name, Dockerfile: all[i],
			Context: tree.contextFor(path.Dir(all[i]), about.sources), Port: about.port()})
	}
	return nil
}

// HasHealthcheck reports whether a service's Dockerfile says how one sees that its container is well.
func (f Finder) HasHealthcheck(s service.Service) bool { return f.dockerfile(s).checked }

// Port is the one port that the stage exposes which a service is built as; 0 where it exposes none or several.
func (f Finder) Port(s service.Service) int { return f.dockerfile(s).port() }

// Ports are those of TCP that the stage exposes which a service is built as.
func (f Finder) Ports(s service.Service) []int { return f.dockerfile(s).ports() }

// dockerfile is what is known of a service's without building it: nothing where it cannot be read, as the run's own look at it says.
func (f Finder) dockerfile(s service.Service) dockerfile {
	text := []byte(s.Inline)
	if s.Inline == "" && filepath.IsLocal(s.Dockerfile) {
		text, _, _ = f.read(s.Dockerfile)
	}
	return readDockerfile(text, s.Target)
}

// isDockerfile reports whether a file is a Dockerfile by its name, and in a folder of the repository's own.
func isDockerfile(file string) bool {
	dir, name := path.Split(file)
	for folder := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if strings.HasPrefix(folder, ".") || slices.Contains([]string{"testdata", "node_modules", "vendor", "third_party"}, folder) {
			return false
		}
	}
	variant, isVariant := strings.CutPrefix(name, "Dockerfile.")
	of, isOf := strings.CutSuffix(name, ".Dockerfile")
	if slices.Contains(forWork, strings.ToLower(of)) && isOf || slices.Contains(forWork, strings.ToLower(variant)) && isVariant {
		return false
	}
	return name == "Dockerfile" || isOf && of != "" || isVariant && variant != "" && !slices.Contains(noDockerfile, strings.ToLower(path.Ext(name)))
}

// forWork are names of Dockerfiles whose images are for those who work on the repository, and not for publishing.
var forWork = []string{"dev", "devel", "development", "debug", "test", "tests", "testing", "e2e", "ci", "local", "builder", "build"}

// noDockerfile are endings of what lies beside Dockerfiles: what they ignore, what they are made from, and old ones.
var noDockerfile = []string{".dockerignore", ".md", ".txt", ".in", ".j2", ".jinja", ".jinja2", ".tmpl", ".tpl", ".template", ".erb", ".mustache", ".m4",
	".sample", ".example", ".bak", ".old", ".orig", ".rej", ".swp"}

// A tree is the files and folders of a clone.
type tree struct {
	known map[string]bool
	names map[string][]string // what is in each folder
}

func newTree(files []string) tree {
	t := tree{map[string]bool{}, map[string][]string{}}
	for _, file := range files {
		for ; file != "." && !t.known[file]; file = path.Dir(file) {
			t.known[file] = true
			t.names[path.Dir(file)] = append(t.names[path.Dir(file)], path.Base(file))
		}
	}
	return t
}

// has reports whether a context has what a Dockerfile copies from it.
func (t tree) has(context, source string) bool {
	file := path.Join(context, path.Join("/", source))
	if file == "." || t.known[file] {
		return true
	}
	return strings.ContainsAny(source, `*?[\`) && t.matches(".", strings.Split(file, "/"))
}

// matches goes down the folders with a pattern, level by level.
func (t tree) matches(folder string, levels []string) bool {
	return slices.ContainsFunc(t.names[folder], func(name string) bool {
		match, err := path.Match(levels[0], name)
		return err != nil || match && (len(levels) == 1 || t.matches(path.Join(folder, name), levels[1:]))
	})
}

// contextFor is a Dockerfile's folder, or the root if what the Dockerfile copies is there and not in its folder, as
// is usual where services share files.
func (t tree) contextFor(dir string, sources []string) string {
	lacks := func(context string) bool {
		return slices.ContainsFunc(sources, func(source string) bool { return !t.has(context, source) })
	}
	if lacks(dir) && !lacks(".") {
		return "."
	}
	return dir
}
