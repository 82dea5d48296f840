package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
)

// openRegistry starts a registry in this process, or finds the one that was named.
func (s *setup) openRegistry(ctx context.Context) (*Lab, error) {
	l := &Lab{Registry: s.Registry, Bin: s.bin()}
	if l.Registry == "" {
		return l, l.serve(ctx)
	}
	l.plain = answers(ctx, "http://"+l.Registry+"/v2/")
	if !l.plain && !answers(ctx, "https://"+l.Registry+"/v2/") {
		return nil, fmt.Errorf("looking for the registry: none answers at %s", l.Registry)
	}
	return l, nil
}

// serve starts a registry in memory and has Close stop it.
func (l *Lab) serve(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting a registry: %w", err)
	}
	server := &http.Server{
		Handler:           registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = server.Serve(listener) }()
	l.Registry, l.plain = listener.Addr().String(), true
	l.stop = func() error {
		err := server.Close()
		if l.BuildkitConfig != "" {
			err = errors.Join(err, os.Remove(l.BuildkitConfig))
		}
		return err
	}
	return nil
}

// writeBuildkitConfig makes BuildKit take docker.io's images from the registry, so that a Dockerfile's FROM needs no change.
func (s *setup) writeBuildkitConfig(l *Lab) error {
	path := filepath.Join(s.Cache, "buildkitd-"+strings.ReplaceAll(l.Registry, ":", "-")+".toml")
	if err := os.WriteFile(path, []byte(buildkitConfig(l.Registry, l.plain)), 0o644); err != nil {
		return fmt.Errorf("writing BuildKit's configuration: %w", err)
	}
	l.BuildkitConfig = path
	return nil
}

func buildkitConfig(registry string, plain bool) string {
	return fmt.Sprintf("[registry.\"docker.io\"]\n  mirrors = [%q]\n[registry.%q]\n  http = %t\n", registry, registry, plain)
}

// reference names something in the registry, which may speak plain HTTP.
func (l *Lab) reference(path string) (name.Reference, error) {
	ref, err := name.ParseReference(l.Registry+"/"+path, name.Insecure)
	if err != nil {
		return nil, fmt.Errorf("naming an image in the registry: %w", err)
	}
	return ref, nil
}

// publicAway reports which public registries cannot be reached: Docker Hub, and all that serve Trivy's databases.
func publicAway(ctx context.Context) (hub, databases bool) {
	var mirror, github bool
	var wait sync.WaitGroup
	wait.Go(func() { hub = !answers(ctx, "https://registry-1.docker.io/v2/") })
	wait.Go(func() { mirror = answers(ctx, "https://mirror.gcr.io/v2/") })
	wait.Go(func() { github = answers(ctx, "https://ghcr.io/v2/") })
	wait.Wait()
	return hub, !mirror && !github
}

// answers reports whether a registry's root says what a registry says there: come in, or log in first.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusUnauthorized
}
