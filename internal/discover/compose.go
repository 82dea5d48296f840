package discover

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
)

// compose reads the Compose file that Compose would, with its override. What the services build is read as buildx
// reads it; how they run tells how their images are tried out.
// https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/
func (f Finder) compose(ctx context.Context, found *service.Found) error {
	found.Files = append(slices.Concat(found.Files, cli.DefaultFileNames, cli.DefaultOverrideFileNames), dotEnv)
	files, err := f.composeFiles()
	if err != nil || len(files) == 0 {
		return err
	}
	p := project{Finder: f, files: files}
	if err := p.load(ctx); err != nil {
		return p.mistake(err)
	}
	found.Files = append(found.Files, p.read...)
	text, err := p.whole()
	if err != nil {
		return p.mistake(err)
	}
	read, err := f.targets().Compose(p.name(), text)
	found.Services, found.Left = read.Services, read.Left
	for i := range found.Services {
		found.Left = append(found.Left, p.complete(&found.Services[i])...)
		found.Compose = filepath.ToSlash(p.within(p.files[0].Filename))
	}
	found.Left = append(found.Left, p.inactive()...)
	return err
}

const dotEnv = ".env"

// composeFiles are the first file of those that are there, and the first override.
func (f Finder) composeFiles() ([]types.ConfigFile, error) {
	var files []types.ConfigFile
	for _, names := range [][]string{cli.DefaultFileNames, cli.DefaultOverrideFileNames} {
		for _, name := range names {
			text, there, err := f.read(name)
			if err != nil {
				return nil, err
			}
			if there {
				files = append(files, types.ConfigFile{Filename: filepath.Join(f.Workspace, name), Content: text})
				break
			}
		}
		if len(files) == 0 {
			return nil, nil // an override overrides nothing
		}
	}
	return files, nil
}

// A project is what a Compose file says.
type project struct {
	Finder
	files []types.ConfigFile
	read  []string // files that it takes in, relative to the workspace
	model *types.Project
	// raw is the same before variables are filled in; nil where it cannot be read without them.
	raw   map[string]any
	pairs map[string]bool // each NAME=value that the files have
	unset []string        // variables that are set nowhere, and have no default
}

func (p *project) load(ctx context.Context) error {
	if err := p.illFormed(); err != nil {
		return err
	}
	vars, err := p.environment()
	if err != nil {
		return err
	}
	details := types.ConfigDetails{WorkingDir: p.folder(), ConfigFiles: p.files, Environment: vars}
	var outside service.Problems
	for _, f := range p.files {
		p.includes(p.within(f.Filename), f.Content, &outside)
	}
	if len(outside) > 0 {
		return outside
	}
	options := func(o *loader.Options) {
		o.SetProjectName("project", true)
		o.Interpolate.Substitute = p.fill
		o.SkipConsistencyCheck, o.SkipResolveEnvironment, o.SkipResolveLabels = true, true, true
		o.Profiles = strings.Split(vars["COMPOSE_PROFILES"], ",")
		o.Listeners = []loader.Listener{func(_ string, about map[string]any) { p.takesIn(about, &outside) }}
	}
	p.model, err = loader.LoadWithContext(ctx, details, options)
	if err != nil || len(outside) > 0 {
		return cmp.Or(outside.Err(), err)
	}
	details.Environment = nil // of which lists of NAME take what it has
	p.raw, _ = loader.LoadModelWithContext(ctx, details, options, func(o *loader.Options) {
		o.SkipInterpolation, o.SkipValidation = true, true
		o.Listeners = nil
	})
	return p.gatherAll()
}

// gatherAll notes what the files themselves assign.
func (p *project) gatherAll() error {
	p.pairs = map[string]bool{}
	texts := make([][]byte, 0, len(p.files))
	for _, f := range p.files {
		texts = append(texts, f.Content)
	}
	for _, name := range p.read {
		text, _, err := p.Finder.read(name)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	for _, text := range texts {
		var n yaml.Node
		_ = yaml.Unmarshal(text, &n) // what is no YAML the loader refuses
		p.gather(&n)
	}
	return nil
}

// fill fills in variables. The loader's own way writes to this process's log of each that is not set.
func (p *project) fill(text string, vars template.Mapping) (string, error) {
	if p.alone { // also where the loader has read a .env beside a file that is included
		unset := func(string) (string, bool) { return "", false }
		return template.SubstituteWithOptions(text, unset, template.WithoutLogging, template.WithReplacementFunction(evenRequired))
	}
	noting := func(name string) (string, bool) {
		value, there := vars(name)
		if !there && !strings.Contains(text, "${"+name+"-") && !strings.Contains(text, "${"+name+":-") {
			p.unset = append(p.unset, name)
		}
		return value, there
	}
	return template.SubstituteWithOptions(text, noting, template.WithoutLogging)
}

// evenRequired has a variable that must be set be empty where it is not.
func evenRequired(text string, vars template.Mapping, c *template.Config) (string, error) {
	value, err := template.DefaultReplacementFunc(text, vars, c)
	var required *template.MissingRequiredError
	if errors.As(err, &required) {
		return "", nil
	}
	return value, err
}

// environment is what variables are taken from: what the run has, and for the rest the file that Compose reads.
func (p *project) environment() (map[string]string, error) {
	if p.alone {
		return map[string]string{}, nil
	}
	vars := maps.Clone(p.Vars)
	text, there, err := p.Finder.read(p.within(filepath.Join(p.folder(), dotEnv)))
	if err != nil || !there {
		return vars, err
	}
	more, err := dotenv.UnmarshalBytesWithLookup(text, func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
	if err != nil {
		return nil, service.Problems{{Where: dotEnv, What: err.Error()}}
	}
	maps.Copy(more, vars)
	return more, nil
}

// takesIn notes files that the project extends or includes.
func (p *project) takesIn(about map[string]any, outside *service.Problems) {
	paths, _ := about["path"].(types.StringList)
	if file, ok := about["file"].(string); ok {
		paths = append(paths, file)
	}
	for _, file := range paths {
		if !filepath.IsAbs(file) {
			file = filepath.Join(p.folder(), file)
		}
		file = p.within(file)
		text, _, err := p.Finder.read(file)
		if err != nil || !filepath.IsLocal(file) {
			outside.Add(p.name(), "give a file of the repository", "%q is taken in, which is not in this repository", file)
			continue
		}
		p.includes(file, text, outside)
		p.read = append(p.read, filepath.ToSlash(filepath.Clean(file)))
	}
}

// includes refuses what would have variables read from files that nobody proves to be in the repository.
func (p *project) includes(name string, text []byte, outside *service.Problems) {
	var file struct {
		Include []yaml.Node `yaml:"include"`
	}
	_ = yaml.Unmarshal(text, &file) // what is no YAML the loader refuses
	for _, node := range file.Include {
		var entry map[string]any
		if node.Kind != yaml.MappingNode || node.Decode(&entry) != nil {
			continue
		}
		for _, key := range []string{"env_file", "project_directory"} {
			if entry[key] != nil {
				outside.Add(fmt.Sprintf("%s:%d", name, node.Line), "list the services in a configuration file, or leave it out", "include with %s is not read here", key)
			}
		}
	}
}

// whole writes what the services build as one file that needs no other.
func (p *project) whole() ([]byte, error) {
	whole := types.Project{Name: p.model.Name, Services: types.Services{}, Secrets: p.model.Secrets}
	for name, s := range p.model.Services {
		part := types.ServiceConfig{Name: name}
		part.Image, part.Build, part.Environment = s.Image, s.Build, s.Environment
		whole.Services[name] = part
	}
	text, err := whole.MarshalYAML()
	return bytes.ReplaceAll(text, []byte("$"), []byte("$$")), err // which is how a file writes it
}

// folder is where the first file is, which is what Compose goes out from.
func (p *project) folder() string { return filepath.Dir(p.files[0].Filename) }

// within is a path as the workspace has it.
func (p *project) within(path string) string {
	if relative, err := filepath.Rel(p.Workspace, path); err == nil {
		return relative
	}
	return path
}

// name lists the files, for people.
func (p *project) name() string {
	names := make([]string, len(p.files))
	for i, f := range p.files {
		names[i] = p.within(f.Filename)
	}
	return strings.Join(names, ", ")
}

// illFormed says which lines are no YAML. The loader would say so too, but not where.
func (p *project) illFormed() error {
	var problems service.Problems
	for _, f := range p.files {
		var node yaml.Node
		if err := yaml.Unmarshal(f.Content, &node); err != nil {
			where, what := p.within(f.Filename), strings.TrimPrefix(err.Error(), "yaml: ")
			if line, rest, ok := strings.Cut(strings.TrimPrefix(what, "line "), ": "); ok && strings.HasPrefix(what, "line ") {
				where, what = where+":"+line, rest
			}
			problems.Add(where, "", "%s", what)
		}
	}
	return problems.Err()
}

// mistake says where the files are wrong, as far as the loader tells.
func (p *project) mistake(err error) error {
	if problems, ok := err.(service.Problems); ok {
		return problems
	}
	what, where := strings.ReplaceAll(err.Error(), p.Workspace+string(filepath.Separator), ""), p.name()
	for _, f := range p.files {
		if strings.Contains(err.Error(), f.Filename) {
			where = p.within(f.Filename)
		}
	}
	var problems service.Problems
	for line := range strings.Lines(what) {
		fix := ""
		if strings.Contains(line, "required variable") { // the loader keeps no more of it than its text
			fix = "set it in the environment, on GitHub by `env:` of the step, or give it a default in the file"
		} else if slices.Sort(p.unset); len(p.unset) > 0 {
			fix = fmt.Sprintf("it may be as nothing sets %s: set such variables in the environment, on GitHub by `env:` of the step, or in %s, or give them defaults in the file", strings.Join(slices.Compact(p.unset), ", "), dotEnv)
		}
		problems.Add(where, fix, "%s", strings.TrimSpace(line))
	}
	return problems
}
