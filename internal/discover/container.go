package discover

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/buildx"
	"github.com/org/ghcr-publish/internal/service"
)

// complete adds how a service's container runs to what it builds, and says what of that is not taken over.
func (p *project) complete(s *service.Service) (left []string) {
	about := p.dockerfile(*s)
	for name, c := range p.model.Services {
		if targetName(name) != s.Name {
			continue
		}
		s.Image = cmp.Or(buildx.Repository(c.Image), s.Image)
		s.Port = cmp.Or(port(c), about.port())
		if at, path, ok := asked(c.HealthCheck); ok && at == s.Port && !about.checked { // which is the image's own way to tell
			s.HealthEndpoint = path
		}
		if s.ReadOnly = c.ReadOnly && !mounts(c); s.ReadOnly {
			s.Tmpfs = inMemory(c)
		}
		s.Env = p.literals(name, c.Environment)
		s.DependsOn, s.PeerNames = p.dependencies(c)
		s.Resources = resources(c)
		for _, said := range p.leftOf(name, c, s.HealthEndpoint != "" || about.checked) {
			left = append(left, s.At+": "+said)
		}
	}
	return left
}

// mounts reports whether a container has anything mounted but folders in memory: without it, what can be written to is another.
func mounts(c types.ServiceConfig) bool {
	return slices.ContainsFunc(c.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Type != types.VolumeTypeTmpfs })
}

// inMemory are the folders of a container that can be written to though its root file system cannot.
func inMemory(c types.ServiceConfig) []string {
	folders := tmpfs(c.Tmpfs)
	for _, v := range c.Volumes {
		if v.Type == types.VolumeTypeTmpfs {
			folders = append(folders, v.Target)
		}
	}
	return folders
}

// targetName is what buildx calls the target of a Compose service.
func targetName(service string) string { return strings.ReplaceAll(service, ".", "_") }

// port is the first that the container publishes, or else exposes.
func port(c types.ServiceConfig) int {
	for _, p := range c.Ports {
		if p.Protocol == "" || p.Protocol == "tcp" {
			return int(p.Target)
		}
	}
	for _, p := range c.Expose {
		if n := tcpPort(p); n != 0 {
			return n
		}
	}
	return 0
}

// tcpPort reads 80 or 80/tcp; 0 where it is anything else.
func tcpPort(text string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "/tcp"))
	if err != nil || n < 1 || n > math.MaxUint16 {
		return 0
	}
	return n
}

// literals are the variables whose values the files themselves give: what comes from the environment is no part of
// how a service is defined, and may be a secret.
func (p *project) literals(service string, all types.MappingWithEquals) map[string]string {
	services, _ := p.raw["services"].(map[string]any)
	definition, _ := services[service].(map[string]any)
	var literals map[string]string
	for name, written := range p.assignments(definition["environment"]) {
		value := all[name]
		if value == nil || strings.Contains(strings.ReplaceAll(written, "$$", ""), "$") {
			continue
		}
		if literals == nil {
			literals = map[string]string{}
		}
		literals[name] = *value
	}
	return literals
}

// assignments reads an environment as a file has it: a mapping, or a list of NAME=value. A name alone is given its value from elsewhere, by
// the loader already where a .env lies beside a file that is included.
func (p *project) assignments(environment any) map[string]string {
	all := map[string]string{}
	switch e := environment.(type) {
	case map[string]any:
		for name, value := range e {
			if written, text := value.(string); text || value != nil { // what is no text has no variable in it
				all[name] = written
			}
		}
	case []any:
		for _, item := range e {
			pair, _ := item.(string)
			if name, value, given := strings.Cut(pair, "="); given && p.pairs[pair] {
				all[name] = value
			}
		}
	}
	return all
}

// gather notes each NAME=value of a file, wherever it stands, as it may be referred to.
func (p *project) gather(n *yaml.Node) {
	for i, below := range n.Content {
		p.gather(below)
		switch {
		case n.Kind == yaml.SequenceNode && below.Kind == yaml.ScalarNode:
			p.pairs[below.Value] = true
		case n.Kind == yaml.MappingNode && i%2 == 1 && below.Kind == yaml.ScalarNode:
			var value any
			if below.Decode(&value) == nil && value != nil {
				p.pairs[fmt.Sprintf("%s=%v", n.Content[i-1].Value, value)] = true
			}
		}
	}
}

// dependencies are those on services that are built, too, and those on images, which are its peers.
func (p *project) dependencies(c types.ServiceConfig) (built, peers []string) {
	for _, name := range slices.Sorted(maps.Keys(c.DependsOn)) {
		switch other, there := p.model.Services[name]; {
		case !there:
		case other.Build != nil:
			built = append(built, targetName(name))
		default:
			peers = append(peers, name)
		}
	}
	return built, peers
}

func resources(c types.ServiceConfig) service.Resources {
	bounds := service.Resources{MemoryLimit: int64(c.MemLimit), CPUs: cores(c.CPUS), MemoryReservation: int64(c.MemReservation), Processes: max(c.PidsLimit, 0)}
	if c.Deploy == nil {
		return bounds
	}
	if limits := c.Deploy.Resources.Limits; limits != nil {
		bounds.MemoryLimit = cmp.Or(int64(limits.MemoryBytes), bounds.MemoryLimit)
		bounds.CPUs = cmp.Or(cores(float32(limits.NanoCPUs)), bounds.CPUs)
		bounds.Processes = cmp.Or(max(limits.Pids, 0), bounds.Processes)
	}
	if reserved := c.Deploy.Resources.Reservations; reserved != nil {
		bounds.MemoryReservation = cmp.Or(int64(reserved.MemoryBytes), bounds.MemoryReservation)
	}
	return bounds
}

// cores is a number as it was written, which the loader keeps with half the digits.
func cores(n float32) float64 {
	written, _ := strconv.ParseFloat(strconv.FormatFloat(float64(n), 'f', -1, 32), 64)
	return written
}
