package migrate

import (
	"cmp"
	"errors"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
)

// options are what a build takes besides, in the keys of the configuration.
type options struct {
	Labels         map[string]string `yaml:"labels,omitempty"`
	Annotations    map[string]string `yaml:"annotations,omitempty"`
	SSH            []string          `yaml:"ssh,omitempty,flow"`
	Network        string            `yaml:"network,omitempty"`
	ExtraHosts     map[string]string `yaml:"extra_hosts,omitempty"`
	ShmSize        string            `yaml:"shm_size,omitempty"`
	Ulimits        map[string]string `yaml:"ulimits,omitempty"`
	CgroupParent   string            `yaml:"cgroup_parent,omitempty"`
	NoCache        *bool             `yaml:"no_cache,omitempty"`
	NoCacheFilters []string          `yaml:"no_cache_filters,omitempty,flow"`
	Provenance     string            `yaml:"provenance,omitempty"`
	SBOM           string            `yaml:"sbom,omitempty"`
}

// A trial is what a container is tried out with, in the keys of the configuration.
type trial struct {
	Env       map[string]string `yaml:"env,omitempty"`
	Peers     []string          `yaml:"peers,omitempty,flow"`
	ReadOnly  bool              `yaml:"read_only,omitempty"`
	Tmpfs     []string          `yaml:"tmpfs,omitempty,flow"`
	Resources resources         `yaml:"resources,omitempty"`
}

type resources struct {
	Limits       bounds `yaml:"limits,omitempty,flow"`
	Reservations bounds `yaml:"reservations,omitempty,flow"`
}

type bounds struct {
	Memory string `yaml:"memory,omitempty"`
	CPUs   string `yaml:"cpus,omitempty"`
	PIDs   int64  `yaml:"pids,omitempty"`
}

// Take has a reading be of services that were found: those of Dockerfiles are listed, the others found by each run again. Of these it
// has what their files say alone, without any variable: what one gives may be a secret, and the configuration is committed.
func (r *Reading) Take(found, alone service.Found) {
	for _, s := range found.Services {
		if s.At == s.Dockerfile { // which says nothing else of how it is built
			r.Services = append(r.Services, listed(s))
			continue
		}
		r.FoundIn, _, _ = strings.Cut(s.At, ": ")
		r.take(s, alone.Services)
	}
	for _, said := range found.Left {
		if slices.Contains(alone.Left, said) {
			r.leave("%s", said)
		}
	}
}

// Try has the services of workflows be tried out as the others that are found: workflows do not say how containers run, but a Compose
// file that builds the same does, or the port that the Dockerfile exposes. What is found is what the files say alone.
func (r *Reading) Try(alone service.Found, exposed func(service.Service) int) {
	for n := range r.Services {
		s := &r.Services[n]
		same, there := s.twin(alone.Services)
		if there && alone.Compose != "" {
			s.Trial = listed(same).Trial
			r.Left = append(r.Left, slices.DeleteFunc(slices.Clone(alone.Left), func(said string) bool { return !strings.HasPrefix(said, same.At+": ") })...)
		}
		if s.Port == 0 {
			s.Port = cmp.Or(same.Port, exposed(service.Service{Dockerfile: s.dockerfile(), Target: s.Target}))
		}
		if s.Health == "" && s.Port == same.Port {
			s.Health = same.HealthEndpoint
		}
	}
}

// Choose has the configuration name the ports of each service that exposes several and says of none that it answers there.
func (r *Reading) Choose(exposed func(service.Service) []int) {
	for _, services := range [][]Service{r.Services, r.Found} {
		for n, s := range services {
			if ports := exposed(service.Service{Dockerfile: s.dockerfile(), Inline: s.Inline, Target: s.Target}); s.Port == 0 && len(ports) > 1 && r.Told(s.Name, "port") {
				services[n].Choice = ports
			}
		}
	}
}

// twin is the one found service that builds the same, or of several the one of the same name.
func (s Service) twin(found []service.Service) (service.Service, bool) {
	found = slices.DeleteFunc(slices.Clone(found), func(f service.Service) bool {
		return f.Inline != "" || f.Context != s.Context || f.Dockerfile != s.dockerfile() || f.Target != s.Target
	})
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(f service.Service) bool { return f.Name != s.Name })
	}
	if len(found) != 1 {
		return service.Service{}, false
	}
	return found[0], true
}

// dockerfile is what a service of a workflow is built from.
func (s Service) dockerfile() string { return cmp.Or(s.Dockerfile, path.Join(s.Context, "Dockerfile")) }

// take lists a service as far as its file says the same of it alone.
func (r *Reading) take(s service.Service, alone []service.Service) {
	if r.Varying == nil {
		r.Varying = map[string][]string{}
	}
	at := slices.IndexFunc(alone, func(a service.Service) bool { return a.At == s.At })
	if at < 0 {
		r.unlisted++
		r.Varying[s.Name] = []string{"name"}
		r.leave("%s: some services are there, or can be read, with variables of the environment or of .env alone, so they are not listed: set these variables by `env:` of the step, and the secrets of their builds, too.", r.FoundIn)
		return
	}
	made, varying := agreed(listed(s), listed(alone[at]))
	if len(varying) > 0 {
		r.Varying[s.Name] = varying
		r.leave("%s: what variables of the environment or of .env give is written nowhere, as it may be secret: %s. Set these variables by `env:` of the step; what is secret give the build under `secrets`, not as an argument or a label.", s.At, strings.Join(varying, ", "))
	}
	r.Found = append(r.Found, made)
	for _, from := range made.Secrets {
		if name, variable := strings.CutPrefix(from, "env:"); variable {
			r.secret(name, "${{ secrets."+name+" }}")
		}
	}
}

// Told reports whether the files alone say what a service has under a key. What is not told is not to be shown.
func (r Reading) Told(service, key string) bool {
	return !slices.ContainsFunc(r.Varying[service], func(varying string) bool {
		top, _, _ := strings.Cut(varying, ".")
		return top == key || top == "name"
	})
}

// agreed is what two listings of a service have in common, and the keys in which they differ.
func agreed(a, b Service) (both Service, differing []string) {
	var all, alone map[string]any
	err := errors.Join(recast(a, &all), recast(b, &alone))
	common, differing := shared(all, alone, "")
	if err = errors.Join(err, recast(common, &both)); err != nil {
		both, differing = Service{Name: a.Name}, []string{"name"} // which no listing gives
	}
	both.Image, both.Context = cmp.Or(both.Image, a.Name), cmp.Or(both.Context, ".")
	return both, differing
}

// recast has a value be another by the keys of the configuration.
func recast(from, to any) error {
	var n yaml.Node
	if err := n.Encode(from); err != nil {
		return err
	}
	return n.Decode(to)
}

// shared is what two mappings have in common, and the paths in which they differ. A key that a variable gives is not named.
func shared(all, alone map[string]any, at string) (both map[string]any, differing []string) {
	both = map[string]any{}
	for _, key := range slices.Compact(slices.Sorted(slices.Values(slices.AppendSeq(slices.Collect(maps.Keys(all)), maps.Keys(alone))))) {
		value, there := alone[key]
		below, nested := all[key].(map[string]any)
		other, nestedAlone := value.(map[string]any)
		switch {
		case nested && nestedAlone:
			var more []string
			both[key], more = shared(below, other, at+key+".")
			differing = append(differing, more...)
		case there && reflect.DeepEqual(all[key], value):
			both[key] = value
		case there || at == "":
			differing = append(differing, at+key)
		default:
			differing = append(differing, strings.TrimSuffix(at, "."))
		}
	}
	return both, slices.Compact(differing)
}

func (r *Reading) secret(variable, expression string) {
	if r.Secrets == nil {
		r.Secrets = map[string]string{}
	}
	r.Secrets[variable] = expression
}

// listed is a service as the configuration lists it.
func listed(s service.Service) Service {
	made := Service{Name: s.Name, Image: s.Image, Context: s.Context, Inline: s.Inline, Target: s.Target, Platforms: s.Platforms, BuildArgs: s.BuildArgs,
		Contexts: s.Contexts, Secrets: s.Secrets, DependsOn: s.DependsOn, Port: s.Port, Health: s.HealthEndpoint,
		Options: options{Labels: s.Labels, Annotations: s.Annotations, SSH: s.SSH, Network: s.Network, ExtraHosts: s.ExtraHosts, ShmSize: memory(s.ShmSize),
			Ulimits: s.Ulimits, CgroupParent: s.CgroupParent, NoCache: s.NoCache, NoCacheFilters: s.NoCacheFilters, Provenance: s.Provenance, SBOM: s.SBOM},
		Trial: trial{Env: s.Env, Peers: s.PeerNames, ReadOnly: s.ReadOnly, Tmpfs: s.Tmpfs, Resources: resources{
			bounds{memory(s.Resources.MemoryLimit), cores(s.Resources.CPUs), s.Resources.Processes}, bounds{Memory: memory(s.Resources.MemoryReservation)}}}}
	if made.Image == "" {
		made.Image = s.Name
	}
	if s.Inline == "" {
		made.Dockerfile = unusual(s.Dockerfile, s.Context)
	}
	return made
}

// unusual is a Dockerfile that must be named, as it is not where one is looked for.
func unusual(dockerfile, context string) string {
	if dockerfile == path.Join(context, "Dockerfile") {
		return ""
	}
	return dockerfile
}

// memory is an amount as people write it, where it is a whole one.
func memory(bytes int64) string {
	for _, unit := range []struct {
		name string
		of   int64
	}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}} {
		if bytes != 0 && bytes%unit.of == 0 {
			return strconv.FormatInt(bytes/unit.of, 10) + unit.name
		}
	}
	return ""
}

func cores(n float64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}
