package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const nginxPackage = "nginx:" + runtime.GOARCH

// Nginx returns an image of nginx. Where it cannot be pulled it is made of Debian's, with busybox beside it.
func (l *Lab) Nginx(ctx context.Context) (string, error) {
	s := l.setup
	if !s.hubAway {
		return "nginx:1.28-alpine", nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	debs, err := s.packages(ctx, append(busyboxPackages(), nginxPackage)...)
	if err != nil {
		return "", err
	}
	roots, err := s.busybox(ctx, debs)
	if err != nil {
		return "", err
	}
	image, err := l.pushNginx(ctx, debs[nginxPackage], roots[runtime.GOARCH])
	if err != nil {
		return "", fmt.Errorf("making an image of nginx: %w", err)
	}
	return image, nil
}

func (l *Lab) pushNginx(ctx context.Context, deb string, root []file) (string, error) {
	program := filepath.Join(l.setup.Cache, "nginx")
	data, err := extract(ctx, deb, "usr/sbin/nginx")
	if err == nil {
		err = os.WriteFile(program, data, 0o755)
	}
	if err != nil {
		return "", err
	}
	copies, err := linked(ctx, program, "bin/nginx")
	if err != nil {
		return "", err
	}
	copied, err := copyIn(copies)
	if err != nil {
		return "", err
	}
	image, err := baseImage(runtime.GOARCH, append(slices.Clone(root), copied...))
	if err != nil {
		return "", err
	}
	ref, err := l.reference("library/nginx:1")
	if err != nil {
		return "", err
	}
	return ref.Name(), remote.Write(ref, image, remote.WithContext(ctx))
}
