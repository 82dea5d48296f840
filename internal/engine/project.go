package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// The labels that Compose gives to its containers.
// https://github.com/docker/compose/blob/v2.40.3/pkg/api/labels.go
const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	oneOffLabel  = "com.docker.compose.oneoff"
	hashLabel    = "com.docker.compose.config-hash"
)

// An Instance is a container of a service of a Compose project.
type Instance struct {
	ID      string
	Service string
	Image   string // as it was asked for: REPOSITORY@sha256:…
	Hash    string // by which Compose tells one definition of the service from another
	Labels  map[string]string
	Status  string // "created", "running", "restarting", "exited", …
	State
	Restarts int       // how often it ended and was started again by the engine
	Since    time.Time // when it was started last, by the engine's clock
	Stays    bool      // it is started again when it ends
}

// Project lists the containers of a Compose project, by service. Those of `compose run` are none of it.
func (e *Engine) Project(ctx context.Context, name string) ([]Instance, error) {
	filters := client.Filters{}.Add("label", projectLabel+"="+name)
	listed, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("listing the containers of %s: %w", name, err)
	}
	var found []Instance
	for _, c := range listed.Items {
		if c.Labels[oneOffLabel] == "True" {
			continue
		}
		got, err := e.api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // it was replaced meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("inspecting a container of %s: %w", name, err)
		}
		found = append(found, newInstance(got.Container))
	}
	slices.SortFunc(found, func(a, b Instance) int { return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID)) })
	return found, nil
}

func newInstance(c container.InspectResponse) Instance {
	i := Instance{ID: c.ID, Restarts: c.RestartCount}
	if c.Config != nil {
		i.Service, i.Image, i.Hash, i.Labels = c.Config.Labels[serviceLabel], c.Config.Image, c.Config.Labels[hashLabel], c.Config.Labels
	}
	if c.HostConfig != nil {
		i.Stays = !c.HostConfig.RestartPolicy.IsNone()
	}
	if c.State != nil {
		i.Status, i.State = string(c.State.Status), newState(c.State)
		i.Since, _ = time.Parse(time.RFC3339Nano, c.State.StartedAt) // zero where it never was
	}
	return i
}

// Said returns the last lines of a container's log.
func (e *Engine) Said(ctx context.Context, id string, lines int) ([]string, error) {
	return e.Container(id).Logs(ctx, lines)
}

// TakeAway has a container leave by itself, within the time that it was given for that, and removes it. Its volumes stay.
func (e *Engine) TakeAway(ctx context.Context, id string) error {
	_, err := e.api.ContainerStop(ctx, id, client.ContainerStopOptions{})
	if err == nil {
		_, err = e.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("taking a container away: %w", err)
	}
	return nil
}

// RemoveVolume takes a volume away with all that is in it, if it is there.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	if _, err := e.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing the volume %s: %w", name, err)
	}
	return nil
}

// Container is one that is there, by its id.
func (e *Engine) Container(id string) *Container { return &Container{engine: e, ID: id} }
