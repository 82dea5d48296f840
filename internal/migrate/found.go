package migrate

import (
	"path"
	"strconv"
	"strings"

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

// Take has a reading be of services that were found: those of Dockerfiles are listed, the others found by each run again.
func (r *Reading) Take(found service.Found) {
	for _, s := range found.Services {
		made := listed(s)
		if s.At == s.Dockerfile { // which says nothing else of how it is built
			r.Services = append(r.Services, made)
			continue
		}
		r.Found = append(r.Found, made)
		r.FoundIn, _, _ = strings.Cut(s.At, ": ")
		for _, name := range s.SecretVariables() {
			r.secret(name, "${{ secrets."+name+" }}")
		}
	}
	for _, said := range found.Left {
		r.leave("%s", said)
	}
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
			Ulimits: s.Ulimits, NoCache: s.NoCache, NoCacheFilters: s.NoCacheFilters, Provenance: s.Provenance, SBOM: s.SBOM},
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
