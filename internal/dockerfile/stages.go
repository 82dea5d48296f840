package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// A reader reads a Dockerfile for one platform.
type reader struct {
	found   *found
	args    map[string]string   // build arguments
	named   map[string][]string // named contexts by their familiar names
	globals variables           // arguments before the first FROM
	lex     *shell.Lex
	order   []*stage
	stages  map[string]*stage // by name; of two with one name, the later
}

// A stage is one of the Dockerfile, or the start of one: an image, a named context or nothing.
type stage struct {
	name     string // empty of one without
	index    int
	line     int
	source   string // the FROM instruction
	base     *stage // the stage that it is FROM
	image    *Image // else the image
	contexts []string
	commands []instructions.Command
	took     [][]string // what each of them takes from the build context, once the stage was visited
	replaced bool       // a named context stands for it
	visited  bool
	now      variables // what is known of its variables
	kept     variables // those that ENV set, which stages built on it begin with
}

func (r *reader) read(text []byte, target string) error {
	if err := r.parse(text, target); err != nil {
		return err
	}
	s, err := r.target(target)
	if err != nil {
		return err
	}
	return r.visit(s)
}

// parse reads the stages, and what each begins with.
func (r *reader) parse(text []byte, target string) error {
	file, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return placed(err)
	}
	stages, args, err := instructions.Parse(file.AST, nil)
	if err != nil {
		return placed(err)
	}
	if len(stages) == 0 {
		return errors.New("the Dockerfile has no stage")
	}
	r.lex = shell.NewLex(file.EscapeToken)
	if err := r.setGlobals(targetStage(target, stages), args); err != nil {
		return err
	}
	for _, s := range stages {
		if err := r.addStage(s); err != nil {
			return at(lineOf(s.Location), err)
		}
	}
	return nil
}

// targetStage is what TARGETSTAGE says.
func targetStage(target string, stages []instructions.Stage) string {
	if target == "" {
		target = stages[len(stages)-1].Name
	}
	if target == "" {
		return "default"
	}
	return target
}

func (r *reader) addStage(parsed instructions.Stage) error {
	name, err := r.expandGlobal(parsed.BaseName)
	if err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("the name %q expands to nothing", parsed.BaseName)
	}
	s, err := r.begin(parsed.Name, name)
	if err != nil {
		return err
	}
	s.name, s.index, s.line, s.source, s.commands = parsed.Name, len(r.order), lineOf(parsed.Location), parsed.SourceCode, parsed.Commands
	r.order = append(r.order, s)
	if parsed.Name != "" {
		r.stages[strings.ToLower(parsed.Name)] = s
		if short, err := familiar(parsed.Name); err == nil {
			r.found.stages[short] = true
		}
	}
	return nil
}

// begin finds what a stage begins with: the latest stage before it of that name, else an image or a named context.
// A named context with the stage's own name replaces the stage.
// https://docs.docker.com/reference/dockerfile/#from
// https://docs.docker.com/reference/cli/docker/buildx/build/#build-context
func (r *reader) begin(name, from string) (*stage, error) {
	if contexts := r.replacement(name); contexts != nil {
		return &stage{contexts: contexts, replaced: true}, nil
	}
	if base := r.stages[from]; base != nil {
		return &stage{base: base}, nil
	}
	return r.start(from)
}

// replacement are the named contexts that stand for a stage. Two words are the builder's own, so none is called so.
func (r *reader) replacement(name string) []string {
	if name == "" || name == "scratch" || name == "context" {
		return nil
	}
	if short, err := familiar(name); err == nil {
		return r.named[short]
	}
	return nil
}

// start is a stage without instructions that stands for something outside.
func (r *reader) start(name string) (*stage, error) {
	if name == "scratch" {
		return &stage{}, nil
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", name, err)
	}
	short, err := familiar(name)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", name, err)
	}
	if contexts := r.named[short]; contexts != nil {
		return &stage{contexts: contexts}, nil
	}
	return &stage{image: &Image{Name: name, Ref: reference.TagNameOnly(named).String()}}, nil
}

func (r *reader) target(name string) (*stage, error) {
	if name == "" {
		return r.order[len(r.order)-1], nil
	}
	s := r.stages[strings.ToLower(name)]
	if s == nil {
		return nil, fmt.Errorf("there is no stage %q", name)
	}
	return s, nil
}

// visit counts what a stage uses, once.
func (r *reader) visit(s *stage) error {
	if s.visited {
		return nil
	}
	s.visited = true
	s.now, s.kept = variables{}, variables{}
	r.found.contexts = append(r.found.contexts, s.contexts...)
	if s.image != nil {
		r.found.addImage(*s.image)
	}
	if s.base != nil {
		if err := r.visitBase(s); err != nil {
			return err
		}
	}
	if s.replaced {
		return nil
	}
	for _, c := range s.commands {
		outer := r.found.latest
		r.found.latest = nil
		if err := r.run(s, c); err != nil {
			return at(lineOf(c.Location()), err)
		}
		s.took, r.found.latest = append(s.took, r.found.latest), outer
	}
	return nil
}

// visitBase counts what a stage gets from the stage that it is FROM, whose ONBUILD instructions come first.
// What ENV set there is known here; what ARG set is not, since the variables of the image, an ENV of the outermost
// base among them, are set anew.
// https://docs.docker.com/reference/dockerfile/#onbuild
func (r *reader) visitBase(s *stage) error {
	if err := r.visit(s.base); err != nil {
		return err
	}
	s.now, s.kept = clone(s.base.kept), clone(s.base.kept)
	for _, c := range s.base.commands {
		if trigger, ok := c.(*instructions.OnbuildCommand); ok {
			if err := r.trigger(s, trigger.Expression); err != nil {
				return at(s.line, err)
			}
		}
	}
	return nil
}

func (r *reader) trigger(s *stage, text string) error {
	file, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return err
	}
	if len(file.AST.Children) != 1 {
		return fmt.Errorf("ONBUILD has to be followed by one instruction, not %q", text)
	}
	c, err := instructions.ParseCommand(file.AST.Children[0])
	if err != nil {
		return err
	}
	return r.run(s, c)
}

// run counts what an instruction uses.
func (r *reader) run(s *stage, command instructions.Command) error {
	switch c := command.(type) {
	case *instructions.ArgCommand:
		return r.arg(s, c)
	case *instructions.EnvCommand:
		return r.env(s, c)
	case *instructions.AddCommand:
		return r.add(s, c)
	case *instructions.CopyCommand:
		return r.copy(s, c)
	case *instructions.RunCommand:
		return r.mounts(s, c)
	}
	return nil
}
