package buildx

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
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
	// Platform is what the step was for; empty where it was for all of them, or the progress does not tell.
	Platform string `json:"platform,omitempty"`
	Sent     int64  `json:"sent,omitempty"`   // bytes that it got from this machine: of a build context
	Pulled   int64  `json:"pulled,omitempty"` // bytes that it got from registries and caches: layers
}

// Instruction reports whether the step is an instruction that cost something or came from the
// cache: not BuildKit's own work, such as putting what COPY --link made onto the rest, nor the base image that FROM names.
func (s Step) Instruction() bool {
	m := stepName.FindStringSubmatch(s.Name)
	return m != nil && !strings.HasPrefix(m[1], "FROM ") && !strings.HasPrefix(m[1], "LINK ")
}

// stepName matches "[stage 2/5] RUN …"; internal steps have no number.
var stepName = regexp.MustCompile(`^\[[^\]]*\d+/\d+\] (.*)`)

// A Place is where in the Dockerfile a step comes from.
type Place struct {
	Platform string // that it was made for; empty where the progress names none
	Stage    string // as BuildKit calls it
	Number   int    // of the step in its stage, from 1
	Of       int    // steps that the stage has
}

// stepPlace matches the platforms that a step runs on and for, its stage and its number in that, which is padded.
var stepPlace = regexp.MustCompile(`^\[(?:([a-z0-9]+/[^ >\]]+)(?:->([^ \]]+))? )?(?:([^ /\]]+) )? *(\d+)/(\d+)\] `)

// sameSystem matches what a step is for where it runs on the same operating system, which is left out: "arm64", "arm/v7".
var sameSystem = regexp.MustCompile(`^[^/]+(/v\d+)?$`)

// Place tells where a step comes from; false of BuildKit's own work.
func (s Step) Place() (Place, bool) {
	m := stepPlace.FindStringSubmatch(s.Name)
	if m == nil {
		return Place{}, false
	}
	p := Place{Platform: cmp.Or(m[2], m[1]), Stage: m[3]}
	if sameSystem.MatchString(m[2]) {
		system, _, _ := strings.Cut(m[1], "/")
		p.Platform = system + "/" + m[2]
	}
	p.Number, _ = strconv.Atoi(m[4])
	p.Of, _ = strconv.Atoi(m[5])
	return p, true
}

// status is one line of `--progress rawjson`: BuildKit's SolveStatus.
// https://github.com/moby/buildkit/blob/master/client/graph.go
type status struct {
	Vertexes []struct {
		Digest    string     `json:"digest"`
		Inputs    []string   `json:"inputs"`
		Name      string     `json:"name"`
		Started   *time.Time `json:"started"`
		Completed *time.Time `json:"completed"`
		Cached    bool       `json:"cached"`
		Error     string     `json:"error"`
	} `json:"vertexes"`
	Statuses []struct {
		Vertex  string `json:"vertex"`
		ID      string `json:"id"`
		Name    string `json:"name"`
		Current int64  `json:"current"` // bytes
		Total   int64  `json:"total"`   // bytes
	} `json:"statuses"`
	Logs []struct {
		Vertex string `json:"vertex"`
		Data   []byte `json:"data"`
	} `json:"logs"`
	Warnings []warning `json:"warnings"`
}

// Progress reads rawjson progress as it comes: it tells the steps as readable lines, and keeps
// what each took. It is an io.Writer for the program's standard error.
type Progress struct {
	// Tell receives one readable line: a step that begins, ends or prints.
	Tell func(line string)
	// Platform is what all is built for; empty where that is several, and steps name their own.
	Platform string

	mu       sync.Mutex
	partial  []byte   // of a line of rawjson
	order    []string // vertex digests as they came
	steps    map[string]*Step
	begun    map[string]bool
	running  map[string]time.Time        // since when vertices run that have not ended
	heard    time.Time                   // when the last line came
	users    map[string]string           // of vertices: one that needs it
	told     map[string]bool             // the steps that were told to have ended
	sent     map[string]map[string]int64 // bytes that a step got from this machine, by what they are of
	layers   map[string]map[string]int64 // bytes of the layers that a step reads or writes
	output   map[string][]byte           // of a step's line of output, which comes in pieces
	checks   []Check                     // as they came
	forsaken string                      // why the build was done again without a cache
	last     []string                    // the latest lines of output and plain text, for an error's explanation
}

// lastLines is how much of a failing build's output its error carries.
const lastLines = 30

func (p *Progress) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
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
		p.use(v.Digest, v.Inputs)
		p.vertex(v.Digest, Step{Name: v.Name, Cached: v.Cached, Error: withoutSignatures(v.Error)}, v.Started, v.Completed)
	}
	for _, t := range s.Statuses {
		p.size(t.Vertex, t.ID, t.Total)
		if t.Name == "transferring" {
			p.send(t.Vertex, t.ID, t.Current)
		}
	}
	for _, l := range s.Logs {
		p.print(l.Vertex, l.Data)
	}
	for _, w := range s.Warnings {
		if check, ok := w.check(); ok && !slices.Contains(p.checks, check) {
			p.checks = append(p.checks, check)
		}
	}
}

func (p *Progress) use(vertex string, inputs []string) {
	if p.users == nil {
		p.users = map[string]string{}
	}
	for _, input := range inputs {
		p.users[input] = vertex
	}
}

func (p *Progress) send(vertex, what string, bytes int64) {
	if p.sent == nil {
		p.sent = map[string]map[string]int64{}
	}
	if p.sent[vertex] == nil {
		p.sent[vertex] = map[string]int64{}
	}
	p.sent[vertex][what] = max(p.sent[vertex][what], bytes)
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

// end tells what has come of lines that will not be completed any more. Nothing runs after it.
func (p *Progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(p.output)) {
		p.finish(id)
	}
	p.line(p.partial)
	p.partial = nil
	clear(p.running)
}

func (p *Progress) vertex(id string, seen Step, started, completed *time.Time) {
	if p.steps == nil {
		p.steps, p.told, p.begun, p.running = map[string]*Step{}, map[string]bool{}, map[string]bool{}, map[string]time.Time{}
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
	if started == nil {
		return
	}
	p.begun[id] = true
	if _, runs := p.running[id]; !runs {
		p.running[id] = time.Now() // and not as the builder's clock has it
	}
	if completed == nil {
		return
	}
	delete(p.running, id)
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

// Steps returns what each step took, in the order they appeared. One that never began is left out: its result was not needed, or it is that of another build
// which the builder does at the same time, whose steps it lists as well.
func (p *Progress) Steps() []Step {
	p.mu.Lock()
	defer p.mu.Unlock()
	steps := make([]Step, 0, len(p.order))
	for _, id := range p.order {
		step := *p.steps[id]
		if !p.begun[id] && !step.Cached && step.Error == "" {
			continue
		}
		for _, bytes := range p.sent[id] {
			step.Sent += bytes
		}
		for layer, bytes := range p.layers[id] {
			if !strings.HasPrefix(layer, written) {
				step.Pulled += bytes
			}
		}
		if step.Platform = p.platform(id); step.Platform == "" && (step.Instruction() || step.Pulled > 0) {
			step.Platform = p.Platform
		}
		steps = append(steps, step)
	}
	return steps
}

// Current returns the instruction that has run longest of those that run now, and since when; false where none does.
func (p *Progress) Current() (step string, since time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.order {
		if begun, runs := p.running[id]; runs && p.steps[id].Instruction() && (!ok || begun.Before(since)) {
			step, since, ok = p.steps[id].Name, begun, true
		}
	}
	return step, since, ok
}

// platform is that of a step, or of the one that needs it: what stands for a base image does not name its own.
func (p *Progress) platform(id string) string {
	if at, ok := p.steps[id].Place(); ok {
		return at.Platform
	}
	if user := p.steps[p.users[id]]; user != nil && strings.HasPrefix(p.steps[id].Name, "[context ") {
		at, _ := user.Place()
		return at.Platform
	}
	return ""
}

// cutShort reports whether a step ended since another one failed, or since the build was stopped.
func cutShort(failure string) bool { return strings.Contains(failure, "context canceled") }

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
		if s := p.steps[id]; s.Error != "" && !cutShort(s.Error) {
			failed = append(failed, fmt.Sprintf("%s: %s", s.Name, s.Error))
		}
	}
	return strings.Join(append(failed, p.last...), "\n")
}
