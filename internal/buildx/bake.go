package buildx

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/platforms"
	"github.com/docker/buildx/bake"
	"github.com/docker/buildx/bake/hclparser"
	"github.com/docker/buildx/util/buildflags"
	"github.com/docker/buildx/util/urlutil"
	"github.com/docker/go-units"
	"github.com/hashicorp/hcl/v2"

	"github.com/org/ghcr-publish/internal/service"
)

// A BakeFile is a file of targets, by its name relative to the workspace.
type BakeFile = bake.File

// A Bake reads targets as services, by buildx's own parser.
type Bake struct {
	Workspace string            // absolute
	Vars      map[string]string // all that a file's variables are taken from
}

// Services reads bake files, as `docker buildx bake` merges them: the targets of the group default, or where there
// is none, all but those that only others are made of. The error is a service.Problems.
func (b Bake) Services(files []BakeFile) (service.Found, error) {
	config, variables, err := b.parse(files)
	if err != nil {
		return service.Found{}, err
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	found, err := b.services(config, strings.Join(names, ", "), bakeTarget)
	found.Left = append(found.Left, unused(config, strings.Join(names, ", "), found.Services)...)
	if len(variables) > 0 {
		found.Left = append(found.Left, fmt.Sprintf("%s: the variables %s have their defaults, or what they are in the environment: set them by `env:` of the step.", strings.Join(names, ", "), strings.Join(variables, ", ")))
	}
	return found, err
}

// bakeTarget is what bake files call what they build.
const bakeTarget = "target"

// Compose reads what the services of a Compose file build. The file is whole: all it extends and includes is in it,
// and its paths are absolute. A dot in a service's name becomes an underscore.
func (b Bake) Compose(file string, text []byte) (service.Found, error) {
	config, err := bake.ParseCompose([]composetypes.ConfigFile{{Filename: file, Content: text}}, maps.Clone(b.Vars))
	if err != nil {
		return service.Found{}, service.Problems{{Where: file, What: err.Error()}}
	}
	return b.services(*config, file, "service")
}

// parse does what bake.ParseFiles does, but for two things: that also looks for variables in this process's own
// environment, which holds tokens; and it reads no Compose files. The variables are those that the files themselves declare.
func (b Bake) parse(files []BakeFile) (config bake.Config, variables []string, err error) {
	var parsed []*hcl.File
	for _, f := range files {
		file, _, err := bake.ParseHCLFile(f.Data, f.Name)
		if err != nil {
			return config, nil, mistakes(err, f.Name)
		}
		parsed = append(parsed, file)
	}
	lookup := func(name string) (string, bool) { value, ok := b.Vars[name]; return value, ok }
	builtin := map[string]string{"BAKE_CMD_CONTEXT": here, "BAKE_LOCAL_PLATFORM": platforms.Format(platforms.DefaultSpec())}
	meta, wrong := hclparser.Parse(hclparser.MergeFiles(parsed), hclparser.Opt{LookupVar: lookup, Vars: builtin, ValidateLabel: targetLabel}, &config)
	if wrong.HasErrors() {
		return config, nil, mistakes(wrong, files[0].Name)
	}
	for _, v := range meta.AllVariables {
		variables = append(variables, v.Name)
	}
	slices.Sort(variables)
	for _, renamed := range meta.Renamed { // targets of a matrix, by the name of what they come from
		for _, name := range slices.Sorted(maps.Keys(renamed)) {
			if made := renamed[name]; !slices.Equal(made, []string{name}) {
				config.Groups = append(config.Groups, &bake.Group{Name: name, Targets: made})
			}
		}
	}
	config.Targets = mergeTargets(config.Targets)
	return config, variables, nil
}

// here is how bake names the folder that it is started in, and what is below it.
const here = "cwd://"

func targetLabel(name string) error {
	if !label.MatchString(name) {
		return fmt.Errorf("only letters, digits and _ - are allowed in a name")
	}
	return nil
}

var label = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// mergeTargets makes one target of those of one name, a later one's words winning.
func mergeTargets(targets []*bake.Target) []*bake.Target {
	var merged []*bake.Target
	byName := map[string]*bake.Target{}
	for _, t := range targets {
		if first := byName[t.Name]; first != nil {
			first.Merge(t)
			continue
		}
		byName[t.Name] = t
		merged = append(merged, t)
	}
	return merged
}

// mistakes says where a file is wrong, as far as the parser tells.
func mistakes(err error, file string) error {
	var found hcl.Diagnostics
	if !errors.As(err, &found) {
		return service.Problems{{Where: file, What: err.Error()}}
	}
	var problems service.Problems
	for _, d := range found {
		where := file
		if d.Subject != nil {
			where = fmt.Sprintf("%s:%d:%d", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column)
		}
		if d.Severity == hcl.DiagError {
			problems.Add(where, "", "%s", strings.TrimSuffix(d.Summary+": "+d.Detail, "."))
		}
	}
	return problems.Err()
}

// services turns the targets that are published into services.
func (b Bake) services(config bake.Config, file, kind string) (service.Found, error) {
	m := mapper{Bake: b, kind: kind}
	targets := map[string]*bake.Target{}
	for _, t := range config.Targets {
		resolved, err := config.ResolveTarget(t.Name, nil, &bake.EntitlementConf{})
		if err != nil {
			return service.Found{}, service.Problems{{Where: file, What: err.Error()}}
		}
		targets[t.Name] = resolved
	}
	var found service.Found
	names := published(config, targets)
	slices.Sort(names) // the parsers keep no order
	for _, name := range names {
		if targets[name] == nil {
			m.problems.Add(file, "", "the group default names %q, which is no target", name)
			continue
		}
		m.at, m.names = fmt.Sprintf("%s: %s %s", file, kind, name), names
		found.Services = append(found.Services, m.service(name, targets[name]))
	}
	found.Left = m.left
	return found, m.problems.Err()
}

// unused says which targets are no services, but for those that are there to be inherited from.
func unused(config bake.Config, file string, services []service.Service) (left []string) {
	for _, t := range config.Targets {
		published := slices.ContainsFunc(services, func(s service.Service) bool { return s.Name == t.Name })
		inherited := slices.ContainsFunc(config.Targets, func(other *bake.Target) bool { return slices.Contains(other.Inherits, t.Name) })
		if !published && !inherited && !strings.HasPrefix(t.Name, "_") {
			left = append(left, fmt.Sprintf("%s: the target %s is not in the group default, so it is not published: add it there if it should be.", file, t.Name))
		}
	}
	slices.Sort(left)
	return left
}

// published names the targets that are services.
func published(config bake.Config, targets map[string]*bake.Target) []string {
	group := func(g *bake.Group) bool { return g.Name == "default" }
	if slices.ContainsFunc(config.Groups, group) || targets["default"] != nil {
		names, _ := config.ResolveGroup("default")
		return names
	}
	parts := map[string]bool{} // of others
	for _, t := range config.Targets {
		for _, parent := range t.Inherits {
			parts[parent] = parts[parent] || abstract(parent, config.Targets)
		}
		for _, at := range targets[t.Name].Contexts {
			if linked, ok := strings.CutPrefix(at, linkTo); ok && targets[linked] != nil {
				parts[linked] = parts[linked] || targets[linked].Tags == nil
			}
		}
	}
	var names []string
	for _, t := range config.Targets {
		if !parts[t.Name] {
			names = append(names, t.Name)
		}
	}
	return names
}

// abstract reports whether a target is there to be inherited from alone: nothing in it says what to build.
func abstract(name string, targets []*bake.Target) bool {
	return strings.HasPrefix(name, "_") || slices.ContainsFunc(targets, func(t *bake.Target) bool {
		return t.Name == name && t.Tags == nil && t.Context == nil && t.Dockerfile == nil && t.DockerfileInline == nil && t.Target == nil
	})
}

const linkTo = "target:"

// A mapper says in a service's words what a target is.
type mapper struct {
	Bake
	at, kind string
	names    []string // of all services
	problems service.Problems
	left     []string // what is not taken over
}

func (m *mapper) leave(format string, args ...any) {
	m.left = append(m.left, m.at+": "+fmt.Sprintf(format, args...))
}

func (m *mapper) service(name string, t *bake.Target) service.Service {
	s := service.Service{At: m.at, Name: name, Image: name, Target: text(t.Target), BuildArgs: texts(t.Args), Labels: texts(t.Labels), Platforms: t.Platforms}
	s.Image = cmp.Or(m.image(t.Tags), s.Image)
	given := func(entitlement string) bool { return entitlement == "network.host" }
	if kept := slices.DeleteFunc(slices.Clone(t.Entitlements), given); len(kept) > 0 {
		m.leave("its entitlements %s are not given: of these, a service has `network: host` alone.", strings.Join(kept, ", "))
	}
	s.Context = m.folder("context", text(t.Context))
	if s.Inline = text(t.DockerfileInline); s.Inline == "" && s.Context != "" {
		s.Dockerfile = m.dockerfile(s.Context, text(t.Dockerfile))
	}
	s.Annotations = m.annotations(t.Annotations)
	s.Options = service.Options{Contexts: m.contexts(t.Contexts), Secrets: m.secrets(t.Secrets), Network: text(t.NetworkMode), ExtraHosts: texts(t.ExtraHosts),
		ShmSize: m.bytes(text(t.ShmSize)), Ulimits: pairs(t.Ulimits), NoCache: t.NoCache, NoCacheFilters: t.NoCacheFilter}
	for _, agent := range t.SSH {
		s.SSH = append(s.SSH, agent.String())
	}
	s.Provenance, s.SBOM = attestations(t.Attest)
	return s
}

// home is where images are published, unless another registry is named.
const home = "ghcr.io/"

// image is the name that the tags of a target give, of several the first on GitHub's registry; empty without any.
func (m *mapper) image(tags []string) string {
	var names []string
	for _, tag := range tags {
		if name := Repository(tag); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distance(a), distance(b)) })
	for _, other := range names[min(1, len(names)):] {
		if other != home+names[0] && home+other != names[0] {
			m.leave("it is %s as well: name its registry under `mirrors`, which get copies.", other)
		}
	}
	if m.kind == bakeTarget && slices.ContainsFunc(tags, func(tag string) bool { return strings.HasSuffix(tag, ":latest") }) {
		m.leave("its tag `latest` is that of releases here: `type=raw,value=latest,enable={{is_default_branch}}` under `tags` gives it to what the default branch has, too.")
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// distance orders names: those on GitHub's registry, which mere names are completed to be, those that Docker takes to be on its own, and others.
func distance(image string) int {
	host, _, nested := strings.Cut(image, "/")
	switch {
	case !nested || strings.HasPrefix(image, home):
		return 0
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return 1
	default:
		return 2
	}
}

// Repository is an image's name without its tag and digest.
func Repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		return image[:colon]
	}
	return image
}

// local is a path as it is named from the workspace's root; an absolute one stays, if it is elsewhere.
func (b Bake) local(file string) string {
	file = strings.TrimPrefix(file, here)
	if relative, err := filepath.Rel(b.Workspace, file); err == nil && filepath.IsAbs(file) && filepath.IsLocal(relative) {
		file = relative
	}
	return path.Clean(filepath.ToSlash(file))
}

const remoteFix = "build from a folder of the repository, or write a configuration file"

// folder is where a target is built; empty where that is not in the repository.
func (m *mapper) folder(what, at string) string {
	if urlutil.IsRemoteURL(at) || at == "-" {
		m.problems.Add(m.at, remoteFix, "%s %q is not in this repository", what, at)
		return ""
	}
	return m.local(at)
}

// dockerfile is relative to the context, but where it says otherwise.
func (m *mapper) dockerfile(context, file string) string {
	if urlutil.IsRemoteURL(file) || strings.HasPrefix(file, here) || filepath.IsAbs(file) {
		return m.folder("dockerfile", file)
	}
	return path.Join(context, filepath.ToSlash(file))
}

// contexts are the named ones. An image of another target can be one if that is a service.
func (m *mapper) contexts(all map[string]string) map[string]string {
	if len(all) == 0 {
		return nil
	}
	contexts := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		at := all[name]
		linked, ok := strings.CutPrefix(at, linkTo)
		switch {
		case ok && !slices.Contains(m.names, linked):
			m.problems.Add(m.at, "publish that too (in a bake file, add it to the group default), or write a configuration file", "context %s is the image of %q, which is not published", name, linked)
		case ok:
			contexts[name] = "service:" + linked
		case strings.HasPrefix(at, here) || !strings.Contains(at, "://") && !urlutil.IsRemoteURL(at):
			contexts[name] = m.local(at)
		default:
			contexts[name] = at
		}
	}
	return contexts
}

// secrets are found as BuildKit finds them. Which variables there are is not all known here, so a name that is one
// of a variable by its looks is taken for that.
func (m *mapper) secrets(all buildflags.Secrets) map[string]string {
	if len(all) == 0 {
		return nil
	}
	secrets := map[string]string{}
	for _, s := range all {
		_, known := m.Vars[s.ID]
		switch {
		case s.Env != "":
			secrets[s.ID] = "env:" + s.Env
		case s.FilePath != "":
			secrets[s.ID] = "file:" + m.local(s.FilePath)
		case known || shouted.MatchString(s.ID):
			secrets[s.ID] = "env:" + s.ID
		default:
			secrets[s.ID] = "file:" + s.ID
		}
	}
	return secrets
}

var shouted = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// annotations go where this program puts them, whatever level of the image they were meant for.
func (m *mapper) annotations(all []string) map[string]string {
	var annotations map[string]string
	for _, a := range all {
		parsed, err := buildflags.ParseAnnotations([]string{a})
		if err != nil {
			m.problems.Add(m.at, "", "%v", err)
		}
		for key, value := range parsed {
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[key.Key] = value
		}
	}
	return annotations
}

func (m *mapper) bytes(size string) int64 {
	if size == "" {
		return 0
	}
	n, err := units.RAMInBytes(size)
	if err != nil {
		m.problems.Add(m.at, "write it as 512M or 2G", "shm-size %q is no amount of memory", size)
	}
	return n
}

// attestations are what buildx understands by them.
// https://docs.docker.com/build/metadata/attestations/
func attestations(all buildflags.Attests) (provenance, sbom string) {
	for _, a := range all {
		switch {
		case a.Type == "provenance" && a.Disabled:
			provenance = "false"
		case a.Type == "provenance" && a.Attrs["mode"] == "max":
			provenance = "max"
		case a.Type == "provenance":
			provenance = "min"
		case a.Type == "sbom" && a.Disabled:
			sbom = "false"
		case a.Type == "sbom" && a.Attrs["generator"] != "":
			sbom = a.Attrs["generator"]
		case a.Type == "sbom":
			sbom = "true"
		}
	}
	return provenance, sbom
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// texts leaves out what has no value.
func texts(values map[string]*string) map[string]string {
	var all map[string]string
	for key, value := range values {
		if value == nil {
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = *value
	}
	return all
}

func pairs(list []string) map[string]string {
	var all map[string]string
	for _, pair := range list {
		if all == nil {
			all = map[string]string{}
		}
		key, value, _ := strings.Cut(pair, "=")
		all[key] = value
	}
	return all
}
