package enginetest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// A bridge is a network that was made.
type bridge struct {
	id, name string
	labels   map[string]string
	created  time.Time
}

func (s *Server) createNetwork(r *http.Request) (answer, error) {
	var request network.CreateRequest
	if err := read(r, &request); err != nil {
		return answer{}, err
	}
	if request.Name == "" {
		return answer{}, malform("network name cannot be empty")
	}
	if s.hasNetwork(request.Name) {
		return answer{}, &apiError{http.StatusConflict, "network with name " + request.Name + " already exists"}
	}
	if s.exhausted {
		return answer{}, &apiError{http.StatusInternalServerError, "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"}
	}
	b := &bridge{id: s.newID(), name: request.Name, labels: request.Labels, created: time.Now()}
	s.networks[b.id] = b
	return answer{http.StatusCreated, network.CreateResponse{ID: b.id}}, nil
}

// hasNetwork knows the networks made, by name or id, and those every engine has.
func (s *Server) hasNetwork(name string) bool {
	return slices.Contains([]string{"bridge", "host", "none"}, name) || s.bridge(name) != nil
}

// bridge finds a network that was made; nil without one.
func (s *Server) bridge(name string) *bridge {
	for id, b := range s.networks {
		if b.name == name || id == name {
			return b
		}
	}
	return nil
}

// named finds the network of a request.
func (s *Server) named(r *http.Request) (*bridge, error) {
	if b := s.bridge(r.PathValue("id")); b != nil {
		return b, nil
	}
	return nil, &apiError{http.StatusNotFound, "network " + r.PathValue("id") + " not found"}
}

func (b *bridge) summary() network.Network {
	return network.Network{ID: b.id, Name: b.name, Labels: b.labels, Created: b.created, Driver: "bridge", Scope: "local"}
}

func (s *Server) inspectNetwork(r *http.Request) (answer, error) {
	b, err := s.named(r)
	if err != nil {
		return answer{}, err
	}
	found := network.Inspect{Network: b.summary(), Containers: map[string]network.EndpointResource{}}
	for _, c := range s.containers {
		if c.running && c.isIn(b) {
			found.Containers[c.id] = network.EndpointResource{Name: c.name}
		}
	}
	return answer{http.StatusOK, found}, nil
}

func (s *Server) listNetworks(r *http.Request) (answer, error) {
	wanted, err := labelFilter(r)
	if err != nil {
		return answer{}, err
	}
	found := []network.Network{}
	for _, b := range s.networks {
		if hasLabels(b.labels, wanted) {
			found = append(found, b.summary())
		}
	}
	slices.SortFunc(found, func(a, b network.Network) int { return strings.Compare(a.Name, b.Name) })
	return answer{http.StatusOK, found}, nil
}

// ends are the network that a request is about, and the container that it names.
func (s *Server) ends(r *http.Request, id string) (b *bridge, c *instance, err error) {
	if b, err = s.named(r); err == nil {
		c, err = s.container(id)
	}
	return b, c, err
}

func (s *Server) connect(r *http.Request) (answer, error) {
	var request network.ConnectRequest
	if err := read(r, &request); err != nil {
		return answer{}, err
	}
	b, c, err := s.ends(r, request.Container)
	switch {
	case err != nil:
		return answer{}, err
	case c.network() == "host":
		return answer{}, &apiError{http.StatusBadRequest, "container cannot be connected to host network or disconnected from it"}
	case c.isIn(b):
		return answer{}, &apiError{http.StatusForbidden, "endpoint with name " + c.name + " already exists in network " + b.name}
	}
	c.joined[b.name] = request.EndpointConfig
	return answer{status: http.StatusOK}, nil
}

func (s *Server) disconnect(r *http.Request) (answer, error) {
	var request network.DisconnectRequest
	if err := read(r, &request); err != nil {
		return answer{}, err
	}
	b, c, err := s.ends(r, request.Container)
	if err != nil {
		return answer{}, err
	}
	if !c.isIn(b) {
		return answer{}, &apiError{http.StatusForbidden, "container " + c.id + " is not connected to network " + b.name}
	}
	delete(c.joined, b.name)
	return answer{status: http.StatusOK}, nil
}

func (s *Server) removeNetwork(r *http.Request) (answer, error) {
	b, err := s.named(r)
	if err != nil {
		return answer{}, err
	}
	for _, c := range s.containers {
		if c.running && c.isIn(b) {
			return answer{}, &apiError{http.StatusForbidden, "error while removing network: network " + b.name + " has active endpoints"}
		}
	}
	delete(s.networks, b.id)
	return answer{status: http.StatusNoContent}, nil
}

// network is the one that the container was created in.
func (c *instance) network() string {
	if mode := c.host.NetworkMode; mode != "" && mode != "default" {
		return string(mode)
	}
	return "bridge"
}

func (c *instance) isIn(b *bridge) bool {
	for name := range c.joined {
		if name == b.name || name == b.id {
			return true
		}
	}
	return false
}

// resolves reports whether a running container has a name in a network that was made and that another container is in, too.
func (s *Server) resolves(from *instance, name string) bool {
	for _, b := range s.networks {
		for _, c := range s.containers {
			if c.running && from.isIn(b) && c.isIn(b) && c.joined[b.name] != nil && slices.Contains(c.joined[b.name].Aliases, name) {
				return true
			}
		}
	}
	return false
}

// join puts a container that is being created into its network.
func (c *instance) join(request container.CreateRequest) {
	c.joined = map[string]*network.EndpointSettings{c.network(): nil}
	if request.NetworkingConfig != nil {
		c.joined[c.network()] = request.NetworkingConfig.EndpointsConfig[c.network()]
	}
}

// attached tells of the container's networks. It has no address in them: only published ports are reached.
func (c *instance) attached() map[string]*network.EndpointSettings {
	found := map[string]*network.EndpointSettings{}
	for name, settings := range c.joined {
		if found[name] = settings; settings == nil {
			found[name] = &network.EndpointSettings{}
		}
	}
	return found
}
