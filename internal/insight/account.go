package insight

import (
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/dockerfile"
)

// A Build is what is known of one service's build.
type Build struct {
	Steps      []buildx.Step
	Dockerfile []byte
	Options    dockerfile.Options
	// NoCache tells that nothing was to come from the cache, or nothing of the stages NoCacheFilters.
	NoCache        bool
	NoCacheFilters []string
	Since          *Since // nil where nothing is published that it could be compared with
	NewBuilder     bool   // the builder has kept nothing of earlier builds
	// Files lists the build context as the builder gets it, and ReadFile reads one of those; they are asked where there is reason to. Nil where
	// that is not known.
	Files    func() []File
	ReadFile func(path string) []byte
	// Layers are the compressed bytes that the lines of the Dockerfile add to the image, and ImageBytes those of all of it, for one platform.
	Layers     map[int]int64
	ImageBytes int64
}

// An Account tells where a build's time went, and what of it need not have been.
//
// Dependency layers are what changes with the dependencies, not with the sources: every RUN that installs by a package manager, and
// every RUN, COPY and ADD before the first of its stage, or of those that it builds on, that takes more of the build context than files which
// say what is installed.
type Account struct {
	Steps             []Step           `json:"steps"`
	HitRate           float64          `json:"hit_rate"`            // share of all instructions that came from the cache, 0 to 1
	Dependencies      int              `json:"dependencies"`        // dependency layers
	DependencyHitRate float64          `json:"dependency_hit_rate"` // share of them that came from the cache
	ContextBytes      int64            `json:"context_bytes"`       // sent to the builder
	PulledBytes       map[string]int64 `json:"pulled_bytes"`        // of layers, by platform
	FirstMiss         *Miss            `json:"first_miss,omitempty"`
	Advice            []Advice         `json:"advice"`
}

// A Step is one step of a build.
type Step struct {
	Name       string  `json:"name"`
	Seconds    float64 `json:"seconds"`
	Cached     bool    `json:"cached"`
	Platform   string  `json:"platform,omitempty"`     // that it was for; empty of what is for all
	Line       int     `json:"line,omitempty"`         // of the Dockerfile; 0 where it is not known
	Sent       int64   `json:"sent_bytes,omitempty"`   // that the builder got for it from this machine
	Pulled     int64   `json:"pulled_bytes,omitempty"` // that it got from registries and caches
	Dependency bool    `json:"dependency,omitempty"`
}

// Instruction reports whether the step is an instruction that cost something or came from the cache.
func (s Step) Instruction() bool { return buildx.Step{Name: s.Name}.Instruction() }

// Explain tells of a build.
func Explain(b Build) Account {
	stages, _ := dockerfile.ReadStages(b.Dockerfile, b.Options) // what is wrong with it the build said
	p := place(b.Steps, stages)
	a := Account{}
	for i, s := range b.Steps {
		told := Step{Name: s.Name, Seconds: s.Seconds, Cached: s.Cached, Platform: s.Platform, Sent: s.Sent, Pulled: s.Pulled}
		if in, ok := p.instruction(i); ok {
			told.Line, told.Dependency = in.Line, p.dependency[p.at[i]]
		}
		a.Steps = append(a.Steps, told)
	}
	a.FirstMiss, a.Advice = p.firstMiss(b), p.advise(b)
	a.sum()
	return a
}

// sum counts what the steps tell.
func (a *Account) sum() {
	a.ContextBytes, a.PulledBytes, a.Dependencies = 0, map[string]int64{}, 0
	all, hits, dependencyHits := 0, 0, 0
	for _, s := range a.Steps {
		a.ContextBytes += s.Sent
		if s.Pulled > 0 {
			a.PulledBytes[s.Platform] += s.Pulled
		}
		if !s.Instruction() {
			continue
		}
		if all++; s.Cached {
			hits++
		}
		if s.Dependency {
			a.Dependencies++
			if s.Cached {
				dependencyHits++
			}
		}
	}
	a.HitRate, a.DependencyHitRate = share(hits, all), share(dependencyHits, a.Dependencies)
}

func share(some, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(some) / float64(all)
}

// With is the account of a build that several jobs made, each some platforms.
func (a Account) With(other Account) Account {
	a.Steps = slices.Concat(a.Steps, other.Steps)
	if a.FirstMiss == nil {
		a.FirstMiss = other.FirstMiss
	}
	for _, advice := range other.Advice {
		i := slices.IndexFunc(a.Advice, func(mine Advice) bool { return mine.Kind == advice.Kind && mine.Line == advice.Line })
		if i < 0 {
			a.Advice = append(slices.Clip(a.Advice), advice)
		} else if advice.Seconds > a.Advice[i].Seconds {
			a.Advice = slices.Clone(a.Advice)
			a.Advice[i] = advice
		}
	}
	a.sum()
	return a
}

// A spot is an instruction, by its stage and its place in that.
type spot struct{ stage, instruction int }

// A placing tells which instruction each step is.
type placing struct {
	stages     []dockerfile.Stage
	steps      []buildx.Step
	at         map[int]spot // of steps, by index
	dependency map[spot]bool
}

// place finds the instructions of steps. Where a stage has more steps than the Dockerfile says, because a base image has
// some of its own that it adds, nothing is known of its steps.
func place(steps []buildx.Step, stages []dockerfile.Stage) placing {
	p := placing{stages: stages, steps: steps, at: map[int]spot{}, dependency: dependencies(stages)}
	for i, s := range steps {
		at, ok := s.Place()
		if !ok {
			continue
		}
		for j, stage := range stages {
			if stage.Name == at.Stage || at.Stage == "" && len(stages) == 1 {
				if in := number(stage, at, fromIsStep(steps, at)); in >= 0 && isOf(stage.Instructions[in], s) {
					p.at[i] = spot{j, in}
				}
			}
		}
	}
	return p
}

// number finds the index of a stage's instruction by the number of its step; -1 where there is none.
func number(stage dockerfile.Stage, at buildx.Place, from bool) int {
	order := stage.Steps()
	if len(order) != at.Of {
		return -1
	}
	if len(order) > 0 && order[0] < 0 && !from {
		order = order[1:]
	}
	if at.Number < 1 || at.Number > len(order) {
		return -1
	}
	return order[at.Number-1]
}

// fromIsStep reports whether the FROM of a stage has a number. Where a named context stands for the image it is counted, but has none.
func fromIsStep(steps []buildx.Step, of buildx.Place) bool {
	return slices.ContainsFunc(steps, func(s buildx.Step) bool {
		at, ok := s.Place()
		return ok && at.Stage == of.Stage && at.Number == 1 && strings.Contains(s.Name, "] FROM ")
	})
}

// isOf makes sure that a step is an instruction's.
func isOf(in dockerfile.Instruction, s buildx.Step) bool {
	_, text, _ := strings.Cut(s.Name, "] ")
	word, _, _ := strings.Cut(text, " ")
	return word == in.Name
}

func (p placing) instruction(step int) (dockerfile.Instruction, bool) {
	at, ok := p.at[step]
	if !ok {
		return dockerfile.Instruction{}, false
	}
	return p.stages[at.stage].Instructions[at.instruction], true
}

// dependencies finds the instructions whose layers are dependency layers.
func dependencies(stages []dockerfile.Stage) map[spot]bool {
	found := map[spot]bool{}
	mixed := make([]bool, len(stages)) // stages that end with sources in them
	for i, stage := range stages {
		mixed[i] = stage.Base >= 0 && mixed[stage.Base]
		for j, in := range stage.Instructions {
			_, installs := installs(in.Command)
			mixed[i] = mixed[i] || takesSources(in) || in.From >= 0 && mixed[in.From]
			if installs || !mixed[i] && slices.Contains([]string{"RUN", "COPY", "ADD"}, in.Name) {
				found[spot{i, j}] = true
			}
		}
	}
	return found
}

// takesSources reports whether an instruction takes more of the build context than files that say what is installed.
func takesSources(in dockerfile.Instruction) bool {
	return slices.ContainsFunc(in.Sources, func(source string) bool { return !isManifest(source) })
}
