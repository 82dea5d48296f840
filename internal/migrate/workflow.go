// Package migrate reads workflows that publish images by other actions: which services they publish and how, and what goes wrong
// there. It writes the configuration and the workflow that take their place.
package migrate

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A File is a workflow, by its path in the repository.
type File struct {
	Name string
	Text []byte
}

// A workflow is a file as far as it is about images.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
type workflow struct {
	file       string
	repository string // OWNER/NAME
	lines      []string
	text       workflowText
	jobs       []job
}

type workflowText struct {
	On          yaml.Node `yaml:"on"`
	Env         variables `yaml:"env"`
	Permissions yaml.Node `yaml:"permissions"`
	Concurrency yaml.Node `yaml:"concurrency"`
	Jobs        yaml.Node `yaml:"jobs"`
}

// A job has a row for each time that it runs.
type job struct {
	id   string
	line int
	text jobText
	rows []row
	// written is whether the whole matrix stands in the file, so that a key which a row has not is empty.
	written bool
	file    string            // that has its text
	home    string            // the workflow that it is a job of, where its steps are an action's
	env     map[string]string // that this file gives all jobs
	inputs  row               // that its caller gives it, as expressions call them
	through []string          // the files whose jobs call it
	around  []step            // of the job that uses the action whose steps these are
}

type jobText struct {
	Needs       yaml.Node         `yaml:"needs"`
	If          yaml.Node         `yaml:"if"`
	Env         variables         `yaml:"env"`
	Concurrency yaml.Node         `yaml:"concurrency"`
	Strategy    strategy          `yaml:"strategy"`
	Outputs     map[string]string `yaml:"outputs"`
	Defaults    struct {
		Run struct {
			Dir string `yaml:"working-directory"`
		} `yaml:"run"`
	} `yaml:"defaults"`
	RunsOn      yaml.Node `yaml:"runs-on"`
	Environment yaml.Node `yaml:"environment"`
	Steps       []step    `yaml:"steps"`
	Uses        yaml.Node `yaml:"uses"` // another workflow
	With        fields    `yaml:"with"`
	Secrets     yaml.Node `yaml:"secrets"`
}

// A step is one of a job, with the lines of what it says.
type step struct {
	ID        string    `yaml:"id"`
	Name      string    `yaml:"name"`
	Dir       string    `yaml:"working-directory"`
	If        yaml.Node `yaml:"if"`
	Uses      yaml.Node `yaml:"uses"`
	With      fields    `yaml:"with"`
	Run       yaml.Node `yaml:"run"`
	Env       variables `yaml:"env"`
	Tolerant  yaml.Node `yaml:"continue-on-error"`
	published bool      // whether it builds by commands what is pushed
}

// A field is a text and its line.
type field struct {
	text string
	line int
}

func (f *field) UnmarshalYAML(n *yaml.Node) error {
	if f.text, f.line = n.Value, n.Line; n.Tag == "!!bool" {
		f.text = strings.ToLower(f.text) // True, say
	}
	return nil
}

// A row is what the matrix has for one run of a job, by key. What is made at run time is not in there.
type row map[string]string

// action is what a step uses, without its version: "docker/build-push-action", also for those that are given the same and build elsewhere.
func (s step) action() string {
	name, _, _ := strings.Cut(strings.ToLower(s.Uses.Value), "@")
	switch name {
	case "depot/build-push-action", "useblacksmith/build-push-action", "namespace-actions/build-push-action":
		return buildAction
	case "depot/bake-action":
		return bakeAction
	}
	return name
}

func (s step) version() string {
	_, version, _ := strings.Cut(s.Uses.Value, "@")
	return version
}

func (s step) line() int { return max(s.Uses.Line, s.Run.Line) }

// read reads a file; one that is no workflow has no jobs.
func read(f File, repository string) (workflow, error) {
	w := workflow{file: f.Name, repository: repository, lines: strings.Split(string(f.Text), "\n")}
	if err := document(f.Text, &w.text); err != nil {
		return w, fmt.Errorf("reading %s: %w", f.Name, err)
	}
	for i := 0; i+1 < len(w.text.Jobs.Content); i += 2 {
		id := w.text.Jobs.Content[i]
		j := job{id: id.Value, line: id.Line, file: w.file, home: w.file, env: w.text.Env}
		if err := w.text.Jobs.Content[i+1].Decode(&j.text); err != nil {
			return w, fmt.Errorf("reading job %s of %s: %w", j.id, f.Name, err)
		}
		w.jobs = append(w.jobs, j.withMatrix(nil))
	}
	pushes := slices.ContainsFunc(w.jobs, func(j job) bool { return push(j.text.Steps) })
	jobs := slices.Clone(w.jobs)
	for n := range w.jobs {
		published(w.jobs[n].text.Steps, pushes)
		w.jobs[n] = w.jobs[n].withMatrix(func(expr string) (string, bool) { return filtered(jobs, expr) })
	}
	return w, nil
}

// fromJSON finds what a part of a matrix is made of at run time.
var fromJSON = regexp.MustCompile(`(?i)^\$\{\{\s*fromJSON\(\s*(.*?)\s*\)\s*\}\}$`)

// withMatrix is a job with the rows of its matrix. What is made at run time is taken from what its expressions are known to be.
func (j job) withMatrix(known func(expr string) (string, bool)) job {
	matrix := made(j.text.Strategy.Matrix, known)
	matrix.Content = slices.Clone(matrix.Content)
	for i := 1; i < len(matrix.Content); i += 2 {
		part := made(*matrix.Content[i], known)
		matrix.Content[i] = &part
	}
	j.text.Strategy.Matrix = matrix
	j.rows, j.written = rows(&matrix), written(&matrix)
	return j
}

// made is what an expression in a matrix makes there, where that is known, and anything else as it is.
func made(n yaml.Node, known func(expr string) (string, bool)) yaml.Node {
	m := fromJSON.FindStringSubmatch(n.Value)
	if m == nil {
		return n
	}
	text, there := strings.Trim(m[1], "'"), strings.HasPrefix(m[1], "'")
	if !there && known != nil {
		text, there = known(m[1])
	}
	var value yaml.Node
	if !there || yaml.Unmarshal([]byte(text), &value) != nil || len(value.Content) != 1 || value.Content[0].Kind == yaml.ScalarNode {
		return n
	}
	return *value.Content[0]
}

// filteredOutput finds the output of a step that says which filters of dorny/paths-filter something changed of.
var filteredOutput = regexp.MustCompile(`^\$\{\{\s*steps\.([A-Za-z0-9_-]+)\.outputs\.changes\s*\}\}$`)

// filtered is what an expression can be at most where it is the output of a job that looks for what changed: the names of all filters.
func filtered(jobs []job, expr string) (string, bool) {
	for _, j := range jobs {
		for name, value := range j.text.Outputs {
			m := filteredOutput.FindStringSubmatch(value)
			if m == nil || expr != "needs."+j.id+".outputs."+name {
				continue
			}
			for _, s := range j.text.Steps {
				if s.ID == m[1] && s.action() == filterAction {
					return flow(slices.Sorted(maps.Keys(filters(s)))), true
				}
			}
		}
	}
	return "", false
}

// filters are the patterns of a step of dorny/paths-filter by its filters' names, whatever kind of change each is for; none where they cannot be read.
func filters(s step) map[string][]string {
	var read map[string]yaml.Node
	if yaml.Unmarshal([]byte(s.With["filters"].text), &read) != nil {
		return nil
	}
	all := map[string][]string{}
	for name, n := range read {
		all[name] = patterns(&n, true)
	}
	return all
}

// patterns are those of a filter: a pattern, a list of lists, or patterns by the kind of change. What an alias stands for has none itself.
func patterns(n *yaml.Node, aliases bool) (all []string) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Value != "":
		return []string{n.Value}
	case n.Kind == yaml.AliasNode && aliases:
		return patterns(n.Alias, false)
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			all = append(all, patterns(item, aliases)...)
		}
	case n.Kind == yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			all = append(all, patterns(n.Content[i], aliases)...)
		}
	}
	return all
}

// mostRows are far more than GitHub runs of a matrix, also before some are excluded. A key that would make more is left out.
const mostRows = 10_000

// rows makes a matrix' rows, as GitHub does.
// https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
func rows(matrix *yaml.Node) []row {
	made := []row{{}}
	if matrix.Kind != yaml.MappingNode {
		return made
	}
	var include, exclude []row
	for i := 0; i+1 < len(matrix.Content); i += 2 {
		key, values := matrix.Content[i].Value, matrix.Content[i+1]
		switch {
		case key == "include":
			include = flatAll(values)
		case key == "exclude":
			exclude = flatAll(values)
		case values.Kind == yaml.SequenceNode && len(made)*len(values.Content) <= mostRows:
			made = product(made, key, values.Content)
		}
	}
	made = slices.DeleteFunc(made, func(r row) bool {
		return slices.ContainsFunc(exclude, func(left row) bool { return left.within(r) })
	})
	return included(made, include)
}

func flatAll(values *yaml.Node) (all []row) {
	for _, n := range values.Content {
		all = append(all, flat("", n))
	}
	return all
}

// within reports whether a row has all that another says, which says something.
func (r row) within(other row) bool {
	for key, value := range r {
		if had, there := other[key]; !there || had != value {
			return false
		}
	}
	return len(r) > 0
}

// written reports whether nothing of a matrix is made at run time.
func written(matrix *yaml.Node) bool {
	if matrix.Kind == yaml.ScalarNode {
		return false
	}
	for i := 0; i+1 < len(matrix.Content); i += 2 {
		if matrix.Content[i+1].Kind != yaml.SequenceNode {
			return false
		}
	}
	return true
}

func product(made []row, key string, values []*yaml.Node) []row {
	var all []row
	for _, r := range made {
		for _, v := range values {
			one := maps.Clone(r)
			maps.Copy(one, flat(key, v))
			all = append(all, one)
		}
	}
	return all
}

// included adds the rows of `include` to those that they agree with, or else as rows of their own.
func included(made, include []row) []row {
	first := len(made) == 1 && len(made[0]) == 0
	if first && len(include) > 0 {
		return include
	}
	all := make([]row, len(made))
	for n, r := range made {
		all[n] = maps.Clone(r)
	}
	for _, more := range include {
		fits := false
		for n, r := range made {
			if agrees(r, more) {
				maps.Copy(all[n], more)
				fits = true
			}
		}
		if !fits {
			all = append(all, more)
		}
	}
	return all
}

func agrees(r, more row) bool {
	for key, value := range more {
		if had, there := r[key]; there && had != value {
			return false
		}
	}
	return true
}

// flat is a value of a matrix by the paths that expressions have for its parts: service.port.
func flat(key string, n *yaml.Node) row {
	if n.Kind == yaml.ScalarNode {
		return row{key: n.Value}
	}
	all := row{}
	if n.Kind == yaml.SequenceNode {
		var items []string
		for _, item := range n.Content {
			items = append(items, item.Value)
		}
		all[key] = strings.Join(items, ",")
	}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			maps.Copy(all, flat(strings.TrimPrefix(key+"."+n.Content[i].Value, "."), n.Content[i+1]))
		}
	}
	return all
}

// events are what starts a workflow.
func (w workflow) events() []string {
	on := w.text.On
	switch on.Kind {
	case yaml.ScalarNode:
		return []string{on.Value}
	case yaml.SequenceNode:
		return words(&on)
	}
	var all []string
	for i := 0; i+1 < len(on.Content); i += 2 {
		all = append(all, on.Content[i].Value)
	}
	return all
}

// filter is what an event of a workflow is narrowed to: its branches, say.
func (w workflow) filter(event, kind string) []string {
	if n := child(child(&w.text.On, event), kind); n != nil {
		return words(n)
	}
	return nil
}

// hasTags reports whether pushes of git tags start the workflow.
func (w workflow) hasTags() bool {
	push := child(&w.text.On, "push")
	if push == nil {
		return slices.Contains(w.events(), "push")
	}
	return child(push, "tags") != nil || child(push, "branches") == nil
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func words(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var all []string
	for _, item := range n.Content {
		all = append(all, item.Value)
	}
	return all
}

// expression is one of GitHub's within a text.
var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

// A scope has what expressions of a step are filled in with.
type scope struct {
	repository string // OWNER/NAME
	env, row   row
	inputs     row
	written    bool // whether a key that the row has not is empty
}

func (w workflow) scope(j job, s step, r row) scope {
	env := row{}
	for _, from := range []map[string]string{w.text.Env, j.text.Env, s.Env} {
		maps.Copy(env, from)
	}
	return scope{w.repository, env, r, j.inputs, j.written}
}

// fill fills in what is known; it is not whole where something else is left.
func (s scope) fill(text string) (filled string, whole bool) {
	whole = true
	for range 3 { // variables whose values are expressions
		text = expression.ReplaceAllStringFunc(text, func(found string) string {
			value, known := s.value(expression.FindStringSubmatch(found)[1])
			if !known {
				return found
			}
			return value
		})
	}
	return text, !strings.Contains(text, "${{")
}

// varies reports whether a step is given something else for another row.
func (s scope) varies(of step) bool {
	alone := s
	alone.row, alone.written = nil, false
	for _, given := range of.With {
		text, _ := s.fill(given.text)
		if other, _ := alone.fill(given.text); other != text {
			return true
		}
	}
	return false
}

// value is that of an expression: of a name of what is known, of a text, or of the first of several that is there.
func (s scope) value(expr string) (string, bool) {
	for operand := range strings.SplitSeq(expr, "||") {
		value, known := s.operand(strings.TrimSpace(operand))
		if !known || value != "" && value != "false" {
			return value, known
		}
	}
	return "", true
}

var (
	literal = regexp.MustCompile(`^'([^']*)'$`)
	indexed = regexp.MustCompile(`^([a-z]+)\[\s*([A-Za-z0-9_.-]+)\s*\]$`)
)

func (s scope) operand(expr string) (string, bool) {
	if m := literal.FindStringSubmatch(expr); m != nil {
		return m[1], true
	}
	if m := indexed.FindStringSubmatch(expr); m != nil {
		name, known := s.operand(m[2])
		if !known {
			return "", false
		}
		expr = m[1] + "." + name
	}
	kind, name, _ := strings.Cut(expr, ".")
	given, asked := s.inputs[strings.ToLower(expr)]
	switch {
	case asked:
		return given, !strings.Contains(given, "${{")
	case expr == "github.repository_owner" || kind == "steps" && strings.Contains(strings.ToLower(name), "owner"):
		return path.Dir(s.repository), true
	case expr == "github.repository" || kind == "steps" && strings.HasSuffix(strings.ToLower(name), "repository"):
		return s.repository, true
	case expr == "github.event.repository.name":
		return path.Base(s.repository), true
	case expr == "github.workspace":
		return ".", true
	case kind == "env":
		value, known := s.env[name]
		return value, known
	case kind == "matrix":
		value, known := s.row[name]
		return value, known || s.written && plainName.MatchString(name)
	}
	return "", false
}

// plainName is a key of a matrix, or the path of one.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
