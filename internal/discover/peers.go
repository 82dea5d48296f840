package discover

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
)

// Peers reads the containers that a service needs when it is tried out from the Compose file that it names, or that Compose
// would read, and those that these depend on, each after what it depends on. The service's environment goes
// before the variables that the files are read with.
func (f Finder) Peers(ctx context.Context, s service.Service) ([]service.Peer, error) {
	vars := map[string]string{}
	maps.Copy(vars, f.Vars)
	maps.Copy(vars, s.Env)
	vars["COMPOSE_PROFILES"] = "*"
	f.Vars = vars
	p := project{Finder: f}
	var err error
	if p.files, err = f.peersFiles(s.PeersFile); err != nil {
		return nil, err
	}
	if len(p.files) == 0 {
		return nil, service.Problems{{Where: s.At, What: fmt.Sprintf("service %q has peers, and there is no Compose file that defines them", s.Name), Fix: "write a compose.yaml, or name the file in peers_file"}}
	}
	if err := p.load(ctx); err != nil {
		return nil, p.mistake(err)
	}
	company := company{project: &p, at: s.At}
	for _, name := range s.PeerNames {
		company.add(name)
	}
	return company.peers, company.problems.Err()
}

func (f Finder) peersFiles(name string) ([]types.ConfigFile, error) {
	if name == "" {
		return f.composeFiles()
	}
	text, there, err := f.read(name)
	if err != nil || !there {
		return nil, err
	}
	return []types.ConfigFile{{Filename: filepath.Join(f.Workspace, name), Content: text}}, nil
}

// A company gathers peers.
type company struct {
	project  *project
	at       string // where the service is defined that they are for
	peers    []service.Peer
	seen     []string
	problems service.Problems
}

// add takes a peer in after all that it depends on.
func (c *company) add(name string) {
	if slices.Contains(c.seen, name) {
		return
	}
	c.seen = append(c.seen, name)
	def, there := c.project.model.Services[name]
	switch {
	case !there:
		known := strings.Join(slices.Sorted(maps.Keys(c.project.model.Services)), ", ")
		c.problems.Add(c.at, "name some of "+known, "there is no %q in %s to be a peer", name, c.project.name())
		return
	case def.Image == "":
		c.problems.Add(c.at, "give it an `image:` that is published", "the peer %q is built by %s and has no image, and none is built to be a peer", name, c.project.name())
		return
	}
	for _, other := range slices.Sorted(maps.Keys(def.DependsOn)) {
		c.add(other)
	}
	peer := service.Peer{Name: name, Image: def.Image, Entrypoint: def.Entrypoint, Command: def.Command, Env: c.environment(def),
		Healthcheck: healthcheck(def.HealthCheck), Tmpfs: tmpfs(def.Tmpfs), Port: port(def), After: slices.Sorted(maps.Keys(def.DependsOn)), Ends: c.ends(name), Withheld: withheld(def)}
	for _, v := range def.Volumes {
		switch v.Type {
		case types.VolumeTypeVolume:
			peer.Volumes = append(peer.Volumes, v.Target)
		case types.VolumeTypeTmpfs:
			peer.Tmpfs = append(peer.Tmpfs, v.Target)
		}
	}
	c.peers = append(c.peers, peer)
}

// ends reports whether another service waits for the end of this one.
func (c *company) ends(name string) bool {
	for _, other := range c.project.model.Services {
		if other.DependsOn[name].Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	return false
}

// environment is what a peer gets: what its files of variables say, and over it what stands in the Compose file.
func (c *company) environment(def types.ServiceConfig) map[string]string {
	env := map[string]string{}
	lookup := func(name string) (string, bool) { v, ok := c.project.Vars[name]; return v, ok }
	for _, file := range def.EnvFiles {
		name := c.project.within(file.Path)
		text, _, err := c.project.Finder.read(name) // one that git ignores is not there
		if err != nil {
			c.problems.Add(c.at, "give a file of the repository, or none", "the peer %q has its environment from %s, which cannot be read", def.Name, name)
			continue
		}
		more, err := dotenv.UnmarshalBytesWithLookup(text, lookup)
		if err != nil {
			c.problems.Add(name, "", "%v", err)
		}
		maps.Copy(env, more)
	}
	for name, value := range def.Environment {
		if value != nil {
			env[name] = *value
		} else if v, ok := lookup(name); ok {
			env[name] = v
		}
	}
	return env
}

func healthcheck(h *types.HealthCheckConfig) *service.Healthcheck {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &service.Healthcheck{Test: []string{"NONE"}}
	}
	check := &service.Healthcheck{Test: h.Test, Interval: span(h.Interval), Timeout: span(h.Timeout), StartPeriod: span(h.StartPeriod)}
	if h.Retries != nil {
		check.Retries = int(min(*h.Retries, 1000))
	}
	return check
}

func span(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// tmpfs are the folders alone, without the options that may follow.
func tmpfs(list []string) []string {
	var folders []string
	for _, entry := range list {
		folder, _, _ := strings.Cut(entry, ":")
		folders = append(folders, folder)
	}
	return folders
}

// passed are the keys of a definition that a peer gets, or that say nothing of how it is where it is tried out with.
var passed = []string{"image", "entrypoint", "command", "environment", "env_file", "healthcheck", "tmpfs", "depends_on", "ports", "expose", "build", "profiles",
	"restart", "container_name", "hostname", "labels", "logging", "networks", "scale", "stop_grace_period", "stop_signal", "pull_policy", "attach", "init"}

// withheld lists the other keys, volumes only where they are no volumes.
func withheld(def types.ServiceConfig) []string {
	def.Volumes = slices.DeleteFunc(slices.Clone(def.Volumes), func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume || v.Type == types.VolumeTypeTmpfs
	})
	text, err := yaml.Marshal(def)
	var keys map[string]any
	if err == nil {
		err = yaml.Unmarshal(text, &keys)
	}
	if err != nil {
		return []string{"what cannot be read"}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(keys)), func(key string) bool { return slices.Contains(passed, key) })
}
