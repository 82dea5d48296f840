package action

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/registry"
)

// baseTime bounds the question for one base image: where a registry does not answer, the builder is to find out by itself.
const baseTime = 20 * time.Second

// baseImages returns what reads base images, from where the builder gets them: mirrors come before the registry itself.
func (j job) baseImages() func(ctx context.Context, ref string, look bool) (registry.Base, error) {
	mirrors, unread := j.mirrors()
	client := j.registryClient()
	return func(ctx context.Context, ref string, look bool) (registry.Base, error) {
		if unread != nil {
			return registry.Base{}, unread
		}
		parsed, err := name.ParseReference(ref)
		if err != nil {
			return registry.Base{}, fmt.Errorf("reading base image %q: %w", ref, err)
		}
		host, _, _ := strings.Cut(familiar(parsed.Context()), "/")
		ctx, cancel := context.WithTimeoutCause(ctx, baseTime, fmt.Errorf("no answer within %s", baseTime))
		defer cancel()
		return client.Base(ctx, ref, look, mirrors[host])
	}
}

// mirrors reads the builder's configuration, where one was given.
func (j job) mirrors() (map[string][]registry.Mirror, error) {
	if j.Config.BuilderConfig == "" {
		return nil, nil
	}
	data, err := os.ReadFile(j.at(j.Config.BuilderConfig))
	if err != nil {
		return nil, fmt.Errorf("reading builder-config: %w", err)
	}
	return buildx.Mirrors(data)
}
