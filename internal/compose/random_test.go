package compose

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/traffic"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of random projects")

// A dice makes projects by chance.
type dice struct{ *rand.Rand }

func (d dice) some(of ...string) []string {
	return slices.DeleteFunc(slices.Clone(of), func(string) bool { return d.IntN(3) > 0 })
}

func (d dice) one(in int) bool { return d.IntN(in) == 0 }

func (d dice) project() Project {
	p := Project{Name: "p", Pins: map[string]string{"busybox:1.37": sha("0"), "nginx:1.28-alpine": sha("3")}}
	p.Wanted.Proxy.Kind = d.pick("", "nginx")
	for _, name := range d.some(service.Companions[:]...) {
		p.Wanted.Companions = append(p.Wanted.Companions, service.Companion{Name: name, Profiles: d.some("production", "development")})
		p.Pins[CompanionImage(service.Companion{Name: name})] = sha("1")
	}
	names := []string{}
	for _, c := range p.Wanted.Companions {
		names = append(names, c.Name)
	}
	for n := range 1 + d.IntN(6) {
		s := service.Service{Name: fmt.Sprintf("s%d", n), Compose: &service.ComposeService{Needs: d.some(names...), Profiles: d.some("production", "development", "test"),
			Secrets: d.some("a", "b"), Writable: d.one(2)}, NewPrivileges: d.one(4)}
		s.Image = "ghcr.io/octo/" + s.Name
		if d.one(5) {
			s.RunOnce = []string{"x"}
		} else if d.one(2) {
			s.Port, s.HealthEndpoint = 80+n, "/health"
			s.Compose.Publish, s.Compose.Switch = d.pick("", "true", "127.0.0.1:8080"), d.one(3)
		}
		if d.one(3) {
			s.Compose.Volumes = map[string]string{"v": "/v"}
		}
		p.Images = append(p.Images, Image{Service: s, Tag: "1", Digest: sha("a"), Checked: d.one(3), Root: d.one(3), Programs: d.some(Programs[:]...)})
		names = append(names, s.Name)
	}
	return p
}

func (d dice) pick(of ...string) string { return of[d.IntN(len(of))] }

// TestRandomProjects: Compose takes what any configuration gives, whichever profiles run, and it is as closed as is promised.
func TestRandomProjects(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", *seed)
	d := dice{rand.New(rand.NewPCG(*seed, 0))}
	for range 60 {
		p := d.project()
		text := p.file(t, "").Compose
		for _, profiles := range [][]string{nil, {"production"}, {"development"}, {"production", "test"}} {
			read, err := load(t.Context(), text, profiles...)
			if err != nil {
				t.Fatalf("with %q: %v\n%s", profiles, err, text)
			}
			for name, s := range read.Services {
				checkSafe(t, name, s)
				p.checkClosed(t, s)
				p.checkWaits(t, s, read.Services)
				for other, how := range s.DependsOn {
					if !p.isMet(read.Services[other], other, how.Condition) {
						t.Errorf("%s waits in vain until %s is %s:\n%s", name, other, how.Condition, text)
					}
				}
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

// checkWaits: a proxy waits for both colours, and nobody but it and what asks them does.
func (p Project) checkWaits(t *testing.T, s types.ServiceConfig, all types.Services) {
	t.Helper()
	for _, i := range p.Images {
		if !i.switched() {
			continue
		}
		for _, colour := range service.Colours(i.Service.Name) {
			asks := colour
			if i.asked() {
				asks = p.sidecar(colour)
			}
			_, waits := s.DependsOn[asks]
			if waits != (s.Name == i.Service.Name) {
				t.Errorf("%s waits for %s: %t", s.Name, asks, waits)
			}
			if _, there := all[asks]; s.Name == i.Service.Name && !there {
				t.Errorf("%s waits for %s, which is not there", s.Name, asks)
			}
		}
	}
}

// checkClosed: nobody reaches a companion but those who have it, and no port but those that are named.
func (p Project) checkClosed(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	_, onData := s.Networks[data]
	at := slices.IndexFunc(p.Images, func(i Image) bool { return i.Service.Name == s.Name || isColour(i, s.Name) })
	switch {
	case at >= 0 && p.Images[at].switched() && !isColour(p.Images[at], s.Name): // a proxy
		if (len(s.Ports) > 0) != (p.Images[at].Service.InCompose().Publish != "") || onData || !s.ReadOnly {
			t.Errorf("%s is on %v with ports %v, read only %t", s.Name, s.Networks, s.Ports, s.ReadOnly)
		}
		if text := s.Environment[traffic.Variable]; text == nil {
			t.Errorf("%s is told nothing", s.Name)
		} else if split, err := traffic.Read(*text); err != nil || split.Of(s.Name+"-blue").Weight != 100 {
			t.Errorf("%s is told %+v, %v", s.Name, split, err)
		}
	case slices.Contains(service.Companions[:], s.Name):
		if !onData || len(s.Networks) != 1 || len(s.Ports) > 0 {
			t.Errorf("%s is on %v with ports %v", s.Name, s.Networks, s.Ports)
		}
	case at < 0: // it asks another one
		if onData || len(s.Ports) > 0 || !s.ReadOnly {
			t.Errorf("%s is on %v with ports %v", s.Name, s.Networks, s.Ports)
		}
	default:
		in := p.Images[at].Service.InCompose()
		if (len(s.Ports) > 0) != (in.Publish != "" && !in.Switch) || s.ReadOnly == in.Writable {
			t.Errorf("%s has ports %v, read only %t", s.Name, s.Ports, s.ReadOnly)
		}
		if h := s.HealthCheck; h != nil && (p.Images[at].Checked || !slices.Contains(p.Images[at].Programs, h.Test[1])) {
			t.Errorf("%s is asked by %q, and its image has %q", s.Name, h.Test, p.Images[at].Programs)
		}
		if has := slices.ContainsFunc(p.Wanted.Companions, func(c service.Companion) bool { return p.uses(p.Images[at].Service, c.Name) }); has != onData {
			t.Errorf("%s is on %v, and has a companion: %t", s.Name, s.Networks, has)
		}
	}
}

func isColour(i Image, name string) bool {
	colours := service.Colours(i.Service.Name)
	return i.switched() && slices.Contains(colours[:], name)
}

// isMet reports whether a container can come to be what another one waits for. One that is not there is not waited for.
func (p Project) isMet(s types.ServiceConfig, name, condition string) bool {
	at := slices.IndexFunc(p.Images, func(i Image) bool { return i.Service.Name == name || isColour(i, name) })
	switch condition {
	case types.ServiceConditionHealthy:
		return s.Name == "" || s.HealthCheck != nil || at >= 0 && p.Images[at].Checked
	case types.ServiceConditionCompletedSuccessfully:
		return at >= 0 && p.Images[at].Service.RunOnce != nil && (s.Name == "" || s.Restart == "no")
	default:
		return true
	}
}
