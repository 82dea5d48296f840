// Package dockerfile reads what a Dockerfile takes from outside: files of its context, images, named contexts.
//
// It reads with BuildKit's own parser and follows the rules of BuildKit's own frontend, as documented at
// https://docs.docker.com/reference/dockerfile/. Where those leave open what a build reads, because a variable comes
// from a base image or a frontend is another one, more counts than may be read, never less. Two things no Dockerfile
// tells: the ONBUILD instructions of an image that it builds on, which may copy from the context, and where the
// symbolic links of a context lead. Who relies on Sources has to look at both.
package dockerfile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Options say how a Dockerfile is built.
type Options struct {
	Target    string            // stage; empty means the last
	Args      map[string]string // build arguments
	Platforms []string          // "linux/amd64", …: what TARGETPLATFORM, TARGETARCH, … stand for, each in turn
	Contexts  []string          // names of the named contexts there are
}

// Use is what of the outside world decides an image.
type Use struct {
	Syntax   string   // the frontend that the syntax directive or the argument BUILDKIT_SYNTAX names; empty without one
	Images   []Image  // images it builds on or copies from, each once, sorted
	Contexts []string // the named contexts among Options.Contexts that it uses, sorted
	// Sources are the paths of the context that it copies or mounts, cleaned, slash-separated, relative, sorted, without
	// those inside another; they may be patterns as in COPY (path.Match-like). ["."] is the whole context.
	Sources []string

	cover *cover // Sources, made ready for Copies
}

// Image is one that a Dockerfile builds on or copies from.
type Image struct {
	Name string // as FROM or --from has it, its variables expanded
	Ref  string // with registry and tag: docker.io/library/busybox:latest
	// Shadowed tells that a stage has the name too: a named context of this name would replace that stage.
	Shadowed bool
}

// Read tells what a Dockerfile uses. What BuildKit could not make out, either, is an error that says the line: an
// instruction that is none, a name that does not expand to an image's, a stage that is not there. Other mistakes show
// when the image is built.
func Read(text []byte, o Options) (Use, error) {
	syntax := syntaxOf(text, o.Args)
	f, err := readAll(text, o)
	if foreign(syntax) {
		// Its language may be another one, so an error here says nothing.
		f.add(".")
		f.contexts = slices.Clone(o.Contexts)
		err = nil
	}
	if err != nil {
		return Use{}, err
	}
	u := Use{Syntax: syntax, Images: f.sortedImages(), Contexts: sorted(f.contexts), Sources: outermost(f.sources)}
	u.cover = newCover(u.Sources)
	return u, nil
}

// readAll reads for each platform in turn. After an error it gives what was found until then.
func readAll(text []byte, o Options) (*found, error) {
	f := &found{images: map[string]string{}, sources: map[string]bool{}, stages: map[string]bool{}}
	sets, err := platformArgs(o.Platforms)
	if err != nil {
		return f, err
	}
	named := familiars(o.Contexts)
	for _, automatic := range telling(text, sets) {
		r := reader{found: f, args: o.Args, named: named, globals: automatic, stages: map[string]*stage{}}
		if err := r.read(text, o.Target); err != nil {
			return f, err
		}
	}
	return f, nil
}

// syntaxOf finds the frontend as BuildKit's own does before it reads anything else: the build argument comes before
// the directive. https://docs.docker.com/reference/dockerfile/#syntax
func syntaxOf(text []byte, args map[string]string) string {
	if line, ok := args["BUILDKIT_SYNTAX"]; ok {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		return name
	}
	name, _, _, _ := parser.DetectSyntax(text)
	return name
}

// foreign reports whether a frontend is not Docker's own, whose language this package knows.
func foreign(syntax string) bool {
	if syntax == "" {
		return false
	}
	named, err := reference.ParseNormalizedNamed(syntax)
	return err != nil || named.Name() != "docker.io/docker/dockerfile" && named.Name() != "docker.io/docker/dockerfile-upstream"
}

// found is what the stages that count use.
type found struct {
	images   map[string]string // names by reference
	contexts []string
	sources  map[string]bool
	latest   []string        // the sources of the instruction that is being read
	stages   map[string]bool // by their familiar names, whether they count or not
}

func (f *found) add(source string) {
	f.sources[source] = true
	f.latest = append(f.latest, source)
}

func (f *found) addImage(i Image) {
	if name, known := f.images[i.Ref]; !known || i.Name < name {
		f.images[i.Ref] = i.Name
	}
}

func (f *found) sortedImages() []Image {
	var all []Image
	for ref, name := range f.images {
		short, err := familiar(name)
		all = append(all, Image{name, ref, err == nil && f.stages[short]})
	}
	slices.SortFunc(all, func(a, b Image) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Ref, b.Ref)) })
	return all
}

func sorted(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// familiars are names of contexts by what the builder calls them, as buildx hands them over. What it would refuse as
// a name, no Dockerfile can mean.
func familiars(contexts []string) map[string][]string {
	named := map[string][]string{}
	for _, context := range contexts {
		if name, err := familiar(context); err == nil {
			named[name] = append(named[name], context)
		}
	}
	return named
}

// familiar is a name as the builder looks for it among the named contexts: without the registry and the tag that
// go without saying.
func familiar(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(reference.FamiliarString(named), ":latest"), nil
}

// at says the line that an error comes from.
func at(line int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// placed says the line of an error of BuildKit's parser, if the parser knows it.
func placed(err error) error {
	var where *parser.LocationError
	if errors.As(err, &where) && len(where.Locations) > 0 {
		return at(lineOf(where.Locations[0]), where)
	}
	return err
}

func lineOf(location []parser.Range) int {
	if len(location) == 0 {
		return 0
	}
	return location[0].Start.Line
}
