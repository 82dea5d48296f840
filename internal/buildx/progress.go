package buildx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Step is one vertex of the build graph: an instruction of the Dockerfile for one platform, or
// work of BuildKit's own.
type Step struct {
	Name    string  `json:"name"` // "[linux/arm64 build 2/5] RUN make"
	Seconds float64 `json:"seconds"`
	Cached  bool    `json:"cached"`
	Error   string  `json:"error,omitempty"`
}

// Instruction reports whether the step is an instruction that cost something or came from the
// cache: not BuildKit's own work, nor the base image that FROM names.
func (s Step) Instruction() bool {
	m := stepName.FindStringSubmatch(s.Name)
	return m != nil && !strings.HasPrefix(m[1], "FROM ")
}

// stepName matches "[stage 2/5] RUN …"; internal steps have no number.
var stepName = regexp.MustCompile(`^\[[^\]]*\d+/\d+\] (.*)`)

// HitRate is the share of instructions that came from the cache, from 0 to 1, and how many there were.
func HitRate(steps []Step) (rate float64, instructions int) {
	hits := 0
	for _, s := range steps {
		if !s.Instruction() {
			continue
		}
		instructions++
		if s.Cached {
			hits++
		}
	}
	if instructions == 0 {
		return 0, 0
	}
	return float64(hits) / float64(instructions), instructions
}

// status is one line of `--progress rawjson`: BuildKit's SolveStatus.
// https://github.com/moby/buildkit/blob/master/client/graph.go
type status struct {
	Vertexes []struct {
		Digest    string     `json:"digest"`
		Name      string     `json:"name"`
		Started   *time.Time `json:"started"`
		Completed *time.Time `json:"completed"`
		Cached    bool       `json:"cached"`
		Error     string     `json:"error"`
	} `json:"vertexes"`
	Statuses []struct {
		Vertex string `json:"vertex"`
		ID     string `json:"id"`
		Total  int64  `json:"total"` // bytes
	} `json:"statuses"`
	Logs []struct {
		Vertex string `json:"vertex"`
		Data   []byte `json:"data"`
	} `json:"logs"`
}

// Progress reads rawjson progress as it comes: it tells the steps as readable lines, and keeps
// what each took. It is an io.Writer for the program's standard error.
type Progress struct {
	// Tell receives one readable line: a step that begins, ends or prints.
	Tell func(line string)

	mu       sync.Mutex
	partial  []byte   // of a line of rawjson
	order    []string // vertex digests as they came
	steps    map[string]*Step
	told     map[string]bool             // the steps that were told to have ended
	layers   map[string]map[string]int64 // bytes of the layers that a step reads or writes
	output   map[string][]byte           // of a step's line of output, which comes in pieces
	forsaken string                      // why the build was done again without a cache
	last     []string                    // the latest lines of output and plain text, for an error's explanation
}

// lastLines is how much of a failing build's output its error carries.
const lastLines = 30

func (p *Progress) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial = append(p.partial, data...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(data), nil
		}
		p.line(line)
		p.partial = slices.Clone(rest)
	}
}

func (p *Progress) line(line []byte) {
	var s status
	if len(line) == 0 {
		return
	}
	if line[0] != '{' || json.Unmarshal(line, &s) != nil {
		p.remember(string(line)) // what buildx itself has to say
		return
	}
	for _, v := range s.Vertexes {
		p.vertex(v.Digest, Step{Name: v.Name, Cached: v.Cached, Error: withoutSignatures(v.Error)}, v.Started, v.Completed)
	}
	for _, st := range s.Statuses {
		p.size(st.Vertex, st.ID, st.Total)
	}
	for _, l := range s.Logs {
		p.print(l.Vertex, l.Data)
	}
}

// longestLine bounds what is kept of a line that never ends.
const longestLine = 64 << 10

// print takes a piece of a step's output and tells the lines it completes.
func (p *Progress) print(id string, data []byte) {
	text := append(p.output[id], data...)
	for line, rest, found := bytes.Cut(text, []byte("\n")); found; line, rest, found = bytes.Cut(text, []byte("\n")) {
		p.remember(string(line))
		text = rest
	}
	if p.output == nil {
		p.output = map[string][]byte{}
	}
	if p.output[id] = text; len(text) > longestLine {
		p.finish(id)
	}
}

// finish tells the last line of a step's output though it has no end.
func (p *Progress) finish(id string) {
	if text := p.output[id]; len(text) > 0 {
		p.remember(string(text))
	}
	delete(p.output, id)
}

// end tells what has come of lines that will not be completed any more.
func (p *Progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(p.output)) {
		p.finish(id)
	}
	p.line(p.partial)
	p.partial = nil
}

func (p *Progress) vertex(id string, seen Step, started, completed *time.Time) {
	if p.steps == nil {
		p.steps, p.told = map[string]*Step{}, map[string]bool{}
	}
	step, known := p.steps[id]
	if !known {
		step = &Step{Name: seen.Name}
		p.steps[id], p.order = step, append(p.order, id)
	}
	step.Cached = step.Cached || seen.Cached
	if seen.Error != "" {
		step.Error = seen.Error
	}
	if started == nil || completed == nil {
		return
	}
	// A vertex may be reported in several stretches; the longest is the work itself.
	step.Seconds = max(step.Seconds, completed.Sub(*started).Seconds())
	p.finish(id)
	if tier, _, _ := cacheWork(step.Name); !p.told[id] && (step.Instruction() || step.Error != "" && !nothingThere(tier, step.Error)) {
		p.told[id] = true
		p.tell(describe(*step))
	}
}

func describe(s Step) string {
	switch {
	case s.Error != "":
		return fmt.Sprintf("%s: %s", s.Name, s.Error)
	case s.Cached:
		return s.Name + " (cached)"
	default:
		return fmt.Sprintf("%s (%.1f s)", s.Name, s.Seconds)
	}
}

func (p *Progress) remember(line string) {
	line = withoutSignatures(line)
	p.last = append(p.last, line)
	if over := len(p.last) - lastLines; over > 0 {
		p.last = slices.Delete(p.last, 0, over)
	}
	p.tell(line)
}

func (p *Progress) tell(line string) {
	if p.Tell != nil {
		p.Tell(line)
	}
}

// Steps returns what each step took, in the order they appeared.
func (p *Progress) Steps() []Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	steps := make([]Step, 0, len(p.order))
	for _, id := range p.order {
		steps = append(steps, *p.steps[id])
	}
	return steps
}

// Explanation returns the failing step and the last lines that were printed.
func (p *Progress) Explanation() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed []string
	for _, id := range p.order {
		// A step that another one's failure cut short explains nothing.
		// Nor does what went wrong with a cache, which fails nothing.
		if _, _, cached := cacheWork(p.steps[id].Name); cached {
			continue
		}
		if s := p.steps[id]; s.Error != "" && !strings.Contains(s.Error, "context canceled") {
			failed = append(failed, fmt.Sprintf("%s: %s", s.Name, s.Error))
		}
	}
	return strings.Join(append(failed, p.last...), "\n")
}
