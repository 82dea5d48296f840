package plan

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/org/ghcr-publish/internal/service"
)

// Preflight looks for what would make a build fail, or leak: missing contexts and Dockerfiles, and
// contexts that would carry the clone's credentials into an image.
func Preflight(workspace string, services []service.Service) error {
	var problems service.Problems
	for _, s := range services {
		if s.Context == "" || s.Dockerfile == "" {
			continue // what was given is wrong, which is noted already
		}
		dir := filepath.Join(workspace, filepath.FromSlash(s.Context))
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			problems.Add(s.Name, "give a folder of the repository", "context %q is not there", s.Context)
			continue
		}
		dockerfile := filepath.Join(workspace, filepath.FromSlash(s.Dockerfile))
		if info, err := os.Stat(dockerfile); err != nil || !info.Mode().IsRegular() {
			problems.Add(s.Name, "give the path of a Dockerfile, relative to the repository's root", "dockerfile %q is not there", s.Dockerfile)
			continue
		}
		if leak := credentialsIn(dir, dockerfile); leak != "" {
			ignoreFile := path.Join(s.Context, ".dockerignore")
			if _, err := os.Stat(dockerfile + ".dockerignore"); err == nil {
				ignoreFile = s.Dockerfile + ".dockerignore" // BuildKit reads no other then
			}
			problems.Add(s.Name, "add the line `.git` to "+ignoreFile,
				"its context holds %s, which carries credentials; they would get into the image", path.Join(s.Context, leak))
		}
	}
	return problems.Err()
}

// credentials are what a checkout leaves in a clone's configuration: a header with the token, or an
// address with user and password.
var credentials = regexp.MustCompile(`(?i)extraheader\s*=|https?://[^/\s]*@`)

// credentialsIn returns the file of a context's .git that holds credentials and that the context's
// ignore file lets through; empty if there is none.
func credentialsIn(dir, dockerfile string) string {
	ignored := ignoredBy(dir, dockerfile)
	found := ""
	// Submodules keep their configuration below .git/modules.
	_ = filepath.WalkDir(filepath.Join(dir, ".git"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if entry.IsDir() && bulky(name) {
			return fs.SkipDir
		}
		if entry.Name() != "config" || entry.IsDir() {
			return nil
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil || ignored(filepath.ToSlash(relative)) {
			return nil
		}
		if data, err := os.ReadFile(name); err == nil && credentials.Match(data) {
			found = filepath.ToSlash(relative)
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

// ignoredBy returns what decides which files of a context the builder never gets. The Dockerfile's
// own ignore file comes before the context's, as BuildKit has it.
func ignoredBy(dir, dockerfile string) func(string) bool {
	for _, name := range []string{dockerfile + ".dockerignore", filepath.Join(dir, ".dockerignore")} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		defer f.Close()
		patterns, err := ignorefile.ReadAll(f)
		if err != nil {
			break
		}
		matcher, err := patternmatcher.New(patterns)
		if err != nil {
			break
		}
		return func(file string) bool {
			hit, err := matcher.MatchesOrParentMatches(strings.TrimPrefix(file, "./"))
			return err == nil && hit
		}
	}
	return func(string) bool { return false }
}
