package enginetest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// serviceLabel is what Compose names a service by.
const serviceLabel = "com.docker.compose.service"

// Deployed returns the images of the services of Compose projects.
func (s *Server) Deployed() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	images := map[string]string{}
	for _, c := range s.containers {
		if name := c.config.Labels[serviceLabel]; name != "" {
			images[name] = c.config.Image
		}
	}
	return images
}

// End ends the container of a service of a Compose project by itself.
func (s *Server) End(service string, exitCode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if c.config.Labels[serviceLabel] == service {
			c.end(exitCode)
		}
	}
}

func (s *Server) create(r *http.Request) (answer, error) {
	var request container.CreateRequest
	if err := read(r, &request); err != nil {
		return answer{}, err
	}
	if request.Config == nil || request.Image == "" {
		return answer{}, malform("config cannot be empty in order to create a container")
	}
	i, err := s.image(request.Image)
	if err != nil {
		return answer{}, err
	}
	c := &instance{id: s.newID(), image: i, config: request.Config, host: request.HostConfig, behaviour: s.behaviour(i.reference), created: time.Now()}
	if c.name = r.URL.Query().Get("name"); c.name == "" {
		c.name = "container_" + c.id[:12]
	}
	if _, err := s.container(c.name); err == nil {
		return answer{}, &apiError{http.StatusConflict, "Conflict. The container name \"/" + c.name + "\" is already in use"}
	}
	c.complete()
	c.join(request)
	s.containers[c.id] = c
	return answer{http.StatusCreated, container.CreateResponse{ID: c.id, Warnings: []string{}}}, nil
}

// complete fills in what a request may leave out.
func (c *instance) complete() {
	if c.host == nil {
		c.host = &container.HostConfig{}
	}
	if c.host.PortBindings == nil {
		c.host.PortBindings = network.PortMap{}
	}
	if c.config.Healthcheck == nil {
		c.config.Healthcheck = c.behaviour.healthCheck()
	}
}

// container finds a container by its id, the beginning of it, or its name.
func (s *Server) container(id string) (*instance, error) {
	if c, ok := s.containers[id]; ok {
		return c, nil
	}
	for _, c := range s.containers {
		if c.name == strings.TrimPrefix(id, "/") || len(id) >= 12 && strings.HasPrefix(c.id, id) {
			return c, nil
		}
	}
	return nil, notFound("container", id)
}

func (s *Server) start(r *http.Request) (answer, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if c.running {
		return answer{status: http.StatusNotModified}, nil
	}
	if !s.hasNetwork(c.network()) {
		return answer{}, &apiError{http.StatusNotFound, "network " + c.network() + " not found"}
	}
	if need := c.behaviour.Needs; need != "" && !s.resolves(c, need) {
		c.behaviour = Behaviour{Silent: true, Exits: true, ExitCode: 1, Stderr: "could not translate host name \"" + need + "\" to address\n"}
	}
	if err := c.begin(); err != nil {
		return answer{}, err
	}
	if c.behaviour.Exits {
		s.endLater(c)
	}
	return answer{status: http.StatusNoContent}, nil
}

// endLater ends this run of the container after its delay, but not a later run.
func (s *Server) endLater(c *instance) {
	run := c.done
	time.AfterFunc(c.behaviour.Delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.done == run {
			c.end(c.behaviour.ExitCode)
		}
	})
}

// What a program that handles no signals exits with.
const (
	terminated = 128 + 15
	killed     = 128 + 9
)

func (s *Server) stop(r *http.Request) (answer, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if !c.running {
		return answer{status: http.StatusNotModified}, nil
	}
	c.end(terminated)
	return answer{status: http.StatusNoContent}, nil
}

func (s *Server) kill(r *http.Request) (answer, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if !c.running {
		return answer{}, &apiError{http.StatusConflict, "Cannot kill container: " + c.id + ": Container " + c.id + " is not running"}
	}
	switch signal := r.URL.Query().Get("signal"); signal {
	case "", "KILL", "SIGKILL":
		c.end(killed)
	case "TERM", "SIGTERM", "INT", "SIGINT":
		c.end(terminated)
	default:
		return answer{}, malform("invalid signal: %s", signal)
	}
	return answer{status: http.StatusNoContent}, nil
}

func (s *Server) remove(r *http.Request) (answer, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	if c.running && !isTrue(r, "force") {
		return answer{}, &apiError{http.StatusConflict, "You cannot remove a running container " + c.id + ". Stop the container before attempting removal or force remove"}
	}
	c.end(killed)
	delete(s.containers, c.id)
	return answer{status: http.StatusNoContent}, nil
}

// isTrue reads a flag of the query as the engine does.
func isTrue(r *http.Request, name string) bool {
	value := strings.ToLower(r.URL.Query().Get(name))
	return !slices.Contains([]string{"", "0", "no", "false", "none"}, value)
}

func (s *Server) inspect(r *http.Request) (answer, error) {
	c, err := s.container(r.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, c.inspected()}, nil
}

func (s *Server) list(r *http.Request) (answer, error) {
	wanted, err := labelFilter(r)
	if err != nil {
		return answer{}, err
	}
	found := []container.Summary{}
	for _, c := range s.containers {
		if (c.running || isTrue(r, "all")) && hasLabels(c.config.Labels, wanted) {
			found = append(found, c.summary())
		}
	}
	slices.SortFunc(found, func(a, b container.Summary) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID))
	})
	return answer{http.StatusOK, found}, nil
}

// labelFilter returns the labels, "name" or "name=value", that a list is narrowed to.
func labelFilter(r *http.Request) (map[string]bool, error) {
	text := r.URL.Query().Get("filters")
	if text == "" {
		return nil, nil
	}
	var filters map[string]map[string]bool
	if err := json.Unmarshal([]byte(text), &filters); err != nil {
		return nil, malform("invalid filters: %v", err)
	}
	for name := range filters {
		if name != "label" {
			return nil, malform("invalid filter '%s'", name)
		}
	}
	return filters["label"], nil
}

func hasLabels(labels map[string]string, wanted map[string]bool) bool {
	for label := range wanted {
		name, value, valued := strings.Cut(label, "=")
		got, ok := labels[name]
		if !ok || valued && got != value {
			return false
		}
	}
	return true
}

// wait answers at once that it is waiting, and with the exit code when the container has ended.
func (s *Server) wait(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	c, err := s.container(r.PathValue("id"))
	var done chan struct{}
	if err == nil && c.running {
		done = c.done
	}
	s.mu.Unlock()
	if err == nil && !slices.Contains([]string{"", string(container.WaitConditionNotRunning)}, r.URL.Query().Get("condition")) {
		err = malform("invalid condition: %q", r.URL.Query().Get("condition"))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = http.NewResponseController(w).Flush()
	if done != nil {
		select {
		case <-done:
		case <-r.Context().Done():
			return
		}
	}
	s.mu.Lock()
	code := c.exitCode
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(container.WaitResponse{StatusCode: int64(code)})
}
