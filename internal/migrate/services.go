package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Reading is what workflows say of the images that they publish.
type Reading struct {
	Files        []string // that publish any
	Services     []Service
	Tags         []string // rules of docker/metadata-action, in its language
	Flavor       []string
	rule         scanRule          // of scans that refuse images
	Labels       map[string]string // of all images
	Annotations  map[string]string
	Branches     []string // whose pushes publish; empty where that is not said
	GitTags      []string // whose pushes publish
	TagsOnly     bool     // whether pushes of git tags alone publish
	Faults       []Fault
	Left         []string            // what was not taken over, and what to do about it
	Beside       []string            // what workflows do besides, which is left to whoever moves
	Mixed        []string            // files that have jobs which do something else
	Secrets      map[string]string   // expressions of GitHub's by the variables that builds have their secrets from
	Found        []Service           // that each run finds by itself, so that the configuration need not list them
	FoundIn      string              // the files that each run finds them in
	Varying      map[string][]string // keys by service that variables give, so that they are not listed
	unlisted     int                 // services that are found besides
	baked        string              // where a workflow builds the targets of a bake file
	branchesPush bool                // whether pushes of branches publish
	named        []naming            // of each image that is built
	unsettled    []string            // build arguments that are only known when a build runs
}

// A Service is an image that is published, in the keys of the configuration.
type Service struct {
	Name       string            `yaml:"name"`
	Image      string            `yaml:"image"`
	Context    string            `yaml:"context"`
	Dockerfile string            `yaml:"dockerfile,omitempty"`
	Inline     string            `yaml:"dockerfile_inline,omitempty"`
	Target     string            `yaml:"target,omitempty"`
	Platforms  []string          `yaml:"platforms,omitempty,flow"`
	BuildArgs  map[string]string `yaml:"build_args,omitempty"`
	Contexts   map[string]string `yaml:"contexts,omitempty"`
	Secrets    map[string]string `yaml:"secrets,omitempty"`
	Options    options           `yaml:",inline"`
	Paths      []string          `yaml:"paths,omitempty,flow"`
	DependsOn  []string          `yaml:"depends_on,omitempty,flow"`
	Port       int               `yaml:"port,omitempty"`
	Health     string            `yaml:"health_endpoint,omitempty"`
	Trial      trial             `yaml:",inline"`
	Choice     []int             `yaml:"-"` // ports of which somebody must say which one answers
}

// Read reads the workflows of a repository, which is OWNER/NAME, and the actions that these are made of. What is no workflow at all is an error.
func Read(files []File, repository string) (Reading, error) {
	var all Reading
	known, err := newLibrary(files, repository)
	if err != nil {
		return all, err
	}
	for _, w := range known.roots() {
		if publish := w.publish(); len(publish) > 0 {
			all.Files = union(all.Files, append([]string{w.file}, publish...))
			all.add(w)
			all.beside(w, known)
		}
		all.unread(w, known)
	}
	slices.Sort(all.Files)
	for _, name := range all.Files {
		if w, there := known.workflows[name]; there {
			all.Faults = append(all.Faults, w.faults()...)
		}
	}
	all.TagsOnly = len(all.GitTags) > 0 && !all.branchesPush
	all.latest()
	if all.baked != "" && len(all.Services) > 0 {
		all.leave("%s builds the targets of a bake file, which are not found where services are listed: list them, too.", all.baked)
	}
	return all, nil
}

// defaultContext is the repository itself, in which the Dockerfile is looked for below the folder that may follow.
// https://github.com/docker/build-push-action#git-context
const defaultContext = "{{defaultContext}}"

const (
	buildAction    = "docker/build-push-action"
	metadataAction = "docker/metadata-action"
	bakeAction     = "docker/bake-action"
	filterAction   = "dorny/paths-filter"
)

// publish are the files of a workflow and of what it calls that build images, and not by this action.
func (w workflow) publish() (files []string) {
	for _, j := range w.jobs {
		for _, s := range j.text.Steps {
			if s.builds() {
				files = union(files, append([]string{j.file}, j.through...))
			}
		}
	}
	return files
}

// pushes reports whether a step builds an image and pushes it, at times at least.
func (s step) pushes() bool {
	push, outputs := s.With["push"].text, s.With["outputs"].text
	return s.action() == buildAction && (push != "" && push != "false" || pushing.MatchString(outputs))
}

// pushing finds outputs that push, or that do where an expression holds.
var pushing = regexp.MustCompile(`\b(push=(true|\$\{\{)|type=registry)`)

func (all *Reading) add(w workflow) {
	all.starts(w)
	root, ruled := w, len(all.Tags)
	for _, j := range w.jobs {
		w.file, w.text.Env = j.file, j.env
		for _, s := range j.text.Steps {
			switch {
			case s.pushes():
				for _, r := range j.rows {
					all.build(w, j, s, r)
				}
			case s.action() == bakeAction:
				all.bake(w, j, s)
			case s.action() == metadataAction:
				all.metadata(w, s)
			case s.action() == trivyAction:
				all.scan(w, j, s)
			case s.published:
				all.commands(w, j, s)
			}
		}
	}
	if ruled > 0 && len(all.Tags) > ruled {
		all.leave("%s: its rules for tags stand beside those of the workflows before it, and here every run has them all: take out of `tags` what some runs alone are to move.", root.file)
	}
	all.paths(root)
}

// commands adds what a step builds by commands, for each row of its job.
func (all *Reading) commands(w workflow, j job, s step) {
	made, readable := s.byCommands(cmp.Or(s.Dir, j.text.Defaults.Run.Dir))
	if !readable {
		all.leave("%s:%d builds by a command: write down what it builds as a service.", w.file, s.line())
	}
	for _, one := range made {
		for _, r := range j.rows {
			all.build(w, j, one, r)
		}
	}
}

func (all *Reading) leave(format string, args ...any) {
	if said := fmt.Sprintf(format, args...); !slices.Contains(all.Left, said) {
		all.Left = append(all.Left, said)
	}
}

// build adds what a step builds for a row of its job.
func (all *Reading) build(w workflow, j job, s step, r row) {
	in := w.scope(j, s, r)
	get := func(name string) string {
		text, whole := in.fill(s.With[name].text)
		if !whole {
			all.leave("%s:%d: %s is %q, which is only known when it runs: write what it is under `%s` of the service.", w.file, s.With[name].line, name, s.With[name].text, strings.Replace(name, "file", "dockerfile", 1))
			return ""
		}
		return strings.TrimSpace(text)
	}
	place := s.With["context"].text + s.With["file"].text
	if filled, whole := in.fill(place); !whole && !j.written && strings.Contains(filled, "matrix.") {
		all.leave("%s:%d builds by a matrix that is made at run time: list under `services` what that is, by the names that the images have so far%s.", w.file, s.line(), calledSoFar(j, s))
		return
	}
	made := Service{Target: get("target"), Platforms: list(get("platforms"))}
	made.Context, made.Dockerfile = all.place(w, s, get("context"), get("file"))
	made.Image = all.image(w, j, s, in)
	if made.Image == "" && made.Context != "." {
		made.Image = path.Base(made.Context)
	}
	made.Image = strings.ToLower(cmp.Or(made.Image, path.Base(w.repository)))
	made.Name = path.Base(made.Image)
	if in.varies(s) {
		made.Name = named(made, in.row)
	}
	var unsettled []string
	made.BuildArgs, unsettled = all.arguments(w, s, in)
	made.Secrets = all.secrets(w, j, s, made.Name)
	all.others(w, s, in, &made)
	if len(made.Platforms) == 0 {
		made.Platforms = []string{"linux/amd64"} // which is what GitHub's runners are
	}
	all.named = append(all.named, w.naming(j, s, in))
	if given := s.With["tags"]; given.text != "" && !strings.Contains(given.text, "steps.") {
		all.leave("%s:%d names the tags itself: here `tags` has the rules, by default of branches, versions and commits.", w.file, given.line)
	}
	if port, err := strconv.ParseUint(first(in.row, "port", "health_port", "container_port"), 10, 16); err == nil {
		made.Port = int(port)
	}
	if health := first(in.row, "health_endpoint", "health", "healthcheck", "health_path", "health_check"); strings.HasPrefix(health, "/") {
		made.Health = health
	}
	if made.Port == 0 {
		made.Health = "" // which is asked for at a port
	}
	all.unsettled = union(all.unsettled, unsettled)
	all.join(made, fmt.Sprintf("%s:%d", w.file, s.line()))
}

// join adds a service, or the platforms that another job builds of it. What builds an image in another way for the same platform, as tags tell
// apart, becomes an image of its own: a service has one build.
func (all *Reading) join(made Service, at string) {
	same := slices.IndexFunc(all.Services, func(s Service) bool { return s.Image == made.Image })
	if same < 0 {
		all.Services = append(all.Services, made)
		return
	}
	have := &all.Services[same]
	differing := have.differs(made, all.unsettled)
	switch {
	case differing == "":
		have.Platforms = union(have.Platforms, made.Platforms)
	case len(union(slices.Clone(have.Platforms), made.Platforms)) == len(have.Platforms)+len(made.Platforms):
		all.leave("%s builds %s with another %s for %s than for %s: here all platforms of a service are built alike, as %s is.", at, made.Image, differing, strings.Join(made.Platforms, ", "),
			strings.Join(have.Platforms, ", "), strings.Join(have.Platforms, ", "))
		have.Platforms = union(have.Platforms, made.Platforms)
	default:
		image := made.Image
		suffix := "-" + made.suffix(*have, all.unsettled)
		made.Name, made.Image = path.Base(image)+suffix, image+suffix
		all.leave("%s builds %s with another %s as well, which its tags tell apart: here that is an image of its own, %s.", at, image, differing, made.Image)
		all.join(made, at)
	}
}

// differs is in what a service is built otherwise than another, but for arguments that are not known; empty where it is not.
func (s Service) differs(other Service, unsettled []string) string {
	switch {
	case s.Context != other.Context:
		return "context"
	case s.dockerfile() != other.dockerfile():
		return "Dockerfile"
	case s.Target != other.Target:
		return "stage"
	case s.argument(other, unsettled) != "":
		return "build argument"
	}
	return ""
}

// argument is the first build argument that is another one than that of another service. One that is empty is as good as none.
func (s Service) argument(other Service, unsettled []string) string {
	for _, name := range union(slices.Sorted(maps.Keys(s.BuildArgs)), slices.Sorted(maps.Keys(other.BuildArgs))) {
		if s.BuildArgs[name] != other.BuildArgs[name] && !slices.Contains(unsettled, name) {
			return name
		}
	}
	return ""
}

var noName = regexp.MustCompile(`[^a-z0-9]+`)

// suffix is a word for what a service is built by otherwise than another.
func (s Service) suffix(other Service, unsettled []string) string {
	word := s.Target
	switch s.differs(other, unsettled) {
	case "context":
		word = path.Base(s.Context)
	case "Dockerfile":
		word = strings.NewReplacer("Dockerfile.", "", ".Dockerfile", "").Replace(path.Base(s.dockerfile()))
		if word == "Dockerfile" {
			word = path.Base(path.Dir(s.dockerfile()))
		}
	case "build argument":
		word = s.BuildArgs[s.argument(other, unsettled)]
	}
	word = noName.ReplaceAllString(strings.ToLower(word), "-")
	return cmp.Or(strings.Trim(word[:min(len(word), 30)], "-"), "other")
}

// place is where a step builds, and the Dockerfile that must be named.
func (all *Reading) place(w workflow, s step, context, file string) (folder, dockerfile string) {
	below, whole := strings.CutPrefix(context, defaultContext)
	if !whole {
		folder = all.folder(w, s, context)
		return folder, unusual(cleaned(file), folder)
	}
	folder = cmp.Or(cleaned(strings.TrimPrefix(below, ":")), ".")
	return folder, unusual(cleaned(path.Join(folder, cmp.Or(file, "Dockerfile"))), folder)
}

// folder is a context in the repository.
func (all *Reading) folder(w workflow, s step, text string) string {
	if strings.Contains(text, "://") {
		all.leave("%s:%d builds from %s; here it is built from the clone.", w.file, s.line(), text)
		text = ""
	}
	return cmp.Or(cleaned(text), ".")
}

// cleaned is a path in the repository; empty for none.
func cleaned(text string) string {
	if text == "" {
		return ""
	}
	return strings.TrimPrefix(path.Clean("/"+text), "/")
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ' ' })
}

// outputName is the name in a step's outputs, where it pushes without a tag.
var outputName = regexp.MustCompile(`(?m)(?:^|,)"?name=([^",\n]+)`)

// calledSoFar is what a step says of the names of its images.
func calledSoFar(j job, s step) string {
	names := []string{s.With["tags"].text}
	if m := outputName.FindStringSubmatch(s.With["outputs"].text); m != nil {
		names = append(names, m[1])
	}
	for _, other := range append(slices.Clone(j.around), j.text.Steps...) {
		if other.action() == metadataAction {
			names = append(names, other.With["images"].text)
		}
	}
	var all []string
	for line := range strings.Lines(strings.Join(names, "\n")) {
		if line = strings.TrimSpace(line); strings.Contains(line, "/") {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return ", of " + strings.Join(all, ", ")
}

// image is the repository that a step pushes to, as docker/metadata-action or the step itself names it.
func (all *Reading) image(w workflow, j job, s step, in scope) string {
	names := strings.Split(s.With["tags"].text, "\n")
	if m := outputName.FindStringSubmatch(s.With["outputs"].text); m != nil {
		names = append(names, m[1])
	}
	var others []string // of steps that this one does not name
	for _, other := range append(slices.Clone(j.around), j.text.Steps...) {
		images := strings.Split(other.With["images"].text, "\n")
		switch {
		case other.action() != metadataAction:
		case other.ID == "" || strings.Contains(s.With["tags"].text, "steps."+other.ID+"."):
			names = images
		default:
			others = union(others, images)
		}
	}
	found, elsewhere, unknown := pushed(names, in, w.repository)
	if found == "" && len(elsewhere) == 0 {
		if found, elsewhere, _ = pushed(others, in, w.repository); found != "" || len(elsewhere) > 0 {
			unknown = nil
		}
	}
	for _, text := range unknown {
		all.leave("%s:%d: the image's name is %q, which is only known when it runs: write the name that it has so far under `image` of the service.", w.file, s.line(), text)
	}
	for _, name := range elsewhere {
		all.leave("%s:%d publishes to %s: name that under `mirrors`, which is copied to from ghcr.io.", w.file, s.line(), name)
	}
	if found == "" && len(elsewhere) > 0 {
		return path.Base(elsewhere[len(elsewhere)-1])
	}
	return found
}

// pushed is the first of some names that is on ghcr.io, those that are elsewhere, and those that are not known.
func pushed(names []string, in scope, repository string) (found string, elsewhere, unknown []string) {
	for _, text := range names {
		text = strings.TrimPrefix(strings.TrimSpace(text), "name=")
		name, _, _ := strings.Cut(text, ",")
		filled, whole := in.fill(name)
		if filled = untagged(filled); filled == "" || strings.Contains(filled, "${{") {
			if !whole && found == "" {
				unknown = append(unknown, filled)
			}
			continue
		}
		image, here := below(filled, path.Dir(repository))
		switch {
		case here && found == "":
			found = image
		case !here:
			elsewhere = append(elsewhere, filled)
		}
	}
	return found, elsewhere, unknown
}

func untagged(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		image = image[:i]
	}
	return image
}

// below is an image's name as the configuration has it: right below its owner's on ghcr.io, or as a whole; false where it is elsewhere.
func below(image, owner string) (string, bool) {
	host, rest, nested := strings.Cut(image, "/")
	if !nested || host != "ghcr.io" {
		return "", false
	}
	image, rest = strings.ToLower(image), strings.ToLower(rest)
	if own, mine := strings.CutPrefix(rest, strings.ToLower(owner)+"/"); mine && !strings.Contains(own, "/") {
		return own, true
	}
	return image, true
}

// named is what a service is called: as its row says, or as its image or its folder is.
func named(s Service, r row) string {
	name := first(r, "service", "name", "component", "app", "service.name", "image")
	if !s.take("name", name) { // as it may not be one
		return path.Base(s.Image)
	}
	return name
}

func first(r row, keys ...string) string {
	for _, key := range keys {
		for _, have := range slices.Sorted(maps.Keys(r)) {
			if strings.EqualFold(have, key) || strings.HasSuffix(strings.ToLower(have), "."+key) {
				return r[have]
			}
		}
	}
	return ""
}

// arguments are those of a build that say the same each time, and the names of those that are not known.
func (all *Reading) arguments(w workflow, s step, in scope) (found map[string]string, unsettled []string) {
	found = map[string]string{}
	for line := range strings.Lines(s.With["build-args"].text) {
		name, value, given := strings.Cut(strings.TrimSpace(line), "=")
		filled, whole := in.fill(value)
		switch {
		case !given || name == "":
		case whole:
			found[name] = filled
		default:
			unsettled = append(unsettled, name)
			all.leave("%s:%d: the build argument %s %s.", w.file, s.With["build-args"].line, name, unsettledArgument(filled))
		}
	}
	return found, unsettled
}

var (
	secretValue = regexp.MustCompile(`\$\{\{.*\b(secrets\.|github\.token\b)`)
	eachTime    = regexp.MustCompile(`\$\{\{.*(\bgithub\.(sha|ref|ref_name|head_ref|run_|event)|\bsteps\..*(version|revision|sha|ref|date|time|created|tag))`)
)

// unsettledArgument is why a build argument is not taken over, and what to do.
func unsettledArgument(value string) string {
	switch {
	case secretValue.MatchString(value):
		return "is a secret, which the image tells everybody: have the build read it as a secret, and name it under `secrets` of the service"
	case eachTime.MatchString(value):
		return "is another one each time, so nothing would be used again: labels tell version, commit and date"
	}
	return fmt.Sprintf("is %s, which is only known when it runs: write what it is under `build_args` of the service, or give it to the new workflow's step as `build-args`", value)
}

// metadata takes over rules for tags.
func (all *Reading) metadata(w workflow, s step) {
	for line := range strings.Lines(s.With["tags"].text) {
		rule, why := kept(strings.TrimSpace(line))
		if why != "" {
			all.leave("%s:%d: the rule %q %s.", w.file, s.With["tags"].line, strings.TrimSpace(line), why)
		}
		if rule != "" && !slices.Contains(all.Tags, rule) {
			all.Tags = append(all.Tags, rule)
		}
	}
	for line := range strings.Lines(s.With["flavor"].text) {
		switch line = strings.TrimSpace(line); {
		case line == "" || slices.Contains(all.Flavor, line):
		case strings.Contains(line, "${{"):
			all.leave("%s:%d: %q is left out of `flavor`: it holds what is only known when it runs.", w.file, s.With["flavor"].line, line)
		default:
			all.Flavor = append(all.Flavor, line)
		}
	}
	all.Labels = all.pairs(w, s, "labels", all.Labels)
	all.Annotations = all.pairs(w, s, "annotations", all.Annotations)
}

// pairs adds those of a step to those that all images have.
func (all *Reading) pairs(w workflow, s step, key string, had map[string]string) map[string]string {
	for line := range strings.Lines(s.With[key].text) {
		name, value, given := strings.Cut(strings.TrimSpace(line), "=")
		other, there := had[name]
		switch {
		case name == "" || strings.HasPrefix(name, "#") || there && other == value:
		case !given || there || strings.Contains(line, "${{") || strings.Contains(name, ":"):
			all.leave("%s:%d: %q is left out: write it under `%s`, of all services or of one.", w.file, s.With[key].line, strings.TrimSpace(line), key)
		default:
			if had == nil {
				had = map[string]string{}
			}
			had[name] = value
		}
	}
	return had
}

// onDefaultBranch finds conditions that hold on the default branch alone.
var onDefaultBranch = regexp.MustCompile(`enable=\$\{\{\s*(github\.ref(_name)? == ('(refs/heads/)?(main|master)'|github\.event\.repository\.default_branch|format\('refs/heads/\{0\}', *github\.event\.repository\.default_branch\))` +
	`|endsWith\(github\.ref, *github\.event\.repository\.default_branch\))\s*\}\}`)

// onTag finds the rule that gives the name of a git tag.
var onTag = regexp.MustCompile(`^type=raw,value=\$\{\{\s*github\.ref_name\s*\}\},enable=\$\{\{\s*(startsWith\(github\.ref, *'refs/tags/'\)|github\.ref_type == 'tag')\s*\}\}$`)

// kept is a rule as it stays, and why it does not stay as it was.
func kept(rule string) (as, why string) {
	as = onTag.ReplaceAllString(onDefaultBranch.ReplaceAllString(rule, "enable={{is_default_branch}}"), "type=ref,event=tag")
	switch {
	case strings.HasPrefix(rule, "#"):
		return "", ""
	case strings.Contains(as, "${{") && strings.Contains(as, "inputs."):
		return "", "is left out: the input `tag` of the action adds one"
	case strings.Contains(as, "${{"):
		return "", "is left out, as it holds what is only known when it runs: write it under `tags` by expressions such as {{is_default_branch}}, where they say the same"
	case isLatest(as) && !strings.Contains(as, "enable="):
		return as + ",enable={{is_default_branch}}", "would move `latest` on every event, and is kept for the default branch alone"
	}
	return as, ""
}

func isLatest(rule string) bool {
	return strings.HasPrefix(rule, "type=raw") && strings.Contains(rule, "value=latest")
}

// paths takes over what dorny/paths-filter says of services, where it is more than their contexts.
func (all *Reading) paths(w workflow) {
	for _, j := range w.jobs {
		for _, s := range j.text.Steps {
			if s.action() != filterAction {
				continue
			}
			groups := filters(s)
			if groups == nil {
				all.leave("%s:%d: the filters could not be read; what counts as a change of a service is its context.", w.file, s.line())
				continue
			}
			all.group(groups)
			all.strangers(w, s, groups)
		}
	}
}

// strangers says which filters are of no service, and so not taken over.
func (all *Reading) strangers(w workflow, s step, groups map[string][]string) {
	var filters yaml.Node
	if yaml.Unmarshal([]byte(s.With["filters"].text), &filters) != nil || len(filters.Content) == 0 {
		return
	}
	for i := 0; i+1 < len(filters.Content[0].Content); i += 2 {
		name := filters.Content[0].Content[i]
		if len(groups[name.Value]) == 0 || slices.ContainsFunc(all.Services, func(made Service) bool { return strings.EqualFold(made.Name, name.Value) }) {
			continue
		}
		line := s.With["filters"].line
		if line <= len(w.lines) && strings.HasSuffix(strings.TrimSpace(w.lines[line-1]), "|") { // which the text begins below
			line += name.Line
		}
		all.leave("%s:%d: the filter %s has the name of no service: where %s is to count as a change of one, write that under `paths` of the service.", w.file, line, name.Value, strings.Join(groups[name.Value], ", "))
	}
}

func (all *Reading) group(groups map[string][]string) {
	for n := range all.Services {
		s := &all.Services[n]
		for _, name := range slices.Sorted(maps.Keys(groups)) {
			patterns := groups[name]
			if !strings.EqualFold(name, s.Name) || len(patterns) == 0 {
				continue
			}
			if len(patterns) == 1 && s.Context != "." && patterns[0] == s.Context+"/**" {
				continue
			}
			s.Paths = patterns
		}
	}
}

// union is a list and what another has beside it.
func union(a, b []string) []string {
	for _, item := range b {
		if !slices.Contains(a, item) {
			a = append(a, item)
		}
	}
	return a
}
