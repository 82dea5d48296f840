package migrate

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

var (
	// buildCommand finds commands that build an image.
	buildCommand = regexp.MustCompile(`\b(docker|podman|nerdctl)\s+((buildx\s+)?(build|bake)|compose\s+build)\b`)
	// pushCommand finds commands that push one.
	pushCommand = regexp.MustCompile(`\b(docker|podman|nerdctl)\s+(compose\s+|manifest\s+)?push\b|--push\b|push=true|type=registry|imagetools create`)
)

// published marks the steps that build by commands, where some command of their file pushes.
func published(steps []step, pushes bool) {
	for n := range steps {
		steps[n].published = pushes && buildCommand.MatchString(steps[n].Run.Value)
	}
}

func push(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool { return pushCommand.MatchString(s.Run.Value) })
}

// byCommands are the builds of a step that builds by commands in a folder, as docker/build-push-action would be given them; false where one cannot be read.
func (s step) byCommands(dir string) (all []step, readable bool) {
	w := walk{step: s, dir: dir, variables: map[string]string{}}
	text := expression.ReplaceAllStringFunc(s.Run.Value, func(found string) string {
		w.expressions = append(w.expressions, found)
		return fmt.Sprintf("%s%d_", placeholder, len(w.expressions)-1)
	})
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, false
	}
	w.sets = sets(file)
	syntax.Walk(file, w.node)
	return w.builds, !w.lost && len(w.builds) > 0
}

// A walk goes through the commands of a step, from folder to folder.
type walk struct {
	step        step
	expressions []string // of GitHub's, by their placeholders' numbers
	dir         string
	outer       []string // where each node that is not yet left is to end
	builds      []step
	sets        map[string]int    // how often the commands set each variable
	variables   map[string]string // that they have set so far, and only once
	lost        bool              // whether it is not known any more what is built, or where
}

// node is called as a node begins, and with nil as it ends.
func (w *walk) node(n syntax.Node) bool {
	switch n := n.(type) {
	case nil:
		last := len(w.outer) - 1
		w.dir, w.outer = cmp.Or(w.outer[last], w.dir), w.outer[:last]
		return true
	case *syntax.Subshell:
		w.outer = append(w.outer, cmp.Or(w.dir, "."))
		return true
	case *syntax.CallExpr:
		w.call(n)
	}
	for _, set := range assigned(n) {
		if set.Value != nil && !set.Append {
			w.variables[set.Name.Value] = w.inWord(set.Value.Parts)
		}
	}
	w.outer = append(w.outer, "") // it ends wherever it has gone to
	return true
}

func (w *walk) call(call *syntax.CallExpr) {
	words := make([]string, 0, len(call.Args))
	for _, word := range call.Args {
		text := w.inWord(word.Parts)
		for n, found := range w.expressions {
			text = strings.ReplaceAll(text, fmt.Sprintf("%s%d_", placeholder, n), found)
		}
		words = append(words, text)
	}
	for len(words) > 0 && slices.Contains([]string{"sudo", "time", "exec"}, words[0]) {
		words = words[1:]
	}
	switch line := strings.Join(words, " "); {
	case changesFolder.MatchString(line):
		to := strings.TrimPrefix(line, "cd ")
		w.dir = path.Join(w.dir, to)
		w.lost = w.lost || !plainFolder.MatchString(to) || line == to || strings.HasPrefix(w.dir, "..")
	case startsBuild.MatchString(line) && !w.lost:
		made, err := w.step.build(words[1:], w.dir)
		if w.lost = err != nil; !w.lost {
			w.builds = append(w.builds, made)
		}
	}
}

var (
	changesFolder = regexp.MustCompile(`^(cd|pushd|popd)( |$)`)
	plainFolder   = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./-]*$`)
)

// placeholder stands for an expression of GitHub's, which is no shell.
const placeholder = "GITHUB_EXPRESSION_"

// startsBuild finds a command that begins to build something, were it by a file that lists builds.
var startsBuild = regexp.MustCompile(`^(docker|podman|nerdctl) (build|image build|buildx build|builder build|buildx bake|compose build)( |$)`)

// ofGitHub are variables by the expressions that say the same.
var ofGitHub = map[string]string{"GITHUB_REPOSITORY": "github.repository", "GITHUB_REPOSITORY_OWNER": "github.repository_owner", "GITHUB_SHA": "github.sha",
	"GITHUB_REF": "github.ref", "GITHUB_REF_NAME": "github.ref_name", "GITHUB_RUN_ID": "github.run_id", "GITHUB_RUN_NUMBER": "github.run_number", "GITHUB_WORKSPACE": "github.workspace"}

// inWord is a word of a command with expressions of GitHub's in place of variables. What a command gives is only known when it runs.
func (w *walk) inWord(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(strings.ReplaceAll(p.Value, `\`, ""))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			b.WriteString(w.inWord(p.Parts))
		case *syntax.ParamExp:
			name, plain := p.Param.Value, p.Exp == nil && p.Repl == nil && p.Slice == nil && p.Index == nil && !p.Length && !p.Excl
			text := "${{ shell." + name + " }}"
			if plain {
				text = w.variable(name)
			}
			b.WriteString(text)
		default:
			b.WriteString("${{ shell }}")
		}
	}
	return b.String()
}

// variable is what a variable has: what the commands themselves have set, where that is the same each time, or else what GitHub or the workflow gives.
func (w *walk) variable(name string) string {
	value, known := w.variables[name]
	switch {
	case known && w.sets[name] == 1 && !strings.ContainsAny(expression.ReplaceAllString(value, ""), " \t\n"): // which can be several words
		return value
	case w.sets[name] > 0:
		return "${{ shell." + name + " }}"
	case ofGitHub[name] != "":
		return "${{ " + ofGitHub[name] + " }}"
	}
	return "${{ env." + name + " }}"
}

// sets are how often commands set each variable. A loop sets its own again and again.
func sets(file *syntax.File) map[string]int {
	often := map[string]int{}
	syntax.Walk(file, func(n syntax.Node) bool {
		for _, set := range assigned(n) {
			often[set.Name.Value]++
		}
		if loop, ok := n.(*syntax.WordIter); ok {
			often[loop.Name.Value] += 2
		}
		return true
	})
	return often
}

// assigned are the variables that a node sets for what follows, and not for a single command.
func assigned(n syntax.Node) (all []*syntax.Assign) {
	switch n := n.(type) {
	case *syntax.CallExpr:
		if len(n.Args) == 0 {
			all = n.Assigns
		}
	case *syntax.DeclClause:
		all = n.Args
	}
	return slices.DeleteFunc(slices.Clone(all), func(set *syntax.Assign) bool { return set.Name == nil || set.Naked })
}

// listedFlags are flags of docker build by what docker/build-push-action calls them.
var listedFlags = map[string]string{"add-host": "add-hosts", "allow": "allow", "annotation": "annotations", "build-arg": "build-args", "build-context": "build-contexts", "cgroup-parent": "cgroup-parent",
	"file": "file", "label": "labels", "network": "network", "no-cache-filter": "no-cache-filters", "platform": "platforms", "sbom": "sbom", "secret": "secret", "shm-size": "shm-size", "ssh": "ssh",
	"tag": "tags", "target": "target", "ulimit": "ulimit"}

// buildFlags are the flags of docker build, and the values that those get which matter.
func buildFlags() (set *pflag.FlagSet, values map[string]*[]string) {
	set, values = pflag.NewFlagSet("build", pflag.ContinueOnError), map[string]*[]string{}
	set.SetOutput(io.Discard)
	set.ParseErrorsAllowlist.UnknownFlags = true
	short := map[string]string{"file": "f", "tag": "t"}
	for flag, key := range listedFlags {
		values[key] = set.StringArrayP(flag, short[flag], nil, "")
	}
	for _, flag := range []string{"attest", "builder", "cache-from", "cache-to", "iidfile", "metadata-file", "progress", "provenance"} {
		set.StringArray(flag, nil, "")
	}
	set.StringArrayP("output", "o", nil, "")
	for _, flag := range []string{"push", "load", "pull", "rm", "force-rm", "squash", "no-cache"} {
		set.Bool(flag, false, "")
	}
	set.BoolP("quiet", "q", false, "")
	return set, values
}

// build is what a command in a folder builds, by its words after the program's name.
func (s step) build(words []string, dir string) (step, error) {
	at := slices.Index(words, "build")
	if at < 0 || words[0] == "compose" {
		return s, fmt.Errorf("%q lists no build", words)
	}
	set, values := buildFlags()
	if err := set.Parse(words[at+1:]); err != nil {
		return s, err
	}
	context := set.Arg(0)
	if context == "-" || strings.HasPrefix(context, "${{ shell") {
		return s, fmt.Errorf("the context is %s", context)
	}
	made := step{Uses: yaml.Node{Value: buildAction, Line: s.line()}, Env: s.Env, If: s.If, With: map[string]field{"push": {"true", s.line()}}}
	give := func(key string, values ...string) {
		if text := strings.Join(values, "\n"); text != "" {
			made.With[key] = field{text, s.line()}
		}
	}
	for key, given := range values {
		give(key, *given...)
	}
	if dir != "" && !strings.Contains(context, "://") {
		give("file", path.Join(dir, cmp.Or(made.With["file"].text, path.Join(context, "Dockerfile"))))
		context = path.Join(dir, context)
	}
	give("context", context)
	delete(made.With, "secret")
	give("secret-envs", secretsOf(*values["secret"], "env")...)
	give("secret-files", secretsOf(*values["secret"], "src", "source")...)
	if set.Changed("no-cache") {
		give("no-cache", "true")
	}
	give("build-args", withValues(*values["build-args"])...)
	return made, nil
}

// withValues are build arguments of which one without a value has that of the variable of its name.
func withValues(given []string) (all []string) {
	for _, arg := range given {
		if !strings.Contains(arg, "=") {
			arg += "=${{ env." + arg + " }}"
		}
		all = append(all, arg)
	}
	return all
}

// secretsOf are secrets of a build that come from a variable or a file, as ID=WHERE.
func secretsOf(given []string, keys ...string) (all []string) {
	for _, secret := range given {
		id, from := "", ""
		for part := range strings.SplitSeq(secret, ",") {
			switch key, value, _ := strings.Cut(part, "="); {
			case key == "id":
				id = value
			case slices.Contains(keys, key):
				from = value
			}
		}
		if from == "" && keys[0] == "env" && !strings.Contains(secret, "src=") && !strings.Contains(secret, "source=") {
			from = id // which is what the variable is called then
		}
		if id != "" && from != "" {
			all = append(all, id+"="+from)
		}
	}
	return all
}
