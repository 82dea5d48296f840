package probe

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/engine"
	"github.com/org/ghcr-publish/internal/service"
	"github.com/org/ghcr-publish/internal/verdict"
)

// A company is what an image has beside it while it is tried out.
type company struct {
	prober  *Prober
	network *engine.Network // where the peers have their names; nil without peers
	peers   map[string]*peer
}

type peer struct {
	watch
	up bool
}

// gather starts the peers of a service and waits until they are up. What was started is in the company also where that
// fails, and so are the last lines of what failed.
func (p *Prober) gather(ctx context.Context, s service.Service) (c *company, log []string, err error) {
	c = &company{prober: p, peers: map[string]*peer{}}
	if len(s.Peers) == 0 {
		return c, nil, nil
	}
	// Each trial has a network of its own for them: trials at the same time may have peers of one name.
	if c.network, err = p.Engine.NewNetwork(ctx, ""); err != nil {
		return c, nil, fmt.Errorf("its peers could not be started: %w", err)
	}
	for _, def := range s.Peers {
		if log, err = c.waitFor(ctx, def.After); err != nil {
			return c, log, err
		}
		if err := c.start(ctx, def); err != nil {
			return c, nil, fmt.Errorf("its peer %s could not be started: %w", def.Name, err)
		}
	}
	log, err = c.waitFor(ctx, names(s.Peers))
	return c, log, err
}

func names(peers []service.Peer) []string {
	var all []string
	for _, p := range peers {
		all = append(all, p.Name)
	}
	return all
}

func (c *company) start(ctx context.Context, def service.Peer) error {
	p := c.prober
	if has, _ := p.Engine.Has(ctx, def.Image); !has {
		if err := p.Engine.Pull(ctx, def.Image, "", p.Login); err != nil {
			return err
		}
	}
	info, err := p.Engine.Inspect(ctx, def.Image)
	if err != nil {
		return err
	}
	check := asked(def.Healthcheck, info.Healthcheck)
	port := cmp.Or(def.Port, info.Port)
	begun := time.Now()
	// Where images are tried out it can be reached from here; under its name it is known in the peers' network alone.
	at := p.networks()
	at = append(slices.Clone(at[:min(1, len(at))]), engine.Attachment{Network: c.network.Name, Aliases: []string{def.Name}})
	container, err := p.Engine.Start(ctx, engine.Spec{Image: def.Image, Entrypoint: def.Entrypoint, Command: def.Command, Env: def.Env,
		Healthcheck: often(check), Tmpfs: def.Tmpfs, Volumes: def.Volumes, Port: port, Networks: at})
	if err != nil {
		return err
	}
	stands := service.Service{Name: def.Name, Port: port}
	if def.Ends {
		stands.RunOnce = []string{}
	}
	c.peers[def.Name] = &peer{watch: watch{container: container, service: stands, hasHealthcheck: check != nil && check.Test[0] != "NONE",
		begun: begun, gate: service.StartupGate{Within: p.PeerTime}, every: p.Every, result: &verdict.Probe{}}}
	return nil
}

// waitFor waits until peers are up, of those that were started.
func (c *company) waitFor(ctx context.Context, names []string) (log []string, err error) {
	for _, name := range names {
		p := c.peers[name]
		if p == nil || p.up {
			continue
		}
		starting, cancel := context.WithTimeoutCause(ctx, p.gate.Within, errNotInTime)
		err := p.untilHealthy(starting)
		cancel()
		if err != nil {
			said, log := p.last(ctx, err)
			return log, fmt.Errorf("its peer %s; look at what the Compose file gives it", said)
		}
		p.up = true
	}
	return nil, nil
}

// last says why a peer is not up, with its last lines, which begin with its name.
func (p *peer) last(ctx context.Context, err error) (said string, log []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
	defer cancel()
	lines, _ := p.container.Logs(ctx, logLines)
	for _, line := range lines {
		log = append(log, p.service.Name+" | "+line)
	}
	return p.explain(ctx, err), log
}

// fallen says which peers were up and are not any more, with their last lines.
func (c *company) fallen(ctx context.Context) (said string, log []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
	defer cancel()
	for _, name := range slices.Sorted(maps.Keys(c.peers)) {
		p := c.peers[name]
		state, err := p.container.State(ctx)
		if err != nil || state.Running || p.service.RunOnce != nil {
			continue
		}
		_, lines := p.last(ctx, ended{state.ExitCode})
		said += fmt.Sprintf("; its peer %s has ended with exit code %d meanwhile", name, state.ExitCode)
		log = append(log, lines...)
	}
	return said, log
}

// networks are where the image itself is started.
func (c *company) networks() []engine.Attachment {
	at := c.prober.networks()
	if c.network == nil {
		return at
	}
	return append(slices.Clone(at), engine.Attachment{Network: c.network.Name})
}

// leave takes the peers away, and notes what could not be.
func (c *company) leave(result *verdict.Probe) {
	for _, p := range c.peers {
		result.Left = said(result.Left, p.container.Remove())
	}
	if c.network != nil {
		result.Left = said(result.Left, c.network.Remove())
	}
}
