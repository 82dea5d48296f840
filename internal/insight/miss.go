package insight

import (
	"cmp"
	"fmt"
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
		if line := rewritten(since.Dockerfile, b.Options, stage, at.instruction); line != "" {
			return fmt.Sprintf("the Dockerfile changed since %s: %s", git.Short(since.Commit), line), nil
		}
		if files := taken(in, since.Changed); len(files) > 0 {
			return fmt.Sprintf("changed since %s: %s", git.Short(since.Commit), list(files)), files
		}
		if moved := since.Bases[p.image(stage)]; moved != "" && !p.hitBefore(at) {
			return moved, nil
		}
		if args := declared(stage.Instructions[:at.instruction], since.Args); len(args) > 0 {
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

// rewritten tells the first instruction of a stage, down to one, that was another in an earlier Dockerfile; empty if none was.
func rewritten(earlier []byte, o dockerfile.Options, stage dockerfile.Stage, upTo int) string {
	if earlier == nil {
		return ""
	}
	stages, err := dockerfile.ReadStages(earlier, o)
	i := slices.IndexFunc(stages, func(s dockerfile.Stage) bool { return s.Name == stage.Name })
	if err != nil || i < 0 {
		return "the stage " + stage.Name + " is new"
	}
	was, is := shapes(stages[i], len(stages[i].Instructions)), shapes(stage, upTo)
	for j, in := range is {
		if j >= len(was) || was[j].Text != in.Text || was[j].Command != in.Command {
			return fmt.Sprintf("%s in line %d", short(in.Text), in.Line)
		}
	}
	return ""
}

// taken are the files that an instruction takes, among some.
func taken(in dockerfile.Instruction, files []string) []string {
	covers := dockerfile.Covers(in.Sources)
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool { return !covers(file) })
}

// image is what a stage, or the first of those that it builds on, is FROM.
func (p placing) image(s dockerfile.Stage) string {
	for s.Base >= 0 {
		s = p.stages[s.Base]
	}
	return s.Image
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
