package clean_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/ghcr-publish/internal/clean"
	"github.com/org/ghcr-publish/internal/githubtest"
)

// TestKilled kills the program before every change that it makes, and runs it again: whatever somebody has published meanwhile, what is there
// then is what there is where nobody killed it.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{2} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			want, changes := killed(t, seed, -1)
			if changes < 10 {
				t.Fatalf("%d changes", changes)
			}
			for n := range changes {
				if got, _ := killed(t, seed, n); !cmp.Equal(want, got) {
					t.Fatalf("killed at change %d of %d (-want +got):\n%s", n, changes, cmp.Diff(want, got))
				}
			}
			t.Logf("killed at each of %d changes", changes)
		})
	}
}

// killed cleans up after some history, while somebody publishes what shares a part with an image that goes, and is killed after some
// changes and run again. It returns all that there is then, and how many changes it took.
func killed(t *testing.T, seed uint64, after int) (state []string, changes int) {
	server := githubtest.Start(token)
	t.Cleanup(server.Close)
	w := newWorld(t, server, seed)
	for range 4 {
		w.step()
		w.step()
		w.push(w.build("", "")) // which was refused
	}
	w.lag = false
	server.Lag(0)
	w.now = w.now.Add(20 * day)
	life := &lifetime{most: after}
	share := w.sharing()
	_, err := w.run(life, 1000, share)
	if after < 0 {
		w.must(err)
	} else if !errors.Is(err, errKilled) {
		t.Fatalf("killed after %d changes: %v", after, err)
	}
	share(clean.Plan{})
	_, err = w.run(&lifetime{most: -1}, 1000, func(clean.Plan) {})
	w.must(err)
	for digest, why := range w.roots() {
		w.whole(digest, why)
	}
	if w.at["main"] != w.loose[len(w.loose)-1] {
		t.Fatal("nobody has published meanwhile")
	}
	return w.state(), life.made
}

// state is all that there is, but for what the program keeps for itself.
func (w *world) state() (state []string) {
	tags, err := remote.List(w.repo, w.options()...)
	w.must(err)
	for _, tag := range tags {
		desc, err := remote.Head(w.repo.Tag(tag), w.options()...)
		w.must(err)
		if _, ours := w.pushed[desc.Digest.String()]; ours {
			state = append(state, tag+" "+desc.Digest.String())
		}
	}
	for _, v := range w.listed() {
		if _, ours := w.pushed[v.Digest]; ours {
			state = append(state, v.Digest)
		}
	}
	slices.Sort(state)
	return state
}

// sharing publishes once, as late as it can be: right before a run deletes what is shared, or without a plan at once. That is signed.
func (w *world) sharing() func(clean.Plan) {
	shared, done := "", false
	p, err := w.survey().Of(w.t.Context(), w.repo.Name(), clean.Known{})
	w.must(err)
	for _, item := range w.cleanRules().Plan(p).Gone {
		if m := p.Manifests[item.Digest]; m.Image && len(m.Children) == 0 && (shared == "" || item.Digest < shared) {
			shared = item.Digest
		}
	}
	if shared == "" {
		w.t.Fatalf("history %d: nothing goes that could be shared", w.seed)
	}
	w.attach(shared)
	w.now = w.now.Add(20 * day)
	return func(plan clean.Plan) {
		next := slices.ContainsFunc(plan.Gone, func(i clean.Item) bool { return i.Digest == shared && i.Outcome != "" })
		if done || len(plan.Gone) > 0 && !next {
			return
		}
		if done = w.share(shared); !done {
			w.t.Errorf("history %d: %s cannot be shared", w.seed, shared)
		}
	}
}
