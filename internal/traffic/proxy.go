package traffic

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Proxy is a kind of program that shares requests out. One that drops a request when it takes a configuration over is none.
type Proxy struct {
	Name  string
	Image string // the usual one; any other needs a shell, mv, cp and wget, too
	// Capabilities are those that it cannot do without, run by root.
	Capabilities []string
	StopSignal   string // has it finish what it has begun; empty for the usual one
	render       func(Split) string
	run          string // a command line, as are the next two; FILE is the configuration
	check        string
	reload       string
}

// Named is one of service.Proxies; the first of them for an empty name.
func Named(kind string) Proxy {
	return Proxy{Name: cmp.Or(kind, service.Proxies[0]), Image: "nginx:1.28-alpine", StopSignal: "SIGQUIT",
		Capabilities: []string{"CHOWN", "SETGID", "SETUID"}, // its workers give up being root, and own their folders
		render:       nginx, run: "nginx -e stderr -c FILE -g 'daemon off;'", check: "nginx -e stderr -q -t -c FILE", reload: "nginx -e stderr -c FILE -s reload"}
}

// The labels of a proxy, whose values are its name and what its container is like, as far as only another one can be otherwise; and of each
// container that belongs to a colour, whose values are the colour's name and the path that says whether it is well.
const (
	ProxyLabel     = "ghcr-publish.proxy"
	ContainerLabel = "ghcr-publish.container"
	ColourLabel    = "ghcr-publish.colour"
	HealthLabel    = "ghcr-publish.health"
)

// Folder is that of the container which outlives it, and Variable holds what the proxy does as long as nothing is in there.
const (
	Folder   = "/traffic"
	Variable = "TRAFFIC"
)

// Volume is what a Compose file calls that folder of the proxy of a service.
func Volume(service string) string { return service + "-traffic" }

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

// Show is what the container runs to print the configuration that is in force.
func (p Proxy) Show() []string { return shell("exec cat " + p.File()) }

// Reload is what the container runs to do what its file says, should it do anything else.
func (p Proxy) Reload() []string { return shell(on(p.File(), p.reload)) }

// Ask is what the container runs to be asked as its users do, at a port of its own where it also says which split it goes by.
func Ask(s Split) []string {
	return shell(`exec wget -q -S -O /dev/null "$1" 2>&1`, s.inside())
}

// Healthcheck is what the container is asked with whether anybody answers behind it, as a Compose file has it. A proxy listens at that port
// whatever it is told: at its own, or at the service's.
func Healthcheck() []string {
	return []string{"CMD-SHELL", fmt.Sprintf("wget -q -S -O /dev/null http://127.0.0.1:%d/ 2>&1 | grep -q 'HTTP/1.1 [1-4]'", usualOwnPort)}
}

func (s Split) inside() string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.ownPort(), cmp.Or(s.Health, "/"))
}

const usualOwnPort = 9180

// ownPort is where the proxy also says what it goes by. Nobody outside of its container need reach it.
func (s Split) ownPort() int {
	if s.Port == usualOwnPort {
		return usualOwnPort + 1
	}
	return usualOwnPort
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

// IsWhat reports by what Ask printed whether the proxy goes by a split.
func (s Split) IsWhat(printed string) bool {
	_, shares := answer(printed)
	return shares == s.shares()
}

// Answered reports by what Ask printed, and whether that ended well, why a proxy does not go by a split, or none of its backends is well.
func Answered(printed string, ended bool, s Split) error {
	status, shares := answer(printed)
	switch {
	case shares != s.shares():
		return fmt.Errorf("the proxy goes by %q, not by %q", shares, s.shares())
	case s.Health != "" && !ended, status == "" || status[0] == '5':
		return fmt.Errorf("asked for %s, the proxy answers %q", cmp.Or(s.Health, "/"), status)
	}
	return nil
}

// answer picks the status and the split out of what wget prints.
func answer(printed string) (status, shares string) {
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		if rest, found := strings.CutPrefix(line, "HTTP/1.1 "); found {
			status, _, _ = strings.Cut(rest, " ")
		}
		if name, value, found := strings.Cut(line, ": "); found && strings.EqualFold(name, splitHeader) {
			shares = value
		}
	}
	return status, shares
}
