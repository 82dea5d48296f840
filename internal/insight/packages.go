package insight

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A manager is a package manager, by what its documentation says of it.
type manager struct {
	program   string
	verbs     string   // that install, each as the words after the program's name that are no options, separated by |
	manifests []string // files that decide what is installed; none where the command line alone does
	with      string   // option without which it needs the sources too
	caches    []string // folders that it keeps downloads in, of root
}

// needsSources is no option: without any it needs them.
const needsSources = "\x00"

// managers are those that are known. The folders are those of https://docs.docker.com/build/cache/optimize/#use-cache-mounts, else
// the program's own default.
var managers = [...]manager{
	{"npm", "ci|install|i", []string{"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"}, "", []string{"/root/.npm"}},
	{"yarn", "|install", []string{"package.json", "yarn.lock", ".yarnrc", ".yarnrc.yml"}, "", []string{"/usr/local/share/.cache/yarn"}},
	{"pnpm", "install|i", []string{"package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc"}, "", []string{"/root/.local/share/pnpm/store"}},
	{"bun", "install|i", []string{"package.json", "bun.lock", "bun.lockb"}, "", []string{"/root/.bun/install/cache"}},
	{"pip", "install", nil, "", []string{"/root/.cache/pip"}},
	{"pip3", "install", nil, "", []string{"/root/.cache/pip"}},
	{"uv", "sync", []string{"pyproject.toml", "uv.lock"}, "--no-install-project", []string{"/root/.cache/uv"}},
	{"poetry", "install", []string{"pyproject.toml", "poetry.lock"}, "--no-root", []string{"/root/.cache/pypoetry"}},
	{"pipenv", "install|sync", []string{"Pipfile", "Pipfile.lock"}, "", []string{"/root/.cache/pipenv"}},
	{"go", "mod download", []string{"go.mod", "go.sum", "go.work", "go.work.sum"}, "", []string{"/go/pkg/mod"}},
	{"bundle", "install", []string{"Gemfile", "Gemfile.lock"}, "", []string{"/usr/local/bundle/cache"}},
	{"gem", "install", nil, "", nil},
	{"cargo", "fetch|install", []string{"Cargo.toml", "Cargo.lock"}, needsSources, []string{"/usr/local/cargo/registry"}},
	{"composer", "install", []string{"composer.json", "composer.lock"}, "--no-autoloader", nil},
	{"mvn", "dependency:go-offline|dependency:resolve", []string{"pom.xml"}, "", []string{"/root/.m2"}},
	{"dotnet", "restore", []string{"*.csproj", "*.fsproj", "*.sln", "NuGet.Config"}, needsSources, []string{"/root/.nuget/packages"}},
	{"apt-get", "install", nil, "", []string{"/var/cache/apt", "/var/lib/apt"}},
	{"apt", "install", nil, "", []string{"/var/cache/apt", "/var/lib/apt"}},
	{"apk", "add", nil, "", nil},
	{"dnf", "install", nil, "", []string{"/var/cache/dnf"}},
	{"microdnf", "install", nil, "", []string{"/var/cache/dnf"}},
	{"yum", "install", nil, "", []string{"/var/cache/yum"}},
}

// An install is what a RUN instruction installs by package managers.
type install struct {
	managers  []manager
	manifests []string // names of the files that decide what is installed, as path.Match has them
	packages  []string // that the command lines name
	// alone tells that the instruction does nothing else and needs no other files.
	alone    bool
	uncached bool // its options have it keep no downloads
}

// installs reads a RUN instruction's command; false where no package manager installs anything, or the shell's words are none that are
// understood.
func installs(command string) (install, bool) {
	file, err := syntax.NewParser().Parse(strings.NewReader(command), "")
	if err != nil {
		return install{}, false
	}
	found := install{alone: true}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.CallExpr:
			found.call(words(n))
		case *syntax.CmdSubst, *syntax.ProcSubst:
			found.alone = false
		}
		return true
	})
	return found, len(found.managers) > 0
}

// words are a command's, as far as they are written down; a variable's stands as it is.
func words(call *syntax.CallExpr) []string {
	var words []string
	for _, w := range call.Args {
		text := w.Lit()
		if text == "" && len(w.Parts) == 1 {
			switch quoted := w.Parts[0].(type) {
			case *syntax.SglQuoted:
				text = quoted.Value
			case *syntax.DblQuoted:
				text = (&syntax.Word{Parts: quoted.Parts}).Lit()
			}
		}
		words = append(words, text)
	}
	return words
}

// idle are programs beside which an installation is still one: they need no file of the sources.
var idle = [...]string{"rm", "mkdir", "echo", "set", "true", "export", "update-ca-certificates", "ln"}

// tidying are words after a package manager's name that install nothing, and need no sources either.
var tidying = [...]string{"update", "clean", "autoremove", "autoclean", "cache", "config", "upgrade", "purge", "remove", "del"}

func (i *install) call(words []string) {
	if len(words) > 2 && strings.HasPrefix(words[0], "python") && words[1] == "-m" {
		words = words[2:]
	}
	if len(words) > 1 && (words[0] == "sudo" || words[0] == "uv" && words[1] == "pip") {
		words = words[1:]
	}
	if len(words) == 0 || slices.Contains(idle[:], words[0]) {
		return
	}
	rest := plain(words[1:])
	for _, m := range managers {
		if m.program != path.Base(words[0]) {
			continue
		}
		if verb, ok := m.verb(rest); ok {
			i.managers = append(i.managers, m)
			i.take(m, words[1:], rest[len(strings.Fields(verb)):])
			return
		}
		if len(rest) > 0 && slices.Contains(tidying[:], rest[0]) {
			return
		}
	}
	i.alone = false
}

func (m manager) verb(rest []string) (string, bool) {
	for verb := range strings.SplitSeq(m.verbs, "|") {
		fields := strings.Fields(verb)
		if len(fields) == 0 && len(rest) == 0 || len(fields) > 0 && len(rest) >= len(fields) && slices.Equal(rest[:len(fields)], fields) {
			return verb, true
		}
	}
	return "", false
}

// plain are words that are no options.
func plain(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "-") })
}

// take reads what one installation needs: all its words, and those after its verb that are no options.
func (i *install) take(m manager, all, rest []string) {
	i.uncached = i.uncached || slices.ContainsFunc(all, func(w string) bool { return strings.HasPrefix(w, "--no-cache") })
	global := slices.Contains(all, "-g") || slices.Contains(all, "--global")
	switch {
	case strings.HasPrefix(m.program, "pip") && m.program != "pipenv":
		rest = i.requirements(all, rest)
	case !global:
		i.manifests = append(i.manifests, m.manifests...)
		// With names it may be about another folder, or changes what the files say.
		i.alone = i.alone && (m.with == "" || slices.Contains(all, m.with)) && (m.manifests == nil || len(rest) == 0)
	}
	for _, name := range rest {
		// A path is one of the sources'.
		i.alone = i.alone && name != "" && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "/")
		i.packages = append(i.packages, name)
	}
}

// requirements takes from pip's words the files that say what it installs, and returns the packages that it names.
// https://pip.pypa.io/en/stable/cli/pip_install/
func (i *install) requirements(all, rest []string) []string {
	for at, word := range all {
		if name, ok := strings.CutPrefix(word, "--requirement="); ok {
			i.manifests = append(i.manifests, path.Base(name))
		}
		if slices.Contains([]string{"-r", "--requirement", "-c", "--constraint"}, word) && at+1 < len(all) {
			i.manifests = append(i.manifests, path.Base(all[at+1]))
			rest = slices.DeleteFunc(slices.Clone(rest), func(w string) bool { return w == all[at+1] })
		}
		i.alone = i.alone && word != "-e" && word != "--editable"
	}
	return rest
}

// isManifest reports whether a file, or the source of a COPY, is known to say what is installed rather than to be of the sources.
func isManifest(file string) bool {
	name := path.Base(file)
	if strings.HasPrefix(name, "requirements") || strings.HasPrefix(name, "constraints") {
		return true
	}
	return slices.ContainsFunc(managers[:], func(m manager) bool { return matchesAny(m.manifests, name) || slices.Contains(m.manifests, name) }) ||
		name == "package*.json"
}

// matchesAny reports whether a file's name is one of some, which may be patterns.
func matchesAny(patterns []string, file string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { hit, err := path.Match(p, path.Base(file)); return hit && err == nil })
}

// builders are programs that make of sources what runs, with the words that have them do so; none where any do.
var builders = map[string][]string{
	"go": {"build", "install"}, "cargo": {"build", "install"}, "mvn": {"package", "install", "verify"}, "gradle": {"build", "assemble"}, "dotnet": {"publish", "build"},
	"make": nil, "cmake": nil, "gcc": nil, "g++": nil, "cc": nil, "rustc": nil, "javac": nil,
}

// builds reports whether a RUN instruction's command makes of sources what runs.
func builds(command string) bool {
	file, err := syntax.NewParser().Parse(strings.NewReader(command), "")
	if err != nil {
		return false
	}
	found := false
	syntax.Walk(file, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		words := words(call)
		verbs, known := builders[path.Base(words[0])]
		found = found || known && (verbs == nil || slices.ContainsFunc(words[1:], func(w string) bool { return slices.Contains(verbs, w) }))
		return true
	})
	return found
}
