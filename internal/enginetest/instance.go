package enginetest

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// An instance is a container. The server's lock guards it.
type instance struct {
	id, name  string
	image     storedImage
	config    *container.Config
	host      *container.HostConfig
	behaviour Behaviour
	created   time.Time
	joined    map[string]*network.EndpointSettings // by the network's name, or its id

	running           bool
	started, finished time.Time
	exitCode          int
	done              chan struct{} // closed when it ends
	ports             network.PortMap
	servers           []*http.Server
}

// begin starts the container: its published ports listen from now on, as an engine's proxy does.
func (c *instance) begin() error {
	c.ports = network.PortMap{}
	for port := range c.config.ExposedPorts {
		c.ports[port] = nil
	}
	c.running, c.started, c.finished, c.exitCode = true, time.Now(), time.Time{}, 0
	c.done = make(chan struct{})
	for port, bindings := range c.host.PortBindings {
		for _, b := range bindings {
			if err := c.publish(port, b); err != nil {
				c.end(128)
				return err
			}
		}
	}
	return nil
}

func (c *instance) publish(port network.Port, b network.PortBinding) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+orDefault(b.HostPort, "0"))
	if err != nil {
		return fmt.Errorf("driver failed programming external connectivity on endpoint %s: Bind for 127.0.0.1:%s failed: %w", c.name, b.HostPort, err)
	}
	if !b.HostIP.IsValid() {
		b.HostIP = netip.IPv4Unspecified()
	}
	b.HostPort = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	c.ports[port] = append(c.ports[port], b)
	started := c.started
	server := &http.Server{Handler: c.behaviour.handler(), ReadHeaderTimeout: 10 * time.Second,
		ConnState: func(conn net.Conn, state http.ConnState) {
			if state == http.StateNew && !c.behaviour.listens(time.Since(started)) {
				_ = conn.Close()
			}
		}}
	c.servers = append(c.servers, server)
	go func() { _ = server.Serve(listener) }()
	return nil
}

// handler answers as the container's program would. Before that listens a connection is taken, by
// the engine's proxy, and dropped.
func (b Behaviour) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(orDefault(b.Status, http.StatusOK))
		_, _ = fmt.Fprintln(w, http.StatusText(orDefault(b.Status, http.StatusOK)))
	})
}

func (b Behaviour) listens(age time.Duration) bool {
	return !b.Silent && (b.Exits || age >= b.Delay)
}

// end stops the container, if it runs, and everything that waits for its end.
func (c *instance) end(exitCode int) {
	if !c.running {
		return
	}
	c.running, c.finished, c.exitCode = false, time.Now(), exitCode
	for _, server := range c.servers {
		_ = server.Close()
	}
	c.servers, c.ports = nil, network.PortMap{}
	close(c.done)
}

func (c *instance) state() *container.State {
	state := &container.State{
		Status: c.status(), Running: c.running, ExitCode: c.exitCode, OOMKilled: c.behaviour.OOMKilled && c.status() == container.StateExited,
		StartedAt: c.started.UTC().Format(time.RFC3339Nano), FinishedAt: c.finished.UTC().Format(time.RFC3339Nano), Health: c.health(),
	}
	if c.running {
		state.Pid = 4242
	}
	return state
}

func (c *instance) status() container.ContainerState {
	switch {
	case c.running:
		return container.StateRunning
	case c.started.IsZero():
		return container.StateCreated
	default:
		return container.StateExited
	}
}

// health is what the HEALTHCHECK found last, nil without one.
func (c *instance) health() *container.Health {
	check := c.config.Healthcheck
	if check == nil || len(check.Test) == 0 || check.Test[0] == "NONE" || c.started.IsZero() {
		return nil
	}
	b, age := c.behaviour, time.Since(c.started)
	switch {
	case !c.running:
		return &container.Health{Status: container.Unhealthy, FailingStreak: 1}
	case age < b.Delay, check.Interval > time.Second && age < check.Interval:
		return &container.Health{Status: container.Starting, Log: []*container.HealthcheckResult{}}
	case b.Silent || orDefault(b.Status, http.StatusOK) >= http.StatusInternalServerError:
		return &container.Health{Status: container.Unhealthy, FailingStreak: 3, Log: c.checked(1)}
	default:
		return &container.Health{Status: container.Healthy, Log: c.checked(0)}
	}
}

func (c *instance) checked(exitCode int) []*container.HealthcheckResult {
	at := c.started.Add(c.behaviour.Delay)
	return []*container.HealthcheckResult{{Start: at, End: at, ExitCode: exitCode}}
}

func (c *instance) summary() container.Summary {
	got := container.Summary{
		ID: c.id, Names: []string{"/" + c.name}, Image: c.config.Image, ImageID: c.image.id(), Created: c.created.Unix(),
		Labels: c.config.Labels, State: c.status(), Status: string(c.status()), Ports: []container.PortSummary{}, Mounts: []container.MountPoint{},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: c.attached()},
	}
	for port, bindings := range c.ports {
		for _, b := range bindings {
			public, _ := strconv.ParseUint(b.HostPort, 10, 16)
			got.Ports = append(got.Ports, container.PortSummary{IP: b.HostIP, PrivatePort: port.Num(), PublicPort: uint16(public), Type: string(port.Proto())})
		}
	}
	return got
}

func (c *instance) inspected() container.InspectResponse {
	return container.InspectResponse{
		ID: c.id, Name: "/" + c.name, Created: c.created.UTC().Format(time.RFC3339Nano), State: c.state(), Image: c.image.id(),
		Platform: c.image.os, Driver: "overlay2", HostConfig: c.host, Config: c.config, Mounts: []container.MountPoint{},
		NetworkSettings: &container.NetworkSettings{Ports: c.ports, Networks: c.attached()},
	}
}
