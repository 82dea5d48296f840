// Package dockerfile reads what a Dockerfile takes from outside: files of its context, images and named contexts. It
// reads as BuildKit does, by BuildKit's own parser, and where what is taken cannot be told it says that all may be.
// https://docs.docker.com/reference/dockerfile/
package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Options are what the build is told beside the Dockerfile.
type Options struct {
	Target    string            // stage; empty means the last
	Args      map[string]string // build arguments
	Platforms []string          // "linux/amd64", …: what TARGETPLATFORM and its like stand for, each in turn
	Contexts  []string          // names of the named contexts that there are
}

// A Use is what a Dockerfile takes from outside.
type Use struct {
	Images   []Image  // images it builds on or copies from, in order of their names
	Contexts []string // named contexts that it takes something from, in order
	// Sources are the paths of the context that it copies or mounts: clean, relative, in order. They may hold wildcards;
	// "." is the whole context.
	Sources []string

	whole    bool
	literals map[string]bool
	patterns []string
}

// An Image is one that is built on or copied from.
type Image struct {
	Name string // as the Dockerfile has it, with its variables replaced
	Ref  string // with registry and tag: docker.io/library/busybox:latest
	// Shadowed tells that a stage has the name too, so that a named context of this name would replace the stage.
	Shadowed bool
}

// Read reads a Dockerfile. What BuildKit would refuse as a whole is an error.
func Read(text []byte, o Options) (Use, error) {
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return Use{}, fmt.Errorf("reading the Dockerfile: %w", err)
	}
	stages, args, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return Use{}, fmt.Errorf("reading the Dockerfile: %w", err)
	}
	if len(stages) == 0 {
		return Use{}, errors.New("reading the Dockerfile: it has no stage")
	}
	r := &reader{stages: stages, lex: shell.NewLex(parsed.EscapeToken), options: o, images: map[Image]bool{}, contexts: map[string]bool{}, sources: map[string]bool{}}
	if unknown(text) {
		r.sources["."] = true // another frontend may read anything
	}
	for _, platform := range o.Platforms {
		if err := r.read(args, platform); err != nil {
			return Use{}, fmt.Errorf("reading the Dockerfile: %w", err)
		}
	}
	return r.use(), nil
}

// unknown reports whether a Dockerfile names another frontend than Docker's own, which may read it differently.
// https://docs.docker.com/build/buildkit/frontend/
func unknown(text []byte) bool {
	syntax, _, _, ok := parser.DetectSyntax(text)
	if !ok {
		return false
	}
	named, err := reference.ParseNormalizedNamed(syntax)
	return err != nil || !slices.Contains([]string{"docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"}, named.Name())
}

// A reader collects what the stages of one Dockerfile take.
type reader struct {
	stages   []instructions.Stage
	lex      *shell.Lex
	options  Options
	global   map[string]string // arguments before the first stage, for one platform
	seen     map[int]map[string]string
	images   map[Image]bool
	contexts map[string]bool
	sources  map[string]bool
}

// read goes through the stages that one platform's target reaches.
func (r *reader) read(args []instructions.ArgCommand, platform string) error {
	r.seen = map[int]map[string]string{}
	r.global = platformArgs(platform)
	for name := range r.global {
		if given, ok := r.options.Args[name]; ok {
			r.global[name] = given
		}
	}
	for _, command := range args {
		r.declare(command.Args, r.global, nil, true)
	}
	target := len(r.stages) - 1
	if r.options.Target != "" {
		var ok bool
		if target, ok = r.stage(r.options.Target, len(r.stages)); !ok {
			return fmt.Errorf("there is no stage %q", r.options.Target)
		}
	}
	_, err := r.visit(target)
	return err
}

// platformArgs are the arguments that BuildKit sets by itself. What it builds on is taken to be the target.
// https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope
func platformArgs(platform string) map[string]string {
	parts := append(strings.Split(platform, "/"), "", "", "")
	args := map[string]string{}
	for _, side := range []string{"TARGET", "BUILD"} {
		args[side+"PLATFORM"], args[side+"OS"], args[side+"ARCH"], args[side+"VARIANT"] = platform, parts[0], parts[1], parts[2]
	}
	return args
}

// declare gives ARG instructions their values: what the build was given, else the default, else what came before the
// first stage. In a stage a default may hold variables that only its image knows; before the first they are empty.
func (r *reader) declare(args []instructions.KeyValuePairOptional, into, inherited map[string]string, global bool) {
	for _, a := range args {
		given, isGiven := r.options.Args[a.Key]
		before, isInherited := inherited[a.Key]
		switch {
		case isGiven:
			into[a.Key] = given
		case a.Value != nil:
			if v, ok := r.expand(*a.Value, into); ok || global {
				into[a.Key] = v
			} else {
				delete(into, a.Key)
			}
		case isInherited:
			into[a.Key] = before
		}
	}
}

// expand replaces the variables of a word; false where one is not known.
func (r *reader) expand(word string, env map[string]string) (string, bool) {
	pairs := make([]string, 0, len(env))
	for name, v := range env {
		pairs = append(pairs, name+"="+v)
	}
	result, err := r.lex.ProcessWordWithMatches(word, shell.EnvsFromSlice(pairs))
	return result.Result, err == nil && len(result.Unmatched) == 0
}

// stage finds a stage among those before a place, by its name or number.
func (r *reader) stage(name string, before int) (int, bool) {
	for i := before - 1; i >= 0; i-- {
		if strings.EqualFold(r.stages[i].Name, name) {
			return i, true
		}
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < before {
		return i, true
	}
	return 0, false
}

// visit collects what a stage takes, and those before it that it takes from. It returns the stage's environment.
func (r *reader) visit(i int) (map[string]string, error) {
	if env, seen := r.seen[i]; seen {
		return env, nil
	}
	env := map[string]string{}
	r.seen[i] = env
	stage := r.stages[i]
	if stage.Name != "" && r.named(stage.Name) {
		return env, nil // the context takes the stage's place
	}
	base, _ := r.expand(stage.BaseName, r.global) // what is not known is empty here, for BuildKit too
	if base == "" {
		return nil, fmt.Errorf("line %d: what %q stands for is not known", stage.Location[0].Start.Line, stage.BaseName)
	}
	inherited, err := r.from(base, i)
	if err != nil {
		return nil, err
	}
	maps.Copy(env, inherited)
	known := maps.Clone(env) // with arguments, which end with the stage
	for _, command := range stage.Commands {
		if err := r.command(command, i, env, known); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// from follows a name to a stage before another, to a named context or to an image. It returns a stage's environment.
func (r *reader) from(name string, before int) (map[string]string, error) {
	if i, ok := r.stage(name, before); ok {
		return r.visit(i)
	}
	if strings.EqualFold(name, "scratch") || r.named(name) {
		return nil, nil
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no image: %w", name, err)
	}
	_, shadowed := r.stage(name, len(r.stages))
	r.images[Image{Name: name, Ref: reference.TagNameOnly(named).String(), Shadowed: shadowed}] = true
	return nil, nil
}

// named reports whether there is a named context of a name, which is noted then. Names are compared as BuildKit does.
func (r *reader) named(name string) bool {
	for _, context := range r.options.Contexts {
		if familiar(context) == familiar(name) {
			r.contexts[context] = true
			return true
		}
	}
	return false
}

func familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(strings.ToLower(name))
	if err != nil {
		return name
	}
	return strings.TrimSuffix(reference.FamiliarString(named), ":latest")
}

func (r *reader) command(command instructions.Command, stage int, env, known map[string]string) error {
	switch c := command.(type) {
	case *instructions.ArgCommand:
		r.declare(c.Args, known, r.global, false)
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			v, ok := r.expand(pair.Value, known)
			if delete(env, pair.Key); ok {
				env[pair.Key] = v
			}
			if delete(known, pair.Key); ok {
				known[pair.Key] = v
			}
		}
	case *instructions.AddCommand:
		r.copies(c.SourcePaths, known)
	case *instructions.CopyCommand:
		if c.From == "" {
			r.copies(c.SourcePaths, known)
			return nil
		}
		return r.takes(c.From, stage, known)
	case *instructions.RunCommand:
		return r.mounts(c, stage, known)
	case *instructions.OnbuildCommand:
		return r.onBuild(c, stage, env, known)
	}
	return nil
}

// takes notes where something is copied or mounted from.
func (r *reader) takes(from string, stage int, known map[string]string) error {
	name, ok := r.expand(from, known)
	if !ok {
		r.sources["."] = true
		return nil
	}
	_, err := r.from(name, stage)
	return err
}

func (r *reader) copies(sources []string, known map[string]string) {
	for _, source := range sources {
		if remote(source) {
			continue
		}
		expanded, ok := r.expand(source, known)
		if !ok {
			expanded = "."
		}
		r.source(expanded)
	}
}

// source notes a path of the context. None leads out of it.
func (r *reader) source(name string) {
	r.sources[strings.TrimPrefix(path.Clean("/"+name), "/")] = true
}

// remote reports whether ADD fetches a source from elsewhere.
func remote(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") || strings.HasPrefix(source, "git@") || strings.HasPrefix(source, "ssh://") || strings.HasPrefix(source, "git://")
}

// mounts notes what RUN instructions are given. https://docs.docker.com/reference/dockerfile/#run---mount
func (r *reader) mounts(c *instructions.RunCommand, stage int, known map[string]string) error {
	unknown := false
	err := c.Expand(func(word string) (string, error) {
		expanded, ok := r.expand(word, known)
		unknown = unknown || !ok
		return expanded, nil
	})
	if err != nil || unknown {
		r.sources["."] = true
	}
	for _, m := range instructions.GetMounts(c) {
		switch {
		case m.From != "":
			if err := r.takes(m.From, stage, known); err != nil {
				return err
			}
		case m.Type == instructions.MountTypeBind:
			r.source(m.Source)
		}
	}
	return nil
}

// onBuild counts what an image does to those that are built on it as if it were done here: they may be stages of this file.
func (r *reader) onBuild(c *instructions.OnbuildCommand, stage int, env, known map[string]string) error {
	parsed, err := parser.Parse(strings.NewReader(c.Expression))
	if err != nil || len(parsed.AST.Children) != 1 {
		return fmt.Errorf("ONBUILD %s: cannot be read", c.Expression)
	}
	command, err := instructions.ParseInstruction(parsed.AST.Children[0])
	if err != nil {
		return fmt.Errorf("ONBUILD %s: %w", c.Expression, err)
	}
	known, env = maps.Clone(known), maps.Clone(env)
	if inner, ok := command.(instructions.Command); ok {
		return r.command(inner, stage, env, known)
	}
	return nil
}
