// Package probe tries an image out: it starts a container, waits until it is healthy and measures
// what that took.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A Prober starts images on one engine.
type Prober struct {
	Engine *engine.Engine
	Login  engine.Credentials
	// Networks are those that images are started in, asked for when the first is; nil means the engine's default.
	Networks func() []engine.Attachment
	// Every is the pause between two looks at a container.
	Every time.Duration
	// SmokeTime is how long each smoke command may take.
	SmokeTime time.Duration
	// PeerTime is how long a peer may take to be up.
	PeerTime time.Duration
}

const (
	logLines    = 20
	stayUp      = 3 * time.Second // how long an image must run that has neither port nor HEALTHCHECK
	dialTimeout = 2 * time.Second
	settling    = 10 * time.Second // for what is read once the outcome is known
)

// Probe tries one image out. Whatever goes wrong is in the result; an image that could not be tried
// for no fault of its own is marked Unavailable.
func (p *Prober) Probe(ctx context.Context, image, platform string, s service.Service, gate service.StartupGate) (result verdict.Probe) {
	result = verdict.Probe{Platform: platform}
	if has, _ := p.Engine.Has(ctx, image); !has {
		if err := p.Engine.Pull(ctx, image, platform, p.Login); err != nil {
			result.Unavailable = err.Error()
			return result
		}
		defer func() { result.Left = said(result.Left, p.Engine.Discard(image)) }()
	}
	p.try(ctx, image, s, gate, &result)
	return result
}

// try starts an image of the store.
func (p *Prober) try(ctx context.Context, image string, s service.Service, gate service.StartupGate, result *verdict.Probe) {
	info, err := p.Engine.Inspect(ctx, image)
	if err != nil {
		result.Unavailable = err.Error()
		return
	}
	result.Unpacked = info.Unpacked
	company, log, err := p.gather(ctx, s)
	defer company.leave(result)
	if err != nil {
		result.Unavailable, result.Log = err.Error(), log
		return
	}
	begun := time.Now()
	container, err := p.Engine.Start(ctx, engine.Spec{Image: image, Platform: result.Platform, Command: s.RunOnce, Env: s.Env, Port: s.Port, Networks: company.networks(),
		Healthcheck: often(info.Healthcheck),
		ReadOnly:    s.ReadOnly, Tmpfs: s.Tmpfs, MemoryLimit: s.Resources.MemoryLimit, MemoryReservation: s.Resources.MemoryReservation, CPUs: s.Resources.CPUs,
		Processes: s.Resources.Processes, NoNewPrivileges: !s.NewPrivileges})
	if err != nil {
		result.Failure = fmt.Sprintf("%s could not be started: %v", s.Name, err)
		return
	}
	w := watch{container: container, service: s, hasHealthcheck: info.Healthcheck != nil, begun: begun, gate: gate, every: p.Every, smokeTime: p.SmokeTime, result: result}
	w.run(ctx)
	if result.Failure != "" {
		fallen, log := company.fallen(ctx)
		result.Failure, result.Log = result.Failure+fallen, append(result.Log, log...)
	}
	result.Left = said(result.Left, container.Remove())
}

func (p *Prober) networks() []engine.Attachment {
	if p.Networks == nil {
		return nil
	}
	return p.Networks()
}

// said adds an error, if there is one, to what was said before.
func said(before string, err error) string {
	if err == nil {
		return before
	}
	return strings.TrimPrefix(before+"; "+err.Error(), "; ")
}

// A watch follows one started container.
type watch struct {
	container      *engine.Container
	service        service.Service
	hasHealthcheck bool
	begun          time.Time
	gate           service.StartupGate
	every          time.Duration
	smokeTime      time.Duration
	result         *verdict.Probe
}

func (w *watch) run(ctx context.Context) {
	starting, cancel := context.WithTimeoutCause(ctx, w.gate.Within, errNotInTime)
	defer cancel()
	var measuring sync.WaitGroup
	measuring.Go(func() { w.measure(starting) })
	err := w.untilHealthy(starting)
	w.result.Started = time.Since(w.begun)
	cancel()
	if err == nil {
		err = w.smoke(ctx)
	}
	if err == nil && w.service.RunOnce == nil {
		err = w.files(ctx)
	}
	if err == nil {
		err = w.stays(ctx)
	}
	measuring.Wait()
	if err == nil {
		w.result.Healthy = true
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
	defer cancel()
	w.result.Log, _ = w.container.Logs(last, logLines)
	w.result.Failure = w.explain(last, err)
}

// untilHealthy looks at the container again and again until it is healthy, has ended, or ctx ends.
func (w *watch) untilHealthy(ctx context.Context) error {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		healthy, err := w.look(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if healthy || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func (w *watch) look(ctx context.Context) (healthy bool, err error) {
	state, err := w.container.State(ctx)
	if err != nil {
		return false, err
	}
	switch {
	case state.OOMKilled:
		return false, w.outOfMemory()
	case !state.Running && state.ExitCode == 0 && w.service.RunOnce != nil:
		w.result.Route = "ran to its end"
		return true, nil
	case !state.Running:
		return false, ended{state.ExitCode}
	case state.Health == "unhealthy":
		return false, unhealthy(state.HealthSaid)
	}
	switch s := w.service; {
	case s.RunOnce != nil:
		return false, nil
	case s.HealthEndpoint != "":
		return w.answers(ctx, s.HealthEndpoint), nil
	case w.hasHealthcheck:
		w.result.Route = "HEALTHCHECK"
		return state.Health == "healthy", nil
	case s.Port > 0:
		return w.listens(ctx), nil
	default:
		w.result.Route = "still running"
		return time.Since(w.begun) > min(stayUp, w.gate.Within/2), nil
	}
}

// answers asks the health endpoint on every route there is; the first that succeeds is the route.
func (w *watch) answers(ctx context.Context, endpoint string) bool {
	client := http.Client{Timeout: dialTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: the container is next door
	for _, address := range w.container.Addresses {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address.HostPort+endpoint, nil)
		if err != nil {
			return false
		}
		response, err := client.Do(request)
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode >= 200 && response.StatusCode < 400 {
			w.result.Route = address.Route
			return true
		}
	}
	return false
}

// listens reports whether something accepts connections and keeps them. A published port accepts
// them whether or not the container does, and then hangs up.
func (w *watch) listens(ctx context.Context) bool {
	dialer := net.Dialer{Timeout: dialTimeout}
	for _, address := range w.container.Addresses {
		conn, err := dialer.DialContext(ctx, "tcp", address.HostPort)
		if err != nil {
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
		var timeout net.Error
		if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
			w.result.Route = address.Route
			return true
		}
	}
	return false
}

// measure reads the container's counters while it starts, and once when that has ended, which is worth knowing above all when the time is up. It
// does so beside everything else: an engine that answers once a second may have just done so.
func (w *watch) measure(starting context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(starting), w.gate.Within+settling)
	defer cancel()
	for ended := false; !ended; ended = starting.Err() != nil {
		select {
		case <-starting.Done():
		case <-time.After(w.every):
		}
		w.read(ctx)
	}
}

// read keeps the highest counters seen; a counter that cannot be read is left as it was.
func (w *watch) read(ctx context.Context) {
	usage, err := w.container.Usage(ctx)
	if err != nil {
		return
	}
	w.result.PeakMemory = max(w.result.PeakMemory, usage.PeakMemory)
	w.result.CPU = max(w.result.CPU, usage.CPU)
	w.result.Processes = max(w.result.Processes, usage.Processes)
}

func (w *watch) smoke(ctx context.Context) error {
	for _, argv := range w.service.Smoke {
		late := fmt.Errorf("did not end its smoke command %q within %s", strings.Join(argv, " "), w.smokeTime)
		ctx, cancel := context.WithTimeoutCause(ctx, w.smokeTime, late)
		code, output, err := w.container.Exec(ctx, argv)
		cancel()
		if errors.Is(err, late) {
			return late
		}
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("failed its smoke command %q with exit code %d: %s", strings.Join(argv, " "), code, output)
		}
	}
	return nil
}
