package insight

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/org/ghcr-publish/internal/dockerfile"
)

// An Advice is what would have spared a build something, by that build's own numbers.
type Advice struct {
	Kind    string   `json:"kind"`           // order, context, stages or cache-mount
	Line    int      `json:"line,omitempty"` // of the Dockerfile
	Text    string   `json:"text"`
	Moves   []int    `json:"moves,omitempty"`   // lines that belong before Line
	Seconds float64  `json:"seconds,omitempty"` // that the build would have been shorter by; with a cache mount, at most
	Bytes   int64    `json:"bytes,omitempty"`   // that would not have been sent, or would not be in the image
	Ignore  []string `json:"ignore,omitempty"`  // lines for the ignore file
}

// What is less than this is not worth a word.
const (
	worthSeconds = 2        // of a step that need not have been done
	worthMount   = 10       // seconds of an installation
	worthSent    = 1 << 20  // bytes of a build context
	worthImage   = 20 << 20 // compressed bytes of an image
)

// mostAdvice is how much is said of one build.
const mostAdvice = 5

// advise tells what would have spared the build something, most first.
func (p placing) advise(b Build) []Advice {
	ordered := p.order(b)
	advice := slices.Concat(ordered, p.mounts(b, ordered), p.context(b), p.singleStage(b))
	slices.SortStableFunc(advice, func(a, b Advice) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(b.Bytes, a.Bytes))
	})
	return advice[:min(len(advice), mostAdvice)]
}

// seconds is how long an instruction was worked on, on the platform where it took longest; 0 where it came from the cache.
func (p placing) seconds(at spot) float64 {
	longest := 0.
	for i, other := range p.at {
		if other == at && ran(p.steps[i]) {
			longest = max(longest, p.steps[i].Seconds)
		}
	}
	return longest
}

// order finds installations that were done again because sources are copied before them, of which no file changed that says what is
// installed. It is known that they would have been spared: all before the sources came from the cache.
func (p placing) order(b Build) []Advice {
	if b.Since == nil {
		return nil
	}
	var advice []Advice
	for i, stage := range p.stages {
		j := slices.IndexFunc(p.took(i), func(seconds float64) bool { return seconds > 0 })
		if j < 0 || p.baseRan(i) {
			continue
		}
		first := stage.Instructions[j]
		if takesSources(first) && first.Name != "RUN" && len(taken(first, b.Since.Changed)) > 0 {
			advice = append(advice, p.move(b, spot{i, j})...)
		}
	}
	return advice
}

// took tells how long each of a stage's instructions was worked on.
func (p placing) took(stage int) []float64 {
	took := make([]float64, len(p.stages[stage].Instructions))
	for j := range took {
		took[j] = p.seconds(spot{stage, j})
	}
	return took
}

// baseRan reports whether anything of the stages that one builds on did not come from the cache.
func (p placing) baseRan(stage int) bool {
	for base := p.stages[stage].Base; base >= 0; base = p.stages[base].Base {
		if slices.Max(append(p.took(base), 0)) > 0 {
			return true
		}
	}
	return false
}

// move advises to put installations before the instruction that copies the sources.
func (p placing) move(b Build, copies spot) []Advice {
	stage := p.stages[copies.stage]
	source := stage.Instructions[copies.instruction]
	a := Advice{Kind: "order", Line: source.Line}
	var moved, manifests []string
	for j, in := range stage.Instructions[copies.instruction+1:] {
		found, ok := installs(in.Command)
		if in.Name == "RUN" && (!ok || !found.alone || takesSources(in)) || in.Name != "COPY" && in.Name != "ADD" && in.Name != "RUN" && slices.Contains(shaping[:], in.Name) {
			break // what comes after it may need it
		}
		needed, spared := b.spared(found, source)
		if took := p.seconds(spot{copies.stage, copies.instruction + 1 + j}); ok && spared && took > 0 {
			a.Seconds += took
			a.Moves = append(a.Moves, in.Line)
			moved, manifests = append(moved, fmt.Sprintf("%s in line %d", short(in.Text), in.Line)), append(manifests, needed...)
		}
	}
	if a.Seconds < worthSeconds {
		return nil
	}
	a.Text = fmt.Sprintf("Move %s before %s in line %d", strings.Join(moved, " and "), short(source.Text), source.Line)
	if slices.Sort(manifests); len(manifests) > 0 {
		a.Text += ", after a COPY of " + strings.Join(slices.Compact(manifests), ", ") + " alone"
	}
	a.Text += ": what it installs did not change."
	return []Advice{a}
}

// spared tells which files an installation needs of those that an instruction copies, and whether it would have been spared without the others: no
// file of such a name changed, and none asks for more of the sources. They are those of one folder, the outermost.
func (b Build) spared(found install, source dockerfile.Instruction) (needed []string, spared bool) {
	if len(found.manifests) == 0 {
		return nil, true
	}
	if slices.ContainsFunc(b.Since.Changed, func(file string) bool { return matchesAny(found.manifests, file) }) {
		return nil, false
	}
	depth := math.MaxInt
	for _, f := range b.files() {
		at := strings.Count(f.Path, "/")
		if at > depth || !matchesAny(found.manifests, f.Path) || len(taken(source, []string{f.Path})) == 0 {
			continue
		}
		if at < depth {
			depth, needed = at, nil
		}
		needed = append(needed, f.Path)
	}
	for _, file := range needed {
		if path.Dir(file) != path.Dir(needed[0]) || b.ReadFile == nil || asksForMore(file, b.ReadFile(file)) {
			return nil, false
		}
	}
	return needed, len(needed) > 0
}

func (b Build) files() []File {
	if b.Files == nil {
		return nil
	}
	return b.Files()
}

// mounts finds installations that took long and keep no downloads, on a builder that was there before and so would have had them. What can be
// moved out of the way is not told of twice.
func (p placing) mounts(b Build, ordered []Advice) []Advice {
	if b.NewBuilder {
		return nil
	}
	var advice []Advice
	for i, stage := range p.stages {
		root := true
		for j, in := range stage.Instructions {
			root = root && in.Name != "USER"
			found, ok := installs(in.Command)
			took := p.seconds(spot{i, j})
			targets := found.caches()
			moves := slices.ContainsFunc(ordered, func(a Advice) bool { return slices.Contains(a.Moves, in.Line) })
			if !ok || in.Mounts || !root || took < worthMount || len(targets) == 0 || moves {
				continue
			}
			advice = append(advice, Advice{Kind: "cache-mount", Line: in.Line, Seconds: took,
				Text: fmt.Sprintf("%s in line %d keeps no downloads for the next time: let it begin with RUN %s.", short(in.Text), in.Line, strings.Join(targets, " "))})
		}
	}
	return advice
}

// caches are the options of RUN that keep the downloads of package managers.
func (i install) caches() []string {
	var options []string
	for _, m := range i.managers {
		for _, folder := range m.caches {
			option := "--mount=type=cache,target=" + folder
			if strings.HasPrefix(folder, "/var/") {
				option += ",sharing=locked" // of which apt and dnf take one at a time
			}
			if !i.uncached && !slices.Contains(options, option) {
				options = append(options, option)
			}
		}
	}
	return options
}

// toolchains are images that are there to build with, by the last part of their names.
var toolchains = [...]string{"golang", "rust", "maven", "gradle", "gcc", "sdk", "haskell", "swift", "elixir", "erlang"}

// tools are packages that are there to build with.
var tools = [...]string{"gcc", "g++", "clang", "make", "cmake", "build-essential", "build-base", "musl-dev", "linux-headers", "golang", "go", "cargo", "rust", "maven", "gradle", "default-jdk"}

// singleStage finds an image that holds what it was built with, where that is much of it.
func (p placing) singleStage(b Build) []Advice {
	last := len(p.stages) - 1
	if last < 0 || p.stages[last].Base >= 0 || slices.ContainsFunc(p.stages[last].Instructions, func(in dockerfile.Instruction) bool { return in.From >= 0 }) ||
		!slices.ContainsFunc(p.stages[last].Instructions, func(in dockerfile.Instruction) bool { return builds(in.Command) }) {
		return nil
	}
	stage := p.stages[last]
	var advice []Advice
	add := func(what string, line int) {
		if bytes := b.Layers[line]; bytes >= worthImage && bytes*4 >= b.ImageBytes {
			advice = append(advice, Advice{Kind: "stages", Line: line, Bytes: bytes,
				Text: fmt.Sprintf("%s in line %d is %s of the image's %s, and there to build with: build in a stage of its own, and COPY --from that what is needed to run.",
					what, line, units.HumanSize(float64(bytes)), units.HumanSize(float64(b.ImageBytes)))})
		}
	}
	if slices.Contains(toolchains[:], repository(stage.Image)) {
		add("FROM "+stage.Image, stage.Line)
	}
	for _, in := range stage.Instructions {
		if found, ok := installs(in.Command); ok && slices.ContainsFunc(found.packages, func(name string) bool { return slices.Contains(tools[:], name) || strings.HasSuffix(name, "-jdk") }) {
			add(short(in.Text), in.Line)
		}
	}
	return advice
}

// repository is the last part of an image's name.
func repository(image string) string {
	name, _, _ := strings.Cut(image, "@")
	name = name[strings.LastIndex(name, "/")+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}
