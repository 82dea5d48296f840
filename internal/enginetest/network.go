package enginetest

import (
	"net/http"
	"slices"

	"github.com/moby/moby/api/types/network"
)

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
	id := s.newID()
	s.networks[id] = request.Name
	return answer{http.StatusCreated, network.CreateResponse{ID: id}}, nil
}

// hasNetwork knows the networks made, by name or id, and those every engine has.
func (s *Server) hasNetwork(name string) bool {
	return slices.Contains([]string{"bridge", "host", "none"}, name) || s.networkID(name) != ""
}

func (s *Server) networkID(name string) string {
	for id, n := range s.networks {
		if n == name || id == name {
			return id
		}
	}
	return ""
}

func (s *Server) removeNetwork(r *http.Request) (answer, error) {
	id := s.networkID(r.PathValue("id"))
	if id == "" {
		return answer{}, &apiError{http.StatusNotFound, "network " + r.PathValue("id") + " not found"}
	}
	for _, c := range s.containers {
		if c.running && s.networkID(c.network()) == id {
			return answer{}, &apiError{http.StatusForbidden, "error while removing network: network " + s.networks[id] + " has active endpoints"}
		}
	}
	delete(s.networks, id)
	return answer{status: http.StatusNoContent}, nil
}
