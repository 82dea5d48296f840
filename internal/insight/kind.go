package insight

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/cache"
	"github.com/org/ghcr-publish/internal/dockerfile"
	"mvdan.cc/sh/v3/syntax"
)

// Kind is what an image is made by: the images that its stages are from, and the programs that install and build in them, such as
// "golang+alpine with go". Empty where the Dockerfile does not tell.
func Kind(text []byte, o dockerfile.Options) string {
	stages, err := dockerfile.ReadStages(text, o)
	if err != nil {
		return ""
	}
	var images, tools []string
	for _, stage := range stages {
		if image := repository(stage.Image); image != "" && image != "scratch" {
			images = append(images, image)
		}
		for _, in := range stage.Instructions {
			tools = append(tools, buildTools(in.Command)...)
		}
	}
	slices.Sort(images)
	slices.Sort(tools)
	kind := strings.Join(slices.Compact(images), "+")
	if len(tools) > 0 {
		kind += " with " + strings.Join(slices.Compact(tools), ", ")
	}
	return strings.TrimSpace(kind)
}

// systemPackages are managers of what any service may need.
var systemPackages = [...]string{"apt-get", "apt", "apk", "dnf", "microdnf", "yum"}

// buildTools are the programs in a command that install what sources need, or build them.
func buildTools(command string) []string {
	file, err := syntax.NewParser().Parse(strings.NewReader(command), "")
	if err != nil {
		return nil
	}
	var found []string
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name := path.Base(words(call)[0])
		_, builds := builders[name]
		if installs := slices.ContainsFunc(managers[:], func(m manager) bool { return m.program == name }); (builds || installs) && !slices.Contains(systemPackages[:], name) {
			found = append(found, name)
		}
		return true
	})
	return found
}

// Changes are the kinds of what changed since an image was published: of the files, where a commit is known that it was built from.
func Changes(base string, files []string, dockerfile string) []string {
	if base == "" {
		return []string{"everything"}
	}
	var kinds []string
	for _, file := range files {
		switch {
		case file == dockerfile:
			kinds = append(kinds, "dockerfile")
		case isManifest(file):
			kinds = append(kinds, "dependencies")
		default:
			kinds = append(kinds, "sources")
		}
	}
	if len(kinds) == 0 {
		return []string{"no file"}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Layers tells what layers a build may find: its builder's own, or those of other runs.
func Layers(newBuilder bool, use cache.Use) string {
	switch {
	case !newBuilder:
		return "kept"
	case len(use.Reads) > 0:
		return "of other runs"
	default:
		return "none"
	}
}

// Fingerprint stands for digests, in their order.
func Fingerprint(digests []string) string {
	sum := sha256.Sum256([]byte(strings.Join(digests, " ")))
	return hex.EncodeToString(sum[:4])
}
