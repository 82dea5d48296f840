package plan

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/service"
)

// Preflight looks for what would make a build fail, or leak: missing contexts and Dockerfiles, links
// that lead out of the workspace, and contexts that would carry a clone's credentials into an image.
func Preflight(workspace string, services []service.Service) error {
	var problems service.Problems
	c := checker{workspace: workspace, leaks: map[string]string{}}
	for _, s := range services {
		if s.Name == "" || s.Context == "" || s.Dockerfile == "" && s.Inline == "" {
			continue // what was given is wrong, which is noted already
		}
		if what, fix := c.check(s); what != "" {
			problems.Add(s.At, fix, "%s: %s", s.Name, what)
		}
	}
	return problems.Err()
}

// A checker remembers what it found in contexts that services share.
type checker struct {
	workspace string
	leaks     map[string]string // by context and ignore file
}

// check says what is wrong with a service's files, and how to mend it; nothing if all is well.
func (c checker) check(s service.Service) (what, fix string) {
	if !c.isFolder(s.Context) {
		return "context \"" + s.Context + "\" is not there", "give a folder of the repository"
	}
	used := []string{s.Context}
	if s.Dockerfile != "" {
		if info, err := os.Stat(c.at(s.Dockerfile)); err != nil || !info.Mode().IsRegular() {
			return "dockerfile \"" + s.Dockerfile + "\" is not there", "give the path of a Dockerfile, relative to the repository's root"
		}
		used = append(used, s.Dockerfile)
	}
	folders := s.Local()
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		if !c.isFolder(folders[name]) {
			return "context " + name + " is \"" + folders[name] + "\", which is not there", "give a folder of the repository"
		}
		used = append(used, folders[name])
	}
	for _, file := range used {
		if !c.inside(file) {
			return "\"" + file + "\" is a link that leaves the workspace", "put the files themselves into the repository"
		}
		if strings.Contains("/"+real(c.workspace, file)+"/", "/.git/") {
			return "\"" + file + "\" is where git keeps the clone itself", "give a folder of the repository"
		}
	}
	return c.leak(s)
}

func (c checker) isFolder(dir string) bool {
	info, err := os.Stat(c.at(dir))
	return err == nil && info.IsDir()
}

// leak looks for credentials in what the builder gets of a service's contexts.
func (c checker) leak(s service.Service) (what, fix string) {
	ignoreFile := c.ignoreFile(s)
	if leak := c.credentials(c.at(s.Context), c.at(ignoreFile)); leak != "" {
		return "its context holds " + path.Join(s.Context, leak) + ", which carries credentials; they would get into the image",
			"add the line `**/.git` to " + ignoreFile
	}
	for name, folder := range s.Local() {
		ignoreFile := path.Join(folder, ".dockerignore")
		if leak := c.credentials(c.at(folder), c.at(ignoreFile)); leak != "" {
			return "its context " + name + " holds " + path.Join(folder, leak) + ", which carries credentials; they would get into the image",
				"add the line `**/.git` to " + ignoreFile
		}
	}
	return "", ""
}

// ignoreFile is the ignore file that the builder reads, or would.
func (c checker) ignoreFile(s service.Service) string {
	files := IgnoreFiles(s)
	for _, file := range files {
		if _, err := os.Stat(c.at(file)); err == nil {
			return file
		}
	}
	return files[len(files)-1]
}

func (c checker) at(file string) string { return filepath.Join(c.workspace, filepath.FromSlash(file)) }

// inside reports whether a path, all links followed, is in the workspace.
func (c checker) inside(file string) bool {
	root, err := filepath.EvalSymlinks(c.workspace)
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(c.at(file))
	if err != nil {
		return false
	}
	relative, err := filepath.Rel(root, real)
	return err == nil && filepath.IsLocal(relative)
}

// credentials returns the file in a context that holds a clone's credentials and that the context's
// ignore file lets through; empty if there is none.
func (c checker) credentials(dir, ignoreFile string) string {
	key := dir + "\x00" + ignoreFile
	leak, known := c.leaks[key]
	if !known {
		text, _ := os.ReadFile(ignoreFile) // without one, nothing is ignored
		if at, err := filepath.EvalSymlinks(dir); err == nil {
			dir = at // as the builder does, which is sent what a link leads to
		}
		leak = credentialsIn(dir, dockerfile.ReadIgnore(text))
		c.leaks[key] = leak
	}
	return leak
}

// credentials are what a checkout leaves in a clone's configuration: a header with the token, or an
// address with user and password.
var credentials = regexp.MustCompile(`(?i)extraheader\s*=|https?://[^/\s]*@`)

// HoldsCredentials reports whether the configuration of the clone itself holds credentials, as a checkout leaves them there.
func HoldsCredentials(workspace string) bool {
	data, err := os.ReadFile(filepath.Join(workspace, ".git", "config"))
	return err == nil && credentials.Match(data)
}

// credentialsIn looks through every clone in a context: its own, submodules', and those that were
// checked out beside.
func credentialsIn(dir string, ignored dockerfile.Ignore) string {
	found := ""
	_ = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir // what cannot be read cannot be sent either
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil || relative == "." {
			return nil
		}
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			if bulky(name) || ignored.Wholly(relative) {
				return fs.SkipDir
			}
			return nil
		}
		// Submodules keep their configuration below .git/modules.
		if entry.Name() != "config" || !strings.Contains("/"+relative, "/.git/") || ignored.Matches(relative) {
			return nil
		}
		if data, err := os.ReadFile(name); err == nil && credentials.Match(data) {
			found = relative
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// bulky reports whether a folder is one of those in which git keeps many files and no
// configuration. A submodule may have the same name, but no HEAD beside it.
func bulky(dir string) bool {
	if !slices.Contains([]string{"objects", "refs", "logs"}, filepath.Base(dir)) {
		return false
	}
	_, err := os.Stat(filepath.Join(filepath.Dir(dir), "HEAD"))
	return err == nil
}

// Takes names a service that a file of the workspace would be built into; empty where none would. The file's path has no links.
func Takes(workspace string, services []service.Service, file string) string {
	if real, err := filepath.EvalSymlinks(workspace); err == nil {
		workspace = real
	}
	c := checker{workspace: workspace}
	for _, s := range services {
		if c.takes(s.Context, c.ignoreFile(s), file) {
			return s.Name
		}
		for _, folder := range s.Local() {
			if c.takes(folder, path.Join(folder, ".dockerignore"), file) {
				return s.Name
			}
		}
	}
	return ""
}

// takes reports whether the builder gets a file with a context.
func (c checker) takes(folder, ignoreFile, file string) bool {
	real, err := filepath.EvalSymlinks(c.at(folder))
	if err != nil {
		return false // which the preflight tells
	}
	inside, err := filepath.Rel(real, c.at(file))
	if err != nil || !filepath.IsLocal(inside) {
		return false
	}
	text, _ := os.ReadFile(c.at(ignoreFile)) // without one, nothing is ignored
	return !dockerfile.ReadIgnore(text).Matches(filepath.ToSlash(inside))
}
