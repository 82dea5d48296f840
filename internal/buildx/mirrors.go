package buildx

import (
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/pelletier/go-toml/v2"
)

// Mirrors reads from a buildkitd.toml where images of registries come from, by host. A mirror that speaks plain HTTP is
// said to in an entry of its own. https://docs.docker.com/build/buildkit/toml-configuration/
func Mirrors(config []byte) (map[string][]registry.Mirror, error) {
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
	mirrors := map[string][]registry.Mirror{}
	for host, settings := range read.Registry {
		for _, at := range settings.Mirrors {
			named, _, _ := strings.Cut(at, "/")
			mirrors[host] = append(mirrors[host], registry.Mirror{Host: at, PlainHTTP: read.Registry[at].HTTP || read.Registry[named].HTTP})
		}
	}
	return mirrors, nil
}
