package promote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/org/ghcr-publish/internal/registry"
	"github.com/org/ghcr-publish/internal/tags"
)

// A Journal says in the registry what runs are about to move, so that the next run finishes what a killed one has begun.
// Registries cannot compare and set, so another run may overwrite an entry at the same moment. That is safe: what is lost is
// only not finished by a run that has nothing else to do with it, and what comes back is found to be done. Nothing is tagged
// because it is written here: whoever finishes an entry judges its images anew.
type Journal struct {
	Read  func(context.Context) ([]byte, error) // nil where there is none
	Write func(context.Context, []byte) error
	Run   string // of whoever writes: its ID and attempt
}

// What is written are promotions that are under way, and, the oldest first, those that somebody asked for and that are done.
type written struct {
	Entries []Entry `json:"entries"`
	Done    []Entry `json:"done,omitempty"`
}

// An Entry is one run's promotion.
type Entry struct {
	Run     string   `json:"run"`
	Commit  string   `json:"commit"`
	Ref     string   `json:"ref"`
	Intents []Intent `json:"services"`
	// To is the tag of a promotion that somebody asked for, which is remembered when it is done. Undoes is the run whose promotion
	// it takes back.
	To     string `json:"to,omitempty"`
	Undoes string `json:"undoes,omitempty"`
	// Began counts the entries that there were, so that it is known which of two began last, whichever was finished first. Older ones have none.
	Began int `json:"began,omitempty"`
}

// An Intent is what is to become of one service's tags.
type Intent struct {
	Service   string     `json:"service"`
	Image     string     `json:"image"`
	Digest    string     `json:"digest"`
	Published string     `json:"published,omitempty"` // digest that it is compared with
	Platforms []string   `json:"platforms"`
	Tags      []tags.Tag `json:"tags"`
}

// Begin writes down what this run is about to move, and takes over what older ones have left open of it.
func (j Journal) Begin(ctx context.Context, e Entry) error {
	for _, intent := range e.Intents {
		if slices.ContainsFunc(intent.Tags, func(t tags.Tag) bool { return t.Name == registry.JournalTag }) {
			return fmt.Errorf("%s is no tag for an image: this program keeps its journal there", registry.JournalTag)
		}
	}
	e.Run = j.Run
	err := j.change(ctx, func(w written) written {
		w.Entries = without(w.Entries, j.Run)
		e.Began = 1
		for _, other := range slices.Concat(w.Done, w.Entries) {
			e.Began = max(e.Began, other.Began+1)
		}
		for i, other := range w.Entries {
			w.Entries[i] = other.yielding(e)
		}
		w.Entries = append(w.Entries, e)
		return w
	})
	if err != nil {
		return fmt.Errorf("writing down which tags are to move: %w", err)
	}
	return nil
}

// yielding is an entry without the tags that a newer one decides on: finished later, it would take them back. Tags that follow commits or versions tell by
// themselves which image is newer, unless both are of one commit.
func (e Entry) yielding(newer Entry) Entry {
	e.Intents = slices.Clone(e.Intents)
	for i, intent := range e.Intents {
		e.Intents[i].Tags = slices.DeleteFunc(slices.Clone(intent.Tags), func(t tags.Tag) bool {
			return newer.decides(intent.Image, t.Name) && (t.Kind == tags.Pointer || t.Kind == tags.Commit || e.Commit == newer.Commit)
		})
	}
	return e
}

// decides reports whether a tag of an image is among those that the entry is about.
func (e Entry) decides(image, tag string) bool {
	return slices.ContainsFunc(e.Intents, func(i Intent) bool {
		return i.Image == image && slices.ContainsFunc(i.Tags, func(t tags.Tag) bool { return t.Name == tag })
	})
}

// End strikes what runs have moved. Promotions that somebody asked for are remembered.
func (j Journal) End(ctx context.Context, runs ...string) error {
	err := j.change(ctx, func(w written) written {
		for _, e := range w.Entries {
			if e.To != "" && slices.Contains(runs, e.Run) {
				w.Done = newest(inTurn(append(without(w.Done, e.Run), e)))
			}
		}
		w.Entries = without(w.Entries, runs...)
		return w
	})
	if err != nil {
		return fmt.Errorf("writing down that the tags have moved: %w", err)
	}
	return nil
}

// Left returns what other runs have begun, the oldest first. One of them may still be at it.
func (j Journal) Left(ctx context.Context) ([]Entry, error) {
	w, err := j.read(ctx)
	return without(w.Entries, j.Run), err
}

func without(entries []Entry, runs ...string) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return slices.Contains(runs, e.Run) })
}

// change reads, changes and writes until the change is there.
func (j Journal) change(ctx context.Context, change func(written) written) error {
	for range attempts {
		now, err := j.read(ctx)
		if err != nil {
			return err
		}
		changed := change(now)
		if len(now.Entries)+len(changed.Entries)+len(changed.Done) == 0 || reflect.DeepEqual(now, changed) {
			return nil
		}
		data, err := json.Marshal(changed)
		if err != nil {
			return err
		}
		if err := j.Write(ctx, data); err != nil {
			return err
		}
	}
	return errors.New("other runs write the journal all the time; run this one again")
}

// read returns the entries. What is no journal has none, and is overwritten.
func (j Journal) read(ctx context.Context) (written, error) {
	data, err := j.Read(ctx)
	if err != nil || data == nil {
		return written{}, err
	}
	var read written
	if json.Unmarshal(data, &read) != nil {
		return written{}, nil
	}
	return read, nil
}
