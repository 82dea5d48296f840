package dockerfile

import (
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Origins tell which line of a Dockerfile made a layer of the image that it was built into.
type Origins struct {
	// Final is the line that the target's own stage begins at; 0 where it is not known.
	Final int

	from  Origin   // what the first of the stages begins with
	order []Origin // the instructions of all stages down to the target, in order; each is one entry of the image's history
}

// An Origin is an instruction of a Dockerfile.
type Origin struct {
	Line        int    // 0 where it is not known
	Instruction string // "RUN apk add curl", in one line

	name    string // "RUN"
	command string // of RUN: its first line, as the history has it; empty where it is written in another way
}

// ReadOrigins reads the instructions that the target is made by. Where the Dockerfile's language is another frontend's, nothing is known.
func ReadOrigins(text []byte, o Options) (Origins, error) {
	if foreign(syntaxOf(text, o.Args)) {
		return Origins{}, nil
	}
	sets, err := platformArgs(o.Platforms)
	if err != nil {
		return Origins{}, err
	}
	r := reader{found: &found{stages: map[string]bool{}}, args: o.Args, named: familiars(o.Contexts), globals: sets[0], stages: map[string]*stage{}}
	if err := r.parse(text, o.Target); err != nil {
		return Origins{}, err
	}
	s, err := r.target(o.Target)
	if err != nil {
		return Origins{}, err
	}
	all := Origins{Final: s.line}
	for ; s != nil && s.line > 0; s = s.base {
		all.from = Origin{Line: s.line, Instruction: oneLine(s.source)}
		if !s.replaced {
			all.order = append(origins(s.commands), all.order...)
		}
	}
	return all, nil
}

func origins(commands []instructions.Command) (order []Origin) {
	for _, c := range commands {
		if _, later := c.(*instructions.OnbuildCommand); later {
			continue // leaves no trace in this image's history
		}
		text := c.Name()
		if code, ok := c.(interface{ String() string }); ok {
			text = code.String()
		}
		o := Origin{Line: lineOf(c.Location()), Instruction: oneLine(text), name: strings.ToUpper(c.Name())}
		if run, ok := c.(*instructions.RunCommand); ok && run.PrependShell && len(run.Files) == 0 && len(run.CmdLine) > 0 {
			o.command, _, _ = strings.Cut(run.CmdLine[0], "\n")
		}
		order = append(order, o)
	}
	return order
}

// Of finds the origin of each entry of an image's history, given by what it says it was created by. What the Dockerfile has no
// instruction for came with what it builds FROM.
//
// BuildKit writes one entry for each instruction, which begins with the instruction's name; they follow those of the image
// that it builds on. A history that is not what the Dockerfile says is of another Dockerfile, and then nothing is known.
func (o Origins) Of(history []string) []Origin {
	base := len(history) - len(o.order)
	all := make([]Origin, len(history))
	if base < 0 {
		return all
	}
	for i, own := range o.order {
		if created := history[base+i]; !strings.HasPrefix(created, own.name+" ") || !strings.Contains(created, own.command) {
			return all
		}
	}
	copy(all[base:], o.order)
	for i := range base {
		all[i] = o.from
	}
	return all
}

// longestLine is how many characters of an instruction are told.
const longestLine = 120

func oneLine(text string) string {
	short := []rune(strings.Join(strings.Fields(text), " "))
	if len(short) > longestLine {
		short = append(slices.Clone(short[:longestLine-1]), '…')
	}
	return string(short)
}
