package carry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/registry"
	"golang.org/x/sync/errgroup"
)

// A Home is where a memory lives beside the cache: for other branches and repositories, for longer, and for those who work at the same
// time. It is a repository of a registry, which cannot compare and set; so what is there never changes. Each writer adds what it has
// learnt under a name of its own, readers merge all of it, and now and then somebody puts together what there is and takes
// the old parts away. It may be used by several goroutines.
type Home struct {
	Registry   *registry.Client
	Repository string // HOST/OWNER/NAME
	Now        func() time.Time
	Since      time.Time // what a memory has learnt from then on is given away
	ReadOnly   bool      // nothing is given at all
	// Forget takes away what is kept under names; nil has the registry do it.
	Forget func(ctx context.Context, names []string) error

	mu   sync.Mutex
	seen map[string]bool // names of what was read or written here; true of what a whole holds
	met  map[event]bool  // changes since then that are there
	me   string          // in the names of what this one writes

	conflicts atomic.Int64
}

// Names in a Home: KIND-MILLISECONDS-WRITER. They sort by age.
const (
	part  = "delta" // what one writer has added
	whole = "all"   // what there was at a time, put together
)

// A parcel is what a Home keeps under one name.
type parcel struct {
	// Holds are the names of others whose content is in this one.
	Holds  []string      `json:"holds,omitempty"`
	Memory memory.Memory `json:"memory"`
}

// aged is how old a part is at least that is taken away: whoever has listed it has read it by then.
const aged = time.Hour

// sharing is how many parcels are read at the same time.
const sharing = 8

// push adds what changed in a memory. An empty memory is not added.
func (h *Home) push(ctx context.Context, m memory.Memory) error {
	if h.ReadOnly || len(m.Entries)+len(m.Deleted)+len(m.Counters) == 0 {
		return nil
	}
	return h.put(ctx, part, parcel{Memory: m})
}

func (h *Home) put(ctx context.Context, kind string, p parcel) error {
	data, err := seal(p)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.me = cmp.Or(h.me, strings.ToLower(rand.Text()[:10]))
	name := fmt.Sprintf("%s-%013d-%s-%s", kind, h.Now().UnixMilli(), h.me, strings.ToLower(rand.Text()[:4]))
	h.mu.Unlock()
	if err := h.Registry.KeepMemory(ctx, h.Repository, name, data); err != nil {
		return err
	}
	h.see(p.names(name))
	return nil
}

// names are the parcel's own, and true those of what it holds.
func (p parcel) names(own string) map[string]bool {
	names := map[string]bool{own: false}
	for _, held := range p.Holds {
		names[held] = true
	}
	return names
}

// see notes what was read or written, and whether a whole holds it.
func (h *Home) see(names map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	note(h.seen, names)
}

func note(known, names map[string]bool) {
	for name, held := range names {
		known[name] = held || known[name]
	}
}

// A haul is what was read of a home at once.
type haul struct {
	mu     sync.Mutex
	memory memory.Memory   // as it comes, not merged yet
	names  map[string]bool // of what is in it; true of what it has from a whole that holds it
	unread []error         // of what could not be read
}

// err tells of what could not be read: of many it is the same, mostly.
func (h *haul) err() error {
	switch len(h.unread) {
	case 0:
		return nil
	case 1:
		return h.unread[0]
	default:
		return fmt.Errorf("%w; nor could %d more be read", h.unread[0], len(h.unread)-1)
	}
}

// pull reads what is there but for what was taken before. What cannot be read at all is passed over.
func (h *Home) pull(ctx context.Context) (*haul, error) {
	names, err := h.Registry.Memories(ctx, h.Repository)
	if err != nil {
		return nil, fmt.Errorf("reading the memory in %s: %w", h.Repository, err)
	}
	h.mu.Lock()
	names = slices.DeleteFunc(names, func(name string) bool { _, seen := h.seen[name]; return seen })
	h.mu.Unlock()
	return h.readAll(ctx, names), nil
}

// readAll reads what is there under names, but for what is held by what was put together last, which comes first.
func (h *Home) readAll(ctx context.Context, names []string) *haul {
	all := &haul{names: map[string]bool{}}
	for _, name := range slices.Backward(names) {
		if _, has := all.names[name]; !has && isWhole(name) {
			h.read(ctx, name, all)
		}
	}
	var reading errgroup.Group
	reading.SetLimit(sharing)
	for _, name := range slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, has := all.names[name]; return has || isWhole(name) }) {
		reading.Go(func() error { h.read(ctx, name, all); return nil })
	}
	_ = reading.Wait() // which each error has been noted for
	return all
}

func isWhole(name string) bool { return strings.HasPrefix(name, whole+"-") }

// read reads one parcel. One that was taken away meanwhile is in another, which is found the next time.
func (h *Home) read(ctx context.Context, name string, all *haul) {
	p, there, err := h.open(ctx, name)
	all.mu.Lock()
	defer all.mu.Unlock()
	if err != nil {
		all.unread = append(all.unread, err)
	}
	if !there {
		return
	}
	m := &all.memory
	m.Entries, m.Deleted, m.Counters = append(m.Entries, p.Memory.Entries...), append(m.Deleted, p.Memory.Deleted...), append(m.Counters, p.Memory.Counters...)
	note(all.names, p.names(name))
}

// open reads what is there under a name. What is no parcel, and will not get better, holds nothing.
func (h *Home) open(ctx context.Context, name string) (p parcel, there bool, err error) {
	data, there, err := h.Registry.ReadMemory(ctx, h.Repository, name)
	if err == nil && there {
		if p, err = unseal(data); err == nil {
			return p, true, nil
		}
	} else if !errors.Is(err, registry.ErrNotKept) {
		return parcel{}, false, err
	}
	return parcel{}, true, fmt.Errorf("reading %s in %s: %w", name, h.Repository, err)
}

// ErrInTheWay tells that what is needed no more could not be taken away. It costs room and nothing else.
var ErrInTheWay = errors.New("old parts of the memory stay")

// Settle puts together what there is, where that is due, and takes away what is old and held by that. The memory takes in all that is there.
func (h *Home) Settle(ctx context.Context, store *memory.Store) error {
	if h.ReadOnly {
		return nil
	}
	err := h.settle(ctx, store)
	if err == nil || errors.Is(err, ErrInTheWay) {
		return err
	}
	return fmt.Errorf("putting together the memory in %s: %w", h.Repository, err)
}

func (h *Home) settle(ctx context.Context, store *memory.Store) error {
	names, err := h.Registry.Memories(ctx, h.Repository)
	if err != nil {
		return err
	}
	if h.due(names) {
		if err := h.putTogether(ctx, store, names); err != nil {
			return err
		}
	}
	if err := h.forget(ctx, slices.DeleteFunc(names, func(name string) bool { return h.age(name) < aged || !h.held(name) })); err != nil {
		return fmt.Errorf("%w: %w", ErrInTheWay, err)
	}
	return nil
}

// putTogether reads all once more: what has become of the memory since it was read nobody knows. What cannot be read stays by itself.
func (h *Home) putTogether(ctx context.Context, store *memory.Store, names []string) error {
	found := h.readAll(ctx, names)
	if _, err := store.Apply(ctx, found.memory); err != nil {
		return err
	}
	all, err := store.Delta(ctx, time.Time{})
	if err != nil {
		return err
	}
	held := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, has := found.names[name]; return !has })
	return h.put(ctx, whole, parcel{held, all})
}

func (h *Home) held(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[name]
}

func (h *Home) forget(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if h.Forget != nil {
		return h.Forget(ctx, names)
	}
	for _, name := range names {
		if err := h.Registry.ForgetMemory(ctx, h.Repository, name); err != nil {
			return err // the others would be refused as well
		}
	}
	return nil
}

// due reports whether there is something to put together: nobody ever did, or there is an old part that no whole holds.
func (h *Home) due(names []string) bool {
	return !slices.ContainsFunc(names, isWhole) || slices.ContainsFunc(names, func(name string) bool {
		return strings.HasPrefix(name, part+"-") && h.age(name) >= aged && !h.held(name)
	})
}

// age is how long ago something was written by its name; that of what has another name is none.
func (h *Home) age(name string) time.Duration {
	var kind string
	var milliseconds int64
	if n, _ := fmt.Sscanf(strings.ReplaceAll(name, "-", " "), "%s %d", &kind, &milliseconds); n != 2 {
		return 0
	}
	return h.Now().Sub(time.UnixMilli(milliseconds))
}

func seal(p parcel) ([]byte, error) {
	var sealed bytes.Buffer
	packed, err := zstd.NewWriter(&sealed)
	if err == nil {
		err = errors.Join(json.NewEncoder(packed).Encode(p), packed.Close())
	}
	return sealed.Bytes(), err
}

func unseal(data []byte) (p parcel, err error) {
	plain, err := decompress(bytes.NewReader(data), byZstd)
	if err != nil {
		return p, err
	}
	defer plain.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&capped{&text, largest}, plain); err != nil {
		return p, err
	}
	return p, json.Unmarshal(text.Bytes(), &p)
}
