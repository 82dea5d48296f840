package carry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	memregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/memory"
	"github.com/org/ghcr-publish/internal/registry"
)

// A village is a registry with the home of a memory, for several who work.
type village struct {
	t      *testing.T
	client *registry.Client
	hour   atomic.Int64 // that it is
	fails  atomic.Pointer[string]
	// refused is how many requests failed so.
	refused atomic.Int32
}

var dawn = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func newVillage(t *testing.T) *village {
	t.Helper()
	v := &village{t: t}
	inner := memregistry.New(memregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method := v.fails.Load(); method != nil && r.Method == *method {
			v.refused.Add(1)
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"not here"}]}`)
			return
		}
		inner.ServeHTTP(w, r)
		if r.Method == http.MethodDelete {
			untag(inner, r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	v.client = &registry.Client{Host: strings.TrimPrefix(server.URL, "http://")}
	return v
}

// untag takes away what pointed to a manifest that was deleted, as true registries do.
func untag(inner http.Handler, path string) {
	ask := func(method, path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		inner.ServeHTTP(answer, httptest.NewRequest(method, path, nil))
		return answer
	}
	manifests, digest, _ := strings.Cut(path, "sha256:")
	var listed struct{ Tags []string }
	_ = json.Unmarshal(ask(http.MethodGet, strings.TrimSuffix(manifests, "manifests/")+"tags/list").Body.Bytes(), &listed)
	for _, tag := range listed.Tags {
		if ask(http.MethodHead, manifests+tag).Header().Get("Docker-Content-Digest") == "sha256:"+digest {
			ask(http.MethodDelete, manifests+tag)
		}
	}
}

func (v *village) now() time.Time { return dawn.Add(time.Duration(v.hour.Load()) * time.Hour) }

func (v *village) names() []string {
	v.t.Helper()
	names, err := v.client.Memories(v.t.Context(), v.repository())
	if err != nil {
		v.t.Fatal(err)
	}
	return names
}

func (v *village) repository() string { return v.client.Host + "/octo/memory" }

// A worker has a memory of its own.
type worker struct {
	*Home
	v     *village
	store *memory.Store
}

func (v *village) worker() *worker {
	v.t.Helper()
	store, err := memory.Open(v.t.Context(), filepath.Join(v.t.TempDir(), "memory.db"), v.now)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = store.Close() })
	return &worker{&Home{Registry: v.client, Repository: v.repository(), Now: v.now, Since: v.now()}, v, store}
}

func (w *worker) learn(keys ...string) {
	w.v.t.Helper()
	for _, key := range keys {
		if err := w.store.Put(w.v.t.Context(), memory.Entry{Namespace: "n", Key: key, Value: []byte(`1`)}); err != nil {
			w.v.t.Fatal(err)
		}
	}
}

func (w *worker) knows() []string {
	w.v.t.Helper()
	entries, err := w.store.List(w.v.t.Context(), "n", 0)
	if err != nil {
		w.v.t.Fatal(err)
	}
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	slices.Sort(keys)
	return keys
}

func (w *worker) do(steps ...func(context.Context, *memory.Store) error) {
	w.v.t.Helper()
	for _, step := range steps {
		if err := step(w.v.t.Context(), w.store); err != nil {
			w.v.t.Fatal(err)
		}
	}
}

// lost is a memory that cannot be written to any more.
func (v *village) lost() *memory.Store {
	v.t.Helper()
	store, err := memory.Open(v.t.Context(), filepath.Join(v.t.TempDir(), "memory.db"), v.now)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		v.t.Fatal(err)
	}
	return store
}

// TestWhatWasReadAndNotMergedIsReadAgain has somebody read what there is, and fail to write it down, before he puts together what there is.
func TestWhatWasReadAndNotMergedIsReadAgain(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	a.learn("a")
	a.do(a.Give)
	if err := b.Take(t.Context(), v.lost()); err == nil {
		t.Error("a memory that is lost was written to")
	}
	v.hour.Store(2)
	b.do(b.Settle, b.Take)
	for _, w := range []*worker{b, v.worker()} {
		w.do(w.Take)
		if got := w.knows(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("one knows %q", got)
		}
	}
}

// TestPuttingTogetherReadsAll has the memory be lost between reading what there is and putting it together.
func TestPuttingTogetherReadsAll(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	a.learn("a")
	a.do(a.Give)
	b.do(b.Take)
	v.hour.Store(2)
	fresh := v.worker()
	b.store = fresh.store
	b.do(b.Take, b.Settle)
	late := v.worker()
	late.do(late.Take)
	if got := late.knows(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("one knows %q, of %q", got, v.names())
	}
}

// TestWhatStaysIsNotPutTogetherAgain has nothing be taken away, so that what is old stays for ever.
func TestWhatStaysIsNotPutTogetherAgain(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	method := http.MethodDelete
	v.fails.Store(&method)
	a := v.worker()
	a.learn("a")
	a.do(a.Give, a.Settle)
	for range 3 {
		v.hour.Add(2)
		w := v.worker()
		w.do(w.Take)
		if err := w.Settle(t.Context(), w.store); !errors.Is(err, ErrInTheWay) {
			t.Errorf("putting together: %v", err)
		}
	}
	if names := v.names(); len(names) != 2 {
		t.Errorf("there are %q", names)
	}
}

// TestWhatIsNoPartIsPassedOver has an image be where parts are.
func TestWhatIsNoPartIsPassedOver(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	ref, err := name.NewTag(v.repository() + ":" + registry.MemoryTag("delta-1767323000000-someone-1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, empty.Image); err != nil {
		t.Fatal(err)
	}
	a.learn("a")
	a.do(a.Give)
	if err := b.Take(t.Context(), b.store); err == nil || !strings.Contains(err.Error(), "delta-1767323000000-someone-1") {
		t.Errorf("an image was read: %v", err)
	}
	b.do(b.Take) // and told once
	if got := b.knows(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("it knows %q", got)
	}
}

func TestWorkersShareAHome(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	a.do(a.Take) // where there is nothing yet, not even a repository
	a.learn("a")
	b.learn("b")
	a.do(a.Give, a.Give, a.Take)
	b.do(b.Give, b.Take, b.Give)
	a.do(a.Take)
	for _, w := range []*worker{a, b} {
		if got := w.knows(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("one knows %q", got)
		}
	}
	// Each gave once: what is there, or came from there, is not given again.
	if names := v.names(); len(names) != 2 {
		t.Errorf("there are %q", names)
	}
	if _, err := a.store.Delete(t.Context(), "n", "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Add(t.Context(), "n", "count", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := a.store.Add(t.Context(), "n", "count", 3); err != nil {
		t.Fatal(err)
	}
	a.do(a.Give)
	b.do(b.Take, b.Give)
	a.do(a.Take)
	for _, w := range []*worker{a, b} {
		e, _, err := w.store.Get(t.Context(), "n", "count")
		if got := w.knows(); !slices.Equal(got, []string{"a", "count"}) || err != nil || string(e.Value) != "5" {
			t.Errorf("one knows %q, and counts %s, %v", got, e.Value, err)
		}
	}
}

// TestConflictsAreCounted has two write the same entry otherwise before they hear of one another, and then one write over what it has heard of.
func TestConflictsAreCounted(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	write := func(w *worker, value string) {
		t.Helper()
		if err := w.store.Put(t.Context(), memory.Entry{Namespace: "n", Key: "k", Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	write(a, `1`)
	v.hour.Store(1) // so that it is the other's that both keep
	write(b, `2`)
	a.do(a.Take, a.Give)
	b.do(b.Take, b.Give)
	write(a, `3`)
	a.do(a.Take, a.Give)
	if a.Conflicts() != 1 || b.Conflicts() != 1 {
		t.Errorf("%d and %d conflicts, want one each", a.Conflicts(), b.Conflicts())
	}
	b.do(b.Take)
	write(b, `4`)
	b.do(b.Take, b.Give)
	a.do(a.Take)
	if a.Conflicts() != 1 || b.Conflicts() != 1 {
		t.Errorf("%d and %d conflicts after one wrote over what it knew, want one each", a.Conflicts(), b.Conflicts())
	}
}

// TestHomeIsPutTogether has what is an hour old be put together and taken away. Whoever comes later knows all, also while it happens.
func TestHomeIsPutTogether(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{true, false} {
		t.Run(fmt.Sprintf("deletes %v", deletes), func(t *testing.T) {
			t.Parallel()
			v := newVillage(t)
			if method := http.MethodDelete; !deletes {
				v.fails.Store(&method)
			}
			first := v.worker()
			first.learn("first")
			first.do(first.Give, first.Settle)
			if names := v.names(); len(names) != 2 || !strings.HasPrefix(names[0], whole+"-") {
				t.Errorf("at first there are %q", names)
			}
			slow := v.worker() // which lists now and reads later
			for n := range 5 {
				w := v.worker()
				w.learn(fmt.Sprint("later-", n))
				w.do(w.Give)
			}
			v.hour.Store(2)
			last := v.worker()
			last.learn("last")
			last.do(last.Take, last.Give)
			if err := last.Settle(t.Context(), last.store); (err == nil) != deletes {
				t.Errorf("putting together: %v", err)
			}
			want := []string{"first", "last", "later-0", "later-1", "later-2", "later-3", "later-4"}
			if names := v.names(); deletes && len(names) != 2 {
				t.Errorf("afterwards there are %q", names)
			}
			for _, w := range []*worker{slow, v.worker()} {
				w.do(w.Take)
				if got := w.knows(); !slices.Equal(got, want) {
					t.Errorf("one knows %q, want %q", got, want)
				}
			}
			next := v.worker()
			next.do(next.Take)
			if err := next.Settle(t.Context(), next.store); deletes && err != nil || deletes && len(v.names()) != 2 {
				t.Errorf("with nothing to do there are %q, %v", v.names(), err)
			}
		})
	}
}

// TestNothingIsLostAtHome has many work at the same time, of whom some put together what there is, in random order.
func TestNothingIsLostAtHome(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	const workers, rounds = 8, 6
	var all []*worker
	var want []string
	for n := range workers {
		all = append(all, v.worker())
		for round := range rounds {
			want = append(want, fmt.Sprintf("%d-%d", n, round))
		}
	}
	slices.Sort(want)
	var working sync.WaitGroup
	for n, w := range all {
		working.Go(func() {
			for round := range rounds {
				w.learn(fmt.Sprintf("%d-%d", n, round))
				if err := w.Give(t.Context(), w.store); err != nil {
					t.Error(err)
				}
				if rand.IntN(3) == 0 {
					v.hour.Add(1)
					if err := w.Take(t.Context(), w.store); err != nil {
						t.Error(err)
					}
					if err := w.Settle(t.Context(), w.store); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	working.Wait()
	late := v.worker()
	late.do(late.Take)
	if got := late.knows(); !slices.Equal(got, want) {
		t.Errorf("of %d entries there are %d: %q, in %q", len(want), len(got), got, v.names())
	}
}

// TestMessagesArrive has two who work at the same time see what the other writes, and measures how soon.
func TestMessagesArrive(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	ctx, cancel := context.WithCancel(t.Context())
	var sharing sync.WaitGroup
	for _, w := range []*worker{a, b} {
		sharing.Go(func() { w.Share(ctx, w.store, 20*time.Millisecond, func() {}, func(err error) { t.Error(err) }) })
	}
	for n := range 5 {
		key, begun := fmt.Sprint("message-", n), time.Now()
		a.learn(key)
		for !slices.Contains(b.knows(), key) {
			if time.Since(begun) > time.Minute {
				t.Fatal("it never arrived")
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("a message took %s", time.Since(begun))
	}
	cancel()
	sharing.Wait()
}

// TestHomeOutOfReach breaks the registry, and has nonsense in it.
func TestHomeOutOfReach(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	a.learn("a")
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		v.fails.Store(&method)
		if err := a.Give(t.Context(), a.store); err == nil {
			t.Errorf("it was given without %s", method)
		}
	}
	a.noteOnce(t)
	v.fails.Store(nil)
	a.do(a.Give) // it is given later
	if err := v.client.KeepMemory(t.Context(), v.repository(), "delta-1767323000000-someone-1", []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	if err := b.Take(t.Context(), b.store); err == nil || !strings.Contains(err.Error(), "reading delta-1767323000000-someone-1 in ") {
		t.Errorf("nonsense was read: %v", err)
	}
	b.do(b.Take) // and told once
	if got := b.knows(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("it knows %q", got)
	}
	for n := range 30 {
		if err := v.client.KeepMemory(t.Context(), v.repository(), fmt.Sprintf("delta-1767323000000-someone-2%d", n), fmt.Append(nil, "nonsense ", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Take(t.Context(), b.store); err == nil || !strings.HasSuffix(err.Error(), "; nor could 29 more be read") || len(err.Error()) > 300 {
		t.Errorf("much nonsense was read: %v", err)
	}
	get := http.MethodGet
	v.fails.Store(&get)
	if err := b.Take(t.Context(), b.store); err == nil {
		t.Error("it was read")
	}
}

// noteOnce shares while the registry fails, and is told so once.
func (w *worker) noteOnce(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var notes atomic.Int32
	var sharing sync.WaitGroup
	before := w.v.refused.Load()
	sharing.Go(func() {
		w.Share(ctx, w.store, time.Millisecond, func() {}, func(err error) { notes.Add(1); t.Log(err) })
	})
	for w.v.refused.Load() < before+20 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	sharing.Wait()
	if n := notes.Load(); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

// TestOthersTakeAway has what is old be taken away in another way than by the registry.
func TestOthersTakeAway(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a := v.worker()
	a.learn("a")
	a.do(a.Give)
	var asked []string
	a.Forget = func(_ context.Context, names []string) error {
		asked = append(asked, names...)
		return errors.New("no right to")
	}
	v.hour.Store(2)
	if err := a.Settle(t.Context(), a.store); !errors.Is(err, ErrInTheWay) || len(asked) != 1 || !strings.HasPrefix(asked[0], part+"-") {
		t.Errorf("of %q: %v", asked, err)
	}
}

// TestOneWhoMayNotGive reads and leaves all as it is.
func TestOneWhoMayNotGive(t *testing.T) {
	t.Parallel()
	v := newVillage(t)
	a, b := v.worker(), v.worker()
	a.learn("a")
	a.do(a.Give)
	b.ReadOnly = true
	b.learn("b")
	b.do(b.Take, b.Give, b.Settle)
	if got := b.knows(); !slices.Equal(got, []string{"a", "b"}) || len(v.names()) != 1 {
		t.Errorf("it knows %q, and there are %q", got, v.names())
	}
}

func FuzzUnseal(f *testing.F) {
	sealed, err := seal(parcel{Holds: []string{"delta-1-a-b"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:len(sealed)/2])
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = unseal(data) })
}
