package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// The labels of what this program makes, so that a later run can sweep away what a killed one left behind.
const (
	label     = "ghcr-publish.run"       // Owner
	selfLabel = "ghcr-publish.container" // Self
)

func (e *Engine) labels() map[string]string {
	labels := map[string]string{label: e.Owner}
	if e.Self != "" {
		labels[selfLabel] = e.Self
	}
	return labels
}

// abandoned is the age from which what is ours must belong to a run that was killed: no job on a
// hosted runner may last longer.
const abandoned = 6 * time.Hour

// Sweep removes the containers and networks that killed runs left behind and returns how many there were: those of
// runs that are known to be gone, and those that are too old to belong to a run that is not.
func (e *Engine) Sweep(ctx context.Context, now time.Time) (swept int, err error) {
	ours := client.Filters{}.Add("label", label)
	containers, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return 0, fmt.Errorf("listing containers: %w", err)
	}
	for _, c := range containers.Items {
		if !e.isLeft(ctx, c.Labels, now.Sub(time.Unix(c.Created, 0))) {
			continue
		}
		if err := e.remove(ctx, c.ID); err != nil {
			return swept, err
		}
		swept++
	}
	networks, err := e.api.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return swept, fmt.Errorf("listing networks: %w", err)
	}
	for _, n := range networks.Items {
		if !e.isLeft(ctx, n.Labels, now.Sub(n.Created)) {
			continue
		}
		if err := e.removeNetwork(ctx, n.Name); err != nil {
			return swept, err
		}
		swept++
	}
	return swept, nil
}

// isLeft reports whether what has these labels belongs to a run that is no more.
func (e *Engine) isLeft(ctx context.Context, labels map[string]string, age time.Duration) bool {
	return age >= abandoned || e.Gone != nil && e.Gone(labels[label]) || e.hasEnded(ctx, labels[selfLabel])
}

// hasEnded reports whether a run was in a container that does not run any more.
func (e *Engine) hasEnded(ctx context.Context, self string) bool {
	if self == "" {
		return false
	}
	got, err := e.api.ContainerInspect(ctx, self, client.ContainerInspectOptions{})
	return errdefs.IsNotFound(err) || err == nil && got.Container.State != nil && !got.Container.State.Running
}
