// Package traffic writes how a proxy is to share requests out among the colours of a service, reads what it wrote, and knows the commands
// by which a proxy takes that over. It does nothing by itself.
package traffic

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/ghcr-publish/internal/service"
)

// A Split is how a proxy shares a service's requests out.
type Split struct {
	Service  string    `json:"service"`
	Port     int       `json:"port"`             // that the proxy listens at
	Health   string    `json:"health,omitempty"` // path that says whether a backend is well; empty means that any answer will do
	Sticky   bool      `json:"sticky,omitempty"` // a cookie keeps who was sent to a backend there
	Backends []Backend `json:"backends"`
}

// A Backend is what answers a share of the requests.
type Backend struct {
	Host   string `json:"host"` // in the proxy's network
	Port   int    `json:"port"`
	Weight int    `json:"weight"` // percent
}

func (b Backend) address() string { return fmt.Sprintf("%s:%d", b.Host, b.Port) }

// First is the split of a service before anything was switched: all to the first colour, of which any answer will do.
func First(of service.Service) Split {
	s := Split{Service: of.Name, Port: of.Port, Sticky: of.InCompose().Sticky}
	for n, host := range service.Colours(of.Name) {
		s.Backends = append(s.Backends, Backend{host, of.Port, 100 * (1 - n)})
	}
	return s
}

// Of is what answers at a host; the zero value where that is none of the backends.
func (s Split) Of(host string) Backend {
	if at := slices.IndexFunc(s.Backends, func(b Backend) bool { return b.Host == host }); at >= 0 {
		return s.Backends[at]
	}
	return Backend{}
}

// live are the backends that get requests.
func (s Split) live() []Backend {
	return slices.DeleteFunc(slices.Clone(s.Backends), func(b Backend) bool { return b.Weight == 0 })
}

// hostName is what containers may be called by, and no proxy takes for anything else.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// path has no letter that a proxy would fill something in for.
var path = regexp.MustCompile(`^/[!-z|~]*$`)

func (s Split) check() error {
	total := 0
	for n, b := range s.Backends {
		switch {
		case !hostName.MatchString(b.Host):
			return fmt.Errorf("%q is no name of a host", b.Host)
		case slices.ContainsFunc(s.Backends[:n], func(other Backend) bool { return other.Host == b.Host }):
			return fmt.Errorf("%s is there twice", b.Host)
		case !isPort(b.Port):
			return fmt.Errorf("%d is no port of %s", b.Port, b.Host)
		case b.Weight < 0:
			return fmt.Errorf("%s has a weight of %d", b.Host, b.Weight)
		}
		total += b.Weight
	}
	switch {
	case !hostName.MatchString(s.Service):
		return fmt.Errorf("%q is no name of a service", s.Service)
	case !isPort(s.Port):
		return fmt.Errorf("%d is no port", s.Port)
	case s.Health != "" && !path.MatchString(s.Health):
		return fmt.Errorf("%q is no path", s.Health)
	case total != 100:
		return fmt.Errorf("weights add up to %d, not to 100", total)
	}
	return nil
}

func isPort(n int) bool { return n > 0 && n < 1<<16 }

// head begins the first line of what is written, which says it all once more, and proves that all of it is as it was written.
const head = "# Written by ghcr-publish: "

// Write is the configuration of a proxy that shares requests out so.
func (p Proxy) Write(s Split) (string, error) {
	if err := s.check(); err != nil {
		return "", fmt.Errorf("sharing out the requests of %q: %w", s.Service, err)
	}
	said, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("sharing out the requests of %q: %w", s.Service, err)
	}
	rest := string(said) + "\n" + p.render(s)
	return head + sum(rest) + " " + rest, nil
}

// sum tells a text from another one.
func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16] }

// Read is what a configuration shares out. It is one that Write wrote, also if that was another release of this program: of one that was
// changed nobody knows what the proxy does.
func Read(text string) (Split, error) {
	rest, found := strings.CutPrefix(text, head)
	was, rest, _ := strings.Cut(rest, " ")
	said, _, _ := strings.Cut(rest, "\n")
	var s Split
	var err error
	switch {
	case !found:
		err = errors.New("the file was not written by ghcr-publish")
	case sum(rest) != was:
		err = errors.New("somebody has changed the file")
	default:
		if err = json.Unmarshal([]byte(said), &s); err == nil {
			err = s.check()
		}
	}
	if err != nil {
		return Split{}, fmt.Errorf("reading how requests are shared out: %w", err)
	}
	return s, nil
}
