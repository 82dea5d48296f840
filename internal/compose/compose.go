// Package compose writes the Compose file of what is published: of the services of a configuration, or out of a Compose file that
// is there already, with every image by its digest. It reads nothing but what it is given, so the same gives the same bytes.
package compose

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
)

// An Image is what is live of a service.
type Image struct {
	Service  service.Service
	Mirrored string // repository that it is pulled from; empty for the service's own
	Tag      string // under which it is published
	Digest   string
	Checked  bool     // it has a HEALTHCHECK of its own
	Root     bool     // who it runs as
	Programs []string // those of Programs that it has; nobody need know where it has a HEALTHCHECK, or no port
}

// Repository is where the image is pulled from.
func (i Image) Repository() string { return cmp.Or(i.Mirrored, i.Service.Image) }

func (i Image) pinned() yaml.Node { return pinned(i.Repository(), i.Digest, i.Tag) }

// A Project is what a Compose file is made of.
type Project struct {
	Name   string // in the letters that Compose allows
	Wanted service.Compose
	Images []Image
	// Pins are the digests of images that are published by others, by their names. One that is missing is left to its tag.
	Pins map[string]string
	// StartPeriod is how long a container may take until it is well.
	StartPeriod time.Duration
}

// Name makes a project's name of a repository's.
func Name(repository string) string {
	return cmp.Or(loader.NormalizeProjectName(repository), "project")
}

// NameIn is the project's name that a Compose file says; empty where it says none, or one that is filled in.
func NameIn(source []byte) string {
	root, err := parse(source)
	if err != nil {
		return ""
	}
	if n := lookup(root, "name"); n != nil && loader.NormalizeProjectName(n.Value) == n.Value {
		return n.Value
	}
	return ""
}

// Others lists the images of the file that are not the services'.
func (p Project) Others() []string {
	var others []string
	for _, c := range p.Wanted.Companions {
		others = append(others, CompanionImage(c))
	}
	if slices.ContainsFunc(p.Images, Image.asked) {
		others = append(others, p.healthImage())
	}
	if slices.ContainsFunc(p.Images, Image.switched) {
		others = append(others, p.proxyImage())
	}
	return others
}

// Keep takes the pins of others' images from a file that Write wrote before, as far as that names them by the same repositories and tags.
func (p Project) Keep(written []byte) error {
	root, err := parse(written)
	if err != nil {
		return err
	}
	services := lookup(root, "services")
	if services == nil || services.Kind != yaml.MappingNode {
		return nil
	}
	for _, definition := range services.Content {
		image := lookup(definition, "image")
		if image == nil {
			continue
		}
		_, digest, _ := strings.Cut(image.Value, "@")
		for _, ref := range p.Others() {
			if as := pinnedRef(ref, digest); as.LineComment != "" && as.Value == image.Value && "# "+as.LineComment == image.LineComment {
				p.Pins[ref] = digest
			}
		}
	}
	return nil
}

func (p Project) healthImage() string {
	return cmp.Or(p.Wanted.HealthImage, service.DefaultHealthImage)
}

// A File is a Compose file, and what is to lie beside it.
type File struct {
	Compose []byte
	Example []byte   // .env.example, which has the variables
	Notices []string // what somebody should know about it
}

const head = "# Made by ghcr-publish of what is published: images are pinned by their digests, with their tags beside them.\n"

// Write makes the file of the services, with all that they need.
func (p Project) Write(ctx context.Context) (File, error) {
	d := document{Name: p.Name, Services: map[string]container{}, Networks: map[string]network{}, Volumes: map[string]struct{}{}, Secrets: map[string]secret{}}
	for _, c := range p.Wanted.Companions {
		p.addCompanion(d, c)
	}
	for _, i := range p.Images {
		if !i.switched() {
			p.addService(d, i)
		} else if err := p.addColours(d, i); err != nil {
			return File{}, err
		}
	}
	text, err := encode(d)
	if err != nil {
		return File{}, err
	}
	f, err := finish(ctx, append([]byte(head+d.closed()), text...), slices.Sorted(maps.Keys(d.Secrets)))
	f.Notices = p.alone(d)
	return f, err
}

// closed is a remark on a file by which nothing is reached.
func (d document) closed() string {
	for _, c := range d.Services {
		if c.Ports != nil {
			return ""
		}
	}
	return "# No port is reached from outside: `compose: {publish: true}` of a service opens its own.\n"
}

// alone tells of services that were tried out with others than the file has.
func (p Project) alone(d document) (notices []string) {
	for _, i := range p.Images {
		for _, peer := range i.Service.PeerNames {
			if _, there := d.Services[peer]; !there {
				notices = append(notices, fmt.Sprintf("%s is tried out with %s, which is no service of the Compose file: have a companion, or have the file made from the one that has it.", i.Service.Name, peer))
			}
		}
	}
	slices.Sort(notices)
	return notices
}

// Networks: what is published is on edge, too; companions are on data alone, which leads nowhere else.
const (
	edge = "edge"
	app  = "app"
	data = "data"
)

func (p Project) addService(d document, i Image) {
	s, in := i.Service, i.Service.InCompose()
	c := p.newContainer(i.pinned(), s.Resources)
	c.Profiles, c.Command, c.ReadOnly = in.Profiles, escaped(s.RunOnce...), !in.Writable
	c.Environment = merged(p.Wanted.Environment, secretEnvironment(in.Secrets))
	c.Secrets, c.Networks = in.Secrets, []string{app}
	if in.Publish != "" {
		c.Networks = []string{edge, app}
		c.Ports = []string{published(s, in.Publish)}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Volumes)) {
		c.Volumes = append(c.Volumes, name+":"+in.Volumes[name])
		d.Volumes[name] = struct{}{}
	}
	if c.ReadOnly {
		c.Tmpfs = escaped(withTmp(s.Tmpfs)...)
	}
	if s.NewPrivileges {
		c.SecurityOpt = nil
	} else if !i.Root {
		c.CapDrop = []string{"ALL"}
	}
	if s.RunOnce != nil {
		c.Restart = "no"
	}
	p.join(&c, i)
	c.Environment = merged(c.Environment, in.Environment)
	p.addHealth(d, &c, i)
	d.add(s.Name, c)
}

// join lets a service use companions and others that it needs.
func (p Project) join(c *container, i Image) {
	in := i.Service.InCompose()
	for _, need := range in.Needs {
		c.dependOn(p.dependency(need, in.Profiles))
	}
	for _, companion := range p.Wanted.Companions {
		if !p.uses(i.Service, companion.Name) {
			continue
		}
		known := kindOf(companion.Name)
		c.dependOn(p.dependency(companion.Name, in.Profiles))
		c.Environment = merged(c.Environment, known.environment)
		c.Networks = with(c.Networks, data)
		if known.secret != "" {
			c.Secrets = with(c.Secrets, known.secret)
		}
	}
}

// with is a list that has an item.
func with(list []string, item string) []string {
	if slices.Contains(list, item) {
		return list
	}
	return slices.Concat(list, []string{item})
}

// uses reports whether a service has a companion: one that names it, or all where none does.
func (p Project) uses(s service.Service, companion string) bool {
	if slices.Contains(s.InCompose().Needs, companion) {
		return true
	}
	return s.RunOnce == nil && !slices.ContainsFunc(p.Images, func(i Image) bool { return slices.Contains(i.Service.InCompose().Needs, companion) })
}

// dependency is what it is to need a service, and the name of what is asked whether it is well.
func (p Project) dependency(name string, mine []string) (string, dependency) {
	d := dependency{Condition: "service_healthy"}
	profiles := p.profiles(name)
	if len(profiles) > 0 && (len(mine) == 0 || slices.ContainsFunc(mine, func(m string) bool { return !slices.Contains(profiles, m) })) {
		optional := false
		d.Required = &optional // it may not be there
	}
	at := slices.IndexFunc(p.Images, func(i Image) bool { return i.Service.Name == name })
	if at < 0 {
		return name, d
	}
	image := p.Images[at]
	switch {
	case image.switched(): // its proxy knows
	case image.Service.RunOnce != nil:
		d.Condition = "service_completed_successfully"
	case image.Checked:
	case image.Service.Port == 0:
		d.Condition = "service_started"
	case image.asked():
		name = p.sidecar(name)
	}
	return name, d
}

func (p Project) profiles(name string) []string {
	for _, c := range p.Wanted.Companions {
		if c.Name == name {
			return c.Profiles
		}
	}
	for _, i := range p.Images {
		if i.Service.Name == name {
			return i.Service.InCompose().Profiles
		}
	}
	return nil
}

// addHealth says how to find out whether a service is well. Its image's own HEALTHCHECK says it best.
func (p Project) addHealth(d document, c *container, i Image) {
	if !i.asked() {
		if test := i.ask(); test != nil && !i.Checked {
			c.Healthcheck = p.newHealthcheck(test)
		}
		return
	}
	beside := p.newContainer(p.pinnedOther(p.healthImage()), service.Resources{MemoryLimit: 16 << 20, CPUs: 0.1, Processes: 16})
	beside.Profiles, beside.Command, beside.ReadOnly, beside.CapDrop = i.Service.InCompose().Profiles, []string{"sleep", "infinity"}, true, []string{"ALL"}
	beside.User, beside.StopSignal, beside.Networks = "65534:65534", "SIGKILL", []string{app}
	beside.dependOn(i.Service.Name, dependency{Condition: "service_started"})
	beside.Healthcheck = p.newHealthcheck(busybox(i.Service.Name, i.Service))
	d.add(p.sidecar(i.Service.Name), beside)
}

// sidecar names what asks a service that cannot be asked in its own container.
func (p Project) sidecar(name string) string {
	name += "-health"
	for slices.ContainsFunc(p.Images, func(i Image) bool { return i.Service.Name == name }) {
		name += "-check"
	}
	return name
}

func (p Project) newHealthcheck(test []string) *healthcheck {
	h := &healthcheck{Test: test, Interval: "5s", Timeout: "5s", Retries: 6}
	if p.StartPeriod > 0 {
		h.StartPeriod = p.StartPeriod.String()
	}
	return h
}

// pinnedOther is an image of others.
func (p Project) pinnedOther(ref string) yaml.Node { return pinnedRef(ref, p.Pins[ref]) }
