package compose

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
)

// A document is a Compose file, in the order in which people read it.
// https://docs.docker.com/reference/compose-file/
type document struct {
	Name     string               `yaml:"name"`
	Services map[string]container `yaml:"services"`
	Networks map[string]network   `yaml:"networks,omitempty"`
	Volumes  map[string]struct{}  `yaml:"volumes,omitempty"`
	Secrets  map[string]secret    `yaml:"secrets,omitempty"`
}

type container struct {
	Image       yaml.Node             `yaml:"image"`
	Profiles    []string              `yaml:"profiles,omitempty,flow"`
	User        string                `yaml:"user,omitempty"`
	Entrypoint  []string              `yaml:"entrypoint,omitempty,flow"`
	Command     []string              `yaml:"command,omitempty,flow"`
	Labels      map[string]string     `yaml:"labels,omitempty"`
	Environment map[string]string     `yaml:"environment,omitempty"`
	Secrets     []string              `yaml:"secrets,omitempty,flow"`
	Networks    []string              `yaml:"networks,flow"`
	Ports       []string              `yaml:"ports,omitempty,flow"`
	Volumes     []string              `yaml:"volumes,omitempty,flow"`
	DependsOn   map[string]dependency `yaml:"depends_on,omitempty"`
	Healthcheck *healthcheck          `yaml:"healthcheck,omitempty"`
	Restart     string                `yaml:"restart"`
	StopSignal  string                `yaml:"stop_signal,omitempty"`
	StopGrace   string                `yaml:"stop_grace_period,omitempty"`
	ReadOnly    bool                  `yaml:"read_only,omitempty"`
	Tmpfs       []string              `yaml:"tmpfs,omitempty,flow"`
	CapDrop     []string              `yaml:"cap_drop,omitempty,flow"`
	CapAdd      []string              `yaml:"cap_add,omitempty,flow"`
	SecurityOpt []string              `yaml:"security_opt,omitempty,flow"`
	ShmSize     string                `yaml:"shm_size,omitempty"`
	Deploy      deploy                `yaml:"deploy"`
	Logging     logging               `yaml:"logging,flow"`
}

type dependency struct {
	Condition string `yaml:"condition"`
	Required  *bool  `yaml:"required,omitempty"` // nil means yes
}

type healthcheck struct {
	Test        []string `yaml:"test,flow"`
	Interval    string   `yaml:"interval"`
	Timeout     string   `yaml:"timeout"`
	Retries     int      `yaml:"retries"`
	StartPeriod string   `yaml:"start_period,omitempty"`
}

type deploy struct {
	Resources resources `yaml:"resources"`
}

type resources struct {
	Limits       amounts `yaml:"limits,flow"`
	Reservations amounts `yaml:"reservations,flow"`
}

type amounts struct {
	CPUs   string `yaml:"cpus,omitempty"`
	Memory string `yaml:"memory"`
	PIDs   int64  `yaml:"pids,omitempty"`
}

type logging struct {
	Driver  string            `yaml:"driver"`
	Options map[string]string `yaml:"options"`
}

type network struct {
	Internal bool `yaml:"internal,omitempty"`
}

type secret struct {
	File string `yaml:"file"`
}

// What a container may use where nothing else is said.
const (
	usualMemory    = 1 << 30
	usualCPUs      = 1
	usualProcesses = 512
	// leastMemory is what an engine takes at least.
	leastMemory = 6 << 20
)

// newContainer is one that is as safe and as bounded as it can be without being known.
func (p Project) newContainer(image yaml.Node, r service.Resources) container {
	memory := cmp.Or(r.MemoryLimit, usualMemory)
	return container{Image: image, Restart: "unless-stopped", SecurityOpt: []string{"no-new-privileges:true"},
		Deploy: deploy{resources{
			Limits:       amounts{coresText(cmp.Or(r.CPUs, usualCPUs)), bytesText(memory), cmp.Or(r.Processes, usualProcesses)},
			Reservations: amounts{coresText(r.CPUReservation), bytesText(cmp.Or(r.MemoryReservation, max(memory/4, leastMemory))), 0}}},
		Logging: logging{"json-file", map[string]string{"max-size": "10m", "max-file": "3"}}}
}

func coresText(n float64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// bytesText writes bytes in binary units, as far as they are whole.
func bytesText(n int64) string {
	for _, unit := range []struct {
		letter string
		shift  int
	}{{"G", 30}, {"M", 20}, {"K", 10}} {
		if n>>unit.shift<<unit.shift == n {
			return fmt.Sprint(n>>unit.shift) + unit.letter
		}
	}
	return fmt.Sprint(n)
}

// add puts a container into the file, and whatever it names.
func (d document) add(name string, c container) {
	d.Services[name] = c
	for _, n := range c.Networks {
		d.Networks[n] = network{Internal: n == data}
	}
	for _, s := range c.Secrets {
		d.Secrets[s] = secret{File: "${" + secretsVariable + ":-" + usualSecrets + "}/" + s}
	}
}

func (c *container) dependOn(name string, d dependency) {
	if c.DependsOn == nil {
		c.DependsOn = map[string]dependency{}
	}
	c.DependsOn[name] = d
}

// pinned is an image by its digest, with its tag as a comment.
func pinned(repository, digest, tag string) yaml.Node {
	return yaml.Node{Kind: yaml.ScalarNode, Value: repository + "@" + digest, LineComment: tag}
}

// pinnedRef is an image of others by its digest, or by its name where that is not known.
func pinnedRef(ref, digest string) yaml.Node {
	parsed, err := name.ParseReference(ref)
	if _, isTag := parsed.(name.Tag); err != nil || !isTag || digest == "" {
		return yaml.Node{Kind: yaml.ScalarNode, Value: ref}
	}
	repository := ref
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		repository = ref[:i]
	}
	return pinned(repository, digest, parsed.Identifier())
}

// published is a port under a variable's number. The address, if any, is the machine's that it is reached at.
func published(s service.Service, at string) string {
	host, port := "", at
	if i := strings.LastIndex(at, ":"); i >= 0 {
		host, port = at[:i+1], at[i+1:]
	}
	return fmt.Sprintf("%s${%s_PORT:-%s}:%d", host, variable(s.Name), port, s.Port)
}

var noVariable = regexp.MustCompile(`[^A-Z0-9]+`)

// variable is a name in the letters of variables.
func variable(name string) string {
	v := strings.Trim(noVariable.ReplaceAllString(strings.ToUpper(name), "_"), "_")
	if v == "" || v[0] >= '0' && v[0] <= '9' {
		return "_" + v
	}
	return v
}

// secretEnvironment tells where secrets are, as many images want to be told.
func secretEnvironment(secrets []string) map[string]string {
	all := map[string]string{}
	for _, s := range secrets {
		all[variable(s)+"_FILE"] = "/run/secrets/" + s
	}
	return all
}

func withTmp(folders []string) []string {
	if slices.Contains(folders, "/tmp") {
		return folders
	}
	return append([]string{"/tmp"}, folders...)
}

// escaped are texts in which Compose fills nothing in.
func escaped(texts ...string) []string {
	var all []string
	for _, t := range texts {
		all = append(all, strings.ReplaceAll(t, "$", "$$"))
	}
	return all
}

// merged is one map over another.
func merged(under, over map[string]string) map[string]string {
	all := maps.Clone(under)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, over)
	return all
}
