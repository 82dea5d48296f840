package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/sync/errgroup"

	"github.com/org/ghcr-publish/internal/run"
)

const (
	buildxModule   = "github.com/docker/buildx"
	buildkitModule = "github.com/moby/buildkit"
	trivyModule    = "github.com/aquasecurity/trivy"

	// trivyVersion is exact for a reason: later releases of this line were published by an attacker.
	trivyVersion = "v0.69.3"
)

// A tool is a program at an exact version, built from its Go module.
type tool struct {
	name    string
	module  string
	version string
	ours    bool              // this module's go.mod pins it, with its whole graph
	main    string            // folder of its main package, "." for the module's first; empty means cmd and its name
	set     map[string]string // link-time variables: released binaries know their version
	env     []string
	report  string // the argument that makes it print its version; empty: never taken from PATH
	took    string // how long the first build took on two cores
}

func (t tool) pkg() string {
	return path.Join(t.module, cmp.Or(t.main, "cmd/"+t.name))
}

func (t tool) advice() string {
	if t.report == "" {
		return fmt.Sprintf("%s %s, for an image that cannot be pulled: let the lab compile %s (%s)", t.name, t.version, t.pkg(), t.took)
	}
	return fmt.Sprintf("%s %s is not on PATH: install that version, or let the lab compile %s (%s)", t.name, t.version, t.pkg(), t.took)
}

// tools lists the programs this set-up needs. BuildKit's own go into an image, so only as long as there is none.
func (s *setup) tools(ctx context.Context) []tool {
	needed := []tool{s.buildx(), trivy()}
	if s.hubAway && !s.stored(ctx, buildkitImage, s.module.buildkit) {
		needed = append(needed, s.buildkit("buildkitd"), s.buildkit("buildctl"))
	}
	return needed
}

func (s *setup) buildx() tool {
	return tool{
		name: "buildx", module: buildxModule, version: s.module.buildx, ours: true,
		set:    map[string]string{buildxModule + "/version.Version": s.module.buildx},
		report: "version", took: "about 2 minutes the first time",
	}
}

func (s *setup) buildkit(name string) tool {
	return tool{
		name: name, module: buildkitModule, version: s.module.buildkit,
		set:  map[string]string{buildkitModule + "/version.Version": s.module.buildkit},
		env:  []string{"GOOS=linux"}, // it runs in a container
		took: "about 2 minutes the first time",
	}
}

func trivy() tool {
	return tool{
		name: "trivy", module: trivyModule, version: trivyVersion,
		set:    map[string]string{trivyModule + "/pkg/version/app.ver": strings.TrimPrefix(trivyVersion, "v")},
		env:    []string{"GOEXPERIMENT=jsonv2"},
		report: "--version", took: "about 12 minutes the first time",
	}
}

// provide puts every tool into the bin directory: as it is there, from PATH, or compiled.
func (s *setup) provide(ctx context.Context, tools []tool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // a build uses every core for most of its time, but not while it links
	for _, t := range tools {
		group.Go(func() error {
			if s.available(ctx, t) {
				return nil
			}
			return s.build(ctx, t)
		})
	}
	return group.Wait()
}

// available reports whether a tool is in the bin directory, linking it from PATH if it is there.
func (s *setup) available(ctx context.Context, t tool) bool {
	target := filepath.Join(s.bin(), t.name)
	info, err := os.Lstat(target)
	linked := err == nil && info.Mode()&os.ModeSymlink != 0
	if err == nil && !linked {
		_, err := os.Stat(s.stamp(t))
		return err == nil
	}
	// What is only linked may have been replaced since.
	if linked && reports(ctx, t, target) {
		return true
	}
	found, err := run.Find(os.Environ(), t.name)
	if err != nil || found == target || !reports(ctx, t, found) {
		return false
	}
	_ = os.Remove(target)
	return os.Symlink(found, target) == nil
}

// reports asks a program for its version.
func reports(ctx context.Context, t tool, program string) bool {
	if t.report == "" {
		return false
	}
	out, err := run.OS(ctx, run.Command{Argv: []string{program, t.report}, Env: os.Environ()})
	return err == nil && namesVersion(string(out), t.version)
}

// namesVersion looks at the first line alone: the lines below it are about databases and plugins.
func namesVersion(output, version string) bool {
	line, _, _ := strings.Cut(output, "\n")
	return slices.ContainsFunc(strings.Fields(line), func(word string) bool {
		return strings.TrimPrefix(word, "v") == strings.TrimPrefix(version, "v")
	})
}

// stamp is the file that says a tool was built whole, at its version.
func (s *setup) stamp(t tool) string {
	return filepath.Join(s.stamps(), t.name+"@"+t.version)
}

// build compiles a tool aside and renames it into place; the stamp comes last, so an interrupted build leaves none.
func (s *setup) build(ctx context.Context, t tool) error {
	dir, remove, err := s.scratch()
	if err != nil {
		return err
	}
	defer remove()
	s.say("building %s %s from its module (%s)", t.name, t.version, t.took)
	from := s.module.root
	if !t.ours {
		if err := adopt(ctx, t, dir); err != nil {
			return fmt.Errorf("preparing to build %s: %w", t.name, err)
		}
		from = dir
	}
	built := filepath.Join(dir, t.name)
	if _, err := run.OS(ctx, buildCommand(t, from, built, os.Environ())); err != nil {
		return fmt.Errorf("building %s %s: %w", t.name, t.version, err)
	}
	if err := s.place(t, built); err != nil {
		return fmt.Errorf("installing %s: %w", t.name, err)
	}
	s.say("built %s %s", t.name, t.version)
	return nil
}

func (s *setup) place(t tool, built string) error {
	old, _ := filepath.Glob(filepath.Join(s.stamps(), t.name+"@*"))
	for _, stamp := range old {
		if err := os.Remove(stamp); err != nil {
			return err
		}
	}
	if err := os.Rename(built, filepath.Join(s.bin(), t.name)); err != nil {
		return err
	}
	return os.WriteFile(s.stamp(t), nil, 0o644)
}

func buildCommand(t tool, dir, out string, base []string) run.Command {
	link := []string{"-s", "-w"}
	for variable, value := range t.set {
		link = append(link, "-X", variable+"="+value)
	}
	env := append(goEnv(base, !t.ours), "CGO_ENABLED=0")
	return run.Command{
		Argv: []string{"go", "build", "-trimpath", "-ldflags", strings.Join(link, " "), "-o", out, t.pkg()},
		Dir:  dir,
		Env:  append(env, t.env...),
	}
}

// goEnv is base without what would change the build: the caller's own flags, targets and workspace.
// A scratch module may complete its go.mod and go.sum; this one may not.
func goEnv(base []string, scratch bool) []string {
	dropped := []string{"GOFLAGS", "GOOS", "GOARCH", "GOWORK", "GOEXPERIMENT", "CGO_ENABLED", "PWD"}
	env := slices.DeleteFunc(slices.Clone(base), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(dropped, name)
	})
	if scratch {
		return append(env, "GOWORK=off", "GOFLAGS=-mod=mod")
	}
	return append(env, "GOWORK=off", "GOFLAGS=")
}

// adopt makes dir a module that takes over a tool's own graph. `go install` would refuse a tool
// whose go.mod replaces or excludes anything.
func adopt(ctx context.Context, t tool, dir string) error {
	download := run.Command{
		Argv: []string{"go", "mod", "download", "-json", t.module + "@" + t.version},
		Dir:  dir,
		Env:  goEnv(os.Environ(), true),
	}
	out, err := run.OS(ctx, download)
	if err != nil {
		return err
	}
	var source struct{ Dir string }
	if err := json.Unmarshal(out, &source); err != nil {
		return fmt.Errorf("reading what go mod download says: %w", err)
	}
	goMod, err := os.ReadFile(filepath.Join(source.Dir, "go.mod"))
	if err != nil {
		return err
	}
	if goMod, err = adoptedMod(goMod, t.module, t.version); err != nil {
		return err
	}
	goSum, err := os.ReadFile(filepath.Join(source.Dir, "go.sum"))
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "go.mod"), goMod, 0o644),
		os.WriteFile(filepath.Join(dir, "go.sum"), goSum, 0o644))
}

// adoptedMod turns a tool's go.mod into that of a module which requires the tool.
func adoptedMod(goMod []byte, module, version string) ([]byte, error) {
	f, err := modfile.Parse("go.mod", goMod, nil)
	if err != nil {
		return nil, err
	}
	// What only the tool's own source tree can use.
	for _, t := range slices.Clone(f.Tool) {
		if err := f.DropTool(t.Path); err != nil {
			return nil, err
		}
	}
	for _, r := range slices.Clone(f.Retract) {
		if err := f.DropRetract(r.VersionInterval); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(f.AddModuleStmt("scratch"), f.AddRequire(module, version)); err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
}

// modules is what this module's go.mod decides: where it is and which versions it pins.
type modules struct{ root, buildx, buildkit string }

const thisModule = "github.com/org/ghcr-publish"

func findModules(ctx context.Context) (modules, error) {
	out, err := run.OS(ctx, run.Command{
		Argv: []string{"go", "list", "-m", "-f", "{{.Path}}={{.Version}}={{.Dir}}", thisModule, buildxModule, buildkitModule},
		Env:  goEnv(os.Environ(), false),
	})
	if err != nil {
		return modules{}, fmt.Errorf("reading go.mod (the lab runs inside its module, with go on PATH): %w", err)
	}
	return parseModules(string(out)), nil
}

func parseModules(list string) modules {
	var m modules
	for line := range strings.Lines(list) {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), "=")
		version, dir, _ := strings.Cut(rest, "=")
		switch path {
		case thisModule:
			m.root = dir
		case buildxModule:
			m.buildx = version
		case buildkitModule:
			m.buildkit = version
		}
	}
	return m
}
