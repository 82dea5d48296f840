package dockerfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// from counts what is copied or mounted from: a stage before, by its name, else an image or a named context.
func (r *reader) from(s *stage, name string) error {
	source := r.stages[strings.ToLower(name)]
	if source == nil {
		var err error
		if source, err = r.start(name); err != nil {
			return err
		}
		return r.visit(source)
	}
	return r.fromStage(s, source, name)
}

// fromStage counts a stage that stands before. An ONBUILD instruction may name the stage that it gets into.
func (r *reader) fromStage(s, source *stage, name string) error {
	if source.index > s.index && !source.replaced {
		return fmt.Errorf("stage %q has to stand before the stage that uses it", name)
	}
	return r.visit(source)
}

// copyFrom counts what COPY --from names, which may be a stage's number and never has variables.
// https://docs.docker.com/reference/dockerfile/#copy---from
func (r *reader) copyFrom(s *stage, name string) error {
	plain, err := r.lex.ProcessWordWithMatches(name, variables{})
	if err != nil {
		return err
	}
	if plain.Result != name {
		return fmt.Errorf("--from=%s: variables are not expanded here", name)
	}
	index, err := strconv.Atoi(name)
	if err != nil {
		return r.from(s, name)
	}
	if index < 0 || index >= len(r.order) {
		return fmt.Errorf("--from=%s: there is no such stage", name)
	}
	return r.fromStage(s, r.order[index], name)
}

// hidden stands in a mount for a word that is not known.
const hidden = "\x00"

// mounts counts what RUN mounts: a bind mount shows a part of the context or of what it is from, a cache begins with
// what it is from. A type that is not known may be a bind mount's.
// https://docs.docker.com/reference/dockerfile/#run---mount
func (r *reader) mounts(s *stage, c *instructions.RunCommand) error {
	var froms []string // these never have variables
	for _, m := range instructions.GetMounts(c) {
		froms = append(froms, m.From)
	}
	guessed := false
	err := c.Expand(func(word string) (string, error) {
		text, known, err := r.expand(word, s.now)
		if known || err != nil {
			return text, err
		}
		guessed = true
		return hidden, nil
	})
	if err != nil && !guessed {
		return err
	}
	for i, m := range instructions.GetMounts(c) {
		if err := r.mount(s, froms[i], m); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) mount(s *stage, from string, m *instructions.Mount) error {
	if from == "" && m.Type == instructions.MountTypeCache {
		from = "scratch" // which may be a stage's name
	}
	switch {
	case from != "":
		return r.from(s, from)
	case m.Type == instructions.MountTypeBind && m.Source == hidden:
		r.found.add(".")
	case m.Type == instructions.MountTypeBind:
		r.found.add(mountSource(m.Source))
	}
	return nil
}

// copy counts the sources of COPY. What --exclude leaves out counts, too.
// https://docs.docker.com/reference/dockerfile/#copy
func (r *reader) copy(s *stage, c *instructions.CopyCommand) error {
	if c.From != "" {
		return r.copyFrom(s, c.From)
	}
	for _, word := range c.SourcePaths {
		name, known, err := r.expand(word, s.now)
		switch {
		case err != nil:
			return err
		case !known:
			r.found.add(".")
		case c.Parents:
			r.found.add(parentsSource(name))
		default:
			r.found.add(copySource(name))
		}
	}
	return nil
}

// add counts the sources of ADD that are neither addresses nor repositories.
// https://docs.docker.com/reference/dockerfile/#add
func (r *reader) add(s *stage, c *instructions.AddCommand) error {
	local := slices.DeleteFunc(slices.Clone(c.SourcePaths), remote) // whatever its variables are
	for _, word := range local {
		name, known, err := r.expand(word, s.now)
		switch {
		case err != nil:
			return err
		case !known:
			r.found.add(".")
		case !remote(name):
			r.found.add(copySource(name))
		}
	}
	return nil
}
