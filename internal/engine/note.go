package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

// A Note is something written down on the engine's machine: the labels of a volume that holds nothing else. It needs no image,
// can be read wherever the engine can be reached, and stays when containers and networks are cleaned up.
type Note struct {
	Name   string
	Labels map[string]string
}

// WriteNote writes a note down under a name that is not taken. There is no way to change it.
func (e *Engine) WriteNote(ctx context.Context, n Note) error {
	if _, err := e.api.VolumeCreate(ctx, client.VolumeCreateOptions{Name: n.Name, Labels: n.Labels}); err != nil {
		return fmt.Errorf("writing %s down on the Docker host: %w", n.Name, err)
	}
	return nil
}

// Notes returns those that have all of some labels, by name.
func (e *Engine) Notes(ctx context.Context, labels map[string]string) ([]Note, error) {
	filters := client.Filters{}
	for name, value := range labels {
		filters = filters.Add("label", name+"="+value)
	}
	got, err := e.api.VolumeList(ctx, client.VolumeListOptions{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("reading what is written down on the Docker host: %w", err)
	}
	slices.SortFunc(got.Items, func(a, b volume.Volume) int { return cmp.Compare(a.Name, b.Name) })
	var notes []Note
	for _, v := range got.Items {
		notes = append(notes, Note{v.Name, v.Labels})
	}
	return notes, nil
}

// RemoveNote takes a note away, if it is there.
func (e *Engine) RemoveNote(ctx context.Context, name string) error {
	if _, err := e.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing the note %s from the Docker host: %w", name, err)
	}
	return nil
}

// Clock asks the engine's machine what time it is there.
func (e *Engine) Clock(ctx context.Context) (time.Time, error) {
	got, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return time.Time{}, fmt.Errorf("asking the Docker host for its time: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, got.Info.SystemTime)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking the Docker host for its time: %w", err)
	}
	return at, nil
}
