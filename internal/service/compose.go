package service

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v3"
)

// A Compose says what the Compose file is like that is written of what is published.
type Compose struct {
	At string
	// From is a Compose file, relative to the workspace, that the images are put into; empty where the file is made from the services.
	From string
	// Environment is what every container gets, as a Compose file has it: ${NAME} is filled in when it is started.
	Environment map[string]string
	Companions  []Companion // by name
	// HealthImage asks those services how they are whose own images have nothing to ask with; empty means DefaultHealthImage.
	HealthImage string
	// Proxy stands before the services that are switched.
	Proxy Proxy
	// Mirror is that of Mirrors, by its image, which the services' images are pulled from; empty where it is none.
	Mirror string
}

// DefaultHealthImage has wget and nc.
const DefaultHealthImage = "busybox:1.37"

// A Proxy shares requests out among the colours of a service.
type Proxy struct {
	Kind  string // one of Proxies; empty means the first
	Image string // empty means the usual one
}

// Proxies are those that there are.
var Proxies = [...]string{"nginx"}

// A Companion is a server that comes along with the services.
type Companion struct {
	Name      string // one of Companions
	Image     string // empty means the usual one
	Resources Resources
	Profiles  []string
}

// Companions are those that there are.
var Companions = [...]string{"postgres", "redis"}

// A ComposeService says what a service is like in the Compose file.
type ComposeService struct {
	Out bool // it is left out
	// Publish is where the port is reached from outside: "8080" or "127.0.0.1:8080"; empty where it is not.
	Publish     string
	Environment map[string]string // as Compose.Environment
	Needs       []string          // services and companions that must be well before it starts
	Volumes     map[string]string // absolute paths, by the volume's name
	Secrets     []string          // each a file /run/secrets/NAME
	Profiles    []string          // that it belongs to; empty means that it always runs
	Writable    bool              // its root file system can be written to
	Switch      bool              // it is there in two colours, behind a proxy that is told which of them gets requests
	Sticky      bool              // and who was sent to one of them stays there
}

// InCompose says what a service is like in the Compose file. One that does its work and ends is part of it only if that was written down.
func (s Service) InCompose() ComposeService {
	if s.Compose == nil {
		return ComposeService{Out: s.RunOnce != nil}
	}
	c := *s.Compose
	if c.Publish == same {
		c.Publish = strconv.Itoa(s.Port)
	}
	return c
}

func (r reader) compose(into **Compose) field {
	return func(n *yaml.Node) {
		c := &Compose{At: r.where(n)}
		*into = c
		if n.Kind == yaml.ScalarNode {
			r.path(&c.From)(n)
			return
		}
		r.mapping(n, map[string]field{
			"from": r.path(&c.From), "environment": r.environment(&c.Environment), "companions": r.companions(&c.Companions), "health_image": r.image(&c.HealthImage), "mirror": r.text(&c.Mirror), "proxy": r.proxy(&c.Proxy),
		})
		if from := c.From; from != "" {
			if c.From = ""; !c.bare() {
				r.add(n, "write it into "+from, "compose is made from %s, and says with environment, companions, health_image or proxy what only that file can say", from)
			}
			c.From = from
		}
	}
}

// bare reports whether a Compose file is wanted, and nothing is said of it.
func (c *Compose) bare() bool {
	return c != nil && c.From == "" && c.Environment == nil && c.Companions == nil && c.HealthImage == "" && c.Proxy == Proxy{}
}

// proxy reads a kind, or a kind and what it is started from.
func (r reader) proxy(into *Proxy) field {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			r.enum(&into.Kind, Proxies[:]...)(n)
			return
		}
		r.mapping(n, map[string]field{"kind": r.enum(&into.Kind, Proxies[:]...), "image": r.image(&into.Image)})
	}
}

// switched reads true, or what is said of how a service is switched.
func (r reader) switched(c *ComposeService) field {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			r.boolean(&c.Switch)(n)
			return
		}
		c.Switch = true
		r.mapping(n, map[string]field{"sticky": r.boolean(&c.Sticky)})
	}
}

func (r reader) image(into *string) field {
	return r.parsed(func(v string) error {
		*into = v
		_, err := name.ParseReference(v)
		return err
	}, "write it as postgres:17-alpine")
}

func (r reader) companions(into *[]Companion) field {
	return func(n *yaml.Node) {
		all := map[string]Companion{}
		switch n.Kind {
		case yaml.SequenceNode:
			for _, item := range n.Content {
				r.companion(item, nil, all)
			}
		case yaml.MappingNode:
			for key, value := range r.pairs(n) {
				r.companion(key, value, all)
			}
		default:
			r.add(n, "write it as ["+strings.Join(Companions[:], ", ")+"]", "must be a list, or a mapping")
		}
		*into = slices.SortedFunc(maps.Values(all), func(a, b Companion) int { return cmp.Compare(a.Name, b.Name) })
	}
}

// companion reads one, and what is said about it, which may be nothing.
func (r reader) companion(called, about *yaml.Node, all map[string]Companion) {
	var c Companion
	r.enum(&c.Name, Companions[:]...)(called)
	if about != nil && about.Tag != "!!null" {
		r.mapping(about, map[string]field{"image": r.image(&c.Image), "resources": r.resources(&c.Resources), "profiles": r.named(&c.Profiles, profileName, "profile")})
	}
	if c.Name != "" {
		all[c.Name] = c
	}
}

func (r reader) composeService(into **ComposeService) field {
	return func(n *yaml.Node) {
		c := &ComposeService{}
		*into = c
		if n.Kind == yaml.ScalarNode {
			var in bool
			r.boolean(&in)(n)
			c.Out = !in
			return
		}
		readOnly := true
		r.mapping(n, map[string]field{
			"publish": r.published(&c.Publish), "environment": r.environment(&c.Environment), "needs": r.texts(&c.Needs), "volumes": r.volumes(&c.Volumes),
			"secrets": r.named(&c.Secrets, fileName, "secret"), "profiles": r.named(&c.Profiles, profileName, "profile"), "read_only": r.boolean(&readOnly), "switch": r.switched(c),
		})
		c.Writable = !readOnly
	}
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	// fileName is what secrets and volumes may be called: secrets are files.
	fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	// https://docs.docker.com/reference/compose-file/profiles/
	profileName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
)

func (r reader) environment(into *map[string]string) field {
	return func(n *yaml.Node) {
		r.textMap(into)(n)
		r.names(n, slices.Sorted(maps.Keys(*into)), variableName, "variable")
	}
}

// named reads a list of names of one kind.
func (r reader) named(into *[]string, pattern *regexp.Regexp, kind string) field {
	return func(n *yaml.Node) {
		r.texts(into)(n)
		r.names(n, *into, pattern, kind)
	}
}

func (r reader) names(n *yaml.Node, names []string, pattern *regexp.Regexp, kind string) {
	for _, name := range names {
		if !pattern.MatchString(name) {
			r.add(n, "", "%q is no name of a %s", name, kind)
		}
	}
}

func (r reader) volumes(into *map[string]string) field {
	return func(n *yaml.Node) {
		r.textMap(into)(n)
		r.names(n, slices.Sorted(maps.Keys(*into)), fileName, "volume")
		for _, name := range slices.Sorted(maps.Keys(*into)) {
			if at := (*into)[name]; !strings.HasPrefix(at, "/") || strings.ContainsAny(at, ":$\r\n") {
				r.add(n, "write it as {uploads: /data/uploads}", "%q is no folder of the container", at)
			}
		}
	}
}

// published reads true for the service's own port, a port of the machine, or an address with one.
func (r reader) published(into *string) field {
	return r.parsed(func(v string) error {
		if *into = v; v == same {
			return nil
		}
		host, port, err := net.SplitHostPort(v)
		if err != nil {
			host, port = "", v
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if host != "" && net.ParseIP(host) == nil {
			err = errors.New("no address")
		}
		if err != nil || n == 0 {
			return fmt.Errorf("%q is no port", v)
		}
		return nil
	}, "write it as true, 8080 or 127.0.0.1:8080")
}

// same publishes a service under its own port.
const same = "true"

// checkCompose proves what the Compose file's services say of each other.
func checkCompose(config *Config, problems *Problems) {
	if config.Compose == nil {
		return
	}
	if m := config.Compose.Mirror; m != "" && !slices.ContainsFunc(config.Mirrors, func(other Mirror) bool { return other.Image == m }) {
		problems.Add(config.Compose.At, "name one as it is written under `mirrors:`", "there is no mirror %q", m)
	}
	names := serviceNames(config.Services)
	needs := map[string][]string{}
	for _, c := range config.Compose.Companions {
		if slices.Contains(names, c.Name) {
			problems.Add(config.Compose.At, "leave the companion out", "%s is a service, and a companion", c.Name)
		}
		names = append(names, c.Name)
	}
	for _, s := range config.Services {
		if s.Compose == nil {
			continue
		}
		needs[s.Name] = s.Compose.Needs
		checkComposeService(s, names, *config, problems)
	}
	done := map[string]bool{}
	for _, s := range config.Services {
		if circle := findCircle(s.Name, func(name string) []string { return needs[name] }, nil, done); circle != nil {
			problems.Add(s.At, "take one of these needs away", "services need each other to start in a circle: %s", strings.Join(circle, " → "))
		}
	}
}

func checkComposeService(s Service, names []string, config Config, problems *Problems) {
	c := *s.Compose
	if config.Compose.From != "" && !c.Out {
		problems.Add(s.At, "write it there", "%s: compose is made from %s, which says what its services are like", s.Name, config.Compose.From)
	}
	if c.Publish != "" && s.Port == 0 {
		problems.Add(s.At, "add `port: …`", "%s is to be published, and has no port", s.Name)
	}
	if c.Switch {
		checkSwitched(s, names, problems)
	}
	for _, need := range c.Needs {
		other, _ := config.Service(need)
		switch {
		case !slices.Contains(names, need):
			problems.Add(s.At, "name a service, or a companion of `compose`", "%s needs %q, which is neither%s", s.Name, need, Suggestion(need, names))
		case other.Name != "" && other.InCompose().Out:
			problems.Add(s.At, "", "%s needs %s, which is left out of the Compose file", s.Name, need)
		}
	}
}

// checkSwitched proves that a service can be there in two colours.
func checkSwitched(s Service, names []string, problems *Problems) {
	if s.Port == 0 {
		problems.Add(s.At, "add `port: …`", "%s is to be switched, and has no port", s.Name)
	}
	if s.RunOnce != nil {
		problems.Add(s.At, "", "%s is to be switched, and does its work and ends", s.Name)
	}
	if !switchedName.MatchString(s.Name) {
		problems.Add(s.At, "give it a name of at most 57 lower-case letters, digits and - between them", "%s is to be switched, and proxies do not look up such a name", s.Name)
	}
	if strings.ContainsAny(s.HealthEndpoint, "{}") {
		problems.Add(s.At, "write them as %7B and %7D", "%s is to be switched, and its health_endpoint has braces", s.Name)
	}
	for _, colour := range Colours(s.Name) {
		if slices.Contains(names, colour) {
			problems.Add(s.At, "give that one another name", "%s is to be switched, and %s is a service of its own", s.Name, colour)
		}
	}
}

// switchedName is one that is a part of a domain name, with its colour too.
var switchedName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,55}[a-z0-9])?$`)

// Colours are what a service that is switched is called, each time that it is there.
func Colours(name string) [2]string { return [2]string{name + "-blue", name + "-green"} }
