package migrate

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A library has the files of a repository that others call, by their paths: workflows, and the actions that are made of steps.
type library struct {
	workflows map[string]workflow
	actions   map[string]composite
}

// A composite is an action that is made of steps.
// https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax
type composite struct {
	file   string
	Inputs map[string]input `yaml:"inputs"`
	Runs   struct {
		Steps []step `yaml:"steps"`
	} `yaml:"runs"`
}

type input struct {
	Default field `yaml:"default"`
}

// isAction reports whether a file describes an action, and no workflow.
func isAction(name string) bool {
	return path.Base(name) == "action.yml" || path.Base(name) == "action.yaml"
}

func newLibrary(files []File, repository string) (library, error) {
	l := library{map[string]workflow{}, map[string]composite{}}
	for _, f := range files {
		if !isAction(f.Name) {
			w, err := read(f, repository)
			if err != nil {
				return l, err
			}
			l.workflows[f.Name] = w
			continue
		}
		a := composite{file: f.Name}
		if err := document(f.Text, &a); err != nil {
			return l, fmt.Errorf("reading %s: %w", f.Name, err)
		}
		published(a.Runs.Steps, push(a.Runs.Steps))
		l.actions[path.Dir(f.Name)] = a
	}
	return l, nil
}

// local is the path of what is called in the repository itself; empty for what is elsewhere.
func local(uses string) string {
	if !strings.HasPrefix(uses, "./") {
		return ""
	}
	return cleaned(uses)
}

// roots are the workflows that start by themselves, with the jobs of what they call; what is only called is read on behalf of its callers.
func (l library) roots() (all []workflow) {
	called := map[string]bool{}
	for _, w := range l.workflows {
		for _, j := range w.jobs {
			called[local(j.text.Uses.Value)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.workflows)) {
		w := l.workflows[name]
		if called[name] && slices.Equal(w.events(), []string{"workflow_call"}) {
			continue
		}
		w.jobs = l.expand(w, w.defaults(false))
		all = append(all, w)
	}
	return all
}

// expand has the jobs of a workflow and, beside or in place of those that call something in this repository, what they call. Files that call
// each other in a circle, which GitHub refuses, are left where it closes.
func (l library) expand(w workflow, given row, chain ...string) (all []job) {
	chain = append(chain, w.file)
	for _, j := range w.jobs {
		j = j.given(given)
		j.file, j.env = w.file, w.text.Env
		callee, there := l.workflows[local(j.text.Uses.Value)]
		if !there || slices.Contains(chain, callee.file) {
			all = append(append(all, j), l.composed(j)...)
			continue
		}
		for _, r := range j.rows {
			asked := callee.defaults(true)
			maps.Copy(asked, w.asked(j, r))
			for _, made := range l.expand(callee, asked, chain...) {
				made.through = append(made.through, w.file)
				all = append(all, made)
			}
		}
	}
	return all
}

// composed are the steps of a job that are those of actions in this repository, each action's as a job.
func (l library) composed(j job, chain ...string) (all []job) {
	for _, s := range j.text.Steps {
		action, there := l.actions[local(s.Uses.Value)]
		if !there || slices.Contains(chain, action.file) {
			continue
		}
		given := row{}
		for name, in := range action.Inputs {
			given["inputs."+strings.ToLower(name)] = in.Default.text
		}
		for name, value := range s.With {
			given["inputs."+strings.ToLower(name)] = value.text
		}
		made := j
		made.file, made.around = action.file, j.text.Steps
		made.text.Env = maps.Clone(j.text.Env)
		if made.text.Env == nil {
			made.text.Env = map[string]string{}
		}
		maps.Copy(made.text.Env, s.Env)
		made.text.Steps = action.Runs.Steps
		made = made.given(given)
		all = append(append(all, made), l.composed(made, append(slices.Clone(chain), action.file)...)...)
	}
	return all
}

// defaults are the inputs of a workflow that another calls; those without a default are empty where it is called, and not known otherwise.
func (w workflow) defaults(called bool) row {
	given := row{}
	inputs := child(child(&w.text.On, "workflow_call"), "inputs")
	if inputs == nil {
		return given
	}
	for i := 0; i+1 < len(inputs.Content); i += 2 {
		name := "inputs." + strings.ToLower(inputs.Content[i].Value)
		if value := child(inputs.Content[i+1], "default"); value != nil {
			given[name] = value.Value
		} else if called {
			given[name] = ""
		}
	}
	return given
}

// othersMatrix finds what an expression has from the matrix of the job that calls.
var othersMatrix = regexp.MustCompile(`\bmatrix\.`)

// asked is what a job gives the workflow that it calls, for one of its rows.
func (w workflow) asked(j job, r row) row {
	given := row{}
	for name, value := range j.text.With {
		text, _ := w.scope(j, step{}, r).fill(value.text)
		given["inputs."+strings.ToLower(name)] = othersMatrix.ReplaceAllString(text, "needs.matrix.")
	}
	for i := 0; i+1 < len(j.text.Secrets.Content); i += 2 {
		given["secrets."+strings.ToLower(j.text.Secrets.Content[i].Value)] = j.text.Secrets.Content[i+1].Value
	}
	return given
}

// given is a job with what its caller gives it filled in, where an expression is nothing else.
func (j job) given(given row) job {
	if len(given) == 0 {
		return j
	}
	fill := func(text string) string {
		return expression.ReplaceAllStringFunc(text, func(found string) string {
			if value, known := given[strings.ToLower(expression.FindStringSubmatch(found)[1])]; known {
				return value
			}
			return found
		})
	}
	texts := func(all map[string]string) map[string]string {
		all = maps.Clone(all)
		for key, value := range all {
			all[key] = fill(value)
		}
		return all
	}
	fields := func(all map[string]field) map[string]field {
		all = maps.Clone(all)
		for key, value := range all {
			all[key] = field{fill(value.text), value.line}
		}
		return all
	}
	j.inputs, j.text.Env, j.text.With = given, texts(j.text.Env), fields(j.text.With)
	j = j.withMatrix(func(expr string) (string, bool) { value, known := given[strings.ToLower(expr)]; return value, known })
	j.text.Secrets.Content = slices.Clone(j.text.Secrets.Content)
	for i := 1; i < len(j.text.Secrets.Content); i += 2 {
		value := *j.text.Secrets.Content[i]
		value.Value = fill(value.Value)
		j.text.Secrets.Content[i] = &value
	}
	j.text.Steps = slices.Clone(j.text.Steps)
	for n := range j.text.Steps {
		s := &j.text.Steps[n]
		s.With, s.Env, s.Run.Value = fields(s.With), texts(s.Env), fill(s.Run.Value)
	}
	return j
}

// aboutImages finds names of what may publish images.
var aboutImages = regexp.MustCompile(`(?i)docker|image|container|ghcr|build-?(and-)?push|buildah|kaniko|buildpacks?|goreleaser|ko-build/|earthly|skaffold|push-to-registry|oci-`)

// imageCommand finds commands of other tools that publish images, or do so by what they are called.
var imageCommand = regexp.MustCompile(`(?m)(?:^|[;&|(]|\b(?:then|do|sudo|time|exec) )[ \t]*(?:\w+=\S* +)*(ko (?:build|publish|resolve|apply)\b|goreleaser(?: release\b| --clean\b| --rm-dist\b|[ \t]*$)|skaffold (?:build|run)\b` +
	`|(?:\./)?(?:gradle|mvn)w? .*\bjib(?::build)?\b|bazel run \S*push|earthly .*--push\b|pack build .*--publish\b|buildah (?:bud|build|push)\b|make (?:\S+ +)*?[^\s=]*(?:docker|image|container)[^\s=]*(?:\s|$)|(?:npm|pnpm|yarn) (?:run )?\S*(?:docker|image)\S*)`)

var (
	// tests finds names of what is done about images without publishing any, and publishes what tells that it is done all the same.
	tests     = regexp.MustCompile(`(?i)\b(test|lint|check|scan|start|stop|up|down|clean)`)
	publishes = regexp.MustCompile(`(?i)push|publish|release|deploy`)
)

// imageTool is the first command of a script that may publish images in a way which is not read, without variables that it is given; empty without any.
func imageTool(script string) string {
	for _, m := range imageCommand.FindAllStringSubmatch(script, -1) {
		if command := m[1]; publishes.MatchString(command) || !tests.MatchString(command) {
			words := slices.DeleteFunc(strings.Fields(command), func(word string) bool { return strings.Contains(word, "=") })
			return strings.Join(words, " ")
		}
	}
	return ""
}

// ownTools are actions about images that publish none, or that stand for what is taken over.
var ownTools = regexp.MustCompile(`^(org/ghcr-publish|docker/|aquasecurity/|anchore/|sigstore/|actions/|dataaxiom/|snok/container-retention-policy|hadolint/|crazy-max/|calibreapp/)`)

// preparing finds actions that prepare something for images, or say something of them, by their names.
var preparing = regexp.MustCompile(`[/-](setup|install|login|lint|description|testcontainers|layer-caching|cache-dance)(-|$)`)

// ofImage finds the beginning of an action that is an image, up to its name.
var ofImage = regexp.MustCompile(`^docker://([^/]*[.:][^/]*/)?`)

// unread says what else may publish images, and is not read: workflows and actions of other repositories.
func (all *Reading) unread(w workflow, known library) {
	for _, j := range w.jobs {
		if uses := j.text.Uses; uses.Value != "" && aboutImages.MatchString(uses.Value) {
			all.leave("%s:%d: the job %s calls %s, which is not read: where that publishes images, list these under `services` by the names that they have so far, and take the job out once the new workflow has run.%s",
				j.file, uses.Line, j.id, uses.Value, j.givenAway(w))
		}
		for _, s := range j.text.Steps {
			_, there := known.actions[local(s.Uses.Value)]
			if name := ofImage.ReplaceAllString(s.action(), ""); name != "" && !there && aboutImages.MatchString(name) && !ownTools.MatchString(name) && (publishes.MatchString(name) || !preparing.MatchString(name)) {
				all.leave("%s:%d: the action %s is not read: where it publishes images, list these under `services` by the names that they have so far.", j.file, s.line(), s.Uses.Value)
			}
			if tool := imageTool(s.Run.Value); tool != "" && !s.published {
				all.leave("%s:%d: the command %s is not read: where it publishes images, list these under `services` by the names that they have so far.", j.file, s.line(), tool)
			}
		}
	}
}

// givenAway is what a job gives the workflow that it calls, for each of its rows.
func (j job) givenAway(w workflow) string {
	var rows []string
	for _, r := range j.rows {
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(j.text.With)) {
			text, _ := w.scope(j, step{}, r).fill(j.text.With[name].text)
			texts = append(texts, name+": "+strings.TrimSpace(text))
		}
		rows = append(rows, strings.Join(texts, ", "))
	}
	if given := strings.Join(rows, "; "); given != "" {
		return " It is given " + given + "."
	}
	return ""
}
