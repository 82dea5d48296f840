package buildx

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// A Mirror is where a builder looks for a registry's images first.
type Mirror struct {
	Host      string // with a path, where it has one
	PlainHTTP bool
}

// Mirrors reads from a buildkitd.toml where images of registries come from, by host. A mirror that speaks plain HTTP is
// said to in an entry of its own. https://docs.docker.com/build/buildkit/toml-configuration/
func Mirrors(config []byte) (map[string][]Mirror, error) {
	var read struct {
		Registry map[string]struct {
			Mirrors  []string `toml:"mirrors"`
			HTTP     bool     `toml:"http"`
			Insecure bool     `toml:"insecure"`
		} `toml:"registry"`
	}
	if err := toml.Unmarshal(config, &read); err != nil {
		return nil, fmt.Errorf("reading builder-config: %w", err)
	}
	mirrors := map[string][]Mirror{}
	for host, registry := range read.Registry {
		for _, at := range registry.Mirrors {
			named, _, _ := strings.Cut(at, "/")
			mirrors[host] = append(mirrors[host], Mirror{Host: at, PlainHTTP: read.Registry[at].HTTP || read.Registry[named].HTTP})
		}
	}
	return mirrors, nil
}
