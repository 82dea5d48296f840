package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/run"
)

// bakeFiles are where targets are looked for.
var bakeFiles = []string{"docker-bake.hcl", "docker-bake.json", "docker-bake.override.hcl", "docker-bake.override.json"}

// bake says of a step that builds a bake file's targets what goes besides that file.
func (all *Reading) bake(w workflow, j job, s step) {
	all.baked = fmt.Sprintf("%s:%d", w.file, s.line())
	for _, file := range append(list(s.With["files"].text), list(s.With["workdir"].text)...) {
		if file = strings.TrimPrefix(file, "./"); file != "." && !slices.Contains(bakeFiles, file) {
			all.leave("%s:%d builds what %s says, where no services are looked for: have it be docker-bake.hcl at the repository's root, or list its targets as services.", w.file, s.line(), file)
		}
	}
	if targets := list(s.With["targets"].text); len(targets) > 0 && !slices.Equal(targets, []string{"default"}) {
		all.leave("%s:%d builds the targets %s: here those of the group default are published, or all where there is no such group: have it name these.", w.file, s.line(), strings.Join(targets, ", "))
	}
	for line := range strings.Lines(s.With["set"].text) {
		if line = strings.TrimSpace(line); line != "" && !ownAffair.MatchString(line) {
			all.leave("%s:%d sets %q over the bake file: write it there, or under `defaults`.", w.file, s.With["set"].line, line)
		}
	}
	if env := w.scope(j, s, nil).env; len(env) > 0 {
		all.leave("%s:%d gives the bake file the variables %s: give them to the new workflow's step by `env:`, where its targets are to have them.", w.file, s.line(), strings.Join(slices.Sorted(maps.Keys(env)), ", "))
	}
}

// ownAffair finds overrides of what the action does in its own way.
var ownAffair = regexp.MustCompile(`^[^=]*\.(cache-from|cache-to|output|tags|labels|annotations)\b`)

// secrets are those of a service's build, each from a variable that the new workflow sets as the old one did.
func (all *Reading) secrets(w workflow, j job, s step, service string) map[string]string {
	found := map[string]string{}
	take := func(id, variable, value string, line int) {
		if elsewhere.MatchString(quoted.ReplaceAllString(value, "")) {
			all.leave("%s:%d: the secret %s of the build is %s, which means nothing in the new workflow: give its value by `env:` of the step, and name it under `secrets` of the service.", w.file, line, id, value)
			return
		}
		found[id] = "env:" + all.variable(service, free(variable), value)
	}
	for line := range strings.Lines(s.With["secrets"].text) {
		id, value, given := strings.Cut(strings.Trim(strings.TrimSpace(line), `"`), "=")
		variable := variableOf(id)
		if m := secretName.FindStringSubmatch(value); m != nil {
			variable = m[1]
		}
		switch {
		case given && strings.HasPrefix(value, "${{") && strings.HasSuffix(value, "}}") && variable != "":
			take(id, variable, value, s.With["secrets"].line)
		case strings.TrimSpace(line) != "":
			all.leave("%s:%d: a secret of the build is written in a way that is not read: name it under `secrets` of the service, and give its value by `env:` of the step.", w.file, s.With["secrets"].line)
		}
	}
	for line := range strings.Lines(s.With["secret-envs"].text) {
		if id, variable, given := strings.Cut(strings.TrimSpace(line), "="); given {
			take(id, variable, w.variable(j, s, variable), s.With["secret-envs"].line)
		}
	}
	for line := range strings.Lines(s.With["secret-files"].text) {
		switch id, file, given := strings.Cut(strings.TrimSpace(line), "="); {
		case strings.Contains(line, "${{"):
			all.leave("%s:%d: a secret of the build is in a file whose name is only known when it runs: name it under `secrets` of the service.", w.file, s.With["secret-files"].line)
		case given:
			found[id] = "file:" + file
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}

// variable is the one that the new workflow sets to an expression: the one that was asked for, or where that is set to another expression, one of the service's own.
func (all *Reading) variable(service, asked, expression string) string {
	own := cmp.Or(variableOf(service+"_"+asked), "BUILD_"+asked)
	name := asked
	for n := 1; ; n++ {
		if known, there := all.Secrets[name]; !there || known == expression {
			all.secret(name, expression)
			return name
		}
		if name = own; n > 1 {
			name = fmt.Sprintf("%s_%d", own, n)
		}
	}
}

var (
	// elsewhere finds what an expression has from the old workflow, or from its run.
	elsewhere  = regexp.MustCompile(`\$\{\{.*\b(steps|matrix|needs|inputs|env|job|jobs|strategy|runner)\s*[.\[]`)
	quoted     = regexp.MustCompile(`'[^']*'`) // texts in an expression
	secretName = regexp.MustCompile(`^\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}$`)
	noLetter   = regexp.MustCompile(`[^A-Z0-9_]`)
)

// variableOf is a variable's name for the id of a secret; empty where none can be made of it.
func variableOf(id string) string {
	name := noLetter.ReplaceAllString(strings.ToUpper(id), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return ""
	}
	return name
}

// free is a variable that builds may have. One of OpenTelemetry's would tell buildx to send traces by itself.
func free(variable string) string {
	if run.Reserved(variable) || strings.HasPrefix(variable, "OTEL_") {
		return "BUILD_" + variable
	}
	return variable
}

// variable is what a variable of a step is set to, or else the repository's secret of that name.
func (w workflow) variable(j job, s step, name string) string {
	for _, env := range []map[string]string{s.Env, j.text.Env, w.text.Env} {
		if value := env[name]; value != "" {
			return value
		}
	}
	return "${{ secrets." + name + " }}"
}
