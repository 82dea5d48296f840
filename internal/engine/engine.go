// Package engine speaks to a Docker Engine: it starts containers to try images out, watches them
// and takes them away again.
package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/org/ghcr-publish/internal/service"
)

// An Engine is a Docker Engine within reach.
type Engine struct {
	api *client.Client
	// Owner names this run on what it makes, and Gone tells of such a name whether its run is known to be
	// no more; see Sweep.
	Owner string
	Gone  func(owner string) bool
	// Self is the container that this program runs in, by its id; empty outside of the engine's containers.
	Self string
}

// Open returns the engine that DOCKER_HOST names, or the local socket's. Nothing is sent yet.
func Open(getenv func(string) string) (*Engine, error) {
	var options []client.Opt
	if host := getenv("DOCKER_HOST"); host != "" {
		options = append(options, client.WithHost(host))
	}
	if dir := getenv("DOCKER_CERT_PATH"); dir != "" {
		in := func(file string) string { return filepath.Join(dir, file) }
		options = append(options, client.WithTLSClientConfig(in("ca.pem"), in("cert.pem"), in("key.pem")))
	}
	api, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("finding the Docker Engine: %w", err)
	}
	return &Engine{api: api}, nil
}

// Platform asks the engine which platform it runs natively: "linux/amd64".
func (e *Engine) Platform(ctx context.Context) (string, error) {
	v, err := e.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", fmt.Errorf("asking the Docker Engine: %w", err)
	}
	return v.Os + "/" + v.Arch, nil
}

// Credentials are a registry's user and password, sent to the engine for one pull.
type Credentials struct{ Host, Username, Password string }

// Pull brings an image into the engine's store. The reference may be a tag or a digest. Unless the registry knows of no such
// image, or refuses it, a failure is tried again. Of the registry that the login is for a refusal is not believed at once: its
// token may have expired in the midst of the pull.
func (e *Engine) Pull(ctx context.Context, image, platform string, login Credentials) error {
	err := e.pull(ctx, image, platform, login)
	for try := 0; err != nil && try < pulls && !isFinal(err, login.isFor(image)); try++ {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second << try):
		}
		err = e.pull(ctx, image, platform, login)
	}
	return err
}

// pulls is how often a failed pull is repeated.
const pulls = 3

// isFor reports whether an image is of the registry that the login is for.
func (c Credentials) isFor(image string) bool {
	return c.Password != "" && strings.HasPrefix(image, c.Host+"/")
}

func isFinal(err error, known bool) bool {
	if errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) || strings.Contains(err.Error(), "manifest unknown") {
		return true
	}
	return !known && (errdefs.IsUnauthorized(err) || errdefs.IsPermissionDenied(err) || strings.Contains(err.Error(), "unauthorized") || strings.Contains(err.Error(), "denied"))
}

func (e *Engine) pull(ctx context.Context, image, platform string, login Credentials) error {
	options := client.ImagePullOptions{}
	if platform != "" {
		p, err := ociPlatform(platform)
		if err != nil {
			return err
		}
		options.Platforms = []ocispec.Platform{*p}
	}
	if login.isFor(image) {
		auth, err := authconfig.Encode(registry.AuthConfig{Username: login.Username, Password: login.Password, ServerAddress: login.Host})
		if err != nil {
			return fmt.Errorf("pulling %s: %w", image, err)
		}
		options.RegistryAuth = auth
	}
	progress, err := e.api.ImagePull(ctx, image, options)
	if err != nil {
		return fmt.Errorf("pulling %s: %w", image, err)
	}
	if err := progress.Wait(ctx); err != nil {
		return fmt.Errorf("pulling %s: %w", image, err)
	}
	return nil
}

// Has reports whether the engine's store holds an image.
func (e *Engine) Has(ctx context.Context, image string) (bool, error) {
	_, err := e.api.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Discard takes an image out of the store, unless a container uses it. Layers that other images share stay.
func (e *Engine) Discard(image string) error {
	ctx, cancel := context.WithTimeout(context.Background(), removal)
	defer cancel()
	if _, err := e.api.ImageRemove(ctx, image, client.ImageRemoveOptions{PruneChildren: true}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing %s from the engine: %w", image, err)
	}
	return nil
}

// An ImageInfo is what the engine knows of an image in its store.
type ImageInfo struct {
	Unpacked    int64                // bytes on disk
	Healthcheck *service.Healthcheck // nil where it has none
	Port        int                  // the first that it exposes for TCP; 0 where it exposes none
}

// Inspect describes an image of the store.
func (e *Engine) Inspect(ctx context.Context, image string) (ImageInfo, error) {
	got, err := e.api.ImageInspect(ctx, image)
	if err != nil {
		return ImageInfo{}, fmt.Errorf("inspecting %s: %w", image, err)
	}
	info := ImageInfo{Unpacked: got.Size}
	if got.Config != nil {
		if h := got.Config.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" {
			info.Healthcheck = &service.Healthcheck{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
		}
		info.Port = firstPort(slices.Collect(maps.Keys(got.Config.ExposedPorts)))
	}
	return info, nil
}

// firstPort is the lowest for TCP, of those written as 5432/tcp.
func firstPort(exposed []string) int {
	first := 0
	for _, text := range exposed {
		if port, err := network.ParsePort(text); err == nil && port.Proto() == network.TCP && (first == 0 || int(port.Num()) < first) {
			first = int(port.Num())
		}
	}
	return first
}

// A Spec says how to start a container.
type Spec struct {
	Image, Platform   string
	Entrypoint        []string             // replaces the image's own; nil keeps it
	Command           []string             // so does this
	Healthcheck       *service.Healthcheck // instead of the image's, of which it keeps what is zero here; nil keeps all of it
	Env               map[string]string
	Port              int // published on a free loopback port; 0 publishes none
	MemoryLimit       int64
	MemoryReservation int64
	CPUs              float64
	Processes         int64 // and threads; 0 is no limit
	NoNewPrivileges   bool
	Privileged        bool
	ReadOnly          bool         // the root file system cannot be written to
	Tmpfs             []string     // absolute paths that can be all the same
	Volumes           []string     // absolute paths, each an anonymous volume
	Networks          []Attachment // the first is where it is created; none means the engine's default
}

// A Container was started by this program.
type Container struct {
	engine *Engine
	ID     string
	// Addresses are where Port may be reached, with the route's name: which of them works depends
	// on whether this program runs on the engine's host or in a container beside it.
	Addresses []Address
}

// An Address is one way to a container's port.
type Address struct{ HostPort, Route string }

// Start creates and starts a container.
func (e *Engine) Start(ctx context.Context, s Spec) (*Container, error) {
	options, err := e.createOptions(s)
	if err != nil {
		return nil, err
	}
	made, err := e.api.ContainerCreate(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("creating a container of %s: %w", s.Image, err)
	}
	c := &Container{engine: e, ID: made.ID}
	if err := c.begin(ctx, s); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	return c, nil
}

// begin starts a container that was created.
func (c *Container) begin(ctx context.Context, s Spec) (err error) {
	for _, a := range s.Networks[min(1, len(s.Networks)):] { // engines before API 1.44 take one alone at creation
		if err := c.engine.connect(ctx, c.ID, a); err != nil {
			return fmt.Errorf("starting a container of %s: %w", s.Image, err)
		}
	}
	if _, err := c.engine.api.ContainerStart(ctx, c.ID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("starting a container of %s: %w", s.Image, err)
	}
	if s.Port > 0 {
		c.Addresses, err = c.addresses(ctx, s)
	}
	return err
}

func (e *Engine) createOptions(s Spec) (client.ContainerCreateOptions, error) {
	config := &container.Config{Image: s.Image, Entrypoint: s.Entrypoint, Cmd: s.Command, Labels: e.labels(), Healthcheck: healthConfig(s.Healthcheck)}
	for k, v := range s.Env {
		config.Env = append(config.Env, k+"="+v)
	}
	for _, at := range s.Volumes {
		if config.Volumes == nil {
			config.Volumes = map[string]struct{}{}
		}
		config.Volumes[at] = struct{}{}
	}
	host := &container.HostConfig{Privileged: s.Privileged}
	host.Memory, host.MemoryReservation, host.NanoCPUs = s.MemoryLimit, s.MemoryReservation, int64(s.CPUs*1e9)
	host.ReadonlyRootfs = s.ReadOnly
	if s.Processes > 0 {
		host.PidsLimit = &s.Processes
	}
	if s.NoNewPrivileges {
		host.SecurityOpt = []string{"no-new-privileges"}
	}
	for _, at := range s.Tmpfs {
		if host.Tmpfs == nil {
			host.Tmpfs = map[string]string{}
		}
		host.Tmpfs[at] = ""
	}
	if s.Port > 0 {
		port, _ := network.PortFrom(uint16(s.Port), network.TCP)
		config.ExposedPorts = network.PortSet{port: {}}
		host.PortBindings = network.PortMap{port: {{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}}}
	}
	options := client.ContainerCreateOptions{Config: config, HostConfig: host}
	if len(s.Networks) > 0 {
		first := s.Networks[0]
		host.NetworkMode = container.NetworkMode(first.Network)
		options.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{first.Network: {Aliases: first.Aliases}}}
	}
	if s.Platform == "" {
		return options, nil
	}
	platform, err := ociPlatform(s.Platform)
	options.Platform = platform
	return options, err
}

func healthConfig(h *service.Healthcheck) *container.HealthConfig {
	if h == nil {
		return nil
	}
	return &container.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
}

// addresses finds the routes to the container's port, the best first.
func (c *Container) addresses(ctx context.Context, spec Spec) ([]Address, error) {
	got, err := c.engine.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspecting a container: %w", err)
	}
	settings := got.Container.NetworkSettings
	if settings == nil {
		return nil, nil
	}
	isShared := func(name string) bool {
		return slices.ContainsFunc(spec.Networks, func(a Attachment) bool { return a.Shared && a.Network == name })
	}
	var shared, found []Address
	for _, name := range slices.Sorted(maps.Keys(settings.Networks)) {
		ip := settings.Networks[name].IPAddress
		switch at := netip.AddrPortFrom(ip, uint16(spec.Port)).String(); {
		case !ip.IsValid() || ip.IsUnspecified():
		case isShared(name):
			shared = append(shared, Address{at, "shared network"})
		default:
			found = append(found, Address{at, "container address"})
		}
	}
	for _, bindings := range settings.Ports {
		for _, b := range bindings {
			found = append(found, Address{"127.0.0.1:" + b.HostPort, "published loopback port"})
		}
	}
	return append(shared, found...), nil
}

// A State is how a container is doing.
type State struct {
	Running   bool
	ExitCode  int
	OOMKilled bool
	Health    string // "starting", "healthy", "unhealthy"; empty without a HEALTHCHECK
	// HealthSaid is what the last check printed.
	HealthSaid string
}

// State asks how the container is doing.
func (c *Container) State(ctx context.Context) (State, error) {
	got, err := c.engine.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if err != nil {
		return State{}, fmt.Errorf("inspecting a container: %w", err)
	}
	s := got.Container.State
	if s == nil {
		return State{}, errors.New("inspecting a container: the engine tells no state")
	}
	return newState(s), nil
}

func newState(s *container.State) State {
	state := State{Running: s.Running, ExitCode: s.ExitCode, OOMKilled: s.OOMKilled}
	if s.Health != nil && s.Health.Status != container.NoHealthcheck {
		state.Health = string(s.Health.Status)
		if n := len(s.Health.Log); n > 0 && s.Health.Log[n-1] != nil {
			state.HealthSaid = s.Health.Log[n-1].Output
		}
	}
	return state
}

// A Usage is what a container has used so far. PeakMemory is the kernel's own peak where it tells
// one (control groups v1), else the use at this moment.
type Usage struct {
	PeakMemory int64
	CPU        time.Duration
	Processes  int64 // and threads, at this moment
}

// Usage reads the container's counters once.
func (c *Container) Usage(ctx context.Context) (Usage, error) {
	got, err := c.engine.api.ContainerStats(ctx, c.ID, client.ContainerStatsOptions{})
	if err != nil {
		return Usage{}, fmt.Errorf("reading a container's counters: %w", err)
	}
	defer got.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(got.Body).Decode(&s); err != nil {
		return Usage{}, fmt.Errorf("reading a container's counters: %w", err)
	}
	peak := max(s.MemoryStats.Usage, s.MemoryStats.MaxUsage)
	return Usage{PeakMemory: int64(peak), CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage), Processes: int64(s.PidsStats.Current)}, nil
}

// Logs returns the container's last lines.
func (c *Container) Logs(ctx context.Context, lines int) ([]string, error) {
	stream, err := c.engine.api.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(lines)})
	if err != nil {
		return nil, fmt.Errorf("reading a container's log: %w", err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, io.LimitReader(stream, 1<<20)); err != nil {
		return nil, fmt.Errorf("reading a container's log: %w", err)
	}
	text := strings.TrimRight(out.String(), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// Exec runs a command in the container and returns its exit code and output.
func (c *Container) Exec(ctx context.Context, argv []string) (code int, output string, err error) {
	api := c.engine.api
	made, err := api.ExecCreate(ctx, c.ID, client.ExecCreateOptions{Cmd: argv, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, "", fmt.Errorf("running %q in the container: %w", argv[0], err)
	}
	stream, err := c.engine.attach(ctx, made.ID)
	if err != nil {
		return 0, "", fmt.Errorf("running %q in the container: %w", argv[0], err)
	}
	defer stream.Close()
	// The connection is no longer HTTP's, so nobody else ends it with the context.
	defer context.AfterFunc(ctx, stream.Close)()
	var out bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &out, io.LimitReader(stream.Reader, 1<<20))
	if err == nil {
		_, err = io.Copy(io.Discard, stream.Reader) // the command has ended when its output has
	}
	if err = cmp.Or(context.Cause(ctx), err); err != nil {
		return 0, "", fmt.Errorf("running %q in the container: %w", argv[0], err)
	}
	if code, err = c.engine.execCode(ctx, made.ID); err != nil {
		return 0, "", fmt.Errorf("running %q in the container: %w", argv[0], err)
	}
	return code, strings.TrimSpace(out.String()), nil
}

// attach starts a command and returns its output. The client waits for an engine's first answer
// whatever becomes of the context, so it waits aside.
func (e *Engine) attach(ctx context.Context, id string) (client.ExecAttachResult, error) {
	type answer struct {
		stream client.ExecAttachResult
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		stream, err := e.api.ExecAttach(ctx, id, client.ExecAttachOptions{})
		answered <- answer{stream, err}
	}()
	select {
	case got := <-answered:
		return got.stream, got.err
	case <-ctx.Done():
		go func() {
			if late := <-answered; late.err == nil {
				late.stream.Close()
			}
		}()
		return client.ExecAttachResult{}, context.Cause(ctx)
	}
}

// execCode returns the exit code of a command whose output has ended. The engine may notice the end
// of the command itself a moment later, and has no exit code until then.
func (e *Engine) execCode(ctx context.Context, id string) (int, error) {
	for {
		done, err := e.api.ExecInspect(ctx, id, client.ExecInspectOptions{})
		if err != nil || !done.Running {
			return done.ExitCode, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Wait waits until the container has ended and returns its exit code.
func (c *Container) Wait(ctx context.Context) (int, error) {
	wait := c.engine.api.ContainerWait(ctx, c.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case err := <-wait.Error:
		return 0, fmt.Errorf("waiting for a container: %w", err)
	case done := <-wait.Result:
		return int(done.StatusCode), nil
	}
}

// HostPath returns where a file of a container is on the engine's machine, as far as it is in a folder of
// that machine's that the container was given.
func (e *Engine) HostPath(ctx context.Context, container, file string) (string, error) {
	got, err := e.api.ContainerInspect(ctx, container, client.ContainerInspectOptions{})
	if err != nil {
		return "", fmt.Errorf("inspecting this container: %w", err)
	}
	best, found := "", ""
	for _, m := range got.Container.Mounts {
		relative, err := filepath.Rel(m.Destination, file)
		if err == nil && filepath.IsLocal(relative) && len(m.Destination) > len(best) {
			best, found = m.Destination, filepath.Join(m.Source, relative)
		}
	}
	if found == "" {
		return "", fmt.Errorf("%s is in no folder of the machine", file)
	}
	return found, nil
}

// stopping is how long a container may take to leave by itself; a runner allows a post step little more.
const stopping = 5

// Stop ends a container by its name and leaves it there, to be started again. It reports whether there
// was one to stop.
func (e *Engine) Stop(ctx context.Context, name string) (bool, error) {
	got, err := e.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) || err == nil && (got.Container.State == nil || !got.Container.State.Running) {
		return false, nil
	}
	if err == nil {
		timeout := stopping
		_, err = e.api.ContainerStop(ctx, name, client.ContainerStopOptions{Timeout: &timeout})
	}
	if err != nil {
		return false, fmt.Errorf("stopping %s: %w", name, err)
	}
	return true, nil
}

// removal is how long taking a container away may take once the run itself is over.
const removal = 10 * time.Second

// Remove kills the container and takes it away, also when the run's context has ended.
func (c *Container) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removal)
	defer cancel()
	return c.engine.remove(ctx, c.ID)
}

func (e *Engine) remove(ctx context.Context, id string) error {
	_, err := e.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing a container: %w", err)
	}
	return nil
}

func ociPlatform(text string) (*ocispec.Platform, error) {
	p, err := v1.ParsePlatform(text)
	if err != nil {
		return nil, fmt.Errorf("reading platform %q: %w", text, err)
	}
	return &ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}, nil
}
