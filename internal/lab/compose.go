package lab

import (
	"context"
	"path/filepath"
)

const composeModule = "github.com/docker/compose/v2"

func compose() tool {
	const version = "v2.40.3"
	return tool{name: "docker-compose", module: composeModule, version: version, main: "cmd", report: "version", took: "about 4 minutes the first time",
		set: map[string]string{composeModule + "/internal.Version": version}}
}

// Compose puts Docker Compose into Bin, and returns it as a program that stands alone.
func (l *Lab) Compose(ctx context.Context) (string, error) {
	unlock, err := l.setup.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	return filepath.Join(l.Bin, compose().name), l.setup.provide(ctx, []tool{compose()})
}
