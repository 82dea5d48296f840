package traffic

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Proxy is a kind of program that shares requests out.
type Proxy struct {
	Name  string
	Image string // the usual one; any other needs a shell, mv, cp and wget, too
	// Capabilities are those that it cannot do without, run by root.
	Capabilities []string
	StopSignal   string // has it finish what it has begun; empty for the usual one
	render       func(Split) string
	run          string // command line, as the three below: FILE is the configuration
	check        string
	reload       string
}

// Named is one of service.Proxies; the first of them for an empty name.
func Named(kind string) Proxy {
	if kind == "nginx" {
		return Proxy{Name: kind, Image: "nginx:1.28-alpine", render: nginx, StopSignal: "SIGQUIT",
			Capabilities: []string{"SETGID", "SETUID"}, // its workers give up being root
			run:          "nginx -e stderr -c FILE -g 'daemon off;'", check: "nginx -e stderr -q -t -c FILE", reload: "nginx -e stderr -c FILE -s reload"}
	}
	return Proxy{Name: service.Proxies[0], Image: "caddy:2-alpine", render: caddy,
		Capabilities: []string{"NET_BIND_SERVICE"}, // which its file asks for: without, it does not start
		run:          "caddy run --adapter caddyfile --config FILE", check: "caddy validate --adapter caddyfile --config FILE", reload: "caddy reload --adapter caddyfile --config FILE"}
}

// The labels of a proxy, whose value is its name, and of each container that belongs to a colour, whose value is the colour's.
const (
	ProxyLabel  = "ghcr-publish.proxy"
	ColourLabel = "ghcr-publish.colour"
)

// Folder is that of the container which outlives it, and Variable holds what the proxy does as long as nothing is in there.
const (
	Folder   = "/traffic"
	Variable = "TRAFFIC"
)

// File is the configuration that is in force.
func (p Proxy) File() string { return Folder + "/" + p.Name }

func (p Proxy) fresh() string { return p.File() + ".new" }

func on(file, command string) string { return strings.ReplaceAll(command, "FILE", file) }

func shell(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-ec", script, "sh"}, args...)
}

// Start is what the container runs.
func (p Proxy) Start() []string {
	return shell(fmt.Sprintf(`[ -s %[1]s ] || { printf %%s "$%[2]s" >%[3]s; mv %[3]s %[1]s; }; exec %[4]s`, p.File(), Variable, p.fresh(), on(p.File(), p.run)))
}

// Switch is what the container runs to take over a configuration: one that is refused leaves the former in force. The file is replaced
// in one step, so that a proxy which starts again at any moment has one or the other.
func (p Proxy) Switch(text string) []string {
	const script = `printf %%s "$1" >%[2]s; %[3]s; cp %[1]s %[1]s.was; mv %[2]s %[1]s; %[4]s || { mv %[1]s.was %[1]s; exit 1; }`
	return shell(fmt.Sprintf(script, p.File(), p.fresh(), on(p.fresh(), p.check), on(p.File(), p.reload)), text)
}

// Reload is what the container runs to do what its file says, should it do anything else.
func (p Proxy) Reload() []string { return shell(on(p.File(), p.reload)) }

// Ask is what the container runs to be asked as its users do, at a port of its own where it also says which split it goes by.
func Ask(s Split) []string {
	return []string{"wget", "-q", "-S", "-O", "/dev/null", s.inside()}
}

// Healthcheck is what the container is asked with whether the service behind it is well, as a Compose file has it.
func Healthcheck(s Split) []string {
	if s.Health != "" {
		return []string{"CMD", "wget", "-q", "-O", "/dev/null", s.inside()}
	}
	return []string{"CMD-SHELL", "wget -q -S -O /dev/null " + s.inside() + " 2>&1 | grep -q 'HTTP/1.1 [1-4]'"}
}

func (s Split) inside() string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.ownPort(), cmp.Or(s.Health, "/"))
}

// ownPort is where the proxy also says what it goes by. Nobody outside of its container need reach it.
func (s Split) ownPort() int {
	const usual = 9180
	if s.Port == usual {
		return usual + 1
	}
	return usual
}

// splitHeader is that of an answer which says what the proxy goes by.
const splitHeader = "X-Traffic-Split"

// shares is a split in short.
func (s Split) shares() string {
	var all []string
	for _, b := range s.live() {
		all = append(all, fmt.Sprintf("%s=%d", b.address(), b.Weight))
	}
	return strings.Join(all, ",")
}

// Answered reports by what Ask printed, and whether that ended well, whether the proxy goes by a split and a backend of it is well.
func Answered(printed string, ended bool, s Split) error {
	status, shares := "", ""
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		if rest, found := strings.CutPrefix(line, "HTTP/1.1 "); found {
			status, _, _ = strings.Cut(rest, " ")
		}
		if name, value, found := strings.Cut(line, ": "); found && strings.EqualFold(name, splitHeader) {
			shares = value
		}
	}
	switch {
	case shares != s.shares():
		return fmt.Errorf("the proxy goes by %q, not by %q", shares, s.shares())
	case s.Health != "" && !ended, status == "" || status[0] == '5':
		return fmt.Errorf("asked for %s, the proxy answers %q", cmp.Or(s.Health, "/"), status)
	}
	return nil
}
