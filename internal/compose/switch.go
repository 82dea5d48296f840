package compose

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/traffic"
)

func (i Image) switched() bool { return i.Service.InCompose().Switch }

func (p Project) proxyImage() string {
	return cmp.Or(p.Wanted.Proxy.Image, traffic.Named(p.Wanted.Proxy.Kind).Image)
}

// addColours puts a service into the file twice, and a proxy under its name before them.
func (p Project) addColours(d document, i Image) error {
	for _, colour := range service.Colours(i.Service.Name) {
		one, in := i, i.Service.InCompose()
		in.Publish = ""
		one.Service.Name, one.Service.Compose = colour, &in
		p.addService(d, one)
		for _, name := range []string{colour, p.sidecar(colour)} {
			if c, there := d.Services[name]; there {
				c.Labels = map[string]string{traffic.ColourLabel: colour}
				if path := i.Service.HealthEndpoint; path != "" {
					c.Labels[traffic.HealthLabel] = escaped(path)[0]
				}
				d.Services[name] = c
			}
		}
	}
	return p.addProxy(d, i)
}

const proxyMemory = 128 << 20

// addProxy has a proxy wait for both colours: whoever needs the service waits for the proxy, which is not well before one of them answers.
func (p Project) addProxy(d document, i Image) error {
	s := i.Service
	proxy, in := traffic.Named(p.Wanted.Proxy.Kind), s.InCompose()
	text, err := proxy.Write(traffic.First(s))
	if err != nil {
		return err
	}
	c := p.newContainer(p.pinnedOther(p.proxyImage()), service.Resources{MemoryLimit: proxyMemory, MemoryReservation: proxyMemory / 4})
	c.Profiles, c.Networks, c.Labels = in.Profiles, []string{app}, map[string]string{traffic.ProxyLabel: proxy.Name}
	c.Entrypoint, c.Environment = escaped(proxy.Start()...), map[string]string{traffic.Variable: escaped(text)[0]}
	if in.Publish != "" {
		c.Networks, c.Ports = []string{edge, app}, []string{published(s, in.Publish)}
	}
	// As root it owns its folder, and can do nothing else that root can.
	c.User, c.CapDrop, c.CapAdd, c.ReadOnly, c.Tmpfs, c.StopSignal = "0:0", []string{"ALL"}, proxy.Capabilities, true, []string{"/tmp"}, proxy.StopSignal
	volume := traffic.Volume(s.Name)
	c.Volumes = []string{volume + ":" + traffic.Folder}
	d.Volumes[volume] = struct{}{}
	if c.Labels[traffic.ContainerLabel], err = likeness(c); err != nil {
		return err
	}
	c.Healthcheck = p.newHealthcheck(escaped(traffic.Healthcheck()...))
	for _, colour := range service.Colours(s.Name) {
		if i.asked() {
			colour = p.sidecar(colour)
		}
		c.dependOn(colour, dependency{Condition: "service_healthy"})
	}
	d.add(s.Name, c)
	return nil
}

// likeness tells containers of a proxy apart that cannot be made like each other while they run. What it does at first, which its file says
// later, is nothing of that; the ports are there as they are filled in.
func likeness(c container) (string, error) {
	c.Profiles, c.Environment, c.Image.LineComment = nil, nil, ""
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("writing YAML: %w", err)
	}
	return strings.TrimSpace(fmt.Sprintf("%x %s", sha256.Sum256(text), strings.Join(c.Ports, " "))), nil
}
