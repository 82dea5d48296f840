package insight

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/dockerfile"
	"github.com/org/ghcr-publish/internal/git"
)

// A Since is what differs from the image that is published.
type Since struct {
	Commit     string            // that the published image was built from
	Unread     bool              // the commit could not be read, so that nothing else is known
	Changed    []string          // files that differ, by their slash paths relative to the build context; none that an ignore file leaves out
	Dockerfile []byte            // as it was at that commit; nil where that is not known
	Bases      map[string]string // base images that are others now, by the names that the Dockerfile has: what is to be said of it
	Args       []string          // names of build arguments that are given otherwise
}

// A Miss is the first instruction that did not come from the cache, in the order of the Dockerfile, and why.
type Miss struct {
	Instruction string   `json:"instruction"`
	Line        int      `json:"line"`
	Why         string   `json:"why"`
	Files       []string `json:"files,omitempty"` // that changed, the first of them
}

// mostFiles is how many files a miss names.
const mostFiles = 10

func (p placing) firstMiss(b Build) *Miss {
	first, found := p.first(ran)
	if !found {
		return nil
	}
	stage := p.stages[first.stage]
	in := stage.Instructions[first.instruction]
	m := Miss{Instruction: short(in.Text), Line: in.Line}
	m.Why, m.Files = p.why(b, first)
	m.Files = m.Files[:min(len(m.Files), mostFiles)]
	return &m
}

// ran reports whether a step was worked on.
func ran(s buildx.Step) bool { return !s.Cached && s.Seconds > 0 }

// first is the first instruction, in the order of the Dockerfile, one of whose steps is of some kind.
func (p placing) first(is func(buildx.Step) bool) (at spot, found bool) {
	for i, spot := range p.at {
		if is(p.steps[i]) && (!found || before(spot, at)) {
			at, found = spot, true
		}
	}
	return at, found
}

func before(a, b spot) bool {
	return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.instruction, b.instruction)) < 0
}

// why tells which input of an instruction changed. Those that are sure come first.
func (p placing) why(b Build, at spot) (reason string, files []string) {
	stage := p.stages[at.stage]
	in := stage.Instructions[at.instruction]
	switch since := b.Since; {
	case b.NoCache || slices.Contains(b.NoCacheFilters, stage.Name):
		return "nothing was to come from the cache, as is configured", nil
	case since == nil:
		return "nothing is published yet that it could be compared with", nil
	case since.Unread:
		return fmt.Sprintf("what changed since %s cannot be told: that commit is not in this clone", git.Short(since.Commit)), nil
	default:
		if line := p.rewritten(b, at); line != "" {
			return fmt.Sprintf("the Dockerfile changed since %s: %s", git.Short(since.Commit), line), nil
		}
		if files := taken(in, since.Changed); len(files) > 0 {
			return fmt.Sprintf("changed since %s: %s", git.Short(since.Commit), list(files)), files
		}
		args := declared(stage.Instructions[:at.instruction], since.Args)
		if !p.hitBefore(at) {
			if moved := since.Bases[outermost(p.stages, stage).Image]; moved != "" {
				return moved, nil
			}
			args = append(args, p.naming(b, stage)...)
		}
		if len(args) > 0 {
			return "other build arguments: " + strings.Join(args, ", "), nil
		}
		return "nothing that is known of has changed: the builder's cache does not have it", nil
	}
}

// shaping are the instructions on which the layers after them depend.
var shaping = [...]string{"RUN", "COPY", "ADD", "WORKDIR", "ENV", "ARG", "USER", "SHELL"}

func shapes(stage dockerfile.Stage, upTo int) []dockerfile.Instruction {
	upTo = min(upTo, len(stage.Instructions)-1)
	return slices.DeleteFunc(slices.Clone(stage.Instructions[:upTo+1]), func(in dockerfile.Instruction) bool { return !slices.Contains(shaping[:], in.Name) })
}

// rewritten tells what of a stage, down to an instruction, was another in the earlier Dockerfile, the image that it is FROM before all; empty if nothing was.
func (p placing) rewritten(b Build, at spot) string {
	if b.Since.Dockerfile == nil {
		return ""
	}
	stage := p.stages[at.stage]
	stages, err := dockerfile.ReadStages(b.Since.Dockerfile, b.Options)
	i := slices.IndexFunc(stages, func(s dockerfile.Stage) bool { return s.Name == stage.Name })
	if err != nil || i < 0 {
		return "the stage " + stage.Name + " is new"
	}
	if from := outermost(p.stages, stage); from.Image != outermost(stages, stages[i]).Image && !p.hitBefore(at) {
		return fmt.Sprintf("%s in line %d", strings.TrimSpace("FROM "+from.Image), from.Line)
	}
	was, is := shapes(stages[i], len(stages[i].Instructions)), shapes(stage, at.instruction)
	for j, in := range is {
		if j >= len(was) || was[j].Text != in.Text || was[j].Command != in.Command {
			return fmt.Sprintf("%s in line %d", short(in.Text), in.Line)
		}
	}
	return ""
}

// naming are the arguments among those given otherwise by which a stage's image is named: with another value it is another one.
func (p placing) naming(b Build, stage dockerfile.Stage) []string {
	return slices.DeleteFunc(slices.Clone(b.Since.Args), func(arg string) bool {
		o := b.Options
		o.Args = maps.Clone(o.Args)
		if o.Args == nil {
			o.Args = map[string]string{}
		}
		o.Args[arg] += "x"
		stages, err := dockerfile.ReadStages(b.Dockerfile, o)
		i := slices.IndexFunc(stages, func(s dockerfile.Stage) bool { return s.Name == stage.Name })
		return err != nil || i < 0 || outermost(stages, stages[i]).Image == outermost(p.stages, stage).Image
	})
}

// taken are the files that an instruction takes, among some.
func taken(in dockerfile.Instruction, files []string) []string {
	covers := dockerfile.Covers(in.Sources)
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool { return !covers(file) })
}

// outermost is the first of the stages that one builds on, which is FROM an image.
func outermost(stages []dockerfile.Stage, s dockerfile.Stage) dockerfile.Stage {
	for s.Base >= 0 {
		s = stages[s.Base]
	}
	return s
}

// hitBefore reports whether an instruction before one came from the cache, on which it builds.
func (p placing) hitBefore(at spot) bool {
	chain := map[int]bool{at.stage: true}
	for s := p.stages[at.stage]; s.Base >= 0; s = p.stages[s.Base] {
		chain[s.Base] = true
	}
	for i, other := range p.at {
		if chain[other.stage] && before(other, at) && p.steps[i].Cached {
			return true
		}
	}
	return false
}

// declared are the arguments among some that instructions declare.
func declared(instructions []dockerfile.Instruction, args []string) []string {
	var found []string
	for _, in := range instructions {
		for _, name := range in.Args {
			if slices.Contains(args, name) && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

// listed is how many files a reason names.
const listed = 3

func list(files []string) string {
	if len(files) <= listed {
		return strings.Join(files, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(files[:listed], ", "), len(files)-listed)
}

// longest is how many characters of an instruction are told.
const longest = 80

func short(text string) string {
	if r := []rune(text); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return text
}
