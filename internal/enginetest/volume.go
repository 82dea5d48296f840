package enginetest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
)

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// createVolume gives back the volume of the name where there is one, as it is.
func (s *Server) createVolume(r *http.Request) (answer, error) {
	var request volume.CreateRequest
	if err := read(r, &request); err != nil {
		return answer{}, err
	}
	if !volumeName.MatchString(request.Name) {
		return answer{}, malform("%q includes invalid characters for a local volume name", request.Name)
	}
	v, there := s.volumes[request.Name]
	if !there {
		v = volume.Volume{Name: request.Name, Driver: "local", Labels: request.Labels, Options: map[string]string{}, Scope: "local",
			Mountpoint: "/var/lib/docker/volumes/" + request.Name + "/_data", CreatedAt: s.now().Format(time.RFC3339)}
		s.volumes[request.Name] = v
	}
	return answer{http.StatusCreated, v}, nil
}

func (s *Server) listVolumes(r *http.Request) (answer, error) {
	wanted, err := labelFilter(r)
	if err != nil {
		return answer{}, err
	}
	found := volume.ListResponse{Volumes: []volume.Volume{}}
	for _, v := range s.volumes {
		if hasLabels(v.Labels, wanted) {
			found.Volumes = append(found.Volumes, v)
		}
	}
	slices.SortFunc(found.Volumes, func(a, b volume.Volume) int { return strings.Compare(b.Name, a.Name) })
	return answer{http.StatusOK, found}, nil
}

func (s *Server) removeVolume(r *http.Request) (answer, error) {
	name := r.PathValue("name")
	if _, there := s.volumes[name]; !there {
		return answer{}, notFound("volume", name)
	}
	if s.pinned != "" && strings.Contains(name, s.pinned) {
		return answer{}, &apiError{http.StatusConflict, "remove " + name + ": volume is in use"}
	}
	delete(s.volumes, name)
	return answer{status: http.StatusNoContent}, nil
}

func (s *Server) info(*http.Request) (answer, error) {
	return answer{http.StatusOK, system.Info{ID: "enginetest", Name: "enginetest", SystemTime: s.now().Format(time.RFC3339Nano)}}, nil
}

// now is what the engine's machine says what time it is.
func (s *Server) now() time.Time { return time.Now().Add(s.ahead).UTC() }

// Pass lets time pass for the engine's machine.
func (s *Server) Pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// Pin has the engine remove no volume whose name contains a text, as where it is in use; empty ends that.
func (s *Server) Pin(part string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pinned = part
}

// Volumes returns the names of the volumes there are, sorted.
func (s *Server) Volumes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.volumes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
