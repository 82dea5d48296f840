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
	var expressions []string
	text := expression.ReplaceAllStringFunc(s.Run.Value, func(found string) string {
		expressions = append(expressions, found)
		return fmt.Sprintf("%s%d_", placeholder, len(expressions)-1)
	})
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, false
	}
	said := func(call *syntax.CallExpr) (words []string) {
		for _, word := range call.Args {
			text := inWord(word.Parts)
			for n, found := range expressions {
				text = strings.ReplaceAll(text, fmt.Sprintf("%s%d_", placeholder, n), found)
			}
			words = append(words, text)
		}
		return words
	}
	readable = true
	var outer []func() // what ends with each node that is being walked
	syntax.Walk(file, func(n syntax.Node) bool {
		if n == nil {
			outer[len(outer)-1]()
			outer = outer[:len(outer)-1]
			return true
		}
		before, end := dir, func() {}
		if _, within := n.(*syntax.Subshell); within {
			end = func() { dir = before }
		}
		outer = append(outer, end)
		call, is := n.(*syntax.CallExpr)
		if !is {
			return true
		}
		words := said(call)
		for len(words) > 0 && slices.Contains([]string{"sudo", "time", "exec"}, words[0]) {
			words = words[1:]
		}
		switch line := strings.Join(words, " "); {
		case changesFolder.MatchString(line):
			to := strings.TrimPrefix(line, "cd ")
			dir = path.Join(dir, to)
			readable = readable && plainFolder.MatchString(to) && line != to && !strings.HasPrefix(dir, "..")
		case startsBuild.MatchString(line) && readable:
			made, err := s.build(words[1:], dir)
			if readable = err == nil; readable {
				all = append(all, made)
			}
		}
		return true
	})
	return all, readable && len(all) > 0
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
func inWord(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(strings.ReplaceAll(p.Value, `\`, ""))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			b.WriteString(inWord(p.Parts))
		case *syntax.ParamExp:
			name, plain := ofGitHub[p.Param.Value], p.Exp == nil && p.Repl == nil && p.Slice == nil && p.Index == nil && !p.Length && !p.Excl
			switch {
			case !plain:
				b.WriteString("${{ shell." + p.Param.Value + " }}")
			case name != "":
				b.WriteString("${{ " + name + " }}")
			default:
				b.WriteString("${{ env." + p.Param.Value + " }}")
			}
		default:
			b.WriteString("${{ shell }}")
		}
	}
	return b.String()
}

// build is what a command in a folder builds, by its words after the program's name.
func (s step) build(words []string, dir string) (step, error) {
	at := slices.Index(words, "build")
	if at < 0 || words[0] == "compose" {
		return s, fmt.Errorf("%q lists no build", words)
	}
	set := pflag.NewFlagSet("build", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.ParseErrorsAllowlist.UnknownFlags = true
	lists := map[string]*[]string{}
	for flag, key := range map[string]string{"add-host": "add-hosts", "allow": "allow", "annotation": "annotations", "build-arg": "build-args", "build-context": "build-contexts", "cgroup-parent": "cgroup-parent",
		"label": "labels", "network": "network", "no-cache-filter": "no-cache-filters", "sbom": "sbom", "secret": "secret", "shm-size": "shm-size", "ssh": "ssh", "target": "target", "ulimit": "ulimit"} {
		lists[key] = set.StringArray(flag, nil, "")
	}
	lists["file"], lists["tags"], lists["platforms"] = set.StringArrayP("file", "f", nil, ""), set.StringArrayP("tag", "t", nil, ""), set.StringArray("platform", nil, "")
	for _, flag := range []string{"attest", "builder", "cache-from", "cache-to", "iidfile", "metadata-file", "progress", "provenance"} {
		set.StringArray(flag, nil, "")
	}
	set.StringArrayP("output", "o", nil, "")
	noCache := set.Bool("no-cache", false, "")
	for _, flag := range []string{"push", "load", "pull", "rm", "force-rm", "squash"} {
		set.Bool(flag, false, "")
	}
	set.BoolP("quiet", "q", false, "")
	if err := set.Parse(words[at+1:]); err != nil {
		return s, err
	}
	made := step{Uses: yaml.Node{Value: buildAction, Line: s.line()}, Env: s.Env, If: s.If, With: map[string]field{"push": {"true", s.line()}}}
	give := func(key string, values ...string) {
		if text := strings.Join(values, "\n"); text != "" {
			made.With[key] = field{text, s.line()}
		}
	}
	for key, values := range lists {
		give(key, *values...)
	}
	context := set.Arg(0)
	if context == "-" || strings.HasPrefix(context, "${{ shell") {
		return s, fmt.Errorf("the context is %s", context)
	}
	if dir != "" && !strings.Contains(context, "://") {
		context = path.Join(dir, context)
		give("file", path.Join(dir, cmp.Or(made.With["file"].text, path.Join(set.Arg(0), "Dockerfile"))))
	}
	give("context", context)
	delete(made.With, "secret")
	give("secret-envs", secretsOf(*lists["secret"], "env")...)
	give("secret-files", secretsOf(*lists["secret"], "src", "source")...)
	if *noCache {
		give("no-cache", "true")
	}
	var args []string
	for _, arg := range *lists["build-args"] {
		if !strings.Contains(arg, "=") { // which is had from the variable of that name
			arg += "=${{ env." + arg + " }}"
		}
		args = append(args, arg)
	}
	give("build-args", args...)
	return made, nil
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
