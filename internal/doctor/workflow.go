package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Workflow is the file that the run is of, as far as it is about this action.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
type Workflow struct {
	File   string // relative to the workspace
	Unread string // why nothing is known of it; else empty

	current string // id of the job that this is
	lines   []string
	text    workflowText
	jobs    []job // those that use this action
	calls   bool  // one of the others is another workflow
}

// A job is one that uses this action.
type job struct {
	id, uses string   // uses is as a step writes it
	line     int      // of its id
	modes    []string // of its steps; judge is one of all that pushes nothing
	ownToken bool     // they are given another one than the job's
	deploys  bool     // they record a deployment
	called   bool     // it is this action's own workflow, which does all and whose runs wait for each other
	rights   *rights  // that its token has by the file; nil where that says none
	text     jobText
}

type workflowText struct {
	On          words     `yaml:"on"`
	Permissions *rights   `yaml:"permissions"`
	Concurrency yaml.Node `yaml:"concurrency"`
	Jobs        yaml.Node `yaml:"jobs"`
}

type jobText struct {
	Permissions *rights   `yaml:"permissions"`
	Concurrency yaml.Node `yaml:"concurrency"`
	Needs       words     `yaml:"needs"`
	If          string    `yaml:"if"`
	Calls       string    `yaml:"uses"`
	RunsOn      words     `yaml:"runs-on"`
	Strategy    struct {
		Matrix yaml.Node `yaml:"matrix"`
	} `yaml:"strategy"`
	Steps []struct {
		Uses string `yaml:"uses"`
		With struct {
			Mode          string `yaml:"mode"`
			Token         string `yaml:"token"`
			RegistryToken string `yaml:"registry-token"`
			Environment   string `yaml:"environment"`
			Push          string `yaml:"push"`
		} `yaml:"with"`
	} `yaml:"steps"`
}

// words are one word, a list of some, or the keys of a mapping.
type words []string

func (w *words) UnmarshalYAML(n *yaml.Node) error {
	switch n.Kind {
	case yaml.SequenceNode:
		return n.Decode((*[]string)(w))
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			*w = append(*w, n.Content[i].Value)
		}
	default:
		*w = words{n.Value}
	}
	return nil
}

// rights are what `permissions` say: what is not named is none.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions
type rights struct {
	all  string // read-all or write-all
	each map[string]string
}

func (r *rights) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		r.all = n.Value
		return nil
	}
	return n.Decode(&r.each)
}

// has reports whether a right includes another: who may write may read.
func (r *rights) has(scope, level string) bool {
	given := r.each[scope]
	return r.all == "write-all" || r.all == "read-all" && level == "read" || given == level || given == "write"
}

// workflowFile finds a file in GITHUB_WORKFLOW_REF: owner/name/.github/workflows/x.yml@ref.
var workflowFile = regexp.MustCompile(`^([^/@]+/[^/@]+)/(\.github/workflows/[^/@]+\.ya?ml)@`)

// ReadWorkflow reads the file that ref, which is GITHUB_WORKFLOW_REF, names, from the clone of a repository. The job is GITHUB_JOB;
// action is GITHUB_ACTION_REPOSITORY, by which steps name this action.
func ReadWorkflow(ref, repository, job, action string, read func(name string) ([]byte, error)) Workflow {
	named := workflowFile.FindStringSubmatch(ref)
	switch {
	case named == nil:
		return Workflow{Unread: "nobody says which workflow this is"}
	case !strings.EqualFold(named[1], repository):
		return Workflow{Unread: "the workflow is " + named[1] + "'s"}
	}
	w := Workflow{File: named[2], current: job}
	data, err := read(w.File)
	if err == nil {
		err = w.parse(data, action)
	}
	if err != nil {
		w.Unread = fmt.Sprintf("reading %s: %s", w.File, strings.Join(strings.Fields(err.Error()), " "))
	}
	return w
}

func (w *Workflow) parse(data []byte, action string) error {
	w.lines = strings.Split(string(data), "\n")
	if err := yaml.Unmarshal(data, &w.text); err != nil {
		return err
	}
	if w.text.Jobs.Kind != yaml.MappingNode {
		return errors.New("it has no jobs")
	}
	for i := 0; i < len(w.text.Jobs.Content); i += 2 {
		id := w.text.Jobs.Content[i]
		j := job{id: id.Value, line: id.Line, rights: w.text.Permissions}
		if err := w.text.Jobs.Content[i+1].Decode(&j.text); err != nil {
			return err
		}
		if j.text.Permissions != nil {
			j.rights = j.text.Permissions
		}
		w.calls = w.calls || j.text.Calls != ""
		if j.find(action); j.uses != "" {
			w.jobs = append(w.jobs, j)
		}
	}
	return nil
}

// jobsToken is how a step names the token of its job.
var jobsToken = regexp.MustCompile(`(?i)^\s*(\$\{\{\s*(github\.token|secrets\.GITHUB_TOKEN)\s*\}\})?\s*$`)

// ownWorkflow is how a job calls this action's own workflow.
var ownWorkflow = regexp.MustCompile(`^[^/]+/ghcr-publish/\.github/workflows/publish\.yml@`)

// find looks for this action among the job's steps.
func (j *job) find(action string) {
	if ownWorkflow.MatchString(j.text.Calls) {
		j.uses, j.modes, j.called = j.text.Calls, []string{"all"}, true
	}
	for _, step := range j.text.Steps {
		at, _, _ := strings.Cut(step.Uses, "@")
		if !strings.EqualFold(at, action) && path.Base(at) != "ghcr-publish" {
			continue
		}
		j.uses = step.Uses
		j.ownToken = j.ownToken || !jobsToken.MatchString(step.With.Token) || !jobsToken.MatchString(step.With.RegistryToken)
		j.deploys = j.deploys || step.With.Environment != ""
		mode := cmp.Or(step.With.Mode, "all")
		if mode == "all" && step.With.Push == "false" {
			mode = "judge"
		}
		j.modes = append(j.modes, mode)
	}
}

func (j job) does(modes ...string) bool {
	return slices.ContainsFunc(modes, func(mode string) bool { return slices.Contains(j.modes, mode) })
}

// job is the one that this is.
func (w Workflow) job() (job, bool) {
	i := slices.IndexFunc(w.jobs, func(j job) bool { return j.id == w.current })
	if i < 0 {
		return job{}, false
	}
	return w.jobs[i], true
}

// doing are the jobs that do one of some modes.
func (w Workflow) doing(modes ...string) []job {
	return slices.DeleteFunc(slices.Clone(w.jobs), func(j job) bool { return !j.does(modes...) })
}

func (w Workflow) at(line int) string { return fmt.Sprintf("%s:%d", w.File, line) }

// where is the place of this job.
func (w Workflow) where() string {
	if j, ok := w.job(); ok {
		return w.at(j.line)
	}
	if w.File != "" {
		return w.File
	}
	return "the workflow"
}

// capitals are the lines that name an image of a registry after the repository as GitHub writes it.
func (w Workflow) capitals(registry string) []int {
	after := regexp.MustCompile(regexp.QuoteMeta(registry) + `/\$\{\{\s*github\.(repository|repository_owner)\s*\}\}`)
	var lines []int
	for i, line := range w.lines {
		if code, _, _ := strings.Cut(line, " #"); after.MatchString(code) {
			lines = append(lines, i+1)
		}
	}
	return lines
}
