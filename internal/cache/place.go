package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Place says where the layers of one build are, in each tier.
type Place struct {
	Service string
	Image   string // repository name
	Folder  string // of the local tier, for all services
	Exists  func(folder string) bool
	// Branches are those whose layers count, the build's own first. The cache of GitHub Actions keeps branches apart by itself,
	// and lets each read the default branch's.
	// https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching#restrictions-for-accessing-a-cache
	Branches []string
	// Platforms are the build's own; Whole are those of the service, where a build is of one of them alone.
	Platforms, Whole []string
	PlainHTTP        bool // the registry speaks HTTP
}

// From are the values of buildx's --cache-from.
func (p Place) From(policy Policy) []string {
	var from []string
	for _, tier := range policy.Reads {
		for _, platforms := range p.scopes() {
			from = append(from, p.from(tier, platforms)...)
		}
	}
	return from
}

// scopes are the sets of platforms that layers may have been kept for.
func (p Place) scopes() [][]string {
	if len(p.Whole) == 0 || slices.Equal(p.Whole, p.Platforms) {
		return [][]string{p.Platforms}
	}
	return [][]string{p.Platforms, p.Whole}
}

func (p Place) from(tier string, platforms []string) []string {
	if tier == service.CacheActions {
		return []string{p.actions(platforms)}
	}
	var from []string
	for _, branch := range p.Branches {
		if tier == service.CacheRegistry {
			from = append(from, p.registry(branch, platforms))
		} else if folder := p.folder(branch, platforms); p.Exists(folder) {
			from = append(from, fields("type=local", "src="+folder))
		}
	}
	return from
}

// To are the values of buildx's --cache-to: one at most. Nothing that goes wrong there fails a build.
func (p Place) To(policy Policy) []string {
	how := []string{"mode=" + policy.Mode, "ignore-error=true"}
	switch policy.Writes {
	case service.CacheActions:
		return []string{p.actions(p.Platforms, how...)}
	case service.CacheRegistry:
		return []string{p.registry(p.Branches[0], p.Platforms, how...)}
	case service.CacheLocal:
		// What an earlier build left and this one does not need is removed.
		return []string{fields(append([]string{"type=local", "dest=" + p.folder(p.Branches[0], p.Platforms), "reset=true"}, how...)...)}
	default:
		return nil
	}
}

// patience bounds how long BuildKit goes on asking a cache service that is busy.
const patience = "2m"

// actions names layers in the cache of GitHub Actions. Its address and token are in buildx's environment.
// https://docs.docker.com/build/cache/backends/gha/
func (p Place) actions(platforms []string, more ...string) string {
	scope := p.Service + "-" + sum(p.Image, platforms)
	return fields(append([]string{"type=gha", "version=2", "scope=" + scope, "timeout=" + patience}, more...)...)
}

// https://docs.docker.com/build/cache/backends/registry/
func (p Place) registry(branch string, platforms []string, more ...string) string {
	attributes := []string{"type=registry", "ref=" + p.Image + ":" + Tag(branch, platforms)}
	if p.PlainHTTP {
		attributes = append(attributes, "registry.insecure=true")
	}
	return fields(append(attributes, more...)...)
}

// https://docs.docker.com/build/cache/backends/local/
func (p Place) folder(branch string, platforms []string) string {
	return filepath.Join(p.Folder, filepath.FromSlash(p.Image), Tag(branch, platforms))
}

// IsTag reports whether a tag is one that layers are kept under.
func IsTag(tag string) bool { return kept.MatchString(tag) }

var kept = regexp.MustCompile(`^ghcr-publish-cache-.*-[0-9a-f]{16}$`)

// Tag names the layers of a branch for some platforms, beside the image.
func Tag(branch string, platforms []string) string {
	word := odd.ReplaceAllString(branch, "-")
	return "ghcr-publish-cache-" + word[:min(len(word), longest)] + "-" + sum(branch, platforms)
}

// longest leaves room in a tag's 128 characters.
const longest = 90

var odd = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// sum tells apart what would be written the same, and what is for other platforms.
func sum(name string, platforms []string) string {
	sorted := slices.Sorted(slices.Values(platforms))
	digest := sha256.Sum256([]byte(name + "\x00" + strings.Join(sorted, ",")))
	return hex.EncodeToString(digest[:8])
}

// fields writes a list in CSV, as buildx reads it.
func fields(values ...string) string {
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	_ = w.Write(values) // a buffer takes everything
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}
