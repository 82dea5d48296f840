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
	seen map[string]bool // names of what was read or written here
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

// Push adds what changed in a memory. An empty memory is not added.
func (h *Home) Push(ctx context.Context, m memory.Memory) error {
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
	h.see(name)
	return nil
}

func (h *Home) see(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	for _, name := range names {
		h.seen[name] = true
	}
}

// unseen are the names among these of what was not read yet.
func (h *Home) unseen(names []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return h.seen[name] })
}

// Pull returns what is there that was neither pulled nor pushed before. What cannot be read at all is passed over, and is in the error;
// the memory holds the rest all the same.
func (h *Home) Pull(ctx context.Context) (memory.Memory, error) {
	names, err := h.Registry.Memories(ctx, h.Repository)
	if err != nil {
		return memory.Memory{}, fmt.Errorf("reading the memory in %s: %w", h.Repository, err)
	}
	// What was put together last makes most of the rest needless.
	var found memory.Memory
	var unread error
	for _, name := range slices.Backward(names) {
		if strings.HasPrefix(name, whole+"-") && len(h.unseen([]string{name})) > 0 {
			m, err := h.read(ctx, name)
			found, unread = memory.Merge(found, m), errors.Join(unread, err)
		}
	}
	parts, err := h.readAll(ctx, h.unseen(slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, whole+"-") })))
	return memory.Merge(found, parts), errors.Join(unread, err)
}

func (h *Home) readAll(ctx context.Context, names []string) (memory.Memory, error) {
	var mu sync.Mutex
	var found memory.Memory
	var unread error
	var reading errgroup.Group
	reading.SetLimit(sharing)
	for _, name := range names {
		reading.Go(func() error {
			m, err := h.read(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			found, unread = memory.Merge(found, m), errors.Join(unread, err)
			return nil
		})
	}
	_ = reading.Wait() // which each error has been noted for
	return found, unread
}

// read reads one parcel. One that was taken away meanwhile is in another, which the next Pull finds.
func (h *Home) read(ctx context.Context, name string) (memory.Memory, error) {
	data, there, err := h.Registry.ReadMemory(ctx, h.Repository, name)
	if err != nil || !there {
		return memory.Memory{}, err
	}
	p, err := unseal(data)
	if err != nil {
		h.see(name) // it will not get better
		return memory.Memory{}, fmt.Errorf("reading %s in %s: %w", name, h.Repository, err)
	}
	h.see(append(p.Holds, name)...)
	return p.Memory, nil
}

// ErrInTheWay tells that what is needed no more could not be taken away. It costs room and nothing else.
var ErrInTheWay = errors.New("old parts of the memory stay")

// Settle puts together what there is, where that is due, and takes away what is old and held by it. All must be a memory that
// all that was pulled has been merged into.
func (h *Home) Settle(ctx context.Context, all memory.Memory) error {
	if h.ReadOnly {
		return nil
	}
	names, err := h.Registry.Memories(ctx, h.Repository)
	if err != nil {
		return fmt.Errorf("putting together the memory in %s: %w", h.Repository, err)
	}
	unread := h.unseen(names)
	held := slices.DeleteFunc(names, func(name string) bool { return slices.Contains(unread, name) })
	if !h.due(held) {
		return nil
	}
	if err := h.put(ctx, whole, parcel{held, all}); err != nil {
		return fmt.Errorf("putting together the memory in %s: %w", h.Repository, err)
	}
	if err := h.forget(ctx, slices.DeleteFunc(held, func(name string) bool { return h.age(name) < aged })); err != nil {
		return fmt.Errorf("%w: %w", ErrInTheWay, err)
	}
	return nil
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

// due reports whether there is something to put together: nobody ever did, or a part is old.
func (h *Home) due(names []string) bool {
	fresh := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return h.age(name) >= aged && strings.HasPrefix(name, part+"-") })
	return len(fresh) < len(names) || !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, whole+"-") })
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
