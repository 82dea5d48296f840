package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// An Attachment puts a container into a network.
type Attachment struct {
	Network string   // its name
	Aliases []string // under which the network's other containers reach this one
	Shared  bool     // this program is in that network itself
}

// containerID is what the engine sets HOSTNAME to in a container.
var containerID = regexp.MustCompile(`^[0-9a-f]{12}([0-9a-f]{52})?$`)

// A Place is where a program runs, as the engine sees it. The zero value is outside of its containers.
type Place struct {
	Container string // its id
	// Network is the one of its own that the container was put into: a job with services has one, and what is in none
	// but the engine's default cannot be reached from it. Empty for the default.
	Network string
}

// Place finds a program's container by its HOSTNAME.
func (e *Engine) Place(ctx context.Context, hostname string) (Place, error) {
	if !containerID.MatchString(hostname) {
		return Place{}, nil
	}
	got, err := e.api.ContainerInspect(ctx, hostname, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return Place{}, nil
	}
	if err != nil {
		return Place{}, fmt.Errorf("inspecting this container: %w", err)
	}
	place := Place{Container: got.Container.ID}
	if got.Container.NetworkSettings == nil {
		return place, nil
	}
	for _, name := range slices.Sorted(maps.Keys(got.Container.NetworkSettings.Networks)) {
		// Nor is a network meant that another run in this container has made, or has left.
		if !slices.Contains([]string{"bridge", "host", "none"}, name) && !strings.HasPrefix(name, lastName) {
			place.Network = name
			break
		}
	}
	return place, nil
}

// A Network is one of this run alone.
type Network struct {
	engine *Engine
	Name   string
}

// lastName begins the names of networks. A container in several has its default route through the one whose name sorts first,
// and the connections that this program has must not lose theirs.
// https://docs.docker.com/engine/network/#connecting-to-multiple-networks
const lastName = "zz-ghcr-publish-"

// NewNetwork makes a bridge network and puts a container into it, empty for none. It is not interrupted: nobody would
// know what to take away again.
func (e *Engine) NewNetwork(ctx context.Context, member string) (*Network, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removal)
	defer cancel()
	n := &Network{engine: e, Name: lastName + strings.ToLower(rand.Text())}
	if _, err := e.api.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{Driver: "bridge", Labels: e.labels()}); err != nil {
		return nil, fmt.Errorf("making a private network: %w", err)
	}
	if member == "" {
		return n, nil
	}
	if err := e.connect(ctx, member, Attachment{Network: n.Name}); err != nil {
		return nil, errors.Join(err, n.Remove())
	}
	return n, nil
}

func (e *Engine) connect(ctx context.Context, container string, to Attachment) error {
	options := client.NetworkConnectOptions{Container: container, EndpointConfig: &network.EndpointSettings{Aliases: to.Aliases}}
	if _, err := e.api.NetworkConnect(ctx, to.Network, options); err != nil {
		return fmt.Errorf("joining network %q: %w", to.Network, err)
	}
	return nil
}

// Remove takes the network away, also when the run's context has ended.
func (n *Network) Remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removal)
	defer cancel()
	return n.engine.removeNetwork(ctx, n.Name)
}

// removeNetwork takes out of a network what is in it, and then the network away.
func (e *Engine) removeNetwork(ctx context.Context, name string) error {
	got, err := e.api.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	for id := range got.Network.Containers {
		if err == nil {
			_, err = e.api.NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: id, Force: true})
		}
		if errdefs.IsNotFound(err) {
			err = nil // it has ended meanwhile
		}
	}
	if err == nil {
		_, err = e.api.NetworkRemove(ctx, name, client.NetworkRemoveOptions{})
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing network %q: %w", name, err)
	}
	return nil
}
