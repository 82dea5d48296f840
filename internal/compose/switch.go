package compose

import (
	"cmp"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/traffic"
)

func (i Image) switched() bool { return i.Service.InCompose().Switch }

func (p Project) proxyImage() string {
	return cmp.Or(p.Wanted.Proxy.Image, traffic.Named(p.Wanted.Proxy.Kind).Image)
}

// addColours puts a service into the file twice, and a proxy under its name before them. Nothing waits for a colour, so that no command
// which starts something else touches the one that is live.
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
	return p.addProxy(d, i.Service)
}

const proxyMemory = 128 << 20

func (p Project) addProxy(d document, s service.Service) error {
	proxy, in, first := traffic.Named(p.Wanted.Proxy.Kind), s.InCompose(), traffic.First(s)
	text, err := proxy.Write(first)
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
	volume := s.Name + "-traffic"
	c.Volumes = []string{volume + ":" + traffic.Folder}
	d.Volumes[volume] = struct{}{}
	c.Healthcheck = p.newHealthcheck(escaped(traffic.Healthcheck(first)...))
	d.add(s.Name, c)
	return nil
}
