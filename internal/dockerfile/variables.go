package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// longest is how long a value may get by expansion. Paths and names are shorter; without a bound a few lines that
// double a variable would fill the memory.
const longest = 4096

var errTooLong = errors.New("a variable grows too long")

// variables are those whose values are known.
type variables map[string]string

// Get makes variables what BuildKit's shell words ask.
func (v variables) Get(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// Keys are their names.
func (v variables) Keys() []string { return slices.Sorted(maps.Keys(v)) }

// clone is maps.Clone that never gives nil.
func clone(v variables) variables {
	c := variables{}
	maps.Copy(c, v)
	return c
}

// broken finds a name that goes on in the next line.
var broken = regexp.MustCompile("[A-Za-z_][\\\\`][ \\t]*\\r?\\n")

// telling leaves out the sets of arguments that make no difference: most Dockerfiles never name the builder's platform,
// and many name none.
func telling(text []byte, sets []variables) []variables {
	if broken.Match(text) || bytes.Contains(text, []byte("BUILD")) {
		return sets
	}
	if !bytes.Contains(text, []byte("TARGET")) {
		return sets[:1]
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(sets, func(v variables) bool {
		known := seen[v["TARGETPLATFORM"]]
		seen[v["TARGETPLATFORM"]] = true
		return known
	})
}

// builders are platforms of machines that builds run on, beside those that are built for.
var builders = []string{"linux/amd64", "linux/arm64"}

// platformArgs are the arguments that the builder sets by itself, for each platform, on each that the builder may have.
// https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope
func platformArgs(names []string) ([]variables, error) {
	if len(names) == 0 {
		names = builders[:1]
	}
	targets, err := parsed(names)
	if err != nil {
		return nil, err
	}
	others, err := parsed(builders)
	if err != nil {
		return nil, err
	}
	var all []variables
	for _, p := range targets {
		for _, builder := range unique(append(slices.Clone(targets), others...)) {
			all = append(all, variables{
				"BUILDPLATFORM": platforms.Format(builder), "TARGETPLATFORM": platforms.FormatAll(p),
				"BUILDOS": builder.OS, "TARGETOS": p.OS,
				"BUILDOSVERSION": builder.OSVersion, "TARGETOSVERSION": p.OSVersion,
				"BUILDARCH": builder.Architecture, "TARGETARCH": p.Architecture,
				"BUILDVARIANT": builder.Variant, "TARGETVARIANT": p.Variant,
			})
		}
	}
	return all, nil
}

func parsed(names []string) ([]ocispec.Platform, error) {
	var all []ocispec.Platform
	for _, name := range names {
		p, err := platforms.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("platform %q: %w", name, err)
		}
		all = append(all, platforms.Normalize(p))
	}
	return all, nil
}

func unique(list []ocispec.Platform) []ocispec.Platform {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(p ocispec.Platform) bool {
		name := platforms.FormatAll(p)
		known := seen[name]
		seen[name] = true
		return known
	})
}

// expand gives what the builder makes of a word in a stage, and whether that is known: a variable that the
// Dockerfile does not set may be one of the base image's.
// https://docs.docker.com/reference/dockerfile/#environment-replacement
func (r *reader) expand(word string, v variables) (text string, known bool, err error) {
	result, err := r.lex.ProcessWordWithMatches(word, v)
	if len(result.Unmatched) > 0 || len(result.Result) > max(longest, len(word)) {
		return "", false, nil
	}
	return result.Result, err == nil, err
}

// expandGlobal gives what the builder makes of a word outside the stages, where a variable that is not set is empty.
func (r *reader) expandGlobal(word string) (string, error) {
	text, _, err := r.lex.ProcessWord(word, r.globals)
	if err == nil && len(text) > max(longest, len(word)) {
		err = errTooLong
	}
	return text, err
}

// setGlobals learns the arguments before the first FROM. Build arguments come before defaults.
// https://docs.docker.com/reference/dockerfile/#understand-how-arg-and-from-interact
func (r *reader) setGlobals(target string, commands []instructions.ArgCommand) error {
	r.globals["TARGETSTAGE"] = target
	for name := range r.globals {
		if given, ok := r.args[name]; ok {
			r.globals[name] = given
		}
	}
	for _, c := range commands {
		for _, a := range c.Args {
			if err := r.setGlobal(a); err != nil {
				return at(lineOf(c.Location()), err)
			}
		}
	}
	return nil
}

func (r *reader) setGlobal(a instructions.KeyValuePairOptional) error {
	if given, ok := r.args[a.Key]; ok {
		r.globals[a.Key] = given
		return nil
	}
	if a.Value == nil {
		return nil
	}
	value, err := r.expandGlobal(*a.Value)
	if err == nil {
		r.globals[a.Key] = value
	}
	return err
}

// arg declares arguments in a stage. One without any value leaves the variable as it is.
// https://docs.docker.com/reference/dockerfile/#arg
func (r *reader) arg(s *stage, c *instructions.ArgCommand) error {
	for _, a := range c.Args {
		value, known := r.args[a.Key]
		switch {
		case known:
		case a.Value != nil:
			var err error
			if value, known, err = r.expand(*a.Value, s.now); err != nil {
				return err
			}
			if !known {
				delete(s.now, a.Key)
			}
		default:
			value, known = r.globals[a.Key]
		}
		if known {
			s.now[a.Key] = value
		}
	}
	return nil
}

// env sets variables in a stage and the stages that build on it. All are expanded before any is set.
// https://docs.docker.com/reference/dockerfile/#env
func (r *reader) env(s *stage, c *instructions.EnvCommand) error {
	before := clone(s.now)
	for _, pair := range c.Env {
		key, sure, err := r.expand(pair.Key, before)
		if err != nil {
			return err
		}
		value, known, err := r.expand(pair.Value, before)
		if err != nil {
			return err
		}
		switch {
		case !sure: // it may be any
			clear(s.now)
			clear(s.kept)
		case !known:
			delete(s.now, key)
			delete(s.kept, key)
		default:
			s.now[key], s.kept[key] = value, value
		}
	}
	return nil
}
