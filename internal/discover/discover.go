// Package discover finds services where no configuration lists any: in bake files, in a Compose file, or by the
// Dockerfiles of the clone, whichever has some first. It reads files of the workspace and changes nothing.
package discover

import (
	"context"
	"errors"
	"io/fs"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/service"
)

// A Finder has what services are found by.
type Finder struct {
	Workspace  string // absolute
	Repository string // the name of what has its Dockerfile at the root
	// ReadFile returns a file of the workspace; the error of a missing one satisfies errors.Is(err, fs.ErrNotExist).
	ReadFile func(name string) ([]byte, error)
	// Files lists the files of the clone, also new ones, but none that are ignored.
	Files func(context.Context) ([]string, error)
	Vars  map[string]string // all that the files' variables are taken from
	alone bool              // no variable has a value that the files do not give it
}

// Find returns what the first source gives that gives any. What is wrong in a file is a service.Problems.
func (f Finder) Find(ctx context.Context) (service.Found, error) {
	var found service.Found
	for _, source := range []func(context.Context, *service.Found) error{f.bake, f.compose, f.dockerfiles} {
		if err := source(ctx, &found); err != nil || len(found.Services) > 0 {
			return found, err
		}
	}
	return found, nil
}

// Alone finds what the files say by themselves: with no variable of the environment nor of .env, whose values may be secrets.
func (f Finder) Alone(ctx context.Context) (service.Found, error) {
	f.Vars, f.alone = nil, true
	return f.Find(ctx)
}

// bakeFiles in the order in which buildx merges them.
var bakeFiles = []string{"docker-bake.json", "docker-bake.hcl", "docker-bake.override.json", "docker-bake.override.hcl"}

func (f Finder) bake(_ context.Context, found *service.Found) error {
	found.Files = append(found.Files, bakeFiles...)
	var files []buildx.BakeFile
	for _, name := range bakeFiles {
		text, there, err := f.read(name)
		if err != nil {
			return err
		}
		if there {
			files = append(files, buildx.BakeFile{Name: name, Data: text})
		}
	}
	if len(files) == 0 {
		return nil
	}
	read, err := f.targets().Services(files)
	found.Services, found.Left = read.Services, read.Left
	for i := range found.Services {
		found.Services[i].Port = f.dockerfile(found.Services[i]).port()
	}
	return err
}

func (f Finder) targets() buildx.Bake { return buildx.Bake{Workspace: f.Workspace, Vars: f.Vars} }

func (f Finder) read(name string) (text []byte, there bool, err error) {
	text, err = f.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return text, err == nil, err
}
