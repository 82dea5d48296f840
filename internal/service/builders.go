package service

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Builder is one of several BuildKits that images are built on. Those of a configuration have one driver.
type Builder struct {
	At     string
	Driver string // of buildx: docker-container, remote or kubernetes
	// Endpoint is where a remote BuildKit listens, or the Docker Engine is that runs one: tcp://, unix:// or, for an engine, ssh://.
	// Empty stands for the engine that this program has, and for a cluster.
	Endpoint  string
	Platforms []string          // that it builds; empty stands for those that it says it can
	Options   map[string]string // of the driver
	CA        string            // certificate in PEM that a remote BuildKit is proven by
	Cert, Key string            // certificate and key in PEM that prove this program to it; Key is a secret
}

// Drivers are those of buildx that have several nodes.
// https://docs.docker.com/build/builders/drivers/
var drivers = []string{"docker-container", "remote", "kubernetes"}

func (r reader) builders(into *[]Builder) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			r.add(n, "write each as `- endpoint: …`", "builders must be a list of at least one")
			return
		}
		for _, item := range n.Content {
			*into = append(*into, r.builder(item))
		}
	}
}

func (r reader) builder(n *yaml.Node) Builder {
	b := Builder{At: r.where(n)}
	r.mapping(n, map[string]field{
		"driver": r.enum(&b.Driver, drivers...), "endpoint": r.text(&b.Endpoint), "platforms": r.platforms(&b.Platforms), "options": r.driverOptions(&b.Options),
		"ca": r.secretPlace(&b.CA), "cert": r.secretPlace(&b.Cert), "key": r.secretPlace(&b.Key),
	})
	if b.Driver == "" {
		b.Driver = "docker-container"
		if strings.HasPrefix(b.Endpoint, "tcp://") || strings.HasPrefix(b.Endpoint, "unix://") {
			b.Driver = "remote"
		}
	}
	if err := b.check(); err != nil {
		r.add(n, "see https://docs.docker.com/build/builders/drivers", "%v", err)
	}
	return b
}

// secretPlace reads where a secret is.
func (r reader) secretPlace(into *string) field {
	return r.parsed(func(v string) error {
		if *into = v; !namesSecret(v) {
			return fmt.Errorf("a secret does not belong here")
		}
		return nil
	}, secretsFix)
}

var driverOption = regexp.MustCompile(`^[a-z][A-Za-z0-9.-]*$`)

func (r reader) driverOptions(into *map[string]string) field {
	return func(n *yaml.Node) {
		r.textMap(into)(n)
		for name := range *into {
			if !driverOption.MatchString(name) {
				r.add(n, "", "%q is no option of a driver", name)
			}
		}
	}
}

func (b Builder) check() error {
	switch secured := b.CA+b.Cert+b.Key != ""; {
	case b.Driver == "remote" && b.Endpoint == "":
		return fmt.Errorf("a remote BuildKit has no endpoint")
	case b.Driver == "kubernetes" && b.Endpoint != "":
		return fmt.Errorf("a cluster has no endpoint; its kubeconfig says where it is")
	case b.Endpoint != "" && !isEndpoint(b.Endpoint, b.Driver == "docker-container"):
		return fmt.Errorf("%q is no endpoint; write it as tcp://host:1234 or unix:///run/buildkitd.sock", b.Endpoint)
	case secured && !strings.HasPrefix(b.Endpoint, "tcp://") || secured && b.Driver != "remote":
		return fmt.Errorf("ca, cert and key belong to a remote BuildKit at tcp://")
	case (b.Cert == "") != (b.Key == ""):
		return fmt.Errorf("cert and key belong together")
	}
	return nil
}

func isEndpoint(text string, engine bool) bool {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || strings.ContainsAny(rest, " \t\r\n,\"'") {
		return false
	}
	switch scheme {
	case "unix":
		return strings.HasPrefix(rest, "/")
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		return err == nil && host != "" && port != ""
	case "ssh":
		return engine && rest != "" && !strings.HasPrefix(rest, "-")
	}
	return false
}

// checkBuilders proves what spans builders.
func checkBuilders(config Config, problems *Problems) {
	if len(config.Builders) == 0 {
		return
	}
	if config.Builder != "" {
		problems.Add(config.Builders[0].At, "keep one", "there are `builders` and a `builder`")
	}
	taken := map[string]string{} // where, by platform
	for _, b := range config.Builders {
		if first := config.Builders[0].Driver; b.Driver != first {
			problems.Add(b.At, "give them one driver, or build the other platforms in jobs of their own with `split: platform`",
				"its driver is %s, and that of the first is %s: buildx has no builder of both", b.Driver, first)
		}
		if len(config.Builders) > 1 && len(b.Platforms) == 0 {
			problems.Add(b.At, "add `platforms: […]`", "it does not say which platforms are its, of several builders")
		}
		for _, p := range b.Platforms {
			if first, twice := taken[p]; twice {
				problems.Add(b.At, "leave it to one", "%s is built at %s already", p, first)
			}
			taken[p] = b.At
		}
	}
	for _, s := range config.Services {
		for _, p := range s.Platforms {
			if len(taken) > 0 && taken[p] == "" {
				problems.Add(s.At, "give a builder this platform", "%s is for %s, which none of the builders builds", s.Name, p)
			}
		}
	}
}

// follow puts the secrets of builders and mirrors in the place of what names them.
func (src Sources) follow(config *Config, problems *Problems) {
	for i := range config.Builders {
		b := &config.Builders[i]
		for _, text := range []*string{&b.CA, &b.Cert, &b.Key} {
			src.followOne(b.At, text, config, problems)
		}
	}
	for i := range config.Mirrors {
		m := &config.Mirrors[i]
		src.withhold(m.Password, config)
		if name, ok := strings.CutPrefix(m.Password, "env:"); ok {
			m.Password = src.Getenv(name) // jobs that copy nothing, and those of forks, have none
			continue
		}
		src.followOne(m.At, &m.Password, config, problems)
	}
}

func (src Sources) followOne(at string, text *string, config *Config, problems *Problems) {
	if !namesSecret(*text) {
		return
	}
	src.withhold(*text, config)
	var err error
	if *text, err = secretValue(*text, src.Getenv); err != nil {
		problems.Add(at, secretsFix, "%v", err)
	}
}

// withhold keeps the variable that a secret is taken from away from children.
func (Sources) withhold(text string, config *Config) {
	if name, ok := strings.CutPrefix(text, "env:"); ok && !slices.Contains(config.SecretEnv, name) {
		config.SecretEnv = append(config.SecretEnv, name)
	}
}
