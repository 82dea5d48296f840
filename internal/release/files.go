package release

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/service"
)

// What GitHub takes: https://docs.github.com/en/repositories/releasing-projects-on-github/about-releases#storage-and-bandwidth-quotas
const (
	mostAssets = 1000
	largest    = 2 << 30 // bytes of a file, which must have fewer
)

// Files finds the files of a workspace that patterns name, as assets of which the first one stays; names are those that a release has of its own.
// Every mistake is told at once.
func Files(workspace string, patterns, names []string, problems *service.Problems) []Asset {
	root, err := os.OpenRoot(workspace)
	if err != nil {
		problems.Add("release-assets", "", "opening the workspace: %v", err)
		return nil
	}
	defer root.Close()
	from := map[string]string{} // by the name in the release
	for _, name := range append(names, sums) {
		from[name] = "the release's own"
	}
	wrong := func(fix, format string, args ...any) { problems.Add("release-assets", fix, format, args...) }
	var files []Asset
	for _, at := range matches(root, patterns, problems) {
		info, err := root.Stat(at)
		if err != nil {
			wrong("", "reading %q: %v", at, err)
			continue
		}
		name := nameOf(at)
		if fix, why := unfit(info); why != "" {
			wrong(fix, "%q %s", at, why)
		} else if other := from[name]; other != "" {
			wrong("give it another name", "%q is one more file of the name %s, beside %s", at, name, other)
		} else {
			from[name] = strconv.Quote(at)
			files = append(files, Asset{Name: name, MediaType: "application/octet-stream", Once: true, Size: info.Size(),
				Open: func() (File, error) { return os.OpenInRoot(workspace, at) }})
		}
	}
	if most := mostAssets - len(names) - 1; len(files) > most {
		wrong("pack some of them together", "%d files are named, and a release takes %d beside its own", len(files), most)
	}
	return files
}

// unfit says why a release cannot have a file; empty where it can.
func unfit(info fs.FileInfo) (fix, why string) {
	switch size := info.Size(); {
	case !info.Mode().IsRegular():
		return "name files alone", "is no file"
	case size == 0:
		return "leave it out", "is empty, which GitHub does not take"
	case size >= largest:
		return "split it", fmt.Sprintf("has %s, and GitHub takes less than 2 GiB", units.BytesSize(float64(size)))
	default:
		return "", ""
	}
}

// matches are the files that patterns name, each once. What git keeps is none of them: it may hold a token.
func matches(root *os.Root, patterns []string, problems *service.Problems) []string {
	var all []string
	for _, pattern := range patterns {
		found, err := doublestar.Glob(root.FS(), strings.TrimPrefix(pattern, "./"), doublestar.WithFilesOnly())
		if err != nil {
			problems.Add("release-assets", "", "looking for %q: %v", pattern, err)
			continue
		}
		found = slices.DeleteFunc(found, func(at string) bool { return isGits(root.Name(), at) })
		if len(found) == 0 {
			problems.Add("release-assets", "make it before this step, or name what there is, from the workspace's root", "no file is named by %q", pattern)
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// isGits reports whether a file is git's own, by its name or by where links lead.
func isGits(workspace, at string) bool {
	real, err := filepath.EvalSymlinks(filepath.Join(workspace, at))
	if err != nil {
		return true
	}
	top, err := filepath.EvalSymlinks(workspace)
	if err == nil {
		real, err = filepath.Rel(top, real)
	}
	return err != nil || slices.Contains(strings.Split(at+"/"+filepath.ToSlash(real), "/"), ".git")
}

// odd is what the name of a file is to be without: of some GitHub makes a dot by itself.
// https://docs.github.com/en/rest/releases/assets#upload-a-release-asset
var odd = regexp.MustCompile(`[^A-Za-z0-9._+-]+`)

// nameOf is what a file is called in a release.
func nameOf(at string) string {
	name := strings.Trim(odd.ReplaceAllString(path.Base(at), "."), ".")
	if name == "" {
		return "file"
	}
	return name
}
