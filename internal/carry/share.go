package carry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/org/ghcr-publish/internal/memory"
)

// Take merges what others have added to a home into a memory. What cannot be read at all is in the error; the memory has the rest all the same.
func (h *Home) Take(ctx context.Context, store *memory.Store) error {
	found, err := h.pull(ctx)
	if err != nil {
		return err
	}
	changed, err := store.Delta(ctx, h.Since)
	if err == nil {
		_, err = store.Apply(ctx, found.memory)
	}
	if err != nil {
		return errors.Join(found.err(), err)
	}
	h.conflicts.Add(int64(memory.Conflicts(h.news(changed), found.memory, h.Since)))
	h.see(found.names)
	h.meet(found.memory)
	return found.err()
}

// Conflicts are how many entries this memory and others have written otherwise, since h.Since and before they knew of one another.
func (h *Home) Conflicts() int { return int(h.conflicts.Load()) }

// Give adds to a home what changed in a memory since h.Since, but for what is there.
func (h *Home) Give(ctx context.Context, store *memory.Store) error {
	changed, err := store.Delta(ctx, h.Since)
	if err != nil {
		return err
	}
	news := h.news(changed)
	if err := h.push(ctx, news); err != nil {
		return err
	}
	h.meet(news)
	return nil
}

// Share has a memory and its home know the same, every so often until the context ends, and calls met each time that they do. It goes on
// whatever goes wrong, and notes that when it begins.
func (h *Home) Share(ctx context.Context, store *memory.Store, every time.Duration, met func(), note func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		err := errors.Join(h.Take(ctx, store), h.Give(ctx, store))
		switch {
		case err == nil:
			met()
		case ctx.Err() == nil && !failing:
			note(err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// An event is one change of a memory, as everybody has it.
type event struct {
	namespace, key, writer string
	stamp, sum             int64
	gone                   bool
}

func entered(r memory.Record) event {
	return event{namespace: r.Namespace, key: r.Key, writer: r.Writer, stamp: r.Stamp}
}

func deleted(d memory.Deleted) event {
	return event{namespace: d.Namespace, key: d.Key, writer: d.Writer, stamp: d.Stamp, gone: true}
}

func counted(c memory.Counter) event {
	return event{namespace: c.Namespace, key: c.Key, writer: c.Writer, stamp: c.Stamp, sum: c.Sum}
}

// news are the changes that are not known to be there.
func (h *Home) news(m memory.Memory) memory.Memory {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.Entries = slices.DeleteFunc(m.Entries, func(r memory.Record) bool { return h.met[entered(r)] })
	m.Deleted = slices.DeleteFunc(m.Deleted, func(d memory.Deleted) bool { return h.met[deleted(d)] })
	m.Counters = slices.DeleteFunc(m.Counters, func(c memory.Counter) bool { return h.met[counted(c)] })
	return m
}

// meet notes changes that are there. Those from before h.Since are not given away in any case.
func (h *Home) meet(m memory.Memory) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.met == nil {
		h.met = map[event]bool{}
	}
	note := func(e event) {
		if e.stamp >= h.Since.UnixMilli() {
			h.met[e] = true
		}
	}
	for _, r := range m.Entries {
		note(entered(r))
	}
	for _, d := range m.Deleted {
		note(deleted(d))
	}
	for _, c := range m.Counters {
		note(counted(c))
	}
}
