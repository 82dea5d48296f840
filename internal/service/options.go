package service

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v3"
)

// Options are what a build takes beside context, Dockerfile and arguments, as `docker buildx build` names it.
// https://docs.docker.com/reference/cli/docker/buildx/build/
type Options struct {
	// Contexts are named contexts: a folder of the repository, an address that buildx reads, such as
	// docker-image://…, or "service:NAME", the image of another service.
	Contexts map[string]string
	Secrets  map[string]string // by id: "env:NAME" or "file:PATH"; never the secret itself
	SSH      []string          // agent sockets or keys: "default" or "id=path"
	Network  string            // of RUN: "default", "none" or "host"; empty means default
	// ExtraHosts are addresses by host name.
	ExtraHosts     map[string]string
	ShmSize        int64             // bytes; 0 means BuildKit's own
	Ulimits        map[string]string // by name: "soft" or "soft:hard"
	CgroupParent   string
	NoCache        *bool    // build everything anew; nil means no
	NoCacheFilters []string // stages that are built anew
	Provenance     string   // "max", "min" or "false"; empty means the run's
	SBOM           string   // as the run's setting; empty means that
	Cache          string   // CacheAuto, a tier or CacheOff; empty means the run's
}

// What Cache may say: the tier in which the layers of builds are kept, or that it is chosen, or none.
const (
	CacheAuto     = "auto"
	CacheActions  = "gha" // the cache of GitHub Actions
	CacheRegistry = "registry"
	CacheLocal    = "local" // a folder
	CacheOff      = "off"
)

var caches = []string{CacheAuto, CacheActions, CacheRegistry, CacheLocal, CacheOff}

// over completes options by those of all services.
func (o Options) over(all Options) Options {
	o.Contexts = merged(all.Contexts, o.Contexts)
	o.Secrets = merged(all.Secrets, o.Secrets)
	o.ExtraHosts = merged(all.ExtraHosts, o.ExtraHosts)
	o.Ulimits = merged(all.Ulimits, o.Ulimits)
	if o.SSH == nil {
		o.SSH = all.SSH
	}
	if o.NoCacheFilters == nil {
		o.NoCacheFilters = all.NoCacheFilters
	}
	o.Network = cmp.Or(o.Network, all.Network)
	o.ShmSize = cmp.Or(o.ShmSize, all.ShmSize)
	o.CgroupParent = cmp.Or(o.CgroupParent, all.CgroupParent)
	o.NoCache = cmp.Or(o.NoCache, all.NoCache)
	o.Provenance = cmp.Or(o.Provenance, all.Provenance)
	o.SBOM = cmp.Or(o.SBOM, all.SBOM)
	o.Cache = cmp.Or(o.Cache, all.Cache)
	return o
}

// ImageOf returns the service whose image a named context is.
func ImageOf(context string) (service string, ok bool) { return strings.CutPrefix(context, imageOf) }

const imageOf = "service:"

// Folders lists the folders of the repository that are named contexts, by name.
func (o Options) Folders() map[string]string {
	folders := map[string]string{}
	for name, at := range o.Contexts {
		if isFolder(at) {
			folders[name] = at
		}
	}
	return folders
}

// Local lists what named contexts are of the repository, by name: folders, and image layouts.
func (o Options) Local() map[string]string {
	local := o.Folders()
	for name, at := range o.Contexts {
		if folder, ok := Layout(at); ok {
			local[name] = folder
		}
	}
	return local
}

// Layout is the folder of a named context that is an OCI image layout, oci-layout://folder[:tag][@digest].
func Layout(context string) (folder string, ok bool) {
	at, ok := strings.CutPrefix(context, layout)
	at, _, _ = strings.Cut(at, "@")
	at, _, _ = strings.Cut(at, ":")
	return at, ok
}

const layout = "oci-layout://"

// SecretVariables names the environment variables that hold the secrets.
func (o Options) SecretVariables() []string {
	var names []string
	for _, from := range o.Secrets {
		if name, ok := strings.CutPrefix(from, "env:"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func isFolder(context string) bool {
	return !strings.Contains(context, "://") && !strings.HasPrefix(context, imageOf) && !strings.HasPrefix(context, "git@")
}

// options reads the keys that a service and the defaults of all have in common.
func (r reader) options(o *Options) map[string]field {
	return map[string]field{
		"contexts":         r.provenMap(&o.Contexts, context),
		"secrets":          r.provenMap(&o.Secrets, secret),
		"ssh":              r.provenList(&o.SSH, agent, agentFix),
		"network":          r.enum(&o.Network, networks...),
		"extra_hosts":      r.provenMap(&o.ExtraHosts, host),
		"shm_size":         r.memory(&o.ShmSize),
		"ulimits":          r.provenMap(&o.Ulimits, ulimit),
		"cgroup_parent":    r.text(&o.CgroupParent),
		"no_cache":         r.maybe(&o.NoCache),
		"no_cache_filters": r.texts(&o.NoCacheFilters),
		"provenance":       r.enum(&o.Provenance, provenances...),
		"cache":            r.enum(&o.Cache, caches...),
		"sbom": r.parsed(func(v string) error {
			var s Settings
			err := sbom(&s, v)
			o.SBOM = s.SBOM
			return err
		}, ""),
	}
}

var provenances = []string{"max", "min", "false"}

// provenMap reads texts by key through a function that returns what each really says.
func (r reader) provenMap(into *map[string]string, prove func(key, value string) (string, error)) field {
	return func(n *yaml.Node) {
		if r.textMap(into)(n); n.Kind != yaml.MappingNode {
			return
		}
		for key, value := range r.pairs(n) {
			proven, err := prove(key.Value, value.Value)
			if err != nil {
				r.add(value, "", "%v", err)
				continue
			}
			(*into)[key.Value] = proven
		}
	}
}

func (r reader) provenList(into *[]string, prove *regexp.Regexp, fix string) field {
	return func(n *yaml.Node) {
		if r.texts(into)(n); n.Kind != yaml.SequenceNode {
			return
		}
		for i, item := range *into {
			if !prove.MatchString(item) {
				r.add(n.Content[i], fix, "%q is not possible here", item)
			}
		}
	}
}

func (r reader) maybe(into **bool) field {
	return func(n *yaml.Node) {
		var b bool
		r.boolean(&b)(n)
		*into = &b
	}
}

// A context's name is a reference or a word; it and its value become the two sides of an argument.
func context(name, at string) (string, error) {
	if name == "" || strings.ContainsAny(name, "=, \t\r\n") {
		return at, fmt.Errorf("%q is no name of a context", name)
	}
	if at == "" {
		return at, fmt.Errorf("context %q names nothing; give a folder, docker-image://NAME or service:NAME", name)
	}
	if folder, ok := Layout(at); ok {
		clean, err := insidePath(folder)
		return layout + clean + strings.TrimPrefix(at, layout+folder), err
	}
	if !isFolder(at) {
		return at, nil
	}
	return insidePath(at)
}

var (
	secretID = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	agent    = regexp.MustCompile(`^[A-Za-z0-9_.-]+(=[^,\r\n]+)?$`)
	limit    = regexp.MustCompile(`^-?[0-9]+(:-?[0-9]+)?$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	address  = regexp.MustCompile(`^([0-9A-Fa-f.:]+|host-gateway)$`)
)

// The text of a secret is not repeated: it may be the secret itself, by mistake.
func secret(id, from string) (string, error) {
	name, isVariable := strings.CutPrefix(from, "env:")
	file, isFile := strings.CutPrefix(from, "file:")
	switch {
	case !secretID.MatchString(id):
		return "", fmt.Errorf("%q is no id of a secret; use letters, digits and . _ -", id)
	case isVariable && variable.MatchString(name), isFile && file != "" && !strings.ContainsAny(file, "\r\n"):
		return from, nil
	}
	return "", fmt.Errorf("secret %s: %s", id, secretsFix)
}

const secretsFix = "say where it is, as env:NAME or file:PATH"

func host(name, at string) (string, error) {
	if !hostName.MatchString(name) || !address.MatchString(at) {
		return at, fmt.Errorf("%s: %q is no address of a host", name, at)
	}
	return at, nil
}

// https://github.com/docker/go-units names the limits there are.
func ulimit(name, value string) (string, error) {
	if !limit.MatchString(value) {
		return value, fmt.Errorf("%q is no limit; write it as 1024 or 1024:2048", value)
	}
	_, err := units.ParseUlimit(name + "=" + value)
	return value, err
}

// checkContexts finds named contexts that are images of no service.
func checkContexts(services []Service, problems *Problems) {
	names := serviceNames(services)
	for _, s := range services {
		for _, context := range slices.Sorted(maps.Keys(s.Contexts)) {
			other, ok := ImageOf(s.Contexts[context])
			if ok && !slices.Contains(names, other) {
				problems.Add(s.At, Among(services), "%s has the context %s, the image of %q, which is no service%s", s.Name, context, other, Suggestion(other, names))
			}
		}
	}
}
