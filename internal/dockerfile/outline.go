package dockerfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// A Stage is one of a Dockerfile, as far as it counts for the target.
type Stage struct {
	Name         string // as BuildKit's progress has it: "build", or "stage-1" of one without a name
	Line         int
	Base         int    // index of the stage that it is FROM; -1 where it is FROM something else
	Image        string // name of the image that it is FROM, its variables expanded; empty where it is FROM something else
	Instructions []Instruction

	from bool // its FROM is a step of the build
}

// An Instruction is one of a stage.
type Instruction struct {
	Line    int
	Name    string   // "COPY"
	Text    string   // "COPY a b", all of it in one line
	Sources []string // what it copies or mounts from the build context, as Use.Sources has them
	Exclude []string // what COPY or ADD leaves out of its sources
	From    int      // index of the stage that COPY takes from; -1 where there is none
	Command string   // what RUN has a shell run; empty of other instructions, and where it is no shell's
	Mounts  bool     // RUN mounts a cache
	Args    []string // names that ARG declares
}

// Steps are the indexes of a stage's instructions that BuildKit counts as steps, as its progress numbers them from 1. Of a FROM
// that is a step the index is -1.
// https://github.com/moby/buildkit/blob/v0.34.2/frontend/dockerfile/dockerfile2llb/convert.go
func (s Stage) Steps() []int {
	var steps []int
	if s.from {
		steps = append(steps, -1)
	}
	for i, in := range s.Instructions {
		if slices.Contains([]string{"RUN", "COPY", "ADD", "WORKDIR"}, in.Name) {
			steps = append(steps, i)
		}
	}
	return steps
}

// ReadStages reads the stages that the target is made by, in the order of the file, for the first of the platforms. Of a
// Dockerfile in another frontend's language nothing is known.
func ReadStages(text []byte, o Options) ([]Stage, error) {
	if foreign(syntaxOf(text, o.Args)) {
		return nil, nil
	}
	sets, err := platformArgs(o.Platforms)
	if err != nil {
		return nil, err
	}
	r := reader{found: &found{images: map[string]string{}, sources: map[string]bool{}, stages: map[string]bool{}},
		args: o.Args, named: familiars(o.Contexts), globals: sets[0], stages: map[string]*stage{}}
	if err := r.read(text, o.Target); err != nil {
		return nil, err
	}
	used := slices.DeleteFunc(slices.Clone(r.order), func(s *stage) bool { return !s.visited })
	var stages []Stage
	for _, s := range used {
		out := Stage{Name: s.name, Line: s.line, Base: slices.Index(used, s.base), from: s.base == nil && (s.image != nil || s.contexts != nil)}
		if s.name == "" {
			out.Name = fmt.Sprintf("stage-%d", s.index)
		}
		if s.image != nil {
			out.Image = s.image.Name
		}
		for i, c := range s.commands {
			if s.replaced {
				break
			}
			out.Instructions = append(out.Instructions, r.instruction(c, s.took[i], used))
		}
		stages = append(stages, out)
	}
	return stages, nil
}

func (r *reader) instruction(command instructions.Command, sources []string, used []*stage) Instruction {
	text := command.Name()
	if code, ok := command.(interface{ String() string }); ok {
		text = code.String()
	}
	in := Instruction{Line: lineOf(command.Location()), Name: strings.ToUpper(command.Name()), Text: strings.Join(strings.Fields(text), " "), Sources: sources, From: -1}
	switch c := command.(type) {
	case *instructions.CopyCommand:
		in.Exclude = c.ExcludePatterns
		in.From = slices.IndexFunc(used, func(s *stage) bool {
			return c.From != "" && (strings.EqualFold(s.name, c.From) || c.From == fmt.Sprint(s.index))
		})
	case *instructions.AddCommand:
		in.Exclude = c.ExcludePatterns
	case *instructions.RunCommand:
		in.Command = shellText(c)
		in.Mounts = slices.ContainsFunc(instructions.GetMounts(c), func(m *instructions.Mount) bool { return m.Type == instructions.MountTypeCache })
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			in.Args = append(in.Args, a.Key)
		}
	}
	return in
}

// shellText is what a shell runs for RUN, with the first of its here-documents.
// https://docs.docker.com/reference/dockerfile/#here-documents
func shellText(c *instructions.RunCommand) string {
	if !c.PrependShell {
		return ""
	}
	if len(c.Files) == 0 {
		return strings.Join(c.CmdLine, "\n")
	}
	if strings.HasPrefix(strings.TrimSpace(c.CmdLine[0]), "<<") && len(c.Files) == 1 {
		return c.Files[0].Data // the document is the script
	}
	return strings.Join(c.CmdLine, "\n") + "\n" + c.Files[0].Data + c.Files[0].Name
}
