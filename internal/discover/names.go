package discover

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// serviceNames names the services of Dockerfiles: by the folder, or by what the file's own name adds to it. Where
// names would be the same, all folders come before. At the root the repository stands for the folder.
func serviceNames(files []string, repository string) []string {
	names := make([]string, len(files))
	same := map[string]int{}
	for i, file := range files {
		names[i] = plain(cmp.Or(ownName(file), folder(file, repository)))
		same[strings.ToLower(names[i])]++
	}
	for i, file := range files {
		if same[strings.ToLower(names[i])] > 1 {
			names[i] = plain(path.Join(cmp.Or(strings.Trim(path.Dir(file), "."), repository), ownName(file)))
		}
	}
	return unique(names)
}

// ownName is "api" of api.Dockerfile and Dockerfile.api; empty of Dockerfile.
func ownName(file string) string {
	name := path.Base(file)
	if of, ok := strings.CutSuffix(name, ".Dockerfile"); ok {
		return of
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, "Dockerfile"), ".")
}

func folder(file, repository string) string {
	if dir := path.Dir(file); dir != "." {
		return path.Base(dir)
	}
	return repository
}

// longest a service's name may be.
const longest = 63

var (
	odd       = regexp.MustCompile(`[^A-Za-z0-9]+`)
	separator = regexp.MustCompile(`^(\.|_|__|-+)$`)
)

// plain makes a text a name that both a service and an image can have.
func plain(text string) string {
	name := odd.ReplaceAllStringFunc(text, func(between string) string {
		if separator.MatchString(between) {
			return between
		}
		return "-"
	})
	name = strings.Trim(name, "._-")
	return cmp.Or(strings.TrimRight(name[:min(len(name), longest)], "._-"), "image")
}

// unique numbers names that are the same even so. Those of images differ in more than case.
func unique(names []string) []string {
	taken := map[string]bool{}
	for _, name := range names {
		taken[strings.ToLower(name)] = true
	}
	seen := map[string]bool{}
	for i, name := range names {
		for n := 2; seen[strings.ToLower(names[i])]; n++ {
			numbered := fmt.Sprintf("%s-%d", strings.TrimRight(name[:min(len(name), longest-8)], "._-"), n)
			if !taken[strings.ToLower(numbered)] {
				names[i] = numbered
				taken[strings.ToLower(numbered)] = true
			}
		}
		seen[strings.ToLower(names[i])] = true
	}
	return names
}
